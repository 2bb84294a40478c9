//! [`Stage`]: the broadcast, what happens while it runs, and what its viewers saw.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use lab::client::{Seen, percentile};
use lab::relay::{AUDIO, Mode, VIDEO, relay_ctl, script};
use lab::studio::{EGRESS_API, INJECTION_API};
use lab::{Lab, Publisher, Studio, Viewers};

use crate::{door, pause, say};

const SESSION: &str = "demo";
/// For whoever wants to publish.
const YOURS: &str = "yours";
const AUDIO_SSRC: u32 = 7777;
const VIDEO_SSRC: u32 = 8888;
/// On each egress.
const VIEWERS: usize = 3;
/// Between two changes.
const SCENE: Duration = Duration::from_secs(3);
/// Without a daemon.
const ORPHANED: Duration = Duration::from_secs(2);
/// GStreamer looks through its plug-ins when it starts for the first time.
const PATIENCE: Duration = Duration::from_secs(30);

/// What some viewers saw.
pub struct Show {
    who: &'static str,
    viewers: Vec<Seen>,
}

impl Show {
    fn new(who: &'static str, viewers: &Viewers) -> Result<Self> {
        let viewers = viewers.stop()?.viewers;
        ensure!(viewers.len() == VIEWERS, "{who} have not reported");
        Ok(Self { who, viewers })
    }

    /// Packets that they should have had.
    pub fn lost(&self) -> u64 {
        self.viewers.iter().map(|seen| seen.video_lost + seen.audio_lost).sum()
    }
}

pub struct Stage<'lab> {
    studio: Studio<'lab>,
    publisher: Publisher,
    /// Who watches egress-1 all the time.
    stayers: Viewers,
}

impl<'lab> Stage<'lab> {
    /// Everything is started, egress-1 is the relay's child, and its viewers see pictures.
    pub fn open(lab: &'lab Lab, mode: Mode) -> Result<Self> {
        let studio = Studio::open(lab, mode, 2, 1)?;
        let status = studio.relay.cli().json("status")?;
        let dataplane = &status["dataplane"];
        say(&format!(
            "relay-1: {} mode, because: {}",
            dataplane["mode"].text(),
            dataplane["modeReason"].text()
        ));
        say(&format!(
            "POST /session/create {SESSION}: SSRC {AUDIO_SSRC} is its audio, {VIDEO_SSRC} its video"
        ));
        studio.create_session(SESSION, [AUDIO_SSRC, VIDEO_SSRC])?;
        say(&format!(
            "a publisher sends a test card with a clock, VP8 and Opus, to {}",
            studio.whip(SESSION)?
        ));
        let publisher = studio.publish(SESSION, &["--title", SESSION])?;
        studio.wait_active(0, SESSION).with_context(|| publisher.process().tail())?;
        say(&format!("{VIEWERS} viewers watch {}", studio.whep(0, SESSION)?));
        let stayers = studio.view(SESSION, &[0], VIEWERS, &[])?;
        let stage = Self { studio, publisher, stayers };
        stage.wait_for_pictures(&stage.stayers)?;
        Ok(stage)
    }

    /// The relay's data plane.
    pub fn mode(&self) -> Result<Mode> {
        self.studio.relay.cli().json("status")?["dataplane"]["mode"].text().parse()
    }

    /// Where its maps are pinned.
    pub fn relay_pins(&self) -> PathBuf {
        self.studio.relay.cli().pin_root()
    }

    /// The changes; the broadcast runs through all of them.
    pub fn play(&mut self) -> Result<Vec<Show>> {
        let studio = &self.studio;
        pause(SCENE)?;
        say("egress-2 joins: redis-cli SADD children:relay-1 egress-2");
        let typed = Instant::now();
        studio.join(1)?;
        studio.wait_active(1, SESSION)?;
        say(&format!(
            "egress-2 has media, {:.0} ms later by its own API",
            typed.elapsed().as_secs_f64() * 1000.0
        ));
        let newcomers = studio.view(SESSION, &[1], VIEWERS, &[])?;
        self.wait_for_pictures(&newcomers)?;
        pause(SCENE)?;
        let mut shows = vec![Show::new("of egress-2", &newcomers)?];
        say("egress-2 leaves: redis-cli SREM children:relay-1 egress-2; and joins again");
        studio.leave(1)?;
        pause(SCENE)?;
        studio.join(1)?;
        studio.wait_active(1, SESSION)?;
        if self.mode()? == Mode::Userspace {
            say(
                "no kill -9 in userspace mode: there the daemon itself forwards, and killing it interrupts the media",
            );
        } else {
            say(&format!("kill -9 of the relay's daemon, and {} s without it", ORPHANED.as_secs()));
            let returning = studio.view(SESSION, &[1], VIEWERS, &[])?;
            self.wait_for_pictures(&returning)?;
            self.studio.relay.kill9()?;
            pause(ORPHANED)?;
            say("the daemon starts again and takes over in place");
            self.studio.relay.restart()?;
            pause(SCENE)?;
            shows.push(Show::new("of egress-2 at the kill", &returning)?);
        }
        pause(SCENE)?;
        shows.insert(0, Show::new("of egress-1", &self.stayers)?);
        Ok(shows)
    }

    fn wait_for_pictures(&self, viewers: &Viewers) -> Result<()> {
        let seen = viewers.wait_until(PATIENCE, |views| {
            views.viewers.len() == VIEWERS
                && views.viewers.iter().all(|seen| seen.decoded > 0 && seen.audio_packets > 0)
        });
        seen.map(drop).with_context(|| self.studio.diagnosis())
    }

    /// What everybody saw who watched until the end of what they were to see.
    pub fn print_table(&self, shows: &[Show]) -> Result<()> {
        println!();
        println!(
            "  {:<28}{:>8}{:>8}{:>8}{:>6}{:>13}{:>13}",
            "viewers", "video", "audio", "frames", "lost", "first, ms", "gap, ms"
        );
        for show in shows {
            let sum = |of: fn(&Seen) -> u64| show.viewers.iter().map(of).sum::<u64>();
            let firsts: Vec<f64> = show.viewers.iter().filter_map(|seen| seen.first_frame_ms).collect();
            println!(
                "  {:<28}{:>8}{:>8}{:>8}{:>6}{:>13.0}{:>13}",
                format!("{} {}", show.viewers.len(), show.who),
                sum(|seen| seen.video_packets),
                sum(|seen| seen.audio_packets),
                sum(|seen| seen.frames),
                show.lost(),
                percentile(&firsts, 1.0).unwrap_or(f64::NAN),
                show.viewers.iter().map(|seen| seen.longest_gap_ms).max().unwrap_or(0),
            );
        }
        let status = self.studio.relay.cli().json("status")?;
        let dataplane = &status["dataplane"];
        println!("\n  relay-1, mode {}: {}", dataplane["mode"].text(), dataplane["modeReason"].text());
        println!(
            "  first: from the offer to the first decoded frame, of the slowest viewer. gap: the longest between two\n  \
             frames, which come every 33 ms. Viewers of egress-1 have watched through all changes.\n"
        );
        Ok(())
    }

    /// The script that people use by hand says the same.
    pub fn verify_ssrcs(&self) -> Result<bool> {
        let mut all = true;
        for (port, ssrc) in [(AUDIO, AUDIO_SSRC), (VIDEO, VIDEO_SSRC)] {
            let (port, ssrc) = (port.to_string(), ssrc.to_string());
            let arguments = ["egress-2", "eth0", &port, &ssrc, "2"];
            say(&format!("scripts/verify-ssrc.sh {}", arguments.join(" ")));
            let output = Command::new(script("verify-ssrc.sh")).args(arguments).output();
            let output = output.context("verify-ssrc.sh")?;
            print!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            all &= output.status.success();
        }
        Ok(all)
    }

    /// The pages, for as long as anybody likes.
    pub fn stay_up(&self) -> Result<()> {
        self.studio.let_host_in()?;
        let mut pages = Vec::new();
        for (port, node) in [
            (INJECTION_API, self.studio.injection_address()?),
            (EGRESS_API, self.studio.egress_address(0)?),
            (EGRESS_API + 1, self.studio.egress_address(1)?),
        ] {
            pages.push(page(port, node));
        }
        println!("\nIt stays up until Ctrl-C. The broadcast, in a browser of this machine:");
        println!("  {}/?id={SESSION}    from egress-1", pages[1]);
        println!("  {}/?id={SESSION}    from egress-2", pages[2]);
        self.studio.create_session(YOURS, [AUDIO_SSRC + 1, VIDEO_SSRC + 1])?;
        println!("Publish yourself, with the token {}, and watch that:", self.studio.whip_token());
        println!("  {}/publish?id={YOURS}", pages[0]);
        println!("  {}/?id={YOURS}", pages[1]);
        let program = relay_ctl();
        let program = fs::canonicalize(&program).unwrap_or(program);
        let (program, pins) = (program.display(), self.relay_pins());
        let pins = pins.display();
        println!("In another terminal, try:");
        for command in ["status", "children", "streams"] {
            println!("  ip netns exec relay-1 {program} {command} --pin-root {pins}");
        }
        println!("  ip netns exec control redis-cli SREM children:relay-1 egress-2    # and SADD");
        println!(
            "  ip netns exec relay-1 {program} capture --ssrc {VIDEO_SSRC} --count 10 -w - | tcpdump -n -r -"
        );
        println!("  {} egress-2 eth0 {VIDEO} {VIDEO_SSRC}", script("verify-ssrc.sh").display());
        println!("  bpftool map dump pinned {pins}/eth0/v*/STREAMS\n");
        while pause(Duration::from_secs(1)).is_ok() {
            if let Some(status) = self.publisher.process().status()? {
                bail!("the publisher ended ({status}): {}", self.publisher.process().tail());
            }
        }
        Ok(())
    }
}

/// The address of a node's pages: by loopback, where a browser trusts them, if that port is free.
fn page(port: u16, node: SocketAddr) -> String {
    match door::open(port, node) {
        Ok(()) => format!("http://127.0.0.1:{port}"),
        Err(error) => {
            say(&format!("{error:#}"));
            format!("http://{node}")
        }
    }
}
