//! What Prometheus says: the recording rules of deploy/monitoring, of nodes that it asks every 15 s.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ::node::record::NodeType;

use super::{Hardware, Node};
use crate::model::{Figures, Ms, Reading};
use crate::simulate::figures::Costs;

/// Between two scrapes, ms.
const INTERVAL: Ms = 15_000;
/// Scrapes of five minutes.
const OF_FIVE_MINUTES: usize = 20;
/// What is older is not answered any more, ms.
const FORGETS: Ms = 300_000;
/// More than this of CPU or memory, and a node is overloaded.
const OVERLOADED: f64 = 0.9;

/// One, and what it knows.
#[derive(Debug, Default)]
pub struct Prometheus {
    /// It does not answer until then.
    pub away_until: Ms,
    /// It scrapes nothing until then.
    pub blind_until: Ms,
    scraped: Option<Ms>,
    /// Mean of all egresses, of each of the last scrapes.
    cpu: VecDeque<f64>,
    memory: f64,
    ratio: f64,
    overloaded: BTreeSet<String>,
}

impl Prometheus {
    /// Time has passed.
    pub fn scrape(&mut self, now: Ms, nodes: &BTreeMap<String, Node>, costs: &Costs, hardware: &Hardware) {
        let is_due = self.scraped.is_none_or(|scraped| now >= scraped + INTERVAL);
        if !is_due || now < self.blind_until || now < self.away_until {
            return;
        }
        // Whoever is registered is asked, dead or not.
        let targets =
            nodes.iter().filter(|(_, node)| node.role == NodeType::Egress && node.unheard(now).is_some());
        let (mut asked, mut cpus, mut memories) = (0, Vec::new(), 0.0);
        self.overloaded.clear();
        for (name, node) in targets {
            asked += 1;
            if !node.lives() {
                continue;
            }
            let viewers = f64::from(node.viewers);
            let cpu = (costs.cores(viewers, node.joins_a_second) / hardware.cores).min(1.0);
            let memory = viewers * costs.memory / hardware.memory;
            if cpu > OVERLOADED || memory > OVERLOADED {
                self.overloaded.insert(name.clone());
            }
            cpus.push(cpu);
            memories += memory;
        }
        if asked == 0 {
            return;
        }
        self.scraped = Some(now);
        self.ratio = cpus.len() as f64 / f64::from(asked);
        let answered = (cpus.len() as f64).max(1.0);
        self.memory = memories / answered;
        self.cpu.push_back(cpus.iter().sum::<f64>() / answered);
        if self.cpu.len() > OF_FIVE_MINUTES {
            self.cpu.pop_front();
        }
    }

    /// What it answers.
    pub fn figures(&self, now: Ms) -> Figures {
        let none = |why: &str| Figures { problem: Some(why.to_owned()), ..Figures::default() };
        if now < self.away_until {
            return none("Prometheus does not answer");
        }
        let Some(at) = self.scraped.filter(|scraped| now < scraped + FORGETS) else {
            return none("Prometheus knows nothing of this tree");
        };
        let reading = |value: f64| Some(Reading { value, at });
        Figures {
            cpu: reading(self.cpu.iter().sum::<f64>() / self.cpu.len().max(1) as f64),
            memory: reading(self.memory),
            port_pool: None,
            drops: reading(0.0),
            overloaded: self.overloaded.clone(),
            scraped: reading(self.ratio),
            problem: None,
            unwanted: false,
        }
    }
}
