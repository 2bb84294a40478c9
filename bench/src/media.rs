//! The whole chain, from the publisher's picture to the viewer's: how soon a new viewer sees something, how old it is then,
//! and what each node takes for it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::client::{first_frames, percentile};
use lab::relay::Mode;
use lab::studio::{Studio, VIEWERS, egress};
use lab::{Lab, Process};
use serde_json::{Value, json};

use crate::daemon::cpu_ns;
use crate::machine::Machine;

const SESSION: &str = "bench";
const H264_SESSION: &str = "bench-h264";
const PATIENCE: Duration = Duration::from_secs(60);
/// What a viewer has to become one that is not behind.
const CATCH_UP: Duration = Duration::from_secs(1);
/// Pictures per second.
const RATE: f64 = 30.0;

/// The tables, and the figures as JSON.
pub fn run(mode: Mode, quick: bool) -> Result<(String, String)> {
    let (tries, viewers) = if quick { (5, 3) } else { (20, 20) };
    let time = Duration::from_secs(if quick { 5 } else { 20 });
    let machine = Machine::describe()?;
    eprintln!("bench: {machine}; a broadcast through the relay in mode {mode}");
    let lab = Lab::new("bench-media-")?;
    let studio = Studio::open_with_rtmp(&lab, mode, 2, 2)?;
    studio.create_session(SESSION, [7777, 8888])?;
    let publisher = studio.publish(SESSION, &[])?;
    for index in 0..2 {
        studio.wait_active(index, SESSION).with_context(|| publisher.process().tail())?;
    }

    eprintln!("bench: {tries} viewers join, one after the other");
    let first = first_frames(&lab, VIEWERS, &studio.whep(0, SESSION)?, tries)?;
    let whole: Vec<f64> = first.iter().filter_map(|seen| seen.first_frame_ms).collect();
    let first: Vec<f64> = first.iter().filter_map(|seen| seen.offer_to_frame_ms).collect();
    let keyframes = publisher.report().keyframes;

    eprintln!("bench: glass to glass, for {} s through the relay", time.as_secs());
    let through = ages(&studio, time)?;
    eprintln!("bench: the same from the injection straight to egress-1");
    studio.bypass(0)?;
    std::thread::sleep(Duration::from_secs(1));
    let without = ages(&studio, time)?;
    studio.unbypass(0)?;
    studio.wait_active(0, SESSION)?;

    eprintln!("bench: {viewers} viewers on each egress");
    let watching = studio.view(SESSION, &[0, 1], viewers, &[])?;
    watching.wait_until(PATIENCE, |views| {
        views.viewers.len() == 2 * viewers && views.viewers.iter().all(|seen| seen.decoded > 0)
    })?;
    let processes = processes(&studio);
    let shares = cpu_shares(&processes, time)?;
    let lost: u64 = watching.report().viewers.iter().map(|seen| seen.video_lost + seen.audio_lost).sum();
    watching.stop()?;
    publisher.stop()?;
    let encoders = encoders(&studio, time)?;

    let mut text =
        format!("\n{machine}; 640x360 at 30/s, VP8 unless said, and Opus; relay in mode {mode}\n\n");
    let _ = writeln!(text, "| | p50 | p95 | most |\n|---|---|---|---|");
    let measured = [
        (format!("viewer's offer to first decoded frame, {tries} tries, ms"), &first),
        ("the same with the player's own start and gathering of candidates, ms".to_owned(), &whole),
        ("glass to glass through the relay, ms".to_owned(), &through),
        ("glass to glass without the relay, ms".to_owned(), &without),
    ];
    let by_encoder = encoders.iter().map(|(what, ages)| (format!("glass to glass of {what}, ms"), ages));
    for (what, values) in measured.into_iter().chain(by_encoder) {
        let at = |share| percentile(values, share).unwrap_or(f64::NAN);
        let _ = writeln!(text, "| {what} | {:.0} | {:.0} | {:.0} |", at(0.5), at(0.95), at(1.0));
    }
    let _ = writeln!(
        text,
        "\n{keyframes} keyframes sent by then; {lost} packets lost at {} viewers\n",
        2 * viewers
    );
    let _ = writeln!(text, "| {viewers} viewers on each egress | CPU |\n|---|---|");
    for ((name, _), share) in processes.iter().zip(&shares) {
        let _ = writeln!(text, "| {name} | {:.1} % |", share * 100.0);
    }
    let cpu: Value =
        processes.iter().zip(&shares).map(|((name, _), share)| (name.clone(), json!(share))).collect();
    let raw = json!({
        "mode": mode.to_string(), "firstFrameMs": first, "firstFrameOfAllMs": whole, "glassToGlassMs": through, "withoutRelayMs": without,
        "byEncoderMs": encoders.iter().cloned().collect::<BTreeMap<_, _>>(),
        "viewersOnEach": viewers, "lost": lost, "cpu": cpu,
    });
    Ok((text, raw.to_string()))
}

/// The same H264 by WHIP and by RTMP.
fn encoders(studio: &Studio<'_>, time: Duration) -> Result<Vec<(String, Vec<f64>)>> {
    studio.create_session(H264_SESSION, [7778, 8889])?;
    // Nobody can ask an RTMP encoder for a keyframe, so all make one a second.
    let gop = ["--gop", "30"];
    let mut measured = Vec::new();
    for what in ["H264 by WHIP", "H264 by RTMP, passed on", "H264 by RTMP, High profile, encoded anew"] {
        eprintln!("bench: glass to glass of {what}");
        let publisher = match what {
            _ if what.contains("WHIP") => {
                studio.publish(H264_SESSION, &["--codec", "h264", "--gop", "30"])?
            }
            _ if what.contains("anew") => {
                studio.publish_by_rtmp(H264_SESSION, &[&gop[..], &["--high"]].concat())?
            }
            _ => studio.publish_by_rtmp(H264_SESSION, &gop)?,
        };
        let began = Instant::now();
        while !studio.injection.get(&format!("/session/{H264_SESSION}"))?.body.contains("\"publishing\"") {
            ensure!(began.elapsed() < PATIENCE, "{what} does not publish: {}", publisher.process().tail());
            pause(Duration::from_millis(100))?;
        }
        studio.wait_active(0, H264_SESSION)?;
        let seen = ages_of(studio, H264_SESSION, time).with_context(|| publisher.process().tail())?;
        measured.push((what.to_owned(), seen));
        publisher.stop()?;
    }
    Ok(measured)
}

/// The age of each picture at one viewer of egress-1.
fn ages(studio: &Studio<'_>, time: Duration) -> Result<Vec<f64>> {
    ages_of(studio, SESSION, time)
}

fn ages_of(studio: &Studio<'_>, session: &str, time: Duration) -> Result<Vec<f64>> {
    let viewer = studio.view(session, &[0], 1, &["--decode", "all"])?;
    viewer.wait_until(PATIENCE, |views| {
        views.viewers.iter().all(|seen| seen.decoded > 30) && !views.viewers.is_empty()
    })?;
    // The first pictures waited for the viewer's decoder to be there.
    pause(CATCH_UP)?;
    pause(time)?;
    let ages = viewer.stop()?.ages_ms;
    let expected = (time.as_secs_f64() * RATE) as usize;
    ensure!(ages.len() > expected, "{} pictures with a time in them, {expected} were expected", ages.len());
    Ok(ages[ages.len() - expected..].iter().map(|ms| f64::from(*ms)).collect())
}

fn processes(studio: &Studio<'_>) -> Vec<(String, Process)> {
    let mut all = vec![
        ("injection".to_owned(), studio.injection.process().clone()),
        ("its Janus".to_owned(), studio.videoroom.process().clone()),
        ("relay-ctl (the copying is the kernel's)".to_owned(), studio.relay.process().clone()),
    ];
    for (index, one) in studio.egresses.iter().enumerate() {
        all.push((egress(index), one.node.process().clone()));
        all.push((format!("Janus of {}", egress(index)), one.janus.process().clone()));
    }
    all
}

/// Each one's share of a CPU.
fn cpu_shares(processes: &[(String, Process)], time: Duration) -> Result<Vec<f64>> {
    let used = || processes.iter().map(|(_, process)| cpu_ns(process.pid())).collect::<Result<Vec<_>>>();
    let (before, began) = (used()?, Instant::now());
    pause(time)?;
    let (after, seconds) = (used()?, began.elapsed().as_secs_f64());
    Ok(after.iter().zip(&before).map(|(after, before)| (after - before) as f64 / 1e9 / seconds).collect())
}

fn pause(time: Duration) -> Result<()> {
    let end = Instant::now() + time;
    while Instant::now() < end {
        lab::interrupt::check()?;
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
