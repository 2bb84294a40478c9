#!/bin/bash
# What happens when a container is paused, stopped, killed, crashes, or loses its network, and what when it is back? For
# each service and each of these, in a tree with media:
#
#   whip-client-scale -> injection-1 -> relay-1 -> egress-1
#                                             `-> relay-2 -> egress-2
#
#   containers-chaos.sh [SERVICE...]          all of them unless named
#
# Prints a table. Exit code: 0 if all was well again within 60 s each time without anybody's help, 1 if not, 2 could not run.
# `cargo xtask compose chaos` builds everything and runs this.
# shellcheck source-path=SCRIPTDIR source=containers.sh
. "$(dirname "$0")/containers.sh"

readonly PATIENCE=60
services=("$@")
[ $# -gt 0 ] || services=(redis janus-videoroom janus-streaming-1 janus-streaming-2 injection-1 relay-1 relay-2 egress-1 egress-2 whip-client-scale)

# Sound and pictures arrive at both ends, and move: a frozen egress would go on saying that it is active.
packets() { get "$1" /mountpoint/test-scale 'select(.active) | .packets | min'; }
plays() {
    local first second
    first=$(packets "$1")
    [ -n "$first" ] || return 1
    sleep 0.3
    second=$(packets "$1")
    [ -n "$second" ] && [ "$second" -gt "$first" ]
}
answers() { curl -s -o /dev/null --max-time 1 "http://localhost:$1/healthz"; }
unwell() {
    local port name
    for pair in 7070:injection-1 7071:relay-1 7072:relay-2 7073:egress-1 7074:egress-2; do
        IFS=: read -r port name <<<"$pair"
        if ! answers "$port"; then
            echo "$name does not answer"
        elif [ "$(get "$port" /status .healthy)" != true ]; then
            # Its first problem, to the first full stop or so.
            echo "$name: $(get "$port" /status '.problems[0]' | tr -d '"' | sed 's/ (.*//; s/;.*//' | cut -c 1-70)"
        fi
    done
}
all_well() { [ -z "$(unwell)" ] && plays 7073 && plays 7074; }

# How it is, in a few words.
look() {
    local said=()
    plays 7073 && said+=("egress-1 plays") || said+=("egress-1 does not play")
    plays 7074 && said+=("egress-2 plays") || said+=("egress-2 does not play")
    printf '%s' "${said[0]}, ${said[1]}"
    unwell | sed 's/^/, /' | tr -d '\n'
}

# try SERVICE FAULT REMEDY: both are commands.
try() {
    local service=$1 fault=$2 remedy=$3 began meanwhile
    bash -c "$fault" >>"$LOG" 2>&1 || { row FAIL "$service: ${fault%% *}" "the command failed"; return; }
    # An egress says that its media has stalled after 1.5 s, a name server's answer may be older.
    sleep 3
    meanwhile=$(look)
    began=$(now_ms)
    bash -c "$remedy" >>"$LOG" 2>&1
    until all_well; do
        if [ $(($(now_ms) - began)) -ge $((PATIENCE * 1000)) ]; then
            row FAIL "$service: ${4}" "$meanwhile -> not well within $PATIENCE s: $(look)"
            return 1
        fi
    done
    row ok "$service: ${4}" "$meanwhile -> all well after $(($(now_ms) - began)) ms"
}

pid_of() { docker inspect --format '{{.State.Pid}}' "$1"; }

say "a tree with media"
all_down
start_infrastructure
compose up -d injection-1 relay-1 relay-2 egress-1 egress-2
redis MSET parent:relay-1 injection-1 parent:relay-2 relay-1 parent:egress-1 relay-1 parent:egress-2 relay-2
redis SADD children:injection-1 relay-1
redis SADD children:relay-1 egress-1 relay-2
redis SADD children:relay-2 egress-2
wait_for 30 "the injection answers" 200 curl -s -o /dev/null -w '%{http_code}' http://localhost:7070/readyz
check "session created" 201 "$(curl -s -o /dev/null -w '%{http_code}' -X POST http://localhost:7070/session/create \
    -H "Content-Type: application/json" -d '{"sessionId": "test-scale", "audioSsrc": 7777, "videoSsrc": 8888}')"
compose --profile test-scale up -d
echo "     waiting until both egresses play and all nodes are healthy (at most 120 s)"
until all_well; do [ $SECONDS -lt 120 ] || { row FAIL "the tree" "$(look)"; finish "Containers lost and found"; }; done
ROWS=()
FAILED=0

for service in "${services[@]}"; do
    say "$service"
    try "$service" "docker pause $service" "docker unpause $service" "paused for 3 s"
    try "$service" "docker stop -t 3 $service" "docker start $service" "stopped, started after 3 s"
    try "$service" "docker kill $service" "docker start $service" "killed, started after 3 s"
    try "$service" "kill -9 $(pid_of "$service")" "true" "crashed (the restart policy's turn)"
    try "$service" "docker network disconnect media-tree $service" "docker network connect media-tree $service" "off the network for 3 s, back as another interface"
done

all_down
finish "Containers lost and found"
