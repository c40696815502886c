#!/usr/bin/env bash
# Unpacks a glibc new enough for the Chroma server of npm's `chromadb` (2.38) beside the system's own, touching
# nothing else of the system. Only needed on Linux with an older glibc, such as Debian 12 or Ubuntu 22.04.
#
# usage: scripts/fetch-glibc.sh [DIR]
#
#   DIR   where to put it, default $SYNC_AGENT_GLIBC_DIR, else .cache/glibc in this repository.
#         DIR/lib then holds the libraries and the loader. Does nothing if they are there already.
#
# Environment: DEBIAN_MIRROR / UBUNTU_MIRROR name another archive mirror.
# Needs apt-get and dpkg, but not root: lists and packages live in a temporary directory.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${1:-${SYNC_AGENT_GLIBC_DIR:-$root/.cache/glibc}}

fail() {
  echo "fetch-glibc: $*" >&2
  exit 1
}

if compgen -G "$target/lib/ld-linux-*.so.*" >/dev/null; then
  echo "fetch-glibc: already in $target" >&2
  exit 0
fi

for tool in apt-get dpkg dpkg-deb; do
  command -v "$tool" >/dev/null || fail "cannot find $tool; on a system without apt, use one whose glibc is 2.38 or newer"
done

# The mirror that this system's apt uses.
system_mirror() {
  grep -rhoE "https?://[^ ]+/$1/?( |\$)" /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null | tr -d ' ' | head -n 1 || true
}

# shellcheck source=/dev/null
distribution=$(. /etc/os-release && echo "$ID")
if [ "$distribution" = ubuntu ]; then
  mirror=${UBUNTU_MIRROR:-$(system_mirror ubuntu)}
  suite=noble
  keyring=/usr/share/keyrings/ubuntu-archive-keyring.gpg
else
  mirror=${DEBIAN_MIRROR:-$(system_mirror debian)}
  suite=trixie
  keyring=/usr/share/keyrings/debian-archive-keyring.gpg
fi
[ -n "$mirror" ] || fail "cannot find a mirror in the sources of apt; set DEBIAN_MIRROR or UBUNTU_MIRROR"
[ -r "$keyring" ] || fail "cannot read $keyring, which vouches for the packages"

mkdir -p "$(dirname "$target")"
work=$(mktemp -d "$(dirname "$target")/.glibc.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{lists/partial,cache/archives/partial,debs,root,preferences}
echo "deb [signed-by=$keyring] $mirror $suite main" >"$work/sources.list"

apt() {
  apt-get -q -q \
    -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=- \
    -o "Dir::Etc::preferencesparts=$work/preferences" -o Dir::Etc::preferences=- \
    -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache" \
    -o Acquire::Languages=none -o APT::Sandbox::User= \
    -o APT::Update::Post-Invoke-Success::= -o APT::Update::Post-Invoke::= \
    "$@" >&2
}

echo "fetch-glibc: downloading libc6, libstdc++6 and libgcc-s1 of $suite" >&2
apt update || fail "cannot read the package lists of $mirror"
(cd "$work/debs" && apt download libc6 libstdc++6 libgcc-s1) || fail "cannot download the packages from $mirror"

for package in "$work"/debs/*.deb; do
  dpkg-deb -x "$package" "$work/root"
done
# The loader sits among the libraries; packages that install its link elsewhere (/lib64) have it there as well.
loader=$(find "$work/root" -path '*-linux-gnu*/ld-linux-*.so.*' -print -quit)
[ -n "$loader" ] || fail "cannot find the loader in the unpacked packages"
mkdir "$work/out"
cp -a "$(dirname "$loader")" "$work/out/lib"
rm -rf "$target"
mv "$work/out" "$target"
echo "fetch-glibc: unpacked to $target" >&2
