//! A connection to Redis for what a node keeps there besides its registration: sessions, mountpoints.

use redis::{FromRedisValue, Pipeline};
use tokio::sync::Mutex;

use crate::config::RedisConfig;
use crate::redis::connect::{Connector, Link};
use crate::redis::failure::Failure;
pub use crate::redis::wire::Wire;
use crate::tree::Timing;

/// Connects when it is needed, and again when the connection is gone.
pub struct Commands {
    inner: Mutex<Inner>,
}

struct Inner {
    connector: Connector,
    link: Option<Link>,
}

impl Commands {
    /// Nothing is connected yet.
    pub fn new(config: RedisConfig) -> Commands {
        let connector = Connector::new(config, Timing::default().answer);
        Commands { inner: Mutex::new(Inner { connector, link: None }) }
    }

    /// A connection that has just answered; an error says what is wrong with Redis. All clones share one connection, so
    /// that WATCH is for those who let nobody else in meanwhile.
    pub async fn connection(&self) -> Result<Wire, String> {
        let mut inner = self.inner.lock().await;
        if let Some(link) = &inner.link {
            let mut commands = link.commands.clone();
            if redis::cmd("PING").query_async::<()>(&mut commands).await.is_ok() {
                return Ok(commands);
            }
            inner.link = None;
        }
        let link = inner.connector.connect().await.map_err(|failure| failure.to_string())?;
        let commands = link.commands.clone();
        inner.link = Some(link);
        Ok(commands)
    }

    /// Runs commands; an error says what is wrong with Redis and what to do.
    pub async fn run<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, String> {
        let mut inner = self.inner.lock().await;
        let mut link = match inner.link.take() {
            Some(link) => link,
            None => inner.connector.connect().await.map_err(|failure| failure.to_string())?,
        };
        match commands.query_async(&mut link.commands).await {
            Ok(answer) => {
                inner.link = Some(link);
                Ok(answer)
            }
            // Whatever went wrong, the next commands have a fresh connection.
            Err(error) => Err(Failure::of(&link.address, error).to_string()),
        }
    }
}
