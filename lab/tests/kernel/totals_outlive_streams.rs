//! What streams counted stays counted when they are forgotten, when a daemon goes, and when the next one is newer.

use crate::support::frames::rtp;
use crate::support::{AUDIO, Ip, Kernel, VIDEO, key, media, with_kernel};
use relay_common::layout::Total;
use relay_ctl::kernel::{Mode, streams};

/// Three packets of a stream to the video port.
fn run(kernel: &mut Kernel<'_>, ssrc: u32, first: u16) {
    for sequence in first..first + 3 {
        kernel.run(&media(Ip::V4, rtp(ssrc, sequence, 60)).bytes());
    }
}

/// Forgotten and live: RTP packets of video.
fn counted(kernel: &Kernel<'_>) -> (u64, u64) {
    let maps = kernel.plane.maps();
    (maps.totals()[1].packets, streams(maps).iter().map(|(_, stream)| stream.packets).sum())
}

#[test]
fn and_daemons() {
    for mode in [Mode::Xdp, Mode::Tc] {
        with_kernel("totals", mode, |kernel| {
            kernel.plane.attach().unwrap();
            run(kernel, 1, 1);
            run(kernel, 2, 1);
            assert_eq!(counted(kernel), (0, 6));
            // A key that is not there changes nothing.
            let keys = [key(VIDEO, 1), key(VIDEO, 99)];
            kernel.plane.forget(&keys, [AUDIO, VIDEO]).unwrap();
            assert_eq!(counted(kernel), (3, 3), "{mode}");
            kernel.take_over();
            assert_eq!(counted(kernel), (3, 3), "{mode}, the next daemon");
            run(kernel, 1, 4);
            kernel.plane.forget(&[key(VIDEO, 1), key(VIDEO, 2)], [AUDIO, VIDEO]).unwrap();
            assert_eq!(counted(kernel), (9, 0), "{mode}");
            assert_eq!(kernel.plane.maps().totals()[0], Total::default(), "{mode}: audio");
            assert!(kernel.plane.maps().totals()[1].bytes > 0);
        });
    }
}

#[test]
fn when_the_ports_change() {
    with_kernel("ports", Mode::Tc, |kernel| {
        kernel.plane.attach().unwrap();
        run(kernel, 1, 1);
        // What was the video port is the audio port of the next daemon.
        kernel.take_over();
        kernel.plane.describe("relay-1", [VIDEO, VIDEO + 100], "a test", false).unwrap();
        let maps = kernel.plane.maps();
        assert_eq!(maps.totals().map(|total| total.packets), [0, 3]);
        assert!(streams(maps).is_empty());
    });
}
