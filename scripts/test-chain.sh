#!/bin/bash
# A chain (docs/contract.md, *Compatibility*), with checks: two relays one after the other, the second on ports of its own.
#
#   injection-1 -> relay-1 -> relay-2 (5102, 5104) -> egress-1
#
# Then the second relay is taken out of the chain and put in again while media flows. Exit code: 0 all as expected, 1 not,
# 2 could not run. `cargo xtask compose test-chain` builds everything and runs this.
# shellcheck source-path=SCRIPTDIR source=containers.sh
. "$(dirname "$0")/containers.sh"

say "nothing runs, then the servers and the nodes"
all_down
start_infrastructure
compose up -d injection-1 relay-1 relay-2 egress-1
healthy 7070 injection-1 injection
healthy 7071 relay-1 relay
healthy 7072 relay-2 relay
healthy 7073 egress-1 egress

say "the tree: injection-1 -> relay-1 -> relay-2 -> egress-1"
redis SADD children:injection-1 relay-1
redis SET parent:relay-1 injection-1
redis SADD children:relay-1 relay-2
redis SET parent:relay-2 relay-1
redis SADD children:relay-2 egress-1
redis SET parent:egress-1 relay-2
wait_for 5 "injection-1 has its child" '["relay-1"]' get 7070 /topology .children
wait_for 5 "relay-1 has parent and child" '{"parent":"injection-1","children":["relay-2"]}' get 7071 /topology '{parent, children}'
wait_for 5 "relay-2 has parent and child" '{"parent":"relay-1","children":["egress-1"]}' get 7072 /topology '{parent, children}'
wait_for 5 "egress-1 has its parent" '"relay-2"' get 7073 /topology .parent
check "relay-2 is registered with ports of its own" "5102 5104" "$(redis HMGET node:relay-2 audioPort videoPort | paste -sd ' ')"

say "the session and its broadcaster"
created=$(curl -s -X POST http://localhost:7070/session/create -H "Content-Type: application/json" -d '{
  "sessionId": "test-chain",
  "roomId": 3001,
  "audioSsrc": 5555,
  "videoSsrc": 6666,
  "recipients": [{"host": "relay-1", "audioPort": 5002, "videoPort": 5004}]
}')
check "session created" '{"sessionId":"test-chain","roomId":3001,"audioSsrc":5555,"videoSsrc":6666}' \
    "$(jq -c '{sessionId, roomId, audioSsrc, videoSsrc}' <<<"$created")"
check "SMEMBERS sessions:active" test-chain "$(redis SMEMBERS sessions:active)"
compose --profile test-chain up -d
active() { get 7073 /mountpoint/test-chain .active; }
wait_for 30 "media arrives at egress-1" true active

say "every hop sees the same SSRCs"
for hop in relay-1:5002:5004 relay-2:5102:5104 egress-1:5002:5004; do
    IFS=: read -r node audio video <<<"$hop"
    install_tcpdump "$node"
    check "SSRC on $node, port $audio" "0000 15b3" "$(ssrc_on "$node" "$audio")"
    check "SSRC on $node, port $video" "0000 1a0a" "$(ssrc_on "$node" "$video")"
done
capture egress-1 whole 5002 5004
so_far=$(get 7073 /mountpoint/test-chain '.packets | add')
arrived() { get 7073 /mountpoint/test-chain "(.packets | add) >= $so_far + 500"; }
wait_for 20 "500 more packets at egress-1" true arrived
stop_capture egress-1 whole
check_capture "egress-1, two relays behind the injection" whole
for port in 7071 7072; do
    check "lost before $port, by its metrics" 0 \
        "$(curl -s "http://localhost:$port/metrics" | awk '/^media_tree_relay_stream_lost_packets\{/ { lost += $NF } END { print lost + 0 }')"
done

say "relay-2 out of the chain, and in again"
before=$(get 7071 /status '[.gstreamer.audioRestarts, .gstreamer.videoRestarts]')
capture egress-1 short 5002 5004
redis SADD children:relay-1 egress-1
redis SREM children:relay-1 relay-2
redis SET parent:egress-1 relay-1
wait_for 5 "relay-1 feeds egress-1 itself" '["egress-1"]' get 7071 /topology .children
wait_for 5 "egress-1 knows" '"relay-1"' get 7073 /topology .parent
check_ms "from SADD to the first packet after it at egress-1" 500 "$(first_after short "$(told SADD children:relay-1 egress-1)")"
redis SADD children:relay-1 relay-2
redis SREM children:relay-1 egress-1
redis SET parent:egress-1 relay-2
wait_for 5 "relay-1 feeds relay-2 again" '["relay-2"]' get 7071 /topology .children
wait_for 5 "egress-1 knows" '"relay-2"' get 7073 /topology .parent
wait_for 10 "media arrives at egress-1" true active
stop_capture egress-1 short
# Whoever is fed by both for a moment gets some packets twice; none may be missing. The egress drops what it has.
seen=$(judge short)
case $seen in
*" 0 lost,"*) row ok "egress-1 meanwhile has lost nothing" "$seen" ;;
*) row FAIL "egress-1 meanwhile has lost nothing" "$seen" ;;
esac
check "restarts of relay-1" "$before" "$(get 7071 /status '[.gstreamer.audioRestarts, .gstreamer.videoRestarts]')"

say "clean-up"
all_down
check "containers left" 0 "$(docker ps -aq --filter network=media-tree | wc -l)"
finish "Chain of two relays"
