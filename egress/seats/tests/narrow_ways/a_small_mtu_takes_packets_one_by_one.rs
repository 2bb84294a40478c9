use super::alone_with;

/// A tunnel, say: the kernel refuses a message whose segments do not fit, but takes each of its packets.
#[test]
fn a_small_mtu_takes_packets_one_by_one() {
    alone_with(&["ip link set lo mtu 1000"], |mut host| {
        for number in 0..4 {
            host.push(1, &[number; 1200]);
        }
        host.push(1, &[4; 300]);
        host.push(2, &[5; 900]);
        host.push(2, &[6; 900]);
        host.batch.flush();
        for number in 0..4 {
            assert_eq!(host.received(), [number; 1200]);
        }
        assert_eq!(host.received(), [4; 300]);
        assert_eq!(host.received(), [5; 900]);
        assert_eq!(host.received(), [6; 900]);
        let counts = host.batch.counts();
        assert_eq!((counts.packets, counts.dropped().map(|(_, count)| count)), (7, [0; 4]));
        // One that is refused, one for its five packets, one for the rest.
        assert_eq!(counts.calls, 3);
        assert_eq!(host.batch.failed().count(), 0);
    });
}
