//! Audio and video, and what there is of each.

use std::fmt;
use std::ops::{Index, IndexMut};

use relay_common::layout::{self, clock_rate};
use serde::{Deserialize, Serialize};

/// What a stream is for. Each has a port of its own at every node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Sound.
    Audio,
    /// Picture.
    Video,
}

impl Kind {
    /// Both, in the order of ports and SSRCs everywhere.
    pub const BOTH: [Kind; 2] = [Kind::Audio, Kind::Video];

    /// The word for it in Redis, HTTP, metrics, SDP and Janus' API.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Audio => "audio",
            Kind::Video => "video",
        }
    }

    /// Reads that word.
    pub fn parse(name: &str) -> Option<Kind> {
        Kind::BOTH.into_iter().find(|kind| kind.name() == name)
    }

    /// The number for it in the relay's maps.
    pub const fn number(self) -> u8 {
        match self {
            Kind::Audio => layout::AUDIO,
            Kind::Video => layout::VIDEO,
        }
    }

    /// Ticks of the RTP clock in a second.
    pub const fn clock_rate(self) -> u32 {
        clock_rate(self.number())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Something of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PerKind<T> {
    /// For sound.
    pub audio: T,
    /// For the picture.
    pub video: T,
}

impl<T> PerKind<T> {
    /// What `of` gives for each, audio first.
    pub fn from_fn(mut of: impl FnMut(Kind) -> T) -> PerKind<T> {
        PerKind { audio: of(Kind::Audio), video: of(Kind::Video) }
    }

    /// The same, unless one of them fails.
    pub fn try_from_fn<E>(mut of: impl FnMut(Kind) -> Result<T, E>) -> Result<PerKind<T>, E> {
        Ok(PerKind { audio: of(Kind::Audio)?, video: of(Kind::Video)? })
    }

    /// Each as something else.
    pub fn map<U>(self, mut as_other: impl FnMut(T) -> U) -> PerKind<U> {
        PerKind { audio: as_other(self.audio), video: as_other(self.video) }
    }

    /// Borrows each.
    pub fn as_ref(&self) -> PerKind<&T> {
        PerKind { audio: &self.audio, video: &self.video }
    }

    /// Each with its kind, audio first.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, &T)> {
        [(Kind::Audio, &self.audio), (Kind::Video, &self.video)].into_iter()
    }

    /// Both, audio first.
    pub fn into_array(self) -> [T; 2] {
        [self.audio, self.video]
    }
}

impl<T: PartialEq> PerKind<T> {
    /// It is one of the two.
    pub fn contains(&self, wanted: &T) -> bool {
        self.audio == *wanted || self.video == *wanted
    }
}

impl<T> Index<Kind> for PerKind<T> {
    type Output = T;

    fn index(&self, kind: Kind) -> &T {
        match kind {
            Kind::Audio => &self.audio,
            Kind::Video => &self.video,
        }
    }
}

impl<T> IndexMut<Kind> for PerKind<T> {
    fn index_mut(&mut self, kind: Kind) -> &mut T {
        match kind {
            Kind::Audio => &mut self.audio,
            Kind::Video => &mut self.video,
        }
    }
}

impl<T> IntoIterator for PerKind<T> {
    type Item = (Kind, T);
    type IntoIter = std::array::IntoIter<(Kind, T), 2>;

    fn into_iter(self) -> Self::IntoIter {
        [(Kind::Audio, self.audio), (Kind::Video, self.video)].into_iter()
    }
}

impl<T> From<[T; 2]> for PerKind<T> {
    /// Audio first.
    fn from([audio, video]: [T; 2]) -> PerKind<T> {
        PerKind { audio, video }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_what_the_maps_of_the_relay_call_them() {
        for (kind, name, number, rate) in
            [(Kind::Audio, "audio", 0, 48_000), (Kind::Video, "video", 1, 90_000)]
        {
            assert_eq!((kind.name(), kind.number(), kind.clock_rate()), (name, number, rate));
            assert_eq!(Kind::parse(name), Some(kind));
        }
        assert_eq!(Kind::parse("data"), None);
    }

    #[test]
    fn each_kind_has_its_own() {
        let mut ports = PerKind::from([5002, 5004]);
        assert_eq!((ports[Kind::Audio], ports[Kind::Video]), (5002, 5004));
        ports[Kind::Video] += 100;
        assert_eq!(ports, PerKind { audio: 5002, video: 5104 });
        assert_eq!(ports.into_iter().collect::<Vec<_>>(), [(Kind::Audio, 5002), (Kind::Video, 5104)]);
        assert_eq!(PerKind::from_fn(Kind::name).into_array(), ["audio", "video"]);
        assert!(ports.contains(&5104) && !ports.contains(&5004));
        assert_eq!(
            PerKind::try_from_fn(|kind| if kind == Kind::Audio { Ok(1) } else { Err("no") }),
            Err("no")
        );
    }
}
