#!/usr/bin/env bash
# Runs a real S3 server for tests: one-node Ceph RGW (monitor, one OSD in memory, gateway) on 127.0.0.1.
#
# usage: scripts/s3-server.sh start DIR [PORT] >ENV && source ENV   about 12 s; PORT 0 is any free one,
#                                                                   default 8000; prints the variables that the
#        scripts/s3-server.sh stop DIR                              tests read
#
# DIR is a scratch directory of this script: absent, empty, or made by an earlier start. Starting what already
# runs only prints the environment again. Anything stored is gone after `stop`; the logs stay in DIR/log.
#
# Environment: S3_SERVER_STORE=memstore|bluestore (default memstore), S3_SERVER_GIB (size, default 6).
# Needs Ceph's own packages; does not need root.
set -euo pipefail

access_key=testkey
secret_key=testsecret

fail() {
  echo "s3-server: $*" >&2
  exit 1
}

usage() {
  sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "$0" >&2
  exit 2
}

print_environment() {
  echo "export SYNC_AGENT_TEST_S3_ENDPOINT=http://127.0.0.1:$1"
  echo "export AWS_ACCESS_KEY_ID=$access_key"
  echo "export AWS_SECRET_ACCESS_KEY=$secret_key"
  echo "export AWS_REGION=us-east-1"
}

answers() {
  curl -fsS -o /dev/null --noproxy '*' --max-time 5 "http://127.0.0.1:$1/" 2>/dev/null
}

free_port() {
  local port
  while true; do
    port=$((20000 + RANDOM % 10000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
  done
  echo "$port"
}

# Nothing is deleted in a directory that does not carry this mark.
mark='# Made by s3-server.sh, which deletes what is in this directory.'
is_ours() {
  [ -f "$dir/ceph.conf" ] && [ "$(head -n 1 "$dir/ceph.conf")" = "$mark" ]
}

# The pids of this directory's daemons; a recycled pid is recognised by its command line.
daemons() {
  local file pid
  for file in "$dir"/run/*.pid; do
    [ -s "$file" ] || continue
    pid=$(<"$file")
    if tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF -- "-c $dir/ceph.conf"; then echo "$pid"; fi
  done
}

stop() {
  local pid signal
  is_ours || return 0
  for signal in TERM KILL; do
    for pid in $(daemons); do kill "-$signal" "$pid" 2>/dev/null || true; done
    for _ in $(seq 20); do
      [ -n "$(daemons)" ] || break 2
      sleep 0.1
    done
  done
  [ -z "$(daemons)" ] || fail "cannot stop the processes $(daemons | tr '\n' ' ')"
  rm -rf "${dir:?}"/{mon,osd,run,keyring,monmap,port}
}

start() {
  local tool missing=
  for tool in radosgw radosgw-admin ceph-mon ceph-osd ceph ceph-authtool monmaptool curl; do
    command -v "$tool" >/dev/null || missing="$missing $tool"
  done
  [ -z "$missing" ] || fail "cannot find$missing; on Debian or Ubuntu:
  sudo apt-get update && sudo apt-get install -y --no-install-recommends radosgw ceph-mon ceph-osd ceph-common curl"

  if [ -s "$dir/port" ] && answers "$(<"$dir/port")"; then
    [[ $port = 0 || $port = "$(<"$dir/port")" ]] || fail "$dir already runs on port $(<"$dir/port"); stop it first"
    print_environment "$(<"$dir/port")"
    return
  fi
  if [ -n "$(ls -A "$dir" 2>/dev/null)" ] && ! is_ours; then
    fail "refusing to use $dir: it is not empty and was not made by this script"
  fi
  [ "$port" != 0 ] || port=$(free_port)
  ! answers "$port" || fail "something else answers on port $port"
  stop
  rm -rf "${dir:?}/log"
  mkdir -p "$dir"/{mon,osd,run,log}

  local v1 v2 conf=$dir/ceph.conf
  v1=$(free_port)
  v2=$(free_port)
  write_configuration "$v1" "$v2" >"$conf"
  started=true
  {
    ceph-authtool --create-keyring "$dir/keyring" --gen-key -n mon. --cap mon 'allow *'
    ceph-authtool "$dir/keyring" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
    ceph-authtool "$dir/keyring" --gen-key -n osd.0 --cap mon 'allow profile osd' --cap osd 'allow *'
    ceph-authtool "$dir/keyring" --gen-key -n client.rgw --cap mon 'allow *' --cap osd 'allow *'
    monmaptool -c "$conf" --create --fsid "$fsid" --addv a "[v2:127.0.0.1:$v2,v1:127.0.0.1:$v1]" "$dir/monmap"
    ceph-mon -c "$conf" --mkfs -i a --monmap "$dir/monmap" --keyring "$dir/keyring"
    ceph-mon -c "$conf" -i a
    timeout 60 ceph -c "$conf" auth import -i "$dir/keyring"
    timeout 60 ceph -c "$conf" osd create
    ceph-osd -c "$conf" -i 0 --mkfs
    ceph-osd -c "$conf" -i 0
    timeout 120 radosgw -c "$conf" -n client.rgw
  } >"$dir/log/start.log" 2>&1 </dev/null
  for _ in $(seq 200); do
    if answers "$port"; then break; fi
    sleep 0.2
  done
  timeout 60 radosgw-admin -c "$conf" user create --uid=test --display-name=test \
    "--access-key=$access_key" "--secret=$secret_key" >>"$dir/log/start.log" 2>&1 </dev/null
  echo "$port" >"$dir/port"
  started=false
  echo "s3-server: Ceph RGW listens on http://127.0.0.1:$port; stop it with: $0 stop $dir" >&2
  print_environment "$port"
}

# Ceph wants cephx: without it the gateway never connects. One OSD holds every pool, hence the raised limit.
write_configuration() {
  fsid=$(</proc/sys/kernel/random/uuid)
  cat <<CONFIGURATION
$mark
[global]
fsid = $fsid
mon initial members = a
mon host = [v2:127.0.0.1:$2,v1:127.0.0.1:$1]
public network = 127.0.0.0/8
ms bind ipv6 = false
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
auth allow insecure global id reclaim = false
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon warn on pool no redundancy = false
mon data avail warn = 1
mon data avail crit = 1
mon max pg per osd = 1000
keyring = $dir/keyring
run dir = $dir/run
pid file = $dir/run/\$name.pid
log file = $dir/log/\$name.log
admin socket =
[mon]
mon data = $dir/mon
mon cluster log file = $dir/log/cluster.log
[osd]
osd data = $dir/osd
osd objectstore = ${S3_SERVER_STORE:-memstore}
memstore device bytes = $((${S3_SERVER_GIB:-6} << 30))
bluestore block size = $((${S3_SERVER_GIB:-6} << 30))
osd memory target = 1073741824
[client]
rgw frontends = beast endpoint=127.0.0.1:$port
rgw dns name = localhost
rgw enable usage log = false
rgw gc obj min wait = 5
CONFIGURATION
}

clean_up_failed_start() {
  [ "$started" = true ] || return 0
  echo "s3-server: cannot start; the end of $dir/log/start.log:" >&2
  tail -n 20 "$dir/log/start.log" >&2 || true
  stop
}

[ $# -ge 2 ] || usage
dir=$(realpath -m -- "$2")
[[ $dir != *[[:space:]]* ]] || fail "cannot use a directory with white space in its name: $dir"
port=${3:-8000}
started=false
case $1 in
start)
  trap clean_up_failed_start EXIT
  start
  ;;
stop)
  is_ours || fail "nothing to stop: $dir was not made by this script"
  stop
  ;;
*) usage ;;
esac
