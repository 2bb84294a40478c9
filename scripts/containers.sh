# shellcheck shell=bash
# What the scripts share that run the steps of docs/contract.md, *Compatibility*, in containers: sourced by them, not run.
#
# A step is a `check` or a `wait_for`; each prints a line and is remembered for the table that `finish` prints.
set -uo pipefail
export LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2

readonly COMPOSE_FILE=docker-compose.test.yaml
WORK=$(mktemp -d)
readonly WORK
readonly LOG=$WORK/commands.log
BACKGROUND=()
ROWS=()
FAILED=0
# Has the tree been touched, and is the script to end before its time?
BEGUN=
INTERRUPTED=

leave() {
    stop_background
    if [ -n "$INTERRUPTED" ] && [ -n "$BEGUN" ]; then
        echo "-- interrupted: removing the containers" >&2
        all_down
    fi
    rm -rf "$WORK"
}
trap leave EXIT
# Only the first counts: whoever is impatient would otherwise stop the clean-up.
trap 'trap "" INT TERM; INTERRUPTED=1; exit 130' INT TERM

# The command as it was written; `docker compose` where only v2 is installed.
if command -v docker-compose >/dev/null; then
    compose() { docker-compose -f "$COMPOSE_FILE" "$@" >>"$LOG" 2>&1 || complain "docker-compose $*"; }
else
    compose() { docker compose -f "$COMPOSE_FILE" "$@" >>"$LOG" 2>&1 || complain "docker compose $*"; }
fi

for program in docker curl jq awk; do
    command -v "$program" >/dev/null || { echo "there is no $program; run: apt-get install $program" >&2; exit 2; }
done
docker info >/dev/null 2>&1 ||
    { echo "no engine answers (\`docker info\`); \`cargo xtask compose up\` starts one" >&2; exit 2; }

say() { printf '\n== %s\n' "$*"; }

complain() {
    echo "-- failed: $1; the last it said:" >&2
    tail -n 15 "$LOG" >&2
    return 1
}

# row VERDICT WHAT SEEN
row() {
    printf '%-4s %s: %s\n' "$1" "$2" "$3"
    ROWS+=("$1"$'\t'"$2"$'\t'"$3")
    [ "$1" = ok ] || FAILED=$((FAILED + 1))
}

# check WHAT EXPECTED SEEN: are they the same?
check() {
    if [ "$2" = "$3" ]; then row ok "$1" "$3"; else row FAIL "$1" "$3 (expected $2)"; fi
}

now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }

# wait_for SECONDS WHAT EXPECTED COMMAND...: until the command prints what is expected.
wait_for() {
    local seconds=$1 what=$2 expected=$3 began seen
    shift 3
    echo "     waiting for $what (at most $seconds s)"
    began=$(now_ms)
    while :; do
        seen=$("$@" 2>/dev/null)
        if [ "$seen" = "$expected" ]; then
            row ok "$what" "$(($(now_ms) - began)) ms"
            return 0
        fi
        if [ $(($(now_ms) - began)) -ge $((seconds * 1000)) ]; then
            row FAIL "$what" "not within $seconds s: ${seen:-nothing} (expected $expected)"
            return 1
        fi
        sleep 0.05
    done
}

# get PORT PATH FILTER: a node's answer through jq, in one line.
get() { curl -s --max-time 3 "http://localhost:$1$2" | jq -c "$3"; }

redis() { docker exec redis redis-cli "$@"; }

# tcpdump as those steps install it, and quickly if it is there already.
install_tcpdump() {
    local node=$1
    if ! docker exec "$node" tcpdump --version >>"$LOG" 2>&1; then
        { docker exec "$node" apt-get update -qq && docker exec "$node" apt-get install -y tcpdump; } >>"$LOG" 2>&1 ||
            { complain "installing tcpdump in $node: do containers reach the outside?"; exit 2; }
    fi
    row ok "apt-get install tcpdump in $node" "$(docker exec "$node" tcpdump --version 2>&1 | head -n 1)"
}

# ssrc_on NODE PORT: the line as it was written; the third and fourth group of every 0x0020 line, each once.
ssrc_on() {
    docker exec "$1" timeout 10 tcpdump -i eth0 -n "udp port $2" -vv -x -c 30 2>&1 | grep "0x0020:" |
        awk '{ seen[$4 " " $5] = 1 } END { for (ssrc in seen) print ssrc }' | sort | paste -sd,
}

# in_background COMMAND...: ended with the script.
in_background() {
    "$@" &
    BACKGROUND+=($!)
}

stop_background() {
    for pid in "${BACKGROUND[@]}"; do kill "$pid" 2>/dev/null; done
    BACKGROUND=()
}

# Everything that Redis is told, with the time at which it was.
watch_redis() { in_background docker exec redis redis-cli monitor >"$WORK/redis" 2>/dev/null; }

# told WORD...: when Redis was told that last, in seconds of the clock that tcpdump uses, too.
told() {
    local line
    line=$(printf ' "%s"' "$@")
    grep -iF "$line" "$WORK/redis" | tail -n 1 | cut -d ' ' -f 1
}

# capture NODE NAME AUDIO VIDEO: all RTP that comes to a node, until stop_capture. What it sends to those ports (it asks for keyframes)
# does not count.
capture() {
    local filter="udp dst port $3 or udp dst port $4"
    docker exec "$1" sh -c "tcpdump -i eth0 -Q in -n -tt -l -x -s 64 '$filter' 2>/tmp/$2.said & echo \$! >/tmp/$2.pid; wait" \
        >"$WORK/$2" 2>/dev/null &
    local deadline=$((SECONDS + 10))
    until docker exec "$1" grep -q 'listening on' "/tmp/$2.said" 2>/dev/null; do
        [ $SECONDS -lt $deadline ] || { echo "tcpdump does not listen in $1" >&2; exit 2; }
        sleep 0.05
    done
}

stop_capture() {
    # shellcheck disable=SC2016 # expanded in the container
    docker exec "$1" sh -c 'kill -INT "$(cat /tmp/'"$2"'.pid)"; while kill -0 "$(cat /tmp/'"$2"'.pid)" 2>/dev/null; do sleep 0.05; done'
    # What it says at the end: "0 packets dropped by kernel".
    docker exec "$1" grep -q '^0 packets dropped by kernel' "/tmp/$2.said" || row FAIL "capture at $1" "tcpdump lost packets"
}

# judge FILE: packets, lost, duplicated, reordered, of all streams together, by RTP's sequence numbers (RFC 3550). -x
# prints 16 bytes a line, from the IP header on.
judge() {
    awk '
        function number(hex, at, value) {
            value = 0
            for (at = 1; at <= length(hex); at++) value = value * 16 + index("0123456789abcdef", substr(hex, at, 1)) - 1
            return value
        }
        $1 == "0x0010:" { version = substr($8, 1, 1); type = substr($8, 3, 2); sequence = number($9) }
        $1 == "0x0020:" {
            # Version 2; payload types 72 to 79 are RTCP on the same port (RFC 5761).
            if (version !~ /[89ab]/ || type ~ /^[4c][89a-f]$/) next
            ssrc = $4 $5
            packets++
            if (!(ssrc in highest)) { highest[ssrc] = sequence; next }
            step = (sequence - highest[ssrc] + 65536) % 65536
            if (step == 0) duplicated++
            else if (step < 32768) { lost += step - 1; highest[ssrc] = sequence }
            else { late++; lost-- }
        }
        END { printf "%d packets, %d lost, %d duplicated, %d reordered\n", packets, lost, duplicated, late }
    ' "$WORK/$1"
}

# check_capture WHAT FILE: nothing lost, duplicated or reordered, and something seen.
check_capture() {
    local seen
    seen=$(judge "$2")
    case $seen in
    "0 packets"*) row FAIL "$1" "$seen" ;;
    *" packets, 0 lost, 0 duplicated, 0 reordered") row ok "$1" "$seen" ;;
    *) row FAIL "$1" "$seen" ;;
    esac
}

# first_after FILE TIME, last_after FILE TIME: ms from that time to the first, or last, packet that came after it.
first_after() { times_after "$@" | head -n 1; }
last_after() { times_after "$@" | tail -n 1; }
times_after() { awk -v from="$2" '$2 == "IP" && $1 >= from { printf "%.1f\n", ($1 - from) * 1000 }' "$WORK/$1"; }

# check_ms WHAT MOST MS: is there such a time, and is it short enough?
check_ms() {
    if [ -n "$3" ] && awk -v ms="$3" -v most="$2" 'BEGIN { exit !(ms <= most) }'; then
        row ok "$1" "$3 ms"
    else
        row FAIL "$1" "${3:-never} ms (expected at most $2)"
    fi
}

# The first of those steps, and their last.
all_down() {
    BEGUN=1
    compose down
    for profile in broadcaster test-chain test-scale scale monitoring monitoring-all; do compose --profile "$profile" down; done
}

# Whoever has two checkouts: a container's name is taken by the other's tree, which is not ours to remove.
nobody_else() {
    local theirs
    theirs=$(docker ps -a --filter network=media-tree --format '{{.Label "com.docker.compose.project.working_dir"}}' | sort -u | paste -sd,)
    [ -z "$theirs" ] || { echo "a tree of another checkout is up; run there: cargo xtask compose down ($theirs)" >&2; exit 2; }
}

# start_infrastructure: the servers that are no nodes.
start_infrastructure() {
    nobody_else
    compose up -d redis janus-videoroom janus-streaming-1 janus-streaming-2
    wait_for 30 "Redis answers" PONG redis ping
    for port in 8088 8089 8090; do
        wait_for 30 "Janus answers on $port" '"server_info"' get "$port" /janus/info .janus
    done
    check "Redis is empty" OK "$(redis FLUSHALL)"
    watch_redis
}

# healthy PORT NODE TYPE
healthy() {
    wait_for 30 "$2 is healthy" "{\"nodeId\":\"$2\",\"nodeType\":\"$3\",\"healthy\":true}" \
        get "$1" /status '{nodeId, nodeType, healthy}'
}

# One of each, in nothing that runs: injection-1 -> relay-1 -> egress-1.
start_smallest_tree() {
    all_down
    start_infrastructure
    compose up -d injection-1 relay-1 egress-1
    healthy 7070 injection-1 injection
    healthy 7071 relay-1 relay
    healthy 7073 egress-1 egress
    redis SADD children:injection-1 relay-1
    redis SET parent:relay-1 injection-1
    redis SADD children:relay-1 egress-1
    redis SET parent:egress-1 relay-1
    wait_for 5 "relay-1 has parent and child" '{"parent":"injection-1","children":["egress-1"]}' get 7071 /topology '{parent, children}'
}

# Prints the table and ends with the exit code.
finish() {
    printf '\n%-4s | %-58s | %s\n-----|-%s-|-%s\n' "" "$1" "seen" "$(printf '%058d' 0 | tr 0 -)" "$(printf '%040d' 0 | tr 0 -)"
    for line in "${ROWS[@]}"; do
        IFS=$'\t' read -r verdict what seen <<<"$line"
        printf '%-4s | %-58s | %s\n' "$verdict" "$what" "$seen"
    done
    echo
    if [ "$FAILED" -gt 0 ]; then
        echo "$FAILED of ${#ROWS[@]} failed, in $SECONDS s"
        exit 1
    fi
    echo "all ${#ROWS[@]} as expected, in $SECONDS s"
    exit 0
}
