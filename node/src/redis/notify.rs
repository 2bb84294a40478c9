//! Keyspace notifications: with them a plain SADD takes effect at once, with nobody publishing anything.

use std::collections::HashMap;

use redis::RedisResult;
use redis::aio::MultiplexedConnection;

const SETTING: &str = "notify-keyspace-events";

/// What has to be on: keyspace channels; generic commands (DEL, RENAME), strings (`parent:`), sets (`children:`),
/// hashes (`node:`), expiry.
const WANTED: &str = "Kg$shx";

/// What stands for `g$lshzxetd` together.
const MOST: char = 'A';

/// How the server is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// Nothing was missing.
    WasOn,
    /// Something was missing until now.
    TurnedOn,
    /// Something is missing, and this is why.
    StaysOff(String),
}

/// Turns on what is missing at all of these servers; what others have turned on stays on.
pub async fn ensure(servers: &mut [MultiplexedConnection]) -> RedisResult<Setting> {
    let mut all = Setting::WasOn;
    for server in servers {
        match ensure_at(server).await? {
            Setting::WasOn => {}
            Setting::TurnedOn => all = Setting::TurnedOn,
            stays_off @ Setting::StaysOff(_) => return Ok(stays_off),
        }
    }
    Ok(all)
}

async fn ensure_at(commands: &mut MultiplexedConnection) -> RedisResult<Setting> {
    let Some(wanted) = missing(&read(commands).await?) else { return Ok(Setting::WasOn) };
    redis::cmd("CONFIG").arg("SET").arg(SETTING).arg(&wanted).query_async::<()>(commands).await?;
    // Some hosted servers say OK and do nothing.
    let now = read(commands).await?;
    Ok(match missing(&now) {
        None => Setting::TurnedOn,
        Some(_) => Setting::StaysOff(format!("{SETTING} stays '{now}' although it was set to '{wanted}'")),
    })
}

async fn read(commands: &mut MultiplexedConnection) -> RedisResult<String> {
    let settings: HashMap<String, String> =
        redis::cmd("CONFIG").arg("GET").arg(SETTING).query_async(commands).await?;
    Ok(settings.into_values().next().unwrap_or_default())
}

/// Why a plain SADD takes effect late, for people.
pub fn cannot_turn_on(why: &str) -> String {
    format!(
        "keyspace notifications cannot be turned on ({why}), so Redis is polled every second; \
         let this user run CONFIG GET and CONFIG SET, or set {SETTING} to {WANTED} in redis.conf"
    )
}

/// The same when the server would tell, but not us.
pub fn cannot_listen(why: &str) -> String {
    format!(
        "this user may not listen to what a node must ({why}), so Redis is polled every second; extend its ACL (&*)"
    )
}

/// The setting with what is missing in it; `None` when nothing is.
fn missing(current: &str) -> Option<String> {
    let has = |class: char| current.contains(class) || (class != 'K' && current.contains(MOST));
    let lacking: String = WANTED.chars().filter(|class| !has(*class)).collect();
    (!lacking.is_empty()).then(|| format!("{current}{lacking}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_turned_on_stays_on() {
        let table = [
            ("", Some("Kg$shx")),
            ("KEA", None),
            ("AK", None),
            ("AE", Some("AEK")),
            ("Ex", Some("ExKg$sh")),
            ("g$shxK", None),
            ("lKE", Some("lKEg$shx")),
            ("AKmn", None),
        ];
        for (current, wanted) in table {
            assert_eq!(missing(current).as_deref(), wanted, "'{current}'");
        }
    }
}
