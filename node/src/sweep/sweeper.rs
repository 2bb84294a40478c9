//! One turn of sweeping after the other: who has the lease looks for what is left over, a part at a time, and takes it out.

use std::collections::BTreeSet;
use std::time::Duration;

use redis::RedisResult;
use redis::aio::ConnectionLike;

use super::carry::{Terms, carry, eval};
use super::gone::Gone;
use super::plan::{self, Left, Seen};
use super::work::{Leftover, Outcome, Work};
use super::{look, script};
use crate::contract::key;

/// Sweeps a tree, if nobody else does.
#[derive(Debug)]
pub struct Sweeper {
    tree: String,
    /// This process, in the lease.
    me: String,
    after: Duration,
    every: Duration,
    /// Nodes that are not registered.
    gone: Gone,
    index: Round,
    sessions: Round,
    mountpoints: Round,
    /// The highest fence that was met.
    met: u64,
}

/// Goes round a set, a part at a time, again and again, and remembers which of its members lack something.
#[derive(Clone, Debug)]
struct Round {
    cursor: String,
    bare: Gone,
}

/// What came of a turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What was taken out, in words.
    pub swept: Vec<String>,
    /// There is more of it.
    pub more: bool,
}

impl Sweeper {
    /// Nothing is known yet. `me`: this process; `after`: how long a node has to be missing, by looks that are `every` apart.
    pub fn new(tree: &str, me: &str, after: Duration, every: Duration) -> Sweeper {
        let gone = Gone::new(after, every * 2);
        let round = Round { cursor: "0".to_owned(), bare: gone.clone() };
        Sweeper {
            tree: tree.to_owned(),
            me: me.to_owned(),
            after,
            every,
            gone,
            index: round.clone(),
            sessions: round.clone(),
            mountpoints: round,
            met: 0,
        }
    }

    /// How far turns are to be apart.
    pub fn every(&self) -> Duration {
        self.every
    }

    /// Takes the lease, or keeps it. Gives the fence, unless the lease is another's. `now_ms`: ms since 1970.
    pub async fn take<C: ConnectionLike + Send>(
        &self,
        commands: &mut C,
        now_ms: u64,
    ) -> RedisResult<Option<u64>> {
        let mut take = eval(script::TAKE, &[key::sweeper_lease(&self.tree), key::sweeper(&self.tree)]);
        take.arg(&self.me).arg((self.every * 3).as_millis() as u64).arg(now_ms).arg(self.met);
        let (owner, fence): (String, u64) = take.query_async(commands).await?;
        Ok((owner == self.me).then_some(fence))
    }

    /// One turn. `now`: any steady clock; `now_ms`: ms since 1970.
    pub async fn turn<C: ConnectionLike + Send>(
        &mut self,
        commands: &mut C,
        now: Duration,
        now_ms: u64,
    ) -> RedisResult<Report> {
        let Some(fence) = self.take(commands, now_ms).await? else { return Ok(Report::default()) };
        let terms = Terms { tree: self.tree.clone(), fence, lately: self.after.as_millis() as u64 };
        let (leftovers, more) = self.look(commands, now).await?;
        let mut report = Report { swept: Vec::new(), more };
        for leftover in leftovers {
            match sweep(commands, &terms, leftover.clone(), now_ms).await? {
                Outcome::Swept => report.swept.push(leftover.to_string()),
                Outcome::Kept => {}
                Outcome::Fenced(by) => {
                    self.met = by;
                    report.more = false;
                    break;
                }
            }
        }
        // Whatever stays is looked at in its time.
        report.more &= !report.swept.is_empty();
        Ok(report)
    }

    /// Looks for what is left over. Gives whether there is more of it.
    async fn look<C: ConnectionLike + Send>(
        &mut self,
        commands: &mut C,
        now: Duration,
    ) -> RedisResult<(Vec<Leftover>, bool)> {
        let seen = Seen {
            directory: look::directory(commands, &self.tree).await?,
            index: look::index(commands, &self.tree, &mut self.index.cursor).await?,
            sessions: look::sessions(commands, &mut self.sessions.cursor).await?,
            mountpoints: look::mountpoints(commands, &self.tree, &mut self.mountpoints.cursor).await?,
        };
        let mut leftovers = self.bare(&seen, now);
        let mut nodes = seen.nodes();
        nodes.extend(self.gone.missing().cloned());
        let nodes: Vec<String> = nodes.into_iter().collect();
        let registered = look::registered(commands, &nodes).await?;
        let egresses = seen.egresses(registered.iter().filter(|(_, is_there)| **is_there).map(|(id, _)| id));
        let mut more = false;
        for node in self.gone.look(registered, now) {
            let left = seen.complete(&node, look::left(commands, &node).await?);
            let flowing = flowing(commands, &left, &egresses).await?;
            let (of_node, more_of_node) = seen.leftovers_of(&node, &left, &flowing);
            if of_node.is_empty() && flowing.is_empty() {
                self.gone.forget(&node);
            }
            leftovers.extend(of_node);
            more |= more_of_node;
        }
        let (leftovers, too_many) = plan::of_a_turn(leftovers);
        Ok((leftovers, more || too_many))
    }

    /// What sets and index have and nobody else has had for long.
    fn bare(&mut self, seen: &Seen, now: Duration) -> Vec<Leftover> {
        // A set that a server has lost is written again; what every server has says that it is over.
        let index = seen.index.iter().map(|(id, listed)| (id, listed.is_active || !listed.is_over));
        let ghosts = self.index.bare(index, now).into_iter().map(|id| Leftover::Ghost { id });
        let sessions = seen.sessions.iter().map(|(id, has_hash)| (id, *has_hash));
        let sessions = self.sessions.bare(sessions, now).into_iter().map(|id| Leftover::BareSession { id });
        let members: Vec<(String, bool)> = seen
            .mountpoints
            .iter()
            .map(|((egress, session), shown)| (key::active_mountpoint(egress, session), shown.has_hash))
            .collect();
        let members = members.iter().map(|(member, has_hash)| (member, *has_hash));
        let mountpoints = self.mountpoints.bare(members, now).into_iter().filter_map(|member| {
            let (egress, session) = member.rsplit_once(':')?;
            Some(Leftover::BareMountpoint { egress: egress.to_owned(), session: session.to_owned() })
        });
        ghosts.chain(sessions).chain(mountpoints).collect()
    }
}

impl Round {
    /// Members, each with whether it has what it is to have. Gives those that have not had it for long; each once.
    fn bare<'a>(
        &mut self,
        seen: impl Iterator<Item = (&'a String, bool)>,
        now: Duration,
    ) -> BTreeSet<String> {
        let bare = self.bare.look(seen.map(|(member, is_whole)| (member.clone(), is_whole)), now);
        for member in &bare {
            self.bare.forget(member);
        }
        bare
    }
}

/// Of a dead injection's sessions those whose media comes all the same: it cannot reach Redis. As many are looked at as
/// are taken out in a turn.
async fn flowing<C: ConnectionLike + Send>(
    commands: &mut C,
    left: &Left,
    egresses: &[String],
) -> RedisResult<BTreeSet<String>> {
    let mut flowing = BTreeSet::new();
    let mut silent = 0;
    for session in &left.sessions {
        if silent == plan::MOST_SESSIONS {
            break;
        }
        if look::is_flowing(commands, egresses, session).await? {
            flowing.insert(session.clone());
        } else {
            silent += 1;
        }
    }
    Ok(flowing)
}

/// Takes one thing out, if it may go.
async fn sweep<C: ConnectionLike + Send>(
    commands: &mut C,
    terms: &Terms,
    leftover: Leftover,
    now_ms: u64,
) -> RedisResult<Outcome> {
    let mut work = Work::new(leftover);
    while let Some(step) = work.next() {
        match carry(commands, terms, &work.leftover, step, now_ms).await {
            Ok(answer) => work.answered(answer),
            // A key of another type keeps no other thing from being swept.
            Err(error) if error.to_string().contains("WRONGTYPE") => return Ok(Outcome::Kept),
            Err(error) => return Err(error),
        }
    }
    Ok(work.outcome().unwrap_or(Outcome::Kept))
}
