//! Janus VideoRoom `rtp_forward`, one forwarder for each child: what a copy costs, and what a change does.
//!
//! What it forwards comes from a WebRTC publisher, so nobody can offer it packets at an exact rate. Its CPU time for a copy is
//! therefore the slope: the same publication with more forwarders and with fewer, by the process' own account.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::relay::Mode;
use lab::studio::VIEWERS;
use lab::{Lab, Sink, Studio};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::daemon::cpu_ns;
use crate::figures::Times;
use crate::peers::Row;
use crate::stamps::{Stamps, realtime_ns};

const SESSION: &str = "bench";
/// Of the video. A frame of the test picture is one packet, so these are packets a second, too.
const FRAMES: &str = "200";
const STAYERS: u16 = 4;
const SPACE: Duration = Duration::from_millis(60);
const TIMEOUT: Duration = Duration::from_secs(20);
/// Forwarders for the slope.
const STEPS: [usize; 4] = [0, 8, 64, 256];
/// What is sent there is routed to a host that is not it and drops it, as cheap as can be.
const NOWHERE: Ipv4Addr = Ipv4Addr::new(10, 77, 9, 0);

/// CPU time with so many forwarders.
struct Step {
    forwarders: usize,
    packets: u64,
    cpu_ns: u64,
    seconds: f64,
}

/// The row for the table of changes, and a text and figures for the costs.
pub fn run(rounds: usize, time: Duration) -> Result<(Row, String, Value)> {
    let lab = Lab::new("bench-videoroom-")?;
    let studio = Studio::open(&lab, Mode::Xdp, 0, 0)?;
    studio.create_session(SESSION, [7777, 8888])?;
    let publisher = studio.publish(SESSION, &["--fps", FRAMES])?;
    let viewers = lab::studio::address(VIEWERS)?;
    let at = |number: u16| SocketAddr::from((viewers, 20_000 + 2 * number));
    let sink = Sink::bind_media(&lab, VIEWERS, (0..STAYERS).map(at).collect())?;
    let stamps = Stamps::bind(&lab, VIEWERS, &[at(STAYERS)])?;
    let room = Room::enter(&studio).with_context(|| publisher.process().tail())?;
    for stayer in 0..STAYERS {
        room.forward(at(stayer))?;
    }
    let flowing = sink.wait_until(TIMEOUT, |flows| flows.len() == usize::from(STAYERS));
    ensure!(flowing, "no media at those that stay: {:?}", sink.report());

    let mut added = Times::default();
    for _ in 0..rounds {
        lab::interrupt::check()?;
        stamps.reset();
        let asked = realtime_ns();
        let forwarder = room.forward(at(STAYERS))?;
        let first = stamps.wait_first(TIMEOUT)?;
        added.push(first.saturating_sub(asked) as f64 / 1e6);
        std::thread::sleep(SPACE);
        room.stop(forwarder)?;
        std::thread::sleep(SPACE);
    }
    let flows = sink.report();
    let row = Row {
        name: "Janus VideoRoom, rtp_forward (a packet every 5 ms)",
        added,
        changes: 2 * rounds,
        lost: flows.iter().map(|flow| flow.lost).sum(),
        duplicated: flows.iter().map(|flow| flow.duplicated).sum(),
    };

    let via = viewers.to_string();
    lab.run("injection-1", &["ip", "route", "add", &format!("{NOWHERE}/24"), "via", &via])?;
    let mut steps = Vec::new();
    let mut forwarders = 0;
    for wanted in STEPS {
        while forwarders < wanted {
            let [a, b, c, _] = NOWHERE.octets();
            room.forward(
                (Ipv4Addr::new(a, b, c, 1 + (forwarders % 250) as u8), 5004 + forwarders as u16).into(),
            )?;
            forwarders += 1;
        }
        steps.push(measure(&studio, &sink, wanted, time)?);
    }
    publisher.stop()?;
    Ok((row, markdown(&steps)?, figures(&steps)?))
}

fn measure(studio: &Studio<'_>, sink: &Sink, forwarders: usize, time: Duration) -> Result<Step> {
    let packets = || sink.report().iter().map(|flow| flow.packets).sum::<u64>() / u64::from(STAYERS);
    let janus = studio.videoroom.process().pid();
    let (before, used, began) = (packets(), cpu_ns(janus)?, Instant::now());
    while began.elapsed() < time {
        lab::interrupt::check()?;
        std::thread::sleep(Duration::from_millis(20));
    }
    let (cpu_ns, seconds) = (cpu_ns(janus)? - used, began.elapsed().as_secs_f64());
    Ok(Step { forwarders, packets: packets() - before, cpu_ns, seconds })
}

impl Step {
    fn packets_a_second(&self) -> f64 {
        self.packets as f64 / self.seconds
    }

    /// CPU time for a packet, with all its copies.
    fn ns_a_packet(&self) -> f64 {
        self.cpu_ns as f64 / self.packets as f64
    }

    /// By how much more it is than with fewer forwarders, for each of those that came in addition.
    fn ns_a_copy(&self, fewer: &Step) -> f64 {
        (self.ns_a_packet() - fewer.ns_a_packet()) / (self.forwarders - fewer.forwarders) as f64
    }
}

fn markdown(steps: &[Step]) -> Result<String> {
    let none = steps.first().context("nothing measured")?;
    let mut text = format!(
        "\n### Janus VideoRoom: CPU time of its process, with VP8 from one publisher\n\n\
         | forwarders more than {} | packets/s published | share of a CPU | ns for each copy more |\n|---|---|---|---|\n",
        STAYERS + 1
    );
    for step in steps {
        let copy = match step.forwarders {
            0 => "-".to_owned(),
            _ => format!("{:.0}", step.ns_a_copy(none)),
        };
        let share = step.cpu_ns as f64 / step.seconds / 1e7;
        let _ = writeln!(
            text,
            "| {} | {:.0} | {share:.1} % | {copy} |",
            step.forwarders,
            step.packets_a_second()
        );
    }
    Ok(text)
}

fn figures(steps: &[Step]) -> Result<Value> {
    let none = steps.first().context("nothing measured")?;
    Ok(steps
        .iter()
        .map(|step| {
            let copy = (step.forwarders > 0).then(|| step.ns_a_copy(none));
            json!({ "forwarders": step.forwarders, "packets": step.packets, "cpu_ns": step.cpu_ns, "seconds": step.seconds, "ns_a_copy": copy })
        })
        .collect())
}

/// The session's room, by Janus' own protocol.
struct Room {
    runtime: Runtime,
    handle: janus::Handle,
    room: u64,
    publisher: Value,
    secret: &'static str,
}

impl Room {
    /// Waits for the publisher in it.
    fn enter(studio: &Studio<'_>) -> Result<Room> {
        let lab = studio.lab();
        let (url, config) = (studio.videoroom.url(), studio.videoroom.config());
        // Its threads and sockets stay in the namespace in which they are made.
        let (runtime, handle) = lab.in_namespace("injection-1", || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
            let handle = runtime.block_on(async {
                let client = janus::Client::connect(&url, Some(&config.api_secret)).await?;
                client.attach("janus.plugin.videoroom").await
            });
            Ok::<_, anyhow::Error>((runtime, handle?.0))
        })??;
        let session = studio.injection.json(&format!("/session/{SESSION}"))?;
        let room = session["roomId"].number();
        let secret = studio.videoroom_secret();
        let mut entered = Room { runtime, handle, room, publisher: Value::Null, secret };
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let list = entered.ask(json!({ "request": "listparticipants" }))?;
            let publisher =
                list["participants"].as_array().into_iter().flatten().find(|one| one["publisher"] == true);
            if let Some(publisher) = publisher {
                entered.publisher = publisher["id"].clone();
                return Ok(entered);
            }
            ensure!(Instant::now() < deadline, "nobody publishes: {list}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Has the video forwarded, by the form of the request that needs no media line's name; gives the forwarder's number.
    fn forward(&self, to: SocketAddr) -> Result<Value> {
        let reply = self.ask(json!({
            "request": "rtp_forward", "publisher_id": self.publisher, "host": to.ip().to_string(), "video_port": to.port(),
        }))?;
        let forwarder = &reply["rtp_stream"]["video_stream_id"];
        ensure!(forwarder.is_u64(), "no forwarder: {reply}");
        Ok(forwarder.clone())
    }

    fn stop(&self, forwarder: Value) -> Result<()> {
        let body =
            json!({ "request": "stop_rtp_forward", "publisher_id": self.publisher, "stream_id": forwarder });
        self.ask(body).map(drop)
    }

    fn ask(&self, mut body: Value) -> Result<Value> {
        body["room"] = json!(self.room);
        for name in ["secret", "admin_key"] {
            body[name] = json!(self.secret);
        }
        Ok(self.runtime.block_on(self.handle.message(body, None))?.data)
    }
}
