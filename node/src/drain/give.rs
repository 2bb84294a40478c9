//! The shell around [`handover`](super::handover): reads Redis, writes there what follows, until nothing is left to give.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::timeout;

use super::handover::{Handover, Next, Sight, unfit};
use super::{Drain, Stage};
use crate::commands::Commands;
use crate::config::RedisConfig;
use crate::contract::{channel, key};
use crate::directory::{Directory, Nodes};
use crate::event::Event;
use crate::parentage::Write;
use crate::record::Registration;

/// Between two looks at Redis.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Children that are half-way when draining is undone are waited for no longer than this.
const UNDONE_WITHIN: Duration = Duration::from_secs(30);
/// Most siblings whose children are counted.
const MOST_SIBLINGS: usize = 256;

/// Gives a node's children to another.
pub struct Giver {
    id: String,
    zone: String,
    commands: Commands,
    directory: Directory,
    started: Instant,
    /// Whose child the node was until it had given everything away.
    was_below: Option<String>,
    /// And who stood by for it.
    was_beside: BTreeSet<String>,
}

impl Giver {
    /// For the node with this registration. To be called within a runtime.
    pub fn new(redis: &RedisConfig, node: &Registration) -> Giver {
        Giver {
            id: node.id.clone(),
            zone: node.zone.clone(),
            commands: Commands::new(redis.clone()),
            directory: Directory::new(redis.clone(), &node.tree_id),
            started: Instant::now(),
            was_below: None,
            was_beside: BTreeSet::new(),
        }
    }

    /// Why this node cannot take the children, should it be named.
    pub async fn refuses(&self, to: &str) -> Option<String> {
        let sight = match self.look().await {
            Ok(sight) => sight,
            Err(why) => return Some(format!("whether {to} can take the children is not known: {why}")),
        };
        let is_doubtful = sight.nodes.doubtful.contains(to);
        let doubt = is_doubtful.then(|| "nobody has heard of it for some seconds".to_owned());
        let why = unfit(&self.id, to, &sight).or(doubt)?;
        Some(format!("{to} cannot take the children: {why}"))
    }

    /// Waits for orders, and carries each out, until the node ends.
    pub async fn run(mut self, drain: &Drain) {
        let mut stage = drain.stage();
        let mut handover = Handover::new(&self.id, &self.zone);
        while let Ok(to) = ordered(&mut stage).await {
            handover.begin(to.clone());
            // Undone, or somebody else is to take them.
            let is_on = |stage: &Stage| stage.order.as_ref().is_some_and(|order| order.to == to);
            while is_on(&drain.stage().borrow()) {
                match self.round(&mut handover, drain).await {
                    Ok(true) => break,
                    Ok(false) => {}
                    Err(why) => drain.left(drain.view().left, Some(why)),
                }
                let _ = timeout(LOOK_EVERY, stage.wait_for(|stage| !is_on(stage))).await;
            }
            if stage.wait_for(|stage| !is_on(stage) || !stage.drained).await.is_err() {
                return;
            }
            if stage.borrow().order.is_none() {
                self.undo(&mut handover, &mut stage).await;
            }
        }
    }

    /// The node serves again: what was under way comes to an end, unless there is another order before.
    async fn undo(&mut self, handover: &mut Handover, stage: &mut watch::Receiver<Stage>) {
        if let Some(parent) = self.was_below.take() {
            let standby = std::mem::take(&mut self.was_beside);
            self.come_back(parent, standby).await;
        }
        let until = Instant::now() + UNDONE_WITHIN;
        while Instant::now() < until {
            match self.round_undone(handover).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(why) => tracing::warn!("what was given away is not yet taken back: {why}"),
            }
            if let Ok(Ok(_)) = timeout(LOOK_EVERY, stage.wait_for(|stage| stage.order.is_some())).await {
                return;
            }
        }
        tracing::warn!(
            "children that were about to go have not followed their new parent, and are sent to from here as well"
        );
    }

    /// One look, and what follows. `true`: nothing is left.
    async fn round(&mut self, handover: &mut Handover, drain: &Drain) -> Result<bool, String> {
        let mut sight = self.look().await?;
        let left = sight.children.len() as u64;
        let nobody = handover.successor(&sight).err();
        sight.given = self.given(handover).await?;
        match handover.next(&sight, self.started.elapsed()) {
            Next::Done => {
                drain.done();
                return Ok(true);
            }
            Next::Wait(why) => drain.left(left, nobody.or(why)),
            Next::Write(writes) => {
                drain.left(left, nobody);
                self.write(&writes).await?;
                for write in writes {
                    match write {
                        Write::Retire { parent, .. } => self.was_below = Some(parent),
                        Write::Unstand { child, parent } if child == self.id => {
                            self.was_beside.insert(parent);
                        }
                        _ => {}
                    }
                }
            }
        }
        Ok(false)
    }

    /// The same when the children are to stay. `true`: none is half-way any more.
    async fn round_undone(&self, handover: &mut Handover) -> Result<bool, String> {
        let mut sight = self.look().await?;
        sight.given = self.given(handover).await?;
        match handover.next_undone(&sight, self.started.elapsed()) {
            Next::Done => return Ok(true),
            Next::Wait(_) => {}
            Next::Write(writes) => self.write(&writes).await?,
        }
        Ok(false)
    }

    /// The children of those whom ours were given to.
    async fn given(&self, handover: &Handover) -> Result<BTreeMap<String, BTreeSet<String>>, String> {
        let nodes: Vec<String> = handover.receivers().cloned().collect();
        if nodes.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut pipe = redis::pipe();
        for node in &nodes {
            pipe.smembers(key::children(node));
        }
        let sets: Vec<BTreeSet<String>> = self.commands.run(&pipe).await?;
        Ok(nodes.into_iter().zip(sets).collect())
    }

    async fn look(&self) -> Result<Sight, String> {
        let mut pipe = redis::pipe();
        pipe.get(key::parent(&self.id)).smembers(key::children(&self.id));
        let (parent, children): (Option<String>, Vec<String>) = self.commands.run(&pipe).await?;
        let parent = parent.map(|parent| parent.trim().to_owned()).filter(|parent| !parent.is_empty());
        let mut pipe = redis::pipe();
        for child in &children {
            pipe.get(key::parent(child));
        }
        // Of a node without a parent a key that nobody has.
        pipe.smembers(key::children(parent.as_deref().unwrap_or_default()));
        let mut answers: Vec<redis::Value> = self.commands.run(&pipe).await?;
        let siblings = answers.pop().unwrap_or(redis::Value::Nil);
        let siblings: Vec<String> = redis::from_redis_value(siblings).map_err(|error| error.to_string())?;
        let parents = children.iter().zip(answers).filter_map(|(child, parent)| {
            let parent: Option<String> = redis::from_redis_value(parent).ok()?;
            Some((child.clone(), parent?.trim().to_owned()))
        });
        let (parents, siblings) = (parents.collect(), self.counted(siblings).await?);
        let nodes: std::sync::Arc<Nodes> = self.directory.nodes().await?;
        let standby = self.standby(children.iter().chain([&self.id])).await?;
        let children = children.into_iter().collect();
        Ok(Sight { parent, children, parents, standby, siblings, nodes, ..Sight::default() })
    }

    /// Who stands by for these. A user that was made for an older version may not read it: then nobody does.
    async fn standby(
        &self,
        nodes: impl Iterator<Item = &String>,
    ) -> Result<BTreeMap<String, BTreeSet<String>>, String> {
        let mut pipe = redis::pipe();
        pipe.ignore_errors();
        let nodes: Vec<&String> = nodes.collect();
        for node in &nodes {
            pipe.smembers(key::standby(node));
        }
        let sets: Vec<redis::RedisResult<BTreeSet<String>>> = self.commands.run(&pipe).await?;
        Ok(nodes.into_iter().cloned().zip(sets.into_iter().map(Result::unwrap_or_default)).collect())
    }

    /// How many children they have.
    async fn counted(&self, mut nodes: Vec<String>) -> Result<BTreeMap<String, u64>, String> {
        nodes.truncate(MOST_SIBLINGS);
        if nodes.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut pipe = redis::pipe();
        for node in &nodes {
            pipe.scard(key::children(node));
        }
        let counts: Vec<u64> = self.commands.run(&pipe).await?;
        Ok(nodes.into_iter().zip(counts).collect())
    }

    async fn write(&self, writes: &[Write]) -> Result<(), String> {
        self.commands.run::<redis::Value>(&Write::all(writes)).await?;
        for write in writes {
            tracing::info!("draining: {write}");
        }
        Ok(())
    }

    /// Below its parent again, unless it has got another one. Its children stay where they are.
    async fn come_back(&self, parent: String, standby: BTreeSet<String>) {
        let mut pipe = redis::pipe();
        pipe.atomic();
        pipe.cmd("SET").arg(key::parent(&self.id)).arg(&parent).arg("NX");
        pipe.sadd(key::children(&parent), &self.id);
        let event = Event::ChildAdded { node_id: parent.clone(), child_id: self.id.clone() };
        pipe.publish(channel::topology(&parent), event.message());
        let stand = |parent: String| {
            let (child, children) = (self.id.clone(), vec![self.id.clone()]);
            [Write::Give { to: parent.clone(), children }, Write::Stand { child, parent }]
        };
        let beside: Vec<Write> = standby.into_iter().flat_map(stand).collect();
        for write in &beside {
            write.add(&mut pipe);
        }
        match self.commands.run::<redis::Value>(&pipe).await {
            Ok(_) => tracing::info!(
                "a child of {parent} again; the children that were given away stay where they are"
            ),
            Err(why) => tracing::warn!("not put back among the children of {parent}: {why}"),
        }
    }
}

/// Waits for the next order; gives who is to take the children, if somebody was named.
async fn ordered(stage: &mut watch::Receiver<Stage>) -> Result<Option<String>, watch::error::RecvError> {
    let stage = stage.wait_for(|stage| stage.order.is_some() && !stage.drained).await?;
    Ok(stage.order.as_ref().and_then(|order| order.to.clone()))
}
