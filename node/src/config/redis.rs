//! Which Redis is meant: a URL, or host and port; and where its password is.

use std::path::Path;

use super::source::{Found, Level, Settings};
use super::{
    ConfigError, REDIS_CA, REDIS_HOST, REDIS_PASSWORD_FILE, REDIS_URL, RedisConfig, RedisServer, bad,
    node_host, port_number, url,
};
use crate::secret::Secret;

/// `None`: this node is run without Redis.
pub(super) fn config(settings: &mut Settings<'_>) -> Result<Option<RedisConfig>, ConfigError> {
    let (url, host, port) =
        (settings.find(&REDIS_URL)?, settings.find(&REDIS_HOST)?, settings.find(&super::REDIS_PORT)?);
    let ca = settings.find(&REDIS_CA)?;
    let password = settings.secret(&REDIS_PASSWORD_FILE)?;
    let open_to_all = settings.open_to_all();
    let Some(mut redis) = server(settings, url, host, port, open_to_all.as_deref())? else {
        for name in password.iter().map(|found| &found.name).chain(ca.iter().map(|found| &found.name)) {
            settings.warnings.push(useless(name));
        }
        return Ok(None);
    };
    if let Some(password) = password {
        if redis.password.as_ref().is_some_and(|other| *other != password.value) {
            return bad(format!(
                "the URL of Redis has one password and {} another; leave one of them out",
                password.name
            ));
        }
        redis.password = Some(password.value);
    }
    if redis.user.is_some() && redis.password.is_none() {
        return bad(
            "the URL of Redis has a user and no password; set REDIS_PASSWORD or --redis-password-file",
        );
    }
    if let Some(ca) = ca {
        if !redis.tls {
            return bad(format!("{} is for TLS; write rediss:// instead of redis://", ca.name));
        }
        check_certificate(&ca)?;
        redis.tls_ca = Some(ca.value.into());
    }
    Ok(Some(redis))
}

/// A setting that needs Redis, where there is none.
pub(super) fn useless(name: &str) -> String {
    format!("{name} plays no part without Redis; set REDIS_URL, REDIS_HOST or --redis-url to follow a tree")
}

/// The URL, or host and port. What is set at a higher level wins; two at the same level contradict each other.
fn server(
    settings: &mut Settings<'_>,
    url: Option<Found<String>>,
    host: Option<Found<String>>,
    port: Option<Found<String>>,
    open_to_all: Option<&Path>,
) -> Result<Option<RedisConfig>, ConfigError> {
    let host = match (url, host.as_ref().or(port.as_ref())) {
        (Some(url), Some(other)) if url.level == other.level => {
            return bad(format!(
                "{} and {} both say where Redis is; leave one of them out",
                url.name, other.name
            ));
        }
        (Some(url), other) if other.is_none_or(|other| url.level < other.level) => {
            let redis = url::parse(&url.name, &Secret::new(url.value))?;
            if redis.password.is_some() && url.level == Level::Flag {
                return bad(format!(
                    "{} has a password in it, and everybody on this machine can read the process list; put the URL \
                     into the environment variable REDIS_URL, or the password into REDIS_PASSWORD or into a file \
                     (--redis-password-file)",
                    url.name
                ));
            }
            if let (Some(path), Level::File, true) = (open_to_all, url.level, redis.password.is_some()) {
                let path = path.display();
                let warning =
                    format!("{path} has a password in it and everybody here can read it; `chmod 600 {path}`");
                settings.warnings.push(warning);
            }
            return Ok(Some(redis));
        }
        _ => host,
    };
    match (host, port) {
        (None, None) => Ok(None),
        (None, Some(port)) => bad(format!("{} needs a host; set REDIS_HOST or --redis-host", port.name)),
        (Some(host), port) => Ok(Some(RedisConfig {
            server: RedisServer::Single {
                host: host.checked(node_host)?,
                port: port.map_or(Ok(url::REDIS_PORT), |port| port.checked(port_number))?,
            },
            user: None,
            password: None,
            database: 0,
            tls: false,
            tls_ca: None,
        })),
    }
}

fn check_certificate(ca: &Found<String>) -> Result<(), ConfigError> {
    let at = &ca.value;
    let text = std::fs::read(&ca.value)
        .map_err(|error| ConfigError(format!("cannot read {} {at}: {error}", ca.name)))?;
    let mark = b"-----BEGIN CERTIFICATE-----";
    if text.windows(mark.len()).any(|window| window == mark) {
        return Ok(());
    }
    bad(format!(
        "{} {at} has no certificate in it; it must be a PEM file (-----BEGIN CERTIFICATE-----)",
        ca.name
    ))
}
