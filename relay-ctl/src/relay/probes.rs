//! What is known of the interfaces that copies leave by as XDP frames, and when that is reason enough to do something: one
//! refused frame says little.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::kernel::probe::{self, Prober, Verdict};

/// A refusal counts when that many probes in a row agree.
const TRIES: usize = 5;
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(200);
/// Series in a row in which xdp must have worked everywhere before a relay that fell back to tc returns to it.
const GOOD_SERIES: u32 = 3;
/// At most that many: each time it falls back again, it takes twice as many.
const MOST_GOOD_SERIES: u32 = 48;
/// An interface that no child is behind any more is let go after this long: children come back.
const IDLE: Duration = Duration::from_secs(60);

/// Asks interfaces.
#[derive(Default)]
pub struct EgressProber(Mutex<Option<Prober>>);

impl EgressProber {
    /// Loads what asking takes; fails where eBPF programs may not be loaded.
    pub fn prepare(&self) -> Result<(), String> {
        self.with(|_| Ok(()))
    }

    /// One probe, from every CPU.
    pub fn once(&self, ifindex: u32, mac: [u8; 6]) -> Result<Verdict, String> {
        self.with(|prober| prober.survey(ifindex, mac))
    }

    /// Probes until it is seen to work, for about a second. `thoroughly`: from every CPU.
    pub async fn series(&self, ifindex: u32, mac: [u8; 6], thoroughly: bool) -> Result<Verdict, String> {
        let mut seen = Vec::new();
        for attempt in 0..TRIES {
            if attempt > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            let verdict = self.with(|prober| match thoroughly {
                true => prober.survey(ifindex, mac),
                false => prober.quick(ifindex, mac),
            })?;
            let works = matches!(verdict, Verdict::Works { .. });
            seen.push(verdict);
            if works {
                break;
            }
        }
        Ok(settle(seen))
    }

    fn with<T>(&self, ask: impl FnOnce(&mut Prober) -> Result<T, String>) -> Result<T, String> {
        let mut prober = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *prober {
            Some(prober) => ask(prober),
            none => ask(none.insert(Prober::new()?)),
        }
    }
}

/// What a series of probes comes to: it works if it worked once, and cannot if it never could.
fn settle(seen: Vec<Verdict>) -> Verdict {
    let never = seen.iter().all(|verdict| matches!(verdict, Verdict::Cannot(_)));
    let worked = seen.iter().find(|verdict| matches!(verdict, Verdict::Works { .. })).cloned();
    worked.or(seen.last().filter(|_| never).cloned()).unwrap_or(Verdict::Unsure)
}

/// What is known of one egress interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// XDP frames leave. The warning, if any: from some CPUs only.
    Works { warning: Option<String> },
    /// They do not; why, in words.
    Cannot(String),
    /// New, and the first probe did not settle it.
    Probing,
}

/// An egress interface.
#[derive(Clone, Debug)]
pub struct Egress {
    name: String,
    standing: Standing,
    /// Why no program could be attached to it, if that is so.
    not_held: Option<String>,
    /// Since when no child is behind it.
    idle: Option<Instant>,
}

/// The egress interfaces known, by index.
#[derive(Default)]
pub struct Probes {
    known: BTreeMap<u32, Egress>,
}

impl Probes {
    /// True for an interface that nothing is known of.
    pub fn is_new(&self, ifindex: u32) -> bool {
        !self.known.contains_key(&ifindex)
    }

    /// True for an interface that no probe has settled yet.
    pub fn is_unsettled(&self, ifindex: u32) -> bool {
        self.known.get(&ifindex).is_some_and(|egress| egress.standing == Standing::Probing)
    }

    /// A new interface, and what the first probe said. `not_held`: why no program could be attached to it.
    pub fn add(&mut self, ifindex: u32, name: &str, not_held: Option<String>, standing: Standing) {
        let name = name.to_owned();
        self.known.insert(ifindex, Egress { name, standing, not_held, idle: None });
    }

    /// Forgets all of them.
    pub fn forget_all(&mut self) {
        self.known.clear();
    }

    /// A series of probes said this. What says nothing changes nothing. True when the standing is another now.
    pub fn hear(&mut self, ifindex: u32, verdict: Result<Verdict, String>) -> bool {
        let Some(egress) = self.known.get_mut(&ifindex) else { return false };
        let standing = match verdict {
            // A ring that is full shows that there is one.
            Ok(Verdict::Unsure) if egress.standing == Standing::Probing => Standing::Works { warning: None },
            Ok(Verdict::Unsure) => return false,
            Ok(verdict) => standing(&egress.name, &verdict, egress.not_held.as_deref()),
            Err(why) if egress.standing == Standing::Probing => {
                Standing::Cannot(format!("{} could not be probed: {why}", egress.name))
            }
            // It was not asked, so it has not answered.
            Err(_) => return false,
        };
        let changed = egress.standing != standing;
        egress.standing = standing;
        changed
    }

    /// Says in the log how it stands with an interface.
    pub fn say(&self, ifindex: u32) {
        let Some(egress) = self.known.get(&ifindex) else { return };
        match &egress.standing {
            Standing::Works { warning: Some(warning) } => tracing::warn!("{warning}"),
            Standing::Works { warning: None } => tracing::info!("{} transmits XDP frames", egress.name),
            Standing::Cannot(why) => tracing::warn!("{why}"),
            Standing::Probing => {}
        }
    }

    /// Why no copy may leave by an interface.
    pub fn blocked(&self, ifindex: u32) -> Option<String> {
        let egress = self.known.get(&ifindex)?;
        match &egress.standing {
            Standing::Works { .. } => None,
            Standing::Cannot(why) => Some(format!("{why}; use --mode tc or auto")),
            Standing::Probing => Some(format!("probing whether {} can transmit XDP frames", egress.name)),
        }
    }

    /// The first of these interfaces that cannot transmit XDP frames, and why.
    pub fn refusal(&self, interfaces: &BTreeSet<u32>) -> Option<String> {
        self.known.iter().filter(|(ifindex, _)| interfaces.contains(ifindex)).find_map(|(_, egress)| {
            match &egress.standing {
                Standing::Cannot(why) => Some(why.clone()),
                _ => None,
            }
        })
    }

    /// True when all of these interfaces are known to take XDP frames.
    pub fn all_work(&self, interfaces: &BTreeSet<u32>) -> bool {
        interfaces.iter().all(|ifindex| {
            self.known.get(ifindex).is_some_and(|egress| matches!(egress.standing, Standing::Works { .. }))
        })
    }

    /// What people should know although it works.
    pub fn warnings(&self) -> Vec<String> {
        let warning = |egress: &Egress| match &egress.standing {
            Standing::Works { warning } => warning.clone(),
            _ => None,
        };
        self.known.values().filter_map(warning).collect()
    }

    /// The interfaces that have had no child behind them for a while; they are forgotten.
    pub fn take_idle(&mut self, needed: &BTreeSet<u32>, now: Instant) -> Vec<u32> {
        for (ifindex, egress) in &mut self.known {
            egress.idle = match needed.contains(ifindex) {
                true => None,
                false => egress.idle.or(Some(now)),
            };
        }
        let long =
            |egress: &Egress| egress.idle.is_some_and(|since| now.saturating_duration_since(since) >= IDLE);
        let idle: Vec<u32> =
            self.known.iter().filter(|(_, egress)| long(egress)).map(|(ifindex, _)| *ifindex).collect();
        self.known.retain(|ifindex, _| !idle.contains(ifindex));
        idle
    }
}

/// What a verdict means for an interface.
pub fn standing(name: &str, verdict: &Verdict, not_held: Option<&str>) -> Standing {
    match verdict {
        Verdict::Works { not_from } => Standing::Works { warning: probe::not_from(name, not_from) },
        Verdict::Cannot(errno) => Standing::Cannot(probe::refusal(name, *errno, not_held)),
        Verdict::Unsure => Standing::Probing,
    }
}

/// A relay that runs by tc because an interface cannot transmit XDP frames any more, and probes whether it may return.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fallen {
    /// How often it fell.
    falls: u32,
    /// Good series in a row since.
    good: u32,
}

impl Fallen {
    /// It fell again.
    pub fn again(before: Option<Fallen>) -> Fallen {
        Fallen { falls: before.map_or(1, |fallen| fallen.falls + 1), good: 0 }
    }

    /// A series said whether xdp works on all interfaces. True when it has for long enough.
    pub fn may_return(&mut self, works: bool) -> bool {
        self.good = if works { self.good + 1 } else { 0 };
        let needed = GOOD_SERIES << self.falls.saturating_sub(1).min(4);
        self.good >= needed.min(MOST_GOOD_SERIES)
    }
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;

    const WORKS: Verdict = Verdict::Works { not_from: Vec::new() };
    const NO: Verdict = Verdict::Cannot(Errno::ENXIO);

    #[test]
    fn a_series_cannot_only_if_every_look_says_so() {
        assert_eq!(settle(vec![NO, NO, NO]), NO);
        assert_eq!(settle(vec![NO, NO, WORKS]), WORKS);
        assert_eq!(settle(vec![NO, Verdict::Unsure, NO]), Verdict::Unsure);
        assert_eq!(settle(vec![Verdict::Unsure, WORKS]), WORKS);
    }

    fn known(standing: Standing) -> Probes {
        let mut probes = Probes::default();
        probes.add(7, "eth1", None, standing);
        probes
    }

    #[test]
    fn a_busy_interface_keeps_its_standing() {
        let mut probes = known(Standing::Works { warning: None });
        probes.hear(7, Ok(Verdict::Unsure));
        probes.hear(7, Err("out of memory".to_owned()));
        assert_eq!(probes.blocked(7), None);
        probes.hear(7, Ok(NO));
        assert!(probes.blocked(7).unwrap().contains("eth1 cannot transmit XDP frames"));
        probes.hear(7, Ok(Verdict::Unsure));
        assert!(probes.blocked(7).is_some() && probes.refusal(&[7].into()).is_some());
        assert_eq!(probes.refusal(&[8].into()), None);
        probes.hear(7, Ok(WORKS));
        assert_eq!(probes.blocked(7), None);
    }

    #[test]
    fn a_new_interface_waits_for_a_series_and_a_full_ring_shows_that_there_is_one() {
        let mut probes = known(standing("eth1", &Verdict::Unsure, None));
        assert!(probes.blocked(7).unwrap().contains("probing") && !probes.all_work(&[7].into()));
        probes.hear(7, Ok(Verdict::Unsure));
        assert!(probes.all_work(&[7].into()) && !probes.all_work(&[7, 8].into()));
    }

    #[test]
    fn cpus_without_a_queue_are_a_warning() {
        let mut probes = known(Standing::Probing);
        probes.hear(7, Ok(Verdict::Works { not_from: vec![2, 3] }));
        let warnings = probes.warnings();
        assert!(warnings[0].contains("CPU 2, 3") && warnings[0].contains("ethtool -L eth1"), "{warnings:?}");
        assert_eq!(probes.blocked(7), None);
    }

    #[test]
    fn an_interface_is_let_go_when_no_child_was_behind_it_for_long() {
        let mut probes = known(Standing::Works { warning: None });
        let start = Instant::now();
        let needed = BTreeSet::new();
        assert!(probes.take_idle(&needed, start).is_empty());
        assert!(probes.take_idle(&[7].into(), start + IDLE).is_empty(), "a child came back");
        assert!(probes.take_idle(&needed, start + IDLE).is_empty());
        assert_eq!(probes.take_idle(&needed, start + 2 * IDLE), [7]);
        assert!(probes.is_new(7));
    }

    #[test]
    fn it_returns_to_xdp_after_good_series_in_a_row_and_later_each_time() {
        let mut fallen = Fallen::again(None);
        let series = |fallen: &mut Fallen, series: &[bool]| -> Vec<bool> {
            series.iter().map(|works| fallen.may_return(*works)).collect()
        };
        assert_eq!(
            series(&mut fallen, &[true, true, false, true, true, true]),
            [false, false, false, false, false, true]
        );
        let mut again = Fallen::again(Some(fallen));
        assert_eq!(series(&mut again, &[true; 6]), [false, false, false, false, false, true]);
        let mut often = fallen;
        for _ in 0..40 {
            often = Fallen::again(Some(often));
        }
        assert_eq!((0..100).position(|_| often.may_return(true)), Some(47));
    }
}
