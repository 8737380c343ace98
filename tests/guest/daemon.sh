# shellcheck shell=dash
# daemon.sh: for scripts that run the daemon in the guest, on the pool of /dev/vda: start, end, and fail with what it said.
state=/tmp/state
daemon=

fail() {
  echo "failed: $*"
  tail -n 30 /tmp/daemon.log "$state"/attach/*/log
  dmesg | tail -n 30
  exit 1
}
brindle() { /sbin/brindle --state $state "$@"; }
# With the words that brindled is to have; returns when it is ready.
start() {
  : > /tmp/ready
  brindled --state $state --pool /dev/vda "$@" > /tmp/ready 2>> /tmp/daemon.log &
  daemon=$!
  for _ in $(seq 600); do
    grep -q '^ready' /tmp/ready && return 0
    sleep 0.05
  done
  fail "the daemon did not become ready"
}
# By a signal: end -KILL.
end() {
  kill "$1" $daemon
  wait $daemon || true
}
