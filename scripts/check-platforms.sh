#!/usr/bin/env bash
# Checks what is below deploy/ with the platforms' own tools, as far as they are there: systemd-analyze, kubectl, docker.
# What needs no tool is in test/unit/platforms.test.ts.
#
# usage: scripts/check-platforms.sh [--all]   with --all, a tool that is missing is a failure
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
all=${1:-}
compose=(docker compose --file deploy/compose/compose.yaml)

work=$(mktemp -d)
clean_up() {
  rm -rf "$work"
  [ ! -v started ] || "${compose[@]}" down --volumes --timeout 60
}
trap clean_up EXIT

# usage: have NAME COMMAND …; whether the tool answers.
have() {
  "${@:2}" >/dev/null 2>&1 && return 0
  echo "not checked: $1, because \"${*:2}\" does not work here" >&2
  [ "$all" != --all ] || exit 1
  return 1
}

await() {
  curl --silent --show-error --fail --retry 30 --retry-delay 1 --retry-all-errors "$1"
}

# systemd wants programs that exist, so the units' copies start another one.
verify_units() {
  sed -i 's#=/usr/local/bin/[a-z-]*#=/bin/true#' "$1"/*.service
  SYSTEMD_UNIT_PATH="$1:" systemd-analyze verify "$1"/*.service "$1"/*.timer 2>&1 | tee "$1/complaints"
  [ ! -s "$1/complaints" ]
}

if have "systemd units" systemd-analyze --version; then
  mkdir "$work/units" "$work/broken"
  cp deploy/systemd/*.service deploy/systemd/*.timer "$work/units"
  cp deploy/systemd/*.service deploy/systemd/*.timer "$work/broken"
  verify_units "$work/units"
  sed -i 's/^TimeoutStopSec=/TimeoutStopSecs=/' "$work/broken/sync-agent.service"
  ! verify_units "$work/broken" >/dev/null || { echo "systemd-analyze overlooks a misspelt directive" >&2 && exit 1; }
  echo "systemd units: fine"
fi

if have kustomize kubectl kustomize deploy/kubernetes/base; then
  for overlay in deploy/kubernetes/base deploy/kubernetes/overlays/*; do
    kubectl kustomize "$overlay" >"$work/rendered.yaml"
    grep -q '^kind: StatefulSet$' "$work/rendered.yaml"
    # The generator's hash has reached whoever refers to the settings.
    if grep -A1 'configMapRef:' "$work/rendered.yaml" | grep -q 'name: sync-agent$'; then exit 1; fi
  done
  echo "kustomize: fine"
fi

if have "image and compose" docker info; then
  docker build --quiet --tag sync-agent --file deploy/docker/Dockerfile .
  docker run --rm sync-agent --version
  [ "$(docker run --rm --entrypoint id sync-agent --user)" = 1000 ]
  started=yes
  "${compose[@]}" up --detach
  await http://127.0.0.1:8000/api/v2/heartbeat
  await http://127.0.0.1:8477/healthz
  "${compose[@]}" exec --no-TTY agent sync-agent backup
  # A new disk: `restore` has to bring the store back before Chroma starts.
  "${compose[@]}" rm --stop --force chroma agent restore
  docker volume rm sync-agent_data
  "${compose[@]}" up --detach
  await http://127.0.0.1:8000/api/v2/heartbeat
  "${compose[@]}" logs --no-log-prefix restore | grep --quiet Restored
  echo "image and compose: fine"
fi
