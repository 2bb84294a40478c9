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

use crate::activity::STALLED;

/// No packet of any session for so long is silence, which has to have a reason.
pub const SILENT: Duration = Duration::from_secs(1);
/// The same of a node that has no parent any more: the reason is known already.
const SILENT_WITHOUT_PARENT: Duration = Duration::from_millis(250);
/// An egress says so long after its last packet that it has media: until that counts as stalled, is judged, written and read.
const SAID_LATE: Duration = STALLED.saturating_add(Duration::from_millis(500));
/// How often Redis is asked for a reason at first, and later.
const ASK_EVERY: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(10)];
/// Until when that is at first.
const AT_FIRST: Duration = Duration::from_secs(15);

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

/// What Redis was asked when nothing came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// The parent is registered.
    pub registered: bool,
    /// It is a relay: it sends to its children and to nobody else.
    pub is_relay: bool,
    /// It has this node among its children.
    pub has_us: bool,
    /// Another egress says that it has media of a session that this one has a mountpoint for, and lived that long ago.
    pub elsewhere: Option<Duration>,
}

impl Answers {
    /// What follows, when nothing has come for so long.
    fn cut(self, parent: &str, silent: Duration) -> Option<Cut> {
        let parent = || parent.to_owned();
        match self {
            Answers { registered: false, .. } => Some(Cut::ParentGone(parent())),
            Answers { is_relay: true, has_us: false, .. } => Some(Cut::NotItsChild(parent())),
            Answers { elsewhere: Some(age), .. } if silent >= age.saturating_add(SAID_LATE) => {
                Some(Cut::PassedBy(parent()))
            }
            _ => None,
        }
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
    evidence: Option<Cut>,
    ask_at: Duration,
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
            evidence: None,
            ask_at: Duration::ZERO,
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
        self.evidence = None;
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
            self.evidence = None;
            self.ask_at = now;
        }
        let (cut, silent) = match (&self.parent, &self.last) {
            (None, Some(was)) => (Some(Cut::NoParent(was.clone())), SILENT_WITHOUT_PARENT),
            (None, None) => (None, SILENT),
            (Some(_), _) => (self.evidence.clone(), SILENT),
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

    /// Whether Redis is to be asked now why nothing comes from the parent that this gives. A node that media never came to is not
    /// cut off: it has not been given its place yet.
    pub fn asks(&mut self, now: Duration) -> Option<String> {
        let parent = self.parent.clone()?;
        let silent = self.media.is_some() && self.is_silent(SILENT, now);
        if !silent || now < self.ask_at {
            return None;
        }
        let early = !self.is_silent(SILENT + AT_FIRST, now);
        self.ask_at = now + ASK_EVERY[usize::from(!early)];
        Some(parent)
    }

    /// Redis has answered about that parent. `asked`: when.
    pub fn heard(&mut self, parent: &str, answers: Answers, asked: Duration) {
        // Another may have been named meanwhile.
        if self.parent.as_deref() == Some(parent) {
            self.evidence = answers.cut(parent, self.silent_for(asked));
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
    const FINE: Answers = Answers { registered: true, is_relay: true, has_us: true, elsewhere: None };

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
        assert_eq!(node.asks(ms(12_240)), None, "it is known why");
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
            if let Some(parent) = node.asks(now) {
                node.heard(&parent, FINE, now);
            }
        }
    }

    #[test]
    fn silence_with_a_reason_cuts_off() {
        let at = |answers: Answers| {
            let mut node = fed();
            node.judge(Some("r"), Some(ms(1_000)), ms(2_000));
            let parent = node.asks(ms(2_000)).unwrap();
            assert_eq!(node.asks(ms(2_499)), None, "not all the time");
            node.heard(&parent, answers, ms(2_000));
            let first = node.judge(Some("r"), Some(ms(1_100)), ms(2_100)).clone();
            (first, node.judge(Some("r"), Some(ms(11_200)), ms(12_200)).clone())
        };
        let r = || "r".to_owned();
        let cut = |cut: Cut| (Standing::CutOff(cut.clone()), Standing::Released(cut));
        assert_eq!(at(Answers { has_us: false, ..FINE }), cut(Cut::NotItsChild(r())));
        assert_eq!(at(Answers { registered: false, ..FINE }), cut(Cut::ParentGone(r())));
        // An injection may send to it all the same, as a recipient of the session.
        let injection = Answers { is_relay: false, has_us: false, ..FINE };
        assert_eq!(at(injection), (Standing::Attached, Standing::Attached));
    }

    /// What others say is held against the silence here; `said`: how long before that they lived.
    #[test]
    fn what_others_have_counts_only_if_it_came_after_the_silence_began() {
        let mut node = fed();
        let mut at = |now: u64, said: Option<u64>| {
            let media = Some(ms(now - 1_000));
            node.judge(Some("r"), media, ms(now));
            let elsewhere = said.map(ms);
            node.heard("r", Answers { elsewhere, ..FINE }, ms(now));
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
        let lost = Answers { has_us: false, ..FINE };
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
        assert_eq!(node.asks(ms(70_000)), None, "nothing ever came");
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
        assert_eq!(node.asks(ms(6_999)), None);
        assert_eq!(node.asks(ms(7_000)).as_deref(), Some("q"));
    }
}
