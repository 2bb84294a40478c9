#!/bin/sh
# Does RTP with this SSRC arrive there? Watches a port with tcpdump and counts packets per SSRC.
#
#   verify-ssrc.sh HOST-OR-NAMESPACE IFACE PORT SSRC [SECONDS]
#
#   HOST-OR-NAMESPACE  `local` or `localhost`: here; a name that `ip netns` lists: in that namespace; else a host for ssh
#   SSRC               decimal or 0x...
#   SECONDS            how long to watch, 5 unless given
#
# Exit code: 0 seen, 1 not seen, 2 could not watch (no tcpdump, no such interface, no rights), 64 bad arguments.
#
# Copies that XDP sends out of an interface are invisible to tcpdump on that host: watch at the receiver, or use
# `relay-ctl capture` on the relay.
set -u
export LC_ALL=C

bad() {
    echo "verify-ssrc.sh: $1; usage: verify-ssrc.sh HOST-OR-NAMESPACE IFACE PORT SSRC [SECONDS]" >&2
    exit 64
}

cannot() {
    echo "verify-ssrc.sh: $1" >&2
    exit 2
}

# A whole number without leading zeros, which the shell would take for octal; empty if it is none, or too long a one.
decimal() {
    case $1 in
    '' | *[!0-9]* | ????????????*) ;;
    *) echo "$1" | sed 's/^0*\(.\)/\1/' ;;
    esac
}

[ $# -ge 4 ] && [ $# -le 5 ] || bad "4 or 5 arguments, not $#"
where=$1 interface=$2
case $where in '' | -*) bad "no host or namespace: '$where'" ;; esac
# The name may travel through ssh to a shell there.
case $interface in '' | -* | *[!A-Za-z0-9_.:@-]*) bad "no interface name: '$interface'" ;; esac
port=$(decimal "$3")
[ -n "$port" ] && [ "$port" -ge 1 ] && [ "$port" -le 65535 ] || bad "no port: '$3'"
case $4 in
0[xX]) bad "no SSRC: '$4'" ;;
0[xX]*[!0-9a-fA-F]*) bad "no SSRC: '$4'" ;;
0[xX]?????????*) bad "an SSRC has 32 bits: '$4'" ;;
0[xX]*) ssrc=$(($4)) ;;
*) ssrc=$(decimal "$4") ;;
esac
[ -n "$ssrc" ] && [ "$ssrc" -le 4294967295 ] || bad "no SSRC: '$4'"
seconds=$(decimal "${5:-5}")
[ -n "$seconds" ] && [ "$seconds" -ge 1 ] && [ "$seconds" -le 86400 ] || bad "no number of seconds: '$5'"

# Runs a command where it is to be watched. Its words hold nothing that a shell at the other end of ssh would change.
there() {
    case $place in
    here) "$@" ;;
    namespace) ip netns exec "$where" "$@" ;;
    host) ssh -o BatchMode=yes -o ConnectTimeout=5 "$where" "$*" ;;
    esac
}

case $where in
local | localhost) place=here ;;
*)
    place=host
    for namespace in $(ip netns list 2>/dev/null | sed 's/ .*//'); do
        [ "$namespace" = "$where" ] && place=namespace
    done
    ;;
esac
if [ $place = host ]; then
    command -v ssh >/dev/null || cannot "$where is no namespace here, and there is no ssh to reach it as a host"
    there true || cannot "$where is no namespace here (see \`ip netns\`), and ssh does not reach it as a host"
fi
why=$(there tcpdump --version 2>&1) ||
    cannot "tcpdump does not run at $where: ${why##*
}; if it is missing, run there: apt-get install tcpdump"

complaints=$(mktemp) || cannot "no temporary file"
trap 'rm -f "$complaints"' EXIT
trap 'exit 130' INT TERM

# RTP's SSRC is at bytes 8 to 11 of the UDP payload. -x prints from the IP header on, which is 4 x IHL long (RFC 791) or
# 40 bytes (RFC 8200): for IPv4 the SSRC is what stands in the third and fourth group of the line 0x0020.
counts=$(
    there timeout "$seconds" tcpdump -i "$interface" -n -l -s 128 -x udp dst port "$port" 2>"$complaints" | awk '
        function packet(at, type) {
            if (hex == "") return
            at = 2 * (substr(hex, 1, 1) == "6" ? 40 : 4 * index("123456789abcdef", substr(hex, 2, 1))) + 2 * 8
            # RTP has version 2 in its first two bits; packet types c0 to df are RTCP (RFC 5761).
            type = substr(hex, at + 3, 1)
            if (substr(hex, at + 1, 1) ~ /[89ab]/ && type != "c" && type != "d") {
                ssrc = substr(hex, at + 17, 8)
                if (length(ssrc) == 8) seen[ssrc]++
            }
            hex = ""
        }
        $1 ~ /^0x[0-9a-f]+:$/ { for (group = 2; group <= NF; group++) hex = hex $group; next }
        { packet() }
        END {
            packet()
            for (ssrc in seen) {
                number = 0
                for (i = 1; i <= 8; i++) number = 16 * number + index("123456789abcdef", substr(ssrc, i, 1))
                printf "SSRC %.0f (0x%s): %d packets\n", number, ssrc, seen[ssrc]
            }
        }'
)
grep -q 'listening on' "$complaints" || cannot "cannot watch $interface at $where: $(tail -n 1 "$complaints")"

place_and_time="at $where $interface port $port within $seconds s"
[ -z "$counts" ] || echo "$counts" | sort -k 2n
wanted=$(printf 'SSRC %d (0x%08x)' "$ssrc" "$ssrc")
case "
$counts" in
*"
$wanted: "*) echo "ok: $wanted seen $place_and_time" ;;
*)
    echo "not seen: $wanted $place_and_time"
    exit 1
    ;;
esac
