//! What an encoder sends, without I/O: messages in, media units on our clock out, and whether enough is known to begin.

use std::time::Duration;

use bytes::Bytes;
use node::media::Kind;

use super::clock::Clock;
use super::flv::{self, Audio, Video};

/// How long the other medium is waited for once one is there.
const OTHER: Duration = Duration::from_secs(1);

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Audio or video.
    pub kind: Kind,
    /// When it is decoded.
    pub at: Duration,
    /// When it is shown.
    pub shown_at: Duration,
    /// Needs no other frame.
    pub key: bool,
    /// AAC, or AVC's length-prefixed units.
    pub data: Bytes,
}

/// What there is to be heard and seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tracks {
    /// AAC's configuration.
    pub audio: Option<Bytes>,
    /// H264's configuration.
    pub video: Option<Bytes>,
    /// The video's bitrate, if the encoder said.
    pub kbits: Option<u32>,
}

/// Takes messages.
#[derive(Debug, Default)]
pub struct Intake {
    clock: Clock,
    tracks: Tracks,
    /// When the first configuration came.
    since: Option<Duration>,
    begun: bool,
    seen_key: bool,
}

impl Intake {
    /// The encoder's metadata.
    pub fn bitrate(&mut self, kbits: u32) {
        self.tracks.kbits = Some(kbits);
    }

    /// An audio message.
    pub fn audio(&mut self, timestamp: u32, body: &Bytes, now: Duration) -> Result<Option<Unit>, String> {
        match flv::audio(body)? {
            Audio::Config(config) => self.config(Kind::Audio, config, now)?,
            Audio::Frame(data) if self.tracks.audio.is_some() => {
                let at = self.clock.place(timestamp, now);
                return Ok(Some(Unit { kind: Kind::Audio, at, shown_at: at, key: true, data }));
            }
            Audio::Frame(_) | Audio::Nothing => {}
        }
        Ok(None)
    }

    /// A video message.
    pub fn video(&mut self, timestamp: u32, body: &Bytes, now: Duration) -> Result<Option<Unit>, String> {
        match flv::video(body)? {
            Video::Config(config) => self.config(Kind::Video, config, now)?,
            Video::Frame { key, shown_after_ms, data } if self.tracks.video.is_some() => {
                let at = self.clock.place(timestamp, now);
                self.seen_key |= key;
                if self.seen_key {
                    let after = Duration::from_millis(shown_after_ms.max(0) as u64);
                    return Ok(Some(Unit { kind: Kind::Video, at, shown_at: at + after, key, data }));
                }
            }
            Video::Frame { .. } | Video::Nothing => {}
        }
        Ok(None)
    }

    /// When to ask [`tracks`](Self::tracks) again even if nothing comes.
    pub fn due(&self) -> Option<Duration> {
        self.since.filter(|_| !self.begun).map(|since| since + OTHER)
    }

    /// Once: what to begin with, as soon as both media are known, or one and the other keeps us waiting.
    pub fn tracks(&mut self, now: Duration) -> Option<Tracks> {
        let both = self.tracks.audio.is_some() && self.tracks.video.is_some();
        if self.begun || !(both || self.due().is_some_and(|due| now >= due)) {
            return None;
        }
        self.begun = true;
        Some(self.tracks.clone())
    }

    fn config(&mut self, kind: Kind, config: Bytes, now: Duration) -> Result<(), String> {
        let known = match kind {
            Kind::Audio => &mut self.tracks.audio,
            Kind::Video => &mut self.tracks.video,
        };
        match known {
            // Some encoders repeat it.
            Some(known) if *known == config => {}
            Some(_) => {
                return Err(format!("its {kind} is configured anew; it has to publish again for that"));
            }
            None if self.begun => {
                return Err(format!("its {kind} came too late; it has to publish again for that"));
            }
            None => {
                *known = Some(config);
                self.since.get_or_insert(now);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const H264: &[u8] = &[0x17, 0, 0, 0, 0, 1, 66, 0xc0, 31, 0xff, 0xe1, 0, 0];
    const AAC: &[u8] = &[0xaf, 0, 0x12, 0x10];

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn body(bytes: &'static [u8]) -> Bytes {
        Bytes::from_static(bytes)
    }

    #[test]
    fn it_begins_with_both_media() {
        let mut intake = Intake::default();
        assert_eq!((intake.tracks(at(0)), intake.due()), (None, None));
        intake.video(0, &body(H264), at(10)).unwrap();
        assert_eq!((intake.tracks(at(20)), intake.due()), (None, Some(at(1010))));
        intake.bitrate(800);
        intake.audio(0, &body(AAC), at(30)).unwrap();
        let tracks = intake.tracks(at(30)).unwrap();
        assert!(tracks.audio.is_some() && tracks.video.is_some() && tracks.kbits == Some(800));
        assert_eq!((intake.tracks(at(5000)), intake.due()), (None, None));
    }

    #[test]
    fn one_medium_is_enough_after_a_while() {
        let mut intake = Intake::default();
        intake.audio(0, &body(AAC), at(0)).unwrap();
        assert_eq!(intake.tracks(at(999)), None);
        assert_eq!(intake.tracks(at(1000)).unwrap().video, None);
        assert!(intake.video(0, &body(H264), at(1100)).unwrap_err().contains("too late"));
    }

    #[test]
    fn frames_come_in_the_order_of_a_decoder_and_begin_with_a_keyframe() {
        let mut intake = Intake::default();
        let (delta, key): (&[u8], &[u8]) = (&[0x27, 1, 0, 0, 40, 7], &[0x17, 1, 0, 0, 80, 7]);
        assert_eq!(intake.video(0, &body(key), at(0)), Ok(None), "before the configuration");
        intake.video(0, &body(H264), at(0)).unwrap();
        assert_eq!(intake.video(0, &body(delta), at(0)), Ok(None), "before a keyframe");
        let unit = intake.video(40, &body(key), at(41)).unwrap().unwrap();
        assert_eq!((unit.kind, unit.at, unit.shown_at, unit.key), (Kind::Video, at(40), at(120), true));
        let unit = intake.video(80, &body(delta), at(99)).unwrap().unwrap();
        assert_eq!((unit.at, unit.shown_at, unit.key), (at(80), at(120), false));
    }

    #[test]
    fn the_configuration_may_be_repeated_and_not_changed() {
        let mut intake = Intake::default();
        intake.audio(0, &body(AAC), at(0)).unwrap();
        assert_eq!(intake.audio(9, &body(AAC), at(9)), Ok(None));
        assert!(intake.audio(9, &body(&[0xaf, 0, 0x11, 0x90]), at(9)).unwrap_err().contains("anew"));
    }
}
