//! The shell around [`handover`](super::handover): reads Redis, writes there what follows, until nothing is left to give.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use redis::Pipeline;
use tokio::sync::watch;
use tokio::time::timeout;

use super::handover::{Handover, Next, Sight, Write};
use super::{Drain, Stage};
use crate::commands::Commands;
use crate::config::RedisConfig;
use crate::contract::{channel, key};
use crate::directory::{Directory, Nodes};
use crate::event::Event;
use crate::record::Registration;

/// Between two looks at Redis.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Most siblings whose children are counted.
const MOST_SIBLINGS: usize = 256;

/// Names another parent, if the child still has the one that we know of. KEYS: parent. ARGV: from, to
const POINT: &str = "\
local parent = redis.call('GET', KEYS[1])
if parent and string.match(parent, '^%s*(.-)%s*$') == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2]) end
return 0";
/// Forgets a parent, if it still is the one. KEYS: parent. ARGV: from
const FORGET: &str = "\
local parent = redis.call('GET', KEYS[1])
if parent and string.match(parent, '^%s*(.-)%s*$') == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 0";

/// Gives a node's children to another.
pub struct Giver {
    id: String,
    zone: String,
    commands: Commands,
    directory: Directory,
    started: Instant,
    /// Whose child the node was until it had given everything away.
    was_below: Option<String>,
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
        }
    }

    /// Waits for orders, and carries each out, until the node ends.
    pub async fn run(mut self, drain: &Drain) {
        let mut stage = drain.stage();
        while let Ok(to) = ordered(&mut stage).await {
            let mut handover = Handover::new(&self.id, &self.zone, to.clone());
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
            let undone = stage.borrow().order.is_none();
            if let Some(parent) = self.was_below.take().filter(|_| undone) {
                self.come_back(parent).await;
            }
        }
    }

    /// One look, and what follows. `true`: nothing is left.
    async fn round(&mut self, handover: &mut Handover, drain: &Drain) -> Result<bool, String> {
        let mut sight = self.look().await?;
        let left = sight.children.len() as u64;
        if let Some(successor) = handover.successor(&sight)? {
            let mut pipe = redis::pipe();
            pipe.smembers(key::children(&successor));
            (sight.taken,) = self.commands.run(&pipe).await?;
        }
        match handover.next(&sight, self.started.elapsed()) {
            Next::Done => {
                drain.done();
                return Ok(true);
            }
            Next::Wait(why) => drain.left(left, why),
            Next::Write(writes) => {
                drain.left(left, None);
                self.write(&writes).await?;
                for write in writes {
                    tracing::info!("draining: {}", said(&write));
                    if let Write::Retire { parent } = write {
                        self.was_below = Some(parent);
                    }
                }
            }
        }
        Ok(false)
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
        let children = children.into_iter().collect();
        Ok(Sight { parent, children, parents, siblings, nodes, ..Sight::default() })
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
        let mut pipe = redis::pipe();
        pipe.atomic();
        for write in writes {
            self.add(&mut pipe, write);
        }
        self.commands.run::<redis::Value>(&pipe).await.map(drop)
    }

    /// What is written, and then that it was.
    fn add(&self, pipe: &mut Pipeline, write: &Write) {
        let own = || self.id.clone();
        let (about, event) = match write {
            Write::Give { to, children } => {
                pipe.sadd(key::children(to), children);
                (to, Event::ChildrenAdded { node_id: to.clone(), child_ids: children.clone() })
            }
            Write::Point { child, from, to } => {
                pipe.cmd("EVAL").arg(POINT).arg(1).arg(key::parent(child)).arg(from).arg(to);
                (child, Event::ParentChanged { node_id: child.clone(), new_parent: Some(to.clone()) })
            }
            Write::Leave { children } => {
                pipe.srem(key::children(&self.id), children);
                (&self.id, Event::ChildrenRemoved { node_id: own(), child_ids: children.clone() })
            }
            Write::Retire { parent } => {
                pipe.srem(key::children(parent), &self.id);
                pipe.cmd("EVAL").arg(FORGET).arg(1).arg(key::parent(&self.id)).arg(parent);
                (parent, Event::ChildRemoved { node_id: parent.clone(), child_id: own() })
            }
        };
        pipe.publish(channel::topology(about), event.message());
    }

    /// Below its parent again, unless it has got another one. Its children stay where they are.
    async fn come_back(&self, parent: String) {
        let mut pipe = redis::pipe();
        pipe.atomic();
        pipe.cmd("SET").arg(key::parent(&self.id)).arg(&parent).arg("NX");
        pipe.sadd(key::children(&parent), &self.id);
        let event = Event::ChildAdded { node_id: parent.clone(), child_id: self.id.clone() };
        pipe.publish(channel::topology(&parent), event.message());
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

fn said(write: &Write) -> String {
    match write {
        Write::Give { to, children } => format!("{to} gets {} too", children.join(", ")),
        Write::Point { child, to, .. } => format!("the parent of {child} is {to}"),
        Write::Leave { children } => format!("{} left", children.join(", ")),
        Write::Retire { parent } => format!("no child of {parent} any more"),
    }
}
