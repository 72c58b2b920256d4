#!/usr/bin/env bash
# demo.sh -- four workers serve two clients from one shared table; who called what, and why.
#
# USAGE: make demo, or demo.sh with the forkkv command on PATH.
# OVERHEAD: a few seconds; a table of 64 MiB in /dev/shm, removed at the end, as is all else.
set -euo pipefail

here=$(dirname -- "${BASH_SOURCE[0]}")
name=demo-$$
scratch=$(mktemp -d)
server=''

stop_server() {
    [[ -z $server ]] || { kill -TERM "$server" && wait "$server"; }
    server=''
}
trap 'stop_server || true; rm -rf "$scratch"' EXIT

step() { printf '\n== %s\n\n' "$*"; }

free_port() {
    python3 -c 'import socket
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    print(probe.getsockname()[1])'
}

port=$(free_port)
url=forkkv://127.0.0.1:$port

step "forkkv serve --workers 4"
forkkv serve --name "$name" --port "$port" --workers 4 --memory 64mb &
server=$!
for _ in $(seq 100); do
    forkkv client --id 0 --url "$url" PING >"$scratch/ping" 2>&1 && break
    kill -0 "$server" 2>/dev/null || { echo "the server did not start" >&2; exit 1; }
    sleep 0.1
done
grep -q PONG "$scratch/ping" || { cat "$scratch/ping" >&2; exit 1; }

step "client 1 writes, client 2 reads the same table through another worker"
show() { printf '%s\n' "client $1> ${*:2}"; forkkv client --id "$1" --url "$url" "${@:2}"; }
show 1 SET greeting "hello from client 1"
show 2 GET greeting
show 2 INCR visits
show 1 INCR visits

step "perf/collect.sh: both clients at work, every process counted"
bash "$here/collect.sh" --name "$name" --out "$scratch/run" \
    --client "forkkv client --id 1 --url $url --workload session --ops 500" \
    --client "forkkv client --id 2 --url $url --workload mixed --ops 5000"

step "forkkv stats"
forkkv stats --name "$name"

step "forkkv report: the counts, and what they mean"
forkkv report "$scratch/run"

step "a clean stop"
forkkv check "$name"
stop_server
[[ ! -e /dev/shm/forkkv.$name ]] && echo "the table is gone from /dev/shm, and no process is left"
