# Three etcd servers on loopback; sourced, not run.

# etcd_install: Debian's etcd, if it is missing and apt is there.
etcd_install() {
  command -v etcd >/dev/null && command -v etcdctl >/dev/null && return
  command -v apt-get >/dev/null || die 'please install etcd'
  local sudo=()
  [ "$(id -u)" = 0 ] || sudo=(sudo)
  say 'installing etcd-server and etcd-client'
  "${sudo[@]}" apt-get update -qq
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    etcd-server etcd-client >/dev/null
}

# etcd_start NUMBER [ARGUMENT…]: starts one of the three, as $etcd_base and the ports behind it say.
declare -A etcd_process=()
etcd_start() {
  local number=$1 scheme=${etcd_scheme:-http}
  shift
  local client=$((etcd_base + 2 * number)) peer=$((etcd_base + 2 * number + 1))
  local cluster="e0=http://127.0.0.1:$((etcd_base + 1))"
  cluster+=",e1=http://127.0.0.1:$((etcd_base + 3)),e2=http://127.0.0.1:$((etcd_base + 5))"
  ETCD_UNSUPPORTED_ARCH='' etcd --name "e$number" --data-dir "$work/etcd-$number" \
    --listen-client-urls "$scheme://127.0.0.1:$client" \
    --advertise-client-urls "$scheme://127.0.0.1:$client" \
    --listen-peer-urls "http://127.0.0.1:$peer" \
    --initial-advertise-peer-urls "http://127.0.0.1:$peer" --initial-cluster "$cluster" \
    --initial-cluster-token vecdb --logger zap --log-level warn "$@" \
    >>"$work/etcd-$number.log" 2>&1 &
  etcd_process[$number]=$!
}
etcd_endpoints() {
  echo "127.0.0.1:$etcd_base,127.0.0.1:$((etcd_base + 2)),127.0.0.1:$((etcd_base + 4))"
}
# etcd_await [ARGUMENT…]: until it answers.
etcd_await() {
  local attempt
  for attempt in $(seq 100); do
    ETCDCTL_API=3 etcdctl --endpoints "$(etcd_endpoints)" "$@" get x >/dev/null 2>&1 && return
    sleep 0.2
  done
  die "etcd did not start: $(tail -n 3 "$work/etcd-0.log")"
}
# etcd_leader: the number of the leader.
etcd_leader() {
  local number
  for number in 0 1 2; do
    ETCDCTL_API=3 etcdctl --endpoints "127.0.0.1:$((etcd_base + 2 * number))" \
      --command-timeout 1s endpoint status -w json 2>/dev/null |
      python3 -c 'import json, sys
status = json.load(sys.stdin)[0]["Status"]
sys.exit(status["header"]["member_id"] != status["leader"])' 2>/dev/null && echo "$number" && return
  done
  echo 0
}
etcd_stop() {
  local number
  for number in "${!etcd_process[@]}"; do
    kill -CONT "${etcd_process[$number]}" 2>/dev/null || true
    kill -9 "${etcd_process[$number]}" 2>/dev/null || true
    wait "${etcd_process[$number]}" 2>/dev/null || true
  done
}
