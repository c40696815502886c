#!/usr/bin/env bash
# Runs the real Chroma server that comes with npm's `chromadb`, on any Linux with glibc, and on macOS.
#
# usage: scripts/chroma-server.sh start PATH [PORT]   runs it in the foreground on 127.0.0.1, default port 8000;
#                                                     Ctrl-C (SIGINT) ends it
#        scripts/chroma-server.sh check               says whether it can run here: exit 0, or 1 and the reason
#
# PATH is the data directory; it is made if absent. The server's binary wants glibc 2.38. On an older system it is
# started with a newer one from .cache/glibc in this repository ($SYNC_AGENT_GLIBC_DIR), which
# scripts/fetch-glibc.sh puts there. CHROMA_DIE_WITH_PARENT=1 ties the server's life to the calling process.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cli=$root/node_modules/chromadb/dist/cli.mjs
glibc=${SYNC_AGENT_GLIBC_DIR:-$root/.cache/glibc}
needed=2.38
loader=

fail() {
  echo "$*" >&2
  exit 1
}

# Sets `loader` where the server must be started with another glibc than the system's.
find_runtime() {
  command -v node >/dev/null || fail "cannot start a Chroma server: node is not in PATH"
  [ -f "$cli" ] || fail "cannot start a Chroma server: $cli is missing; run npm ci"
  [ "$(uname -s)" = Linux ] || return 0
  local version
  version=$(getconf GNU_LIBC_VERSION 2>/dev/null) || fail "cannot start a Chroma server: this Linux has no glibc"
  version=${version#glibc }
  [ "$(printf '%s\n' "$needed" "$version" | sort -V | head -n 1)" = "$needed" ] && return 0
  local candidate
  for candidate in "$glibc"/lib/ld-linux-*.so.*; do
    [ -x "$candidate" ] && loader=$candidate
  done
  [ -n "$loader" ] ||
    fail "cannot start a Chroma server: it needs glibc $needed, this system has $version; run scripts/fetch-glibc.sh"
}

case ${1:-} in
check)
  find_runtime
  ;;
start)
  [ $# -ge 2 ] || fail "usage: $0 start PATH [PORT]"
  find_runtime
  command=(node)
  [ -z "$loader" ] || command=("$loader" --library-path "$(dirname "$loader")" "$(command -v node)")
  if [ -n "${CHROMA_DIE_WITH_PARENT:-}" ] && command -v setpriv >/dev/null; then
    command=(setpriv --pdeathsig KILL "${command[@]}")
  fi
  mkdir -p "$2"
  exec "${command[@]}" "$cli" run --path "$2" --host 127.0.0.1 --port "${3:-8000}"
  ;;
*)
  sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "$0" >&2
  exit 2
  ;;
esac
