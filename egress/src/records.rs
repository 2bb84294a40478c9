//! The node's mountpoints in Redis (docs/contract.md, *Mountpoints*).
//!
//! What is to be there is handed over as a whole; a task of its own writes what differs. Redis that is away is written when
//! it is back, and then from scratch: it may have lost everything, or have what a killed predecessor left.

use std::collections::BTreeMap;
use std::time::Duration;

use node::commands::Commands;
use node::config::RedisConfig;
use node::contract::field::mountpoint as field;
use node::contract::{ENDED_TTL, key};
use redis::Pipeline;
use tokio::sync::watch;

/// Pause before a write that failed is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// How often everything is written again, in case Redis has lost it.
const REWRITE_EVERY: Duration = Duration::from_secs(30);

/// One mountpoint, as a hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Session.
    pub session: String,
    /// Its fields but `active` and `updatedAt`.
    pub fields: Vec<(&'static str, String)>,
    /// RTP arrives.
    pub active: bool,
}

/// Everything that is to be in Redis.
pub type Records = BTreeMap<String, Record>;

/// Keeps Redis as it is to be, until the sender is gone: then all mountpoints have ended.
pub async fn keep(config: RedisConfig, egress: String, mut wanted: watch::Receiver<Records>) {
    let store = Commands::new(config);
    let mut written: Option<Records> = None;
    let mut said = None;
    let mut written_at = tokio::time::Instant::now();
    loop {
        let records = wanted.borrow_and_update().clone();
        let is_last = wanted.has_changed().is_err();
        let records = if is_last { Records::new() } else { records };
        match bring(&store, &egress, written.as_ref(), &records).await {
            Ok(()) => {
                if written.is_none() {
                    written_at = tokio::time::Instant::now();
                }
                written = Some(records);
                said = None;
            }
            Err(why) => {
                if said.as_ref() != Some(&why) {
                    tracing::warn!("the mountpoints cannot be written to Redis: {why}");
                }
                said = Some(why);
                written = None;
            }
        }
        if is_last {
            return;
        }
        let again = if written.is_some() {
            written_at + REWRITE_EVERY
        } else {
            tokio::time::Instant::now() + RETRY_AFTER
        };
        tokio::select! {
            _ = wanted.changed() => {}
            () = tokio::time::sleep_until(again) => written = None,
        }
    }
}

/// Writes what differs. Without `written`, what is there is looked at first.
async fn bring(
    store: &Commands,
    egress: &str,
    written: Option<&Records>,
    wanted: &Records,
) -> Result<(), String> {
    let ended: Vec<String> = match written {
        Some(written) => written.keys().filter(|session| !wanted.contains_key(*session)).cloned().collect(),
        None => {
            let (there,): (Vec<String>,) =
                store.run(redis::pipe().cmd("SMEMBERS").arg(key::mountpoints(egress))).await?;
            there.into_iter().filter(|session| !wanted.contains_key(session)).collect()
        }
    };
    let now = crate::now_ms();
    let mut commands = redis::pipe();
    commands.atomic();
    for session in &ended {
        end(&mut commands, egress, session, now);
    }
    for record in wanted.values() {
        if written.and_then(|written| written.get(&record.session)) != Some(record) {
            write(&mut commands, egress, record, now);
        }
    }
    if commands.is_empty() {
        return Ok(());
    }
    store.run::<redis::Value>(&commands).await.map(drop)
}

fn write(commands: &mut Pipeline, egress: &str, record: &Record, now: u64) {
    let key = key::mountpoint(egress, &record.session);
    commands.cmd("HSET").arg(&key).arg(&record.fields);
    commands
        .arg(field::ACTIVE)
        .arg(if record.active { "true" } else { "false" })
        .arg(field::UPDATED_AT)
        .arg(now)
        .ignore();
    commands.cmd("PERSIST").arg(&key).ignore();
    commands.cmd("SADD").arg(key::mountpoints(egress)).arg(&record.session).ignore();
    commands
        .cmd("SADD")
        .arg(key::ACTIVE_MOUNTPOINTS)
        .arg(key::active_mountpoint(egress, &record.session))
        .ignore();
}

fn end(commands: &mut Pipeline, egress: &str, session: &str, now: u64) {
    let key = key::mountpoint(egress, session);
    commands.cmd("HSET").arg(&key).arg(field::ACTIVE).arg("false").arg(field::UPDATED_AT).arg(now).ignore();
    commands.cmd("EXPIRE").arg(&key).arg(ENDED_TTL.as_secs()).ignore();
    commands.cmd("SREM").arg(key::mountpoints(egress)).arg(session).ignore();
    commands.cmd("SREM").arg(key::ACTIVE_MOUNTPOINTS).arg(key::active_mountpoint(egress, session)).ignore();
}
