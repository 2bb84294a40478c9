//! Redis URLs: `redis://[user:password@]host[:port][/db]`, `rediss://` for TLS, `redis+sentinel://` with several hosts and
//! the master's name, and `redis+cluster://` with one or several hosts. No URL parser that is kept knows the last two.
//!
//! No error quotes anything of a URL: what somebody got wrong may be the password.

use std::net::Ipv6Addr;

use percent_encoding::percent_decode_str;

use super::{ConfigError, LONGEST_HOST, RedisConfig, RedisServer, printable};
use crate::secret::Secret;

/// Port of Redis unless told otherwise.
pub(super) const REDIS_PORT: u16 = 6379;
/// Port of a sentinel unless told otherwise.
const SENTINEL_PORT: u16 = 26379;
const FORM: &str = "write redis://HOST:PORT/DB, rediss:// for TLS, redis+sentinel://HOST:PORT,HOST:PORT/MASTER/DB or \
     redis+cluster://HOST:PORT,HOST:PORT";

/// Reads one; `name` is what the setting is called.
pub(super) fn parse(name: &str, url: &Secret) -> Result<RedisConfig, ConfigError> {
    read(url.reveal()).map_err(|why| ConfigError(format!("{name}: {why}; {FORM}")))
}

fn read(url: &str) -> Result<RedisConfig, String> {
    let (scheme, rest) = url.split_once("://").ok_or("not a URL")?;
    let (scheme, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
    let tls = match scheme {
        "redis" => false,
        "rediss" => true,
        _ => return Err("its scheme is neither redis nor rediss".to_owned()),
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if path.contains('@') {
        return Err("a '/' in the user or password must be written %2F".to_owned());
    }
    let (credentials, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    if path.contains(['?', '#']) || hosts.contains(['?', '#']) {
        return Err("it takes no parameters after '?' or '#'".to_owned());
    }
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let (user, password) = (decoded(user)?, decoded(password)?);

    let several =
        |default| hosts.split(',').map(|host| host_port(host, default)).collect::<Result<Vec<_>, _>>();
    let (server, database) = match kind {
        "sentinel" => {
            let sentinels = several(SENTINEL_PORT)?;
            let (master, database) = path.split_once('/').unwrap_or((path, ""));
            let master = decoded(master)?
                .filter(|master| printable(master))
                .ok_or("no master's name after the hosts")?;
            (RedisServer::Sentinel { sentinels, master }, database)
        }
        "cluster" if !matches!(path, "" | "0") => {
            return Err("a Cluster has no other database than 0".to_owned());
        }
        "cluster" => (RedisServer::Cluster { seeds: several(REDIS_PORT)? }, ""),
        "" => {
            let (host, port) = host_port(hosts, REDIS_PORT)?;
            (RedisServer::Single { host, port }, path)
        }
        _ => return Err("what comes after the '+' of its scheme is neither sentinel nor cluster".to_owned()),
    };
    Ok(RedisConfig {
        server,
        user,
        password: password.map(Secret::new),
        database: database_number(database)?,
        tls,
        tls_ca: None,
    })
}

/// What a part of a URL means; nothing for an empty one.
fn decoded(part: &str) -> Result<Option<String>, String> {
    let text = percent_decode_str(part).decode_utf8();
    let text = text.map_err(|_| "what its %-escapes stand for is not UTF-8".to_owned())?;
    Ok(Some(text.into_owned()).filter(|text| !text.is_empty()))
}

fn host_port(text: &str, default: u16) -> Result<(String, u16), String> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or("an IPv6 address lacks its ']'")?;
            host.parse::<Ipv6Addr>().map_err(|_| "what is in brackets is not an IPv6 address")?;
            let port = match after.strip_prefix(':') {
                None if !after.is_empty() => {
                    return Err("something other than a port comes after ']'".to_owned());
                }
                port => port,
            };
            (host, port)
        }
        None => match text.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err("IPv6 addresses must be in brackets, as in redis://[fd00::1]:6379".to_owned());
            }
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    if !printable(host) || host.len() > LONGEST_HOST || host.contains([',', '[', ']', '%']) {
        return Err("no host, or one that cannot be".to_owned());
    }
    let port = match port {
        None => default,
        Some(port) => {
            port.parse().ok().filter(|port| *port != 0).ok_or("the port is no number from 1 to 65535")?
        }
    };
    Ok((host.to_owned(), port))
}

fn database_number(text: &str) -> Result<i64, String> {
    if text.is_empty() {
        return Ok(0);
    }
    let number = text.parse::<u32>().map_err(|_| "the database after the last '/' is not a number")?;
    Ok(i64::from(number))
}
