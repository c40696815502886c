#!/usr/bin/env bash
# Unpacks Debian's restic, one static binary, for the benchmark; touches nothing of the system.
#
# usage: scripts/fetch-restic.sh [DIR]
#
#   DIR   where to put it, default .cache/restic in this repository. Does nothing if DIR/restic is there already.
#
# Environment: DEBIAN_MIRROR names another archive mirror.
# Needs apt-get and dpkg, but not root: lists and packages live in a temporary directory.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${1:-$root/.cache/restic}
# The mirror that this system's apt uses.
system_mirror() {
  grep -rhoE "https?://[^ ]+/$1/?( |\$)" /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null | tr -d ' ' | head -n 1 || true
}

mirror=${DEBIAN_MIRROR:-$(system_mirror debian)}
suite=trixie
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

fail() {
  echo "fetch-restic: $*" >&2
  exit 1
}

if [ -x "$target/restic" ]; then
  echo "fetch-restic: already in $target" >&2
  exit 0
fi

for tool in apt-get dpkg-deb; do
  command -v "$tool" >/dev/null || fail "cannot find $tool; install restic 0.18 or newer some other way"
done
[ -n "$mirror" ] || fail "cannot find a mirror in the sources of apt; set DEBIAN_MIRROR"
[ -r "$keyring" ] || fail "cannot read $keyring, which vouches for the package (package debian-archive-keyring)"

mkdir -p "$(dirname "$target")"
work=$(mktemp -d "$(dirname "$target")/.restic.XXXXXX")
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

echo "fetch-restic: downloading restic of $suite" >&2
apt update || fail "cannot read the package lists of $mirror"
(cd "$work/debs" && apt download restic) || fail "cannot download the package from $mirror"
for package in "$work"/debs/*.deb; do
  dpkg-deb -x "$package" "$work/root"
done
[ -x "$work/root/usr/bin/restic" ] || fail "cannot find restic in the unpacked package"
mkdir -p "$target"
mv "$work/root/usr/bin/restic" "$target/restic"
echo "fetch-restic: unpacked to $target" >&2
