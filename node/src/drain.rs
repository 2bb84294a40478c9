//! A node that is to be taken away is emptied first: it takes nobody any more, and gives away whom it has. *Who* that is, and
//! where they go, is the node's own part: viewers of an egress, children of a relay, publications of an injection.
//!
//! [`Giver`] gives away children, as [`handover`] says.
//!
//! [`Drain`] is what all of them share: it is ordered by `POST /drain` ([`routes`]), which `DELETE` undoes, or by SIGTERM
//! ([`ended`]), after which the node ends. The node does its part while there is a [`Stage::order`], and says how far it is
//! ([`Drain::left`]) and that it is done ([`Drain::done`]). Others learn of it by the directory and the registration's status.

mod give;
pub mod handover;
mod routes;
mod signals;

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub use give::Giver;
pub use routes::{Drains, routes};
pub use signals::ended;

use crate::tree::Tree;

/// How long a node that goes on running may take, if nothing is said by `drain-limit`.
pub const DEFAULT_LIMIT: Duration = Duration::from_secs(10);

/// Most characters of what keeps a node from being emptied that the tree is told.
const LONGEST_PROBLEM: usize = 300;

/// How far a node is with giving away what it has.
#[derive(Debug)]
pub struct Drain {
    stage: watch::Sender<Stage>,
    limit: Duration,
    what: &'static str,
    /// They stay here until they end, and are not given away.
    stay: bool,
}

/// How it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stage {
    /// What was ordered. `None`: the node serves as ever.
    pub order: Option<Order>,
    /// How many it still has, as it said last.
    pub left: u64,
    /// Nobody is left.
    pub drained: bool,
    /// What keeps it from being emptied.
    pub problem: Option<String>,
    /// All who are left have nowhere else to go, at present.
    pub is_stuck: bool,
}

/// What the node was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// When.
    pub since: Instant,
    /// How long it may take.
    pub within: Duration,
    /// Who is to take what it has, if somebody was named.
    pub to: Option<String>,
    /// The node ends afterwards: nothing is undone any more.
    pub is_last: bool,
}

impl Order {
    /// What is left of its time.
    pub fn remaining(&self, now: Instant) -> Duration {
        (self.since + self.within).saturating_duration_since(now)
    }
}

/// `GET /drain`, and `drain` in `/status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DrainView {
    /// `no`, `draining` or `drained`.
    pub state: String,
    /// How many viewers, children or publications there still are.
    #[serde(default)]
    pub left: u64,
    /// Who is to take them, if somebody was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// What keeps the node from being emptied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Drain {
    /// Of a node that serves. `limit`: `drain-limit`; `what` it has to give away, in words: `viewers`.
    pub fn new(limit: Duration, what: &'static str) -> Drain {
        Drain { stage: watch::Sender::default(), limit, what, stay: false }
    }

    /// Of a node whose own go on here until they end.
    pub fn waits(self) -> Drain {
        Drain { stay: true, ..self }
    }

    /// How it stands, and from now on.
    pub fn stage(&self) -> watch::Receiver<Stage> {
        self.stage.subscribe()
    }

    /// The node is to take nobody any more.
    pub fn is_on(&self) -> bool {
        self.stage.borrow().order.is_some()
    }

    /// What is to stand in the registration instead of `active`: `draining`, `drained`.
    pub fn word(&self) -> Option<&'static str> {
        self.stage.borrow().word()
    }

    /// Begins, or goes on with somebody else as the one who takes them, or whomever the node finds. `is_last`: the node ends
    /// afterwards, and gives to whom it gave before.
    pub fn begin(&self, to: Option<String>, is_last: bool, now: Instant) {
        let within = if self.limit.is_zero() { DEFAULT_LIMIT } else { self.limit };
        self.stage.send_if_modified(|stage| match &mut stage.order {
            Some(order) => {
                let renamed = order.to != to && (to.is_some() || !is_last);
                let hastened = is_last && !order.is_last;
                if renamed {
                    order.to = to;
                    (stage.drained, stage.problem) = (false, None);
                }
                if hastened {
                    (order.is_last, order.since, order.within) = (true, now, within);
                    stage.is_stuck = false;
                }
                renamed || hastened
            }
            None => {
                let to_whom = to.as_ref().map(|to| format!(" to {to}")).unwrap_or_default();
                let fate = if self.stay { "go on until they end" } else { "go elsewhere" };
                tracing::info!("draining: no new {}, and those there are {fate}{to_whom}", self.what);
                let order = Order { since: now, within, to, is_last };
                *stage = Stage { order: Some(order), ..Stage::default() };
                true
            }
        });
    }

    /// So many there were when it was ordered: whoever ordered it is told that until the node has looked.
    pub fn counted(&self, count: u64) {
        self.stage.send_if_modified(|stage| {
            let is_news = stage.order.is_some() && !stage.drained && stage.left == 0 && count > 0;
            if is_news {
                stage.left = count;
            }
            is_news
        });
    }

    /// The node serves again. `false`: it is about to end.
    pub fn undo(&self) -> bool {
        let mut undone = true;
        self.stage.send_if_modified(|stage| {
            undone = stage.order.as_ref().is_none_or(|order| !order.is_last);
            let changes = undone && stage.order.is_some();
            if changes {
                tracing::info!("draining has been undone: {} are taken again", self.what);
                *stage = Stage::default();
            }
            changes
        });
        undone
    }

    /// So many are left, and perhaps why.
    pub fn left(&self, left: u64, problem: Option<String>) {
        self.stage.send_if_modified(|stage| {
            let new = (left, &problem) != (stage.left, &stage.problem);
            if stage.order.is_none() || !new {
                return false;
            }
            if let Some(problem) = problem.as_ref().filter(|problem| stage.problem.as_ref() != Some(problem))
            {
                tracing::warn!("draining: {problem}");
            }
            (stage.left, stage.problem) = (left, problem);
            true
        });
    }

    /// Whether all who are left have nowhere else to go: a node that ends does not wait for them. One that goes on goes on trying.
    pub fn stuck(&self, is_stuck: bool) {
        self.stage.send_if_modified(|stage| {
            let new = stage.order.is_some() && stage.is_stuck != is_stuck;
            stage.is_stuck ^= new;
            new
        });
    }

    /// What keeps the node from being emptied, for the directory: no longer than it can be there.
    pub fn problem(&self) -> Option<String> {
        Some(self.stage.borrow().problem.as_ref()?.chars().take(LONGEST_PROBLEM).collect())
    }

    /// Nobody is left.
    pub fn done(&self) {
        self.stage.send_if_modified(|stage| {
            let Some(order) = stage.order.as_ref().filter(|_| !stage.drained) else { return false };
            tracing::info!(
                "drained: no {} are left, after {:.1} s",
                self.what,
                order.since.elapsed().as_secs_f64()
            );
            (stage.left, stage.drained, stage.problem) = (0, true, None);
            true
        });
    }

    /// For people and programs.
    pub fn view(&self) -> DrainView {
        let stage = self.stage.borrow();
        DrainView {
            state: stage.word().unwrap_or("no").to_owned(),
            left: stage.left,
            to: stage.order.as_ref().and_then(|order| order.to.clone()),
            problem: stage.problem.clone(),
        }
    }

    /// The same for `/status`, which says nothing of it while the node serves.
    pub fn shown(&self) -> Option<DrainView> {
        self.is_on().then(|| self.view())
    }

    /// A sentence for `warnings`.
    pub fn warning(&self) -> Option<String> {
        let stage = self.stage.borrow();
        let why = stage.problem.as_ref().map(|problem| format!(": {problem}")).unwrap_or_default();
        Some(match stage.word()? {
            "drained" => {
                format!("drained: no {} are left, and none are taken (DELETE /drain undoes it)", self.what)
            }
            _ => format!("draining: {} left, and no new ones are taken{why}", self.are(stage.left)),
        })
    }

    /// `2 viewers are`, `1 child is`.
    fn are(&self, count: u64) -> String {
        match (count, self.what) {
            (1, "children") => "1 child is".to_owned(),
            (1, many) => format!("1 {} is", many.trim_end_matches('s')),
            (_, many) => format!("{count} {many} are"),
        }
    }

    /// Has the tree told whenever this changes, without waiting for its next look at the node.
    pub fn tell(&self, tree: Tree) {
        let mut stage = self.stage();
        tokio::spawn(async move {
            let mut said = None;
            while stage.changed().await.is_ok() {
                let word = stage.borrow_and_update().word();
                if std::mem::replace(&mut said, word) != word {
                    tree.register_again();
                }
            }
        });
    }
}

impl Stage {
    /// See [`Drain::word`].
    pub fn word(&self) -> Option<&'static str> {
        self.order.as_ref()?;
        Some(if self.drained { "drained" } else { "draining" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain() -> Drain {
        Drain::new(Duration::from_secs(7), "viewers")
    }

    #[test]
    fn what_was_begun_can_be_undone_unless_the_node_ends() {
        let drain = drain();
        assert!(drain.undo() && !drain.is_on());
        drain.begin(None, false, Instant::now());
        drain.left(3, None);
        assert_eq!((drain.word(), drain.view().left), (Some("draining"), 3));
        assert!(drain.undo() && !drain.is_on());
        assert_eq!(drain.view(), DrainView { state: "no".to_owned(), left: 0, to: None, problem: None });
        drain.begin(None, true, Instant::now());
        assert!(!drain.undo() && drain.is_on());
    }

    #[test]
    fn a_report_that_comes_late_changes_nothing() {
        let drain = drain();
        drain.left(3, Some("nobody takes them".to_owned()));
        drain.done();
        assert_eq!((drain.view().left, drain.word(), drain.shown()), (0, None, None));
    }

    #[test]
    fn another_who_takes_them_is_a_new_order_and_the_same_one_is_not() {
        let (drain, now) = (drain(), Instant::now());
        drain.begin(None, false, now);
        drain.done();
        let mut stage = drain.stage();
        stage.mark_unchanged();
        drain.begin(None, false, now + Duration::from_secs(1));
        assert!(!stage.has_changed().unwrap(), "ordered already");
        drain.begin(Some("relay-2".to_owned()), false, now + Duration::from_secs(1));
        assert_eq!((drain.view().to.as_deref(), drain.word()), (Some("relay-2"), Some("draining")));
        assert!(stage.has_changed().unwrap());
        drain.begin(None, true, now + Duration::from_secs(1));
        assert_eq!(drain.view().to.as_deref(), Some("relay-2"), "a node that ends goes on as it was told");
        drain.begin(None, false, now + Duration::from_secs(1));
        assert_eq!(drain.view().to, None, "whoever is not named is chosen");
    }

    #[test]
    fn one_is_one() {
        for (what, one, two) in [
            ("viewers", "1 viewer is", "2 viewers are"),
            ("children", "1 child is", "2 children are"),
            ("publications", "1 publication is", "2 publications are"),
        ] {
            let drain = Drain::new(Duration::ZERO, what);
            assert_eq!((drain.are(1), drain.are(2)), (one.to_owned(), two.to_owned()));
        }
    }

    #[test]
    fn what_was_counted_holds_until_the_node_has_looked() {
        let drain = drain();
        drain.counted(7);
        assert_eq!(drain.view().left, 0, "nothing is ordered");
        drain.begin(None, false, Instant::now());
        drain.counted(7);
        drain.left(5, None);
        drain.counted(7);
        assert_eq!(drain.view().left, 5);
        drain.done();
        drain.counted(7);
        assert_eq!((drain.view().left, drain.word()), (0, Some("drained")));
    }

    #[test]
    fn the_last_order_has_its_own_time() {
        let (drain, now) = (drain(), Instant::now());
        drain.begin(None, false, now);
        let later = now + Duration::from_secs(60);
        drain.begin(None, true, later);
        let order = drain.stage().borrow().order.clone().unwrap();
        assert_eq!(order.remaining(later), Duration::from_secs(7));
        assert_eq!(order.remaining(later + Duration::from_secs(9)), Duration::ZERO);
    }

    #[test]
    fn at_once_is_for_a_node_that_ends_and_not_for_one_that_goes_on() {
        let drain = Drain::new(Duration::ZERO, "viewers");
        drain.begin(None, false, Instant::now());
        assert_eq!(drain.stage().borrow().order.as_ref().unwrap().within, DEFAULT_LIMIT);
    }
}
