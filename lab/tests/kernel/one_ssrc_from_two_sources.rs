//! A stream has one source (RFC 3550 section 8.2): it follows a sender that moves, and what a loop or a second sender brings
//! under the same SSRC is dropped as `ssrc-collision`, in xdp and tc alike.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::support::frames::{Datagram, rtcp, rtp};
use crate::support::{Child, Ip, Kernel, TC_REDIRECT, TC_SHOT, VIDEO, XDP_REDIRECT, media, with_kernel};
use relay_ctl::kernel::Mode;

const GOES: &str = "goes";
const COLLIDES: &str = "ssrc-collision";
/// Longer than a source may be silent before another that does not go on where it was takes its place.
const SILENCE: Duration = Duration::from_millis(300);

struct Bench<'a, 'lab> {
    kernel: &'a mut Kernel<'lab>,
    ip: Ip,
    ssrc: u32,
}

impl Bench<'_, '_> {
    /// Another stream, for another story.
    fn begin(&mut self) {
        self.ssrc += 1;
    }

    fn source(&self, host: u8, port: u16) -> SocketAddr {
        let address: IpAddr = match self.ip {
            Ip::V4 => [10, 0, 1, host].into(),
            Ip::V6 => [0xfd00, 0, 0, 1, 0, 0, 0, u16::from(host)].into(),
        };
        (address, port).into()
    }

    #[track_caller]
    fn sends(&mut self, source: SocketAddr, payload: Vec<u8>, becomes: &str) {
        let packet = Datagram { source, ..media(self.ip, payload) };
        let ran = self.kernel.run(&packet.bytes());
        let counted: Vec<&str> = ran.counted.iter().map(|(reason, _)| reason.name()).collect();
        if becomes == GOES {
            assert_eq!(counted, [""; 0], "{packet:?}");
            // The tc program sends clones only.
            assert!([XDP_REDIRECT, TC_SHOT, TC_REDIRECT].contains(&ran.verdict), "{packet:?}");
        } else {
            assert_eq!(counted, [becomes], "{packet:?}");
        }
    }

    #[track_caller]
    fn media(&mut self, source: SocketAddr, sequence: u16, becomes: &str) {
        self.sends(source, rtp(self.ssrc, sequence, 100), becomes);
    }

    #[track_caller]
    fn report(&mut self, source: SocketAddr, becomes: &str) {
        self.sends(source, rtcp(self.ssrc), becomes);
    }
}

fn in_both_modes_and_families(name: &str, test: impl Fn(&mut Bench<'_, '_>) + Sync) {
    for mode in [Mode::Xdp, Mode::Tc] {
        with_kernel(name, mode, |kernel| {
            let children: Vec<Child> = [(0, Ip::V4), (1, Ip::V6)]
                .map(|(id, ip)| Child { id, nic: 1, ip, ports: [5002, 5004] })
                .into();
            // Each family's own streams: nobody is left out.
            let ssrcs = |ip: Ip| if ip == Ip::V4 { 400..410 } else { 600..610 };
            let routes: Vec<(u32, &[Child])> = [Ip::V4, Ip::V6]
                .into_iter()
                .zip(children.chunks(1))
                .flat_map(|(ip, own)| ssrcs(ip).map(move |ssrc| (ssrc, own)))
                .collect();
            kernel.children(&children, &routes);
            for ip in [Ip::V4, Ip::V6] {
                test(&mut Bench { kernel, ip, ssrc: ssrcs(ip).start });
            }
        });
    }
}

#[test]
fn what_goes_round_in_a_loop_is_dropped() {
    in_both_modes_and_families("loop", |bench| {
        let (sender, ring) = (bench.source(7, 4000), bench.source(8, VIDEO));
        for sequence in 65_530..65_535 {
            bench.media(sender, sequence, GOES);
            bench.media(ring, sequence, COLLIDES);
        }
        // Also when a round takes as long as some packets do.
        for sequence in 65_535..=65_539_u32 {
            bench.media(sender, sequence as u16, GOES);
            bench.media(ring, (sequence - 3) as u16, COLLIDES);
        }
    });
}

#[test]
fn a_sender_that_moves_is_followed() {
    in_both_modes_and_families("move", |bench| {
        let places = [bench.source(7, 4000), bench.source(8, 4000), bench.source(8, 4002)];
        for (sequence, place) in (1..).zip([0, 0, 1, 1, 2, 2]) {
            bench.media(places[place], sequence, GOES);
        }
        // With some packets lost on the way.
        bench.begin();
        bench.media(places[0], 1, GOES);
        bench.media(places[1], 100, GOES);
        // A new sender begins anywhere, once the one before is silent.
        bench.begin();
        bench.media(places[0], 1, GOES);
        bench.media(places[1], 40_000, COLLIDES);
        bench.begin();
        bench.media(places[0], 1, GOES);
        std::thread::sleep(SILENCE);
        bench.media(places[1], 40_000, GOES);
        bench.media(places[1], 40_001, GOES);
    });
}

#[test]
fn of_two_senders_the_first_is_kept() {
    in_both_modes_and_families("two", |bench| {
        let (first, second) = (bench.source(7, 4000), bench.source(8, 4000));
        bench.media(first, 1, GOES);
        // It could be a sender that has moved, until the first one is heard again.
        bench.media(second, 2, GOES);
        for sequence in 3..20 {
            bench.media(first, sequence, GOES);
            bench.media(second, sequence + 1, COLLIDES);
        }
    });
}

#[test]
fn reports_come_from_the_streams_own_address() {
    in_both_modes_and_families("reports", |bench| {
        let (sender, reports, other) = (bench.source(7, 4000), bench.source(7, 4001), bench.source(8, 4001));
        bench.media(sender, 1, GOES);
        bench.report(reports, GOES);
        bench.report(other, COLLIDES);
        bench.media(bench.source(8, 4000), 2, GOES);
        bench.report(other, GOES);
        bench.report(reports, COLLIDES);
        // A report may come first.
        bench.begin();
        bench.report(reports, GOES);
        bench.media(sender, 1, GOES);
        bench.media(sender, 2, GOES);
        assert_eq!(bench.kernel.stream(VIDEO, bench.ssrc), Some((2, 1)), "RTP, RTCP");
    });
}
