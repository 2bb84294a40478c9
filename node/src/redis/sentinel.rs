//! Which server is the master, by its sentinels.
//!
//! As Redis asks of its clients: the sentinels are asked in turn, each with a short time, and the first that answers is
//! believed and asked first from then on. Always believing the same one keeps a node from going back and forth while
//! they disagree.

use std::time::Duration;

use redis::RedisConnectionInfo;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::dial::{address, commands_over, dial};
use super::failure::Failure;

/// How long one sentinel is waited for.
const TURN: Duration = Duration::from_millis(300);

/// The sentinels of a master.
#[derive(Clone)]
pub struct Sentinels {
    /// The one that answered last is first.
    sentinels: Vec<(String, u16)>,
    master: String,
    login: RedisConnectionInfo,
    tls: Option<TlsConnector>,
}

impl Sentinels {
    /// `login`: that of the master; sentinels that want a password get the same.
    pub fn new(sentinels: Vec<(String, u16)>, master: &str, login: RedisConnectionInfo) -> Sentinels {
        Sentinels { sentinels, master: master.to_owned(), login, tls: None }
    }

    /// They are spoken to over TLS.
    pub fn secured(&mut self, tls: Option<TlsConnector>) {
        self.tls = tls;
    }

    /// Host and port of the master.
    pub async fn master(&mut self) -> Result<(String, u16), Failure> {
        let no_master = |why: String| Failure::NoMaster { master: self.master.clone(), why };
        let mut failure = no_master("there are none".to_owned());
        for turn in 0..self.sentinels.len() {
            let (host, port) = &self.sentinels[turn];
            let silent = Failure::Silent { address: address(host, *port) };
            match timeout(TURN, self.ask(host, *port)).await.unwrap_or(Err(silent)) {
                Ok(Some(master)) => {
                    self.sentinels[..=turn].rotate_right(1);
                    return Ok(master);
                }
                Ok(None) => failure = no_master(format!("{} does not know it", address(host, *port))),
                Err(why) => failure = no_master(why.to_string()),
            }
        }
        Err(failure)
    }

    async fn ask(&self, host: &str, port: u16) -> Result<Option<(String, u16)>, Failure> {
        let plain = self.login.clone();
        let open = RedisConnectionInfo::default().set_protocol(plain.protocol()).set_skip_set_lib_name();
        // Most sentinels have no password, and one that has none refuses to be told one.
        match self.ask_as(&open, host, port).await {
            Err(Failure::NoPassword { .. }) if plain.password().is_some() => {
                self.ask_as(&plain, host, port).await
            }
            other => other,
        }
    }

    async fn ask_as(
        &self,
        login: &RedisConnectionInfo,
        host: &str,
        port: u16,
    ) -> Result<Option<(String, u16)>, Failure> {
        let address = address(host, port);
        let failed = |error| Failure::of(&address, error);
        let stream = dial(host, port, self.tls.as_ref(), TURN).await?;
        let mut tasks = JoinSet::new();
        let mut commands = commands_over(login, stream, TURN, &mut tasks).await.map_err(failed)?;
        redis::cmd("SENTINEL")
            .arg("GET-MASTER-ADDR-BY-NAME")
            .arg(&self.master)
            .query_async(&mut commands)
            .await
            .map_err(failed)
    }
}
