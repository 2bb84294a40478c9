//! Whether media can reach this node ([`crate::lifecycle`] decides): judged with everything else (`pulse`), and when nothing comes,
//! Redis is asked why.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use node::commands::Commands;
use node::contract::{NODE_DOUBTED, field, key};
use node::directory;
use node::topology::TopologyView;
use rand::seq::SliceRandom;
use tokio::sync::watch;

use super::{Egress, locked};
use crate::lifecycle::asking::MOST_OTHERS;
use crate::lifecycle::{Answer, Node, Question, Standing};

/// How often it is looked whether there is something to ask.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Among so many of all egresses' mountpoints such are looked for as this node should have media of, too.
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
        // Whoever has lost its parent has another one in who stands by.
        let TopologyView { parent, standby, .. } = self.tree_view().topology;
        let parent = parent.or_else(|| standby.into_iter().next());
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
        let (mut said, mut witness) = (None, None);
        loop {
            ticks.tick().await;
            let (asked, egresses) = (self.started.elapsed(), self.egresses().borrow().len());
            let question = locked(&self.place.node).asks(asked, egresses, rand::random());
            let Some((parent, question)) = question else { continue };
            let answer = match question {
                Question::Place => self.ask_of_place(&store, &parent).await,
                Question::Others => self.ask_of_others(&store, &mut witness).await,
            };
            match answer {
                Ok(answer) => {
                    tracing::debug!("nothing comes from {parent}: {answer:?}");
                    locked(&self.place.node).heard(&parent, answer, asked);
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

    /// Whether this parent is there, and has this node as a child; or else another one that stands by.
    async fn ask_of_place(&self, store: &Commands, parent: &str) -> Result<Answer, String> {
        let standby = self.tree_view().topology.standby;
        let parents =
            std::iter::once(parent).chain(standby.iter().map(String::as_str).filter(|id| *id != parent));
        let mut commands = redis::pipe();
        for parent in parents {
            commands.cmd("HGET").arg(key::node(parent)).arg(field::node::TYPE);
            commands.cmd("SISMEMBER").arg(key::children(parent)).arg(&self.config.node.node_id);
        }
        let answers: Vec<redis::Value> = store.run(&commands).await?;
        let pairs = answers.chunks(2).map(|pair| redis::from_redis_value(redis::Value::Array(pair.to_vec())));
        let of = |(kind, has_us): (Option<String>, bool)| {
            let is_relay = kind.as_deref() == Some("relay");
            Answer::Place { registered: kind.is_some(), is_relay, has_us }
        };
        let answers: Vec<Answer> =
            pairs.map(|pair| pair.map(of)).collect::<Result<_, _>>().map_err(|error| error.to_string())?;
        let fine = answers.iter().find(|answer| !answer.cuts_off());
        fine.or(answers.first()).copied().ok_or_else(|| "Redis gave no answer".to_owned())
    }

    /// Whether some other egress has media that this one should have. `witness`: the mountpoint that showed it last; it is among those
    /// asked about, so that a few that have media are not lost sight of among many that have none.
    async fn ask_of_others(&self, store: &Commands, witness: &mut Option<String>) -> Result<Answer, String> {
        let id = &self.config.node.node_id;
        let mut commands = redis::pipe();
        commands.cmd("SRANDMEMBER").arg(key::ACTIVE_MOUNTPOINTS).arg(LOOKED_AT);
        let (mut found,): (Vec<String>,) = store.run(&commands).await?;
        // Redis gives a small set in its own order.
        found.shuffle(&mut rand::rng());
        let others: Vec<String> = {
            let books = self.books();
            let other = |member: &String| {
                member.rsplit_once(':').is_some_and(|(egress, session)| egress != id && books.wants(session))
            };
            witness.take().into_iter().chain(found).filter(other).take(MOST_OTHERS).collect()
        };
        if others.is_empty() {
            return Ok(Answer::Others(None));
        }
        // One command for each key: they may be on different servers.
        let mut commands = redis::pipe();
        for member in &others {
            let (egress, _) = member.rsplit_once(':').unwrap_or_default();
            commands.cmd("HGET").arg(key::mountpoint_of(member)).arg(field::mountpoint::ACTIVE);
            commands.cmd("PTTL").arg(key::instance(egress));
        }
        let answers: Vec<redis::Value> = store.run(&commands).await?;
        let pairs = answers.chunks(2).map(|pair| redis::from_redis_value(redis::Value::Array(pair.to_vec())));
        let seen: Vec<(Option<String>, i64)> =
            pairs.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
        // Whoever has been killed says for ever what it said last.
        let said = others.into_iter().zip(seen).filter(|(_, (active, _))| active.as_deref() == Some("true"));
        let unheard = said.filter_map(|(member, (_, left))| Some((directory::unheard(left)?, member)));
        let latest = unheard.filter(|(age, _)| *age <= NODE_DOUBTED).min();
        Ok(Answer::Others(latest.map(|(age, member)| {
            *witness = Some(member);
            age
        })))
    }
}
