//! What is no sound setting is refused with one line, before anything is done by it.

use node::config::is_name;
use node::overview::MOST_NODES;

use super::{Limits, Pace, Settings, Template, Thresholds};

/// A day: what is longer was meant otherwise.
const LONGEST_SECONDS: f64 = 86_400.0;
/// Levels of relays; each adds its delay, and 16^8 egresses are more than anybody has.
const DEEPEST: u32 = 8;
/// Each is gone through for every node that is placed.
const MOST_ZONES: usize = 64;

impl Settings {
    /// The first thing that is wrong with them, by the name that it has in the file.
    pub fn check(&self) -> Result<(), String> {
        self.thresholds.check()?;
        self.limits.check()?;
        self.pace.check()?;
        self.template.check()
    }
}

impl Thresholds {
    fn check(&self) -> Result<(), String> {
        let Thresholds { cpu_out, cpu_in, memory_out, memory_in, port_pool_out, port_pool_in, .. } = *self;
        let Thresholds { drops_out, places_out, places_in, .. } = *self;
        for (name, out, r#in) in [
            ("cpu", cpu_out, cpu_in),
            ("memory", memory_out, memory_in),
            ("port-pool", port_pool_out, port_pool_in),
            ("places", places_out, places_in),
        ] {
            for (way, percent) in [("out", out), ("in", r#in)] {
                if !(0.0..=100.0).contains(&percent) {
                    return Err(format!(
                        "thresholds.{name}-{way} is {percent}: it is a percentage, 0 to 100"
                    ));
                }
            }
            if r#in >= out {
                return Err(format!(
                    "thresholds.{name}-in is {in} and thresholds.{name}-out {out}: fewer would be wanted where more are; in must be below out",
                    in = r#in
                ));
            }
        }
        if drops_out.is_nan() || drops_out <= 0.0 {
            return Err(format!("thresholds.drops-out is {drops_out}: it is packets a second, above 0"));
        }
        Ok(())
    }
}

impl Limits {
    fn check(&self) -> Result<(), String> {
        let Limits { baseline, maximum, ready_places: _, step_out, step_in } = *self;
        if maximum == 0 {
            return Err("limits.maximum is 0: there would be no egress at all".to_owned());
        }
        if baseline > maximum {
            return Err(format!("limits.baseline is {baseline}, more than limits.maximum, {maximum}"));
        }
        for (name, number) in [("maximum", maximum), ("step-out", step_out), ("step-in", step_in)] {
            at_most(&format!("limits.{name}"), number)?;
        }
        for (name, step) in [("step-out", step_out), ("step-in", step_in)] {
            if step == 0 {
                return Err(format!("limits.{name} is 0: nothing would ever change; it is at least 1"));
            }
        }
        Ok(())
    }
}

impl Pace {
    fn check(&self) -> Result<(), String> {
        let Pace { look, out_rest, in_rest, in_after, stale, ahead, healthy_within, drained_within } = *self;
        let may_be_0 =
            [("out-rest", out_rest), ("in-rest", in_rest), ("in-after", in_after), ("ahead", ahead)];
        let may_not = [
            ("look", look),
            ("stale", stale),
            ("healthy-within", healthy_within),
            ("drained-within", drained_within),
        ];
        for (name, seconds) in may_be_0.into_iter().chain(may_not) {
            if !(0.0..=LONGEST_SECONDS).contains(&seconds) {
                return Err(format!("pace.{name} is {seconds}: it is seconds, up to a day"));
            }
        }
        if let Some((name, _)) = may_not.into_iter().find(|(_, seconds)| *seconds < 0.1) {
            return Err(format!("pace.{name} is too short: it is at least 0.1 s"));
        }
        if stale < look {
            return Err(format!("pace.stale is {stale} and pace.look {look}: every figure would be too old"));
        }
        Ok(())
    }
}

impl Template {
    fn check(&self) -> Result<(), String> {
        if self.children == 0 {
            return Err("template.children is 0: no relay could have an egress; it is at least 1".to_owned());
        }
        for (name, number) in [("children", self.children), ("warm", self.warm), ("cold", self.cold)] {
            at_most(&format!("template.{name}"), number)?;
        }
        if self.zones.len() > MOST_ZONES {
            return Err(format!("template.zones has {}; {MOST_ZONES} at most", self.zones.len()));
        }
        if !(1..=DEEPEST).contains(&self.depth) {
            return Err(format!("template.depth is {}: levels of relays, 1 to {DEEPEST}", self.depth));
        }
        if let Some(zone) = self.zones.iter().find(|zone| !is_name(zone)) {
            return Err(format!("template.zones has '{}', which is no name of a zone", zone.escape_debug()));
        }
        Ok(())
    }
}

/// Numbers of nodes: of more than are read nobody could say which of them live.
fn at_most(name: &str, number: u32) -> Result<(), String> {
    if number as usize <= MOST_NODES {
        return Ok(());
    }
    Err(format!("{name} is {number}, more than {MOST_NODES}: a tree is read up to so many nodes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut Settings)) -> String {
        let mut settings = Settings::default();
        change(&mut settings);
        settings.check().expect_err("they are nonsense")
    }

    #[test]
    fn the_defaults_are_sound() {
        assert_eq!(Settings::default().check(), Ok(()));
    }

    #[test]
    fn what_would_scale_both_ways_or_never_is_refused() {
        for (said, line) in [
            (refused(|s| s.thresholds.cpu_in = 70.0), "thresholds.cpu-in is 70 and thresholds.cpu-out 70"),
            (refused(|s| s.thresholds.memory_in = 81.0), "thresholds.memory-in is 81"),
            (refused(|s| s.thresholds.places_out = f64::NAN), "thresholds.places-out is NaN"),
            (refused(|s| s.thresholds.port_pool_out = 101.0), "thresholds.port-pool-out is 101"),
            (refused(|s| s.thresholds.drops_out = f64::NAN), "thresholds.drops-out is NaN"),
            (refused(|s| s.limits.baseline = 101), "limits.baseline is 101, more than limits.maximum, 100"),
            (refused(|s| (s.limits.baseline, s.limits.maximum) = (0, 0)), "limits.maximum is 0"),
            (refused(|s| s.limits.step_out = 0), "limits.step-out is 0"),
            (refused(|s| s.limits.maximum = 1_001), "limits.maximum is 1001, more than 1000"),
            (refused(|s| s.limits.step_out = u32::MAX), "limits.step-out is 4294967295"),
            (refused(|s| s.template.warm = u32::MAX), "template.warm is 4294967295"),
            (refused(|s| s.template.cold = 1_001), "template.cold is 1001"),
            (refused(|s| s.template.children = u32::MAX), "template.children is 4294967295"),
            (refused(|s| s.template.zones = vec!["a".to_owned(); 65]), "template.zones has 65"),
            (refused(|s| s.limits.step_in = 0), "limits.step-in is 0"),
            (refused(|s| s.pace.look = 0.0), "pace.look is too short"),
            (refused(|s| s.pace.in_rest = -1.0), "pace.in-rest is -1"),
            (refused(|s| s.pace.ahead = f64::INFINITY), "pace.ahead is inf"),
            (refused(|s| s.pace.stale = 1.0), "pace.stale is 1 and pace.look 2"),
            (refused(|s| s.template.children = 0), "template.children is 0"),
            (refused(|s| s.template.depth = 0), "template.depth is 0"),
            (refused(|s| s.template.zones = vec!["a b".to_owned()]), "template.zones has 'a b'"),
        ] {
            assert!(said.starts_with(line), "{said}");
            assert!(!said.contains('\n'), "{said}");
        }
    }
}
