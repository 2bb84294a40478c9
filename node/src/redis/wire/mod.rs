//! Where commands go: to one server, or each to the master of a Cluster that has its key.
//!
//! What is to be at one moment (`redis::Pipeline::atomic`) is so at one server. In a Cluster it is so slot by slot, in the
//! order of the commands: those that must not be torn apart are neighbours and have their keys in one slot (contract.md,
//! *Redis Cluster*).

pub mod slot;

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{join_all, try_join_all};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisFuture, RedisResult, Value};

/// Connections for commands. Clones share them.
#[derive(Clone)]
pub enum Wire {
    /// To one server.
    One(MultiplexedConnection),
    /// To the masters of a Cluster.
    Cluster(Arc<Masters>),
}

/// The masters of a Cluster.
pub struct Masters {
    /// Each with a connection.
    pub masters: Vec<MultiplexedConnection>,
    /// The last slot of each range, ascending, and which master has the range.
    pub ranges: Vec<(u16, usize)>,
}

impl Masters {
    fn of_slot(&self, slot: u16) -> usize {
        let at = self.ranges.partition_point(|(last, _)| *last < slot);
        self.ranges.get(at).map_or(0, |(_, master)| *master)
    }

    fn of_command(&self, command: &Cmd) -> usize {
        slot::of_command(command).map_or(0, |slot| self.of_slot(slot))
    }

    fn connection(&self, master: usize) -> RedisResult<MultiplexedConnection> {
        let none = || RedisError::from((ErrorKind::Client, "the Cluster has no masters"));
        self.masters.get(master).cloned().ok_or_else(none)
    }

    /// Slot by slot, in the order of the commands.
    async fn in_order(&self, pipeline: &Pipeline) -> RedisResult<Vec<Value>> {
        let commands: Vec<&Cmd> = pipeline.cmd_iter().collect();
        let same = |a: &&Cmd, b: &&Cmd| slot::of_command(a) == slot::of_command(b);
        let mut answers = Vec::new();
        for group in commands.chunk_by(same) {
            let mut part = redis::pipe();
            part.atomic();
            for command in group {
                part.add_command((*command).clone());
            }
            let mut connection = self.connection(self.of_command(group[0]))?;
            let done = connection.req_packed_commands(&part, group.len() + 1, 1).await?;
            match done.into_iter().next() {
                Some(Value::Array(items)) => answers.extend(items),
                Some(Value::ServerError(error)) => return Err(error.into()),
                _ => return Err((ErrorKind::UnexpectedReturnType, "no answer to EXEC").into()),
            }
        }
        Ok(vec![Value::Array(answers)])
    }

    /// To all masters at once, each its own.
    async fn at_once(&self, pipeline: &Pipeline) -> RedisResult<Vec<Value>> {
        let mut parts = vec![(redis::pipe(), Vec::new()); self.masters.len()];
        for (at, command) in pipeline.cmd_iter().enumerate() {
            let Some((part, places)) = parts.get_mut(self.of_command(command)) else { continue };
            part.add_command(command.clone());
            places.push(at);
        }
        let asked = parts.into_iter().enumerate().filter(|(_, (part, _))| !part.is_empty());
        let asking = asked.map(async |(master, (part, places))| {
            let values = self.connection(master)?.req_packed_commands(&part, 0, part.len()).await?;
            RedisResult::Ok(places.into_iter().zip(values))
        });
        let mut answers = vec![Value::Nil; pipeline.len()];
        for (at, value) in try_join_all(asking).await?.into_iter().flatten() {
            answers[at] = value;
        }
        Ok(answers)
    }
}

impl Wire {
    /// It is a Cluster.
    pub fn is_cluster(&self) -> bool {
        matches!(self, Wire::Cluster(_))
    }

    /// The connections to all servers.
    pub fn servers(&self) -> Vec<MultiplexedConnection> {
        match self {
            Wire::One(connection) => vec![connection.clone()],
            Wire::Cluster(cluster) => cluster.masters.clone(),
        }
    }

    /// All servers answer.
    pub async fn ping(&self) -> RedisResult<()> {
        let pings = self
            .servers()
            .into_iter()
            .map(async |mut server| redis::cmd("PING").query_async::<()>(&mut server).await);
        join_all(pings).await.into_iter().collect()
    }
}

impl ConnectionLike for Wire {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Wire::One(connection) => connection.req_packed_command(command),
            Wire::Cluster(cluster) => async move {
                cluster.connection(cluster.of_command(command))?.req_packed_command(command).await
            }
            .boxed(),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Wire::One(connection) => connection.req_packed_commands(pipeline, offset, count),
            Wire::Cluster(cluster) => match pipeline.is_transaction() {
                true => cluster.in_order(pipeline).boxed(),
                false => cluster.at_once(pipeline).boxed(),
            },
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Wire::One(connection) => connection.get_db(),
            Wire::Cluster(_) => 0,
        }
    }
}
