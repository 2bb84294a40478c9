//! A connection to Redis for what a node keeps there besides its registration: sessions, mountpoints.

use redis::{FromRedisValue, Pipeline};
use tokio::sync::Mutex;

use crate::config::RedisConfig;
use crate::redis::connect::{Connector, Link};
use crate::redis::failure::Failure;
use crate::tree::Timing;

/// Connects when it is needed, and again when the connection is gone.
pub struct Commands {
    inner: Mutex<Inner>,
}

struct Inner {
    connector: Connector,
    link: Option<Link>,
}

impl Inner {
    /// Whatever goes wrong, the next commands have a fresh connection.
    async fn run_over<T: FromRedisValue>(
        &mut self,
        mut link: Link,
        commands: &Pipeline,
    ) -> Result<T, Failure> {
        let answer = commands.query_async(&mut link.commands).await;
        let answer = answer.map_err(|error| Failure::of_commands(&link.address, error, commands))?;
        self.link = Some(link);
        Ok(answer)
    }
}

impl Commands {
    /// Nothing is connected yet.
    pub fn new(config: RedisConfig) -> Commands {
        let connector = Connector::new(config, Timing::default().answer);
        Commands { inner: Mutex::new(Inner { connector, link: None }) }
    }

    /// Runs commands; an error says what is wrong with Redis and what to do. They may be run twice, should a connection turn
    /// out to have ended while nobody used it.
    pub async fn run<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, String> {
        let mut inner = self.inner.lock().await;
        if let Some(link) = inner.link.take() {
            match inner.run_over(link, commands).await {
                Err(Failure::Lost { .. } | Failure::Moved { .. }) => {}
                done => return done.map_err(|failure| failure.to_string()),
            }
        }
        let link = inner.connector.connect().await.map_err(|failure| failure.to_string())?;
        inner.run_over(link, commands).await.map_err(|failure| failure.to_string())
    }
}
