#!/bin/bash
# The lines of Test 3 (docs/contract.md, *Compatibility*) as they were written, typed one after the other: a transcript, with checks. Where the
# document sleeps, a line with an expectation is typed again until it shows that, for at most 15 s. What is not as in the
# document is marked "slip" with the reason. Exit code: 0 all as expected, 1 not, 2 could not run.
#
# test3.sh does the same with measurements; this is for whoever knows the written test.
# shellcheck source-path=SCRIPTDIR source=containers.sh
. "$(dirname "$0")/containers.sh"

shopt -s extglob
command -v docker-compose >/dev/null || docker-compose() { docker compose "$@"; }
# Its way to look at a page.
open() { scripts/play.sh "$1"; }

# line [EXPECTED] <<'END': types what comes, prints it and its output. JSON is compared as such.
line() {
    local text short output json expected=${1:-} deadline=$((SECONDS + 15))
    text=$(cat)
    # One line of the table.
    short=${text%%$'\n'*}
    short=${short%%*( )\\}
    short=${short:0:58}
    printf '\n$ %s\n' "$text"
    while :; do
        output=$(eval "$text" 2>>"$LOG")
        json=$(jq -cS . <<<"$output" 2>/dev/null) && output=$json
        # shellcheck disable=SC2053 # it is a pattern
        if [ -z "$expected" ] || [[ $output == $expected ]] || [ $SECONDS -ge $deadline ]; then break; fi
        sleep 0.1
    done
    printf '%s\n' "$output" | head -n 12
    if [ -n "$expected" ]; then
        # shellcheck disable=SC2053
        if [[ $output == $expected ]]; then row ok "$short" "$(head -n 1 <<<"${output:0:60}")"; else row FAIL "$short" "$output (expected $expected)"; fi
    fi
}
# With EGRESS_SERVER=native an egress serves viewers itself, and has no ports for a Janus to tell of.
PORTS='"janusAudioPort":6000,"janusVideoPort":6001,'
[ "${EGRESS_SERVER:-janus}" = janus ] || PORTS=
slip() { echo "     (slip: $*)"; }

say "Setup Iniziale"
BEGUN=1
line <<'END'
docker-compose -f docker-compose.test.yaml down
docker-compose -f docker-compose.test.yaml --profile broadcaster down
docker-compose -f docker-compose.test.yaml --profile test-chain down
docker-compose -f docker-compose.test.yaml --profile test-scale down
END
nobody_else
line <<<'docker-compose -f docker-compose.test.yaml build'
line <<<'docker-compose -f docker-compose.test.yaml up -d redis janus-videoroom janus-streaming-1 janus-streaming-2'
line OK <<<'docker exec redis redis-cli FLUSHALL'
line <<<'docker-compose -f docker-compose.test.yaml up -d injection-1 relay-1 egress-1'

say "Verifica Nodi Iniziali"
line '{"healthy":true,"nodeId":"injection-1","nodeType":"injection"}' <<<"curl http://localhost:7070/status | jq '{nodeId, nodeType, healthy}'"
line '{"healthy":true,"nodeId":"relay-1","nodeType":"relay"}' <<<"curl http://localhost:7071/status | jq '{nodeId, nodeType, healthy}'"
line '{"healthy":true,"nodeId":"egress-1","nodeType":"egress"}' <<<"curl http://localhost:7073/status | jq '{nodeId, nodeType, healthy}'"
line 'egress-1,injection-1,relay-1' <<<'docker ps --format "{{.Names}}" | grep -E "^(injection|relay|egress)" | sort | paste -sd,'

say "Configurazione Topologia Iniziale"
line <<<'docker exec redis redis-cli SADD children:injection-1 relay-1'
line <<<'docker exec redis redis-cli SET parent:relay-1 injection-1'
line <<<'docker exec redis redis-cli SADD children:relay-1 egress-1'
line <<<'docker exec redis redis-cli SET parent:egress-1 relay-1'
line '\["relay-1"\]' <<<"curl http://localhost:7070/topology | jq '.children'"
line '*"children":\["egress-1"\]*"parent":"injection-1"*' <<<'curl http://localhost:7071/topology | jq'
line '"relay-1"' <<<"curl http://localhost:7073/topology | jq '.parent'"

say "Crea Sessione"
slip "the output that Test 3 shows is that of creating a mountpoint"
line '*"endpoint":"/whip/endpoint/test-scale"*"roomId":4001*' <<'END'
curl -X POST http://localhost:7070/session/create \
  -H "Content-Type: application/json" \
  -d '{
    "sessionId": "test-scale",
    "roomId": 4001,
    "audioSsrc": 7777,
    "videoSsrc": 8888,
    "recipients": [
      {"host": "relay-1", "audioPort": 5002, "videoPort": 5004}
    ]
  }' | jq
END
line '*"count":1*"sessionId":"test-scale"*' <<<'curl http://localhost:7070/sessions | jq'
slip "Test 3 expects test-chain, another test's session"
line test-scale <<<'docker exec redis redis-cli SMEMBERS sessions:active'
line test-scale <<<'docker exec redis redis-cli SMEMBERS sessions:injection-1'

say "Start Broadcaster"
line <<<'docker-compose -f docker-compose.test.yaml --profile test-scale up -d'
slip "that starts what has no profile, too; egress-2 is not among it, as Test 3 wants"
line 'egress-1,injection-1,relay-1,whip-client-scale' <<<'docker ps --format "{{.Names}}" | grep -E "^(injection|relay|egress|whip)" | sort | paste -sd,'
line '*session test-scale: a publisher with *' <<<'docker logs injection-1 2>&1 | grep "a publisher"'

say "Verifica Flusso RTP"
line <<<'docker exec relay-1 apt-get update -qq && docker exec relay-1 apt-get install -y tcpdump'
line '*0x0020:*0000 1e61*' <<<"docker exec relay-1 timeout 10 tcpdump -i eth0 -n 'udp port 5002' -vv -x -c 30 2>&1 | grep \"0x0020:\""
line '*0x0020:*0000 22b8*' <<<"docker exec relay-1 timeout 10 tcpdump -i eth0 -n 'udp port 5004' -vv -x -c 30 2>&1 | grep \"0x0020:\""
line <<<'docker exec egress-1 apt-get update -qq && docker exec egress-1 apt-get install -y tcpdump'
slip "Test 3 asks 7071, the relay, for the pipeline of the egress; that answers, too"
line '*"audioRunning":true*"videoRunning":true*' <<<"curl http://localhost:7071/status | jq '.gstreamer'"
line '*"audioRunning":true*"videoRunning":true*' <<<"curl http://localhost:7073/status | jq '.gstreamer'"
line '*0x0020:*0000 1e61*' <<<"docker exec egress-1 timeout 10 tcpdump -i eth0 -n 'udp port 5002' -vv -x -c 30 2>&1 | grep \"0x0020:\""
line '*0x0020:*0000 22b8*' <<<"docker exec egress-1 timeout 10 tcpdump -i eth0 -n 'udp port 5004' -vv -x -c 30 2>&1 | grep \"0x0020:\""

say "Crea Mountpoint su egress-1"
line "*$PORTS\"mountpointId\":4001,*\"sessionId\":\"test-scale\"*" <<'END'
curl -X POST http://localhost:7073/mountpoint/create \
  -H "Content-Type: application/json" \
  -d '{
    "sessionId": "test-scale",
    "audioSsrc": 7777,
    "videoSsrc": 8888
  }' | jq
END
line 'plays: *' <<<'open http://localhost:7073/?id=test-scale'

say "SCALE-OUT: Add egress-2"
line <<<'docker-compose -f docker-compose.test.yaml up -d egress-2'
line '{"healthy":true,"nodeId":"egress-2","nodeType":"egress"}' <<<"curl http://localhost:7074/status | jq '{nodeId, nodeType, healthy}'"
line <<<'docker exec redis redis-cli SADD children:relay-1 egress-2'
line <<<'docker exec redis redis-cli SET parent:egress-2 relay-1'
line '\["egress-1","egress-2"\]' <<<"curl http://localhost:7071/topology | jq '.children'"
line '"relay-1"' <<<"curl http://localhost:7074/topology | jq '.parent'"
slip "no restart at all, where Test 3 has two"
line '{"audioRestarts":0,"audioRunning":true,"videoRestarts":0,"videoRunning":true}' <<<"curl http://localhost:7071/status | jq '.gstreamer'"
line <<<'docker exec egress-2 apt-get update -qq && docker exec egress-2 apt-get install -y tcpdump'
line '*"audioRunning":true*"videoRunning":true*' <<<"curl http://localhost:7074/status | jq '.gstreamer'"
line '*0x0020:*0000 1e61*' <<<"docker exec egress-2 timeout 10 tcpdump -i eth0 -n 'udp port 5002' -vv -x -c 30 2>&1 | grep \"0x0020:\""
line '*0x0020:*0000 22b8*' <<<"docker exec egress-2 timeout 10 tcpdump -i eth0 -n 'udp port 5004' -vv -x -c 30 2>&1 | grep \"0x0020:\""
line '*0x0020:*0000 1e61*' <<<"docker exec egress-1 timeout 5 tcpdump -i eth0 -n 'udp port 5002' -vv -x -c 5 2>&1 | grep \"0x0020:\""
line '*0x0020:*0000 1e61*' <<<"docker exec egress-2 timeout 5 tcpdump -i eth0 -n 'udp port 5002' -vv -x -c 5 2>&1 | grep \"0x0020:\""
line "*$PORTS\"mountpointId\":4001,*\"sessionId\":\"test-scale\"*" <<'END'
curl -X POST http://localhost:7074/mountpoint/create \
  -H "Content-Type: application/json" \
  -d '{
    "sessionId": "test-scale",
    "audioSsrc": 7777,
    "videoSsrc": 8888
  }' | jq
END
line 1 <<<"curl http://localhost:7073/mountpoints | jq '.count'"
line 1 <<<"curl http://localhost:7074/mountpoints | jq '.count'"
line 'plays: *' <<<'open http://localhost:7073/?id=test-scale'
line 'plays: *' <<<'open http://localhost:7074/?id=test-scale'
line '{"children":\["egress-1","egress-2"\],"childrenCount":2}' <<<"curl http://localhost:7071/status | jq '.forwarding'"
line '*"active":true*' <<<'curl http://localhost:7073/mountpoints | jq'
line '*"active":true*' <<<'curl http://localhost:7074/mountpoints | jq'

say "SCALE-DOWN: Remove egress-1"
line 1 <<<'docker exec redis redis-cli SREM children:relay-1 egress-1'
line <<<'docker exec redis redis-cli DEL parent:egress-1'
line '\["egress-2"\]' <<<"curl http://localhost:7071/topology | jq '.children'"
line null <<<"curl http://localhost:7073/topology | jq '.parent'"
slip "no restart at all, where Test 3 has three"
line '{"audioRestarts":0,"audioRunning":true,"videoRestarts":0,"videoRunning":true}' <<<"curl http://localhost:7071/status | jq '.gstreamer'"
slip "the last line of tcpdump is another: here with grep instead of tail"
line '0 packets captured' <<<"docker exec egress-1 timeout 3 tcpdump -i eth0 -n 'udp port 5002' -c 10 2>&1 | grep captured"
line '10 packets captured' <<<"docker exec egress-2 timeout 5 tcpdump -i eth0 -n 'udp port 5002' -c 10 2>&1 | grep captured"
line 'plays: *' <<<'open http://localhost:7074/?id=test-scale'
slip "Test 3 expects true, of a stream that does not work; ten seconds after DEL there is no such mountpoint any more"
line '@(false|null)' <<<"curl http://localhost:7073/mountpoint/test-scale| jq '.active'"
line '@("no audio for *|null)' <<<"curl http://localhost:7073/mountpoint/test-scale| jq '.reason'"
line true <<<"curl http://localhost:7074/mountpoint/test-scale | jq '.active'"

say "Cleanup Completo"
slip "Test 3's line names another profile, and would end the nodes that the next lines ask"
line <<<'docker-compose -f docker-compose.test.yaml --profile test-scale stop whip-client-scale'
line '*true*' <<<'curl -X POST http://localhost:7073/mountpoint/test-scale/destroy'
line '*true*' <<<'curl -X POST http://localhost:7074/mountpoint/test-scale/destroy'
line '*test-scale*' <<<'curl -X POST http://localhost:7070/session/test-scale/destroy'
line OK <<<'docker exec redis redis-cli FLUSHALL'
line <<<'docker-compose -f docker-compose.test.yaml down'
line <<<'docker-compose -f docker-compose.test.yaml --profile scale down'
slip "the broadcaster's profile is test-scale; v2 leaves it there without this line"
line <<<'docker-compose -f docker-compose.test.yaml --profile test-scale down'
line 0 <<<'docker ps -aq --filter network=media-tree | wc -l'
finish "The lines of Test 3"
