#!/bin/sh
# Writes what the functions run into a zip file, as it is committed: the tracked files that
# .gcloudignore lets through. The same commit gives the same files, on every machine.
#
#   deploy/package.sh [function.zip]    write it
#   deploy/package.sh --list            only name the files
set -eu
cd "$(dirname "$0")/.."

kept=$(mktemp)
trap 'rm -f "$kept" "$kept.no" "$kept.index"' EXIT
git ls-files --cached --ignored --exclude-from=.gcloudignore | sort >"$kept.no"
git ls-files --cached | sort | comm -23 - "$kept.no" >"$kept"

if [ "${1:-}" = --list ]; then
    cat "$kept"
    exit
fi

# What runs in the cloud must be what a commit says.
# shellcheck disable=SC2046 - no tracked file has a space in its name
if ! git diff --quiet HEAD -- $(cat "$kept"); then
    echo "deploy/package.sh: these files differ from the last commit; commit them first:" >&2
    git diff --name-only HEAD -- $(cat "$kept") >&2
    exit 1
fi

# A commit of these files alone, by nobody, at a fixed time: the archive depends on their content
# and on nothing else, so that an unrelated commit is no new deployment.
export GIT_INDEX_FILE="$kept.index"
# shellcheck disable=SC2046
git ls-tree -r HEAD -- $(cat "$kept") | git update-index --index-info
commit=$(
    export GIT_AUTHOR_NAME=source GIT_AUTHOR_EMAIL=source@invalid GIT_AUTHOR_DATE=2000-01-01T00:00:00Z
    export GIT_COMMITTER_NAME=source GIT_COMMITTER_EMAIL=source@invalid
    export GIT_COMMITTER_DATE=2000-01-01T00:00:00Z
    git commit-tree -m "What runs" "$(git write-tree)"
)
target=${1:-function.zip}
TZ=UTC git archive --format=zip --output="$target" "$commit"
echo "$target: $(wc -l <"$kept") files of commit $(git rev-parse --short HEAD)"
