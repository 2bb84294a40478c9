//! Whether media can reach this egress. Pure: what Redis says of its place, when media came last and the time in; a
//! [`Standing`] out.
//!
//! Silence alone does not say that a node is cut off: its sessions may have no publisher at present. So it takes a second thing:
//! the topology says that nothing will come, or others of the tree have what does not come here ([`Cut`]). And a topology
//! alone does not either: as long as media comes, viewers are shown it, whatever Redis says.
//!
//! What others say is late: one that has just lost its media says for a while that it has some. So it counts only if it cannot be
//! about the time before nothing came here ([`SAID_LATE`]): a publisher that stops is silent everywhere.

use std::fmt;
use std::time::Duration;

use super::asking::{Asking, Question};
use crate::activity::STALLED;

/// No packet of any session for so long is silence, which has to have a reason.
pub const SILENT: Duration = Duration::from_secs(1);
/// The same of a node that has no parent any more: the reason is known already.
const SILENT_WITHOUT_PARENT: Duration = Duration::from_millis(250);
/// An egress says so long after its last packet that it has media: until that counts as stalled, is judged, written and read.
pub const SAID_LATE: Duration = STALLED.saturating_add(Duration::from_millis(500));

/// Why no media comes, and will not by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cut {
    /// `parent:{id}` was deleted; it was that one.
    NoParent(String),
    /// The relay that is its parent does not have it among its children.
    NotItsChild(String),
    /// The parent is not registered.
    ParentGone(String),
    /// Another egress has had media of a session since it is silent here.
    PassedBy(String),
}

impl Cut {
    /// The topology says so. What others see may have passed by the time that it is read, so that no mountpoint ends for that.
    pub fn is_certain(&self) -> bool {
        !matches!(self, Cut::PassedBy(_))
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cut::NoParent(was) => write!(f, "it has no parent any more (it was {was})"),
            Cut::NotItsChild(parent) => write!(f, "its parent {parent} does not have it among its children"),
            Cut::ParentGone(parent) => write!(f, "its parent {parent} is not registered any more"),
            Cut::PassedBy(parent) => {
                write!(f, "nothing comes from its parent {parent}, and other egresses have media")
            }
        }
    }
}

/// How an egress stands in its tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// Media comes, or nothing says that it will not.
    #[default]
    Attached,
    /// It has no parent any more, but media comes all the same: viewers see it, and nobody is sent here.
    Orphaned(Cut),
    /// No media comes. Mountpoints are kept for the grace.
    CutOff(Cut),
    /// The same for longer than that: it has no mountpoints any more, until it is attached again.
    Released(Cut),
}

impl Standing {
    /// Why nobody is to be sent here, and those who are here had better be elsewhere.
    pub fn cut(&self) -> Option<&Cut> {
        match self {
            Standing::Attached => None,
            Standing::Orphaned(cut) | Standing::CutOff(cut) | Standing::Released(cut) => Some(cut),
        }
    }

    /// Why no media comes.
    pub fn dark(&self) -> Option<&Cut> {
        match self {
            Standing::Attached | Standing::Orphaned(_) => None,
            Standing::CutOff(cut) | Standing::Released(cut) => Some(cut),
        }
    }

    /// In a word, for operators.
    pub fn name(&self) -> &'static str {
        match self {
            Standing::Attached => "attached",
            Standing::Orphaned(_) => "orphaned",
            Standing::CutOff(_) => "cut off",
            Standing::Released(_) => "released",
        }
    }

    /// There are to be no mountpoints.
    pub fn is_released(&self) -> bool {
        matches!(self, Standing::Released(_))
    }
}

/// What Redis has answered to a [`Question`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Of this node's place.
    Place {
        /// The parent is registered.
        registered: bool,
        /// It is a relay: it sends to its children and to nobody else.
        is_relay: bool,
        /// It has this node among its children.
        has_us: bool,
    },
    /// Another egress says that it has media of a session that this one has a mountpoint for, and lived that long ago.
    Others(Option<Duration>),
}

impl Answer {
    /// Nothing will come, if it is as this says.
    pub fn cuts_off(&self) -> bool {
        match self {
            Answer::Place { registered, is_relay, has_us } => !registered || *is_relay && !has_us,
            Answer::Others(_) => false,
        }
    }
}

/// What follows from the last answer to each question.
#[derive(Clone, Debug, Default)]
struct Evidence {
    place: Option<Cut>,
    others: Option<Cut>,
}

impl Evidence {
    /// Nothing had come from this parent for so long when it was asked.
    fn learn(&mut self, parent: &str, answer: Answer, silent: Duration) {
        let parent = parent.to_owned();
        match answer {
            Answer::Place { registered: false, .. } => self.place = Some(Cut::ParentGone(parent)),
            Answer::Place { is_relay: true, has_us: false, .. } => {
                self.place = Some(Cut::NotItsChild(parent));
            }
            Answer::Place { .. } => self.place = None,
            Answer::Others(lived) => {
                let counts = lived.is_some_and(|age| silent >= age.saturating_add(SAID_LATE));
                self.others = counts.then_some(Cut::PassedBy(parent));
            }
        }
    }

    fn cut(&self) -> Option<Cut> {
        self.place.clone().or_else(|| self.others.clone())
    }
}

/// This egress.
#[derive(Clone, Debug)]
pub struct Node {
    grace: Duration,
    /// Its parent, as Redis names it now.
    parent: Option<String>,
    /// The one that was named last.
    last: Option<String>,
    /// Since when that is so.
    named: Duration,
    /// When media came last.
    media: Option<Duration>,
    /// What Redis answered, since nothing comes.
    evidence: Evidence,
    asking: Asking,
    /// Since when it is cut off.
    cut_at: Option<Duration>,
    standing: Standing,
}

impl Node {
    /// Nothing known yet. `grace`: how long mountpoints are kept when it is cut off.
    pub fn new(grace: Duration) -> Node {
        Node {
            grace,
            parent: None,
            last: None,
            named: Duration::ZERO,
            media: None,
            evidence: Evidence::default(),
            asking: Asking::default(),
            cut_at: None,
            standing: Standing::default(),
        }
    }

    /// How it stands, as it was judged last.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Redis names this parent, or none. Also between two judgements: one that was named for a moment was named.
    pub fn is_child_of(&mut self, parent: Option<&str>, now: Duration) {
        if self.parent.as_deref() == parent {
            return;
        }
        self.parent = parent.map(str::to_owned);
        self.last = self.parent.clone().or(self.last.take());
        self.evidence = Evidence::default();
        // One that is new is given a moment.
        if parent.is_some() {
            self.named = now;
        }
    }

    /// How it stands now. `parent`: as Redis names it; `media`: how long ago the last packet of any session came.
    pub fn judge(&mut self, parent: Option<&str>, media: Option<Duration>, now: Duration) -> &Standing {
        self.is_child_of(parent, now);
        self.media = self.media.max(media.map(|age| now.saturating_sub(age)));
        if !self.is_silent(SILENT, now) {
            self.evidence = Evidence::default();
            self.asking = Asking::default();
        }
        let (cut, silent) = match (&self.parent, &self.last) {
            (None, Some(was)) => (Some(Cut::NoParent(was.clone())), SILENT_WITHOUT_PARENT),
            (None, None) => (None, SILENT),
            (Some(_), _) => (self.evidence.cut(), SILENT),
        };
        self.standing = match cut {
            None => Standing::Attached,
            Some(cut) if !self.is_silent(silent, now) => Standing::Orphaned(cut),
            Some(cut) => {
                let cut_at = *self.cut_at.get_or_insert(now);
                match cut.is_certain() && now >= cut_at + self.grace {
                    true => Standing::Released(cut),
                    false => Standing::CutOff(cut),
                }
            }
        };
        if self.standing.dark().is_none() {
            self.cut_at = None;
        }
        &self.standing
    }

    /// What Redis is to be asked now, nothing coming from the parent that this gives. A node that media never came to is not cut off: it
    /// has not been given its place yet. `egresses`: of the tree; `drawn`: by chance, from 0 to 1.
    pub fn asks(&mut self, now: Duration, egresses: usize, drawn: f64) -> Option<(String, Question)> {
        let parent = self.parent.clone()?;
        self.media?;
        let question = self.asking.due(self.silent_for(now), egresses, drawn)?;
        Some((parent, question))
    }

    /// Redis has answered about that parent. `asked`: when.
    pub fn heard(&mut self, parent: &str, answer: Answer, asked: Duration) {
        // Another may have been named meanwhile.
        if self.parent.as_deref() == Some(parent) {
            let silent = self.silent_for(asked);
            self.evidence.learn(parent, answer, silent);
        }
    }

    fn is_silent(&self, long: Duration, now: Duration) -> bool {
        self.silent_for(now) >= long
    }

    fn silent_for(&self, now: Duration) -> Duration {
        now.saturating_sub(self.media.unwrap_or_default().max(self.named))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Media came 10 ms ago.
    const FRESH: Option<Duration> = Some(Duration::from_millis(10));
    const FINE: Answer = Answer::Place { registered: true, is_relay: true, has_us: true };
    const NOT_ITS_CHILD: Answer = Answer::Place { registered: true, is_relay: true, has_us: false };

    /// What it asks, in a small tree, and neither sooner nor later than others.
    fn asks(node: &mut Node, now: Duration) -> Option<(String, Question)> {
        node.asks(now, 2, 0.5)
    }

    fn fed() -> Node {
        let mut node = Node::new(ms(10_000));
        assert_eq!(*node.judge(Some("r"), FRESH, ms(1_000)), Standing::Attached);
        node
    }

    #[test]
    fn a_parent_that_is_removed_cuts_off_as_soon_as_nothing_comes() {
        let mut node = fed();
        let cut = || Cut::NoParent("r".to_owned());
        assert_eq!(*node.judge(None, FRESH, ms(2_000)), Standing::Orphaned(cut()));
        assert_eq!(*node.judge(None, Some(ms(249)), ms(2_239)), Standing::Orphaned(cut()));
        assert_eq!(*node.judge(None, Some(ms(250)), ms(2_240)), Standing::CutOff(cut()));
        assert_eq!(*node.judge(None, Some(ms(9_000)), ms(12_239)), Standing::CutOff(cut()));
        assert_eq!(*node.judge(None, Some(ms(9_000)), ms(12_240)), Standing::Released(cut()));
        assert_eq!(asks(&mut node, ms(12_240)), None, "it is known why");
        assert_eq!(*node.judge(Some("r"), Some(ms(9_000)), ms(13_000)), Standing::Attached);
    }

    #[test]
    fn media_that_comes_is_shown_whatever_redis_says() {
        let mut node = fed();
        node.judge(None, Some(ms(5_000)), ms(20_000));
        assert!(node.judge(None, Some(ms(5_000)), ms(40_000)).is_released());
        assert!(node.judge(None, FRESH, ms(40_100)).dark().is_none());
        assert!(node.judge(None, Some(ms(500)), ms(41_000)).dark().is_some());
        assert!(!node.judge(None, Some(ms(500)), ms(41_000)).is_released(), "it has another grace");
    }

    #[test]
    fn silence_without_a_reason_is_a_pause() {
        let mut node = fed();
        for second in 2..100 {
            let now = ms(1_000 * second);
            assert_eq!(*node.judge(Some("r"), Some(now - ms(990)), now), Standing::Attached);
            node.heard("r", FINE, now);
            node.heard("r", Answer::Others(None), now);
        }
    }

    #[test]
    fn silence_with_a_reason_cuts_off() {
        let at = |answer: Answer| {
            let mut node = fed();
            node.judge(Some("r"), Some(ms(1_000)), ms(2_000));
            let place = Some(("r".to_owned(), Question::Place));
            assert_eq!(
                [2_000, 2_001, 2_500].map(|now| asks(&mut node, ms(now))),
                [None, place.clone(), None]
            );
            node.heard("r", answer, ms(2_001));
            let first = node.judge(Some("r"), Some(ms(1_100)), ms(2_100)).clone();
            (first, node.judge(Some("r"), Some(ms(11_200)), ms(12_200)).clone())
        };
        let r = || "r".to_owned();
        let cut = |cut: Cut| (Standing::CutOff(cut.clone()), Standing::Released(cut));
        assert_eq!(at(NOT_ITS_CHILD), cut(Cut::NotItsChild(r())));
        let gone = Answer::Place { registered: false, is_relay: false, has_us: true };
        assert_eq!(at(gone), cut(Cut::ParentGone(r())));
        // An injection may send to it all the same, as a recipient of the session.
        let injection = Answer::Place { registered: true, is_relay: false, has_us: false };
        assert_eq!(at(injection), (Standing::Attached, Standing::Attached));
    }

    /// What others say is held against the silence here; `said`: how long before that they lived.
    #[test]
    fn what_others_have_counts_only_if_it_came_after_the_silence_began() {
        let mut node = fed();
        let mut at = |now: u64, said: Option<u64>| {
            let media = Some(ms(now - 1_000));
            node.judge(Some("r"), media, ms(now));
            node.heard("r", Answer::Others(said.map(ms)), ms(now));
            // The other question's answer takes nothing back.
            node.heard("r", FINE, ms(now));
            node.judge(Some("r"), media, ms(now)).clone()
        };
        // A publisher stops at 1 s: others say for two seconds more that they have media, in words that may be older yet.
        for (now, said) in [(2_000, 0), (2_500, 200), (2_999, 0), (3_500, 501), (5_000, 2_500)] {
            assert_eq!(at(now, Some(said)), Standing::Attached, "{now} ms, said {said} ms before");
        }
        let cut = Standing::CutOff(Cut::PassedBy("r".to_owned()));
        assert_eq!(at(5_000, Some(2_000)), cut, "they have had some since");
        assert_eq!(at(60_000, Some(100)), cut, "what others see ends no mountpoint");
        assert_eq!(at(60_500, None), Standing::Attached, "nor do they have any now");
    }

    #[test]
    fn a_reason_that_passes_and_media_that_comes_attach_it_again() {
        let mut node = fed();
        let lost = NOT_ITS_CHILD;
        node.judge(Some("r"), Some(ms(1_000)), ms(2_000));
        node.heard("r", lost, ms(2_000));
        assert!(node.judge(Some("r"), Some(ms(1_100)), ms(2_100)).dark().is_some());
        node.heard("another", FINE, ms(2_200));
        assert!(
            node.judge(Some("r"), Some(ms(1_200)), ms(2_200)).dark().is_some(),
            "it is not about this one"
        );
        node.heard("r", FINE, ms(2_300));
        assert_eq!(*node.judge(Some("r"), Some(ms(1_300)), ms(2_300)), Standing::Attached);
        node.heard("r", lost, ms(2_400));
        assert!(node.judge(Some("r"), Some(ms(1_400)), ms(2_400)).dark().is_some());
        assert_eq!(*node.judge(Some("r"), FRESH, ms(2_500)), Standing::Attached);
    }

    #[test]
    fn one_that_has_not_been_given_its_place_is_not_cut_off() {
        let mut node = Node::new(ms(10));
        assert_eq!(*node.judge(None, None, ms(60_000)), Standing::Attached);
        assert_eq!(*node.judge(Some("r"), None, ms(61_000)), Standing::Attached);
        node.judge(Some("r"), None, ms(70_000));
        assert_eq!(asks(&mut node, ms(70_000)), None, "nothing ever came");
    }

    #[test]
    fn a_parent_that_was_named_for_a_moment_was_named() {
        let mut node = Node::new(ms(10));
        node.is_child_of(Some("r"), ms(1_000));
        assert!(node.judge(None, None, ms(1_250)).dark().is_some());
    }

    #[test]
    fn a_new_parent_is_given_a_moment() {
        let mut node = fed();
        node.judge(None, Some(ms(4_000)), ms(5_000));
        assert_eq!(*node.judge(Some("q"), Some(ms(5_000)), ms(6_000)), Standing::Attached);
        assert_eq!(asks(&mut node, ms(6_999)), None);
        node.judge(Some("q"), Some(ms(6_000)), ms(7_000));
        assert_eq!(
            [7_000, 7_001].map(|now| asks(&mut node, ms(now)).map(|(of, _)| of)),
            [None, Some("q".to_owned())]
        );
    }
}
