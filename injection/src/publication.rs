//! A publication's life, without I/O: what Janus says and the time in, its stage and its end out.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

/// How long ICE and DTLS may take.
const CONNECTING: Duration = Duration::from_secs(15);
/// How long after that the first media may take.
const FIRST_MEDIA: Duration = Duration::from_secs(5);
/// How long one that has not sent anything yet keeps its place when another wants it.
const HESITATION: Duration = Duration::from_secs(4);
/// How long a publication goes on whose media has stopped. A network that is away for some seconds ends nothing: only when a
/// publisher cannot be connected any more is it over (consent expires 30 s after the last sign of life, RFC 7675 section
/// 5.1). Janus says so earlier or later than that, or never, as it is configured.
const CONSENT: Duration = Duration::from_secs(30);

/// How a publication comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// By WHIP.
    Whip,
    /// By RTMP, its video as the encoder made it: keyframes come when the encoder likes.
    Rtmp,
    /// By RTMP, its video encoded anew here.
    RtmpEncodedAnew,
}

/// Whether somebody who comes may have the place of somebody who publishes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Takeover {
    /// No: it is free when the publication is over.
    Never,
    /// Of somebody whose media has stopped, or has not begun within [`HESITATION`].
    #[default]
    Silent,
    /// At once, whatever comes from there.
    Always,
}

impl Takeover {
    /// Its words, as they are configured.
    pub const WORDS: [&str; 3] = ["never", "silent", "always"];

    /// Reads one of its words.
    pub fn parse(text: &str) -> Option<Takeover> {
        let ways = [Takeover::Never, Takeover::Silent, Takeover::Always];
        Takeover::WORDS.into_iter().zip(ways).find(|(word, _)| *word == text).map(|(_, way)| way)
    }
}

/// Where a publication stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Has its answer; ICE and DTLS under way.
    Connecting,
    /// Connected, no media yet.
    Connected,
    /// Media comes.
    Publishing,
    /// All its media has stopped: it goes on when that comes back, and meanwhile its place is for whoever wants it.
    Silent,
}

/// What Janus says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// Connected.
    Up,
    /// A medium comes, or stops.
    Media { mid: String, receiving: bool },
    /// The peer connection is gone, and why.
    Gone(String),
}

/// Whether a session has room for a publisher: it has one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occupancy {
    /// There is no such session.
    Unknown,
    /// Somebody publishes.
    Busy,
    /// Nobody does, or whoever did has stopped sending.
    Free,
}

/// A publication.
#[derive(Clone, Debug)]
pub struct Publication {
    stage: Stage,
    since: Duration,
    media: BTreeMap<String, bool>,
}

impl Publication {
    /// Its answer is on the way.
    pub fn new(now: Duration) -> Publication {
        Publication { stage: Stage::Connecting, since: now, media: BTreeMap::new() }
    }

    /// Where it stands.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// A new publisher may have its place at once: as a rule if its media has stopped, or has not come for so long that it
    /// may well be dead.
    pub fn gives_way(&self, now: Duration, takeover: Takeover) -> bool {
        let silent = match self.stage {
            Stage::Connecting | Stage::Connected => now >= self.since + HESITATION,
            Stage::Publishing => false,
            Stage::Silent => true,
        };
        match takeover {
            Takeover::Never => false,
            Takeover::Silent => silent,
            Takeover::Always => true,
        }
    }

    /// Something happened. `Some`: it is over, and why.
    pub fn happens(&mut self, happening: Happening, now: Duration) -> Option<String> {
        match happening {
            Happening::Up if self.stage == Stage::Connecting => self.enter(Stage::Connected, now),
            Happening::Up => {}
            Happening::Media { mid, receiving } => {
                self.media.insert(mid, receiving);
                let stage = match self.media.values().any(|receiving| *receiving) {
                    true => Stage::Publishing,
                    false => Stage::Silent,
                };
                if self.stage != stage {
                    self.enter(stage, now);
                }
            }
            Happening::Gone(why) => return Some(why),
        }
        None
    }

    /// When to [`check`](Self::check) even if nothing happens.
    pub fn due(&self) -> Option<Duration> {
        let patience = match self.stage {
            Stage::Connecting => CONNECTING,
            Stage::Connected => FIRST_MEDIA,
            Stage::Publishing => return None,
            Stage::Silent => CONSENT,
        };
        Some(self.since + patience)
    }

    /// `Some`: it is over, and why.
    pub fn check(&self, now: Duration) -> Option<String> {
        if self.due().is_none_or(|due| now < due) {
            return None;
        }
        let why = match self.stage {
            Stage::Connecting => "no connection came about (ICE, DTLS)",
            Stage::Connected => "connected, but no media came",
            Stage::Publishing | Stage::Silent => "all its media stopped, and did not come back within 30 s",
        };
        Some(why.to_owned())
    }

    fn enter(&mut self, stage: Stage, now: Duration) {
        self.stage = stage;
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn media(mid: &str, receiving: bool) -> Happening {
        Happening::Media { mid: mid.to_owned(), receiving }
    }

    fn publishing() -> Publication {
        let mut publication = Publication::new(at(0.0));
        for happening in [Happening::Up, media("0", true), media("1", true)] {
            assert_eq!(publication.happens(happening, at(1.0)), None);
        }
        publication
    }

    #[test]
    fn it_publishes_as_long_as_any_medium_comes() {
        let mut publication = publishing();
        assert_eq!((publication.stage(), publication.due()), (Stage::Publishing, None));
        publication.happens(media("0", false), at(2.0));
        assert_eq!(
            (publication.check(at(1000.0)), publication.gives_way(at(1000.0), Takeover::Silent)),
            (None, false)
        );
    }

    #[test]
    fn silence_ends_nothing_before_consent_expires() {
        let mut publication = publishing();
        publication.happens(media("0", false), at(10.0));
        publication.happens(media("1", false), at(10.5));
        assert_eq!(publication.stage(), Stage::Silent);
        assert_eq!(publication.check(at(40.4)), None);
        assert!(publication.check(publication.due().unwrap()).unwrap().contains("media stopped"));
    }

    #[test]
    fn media_that_comes_back_saves_it() {
        let mut publication = publishing();
        publication.happens(media("0", false), at(10.0));
        publication.happens(media("1", false), at(10.0));
        publication.happens(media("1", true), at(39.0));
        assert_eq!((publication.stage(), publication.check(at(100.0))), (Stage::Publishing, None));
        assert!(!publication.gives_way(at(39.0), Takeover::Silent));
    }

    #[test]
    fn who_may_take_a_place_is_as_configured() {
        let hesitant = Publication::new(at(0.0));
        let mut silent = publishing();
        for mid in ["0", "1"] {
            silent.happens(media(mid, false), at(5.0));
        }
        let table = [("never", [false; 3]), ("silent", [true, true, false]), ("always", [true; 3])];
        for (word, wanted) in table {
            let takeover = Takeover::parse(word).unwrap();
            let given = [&hesitant, &silent, &publishing()]
                .map(|publication| publication.gives_way(at(5.0), takeover));
            assert_eq!(given, wanted, "{word}");
        }
        assert_eq!(Takeover::parse("sometimes"), None);
    }

    #[test]
    fn one_that_never_connects_or_never_sends_is_over_too() {
        let mut publication = Publication::new(at(0.0));
        let gives_way = |at| publication.gives_way(at, Takeover::Silent);
        assert!(!gives_way(at(3.9)) && gives_way(at(4.0)));
        assert!(publication.check(at(15.0)).unwrap().contains("ICE"));
        publication.happens(Happening::Up, at(2.0));
        assert_eq!(publication.check(at(6.9)), None);
        assert!(publication.check(at(7.0)).unwrap().contains("no media came"));
    }

    #[test]
    fn a_hangup_ends_it_at_once() {
        assert_eq!(
            publishing().happens(Happening::Gone("ICE failed".to_owned()), at(3.0)).unwrap(),
            "ICE failed"
        );
    }
}
