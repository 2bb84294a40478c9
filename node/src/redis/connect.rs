//! Two connections to each Redis server that there is: one for commands, one that listens.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::{MultiplexedConnection, PubSub};
use redis::{ProtocolVersion, RedisConnectionInfo};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::cluster;
use super::dial::{address, commands_over, dial, is_protected, tls};
use super::ears::{self, Ears, Messages};
use super::failure::Failure;
use super::script;
use super::sentinel::Sentinels;
use super::wire::{Masters, Wire};
use crate::config::{RedisConfig, RedisServer};

/// How long a server that hung up is given to say why.
const EXPLAINS: Duration = Duration::from_millis(300);

/// Connected. Dropping it ends the connections and the tasks that serve them.
pub struct Link {
    /// Host and port; of a Cluster those of all masters.
    pub address: String,
    /// For commands; a clone is cheap and shares the connections.
    pub commands: Wire,
    /// To subscribe with.
    pub ears: Ears,
    /// What is heard; taken by whoever listens.
    pub messages: Option<Messages>,
    /// Tasks that live as long as the connections.
    pub tasks: JoinSet<()>,
}

/// Both connections to a server.
struct Pair {
    commands: MultiplexedConnection,
    listening: PubSub,
}

/// Makes connections, each time to where the server is by then.
pub struct Connector {
    config: RedisConfig,
    answer: Duration,
    tls: Option<TlsConnector>,
    /// Those that name the master, if any.
    pub sentinels: Option<Sentinels>,
}

impl Connector {
    /// `answer`: how long connecting, and any answer, may take.
    pub fn new(config: RedisConfig, answer: Duration) -> Connector {
        let sentinels = match &config.server {
            RedisServer::Single { .. } | RedisServer::Cluster { .. } => None,
            RedisServer::Sentinel { sentinels, master } => {
                Some(Sentinels::new(sentinels.clone(), master, login(&config).set_db(0)))
            }
        };
        Connector { config, answer, tls: None, sentinels }
    }

    /// Where it connects to, for people.
    pub fn server(&self) -> String {
        let scheme = if self.config.tls { "rediss" } else { "redis" };
        let db = self.config.database;
        match &self.config.server {
            RedisServer::Single { host, port } => format!("{scheme}://{}/{db}", address(host, *port)),
            RedisServer::Sentinel { sentinels, master } => {
                let sentinels: Vec<_> = sentinels.iter().map(|(host, port)| address(host, *port)).collect();
                format!("{scheme}+sentinel://{}/{master}/{db}", sentinels.join(","))
            }
            RedisServer::Cluster { seeds } => {
                let seeds: Vec<_> = seeds.iter().map(|(host, port)| address(host, *port)).collect();
                format!("{scheme}+cluster://{}", seeds.join(","))
            }
        }
    }

    /// Connects, twice to each server.
    pub async fn connect(&mut self) -> Result<Link, Failure> {
        if self.config.tls && self.tls.is_none() {
            self.tls = Some(tls(self.config.tls_ca.as_deref())?);
        }
        let tls = self.tls.clone();
        if let Some(sentinels) = &mut self.sentinels {
            sentinels.secured(tls.clone());
        }
        let mut tasks = JoinSet::new();
        let (host, port) = match (&self.config.server, &mut self.sentinels) {
            (RedisServer::Cluster { seeds }, _) => {
                return self.connect_all(&seeds.clone(), tls.as_ref(), tasks).await;
            }
            (RedisServer::Single { host, port }, _) => (host.clone(), *port),
            (RedisServer::Sentinel { .. }, Some(sentinels)) => sentinels.master().await?,
            (RedisServer::Sentinel { master, .. }, None) => {
                return Err(Failure::NoMaster { master: master.clone(), why: "none is named".to_owned() });
            }
        };
        let address = address(&host, port);
        let Pair { mut commands, listening } = self.pair(&host, port, tls.as_ref(), &mut tasks).await?;
        if self.sentinels.is_some() {
            let is_master =
                script::is_master(&mut commands).await.map_err(|error| Failure::of(&address, error))?;
            if !is_master {
                return Err(Failure::NotMaster { address });
            }
        }
        let (ears, messages) = ears::split(vec![listening], self.answer);
        Ok(Link { address, commands: Wire::One(commands), ears, messages: Some(messages), tasks })
    }

    /// Connects to all masters of a Cluster, which the first seed that answers names.
    async fn connect_all(
        &self,
        seeds: &[(String, u16)],
        tls: Option<&TlsConnector>,
        mut tasks: JoinSet<()>,
    ) -> Result<Link, Failure> {
        let mut asked =
            Err(Failure::Unknown { host: "Cluster".to_owned(), why: "it has no seeds".to_owned() });
        for (host, port) in seeds {
            let asking = async {
                let Pair { mut commands, .. } = self.pair(host, *port, tls, &mut tasks).await?;
                cluster::layout(&mut commands, host, &address(host, *port)).await
            };
            asked = asking.await;
            if asked.is_ok() {
                break;
            }
        }
        let layout = asked?;
        let (mut masters, mut listening) = (Vec::new(), Vec::new());
        for (host, port) in &layout.masters {
            let pair = self.pair(host, *port, tls, &mut tasks).await?;
            masters.push(pair.commands);
            listening.push(pair.listening);
        }
        let addresses: Vec<_> = layout.masters.iter().map(|(host, port)| address(host, *port)).collect();
        let (ears, messages) = ears::split(listening, self.answer);
        Ok(Link {
            address: addresses.join(","),
            commands: Wire::Cluster(Arc::new(Masters { masters, ranges: layout.ranges })),
            ears,
            messages: Some(messages),
            tasks,
        })
    }

    /// Connects to one server.
    async fn pair(
        &self,
        host: &str,
        port: u16,
        tls: Option<&TlsConnector>,
        tasks: &mut JoinSet<()>,
    ) -> Result<Pair, Failure> {
        let address = address(host, port);
        let info = login(&self.config);
        let connecting = async {
            let (commands, listening) =
                tokio::try_join!(dial(host, port, tls, self.answer), dial(host, port, tls, self.answer))?;
            let failed = |error| Failure::of(&address, error);
            let (mut commands, listening) = tokio::try_join!(
                commands_over(&info, commands, self.answer, tasks),
                PubSub::new(&info, listening)
            )
            .map_err(failed)?;
            // Only its first answer tells a server that hangs up on us. Whatever else it says to this, it is there, and a
            // user need not be allowed to ask.
            if let Err(failure @ (Failure::Lost { .. } | Failure::Protected { .. })) =
                redis::cmd("PING").query_async::<()>(&mut commands).await.map_err(failed)
            {
                return Err(failure);
            }
            Ok(Pair { commands, listening })
        };
        let silent = Failure::Silent { address: address.clone() };
        let connected = timeout(self.answer, connecting).await.unwrap_or(Err(silent));
        if matches!(connected, Err(Failure::Lost { .. })) && is_protected(host, port, EXPLAINS).await {
            return Err(Failure::Protected { address });
        }
        connected
    }
}

/// RESP2, because servers before 6 speak nothing else.
fn login(config: &RedisConfig) -> RedisConnectionInfo {
    let mut info = RedisConnectionInfo::default()
        .set_protocol(ProtocolVersion::RESP2)
        .set_skip_set_lib_name()
        .set_db(config.database);
    if let Some(user) = &config.user {
        info = info.set_username(user);
    }
    match &config.password {
        Some(password) => info.set_password(password.reveal()),
        None => info,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    /// As Redis does it (networking.c): it writes, and closes with what was sent to it unread.
    async fn protected() -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let said =
                    format!("-DENIED Redis is running in protected mode {}\r\n", "because ".repeat(100));
                let _ = stream.write_all(said.as_bytes()).await;
            }
        });
        port
    }

    #[tokio::test]
    async fn protected_mode_is_one_short_line_each_time() {
        let server = RedisServer::Single { host: "127.0.0.1".to_owned(), port: protected().await };
        let config =
            RedisConfig { server, user: None, password: None, database: 0, tls: false, tls_ca: None };
        let mut connector = Connector::new(config, Duration::from_secs(1));
        for _ in 0..20 {
            let why = connector.connect().await.err().expect("refused").to_string();
            assert!(why.contains("protected mode") && why.contains("fix: "), "{why}");
            assert!(why.len() < 300 && !why.contains("because") && !why.contains('\n'), "{why}");
        }
    }
}
