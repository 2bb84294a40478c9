//! The node's mountpoints in Redis (docs/contract.md, *Mountpoints*).
//!
//! What is to be there is handed over as a whole; a task of its own writes what differs. Redis that is away is written when
//! it is back, and then from scratch: it may have lost everything, or have what a killed predecessor left.

use std::collections::BTreeMap;
use std::time::Duration;

use node::backoff::Backoff;
use node::commands::Commands;
use node::config::RedisConfig;
use node::contract::field::mountpoint as field;
use node::contract::{ENDED_TTL, key};
use redis::Pipeline;
use tokio::sync::watch;

/// Pauses before a write that failed is tried again: the first, and the longest.
const RETRY: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];
/// How often it is looked whether Redis still has all of them.
const CHECK_EVERY: Duration = Duration::from_secs(30);
/// How often everything is written again, well within its time to live.
const REWRITE_EVERY: Duration = Duration::from_secs(3600);

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
pub async fn keep(config: RedisConfig, egress: String, wanted: watch::Receiver<Records>) {
    keep_checking(config, egress, wanted, CHECK_EVERY).await;
}

/// The same, looking as often as `every` whether Redis still has all of them.
pub async fn keep_checking(
    config: RedisConfig,
    egress: String,
    mut wanted: watch::Receiver<Records>,
    every: Duration,
) {
    let store = Commands::new(config);
    let mut written: Option<Records> = None;
    let mut said = None;
    let mut backoff = Backoff::new(RETRY);
    let now = tokio::time::Instant::now;
    let (mut rewrite_at, mut check_at) = (now() + REWRITE_EVERY, now() + every);
    loop {
        let records = wanted.borrow_and_update().clone();
        let is_last = wanted.has_changed().is_err();
        let records = if is_last { Records::new() } else { records };
        let brought = match bring(&store, &egress, written.as_ref(), &records).await {
            Ok(()) if check_at <= now() => check(&store, &egress, records.len()).await,
            Ok(()) => Ok(true),
            Err(why) => Err(why),
        };
        if check_at <= now() {
            check_at = now() + every;
        }
        let mut again = check_at;
        match brought {
            Ok(true) => {
                if written.is_none() {
                    rewrite_at = now() + REWRITE_EVERY;
                }
                written = Some(records);
                said = None;
                backoff.reset();
            }
            Ok(false) => {
                tracing::warn!("Redis has lost mountpoints of this node; they are written again");
                (written, again) = (None, now());
            }
            Err(why) => {
                if said.as_ref() != Some(&why) {
                    tracing::warn!("the mountpoints cannot be written to Redis: {why}");
                }
                said = Some(why);
                (written, again) = (None, now() + backoff.pause());
            }
        }
        if is_last {
            return;
        }
        tokio::select! {
            // Told again what it knows: Redis may have lost it.
            told = wanted.changed() => if told.is_ok() && written.as_ref() == Some(&*wanted.borrow()) {
                check_at = now();
            },
            () = tokio::time::sleep_until(again) => {}
        }
        if rewrite_at <= now() {
            written = None;
        }
    }
}

/// Whether Redis still has as many as were written.
async fn check(store: &Commands, egress: &str, count: usize) -> Result<bool, String> {
    let (there,): (usize,) = store.run(redis::pipe().cmd("SCARD").arg(key::mountpoints(egress))).await?;
    Ok(there == count)
}

/// Writes what differs. Without `written`, what is there is looked at first.
pub async fn bring(
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
    // Should this node be killed, it is gone by itself some time.
    commands.cmd("EXPIRE").arg(&key).arg(ENDED_TTL.as_secs()).ignore();
    // What a sweeper had in mind with it is off (node::sweep).
    let own = key::mountpoints(egress);
    commands.hdel(key::sweeper(&own), key::doomed(&record.session)).ignore();
    commands.cmd("SADD").arg(own).arg(&record.session).ignore();
    let member = key::active_mountpoint(egress, &record.session);
    commands.hdel(key::sweeper(key::ACTIVE_MOUNTPOINTS), key::doomed(&member)).ignore();
    commands.cmd("SADD").arg(key::ACTIVE_MOUNTPOINTS).arg(member).ignore();
}

fn end(commands: &mut Pipeline, egress: &str, session: &str, now: u64) {
    let key = key::mountpoint(egress, session);
    commands.cmd("HSET").arg(&key).arg(field::ACTIVE).arg("false").arg(field::UPDATED_AT).arg(now).ignore();
    commands.cmd("EXPIRE").arg(&key).arg(ENDED_TTL.as_secs()).ignore();
    commands.cmd("SREM").arg(key::mountpoints(egress)).arg(session).ignore();
    commands.cmd("SREM").arg(key::ACTIVE_MOUNTPOINTS).arg(key::active_mountpoint(egress, session)).ignore();
}
