//! `simulate`: builds the scaling controller as it is shipped, and has it simulate.

use std::process::Command;

use anyhow::Result;
use clap::builder::PossibleValuesParser;

use crate::{progress, sh};

/// In scaler/src/simulate/scenario.rs.
const SCENARIOS: [&str; 14] = [
    "40000",
    "50000",
    "flash",
    "flash-containers",
    "flash-ready",
    "daily",
    "node-loss",
    "relay-loss",
    "zone-loss",
    "no-prometheus",
    "slow",
    "no-back-end",
    "maximum-lowered",
    "nobody-leads",
];

/// What is simulated.
#[derive(Debug, clap::Args)]
pub struct Simulate {
    /// Only these [default: all]
    #[arg(value_parser = PossibleValuesParser::new(SCENARIOS))]
    scenarios: Vec<String>,
    /// The first seed: the same one gives the same run
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Each scenario with so many seeds
    #[arg(long, default_value_t = 1, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// So many hours of days and nights in which machines die, besides
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    hours: u32,
    /// Draw each scenario into this folder
    #[arg(long, value_name = "FOLDER")]
    plots: Option<std::path::PathBuf>,
    /// Write tables and plots to docs/scaling.md and docs/scaling/
    #[arg(long)]
    write: bool,
}

/// `cargo xtask simulate`.
pub fn run(what: &Simulate) -> Result<()> {
    let root = sh::workspace_root();
    let mut cargo = Command::new("cargo");
    cargo.current_dir(&root).args(["build", "--release", "--locked", "--package=scaler", "--bin=scaler"]);
    progress::cargo("the scaling controller", &mut cargo)?;
    let mut command = Command::new(root.join("target/release/scaler"));
    command.arg("simulate").args(&what.scenarios);
    for (flag, number) in [("--seed", what.seed), ("--seeds", what.seeds), ("--hours", what.hours.into())] {
        command.arg(flag).arg(number.to_string());
    }
    if let Some(folder) = &what.plots {
        command.arg("--plots").arg(folder);
    }
    if what.write {
        command.arg("--write").arg(root.join("docs"));
    }
    sh::run("simulation", &mut command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scenarios_are_those_that_there_are() {
        let file = sh::workspace_root().join("scaler/src/simulate/scenario.rs");
        let text = std::fs::read_to_string(file).unwrap();
        let all = text.split("pub fn all()").nth(1).unwrap().split("\n}\n").next().unwrap();
        let names = all.split("Scenario::new(").skip(1).map(|rest| rest.split('"').nth(1).unwrap());
        assert_eq!(names.collect::<Vec<_>>(), SCENARIOS);
    }
}
