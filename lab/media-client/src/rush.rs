//! `rush`: many viewers join at once, as they do when something begins, by way of one proxy: each names itself in
//! `X-Forwarded-For`, as the proxy would.
//!
//! They are light: nothing is decoded, and once a viewer has seen that media gets through, packets are counted and no longer
//! decrypted. What is measured is the server.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use lab::client::percentile;
use lab::http;
use serde_json::json;
use str0m::change::SdpAnswer;
use str0m::media::{Direction, MediaKind};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc};

/// Of a thread that keeps one viewer.
const STACK: usize = 512 * 1024;
/// A viewer that sees nothing for so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest wait for a packet, so that the end is noticed.
const TICK: Duration = Duration::from_millis(100);

#[derive(Args)]
pub struct Options {
    /// WHEP endpoint: http://ADDRESS:PORT/PATH
    #[arg(long)]
    endpoint: String,
    /// Viewers
    #[arg(long, default_value_t = 1000)]
    count: usize,
    /// Seconds in which they come, one after the other
    #[arg(long, default_value_t = 10.0)]
    within: f64,
    /// Seconds that all go on watching after the last has come
    #[arg(long, default_value_t = 5.0)]
    stay: f64,
}

/// What became of one viewer.
#[derive(Clone, Debug, Default)]
struct Outcome {
    /// The answer's status.
    status: u16,
    /// From the request to its answer.
    answered: Option<Duration>,
    /// From the request to the first packet of video.
    watched: Option<Duration>,
    /// Packets that came in the last second of all.
    at_the_end: u64,
    error: Option<String>,
}

/// Lets all join, watch and leave, and prints how that went.
pub fn run(options: &Options) -> Result<()> {
    str0m::crypto::from_feature_flags().install_process_default();
    let (server, path) = parts(&options.endpoint)?;
    let began = Instant::now();
    let within = Duration::from_secs_f64(options.within);
    let until = began + within + PATIENCE.min(Duration::from_secs_f64(options.stay + 10.0));
    let outcomes = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for number in 0..options.count {
            let (outcomes, path) = (&outcomes, path.as_str());
            let starts = began + within.mul_f64(number as f64 / options.count as f64);
            let viewer = move || {
                thread::sleep(starts.saturating_duration_since(Instant::now()));
                let mut outcome = Outcome::default();
                if let Err(error) = watch(server, path, number, until, &mut outcome) {
                    outcome.error = Some(format!("{error:#}"));
                }
                if let Ok(mut outcomes) = outcomes.lock() {
                    outcomes.push(outcome);
                }
            };
            if let Err(error) = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, viewer) {
                eprintln!("viewer {number}: no thread: {error}");
            }
        }
    });
    let outcomes = outcomes.into_inner().unwrap_or_default();
    let of = |status: u16| outcomes.iter().filter(|outcome| outcome.status == status).count();
    let statuses: BTreeMap<u16, usize> =
        outcomes.iter().map(|outcome| (outcome.status, of(outcome.status))).collect();
    let times = |of: fn(&Outcome) -> Option<Duration>| {
        let times: Vec<f64> =
            outcomes.iter().filter_map(of).map(|time| time.as_secs_f64() * 1000.0).collect();
        json!({ "p50": percentile(&times, 0.5), "p99": percentile(&times, 0.99), "most": percentile(&times, 1.0) })
    };
    let errors: BTreeMap<&str, usize> = outcomes.iter().filter_map(|outcome| outcome.error.as_deref()).fold(
        BTreeMap::new(),
        |mut all, why| {
            *all.entry(why).or_default() += 1;
            all
        },
    );
    crate::tell(&json!({
        "asked": options.count,
        "statuses": statuses,
        "watched": outcomes.iter().filter(|outcome| outcome.watched.is_some()).count(),
        "watchingAtTheEnd": outcomes.iter().filter(|outcome| outcome.at_the_end > 0).count(),
        "answerMs": times(|outcome| outcome.answered),
        "pictureMs": times(|outcome| outcome.watched),
        "errors": errors,
    }));
    Ok(())
}

/// Address and path of an endpoint.
fn parts(endpoint: &str) -> Result<(SocketAddr, String)> {
    let rest = endpoint.strip_prefix("http://").context("the endpoint must begin with http://")?;
    let (server, path) = rest.split_once('/').context("the endpoint has no path")?;
    Ok((server.parse().context("the endpoint must be at ADDRESS:PORT")?, format!("/{path}")))
}

/// One viewer, from its offer to its DELETE.
fn watch(server: SocketAddr, path: &str, number: usize, until: Instant, outcome: &mut Outcome) -> Result<()> {
    let socket = UdpSocket::bind((local_address(server)?, 0)).context("a socket")?;
    let own = socket.local_addr()?;
    let mut rtc =
        Rtc::builder().clear_codecs().enable_opus(true, false).enable_vp8(true).build(Instant::now());
    rtc.add_local_candidate(Candidate::host(own, "udp")?);
    let mut change = rtc.sdp_api();
    for kind in [MediaKind::Audio, MediaKind::Video] {
        change.add_media(kind, Direction::RecvOnly, None, None, None);
    }
    let (offer, pending) = change.apply().context("no offer")?;
    let client = format!("198.18.{}.{}", number / 250, number % 250);
    let headers = [("Content-Type", "application/sdp"), ("X-Forwarded-For", client.as_str())];
    let asked = Instant::now();
    let answer = http::request_here(server, "POST", path, &headers, &offer.to_sdp_string(), PATIENCE)?;
    outcome.status = answer.status;
    outcome.answered = Some(asked.elapsed());
    if answer.status != 201 {
        return Ok(());
    }
    let location = answer.head.lines().find_map(|line| line.strip_prefix("location: "));
    let viewer = location.and_then(|location| location.trim().rsplit('/').next()).context("no Location")?;
    let resource = format!("{path}/{viewer}");
    rtc.sdp_api().accept_answer(pending, SdpAnswer::from_sdp_string(&answer.body)?)?;
    let watched = receive(&mut rtc, &socket, own, asked, until, outcome);
    let left = http::request_here(server, "DELETE", &resource, &headers[1..], "", PATIENCE)?;
    watched?;
    ensure!(left.status == 200, "DELETE is answered {}", left.status);
    Ok(())
}

/// Takes part until all end.
fn receive(
    rtc: &mut Rtc,
    socket: &UdpSocket,
    own: SocketAddr,
    asked: Instant,
    until: Instant,
    outcome: &mut Outcome,
) -> Result<()> {
    let mut packet = [0; 2000];
    loop {
        let due = loop {
            match rtc.poll_output()? {
                Output::Timeout(due) => break due,
                Output::Transmit(sent) => {
                    socket.send_to(&sent.contents, sent.destination)?;
                }
                // A whole frame, decrypted.
                Output::Event(Event::MediaData(_)) => {
                    outcome.watched.get_or_insert_with(|| asked.elapsed());
                }
                Output::Event(_) => {}
            }
        };
        let now = Instant::now();
        if now >= until {
            return Ok(());
        }
        ensure!(rtc.is_alive(), "the connection has ended");
        ensure!(outcome.watched.is_some() || now < asked + PATIENCE, "no picture within {PATIENCE:?}");
        let wait = due.saturating_duration_since(now).min(TICK).max(Duration::from_millis(1));
        socket.set_read_timeout(Some(wait))?;
        let Ok((length, source)) = socket.recv_from(&mut packet) else {
            rtc.handle_input(Input::Timeout(Instant::now()))?;
            continue;
        };
        // RFC 7983: from 128 to 191 it is RTP or RTCP.
        let is_media = (128..=191).contains(&packet[0]);
        let now = Instant::now();
        outcome.at_the_end += u64::from(is_media && until - now.min(until) < Duration::from_secs(1));
        if is_media && outcome.watched.is_some() {
            continue;
        }
        let contents = packet[..length].try_into()?;
        let received = Receive { proto: Protocol::Udp, source, destination: own, contents };
        rtc.handle_input(Input::Receive(now, received))?;
    }
}

/// Ours, as that server sees it.
fn local_address(server: SocketAddr) -> Result<std::net::IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(server)?;
    Ok(socket.local_addr()?.ip())
}
