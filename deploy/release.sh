#!/bin/sh
# Writes a release: the committed files and function.zip in one archive, for a module's `source`.
# The same commit gives the same bytes.
#
#   deploy/release.sh VERSION [FOLDER]    write FOLDER/threat-responder-VERSION.tar.gz and its .sha256
set -eu
cd "$(dirname "$0")/.."

version=${1:-}
folder=${2:-dist}
if ! echo "$version" | grep -Eqx '[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?'; then
    echo "deploy/release.sh: expected a version such as 1.0.0; got '$version'" >&2
    exit 2
fi
if ! git diff --quiet HEAD --; then
    echo "deploy/release.sh: there are changes that are not committed:" >&2
    git diff --name-only HEAD -- >&2
    exit 1
fi
tag=$(git rev-parse --quiet --verify "refs/tags/v$version^{commit}" || true)
if [ -n "$tag" ] && [ "$tag" != "$(git rev-parse HEAD)" ]; then
    echo "deploy/release.sh: the tag v$version is another commit, $(git rev-parse --short "$tag")" >&2
    exit 1
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sh deploy/package.sh "$work/function.zip" >/dev/null

# The committed tree with one more file, as a commit of nobody at the time of the real one: the archive
# depends on nothing else.
archive=$folder/threat-responder-$version.tar.gz
mkdir -p "$folder"
blob=$(git hash-object -w "$work/function.zip")
tree=$(
    export GIT_INDEX_FILE="$work/index"
    git read-tree HEAD
    git update-index --add --cacheinfo "100644,$blob,function.zip"
    git write-tree
)
commit=$(
    when=$(git show -s --format=%cI HEAD)
    export GIT_AUTHOR_NAME=release GIT_AUTHOR_EMAIL=release@invalid GIT_AUTHOR_DATE="$when"
    export GIT_COMMITTER_NAME=release GIT_COMMITTER_EMAIL=release@invalid GIT_COMMITTER_DATE="$when"
    git commit-tree -m "Release $version" "$tree"
)
TZ=UTC git -c tar.umask=0022 archive --format=tar "$commit" | gzip -9n >"$archive"
(cd "$folder" && sha256sum "$(basename "$archive")" | tee "$(basename "$archive").sha256")

if [ -z "$tag" ]; then
    echo "Tag it:    git tag -a v$version -m 'Release $version' $(git rev-parse --short HEAD) && git push origin v$version"
fi
