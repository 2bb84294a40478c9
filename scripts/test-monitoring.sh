#!/bin/bash
# The profile `monitoring` of docker-compose.test.yaml: who looks at the tree sees all of it, and what goes wrong is told by a webhook, at the
# real pace. Without Grafana, whose image is not made here.
#
#   relay-ctl tree targets -> prometheus -> nodes, exporters;  prometheus -> alertmanager -> webhook
#
# Exit code: 0 all as expected, 1 not, 2 could not run.
# shellcheck source-path=SCRIPTDIR source=containers.sh
. "$(dirname "$0")/containers.sh"

# query PROMQL FILTER: what Prometheus answers through jq, in one line.
query() { curl -s --max-time 5 -G http://localhost:9090/api/v1/query --data-urlencode "query=$1" | jq -c ".data.result | $2"; }
up() { query 'count by (job) (up == 1)' '[.[] | .metric.job + " " + .value[1]] | sort'; }
alerts_told() { docker exec prometheus cat /tmp/told 2>/dev/null | jq -cs "[.[].alerts[] | select(.status == \"$1\") | .labels.alertname + \" \" + .labels.node_id] | unique"; }

# Alertmanager is told to tell localhost:9095, which is Prometheus' container: each body that comes is a line of /tmp/told.
# shellcheck disable=SC2016 # Perl's variables
readonly WEBHOOK='
    use IO::Socket::INET;
    my $door = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => 9095, Listen => 5, ReuseAddr => 1) or die;
    while (my $caller = $door->accept) {
        my ($length, $body) = (0, "");
        while (my $line = <$caller>) {
            $length = $1 if $line =~ /^content-length:\s*(\d+)/i;
            last if $line =~ /^\r?\n$/;
        }
        read $caller, $body, $length;
        open my $told, ">>", "/tmp/told" or die;
        print $told "$body\n";
        close $told;
        print $caller "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        close $caller;
    }'

say "nothing runs, then the tree and who looks at it"
start_smallest_tree
compose up -d prometheus alertmanager targets redis-exporter \
    node-exporter-injection-1 node-exporter-relay-1 node-exporter-egress-1
wait_for 30 "Prometheus is ready" 200 curl -s -o /dev/null -w '%{http_code}' http://localhost:9090/-/ready
wait_for 30 "Alertmanager is ready" 200 curl -s -o /dev/null -w '%{http_code}' http://localhost:9093/-/ready
docker exec -d prometheus perl -e "$WEBHOOK"
wait_for 120 "all that there is is scraped" \
    '["media-tree-egress 1","media-tree-injection 1","media-tree-relay 1","node-exporter 3","prometheus 1","redis 1"]' up
check "nothing is down" '[]' "$(query 'up == 0' '[.[].metric.instance]')"
wait_for 60 "a recorded series of the tree" '["tree-1"]' query 'tree:places:sum > 0' '[.[].metric.tree_id]'
check "redis_exporter has Redis" '["1"]' "$(query redis_up '[.[].value[1]]')"
check "rules that fail" '[]' "$(curl -s http://localhost:9090/api/v1/rules | jq -c '[.data.groups[].rules[] | select(.health == "err") | .name]')"

say "the relay is killed"
docker kill relay-1 >>"$LOG"
wait_for 240 "it is told" '["NodeDown relay-1"]' alerts_told firing
docker start relay-1 >>"$LOG"
wait_for 240 "that it is over is told" '["NodeDown relay-1"]' alerts_told resolved
check "all that was told" '["NodeDown relay-1"]' "$(alerts_told firing)"

say "clean-up"
all_down
check "containers left" 0 "$(docker ps -aq --filter network=media-tree | wc -l)"
finish "Monitoring"
