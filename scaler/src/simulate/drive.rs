//! A scenario from beginning to end.

use std::time::{Duration, Instant};

use anyhow::Result;
use node::record::NodeType;

use super::chance::Dice;
use super::controller::Controller;
use super::figures::{BITS_A_SECOND, Costs, HEADERS};
use super::laws::Laws;
use super::scenario::{BEGINS, Scenario};
use super::world::{Books, Mishap, World};

/// Any time; nothing depends on it.
const EPOCH: u64 = 1_000_000_000_000;
/// A step, seconds, while anything happens …
const STEP: f64 = 1.0;
/// … and while nothing does: then so many looks are left out.
const LONG_STEP: f64 = 30.0;
/// Nothing happens while the viewers of the next long step are within this part of all places.
const QUIET: f64 = 0.01;
/// Points of a line in a plot, about.
const POINTS: f64 = 600.0;
const YEAR: f64 = 365.0 * 24.0 * 3600.0;

/// What was so at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Minutes since [`BEGINS`].
    pub minute: f64,
    /// Who want to watch.
    pub wanted: f64,
    /// Who watch.
    pub watching: u32,
    /// Who have no place.
    pub in_the_dark: u32,
    /// Who wait for their turn.
    pub at_the_door: u32,
    /// Places.
    pub places: u32,
    /// Egresses that viewers are sent to.
    pub serving: usize,
    /// Egresses that are paid for.
    pub egresses: usize,
    /// Relays that run.
    pub relays: usize,
    /// Gbit/s to viewers.
    pub gigabits: f64,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Name of the scenario.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Which dice.
    pub seed: u64,
    /// Simulated seconds, and how long they took.
    pub seconds: f64,
    /// How long that took.
    pub took: Duration,
    /// Looks.
    pub looks: u64,
    /// What happened.
    pub books: Books,
    /// Actions that were done, and those that were undone.
    pub actions: [u32; 2],
    /// Most of each at once.
    pub most: Point,
    /// Its course.
    pub course: Vec<Point>,
    /// What must not be.
    pub broken: Vec<String>,
}

/// Runs it.
pub fn drive(scenario: &Scenario, seed: u64) -> Result<Outcome> {
    let started = Instant::now();
    let deaths = scenario.deaths_a_year / YEAR;
    let (hardware, back_end) = (scenario.hardware.clone(), scenario.back_end.clone());
    let mut world = World::new(EPOCH, hardware, Costs::measured()?, back_end, deaths, Dice::new(seed));
    let mut run = Run {
        controller: Controller::new(scenario.settings.clone()),
        laws: Laws::new(&scenario.settings),
        mishaps: sorted(&scenario.mishaps),
        looks: 0,
        looks_at: 0.0,
        stands_until: 0.0,
        scenario,
    };
    let mut course = Vec::new();
    let mut most = point(&world, 0.0, 0.0);
    let (end, every) = (BEGINS + scenario.length, scenario.length / POINTS);
    let (mut second, mut drawn) = (0.0, f64::NEG_INFINITY);
    while second < end {
        let step = run.step(&world, second);
        second += step;
        let wanted = if second < BEGINS { 0.0 } else { scenario.curve.at(second - BEGINS) };
        world.pass(step, wanted);
        run.go_on(&mut world, second);
        let now = point(&world, second, wanted);
        most = highest(most, now);
        if second >= drawn + every {
            drawn = second;
            course.push(now);
        }
    }
    let mut broken = run.laws.broken();
    broken.extend(unexpected(scenario, &world, &most));
    Ok(Outcome {
        name: scenario.name,
        about: scenario.about,
        seed,
        seconds: second,
        took: started.elapsed(),
        looks: run.looks,
        books: world.books,
        actions: run.controller.ended,
        most,
        course,
        broken,
    })
}

struct Run<'a> {
    scenario: &'a Scenario,
    controller: Controller,
    laws: Laws,
    /// What is still to come, the next one last.
    mishaps: Vec<(f64, Mishap)>,
    looks: u64,
    /// The next look.
    looks_at: f64,
    /// Nobody decides until then.
    stands_until: f64,
}

impl Run<'_> {
    /// How long until something has to be looked at.
    fn step(&self, world: &World, second: f64) -> f64 {
        let (at, curve) = (second - BEGINS, &self.scenario.curve);
        let change = (curve.at(at + LONG_STEP) - f64::from(world.watching())).abs();
        let is_near = self.mishaps.last().is_some_and(|(when, _)| at + LONG_STEP > *when);
        let is_quiet = self.controller.rests()
            && world.waiting() == 0
            && change < f64::from(world.places()) * QUIET
            && !is_near
            && second > self.stands_until;
        if is_quiet { LONG_STEP } else { STEP }
    }

    fn go_on(&mut self, world: &mut World, second: f64) {
        while let Some((_, mishap)) = self.mishaps.pop_if(|(when, _)| second - BEGINS >= *when) {
            match mishap {
                Mishap::NobodyLeads(seconds) => self.stands_until = second + seconds,
                Mishap::MaximumIs(maximum) => {
                    self.controller.maximum_is(maximum);
                    self.laws.maximum_is(maximum, world.now);
                }
                _ => {}
            }
            world.happens(&mishap);
        }
        let stands = second < self.stands_until;
        self.laws.hinder(stands || !world.back_end_answers() || second < BEGINS);
        if stands {
            return;
        }
        if second >= self.looks_at {
            self.looks += 1;
            self.looks_at = second + self.scenario.settings.pace.look;
            self.controller.look(world, &mut self.laws);
        }
        self.controller.carry(world);
        self.laws.look(world, self.controller.running());
    }
}

fn sorted(mishaps: &[(f64, Mishap)]) -> Vec<(f64, Mishap)> {
    let mut mishaps = mishaps.to_vec();
    mishaps.sort_by(|one, other| other.0.total_cmp(&one.0));
    mishaps
}

fn point(world: &World, second: f64, wanted: f64) -> Point {
    let watching = world.watching();
    let runs = |node: &super::world::Node| node.is_made() && !node.is_idle();
    Point {
        minute: (second - BEGINS) / 60.0,
        wanted,
        watching,
        in_the_dark: world.step.in_the_dark,
        at_the_door: world.step.at_the_door,
        places: world.places(),
        serving: world.count(NodeType::Egress, |node| node.plays() && node.takes(world.now)),
        egresses: world.count(NodeType::Egress, runs),
        relays: world.count(NodeType::Relay, runs),
        gigabits: f64::from(watching) * BITS_A_SECOND * HEADERS / 1e9,
    }
}

fn highest(one: Point, other: Point) -> Point {
    Point {
        minute: other.minute,
        wanted: one.wanted.max(other.wanted),
        watching: one.watching.max(other.watching),
        in_the_dark: one.in_the_dark.max(other.in_the_dark),
        at_the_door: one.at_the_door.max(other.at_the_door),
        places: one.places.max(other.places),
        serving: one.serving.max(other.serving),
        egresses: one.egresses.max(other.egresses),
        relays: one.relays.max(other.relays),
        gigabits: one.gigabits.max(other.gigabits),
    }
}

/// What a scenario expects, and is not so.
fn unexpected(scenario: &Scenario, world: &World, most: &Point) -> Vec<String> {
    let mut broken = Vec::new();
    let waited = world.books.longest_wait as f64 / 1000.0;
    if waited > scenario.longest_wait {
        broken.push(format!(
            "nobody waits longer than {} s: somebody waited {waited} s",
            scenario.longest_wait
        ));
    }
    let part = world.books.part_in_the_dark();
    if part > scenario.in_the_dark {
        let most = scenario.in_the_dark * 100.0;
        broken.push(format!("at most {most} % of the time in the dark: it was {:.4} %", part * 100.0));
    }
    if most.egresses > scenario.egresses {
        broken.push(format!("{} egresses are enough: there were {}", scenario.egresses, most.egresses));
    }
    if world.waiting() > 0 {
        broken.push(format!("in the end all watch: {} wait", world.waiting()));
    }
    broken
}
