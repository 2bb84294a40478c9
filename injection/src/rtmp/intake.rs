//! What an encoder sends, without I/O: messages in, media units on our clock out, and whether enough is known to begin.

use std::time::Duration;

use bytes::Bytes;
use node::media::{Kind, PerKind};

use super::clock::Clock;
use super::flv::{self, Audio, Video};
use super::metadata::Metadata;

/// How long the other medium is waited for once one is there, …
const OTHER: Duration = Duration::from_secs(1);
/// … and if the encoder has announced it.
const ANNOUNCED: Duration = Duration::from_secs(10);
/// How much later than it is decoded a frame may be shown: B-frames of slow pictures.
const MOST_SHOWN_AFTER_MS: i32 = 3000;

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
    announced: PerKind<bool>,
    /// Which media there are frames of, …
    there: PerKind<bool>,
    /// … and when the first one came.
    since: Option<Duration>,
    begun: bool,
    seen_key: bool,
    /// Configured anew, or for the first time after the beginning, and not told yet.
    renewed: PerKind<bool>,
}

impl Intake {
    /// What the encoder says of its media.
    pub fn metadata(&mut self, metadata: Metadata) {
        self.announced = metadata.announced;
        self.tracks.kbits = metadata.kbits.or(self.tracks.kbits);
    }

    /// An audio message.
    pub fn audio(&mut self, timestamp: u32, body: &Bytes, now: Duration) -> Result<Option<Unit>, String> {
        match flv::audio(body)? {
            Audio::Config(config) => self.config(Kind::Audio, config),
            Audio::Frame(data) if self.tracks.audio.is_some() => {
                let at = self.clock.place(Kind::Audio, timestamp, now);
                let unit = Unit { kind: Kind::Audio, at, shown_at: at, key: true, data };
                return Ok(Some(self.frame(unit, now)));
            }
            Audio::Frame(_) | Audio::Nothing => {}
        }
        Ok(None)
    }

    /// A video message.
    pub fn video(&mut self, timestamp: u32, body: &Bytes, now: Duration) -> Result<Option<Unit>, String> {
        match flv::video(body)? {
            Video::Config(config) => self.config(Kind::Video, config),
            Video::Frame { key, shown_after_ms, data } if self.tracks.video.is_some() => {
                let at = self.clock.place(Kind::Video, timestamp, now);
                self.seen_key |= key;
                if self.seen_key {
                    let after = Duration::from_millis(shown_after_ms.clamp(0, MOST_SHOWN_AFTER_MS) as u64);
                    let unit = Unit { kind: Kind::Video, at, shown_at: at + after, key, data };
                    return Ok(Some(self.frame(unit, now)));
                }
            }
            Video::Frame { .. } | Video::Nothing => {}
        }
        Ok(None)
    }

    /// When to ask [`tracks`](Self::tracks) again even if nothing comes. `None`: nothing has come.
    pub fn due(&self) -> Option<Duration> {
        let waits = |kind| !self.there[kind] && (self.announced[kind] || self.config_of(kind).is_some());
        let patience = if Kind::BOTH.into_iter().any(waits) { ANNOUNCED } else { OTHER };
        self.since.filter(|_| !self.begun).map(|since| since + patience)
    }

    /// Once: what to begin with, as soon as frames of both media are there, or of one and the other keeps us waiting.
    pub fn tracks(&mut self, now: Duration) -> Option<Tracks> {
        let both = self.there.audio && self.there.video;
        if both || self.due().is_some_and(|due| now >= due) { self.begin() } else { None }
    }

    /// The same without waiting for anything.
    pub fn begin(&mut self) -> Option<Tracks> {
        if self.begun || self.since.is_none() {
            return None;
        }
        self.begun = true;
        self.renewed = PerKind::default();
        Some(self.known())
    }

    /// Once for each change after the beginning: what goes on with a frame of this kind, which is the first of its
    /// configuration.
    pub fn renewed(&mut self, kind: Kind) -> Option<Tracks> {
        (self.begun && std::mem::take(&mut self.renewed[kind])).then(|| self.known())
    }

    /// What there are frames of.
    fn known(&self) -> Tracks {
        let known = |kind| self.config_of(kind).filter(|_| self.there[kind]).cloned();
        Tracks { audio: known(Kind::Audio), video: known(Kind::Video), kbits: self.tracks.kbits }
    }

    fn config_of(&self, kind: Kind) -> Option<&Bytes> {
        match kind {
            Kind::Audio => self.tracks.audio.as_ref(),
            Kind::Video => self.tracks.video.as_ref(),
        }
    }

    fn frame(&mut self, unit: Unit, now: Duration) -> Unit {
        self.since.get_or_insert(now);
        self.there[unit.kind] = true;
        unit
    }

    fn config(&mut self, kind: Kind, config: Bytes) {
        let known = match kind {
            Kind::Audio => &mut self.tracks.audio,
            Kind::Video => &mut self.tracks.video,
        };
        // Some encoders repeat it.
        if known.as_ref() == Some(&config) {
            return;
        }
        *known = Some(config);
        self.renewed[kind] = true;
        if kind == Kind::Video {
            // What comes of the old configuration, or refers to it, cannot be decoded any more.
            self.seen_key = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const H264: &[u8] = &[0x17, 0, 0, 0, 0, 1, 66, 0xc0, 31, 0xff, 0xe1, 0, 0];
    const AAC: &[u8] = &[0xaf, 0, 0x12, 0x10];
    const KEY: &[u8] = &[0x17, 1, 0, 0, 0, 7];
    const DELTA: &[u8] = &[0x27, 1, 0, 0, 40, 7];
    const SOUND: &[u8] = &[0xaf, 1, 7];

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// An intake that has taken these, each at its time.
    fn having(messages: &[(u64, &'static [u8])]) -> Intake {
        let mut intake = Intake::default();
        for (ms, body) in messages {
            takes(&mut intake, *ms, body);
        }
        intake
    }

    fn takes(intake: &mut Intake, ms: u64, body: &'static [u8]) -> Option<Unit> {
        let body = Bytes::from_static(body);
        match body[0] {
            0xaf => intake.audio(ms as u32, &body, at(ms)).unwrap(),
            _ => intake.video(ms as u32, &body, at(ms)).unwrap(),
        }
    }

    fn announces(audio: bool, video: bool) -> Metadata {
        Metadata { kbits: None, announced: PerKind { audio, video } }
    }

    #[test]
    fn it_begins_with_both_media() {
        let mut intake = having(&[(0, H264)]);
        assert_eq!((intake.tracks(at(0)), intake.due()), (None, None), "a configuration is no medium");
        takes(&mut intake, 10, KEY);
        assert_eq!((intake.tracks(at(20)), intake.due()), (None, Some(at(1010))));
        intake.metadata(Metadata { kbits: Some(800), announced: PerKind::default() });
        takes(&mut intake, 30, AAC);
        takes(&mut intake, 30, SOUND);
        let tracks = intake.tracks(at(30)).unwrap();
        assert!(tracks.audio.is_some() && tracks.video.is_some() && tracks.kbits == Some(800));
        assert_eq!((intake.tracks(at(5000)), intake.due()), (None, None));
        assert_eq!((intake.renewed(Kind::Audio), intake.renewed(Kind::Video)), (None, None));
    }

    #[test]
    fn one_medium_is_enough_after_a_while() {
        let mut intake = having(&[(0, AAC), (0, SOUND)]);
        assert_eq!(intake.tracks(at(999)), None);
        let tracks = intake.tracks(at(1000)).unwrap();
        assert!(tracks.audio.is_some() && tracks.video.is_none());
    }

    /// Case A2 of the field.
    #[test]
    fn a_medium_that_is_announced_is_waited_for() {
        for only in [[(0, H264), (500, KEY)], [(0, AAC), (500, SOUND)]] {
            let mut intake = having(&only);
            intake.metadata(announces(true, true));
            assert_eq!((intake.due(), intake.tracks(at(10_499))), (Some(at(10_500)), None));
            let alone = intake.tracks(at(10_500)).unwrap();
            assert_ne!(alone.audio.is_some(), alone.video.is_some());
        }
        // What is there is not waited for.
        let mut intake = having(&[(0, H264), (500, KEY)]);
        intake.metadata(announces(false, true));
        assert_eq!(intake.due(), Some(at(1500)));
        // A configuration says as much: its keyframe may take a while.
        assert_eq!(having(&[(0, H264), (0, AAC), (500, SOUND)]).due(), Some(at(10_500)));
    }

    /// Case A2, where it is not announced: what comes later is taken up with its first frame.
    #[test]
    fn a_medium_that_comes_later_is_taken_up() {
        let mut intake = having(&[(0, H264), (0, KEY)]);
        assert!(intake.tracks(at(1000)).unwrap().audio.is_none());
        takes(&mut intake, 3000, AAC);
        takes(&mut intake, 3000, DELTA);
        assert_eq!(intake.renewed(Kind::Video), None);
        assert!(takes(&mut intake, 3001, SOUND).is_some());
        let tracks = intake.renewed(Kind::Audio).unwrap();
        assert!(tracks.audio.is_some() && tracks.video.is_some());
        assert_eq!(intake.renewed(Kind::Audio), None);
    }

    #[test]
    fn it_begins_with_what_there_is_when_it_must() {
        let mut intake = having(&[(0, H264)]);
        assert_eq!(intake.begin(), None);
        takes(&mut intake, 0, KEY);
        assert!(intake.begin().unwrap().video.is_some());
        assert_eq!((intake.begin(), intake.due()), (None, None));
    }

    #[test]
    fn frames_come_in_the_order_of_a_decoder_and_begin_with_a_keyframe() {
        const LATER: &[u8] = &[0x17, 1, 0, 0, 80, 7];
        let mut intake = Intake::default();
        assert_eq!(takes(&mut intake, 0, KEY), None, "before the configuration");
        takes(&mut intake, 0, H264);
        assert_eq!(takes(&mut intake, 0, DELTA), None, "before a keyframe");
        let unit = takes(&mut intake, 40, LATER).unwrap();
        assert_eq!((unit.kind, unit.at, unit.shown_at, unit.key), (Kind::Video, at(40), at(120), true));
        let unit = takes(&mut intake, 80, DELTA).unwrap();
        assert_eq!((unit.at, unit.shown_at, unit.key), (at(80), at(120), false));
    }

    /// Case A3 of the field.
    #[test]
    fn with_another_configuration_it_goes_on_from_the_next_keyframe() {
        const OTHER: &[u8] = &[0x17, 0, 0, 0, 0, 1, 66, 0xc0, 40, 0xff, 0xe1, 0, 0];
        let mut intake = having(&[(0, H264), (0, AAC), (0, KEY), (0, SOUND)]);
        intake.tracks(at(0)).unwrap();
        // Repeated, it is nothing new.
        takes(&mut intake, 40, H264);
        assert!(takes(&mut intake, 40, DELTA).is_some());
        assert_eq!(intake.renewed(Kind::Video), None);
        takes(&mut intake, 80, OTHER);
        assert_eq!(takes(&mut intake, 80, DELTA), None, "of the old one");
        assert!(takes(&mut intake, 120, KEY).is_some());
        assert_eq!(intake.renewed(Kind::Video).unwrap().video.as_deref(), Some(&OTHER[5..]));
        takes(&mut intake, 120, &[0xaf, 0, 0x11, 0x90]);
        assert!(takes(&mut intake, 120, SOUND).is_some());
        assert_eq!(intake.renewed(Kind::Audio).unwrap().audio.as_deref(), Some(&[0x11, 0x90][..]));
    }

    #[test]
    fn nothing_is_shown_in_an_hour() {
        let mut intake = having(&[(0, H264)]);
        let unit = takes(&mut intake, 0, &[0x17, 1, 0x7f, 0xff, 0xff, 7]).unwrap();
        assert_eq!(unit.shown_at, at(3000));
    }
}
