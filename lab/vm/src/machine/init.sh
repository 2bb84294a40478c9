#!/bin/sh
# The guest's init: mounts, modules, then whatever the host asks for (see control.rs).
export PATH=/usr/local/bin:/bin
/bin/busybox --install -s /bin 2>/dev/null
mkdir -p /proc /sys /dev /run /tmp
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs run /run
mount -t tracefs tracefs /sys/kernel/tracing
mount -t bpf bpf /sys/fs/bpf
# Debian's fq_codel drops what has waited, as after a moment in which the host had no time for us.
echo pfifo_fast >/proc/sys/net/core/default_qdisc
for module in /modules/*; do
    insmod "$module"
done
ip link set lo up

# The port opens only once, and reads nothing until the host is at its other end.
until [ -c /dev/vport0p1 ]; do sleep 0.1; done
exec 3<>/dev/vport0p1
echo ready >&3
while :; do
    read -r seconds command <&3 || { sleep 0.1; continue; }
    echo "$command" | base64 -d >/run/command
    timeout -s KILL "$seconds" sh /run/command >/run/output 2>&1 </dev/null
    code=$?
    echo "$code $(base64 -w 0 </run/output)" >&3
done
