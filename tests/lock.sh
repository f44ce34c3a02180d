# Writes the locked requirements of the .in files here into the folder given.
set -eu
for name in requirements requirements-tools requirements-dev; do
    "$BIN/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --custom-compile-command "make lock" "$name.in" -o "$1/$name.txt" >/dev/null
done
