//! CPU time per copy and loss-free rate of every contestant, by children and packet length.
//!
//! Rounds are interleaved: in each, everybody has a turn at each cell, back and forth, so that whatever else the machine
//! does meets all of them.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::contestant::{self, Contestant, Running};
use crate::cost::{self, Cost};
use crate::machine::{Awake, make_ordinary};
use crate::rate::{self, Rate, Trial};
use crate::report::{CHILDREN, LENGTH};
use crate::stage::{Division, Stage};
use crate::tester::{Tester, Traffic};

/// Frame length and children.
pub type Cell = (usize, usize);

/// What is measured where.
pub struct Grid {
    pub rounds: u32,
    pub cells: Vec<Cell>,
    /// In so many of the rounds a cell has its turn.
    pub rounds_of: fn(Cell) -> u32,
    /// Of these cells the loss-free rate is searched, too, in the first round.
    pub searched: fn(Cell) -> bool,
    pub time: Duration,
    pub trial: Trial,
}

impl Grid {
    /// The cells of the tables, or only those `cells` that somebody asks for.
    pub fn new(quick: bool, cells: &[Cell]) -> Self {
        let grid = Self::whole(quick);
        if cells.is_empty() {
            return grid;
        }
        Self { cells: cells.to_vec(), rounds_of: |_| u32::MAX, searched: |_| true, ..grid }
    }

    fn whole(quick: bool) -> Self {
        if quick {
            return Self {
                rounds: 1,
                cells: vec![(214, 2), (214, 8)],
                rounds_of: |_| 1,
                searched: |_| true,
                time: Duration::from_millis(30),
                trial: Trial { search: Duration::from_millis(30), confirm: Duration::from_millis(50) },
            };
        }
        let children = [1, 2, 4, 8, 16, 32, 64, 128, 256];
        Self {
            rounds: 5,
            cells: [LENGTH, 120, 1200]
                .into_iter()
                .flat_map(|length| children.map(|children| (length, children)))
                .collect(),
            rounds_of: |cell| match cell {
                (LENGTH, CHILDREN) => 5,
                (LENGTH, _) => 3,
                _ => 2,
            },
            searched: |_| true,
            time: Duration::from_millis(90),
            trial: Trial { search: Duration::from_millis(50), confirm: Duration::from_millis(100) },
        }
    }
}

/// What one contestant did in one cell.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    pub costs: Vec<Cost>,
    pub rates: Vec<Rate>,
    pub failed: Option<String>,
}

/// Everything measured, by contestant and cell.
pub type Table = BTreeMap<(String, Cell), Measured>;

/// The generator with nothing but a receiver behind it, under this name.
pub const GENERATOR: &str = "generator";

/// Measures all that the grid says.
pub fn measure(stage: &Stage<'_>, grid: &Grid, only: &[String]) -> Result<Table> {
    let mut table = Table::new();
    let mut contestants = match only.is_empty() {
        true => contestant::all(),
        false => only.iter().filter_map(|name| contestant::named(name)).collect(),
    };
    for round in 0..grid.rounds {
        for (number, (length, children)) in (1..).zip(&grid.cells) {
            let cell = (*length, *children);
            if round >= (grid.rounds_of)(cell) {
                continue;
            }
            let search = round == 0 && (grid.searched)(cell);
            let alone = table.entry((GENERATOR.to_owned(), cell)).or_default();
            alone_turn(stage, grid, cell, search, alone)?;
            for contestant in &contestants {
                let measured = table.entry((contestant.short().to_owned(), cell)).or_default();
                let turn = turn(stage, grid, cell, contestant.as_ref(), search, measured);
                match turn {
                    Ok(()) => {}
                    Err(error) if lab::interrupt::check().is_err() => return Err(error),
                    Err(error) => {
                        let said = format!("{error:#}");
                        eprintln!("bench: {} with {children} children: {said}", contestant.short());
                        measured.failed = Some(said);
                    }
                }
            }
            contestants.reverse();
            eprintln!(
                "bench: round {} of {}, cell {number} of {}: {children} children, {length} bytes",
                round + 1,
                grid.rounds,
                grid.cells.len()
            );
        }
    }
    Ok(table)
}

/// The generator by itself, in batches as with so many children.
fn alone_turn(
    stage: &Stage<'_>,
    grid: &Grid,
    (length, children): Cell,
    search: bool,
    measured: &mut Measured,
) -> Result<()> {
    let traffic = Traffic { length, streams: 1, stamps: false };
    let mut tester = Tester::alone(stage, traffic, children)?;
    measured.costs.push(cost::measure(&mut tester, 1, grid.time)?);
    if search && children == 1 {
        stage.divide(Division::TwoCpus { process: false })?;
        let guess = 1e9 / measured.costs[0].ns_per_packet;
        measured.rates.push(rate::find(&mut tester, 1, guess, grid.trial, &mut || Ok(()))?);
        stage.divide(Division::OneCpu)?;
    }
    Ok(())
}

fn turn(
    stage: &Stage<'_>,
    grid: &Grid,
    (length, children): Cell,
    contestant: &dyn Contestant,
    search: bool,
    measured: &mut Measured,
) -> Result<()> {
    let traffic = Traffic { length, streams: 1, stamps: false };
    let mut tester = Tester::new(stage, traffic, contestant.drops(), children, contestant.addressed())?;
    let mut running = contestant.start(stage, children).context("starting")?;
    let cost = cost::measure(&mut tester, children, grid.time);
    let result = cost.and_then(|cost| {
        let guess = 1e9 / cost.ns_per_packet;
        measured.costs.push(cost);
        if search {
            if let Some(process) = running.process() {
                make_ordinary(process)?;
            }
            stage.divide(Division::TwoCpus { process: running.process().is_some() })?;
            let _awake = Awake::keep(stage.cpus.tested)?;
            let mut revive = || {
                if contestant.stays_down() {
                    std::mem::replace(&mut running, Box::new(Nobody)).stop()?;
                    running = contestant.start(stage, children).context("starting again")?;
                    running.process().map_or(Ok(()), make_ordinary)?;
                }
                Ok(())
            };
            let found = rate::find(&mut tester, children, guess, grid.trial, &mut revive);
            stage.divide(Division::OneCpu)?;
            measured.rates.push(found?);
        }
        Ok(())
    });
    running.stop().context("stopping")?;
    result
}

/// Between two lives of a contestant.
struct Nobody;

impl Running for Nobody {
    fn stop(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

/// The raw figures.
pub fn json(table: &Table) -> Value {
    let rows: Vec<Value> = table
        .iter()
        .map(|((who, (length, children)), measured)| {
            json!({
                "who": who, "length": length, "children": children,
                "costs": measured.costs.iter().map(Cost::json).collect::<Vec<_>>(),
                "rates": measured.rates.iter().map(Rate::json).collect::<Vec<_>>(),
                "failed": measured.failed,
            })
        })
        .collect();
    json!(rows)
}
