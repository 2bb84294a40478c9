//! Whether media can reach this node ([`crate::lifecycle`] decides): judged with everything else (`pulse`), and when nothing comes,
//! Redis is asked why.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use node::commands::Commands;
use node::contract::{NODE_DOUBTED, field, key};
use node::directory;
use tokio::sync::watch;

use super::{Egress, locked};
use crate::lifecycle::{Answers, Node, Standing};

/// How often it is looked whether there is something to ask.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How many of all egresses' mountpoints are looked at when nothing comes here.
const LOOKED_AT: usize = 32;

/// Where this node is in its tree.
pub(super) struct Where {
    node: Mutex<Node>,
    standing: watch::Sender<Standing>,
}

impl Where {
    /// Not known yet.
    pub fn new(grace: Duration) -> Where {
        Where { node: Mutex::new(Node::new(grace)), standing: watch::Sender::default() }
    }

    /// How it stands.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }
}

impl Egress {
    /// Redis names a parent.
    pub(super) fn has_parent(&self, parent: &str) {
        locked(&self.place.node).is_child_of(Some(parent), self.started.elapsed());
    }

    /// How the node stands now.
    pub(super) fn judge_place(&self) -> Standing {
        let parent = self.tree.get().and_then(|tree| tree.view().borrow().topology.parent.clone());
        let (media, now) = (self.media.age(), self.started.elapsed());
        let standing = locked(&self.place.node).judge(parent.as_deref(), media, now).clone();
        let changed = self.place.standing.send_if_modified(|was| {
            let changed = *was != standing;
            was.clone_from(&standing);
            changed
        });
        if changed {
            match &standing {
                Standing::Attached => tracing::info!("this node is attached to its tree"),
                Standing::Orphaned(cut) => tracing::warn!("{cut}; media comes all the same"),
                Standing::CutOff(cut) => tracing::warn!("this node is cut off: {cut}"),
                Standing::Released(cut) => {
                    tracing::warn!("mountpoints end until this node is attached: {cut}")
                }
            }
        }
        standing
    }

    /// Asks Redis, whenever nothing comes, why that is; for ever.
    pub async fn keep_place(self: Arc<Self>) {
        let Some(config) = self.config.node.tree.clone() else { return };
        let store = Commands::new(config.redis);
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut said = None;
        loop {
            ticks.tick().await;
            let asked = self.started.elapsed();
            let Some(parent) = locked(&self.place.node).asks(asked) else { continue };
            match self.ask(&store, &parent).await {
                Ok(answers) => {
                    tracing::debug!("nothing comes from {parent}: {answers:?}");
                    locked(&self.place.node).heard(&parent, answers, asked);
                    said = None;
                }
                Err(why) => {
                    if said.as_ref() != Some(&why) {
                        tracing::warn!("no media comes, and Redis cannot be asked why: {why}");
                    }
                    said = Some(why);
                }
            }
        }
    }

    /// What Redis knows of why nothing comes from this parent.
    async fn ask(&self, store: &Commands, parent: &str) -> Result<Answers, String> {
        let id = &self.config.node.node_id;
        let mut commands = redis::pipe();
        commands.cmd("HGET").arg(key::node(parent)).arg(field::node::TYPE);
        commands.cmd("SISMEMBER").arg(key::children(parent)).arg(id);
        commands.cmd("SRANDMEMBER").arg(key::ACTIVE_MOUNTPOINTS).arg(LOOKED_AT);
        let (kind, has_us, others): (Option<String>, bool, Vec<String>) = store.run(&commands).await?;
        let others: Vec<String> = {
            let books = self.books();
            let other = |member: &String| {
                member.rsplit_once(':').is_some_and(|(egress, session)| egress != id && books.wants(session))
            };
            others.into_iter().filter(other).collect()
        };
        let answers = Answers {
            registered: kind.is_some(),
            is_relay: kind.as_deref() == Some("relay"),
            has_us,
            elsewhere: None,
        };
        // One command for each key: they may be on different servers.
        let mut commands = redis::pipe();
        for member in &others {
            let (egress, _) = member.rsplit_once(':').unwrap_or_default();
            commands.cmd("HGET").arg(key::mountpoint_of(member)).arg(field::mountpoint::ACTIVE);
            commands.cmd("PTTL").arg(key::instance(egress));
        }
        let seen: Vec<(Option<String>, i64)> = match others.is_empty() {
            true => Vec::new(),
            false => {
                let answers: Vec<redis::Value> = store.run(&commands).await?;
                let pairs =
                    answers.chunks(2).map(|pair| redis::from_redis_value(redis::Value::Array(pair.to_vec())));
                pairs.collect::<Result<_, _>>().map_err(|error| error.to_string())?
            }
        };
        // Whoever has been killed says for ever what it said last.
        let said = seen.into_iter().filter(|(active, _)| active.as_deref() == Some("true"));
        let unheard = said.filter_map(|(_, left)| directory::unheard(left));
        Ok(Answers { elsewhere: unheard.filter(|age| *age <= NODE_DOUBTED).min(), ..answers })
    }
}
