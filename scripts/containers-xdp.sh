#!/bin/bash
# The relay on XDP in a container, as docs/operations.md says under "In containers": it is started with RELAY_MODE=xdp, and
# the host turns GRO on at the other end of its interface. Then an egress joins and leaves, with nothing lost.
#
#   injection-1 -> relay-1 (xdp) -> egress-1, egress-2
#
# Needs root on the host that has the engine, and ethtool there. Exit code: 0 all as expected, 1 not, 2 could not run.
# shellcheck source-path=SCRIPTDIR source=containers.sh
. "$(dirname "$0")/containers.sh"
command -v ethtool >/dev/null || { echo "there is no ethtool; run: apt-get install ethtool" >&2; exit 2; }

mode() { get 7071 /status .dataplane.mode; }
active() { get "$1" /mountpoint/test-scale .active; }

say "nothing runs, then the servers and the nodes"
all_down
start_infrastructure
export RELAY_MODE=xdp
compose up -d injection-1 relay-1 egress-1 egress-2
refused() { docker logs relay-1 2>&1 | grep -c -m 1 'cannot transmit XDP frames'; }
wait_for 10 "the relay waits for the host, and says why" 1 refused
row ok "what it says" "$(docker logs relay-1 2>&1 | grep -m 1 'cannot transmit XDP frames' | sed 's/.*relay-ctl: //')"

say "the host's side"
# The other end has the number that iflink says.
number=$(docker exec relay-1 cat /sys/class/net/eth0/iflink)
peer=$(grep -lx "$number" /sys/class/net/*/ifindex | cut -d / -f 5)
echo "     ethtool -K $peer gro on"
ethtool -K "$peer" gro on
wait_for 10 "the relay runs on" '"xdp"' mode
healthy 7071 relay-1 relay
row ok "why" "$(get 7071 /status .dataplane.modeReason)"

say "media"
redis MSET parent:relay-1 injection-1 parent:egress-1 relay-1
redis SADD children:injection-1 relay-1
redis SADD children:relay-1 egress-1
check "session created" 201 "$(curl -s -o /dev/null -w '%{http_code}' -X POST http://localhost:7070/session/create \
    -H "Content-Type: application/json" -d '{"sessionId": "test-scale", "audioSsrc": 7777, "videoSsrc": 8888}')"
compose --profile test-scale up -d
wait_for 30 "media arrives at egress-1" true active 7073
for node in egress-1 egress-2; do install_tcpdump "$node"; done
check "SSRC on egress-1, port 5002" "0000 1e61" "$(ssrc_on egress-1 5002)"

say "egress-2 joins and leaves"
capture egress-1 stayer 5002 5004
capture egress-2 guest 5002 5004
redis SADD children:relay-1 egress-2
redis SET parent:egress-2 relay-1
wait_for 10 "media arrives at egress-2" true active 7074
redis SREM children:relay-1 egress-2
redis DEL parent:egress-2
wait_for 10 "and ends there" false active 7074
stop_capture egress-1 stayer
stop_capture egress-2 guest
check_ms "from SADD to the first packet" 500 "$(first_after guest "$(told SADD children:relay-1 egress-2)")"
check_ms "from SREM to the last packet" 500 "$(last_after guest "$(told SREM children:relay-1 egress-2)" | grep . || echo 0)"
check_capture "egress-1 meanwhile" stayer
check_capture "egress-2 while it was there" guest
check "copies that the driver refused" 0 "$(get 7071 /status '[.dataplane.egress[].refused] | add')"
check "restarts of relay-1" '[0,0]' "$(get 7071 /status '[.gstreamer.audioRestarts, .gstreamer.videoRestarts]')"

say "clean-up"
all_down
check "containers left" 0 "$(docker ps -aq --filter network=media-tree | wc -l)"
finish "XDP in containers"
