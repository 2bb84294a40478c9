//! One turn of sweeping after the other: who has the lease looks for what is left over, a part at a time, and takes it out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use redis::aio::ConnectionLike;
use redis::{Cmd, RedisResult, Value};

use super::carry::{Terms, carry, eval};
use super::gone::Gone;
use super::script;
use super::work::{Leftover, Outcome, Work};
use crate::contract::field::{mountpoint, session as field};
use crate::contract::key;
use crate::directory::{self, Entry};
use crate::record::NodeType;
use crate::redis::script::{each, text};

/// Members of a set that are looked at in a turn, and most that is taken out in one.
const AT_ONCE: usize = 100;
/// Most sessions of dead injections that are looked at in a turn: every egress is asked whether media comes.
const SESSIONS_AT_ONCE: usize = 20;

/// Sweeps a tree, if nobody else does.
#[derive(Debug)]
pub struct Sweeper {
    tree: String,
    /// This process, in the lease.
    me: String,
    after: Duration,
    every: Duration,
    gone: Gone,
    index: Round,
    sessions: Round,
    mountpoints: Round,
    /// The highest fence that was met.
    met: u64,
}

/// Goes round a set, a part at a time, again and again, and remembers which of its members have no hash.
#[derive(Clone, Debug)]
struct Round {
    cursor: String,
    bare: Gone,
}

/// What came of a turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The lease is this node's.
    pub is_ours: bool,
    /// What was taken out, in words.
    pub swept: Vec<String>,
    /// There is more of it.
    pub more: bool,
}

/// A session of the index.
struct Listed {
    injection: Option<String>,
    is_over: bool,
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

    /// Takes the lease, or keeps it. Gives the fence, unless the lease is another's.
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
        let mut report = Report { is_ours: true, swept: Vec::new(), more };
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
        Ok(report)
    }

    /// Looks for what is left over. Gives whether there is more of it than is given.
    async fn look<C: ConnectionLike + Send>(
        &mut self,
        commands: &mut C,
        now: Duration,
    ) -> RedisResult<(Vec<Leftover>, bool)> {
        let mut leftovers = Vec::new();
        let directory = directory(commands, &self.tree).await?;
        let listed = self.look_at_index(commands, now, &mut leftovers).await?;
        self.look_at_sessions(commands, now, &mut leftovers).await?;
        let mountpoints = self.look_at_mountpoints(commands, now, &mut leftovers).await?;

        let mut nodes: BTreeSet<String> = directory.keys().cloned().collect();
        nodes.extend(listed.values().filter_map(|listed| listed.injection.clone()));
        nodes.extend(mountpoints.iter().map(|(egress, _)| egress.clone()));
        nodes.extend(self.gone.missing().cloned());
        let nodes: Vec<String> = nodes.into_iter().collect();
        let there: Vec<(String, Option<bool>)> =
            each(commands, &nodes, |id| redis::cmd("EXISTS").arg(key::node(id)).take()).await?;
        let there: Vec<(String, bool)> =
            there.into_iter().map(|(id, is_there)| (id, is_there.unwrap_or(true))).collect();
        let gone = self.gone.look(there.clone(), now);
        let serves = |id: &String| directory.get(id).is_some_and(|entry| entry.node_type == NodeType::Egress);
        let egresses: Vec<String> =
            there.into_iter().filter(|(id, is_there)| *is_there && serves(id)).map(|(id, _)| id).collect();

        let mut more = false;
        for node in gone {
            let (mut sessions, all_sessions) = members(commands, &key::sessions(&node)).await?;
            let of_node = |listed: &Listed| listed.injection.as_ref() == Some(&node);
            sessions.extend(listed.iter().filter(|(_, listed)| of_node(listed)).map(|(id, _)| id.clone()));
            let (mut shown, all_mountpoints) = members(commands, &key::mountpoints(&node)).await?;
            let of_node = mountpoints.iter().filter(|(egress, _)| *egress == node);
            shown.extend(of_node.map(|(_, session)| session.clone()));
            let nothing = sessions.is_empty() && shown.is_empty();
            more |= !(all_sessions && all_mountpoints) || sessions.len() > SESSIONS_AT_ONCE;
            for id in sessions.into_iter().take(SESSIONS_AT_ONCE) {
                // Who cannot reach Redis may have media all the same.
                if !is_flowing(commands, &egresses, &id).await? {
                    leftovers.push(Leftover::Session { id, injection: node.clone() });
                }
            }
            let shown =
                shown.into_iter().map(|session| Leftover::Mountpoint { egress: node.clone(), session });
            leftovers.extend(shown);
            // The last of a node: as long as it is there, whatever else it left is found.
            if nothing && directory.contains_key(&node) {
                leftovers.push(Leftover::Entry { node });
            } else if nothing {
                self.gone.forget(&node);
            } else {
                more |= directory.contains_key(&node);
            }
        }
        // What has no hash may be a dead node's as well: that one says more.
        leftovers.sort();
        let mut seen = BTreeSet::new();
        leftovers
            .retain(|leftover| seen.insert((matches!(leftover, Leftover::Entry { .. }), leftover.name())));
        more |= leftovers.len() > AT_ONCE;
        leftovers.truncate(AT_ONCE);
        Ok((leftovers, more))
    }

    /// Sessions in the tree's index, and those of them that have ended.
    async fn look_at_index<C: ConnectionLike + Send>(
        &mut self,
        commands: &mut C,
        now: Duration,
        leftovers: &mut Vec<Leftover>,
    ) -> RedisResult<BTreeMap<String, Listed>> {
        let ids = next(commands, &key::session_index(&self.tree), &mut self.index).await?;
        let is_listed: Vec<(String, Option<bool>)> =
            each(commands, &ids, |id| redis::cmd("SISMEMBER").arg(key::ACTIVE_SESSIONS).arg(id).take())
                .await?;
        let is_listed: BTreeMap<String, Option<bool>> = is_listed.into_iter().collect();
        let fields = [field::INJECTION_NODE_ID, field::ACTIVE];
        let read = |id: &String| redis::cmd("HMGET").arg(key::session(id)).arg(&fields).take();
        let rows: Vec<(String, Option<[Value; 2]>)> = each(commands, &ids, read).await?;
        let of_row = |(id, row): (String, Option<[Value; 2]>)| {
            let [injection, active] = row.unwrap_or([Value::Nil, Value::Nil]).map(|value| text(&value));
            let is_over = active.is_none_or(|active| matches!(active.trim(), "false" | "0"));
            (id, Listed { injection, is_over })
        };
        let listed: BTreeMap<String, Listed> = rows.into_iter().map(of_row).collect();
        // A set that a server has lost is written again; what every server has says that it is over.
        let seen = listed.iter().map(|(id, row)| {
            (id.clone(), !row.is_over || is_listed.get(id).copied().flatten() != Some(false))
        });
        let ghosts = self.index.gone(seen, now);
        leftovers.extend(ghosts.into_iter().map(|id| Leftover::Ghost { id }));
        Ok(listed)
    }

    /// Active sessions whose hash has expired.
    async fn look_at_sessions<C: ConnectionLike + Send>(
        &mut self,
        commands: &mut C,
        now: Duration,
        leftovers: &mut Vec<Leftover>,
    ) -> RedisResult<()> {
        let ids = next(commands, key::ACTIVE_SESSIONS, &mut self.sessions).await?;
        let seen = exist(commands, &ids, |id| key::session(id)).await?;
        let bare = self.sessions.gone(seen, now);
        leftovers.extend(bare.into_iter().map(|id| Leftover::BareSession { id }));
        Ok(())
    }

    /// Active mountpoints, and those of them whose hash has expired.
    async fn look_at_mountpoints<C: ConnectionLike + Send>(
        &mut self,
        commands: &mut C,
        now: Duration,
        leftovers: &mut Vec<Leftover>,
    ) -> RedisResult<Vec<(String, String)>> {
        let members = next(commands, key::ACTIVE_MOUNTPOINTS, &mut self.mountpoints).await?;
        let seen = exist(commands, &members, |member| key::mountpoint_of(member)).await?;
        let parts = |member: &String| {
            let (egress, session) = member.rsplit_once(':')?;
            Some((egress.to_owned(), session.to_owned()))
        };
        let bare = self.mountpoints.gone(seen, now);
        let bare = bare.iter().filter_map(parts);
        leftovers.extend(bare.map(|(egress, session)| Leftover::BareMountpoint { egress, session }));
        Ok(members.iter().filter_map(parts).collect())
    }
}

impl Round {
    /// Members, each with whether it has what it is to have. Gives those that have not had it for long; each once.
    fn gone(&mut self, seen: impl IntoIterator<Item = (String, bool)>, now: Duration) -> Vec<String> {
        let gone = self.bare.look(seen, now);
        gone.into_iter().inspect(|member| self.bare.forget(member)).collect()
    }
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

async fn directory<C: ConnectionLike + Send>(
    commands: &mut C,
    tree: &str,
) -> RedisResult<BTreeMap<String, Entry>> {
    let fields: Vec<Value> = redis::cmd("HGETALL").arg(key::directory(tree)).query_async(commands).await?;
    let pair = |pair: &[Value]| Some((text(&pair[0])?, text(&pair[1])?));
    Ok(directory::read(fields.chunks_exact(2).filter_map(pair).collect()))
}

/// The next members of a set.
async fn next<C: ConnectionLike + Send>(
    commands: &mut C,
    set: &str,
    round: &mut Round,
) -> RedisResult<Vec<String>> {
    let (cursor, members) = scan(commands, set, &round.cursor).await?;
    round.cursor = cursor;
    Ok(members)
}

/// Some members of a set, and whether these are all.
async fn members<C: ConnectionLike + Send>(
    commands: &mut C,
    set: &str,
) -> RedisResult<(BTreeSet<String>, bool)> {
    let (cursor, mut members) = scan(commands, set, "0").await?;
    let all = cursor == "0" && members.len() <= AT_ONCE;
    members.truncate(AT_ONCE);
    Ok((members.into_iter().collect(), all))
}

async fn scan<C: ConnectionLike + Send>(
    commands: &mut C,
    set: &str,
    cursor: &str,
) -> RedisResult<(String, Vec<String>)> {
    let mut scan = redis::cmd("SSCAN");
    scan.arg(set).arg(cursor).arg("COUNT").arg(AT_ONCE);
    match scan.query_async::<(String, Vec<Value>)>(commands).await {
        Ok((cursor, members)) => Ok((cursor, members.iter().filter_map(text).collect())),
        Err(error) if error.code() == Some("WRONGTYPE") => Ok(("0".to_owned(), Vec::new())),
        Err(error) => Err(error),
    }
}

/// Which of these have a key. One of another type is there.
async fn exist<C: ConnectionLike + Send>(
    commands: &mut C,
    names: &[String],
    key: impl Fn(&str) -> String,
) -> RedisResult<Vec<(String, bool)>> {
    let read = |name: &String| -> Cmd { redis::cmd("EXISTS").arg(key(name)).take() };
    let found: Vec<(String, Option<bool>)> = each(commands, names, read).await?;
    Ok(found.into_iter().map(|(name, is_there)| (name, is_there.unwrap_or(true))).collect())
}

/// Some egress gets a session's media.
async fn is_flowing<C: ConnectionLike + Send>(
    commands: &mut C,
    egresses: &[String],
    session: &str,
) -> RedisResult<bool> {
    let read = |egress: &String| {
        redis::cmd("HGET").arg(key::mountpoint(egress, session)).arg(mountpoint::ACTIVE).take()
    };
    let active: Vec<(String, Option<Option<String>>)> = each(commands, egresses, read).await?;
    Ok(active.into_iter().any(|(_, active)| active.flatten().as_deref() == Some("true")))
}
