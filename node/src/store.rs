//! What a node keeps in Redis besides its place in the tree: commands on a connection of their own, which is made when
//! it is needed and made again after it broke.

use std::time::Duration;

use redis::{FromRedisValue, Pipeline};

use crate::config::RedisConfig;
use crate::redis::connect::{Connector, Link};
use crate::redis::failure::Failure;

/// How long an answer is waited for.
const ANSWER: Duration = Duration::from_secs(2);

/// A connection for commands, or the wish for one.
pub struct Store {
    connector: Connector,
    link: Option<Link>,
}

impl Store {
    /// Connects to nothing yet.
    pub fn new(config: RedisConfig) -> Store {
        Store { connector: Connector::new(config, ANSWER), link: None }
    }

    /// Runs commands; an error says what is wrong with Redis and what to do.
    pub async fn run<T: FromRedisValue>(&mut self, commands: &Pipeline) -> Result<T, String> {
        let mut link = match self.link.take() {
            Some(link) => link,
            None => self.connector.connect().await.map_err(|failure| failure.to_string())?,
        };
        match commands.query_async(&mut link.commands).await {
            Ok(answer) => {
                self.link = Some(link);
                Ok(answer)
            }
            // Whatever went wrong, the next commands have a fresh connection.
            Err(error) => Err(Failure::of(&link.address, error).to_string()),
        }
    }
}
