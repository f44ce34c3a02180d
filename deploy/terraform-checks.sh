#!/bin/sh
# Validates every example and runs the modules' own tests (tests/*.tftest.hcl), with the google provider.
#
#   deploy/terraform-checks.sh               terraform, and the provider that it downloads
#   deploy/terraform-checks.sh COMMAND...    COMMAND FOLDER ARGUMENTS... in place of terraform; examples
#                                            are planned as well, which needs credentials otherwise
#   deploy/terraform-checks.sh --reachable   only whether the provider can be downloaded
#
# GOOGLE_VERSION pins the provider. Works in a copy: nothing is left in the checkout.
set -eu
cd "$(dirname "$0")/.."

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -R deploy "$copy/deploy"
find "$copy/deploy" -name '.terraform*' -prune -exec rm -rf {} +
: >"$copy/function.zip" # what would be deployed; only its hash is looked at
export CHECKPOINT_DISABLE=1 TF_IN_AUTOMATION=1 TF_INPUT=0

if [ "${1:-}" = --reachable ]; then
    terraform -chdir="$copy/deploy/examples/minimal" init -backend=false >/dev/null 2>&1
    exit
fi

planned=$#
run() { # FOLDER ARGUMENTS...
    folder=$1
    shift
    if [ "$planned" -gt 0 ]; then
        $command "$folder" "$@" -no-color
    else
        terraform -chdir="$folder" "$@" -no-color
    fi
}
command="$*"

pin() { # FOLDER
    if [ -n "${GOOGLE_VERSION:-}" ]; then
        printf 'terraform {\n  required_providers {\n    google = {\n      source = "hashicorp/google"\n      version = "%s"\n    }\n  }\n}\n' \
            "$GOOGLE_VERSION" >"$1/pin_override.tf"
    fi
}

quietly() { # prints what a step said only if it fails
    "$@" >"$copy/said" 2>&1 || { cat "$copy/said" && return 1; }
}

for root in $(find "$copy/deploy/examples" -name main.tf | sort); do
    root=$(dirname "$root")
    pin "$root"
    quietly run "$root" init -backend=false
    quietly run "$root" validate
    if [ "$planned" -gt 0 ]; then
        # The stand-in then knows computed names, so that everything that depends on them is evaluated.
        TFCHECK_KNOWN=1 quietly run "$root" plan -lock=false
        echo "${root#"$copy"/}: valid; $(grep '^Plan:' "$copy/said")"
    else
        echo "${root#"$copy"/}: valid"
    fi
done

# Mock providers came with 1.7.
if terraform version | head -1 | grep -Eq 'v1\.[0-6]\.'; then
    echo "skipped: the modules' tests need Terraform 1.7"
    exit
fi
for module in "$copy"/deploy/terraform/*/; do
    module=${module%/}
    pin "$module"
    quietly run "$module" init -backend=false
    quietly run "$module" test
    echo "${module#"$copy"/}: $(tail -1 "$copy/said")"
done
