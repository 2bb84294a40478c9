//! What is tried.

use super::curve::Curve;
use super::world::{BackEnd, Hardware, Mishap};
use crate::settings::Settings;

const MINUTE: f64 = 60.0;
const HOUR: f64 = 3600.0;
/// The tree is made of nothing within this time, seconds; nobody comes before.
pub const BEGINS: f64 = 15.0 * MINUTE;
const ZONES: [&str; 3] = ["zone-a", "zone-b", "zone-c"];

/// What happens, and what is expected of the tree.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Short name.
    pub name: &'static str,
    /// What it is, for people.
    pub about: &'static str,
    /// How many want to watch, by seconds since [`BEGINS`].
    pub curve: Curve,
    /// Seconds, from [`BEGINS`] on.
    pub length: f64,
    /// What is wanted of the tree.
    pub settings: Settings,
    /// What egresses run on.
    pub hardware: Hardware,
    /// What makes them.
    pub back_end: BackEnd,
    /// What goes wrong, seconds after [`BEGINS`].
    pub mishaps: Vec<(f64, Mishap)>,
    /// So many machines die in a machine's year.
    pub deaths_a_year: f64,
    /// Seconds for which any viewer may have to wait, whatever the reason.
    pub longest_wait: f64,
    /// Part of all viewers' time that may pass in the dark.
    pub in_the_dark: f64,
    /// More egresses than this at once are too many.
    pub egresses: usize,
}

impl Scenario {
    fn new(name: &'static str, about: &'static str, hours: f64, curve: Curve) -> Scenario {
        let settings = Settings::default();
        Scenario {
            name,
            about,
            curve,
            length: hours * HOUR,
            hardware: Hardware::default(),
            back_end: BackEnd::MACHINES,
            mishaps: Vec::new(),
            deaths_a_year: 0.0,
            longest_wait: 10.0,
            in_the_dark: 0.0,
            egresses: settings.limits.maximum as usize,
            settings,
        }
    }

    fn ready(mut self, places: u32) -> Scenario {
        self.settings.limits.ready_places = places;
        self
    }

    fn with(mut self, minute: f64, mishap: Mishap) -> Scenario {
        self.mishaps.push((minute * MINUTE, mishap));
        self
    }

    fn waits(mut self, seconds: f64, in_the_dark: f64) -> Scenario {
        (self.longest_wait, self.in_the_dark) = (seconds, in_the_dark);
        self
    }

    /// With so many at most it can be done.
    fn needs(mut self, egresses: usize) -> Scenario {
        self.egresses = egresses;
        self
    }

    fn in_zones(mut self) -> Scenario {
        self.settings.template.zones = ZONES.map(str::to_owned).into();
        self
    }
}

/// Up to so many within so many minutes, there for an hour, and away again.
fn event(viewers: f64, minutes: f64) -> Curve {
    let (up, down) = (minutes * MINUTE, minutes * MINUTE + HOUR);
    Curve::through([(0.0, 0.0), (up, viewers), (down, viewers), (down + 10.0 * MINUTE, 0.0)])
}

/// 5,000 watch, and all at once many more.
fn flash(more: f64, seconds: f64) -> Curve {
    let at = 10.0 * MINUTE;
    let end = at + 40.0 * MINUTE;
    Curve::through([
        (0.0, 0.0),
        (5.0 * MINUTE, 5000.0),
        (at, 5000.0),
        (at + seconds, 5000.0 + more),
        (end, 5000.0 + more),
        (end + 5.0 * MINUTE, 2000.0),
    ])
}

fn steady(viewers: f64) -> Curve {
    Curve::through([(0.0, 0.0), (20.0 * MINUTE, viewers)])
}

/// All of them.
pub fn all() -> Vec<Scenario> {
    let slow = BackEnd {
        starts: super::chance::Takes { median: 50.0, p95: 120.0 },
        refuses: 0.1,
        hangs: 0.1,
        ..BackEnd::MACHINES
    };
    let containers = |scenario: Scenario| Scenario { back_end: BackEnd::CONTAINERS, ..scenario };
    vec![
        Scenario::new(
            "40000",
            "0 to 40,000 viewers in 30 minutes, an hour, and all go",
            2.5,
            event(40_000.0, 30.0),
        ),
        Scenario::new(
            "50000",
            "0 to 50,000 viewers in 30 minutes, an hour, and all go",
            2.5,
            event(50_000.0, 30.0),
        ),
        Scenario::new(
            "flash",
            "5,000 watch, 10,000 more come in 30 s; machines take 30 s to start",
            2.0,
            flash(10_000.0, 30.0),
        )
        .waits(45.0, 0.005)
        .needs(50),
        containers(
            Scenario::new(
                "flash-containers",
                "the same; containers take 4 s to start",
                2.0,
                flash(10_000.0, 30.0),
            )
            .waits(10.0, 0.001)
            .needs(50),
        ),
        Scenario::new(
            "flash-ready",
            "the same with 10,000 places kept ready; machines",
            2.0,
            flash(10_000.0, 30.0),
        )
        .ready(10_000),
        Scenario::new(
            "daily",
            "three days: 1,000 at night, 20,000 in the evening",
            72.0,
            Curve::daily(1000.0, 20_000.0),
        ),
        Scenario::new(
            "node-loss",
            "20,000 watch, and one, then five egresses die at once",
            3.0,
            steady(20_000.0),
        )
        .ready(6000)
        .with(60.0, Mishap::EgressesDie(1))
        .with(100.0, Mishap::EgressesDie(5)),
        Scenario::new(
            "relay-loss",
            "20,000 watch, and a relay dies with all below it",
            3.0,
            steady(20_000.0),
        )
        .with(60.0, Mishap::RelayDies)
        .waits(30.0, 0.001)
        .needs(44),
        Scenario::new(
            "zone-loss",
            "20,000 watch in three zones, and one is gone for half an hour",
            3.0,
            steady(20_000.0),
        )
        .in_zones()
        .with(60.0, Mishap::ZoneIsLost(ZONES[1], 30.0 * MINUTE))
        .waits(60.0, 0.001)
        .needs(44),
        Scenario::new(
            "no-prometheus",
            "an event of 20,000 viewers; Prometheus does not answer, then knows nothing new",
            3.0,
            event(20_000.0, 30.0),
        )
        .with(5.0, Mishap::PrometheusIsAway(15.0 * MINUTE))
        .with(25.0, Mishap::PrometheusIsBlind(10.0 * MINUTE))
        .with(95.0, Mishap::PrometheusIsAway(20.0 * MINUTE)),
        Scenario {
            back_end: slow,
            ..Scenario::new(
                "slow",
                "an event of 20,000; machines take 50 s (p95: 120 s), one of ten is refused, one of ten never comes up",
                2.5,
                event(20_000.0, 30.0),
            )
        },
        Scenario::new(
            "no-back-end",
            "an event of 20,000; the back end does not answer for ten minutes",
            2.5,
            event(20_000.0, 30.0),
        )
        .with(10.0, Mishap::BackEndIsAway(10.0 * MINUTE))
        .waits(660.0, 0.02),
        Scenario::new(
            "maximum-lowered",
            "an event of 20,000; limits.maximum becomes 24 while all of them watch",
            2.5,
            event(20_000.0, 30.0),
        )
        .with(60.0, Mishap::MaximumIs(24)),
        Scenario::new(
            "nobody-leads",
            "an event of 20,000; the controller is away for a minute, again and again",
            2.5,
            event(20_000.0, 30.0),
        )
        .with(8.0, Mishap::NobodyLeads(MINUTE))
        .with(15.0, Mishap::NobodyLeads(MINUTE))
        .with(95.0, Mishap::NobodyLeads(MINUTE)),
    ]
}

/// So many hours of days and nights in which machines die.
pub fn long(hours: f64) -> Scenario {
    Scenario {
        deaths_a_year: 4.0,
        longest_wait: 120.0,
        in_the_dark: 0.0005,
        ..Scenario::new(
            "long",
            "days and nights, 1,000 to 20,000 viewers; each machine dies four times a year",
            hours,
            Curve::daily(1000.0, 20_000.0),
        )
    }
}
