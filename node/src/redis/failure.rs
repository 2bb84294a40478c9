//! What can go wrong with Redis, each as a sentence that says what to do about it. No secret is ever in it.

use redis::{Arg, Cmd, ErrorKind, Pipeline, RedisError, ServerErrorKind};

/// Words of a command that are named at most.
const MOST_WORDS: usize = 16;

/// Why Redis cannot be read or written.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Failure {
    /// The name has no address.
    #[error("the host name '{host}' of Redis cannot be looked up ({why}); check REDIS_URL and DNS")]
    Unknown { host: String, why: String },
    /// Nobody listens.
    #[error(
        "Redis at {address} cannot be reached ({why}); is it running, does it listen on more than 127.0.0.1 (`bind` in redis.conf), and is REDIS_URL right?"
    )]
    Unreachable { address: String, why: String },
    /// Nothing comes back.
    #[error(
        "Redis at {address} does not answer; it hangs, is overloaded, or a firewall drops what is sent to it"
    )]
    Silent { address: String },
    /// The connection ended.
    #[error("the connection to Redis at {address} was lost ({why})")]
    Lost { address: String, why: String },
    /// The certificate is not trusted, or there is no TLS at the other end.
    #[error(
        "TLS with Redis at {address} failed ({why}); check that its port takes TLS, and the certificate authority"
    )]
    Tls { address: String, why: String },
    /// A file with certificates is of no use.
    #[error("the certificate authority file {file} cannot be used ({why})")]
    Authority { file: String, why: String },
    /// The password is wrong.
    #[error("Redis at {address} refuses this user and password; check REDIS_PASSWORD or REDIS_URL")]
    WrongPassword { address: String },
    /// There has to be a password.
    #[error("Redis at {address} wants a password; set REDIS_PASSWORD")]
    NoPassword { address: String },
    /// The user may not.
    #[error("Redis at {address} does not let this user do what a node must ({why}); extend its ACL")]
    NotAllowed { address: String, why: String },
    /// It listens to its own machine only.
    #[error(
        "Redis at {address} is in protected mode and takes connections from its own machine only; fix: give it a \
         password (requirepass there, REDIS_PASSWORD here), or set `protected-mode no` where its network is trusted"
    )]
    Protected { address: String },
    /// It is a replica.
    #[error(
        "Redis at {address} is a read-only replica, so this node cannot register and others do not find it; \
         name the master in REDIS_URL, or the sentinels"
    )]
    ReadOnly { address: String },
    /// It has just been started.
    #[error("Redis at {address} is still loading its data; nothing to do but wait")]
    Loading { address: String },
    /// Its disk is full, or the like.
    #[error("Redis at {address} refuses writes ({why}); see its log, its disk and its memory")]
    NoWrites { address: String, why: String },
    /// A key is of another type.
    #[error(
        "a key of this node in Redis at {address} has the wrong type ({why}); delete it and write it again"
    )]
    WrongType { address: String, why: String },
    /// No sentinel knows the master.
    #[error("no sentinel names a master '{master}' ({why}); check REDIS_URL and the sentinels")]
    NoMaster { master: String, why: String },
    /// The sentinels are not done yet.
    #[error(
        "Redis at {address} is named as the master by the sentinels but is not one (yet); a fail-over is under way"
    )]
    NotMaster { address: String },
    /// It is part of a Cluster, or no more the part that it was.
    #[error(
        "Redis at {address} says that another server has the key ({why}); it is part of a Cluster: write \
         redis+cluster://HOST:PORT in REDIS_URL; if that is there, it is moving keys, and this passes"
    )]
    Moved { address: String, why: String },
    /// It is no Cluster.
    #[error("Redis at {address} is no Cluster; write redis:// in REDIS_URL")]
    NoCluster { address: String },
    /// The Cluster is not whole.
    #[error("the Cluster that Redis at {address} belongs to is not whole ({why}); see CLUSTER INFO there")]
    Slots { address: String, why: String },
    /// Anything else.
    #[error("Redis at {address}: {why}")]
    Other { address: String, why: String },
}

impl Failure {
    /// In words, from what the client library says.
    pub fn of(address: &str, error: RedisError) -> Failure {
        let address = address.to_owned();
        if error.is_timeout() {
            return Failure::Silent { address };
        }
        match error.kind() {
            ErrorKind::AuthenticationFailed => return Failure::WrongPassword { address },
            ErrorKind::Io => return Failure::Lost { address, why: error.to_string() },
            _ => {}
        }
        let (mut code, why) = words(error);
        // Before Redis 7 a script's error hides the code of what failed in it.
        if why.contains("WRONGTYPE") {
            code = "WRONGTYPE".to_owned();
        }
        // Nor does 7 say NOPERM in a script's.
        if why.contains("The user executing the script can't") {
            code = "NOPERM".to_owned();
        }
        match code.as_str() {
            "NOAUTH" => Failure::NoPassword { address },
            "WRONGPASS" => Failure::WrongPassword { address },
            "NOPERM" => Failure::NotAllowed { address, why },
            "DENIED" => Failure::Protected { address },
            "READONLY" => Failure::ReadOnly { address },
            "LOADING" | "MASTERDOWN" => Failure::Loading { address },
            "MISCONF" | "OOM" | "NOREPLICAS" => Failure::NoWrites { address, why },
            "WRONGTYPE" => Failure::WrongType { address, why },
            "MOVED" | "ASK" | "TRYAGAIN" => Failure::Moved { address, why },
            "CLUSTERDOWN" => Failure::Slots { address, why },
            _ => Failure::Other { address, why },
        }
    }

    /// The same of these commands: what the user may not is named, which Redis does not do.
    pub fn of_commands(address: &str, error: RedisError, commands: &Pipeline) -> Failure {
        let first = error.clone().into_server_errors().and_then(|errors| errors.first().map(|(at, _)| *at));
        match Failure::of(address, error) {
            Failure::NotAllowed { address, why } => {
                let named = first.and_then(|at| commands.cmd_iter().nth(at)).map(named);
                let why = format!("{}: {why}", named.unwrap_or_default());
                Failure::NotAllowed { address, why }
            }
            other => other,
        }
    }

    /// The server has answered, and will go on doing so: only what was asked of it is refused.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Failure::NotAllowed { .. }
                | Failure::ReadOnly { .. }
                | Failure::NoWrites { .. }
                | Failure::WrongType { .. }
                | Failure::Other { .. }
        )
    }
}

/// A command and what it is about, for people: `HGETALL scaler:running:{tree-1}`.
fn named(command: &Cmd) -> String {
    let words = command.args_iter().filter_map(|word| match word {
        Arg::Simple(word) => Some(String::from_utf8_lossy(word).escape_debug().to_string()),
        _ => None,
    });
    let words: Vec<String> = words.take(MOST_WORDS).collect();
    let name = words.first().cloned().unwrap_or_default();
    let keys = match name.as_str() {
        "EVAL" | "EVALSHA" => {
            let count = words.get(2).and_then(|count| count.parse().ok()).unwrap_or(0);
            words.get(3..).unwrap_or_default().iter().take(count).cloned().collect()
        }
        _ => words.get(1).cloned().into_iter().collect::<Vec<String>>(),
    };
    format!("{name} {}", keys.join(" "))
}

/// The server's code and its own words. A transaction that was aborted says only that; what it was aborted by counts.
fn words(error: RedisError) -> (String, String) {
    let outer = (error.code().unwrap_or_default().to_owned(), error.to_string());
    let first = error.into_server_errors().and_then(|errors| errors.first().map(|(_, error)| error.clone()));
    match first {
        Some(first) => {
            let code = first.kind().map_or_else(|| first.code().to_owned(), |kind| code_of(kind).to_owned());
            let why = first.details().unwrap_or_default();
            (code.clone(), format!("{code} {why}").trim().to_owned())
        }
        None => outer,
    }
}

fn code_of(kind: ServerErrorKind) -> &'static str {
    match kind {
        ServerErrorKind::ReadOnly => "READONLY",
        ServerErrorKind::BusyLoading => "LOADING",
        ServerErrorKind::MasterDown => "MASTERDOWN",
        ServerErrorKind::NoPerm => "NOPERM",
        ServerErrorKind::Moved => "MOVED",
        ServerErrorKind::Ask => "ASK",
        ServerErrorKind::TryAgain => "TRYAGAIN",
        ServerErrorKind::ClusterDown => "CLUSTERDOWN",
        _ => "ERR",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_named_by_what_it_is_about() {
        let mut get = redis::cmd("HGETALL");
        get.arg("scaler:running:{a}");
        assert_eq!(named(&get), "HGETALL scaler:running:{a}");
        let mut eval = redis::cmd("EVAL");
        eval.arg("return 1").arg(2).arg("a").arg("b").arg("secret");
        assert_eq!(named(&eval), "EVAL a b");
        assert_eq!(named(&redis::cmd("PING")), "PING ");
    }
}
