//! Whose a node's name is. Two nodes with one name would take turns in its registration, and the tree would send media now to
//! one and now to the other: the second is refused, and both say so. Pure but for [`holder`] and [`announce`].
//!
//! A node that starts may find the registration of its predecessor. It knows it by its place, which two nodes cannot have at
//! once; or by nobody writing it any more.

use std::time::Duration;

use redis::{RedisResult, Value};

use super::script::text;
use super::wire::Wire;
use crate::contract::field::{instance as field, node};
use crate::contract::key;
use crate::record::Place;

/// A registration as it is found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// Which process wrote it; older versions do not say.
    pub instance: Option<String>,
    /// Where that takes media.
    pub place: Option<Place>,
    /// Who wanted the name last and was refused.
    pub rival: Option<String>,
    /// The same, though whoever had the name has gone since.
    pub refused: Option<String>,
    /// How long it lives if nobody writes it again; `None`: for ever, or it is not known.
    pub left: Option<Duration>,
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The name is ours to register. Besides: another that wants it.
    Ours(Option<String>),
    /// Another node has it, and lives.
    Taken(String),
}

/// Another had the name when this process wanted it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Where that was.
    pub by: String,
    /// For how long it has not been seen.
    pub unseen: Duration,
}

/// What follows from what is found. `instance`, `own`: this process, and where it takes media; `written`: where it said so
/// last; `refused`: the name was another's; `rewritten`: so often a node that lives writes its registration, whose time to live is
/// `ttl`.
pub fn claim(
    holder: &Holder,
    instance: &str,
    own: &Place,
    written: Option<&Place>,
    refused: Option<&Refused>,
    [ttl, rewritten]: [Duration; 2],
) -> Claim {
    let Some(place) = &holder.place else {
        // If Redis has lost its data, whoever had the name writes it again; if not, what we said when we were refused is there still.
        let lost = |refused: &&Refused| {
            refused.unseen < late(rewritten) && holder.refused.as_ref() != Some(&own.to_string())
        };
        return refused.filter(lost).map_or(Claim::Ours(None), |by| Claim::Taken(by.by.clone()));
    };
    let is_here = place == own || Some(place) == written;
    match &holder.instance {
        // Whoever knows nothing of instances leaves ours when it writes all else.
        Some(found) if found == instance && is_here => Claim::Ours(holder.rival.clone()),
        Some(found) if found == instance => Claim::Ours(Some(place.to_string())),
        _ if is_here => Claim::Ours(None),
        _ => match holder.left {
            Some(left) if left + late(rewritten) > ttl => Claim::Taken(place.to_string()),
            _ => Claim::Ours(None),
        },
    }
}

/// Whoever has not written its registration for so long is dead: a little late is not.
fn late(rewritten: Duration) -> Duration {
    rewritten + rewritten / 8
}

/// What a name's registration says.
pub async fn holder(commands: &mut Wire, id: &str, instance: &str) -> RedisResult<Holder> {
    let fields = [node::HOST, node::AUDIO_PORT, node::VIDEO_PORT];
    let values: Vec<Value> =
        redis::cmd("HMGET").arg(key::node(id)).arg(&fields).query_async(commands).await?;
    let place =
        fields.into_iter().zip(&values).filter_map(|(name, value)| Some((name.to_owned(), text(value)?)));
    let place = Place::of(&place.collect()).ok().flatten();
    let fields = [field::INSTANCE, field::RIVAL, field::REFUSED];
    let mut look = redis::cmd("HMGET");
    look.arg(key::instance(id)).arg(&fields);
    let (found, rival, refused): (Option<String>, Option<String>, Option<String>) =
        look.query_async(commands).await?;
    let left = match found.as_deref() == Some(instance) {
        true => None,
        // A user who may not ask cannot tell: the name is taken then, as it was before.
        false => redis::cmd("PTTL")
            .arg(key::node(id))
            .query_async::<i64>(commands)
            .await
            .unwrap_or(-1)
            .try_into()
            .ok(),
    };
    let rival = rival.filter(|rival| !rival.is_empty());
    Ok(Holder { instance: found, place, rival, refused, left: left.map(Duration::from_millis) })
}

/// This process has registered.
pub async fn keep(commands: &mut Wire, id: &str, instance: &str, ttl: Duration) -> RedisResult<()> {
    write(commands, id, &[(field::INSTANCE, instance), (field::RIVAL, "")], ttl).await
}

/// Tells whoever has the name that another wants it.
pub async fn announce(commands: &mut Wire, id: &str, own: &Place, ttl: Duration) -> RedisResult<()> {
    let own = own.to_string();
    write(commands, id, &[(field::RIVAL, &own), (field::REFUSED, &own)], ttl).await
}

async fn write(commands: &mut Wire, id: &str, fields: &[(&str, &str)], ttl: Duration) -> RedisResult<()> {
    let key = key::instance(id);
    let mut pipe = redis::pipe();
    pipe.atomic();
    pipe.cmd("HSET").arg(&key).arg(fields).ignore();
    pipe.cmd("PEXPIRE").arg(&key).arg(ttl.as_millis() as u64).ignore();
    pipe.query_async(commands).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(host: &str) -> Place {
        Place { host: host.to_owned(), ports: [5002, 5004] }
    }

    fn holder(instance: Option<&str>, host: &str, left: Option<u64>) -> Holder {
        Holder {
            instance: instance.map(str::to_owned),
            place: Some(place(host)),
            rival: None,
            refused: None,
            left: left.map(Duration::from_secs),
        }
    }

    fn claimed(holder: &Holder, written: Option<&str>) -> Claim {
        let times = [60, 20].map(Duration::from_secs);
        claim(holder, "me", &place("here"), written.map(place).as_ref(), None, times)
    }

    #[test]
    fn who_was_refused_does_not_take_a_name_that_redis_has_lost() {
        let claimed = |found: &Holder, unseen| {
            let refused = Refused { by: "there:5002:5004".to_owned(), unseen: Duration::from_secs(unseen) };
            let times = [60, 20].map(Duration::from_secs);
            claim(found, "me", &place("here"), None, Some(&refused), times)
        };
        let taken = || Claim::Taken("there:5002:5004".to_owned());
        let ours = || Claim::Ours(None);
        assert_eq!(claimed(&Holder::default(), 2), taken(), "whoever had it writes it again");
        assert_eq!(claimed(&Holder::default(), 23), ours(), "it does not");
        let left = Holder { refused: Some("here:5002:5004".to_owned()), ..Holder::default() };
        assert_eq!(claimed(&left, 2), ours(), "Redis has lost nothing: whoever had it has gone");
        let other = Holder { refused: Some("elsewhere:5002:5004".to_owned()), ..Holder::default() };
        assert_eq!(claimed(&other, 2), taken(), "somebody else has been refused since");
        assert_eq!(claimed(&holder(Some("other"), "there", Some(37)), 2), ours(), "it has died");
    }

    #[test]
    fn a_name_is_refused_while_another_lives_with_it() {
        let taken = || Claim::Taken("there:5002:5004".to_owned());
        let ours = || Claim::Ours(None);
        let table = [
            (Holder::default(), ours(), "nobody has it"),
            (holder(Some("other"), "there", Some(59)), taken(), "it has just been written"),
            (holder(None, "there", Some(41)), taken(), "by an older version"),
            (holder(Some("other"), "there", Some(37)), ours(), "nobody has written it for 23 s"),
            (holder(Some("other"), "there", None), ours(), "by hand"),
            (holder(Some("other"), "here", Some(59)), ours(), "a predecessor"),
            (holder(None, "here", Some(59)), ours(), "an older predecessor"),
            (holder(Some("me"), "here", None), ours(), "ours"),
        ];
        for (found, wanted, what) in table {
            assert_eq!(claimed(&found, None), wanted, "{what}");
        }
    }

    #[test]
    fn who_has_the_name_learns_of_the_other() {
        let rival = |text: &str| Claim::Ours(Some(text.to_owned()));
        let announced = Holder { rival: Some("there:1:2".to_owned()), ..holder(Some("me"), "here", None) };
        assert_eq!(claimed(&announced, None), rival("there:1:2"));
        assert_eq!(claimed(&holder(Some("me"), "there", None), Some("here")), rival("there:5002:5004"));
        assert_eq!(
            claimed(&holder(Some("me"), "before", None), Some("before")),
            Claim::Ours(None),
            "we moved"
        );
    }
}
