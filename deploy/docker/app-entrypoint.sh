#!/bin/sh
# Starts an application under the agent: restores, runs the command, backs up by schedule and once more at the end.
# If started as root, it first gives /data to the user `node` and continues as that user: most platforms mount a disk
# that belongs to root. usage: app-entrypoint.sh COMMAND …
set -eu
if [ "$(id -u)" = 0 ]; then
  chown node:node /data
  HOME=/home/node exec setpriv --reuid=node --regid=node --init-groups "$0" "$@"
fi
exec node_modules/.bin/sync-agent run -- "$@"
