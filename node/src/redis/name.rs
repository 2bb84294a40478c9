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

/// What follows from what is found. `instance`, `own`: this process, and where it takes media; `written`: where it said so
/// last; `rewritten`: so often a node that lives writes its registration, whose time to live is `ttl`.
pub fn claim(
    holder: &Holder,
    instance: &str,
    own: &Place,
    written: Option<&Place>,
    [ttl, rewritten]: [Duration; 2],
) -> Claim {
    let Some(place) = &holder.place else { return Claim::Ours(None) };
    let is_here = place == own || Some(place) == written;
    match &holder.instance {
        // Whoever knows nothing of instances leaves ours when it writes all else.
        Some(found) if found == instance && is_here => Claim::Ours(holder.rival.clone()),
        Some(found) if found == instance => Claim::Ours(Some(place.to_string())),
        _ if is_here => Claim::Ours(None),
        _ => match holder.left {
            // A little late is not dead.
            Some(left) if left + rewritten + rewritten / 8 > ttl => Claim::Taken(place.to_string()),
            _ => Claim::Ours(None),
        },
    }
}

/// What a name's registration says.
pub async fn holder(commands: &mut Wire, id: &str, instance: &str) -> RedisResult<Holder> {
    let fields = [node::HOST, node::AUDIO_PORT, node::VIDEO_PORT];
    let values: Vec<Value> =
        redis::cmd("HMGET").arg(key::node(id)).arg(&fields).query_async(commands).await?;
    let place =
        fields.into_iter().zip(&values).filter_map(|(name, value)| Some((name.to_owned(), text(value)?)));
    let place = Place::of(&place.collect()).ok().flatten();
    let fields = [field::INSTANCE, field::RIVAL];
    let mut look = redis::cmd("HMGET");
    look.arg(key::instance(id)).arg(&fields);
    let (found, rival): (Option<String>, Option<String>) = look.query_async(commands).await?;
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
    Ok(Holder { instance: found, place, rival, left: left.map(Duration::from_millis) })
}

/// This process has registered.
pub async fn keep(commands: &mut Wire, id: &str, instance: &str, ttl: Duration) -> RedisResult<()> {
    write(commands, id, &[(field::INSTANCE, instance), (field::RIVAL, "")], ttl).await
}

/// Tells whoever has the name that another wants it.
pub async fn announce(commands: &mut Wire, id: &str, own: &Place, ttl: Duration) -> RedisResult<()> {
    write(commands, id, &[(field::RIVAL, &own.to_string())], ttl).await
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
            left: left.map(Duration::from_secs),
        }
    }

    fn claimed(holder: &Holder, written: Option<&str>) -> Claim {
        let times = [60, 20].map(Duration::from_secs);
        claim(holder, "me", &place("here"), written.map(place).as_ref(), times)
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
