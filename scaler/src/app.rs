//! A scaler as a whole: the trees that it looks after.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use node::commands::Commands;
use node::config::is_name;
use node::contract::key;
use node::http::Limits;
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::keeper::{Keeper, TreeView};
use crate::observe::Prometheus;
use crate::provision::{Backend, Provisioner};
use crate::say::{self, Say, Slack};

/// How often it is read which trees there are.
const LOOK: Duration = Duration::from_secs(5);
/// How often it is looked what has become a problem.
const TELL: Duration = Duration::from_secs(2);
/// Most trees that one scaler looks after.
const MOST_TREES: usize = 64;

/// A scaler.
pub struct App {
    config: Config,
    me: String,
    began: Instant,
    limits: Arc<Limits>,
    backend: Option<Arc<Backend>>,
    prometheus: Option<Prometheus>,
    slack: Option<Slack>,
    trees: Mutex<BTreeMap<String, Kept>>,
    /// Why it is not known which trees there are.
    problem: Mutex<Option<String>>,
}

/// A tree that is looked after.
struct Kept {
    keeper: Arc<Keeper>,
    keeping: JoinHandle<()>,
}

/// `GET /status`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Name of this scaler.
    pub node_id: String,
    /// There are no problems.
    pub healthy: bool,
    /// Seconds since it began.
    pub uptime: u64,
    /// What nodes are made by; absent: nothing is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// Trees, by name.
    pub trees: Vec<TreeView>,
    /// What keeps it from its job, each a sentence.
    pub problems: Vec<String>,
}

impl App {
    /// Call it where there is a runtime. Nothing is looked after yet.
    pub fn new(mut config: Config) -> Result<Arc<App>, String> {
        let prometheus = config.prometheus.as_deref().map(Prometheus::new).transpose()?;
        let slack = say::slack(config.slack.as_ref());
        Ok(Arc::new(App {
            me: format!("{} {}", config.node_id, unique()),
            began: Instant::now(),
            limits: Limits::new(config.node.http.clone()),
            backend: config.backend.take().map(Arc::new),
            prometheus,
            slack,
            config,
            trees: Mutex::default(),
            problem: Mutex::default(),
        }))
    }

    /// Configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What may be taken of its HTTP.
    pub fn limits(&self) -> &Arc<Limits> {
        &self.limits
    }

    /// Looks after the trees that it was told of, or those in `trees:active` as they come and go. Never ends.
    pub async fn keep(self: Arc<App>) {
        if let Some(trees) = &self.config.trees {
            self.look_after(trees.iter().cloned().collect()).await;
            return std::future::pending().await;
        }
        let commands = Commands::new(self.config.redis.clone());
        loop {
            let mut pipe = redis::pipe();
            pipe.cmd("SMEMBERS").arg(key::ACTIVE_TREES);
            match commands.run::<(BTreeSet<String>,)>(&pipe).await {
                Ok((trees,)) => {
                    let mut named = trees.into_iter().filter(|tree| is_name(tree));
                    self.look_after(named.by_ref().take(MOST_TREES).collect()).await;
                    let more = named.count();
                    *locked(&self.problem) = (more > 0).then(|| {
                        format!("{more} trees more than {MOST_TREES} are not looked after; name those that are (trees)")
                    });
                }
                Err(why) => {
                    *locked(&self.problem) = Some(format!("which trees there are is not known: {why}"))
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Says in the log what has become a problem, and what is none any more. Never ends.
    pub async fn tell(self: Arc<App>) {
        let mut told = BTreeSet::new();
        loop {
            let problems: BTreeSet<String> = self.status().problems.into_iter().collect();
            for problem in problems.difference(&told) {
                tracing::warn!("{problem}");
            }
            for problem in told.difference(&problems) {
                tracing::info!("no more: {problem}");
            }
            told = problems;
            tokio::time::sleep(TELL).await;
        }
    }

    async fn look_after(&self, wanted: BTreeSet<String>) {
        let gone: Vec<Kept> = {
            let mut trees = locked(&self.trees);
            for tree in &wanted {
                trees.entry(tree.clone()).or_insert_with(|| self.start(tree));
            }
            let gone: Vec<String> = trees.keys().filter(|tree| !wanted.contains(*tree)).cloned().collect();
            gone.iter().filter_map(|tree| trees.remove(tree)).collect()
        };
        for kept in gone {
            tracing::info!("{}: is looked after no more", kept.keeper.tree());
            kept.keeping.abort();
            kept.keeper.leave().await;
        }
    }

    fn start(&self, tree: &str) -> Kept {
        let say = Say::of(tree, &self.config.node_id, self.slack.clone(), self.config.webhook.clone());
        let (prometheus, backend) = (self.prometheus.clone(), self.backend.clone());
        let keeper = Keeper::start(&self.config, tree, &self.me, prometheus, backend, say);
        let keeping = tokio::spawn({
            let keeper = keeper.clone();
            async move { keeper.keep().await }
        });
        Kept { keeper, keeping }
    }

    /// Who looks after a tree.
    pub fn keeper(&self, tree: &str) -> Option<Arc<Keeper>> {
        locked(&self.trees).get(tree).map(|kept| kept.keeper.clone())
    }

    /// All of them.
    pub fn keepers(&self) -> Vec<Arc<Keeper>> {
        locked(&self.trees).values().map(|kept| kept.keeper.clone()).collect()
    }

    /// How it is.
    pub fn status(&self) -> Status {
        let trees: Vec<TreeView> = self.keepers().iter().map(|keeper| keeper.view()).collect();
        let problems = problems(locked(&self.problem).as_deref(), &trees);
        Status {
            node_id: self.config.node_id.clone(),
            healthy: problems.is_empty(),
            uptime: self.began.elapsed().as_secs(),
            backend: self.backend.as_ref().map(|backend| backend.name().to_owned()),
            trees,
            problems,
        }
    }

    /// Why it cannot look after its trees. Who cannot make nodes can.
    pub fn hindrances(&self) -> Vec<String> {
        let mut trees: Vec<TreeView> = self.keepers().iter().map(|keeper| keeper.view()).collect();
        trees.iter_mut().for_each(|tree| tree.failing = None);
        let idle = trees.iter().filter(|tree| !tree.leads && tree.leader.is_none());
        let mut why: Vec<String> = idle.map(|tree| format!("{}: nobody leads yet", tree.tree_id)).collect();
        why.extend(problems(locked(&self.problem).as_deref(), &trees));
        why
    }

    /// Ends: what is being done is left to whoever leads next.
    pub async fn stop(&self) {
        let kept: Vec<Kept> = std::mem::take(&mut *locked(&self.trees)).into_values().collect();
        for kept in kept {
            kept.keeping.abort();
            kept.keeper.leave().await;
            kept.keeper.say().finish().await;
        }
    }
}

/// Of all: what several say is said once, without whose it is. `own`: what is said of no tree.
fn problems(own: Option<&str>, trees: &[TreeView]) -> Vec<String> {
    let all = trees.iter().flat_map(|tree| tree.problems.iter().chain(&tree.failing));
    let of_all =
        |problem: &String| trees.len() > 1 && trees.iter().all(|tree| tree.problems.contains(problem));
    // Redis is away for those who ask which trees there are, too.
    let own = own.filter(|own| !all.clone().any(|problem| own.ends_with(problem.as_str())));
    let mut problems: Vec<String> = own.map(str::to_owned).into_iter().collect();
    for tree in trees {
        for problem in tree.problems.iter().chain(&tree.failing) {
            let said = if of_all(problem) { problem.clone() } else { format!("{}: {problem}", tree.tree_id) };
            if !problems.contains(&said) {
                problems.push(said);
            }
        }
    }
    problems
}

/// What no other process is called.
fn unique() -> String {
    format!("{}-{:x}", std::process::id(), crate::clock::now())
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(name: &str, problems: &[&str], failing: Option<&str>) -> TreeView {
        TreeView {
            tree_id: name.to_owned(),
            problems: problems.iter().map(|problem| (*problem).to_owned()).collect(),
            failing: failing.map(str::to_owned),
            ..TreeView::default()
        }
    }

    #[test]
    fn a_problem_is_said_once() {
        let away = "Redis at a is away";
        let own = format!("which trees there are is not known: {away}");
        assert_eq!(problems(Some(&own), &[tree("a", &[away], None)]), [format!("a: {away}")]);
        assert_eq!(problems(Some(&own), &[tree("a", &[away], None), tree("b", &[away], None)]), [away]);
        assert_eq!(problems(Some(&own), &[]), [own]);
        let trees = [tree("a", &["odd"], None), tree("b", &[], Some("making nodes has failed"))];
        assert_eq!(problems(None, &trees), ["a: odd", "b: making nodes has failed"]);
    }
}
