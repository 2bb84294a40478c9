//! Notices that a server is gone although nobody said so: it hangs, the network swallows packets, it has forgotten
//! everything (FLUSHALL tells nobody), or the sentinels have made another one the master.

use std::time::Duration;

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::interval_at;

use super::connect::Link;
use super::dial;
use super::ears::Ears;
use super::failure::Failure;
use super::script::{self, Standing};
use super::sentinel::Sentinels;
use super::wire::Wire;

/// What was felt.
pub enum Beat {
    /// All connections answer. How does it stand with the node's registration?
    Alive(Standing),
    /// They do not, or this is not the master any more.
    Gone(Failure),
}

/// Feels all connections every `every`, as long as the link lives, and asks the sentinels every second. `ttl`: of what says that
/// this process lives.
pub fn feel(
    link: &mut Link,
    [id, instance]: [&str; 2],
    [every, ttl]: [Duration; 2],
    sentinels: Option<(Sentinels, Duration)>,
) -> UnboundedReceiver<Beat> {
    let (beats, felt) = mpsc::unbounded_channel();
    link.tasks.spawn(connections(link.beat_parts(id, instance), [every, ttl], beats.clone()));
    if let Some((sentinels, every)) = sentinels {
        link.tasks.spawn(master(sentinels, link.address.clone(), every, beats));
    }
    felt
}

/// What the task needs of a link.
struct Parts {
    commands: Wire,
    ears: Ears,
    address: String,
    id: String,
    instance: String,
}

impl Link {
    fn beat_parts(&self, id: &str, instance: &str) -> Parts {
        Parts {
            commands: self.commands.clone(),
            ears: self.ears.clone(),
            address: self.address.clone(),
            id: id.to_owned(),
            instance: instance.to_owned(),
        }
    }
}

async fn connections(mut parts: Parts, [every, ttl]: [Duration; 2], beats: UnboundedSender<Beat>) {
    let mut ticks = interval_at(tokio::time::Instant::now() + every, every);
    loop {
        ticks.tick().await;
        let others = async {
            // One server has answered when it is asked for the registration.
            if parts.commands.is_cluster() { parts.commands.clone().ping().await } else { Ok(()) }
        };
        let mut commands = parts.commands.clone();
        let felt = tokio::try_join!(
            script::standing(&mut commands, &parts.id, &parts.instance, ttl),
            parts.ears.ping(),
            others
        );
        let beat = match felt {
            Ok((standing, (), ())) => Beat::Alive(standing),
            Err(error) => Beat::Gone(Failure::of(&parts.address, error)),
        };
        if beats.send(beat).is_err() {
            return;
        }
    }
}

async fn master(mut sentinels: Sentinels, address: String, every: Duration, beats: UnboundedSender<Beat>) {
    let mut ticks = interval_at(tokio::time::Instant::now() + every, every);
    loop {
        ticks.tick().await;
        // Sentinels that are down are no reason to leave a master that answers.
        let Ok((host, port)) = sentinels.master().await else { continue };
        let now = dial::address(&host, port);
        if now != address {
            let why = format!("the sentinels have made {now} the master");
            let _ = beats.send(Beat::Gone(Failure::Lost { address, why }));
            return;
        }
    }
}
