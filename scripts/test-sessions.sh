#!/bin/bash
# Two broadcasts at once through one tree, told apart by SSRC, with checks; one ends and the other does not notice.
#
#   whip-client-1, whip-client-2 -> injection-1 -> relay-1 -> egress-1
#
# Exit code: 0 all as expected, 1 not, 2 could not run.
# shellcheck source-path=SCRIPTDIR source=containers.sh
. "$(dirname "$0")/containers.sh"

# create NAME BODY: prints the status.
create() {
    curl -s -o "$WORK/created" -w '%{http_code}' -X POST http://localhost:7070/session/create \
        -H "Content-Type: application/json" -d "$1"
}
active() { get 7073 "/mountpoint/$1" .active; }
exists() { curl -s -o /dev/null -w '%{http_code}' "http://localhost:7073/mountpoint/$1"; }

say "nothing runs, then the servers and the nodes"
start_smallest_tree

say "two sessions"
# Without recipients the injection's children get it.
check "one with SSRCs" 201 "$(create '{"sessionId": "broadcaster-1", "roomId": 2001, "audioSsrc": 1111, "videoSsrc": 2222}')"
check "one whose SSRCs are allotted" 201 "$(create '{"sessionId": "broadcaster-2"}')"
audio=$(jq .audioSsrc "$WORK/created")
video=$(jq .videoSsrc "$WORK/created")
check "four different SSRCs" 4 "$(printf '%s\n' 1111 2222 "$audio" "$video" | sort -u | wc -l)"
check "one with an SSRC that is taken" 409 "$(create '{"sessionId": "third", "audioSsrc": 1111, "videoSsrc": 3333}')"
check "one with a name that is taken" 409 "$(create '{"sessionId": "broadcaster-1"}')"
check "SMEMBERS sessions:active" broadcaster-1,broadcaster-2 "$(redis SMEMBERS sessions:active | sort | paste -sd,)"
compose --profile broadcaster up -d
wait_for 30 "media of the first arrives" true active broadcaster-1
wait_for 30 "media of the second arrives" true active broadcaster-2
check "mountpoints" 2 "$(get 7073 /mountpoints .count)"

say "both on the same ports"
install_tcpdump egress-1
words() { printf '%08x' "$1" | sed 's/..../& /; s/ $//'; }
check "SSRCs on egress-1, port 5002" "$(printf '%s\n' "$(words 1111)" "$(words "$audio")" | sort | paste -sd,)" "$(ssrc_on egress-1 5002)"
check "SSRCs on egress-1, port 5004" "$(printf '%s\n' "$(words 2222)" "$(words "$video")" | sort | paste -sd,)" "$(ssrc_on egress-1 5004)"

say "the second ends"
capture egress-1 first 5002 5004
check "session destroyed" 200 "$(curl -s -o /dev/null -w '%{http_code}' -X POST http://localhost:7070/session/broadcaster-2/destroy)"
wait_for 5 "its mountpoint goes by itself" 404 exists broadcaster-2
so_far=$(get 7073 /mountpoint/broadcaster-1 '.packets | add')
arrived() { get 7073 /mountpoint/broadcaster-1 "(.packets | add) >= $so_far + 300"; }
wait_for 20 "300 more packets of the first" true arrived
stop_capture egress-1 first
check_capture "what came meanwhile" first
check "SMEMBERS sessions:active" broadcaster-1 "$(redis SMEMBERS sessions:active)"
[ "${EGRESS_SERVER:-janus}" != janus ] || check "ports in use at egress-1" 1 "$(get 7073 /portpool .allocated)"

say "and comes again"
check "session created" 201 "$(create '{"sessionId": "broadcaster-2"}')"
wait_for 60 "its broadcaster, which tries again, is on air" true active broadcaster-2

say "clean-up"
all_down
check "containers left" 0 "$(docker ps -aq --filter network=media-tree | wc -l)"
finish "Two sessions"
