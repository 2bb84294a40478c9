//! How many copies one CPU makes by each path. Rounds are interleaved, so that whatever else the machine does meets all
//! of them; ratios are those of one run.

use std::time::Duration;

use anyhow::{Context, Result};
use lab::Lab;

use crate::load::Sample;
use crate::machine::{self, Machine};
use crate::report::Report;
use crate::scene::{Scene, Way};

/// Prints the table; gives the raw figures as JSON.
pub fn run(quick: bool) -> Result<String> {
    // How long one way is loaded in one round.
    let (rounds, time) =
        if quick { (5, Duration::from_millis(200)) } else { (11, Duration::from_millis(500)) };
    // Before anything is started: what is started inherits it.
    let pinned = machine::pin()?;
    let machine = Machine::describe(pinned.cpu)?;
    eprintln!("bench: {machine}; {rounds} interleaved rounds, all on CPU {}", machine.cpu);
    let labs = Way::ALL
        .iter()
        .map(|way| Lab::new(&format!("bench-{}-", way.short())))
        .collect::<Result<Vec<Lab>>>()?;
    let mut scenes = Vec::new();
    for (way, lab) in Way::ALL.iter().zip(&labs) {
        scenes.push(Scene::set(lab, *way).with_context(|| format!("setting up {}", way.name()))?);
    }
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); scenes.len()];
    for round in 0..rounds {
        // Back and forth, so that no way always comes after the same other one.
        let order: Vec<usize> =
            if round % 2 == 0 { (0..scenes.len()).collect() } else { (0..scenes.len()).rev().collect() };
        for index in order {
            let sample = scenes[index]
                .measure(time)
                .with_context(|| format!("measuring {}", Way::ALL[index].name()))?;
            samples[index].push(sample);
        }
        eprintln!("bench: round {} of {rounds} done", round + 1);
    }
    let report = Report::new(machine, samples);
    print!("{}", report.markdown());
    Ok(report.json())
}
