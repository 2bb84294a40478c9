//! [`Pictures`]: from packets of video to decoded frames, by GStreamer, and what became of them.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use gst::prelude::*;
use str0m::format::Codec;

use crate::stamp;
use crate::watcher::locked;

/// How much of the video is decoded. Decoding is what many viewers on one machine cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Decode {
    /// Up to the first picture.
    First,
    /// Everything, which the time in the pictures needs.
    All,
}

/// What became of the pictures.
#[derive(Clone, Debug, Default)]
pub struct Pictures {
    /// Whole frames.
    pub frames: u64,
    /// Frames that were decoded.
    pub decoded: u64,
    /// The first decoded frame.
    pub first: Option<Instant>,
    pub last: Option<Instant>,
    /// Longest time between two frames.
    pub longest_gap: Duration,
    /// Each decoded frame's age, from the time in it.
    pub ages_ms: Vec<u32>,
    /// What ended it.
    pub error: Option<String>,
}

impl Pictures {
    fn frame(&mut self) {
        let now = Instant::now();
        if let Some(last) = self.last {
            self.longest_gap = self.longest_gap.max(now - last);
        }
        self.last = Some(now);
        self.frames += 1;
    }
}

/// What a codec is called in caps.
pub fn encoding(codec: Codec) -> Result<&'static str> {
    match codec {
        Codec::Vp8 => Ok("VP8"),
        Codec::H264 => Ok("H264"),
        other => bail!("{other} cannot be shown"),
    }
}

/// What comes behind the source of its packets, in that order.
pub fn elements(codec: Codec, decode: Decode, pictures: &Arc<Mutex<Pictures>>) -> Result<[gst::Element; 3]> {
    let [depayloader, decoder] = match encoding(codec)? {
        "VP8" => ["rtpvp8depay", "vp8dec"],
        _ => ["rtph264depay", "avdec_h264"],
    };
    let depayloader = gst::ElementFactory::make(depayloader)
        .property("request-keyframe", true)
        .property("wait-for-keyframe", true)
        .build()?;
    let decoder = gst::ElementFactory::make(decoder).build()?;
    let sink =
        gst::ElementFactory::make("fakesink").property("sync", false).property("async", false).build()?;
    watch_frames(&depayloader, decode, pictures)?;
    watch_pictures(&sink, pictures)?;
    Ok([depayloader, decoder, sink])
}

/// Counts frames, and keeps those from the decoder that nobody wants decoded.
fn watch_frames(depayloader: &gst::Element, decode: Decode, pictures: &Arc<Mutex<Pictures>>) -> Result<()> {
    let noted = pictures.clone();
    let pad = depayloader.static_pad("src").context("no frames")?;
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        let mut pictures = locked(&noted);
        pictures.frame();
        if decode == Decode::First && pictures.decoded > 0 {
            return gst::PadProbeReturn::Drop;
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

/// Counts pictures, and reads the time in them.
fn watch_pictures(sink: &gst::Element, pictures: &Arc<Mutex<Pictures>>) -> Result<()> {
    let noted = pictures.clone();
    let pad = sink.static_pad("sink").context("no pictures")?;
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let now = crate::now_ms();
        let width = pad.current_caps().and_then(|caps| caps.structure(0)?.get::<i32>("width").ok());
        let map = info.buffer().and_then(|buffer| buffer.map_readable().ok());
        // I420 without more ado has its luma first, in rows that are a multiple of 4 long.
        let painted =
            width.zip(map).and_then(|(width, map)| stamp::read(&map, (width as usize).div_ceil(4) * 4));
        let mut pictures = locked(&noted);
        pictures.decoded += 1;
        pictures.first.get_or_insert_with(Instant::now);
        pictures.ages_ms.extend(painted.map(|made| now.wrapping_sub(made)));
        gst::PadProbeReturn::Ok
    });
    Ok(())
}
