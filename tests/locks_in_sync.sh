# Fails when the locked requirements are not what the .in files ask for.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp requirements*.txt "$folder/"
sh tests/lock.sh "$folder"
for name in requirements requirements-tools requirements-dev; do
    diff "$name.txt" "$folder/$name.txt" || {
        echo "$name.txt does not fit $name.in; run: make lock" >&2
        exit 1
    }
done
