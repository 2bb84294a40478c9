//! Which masters a Redis Cluster has, and which slots they have, by any of its nodes.

use redis::Value;
use redis::aio::MultiplexedConnection;

use super::failure::Failure;

/// Masters of a Cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Host and port of each.
    pub masters: Vec<(String, u16)>,
    /// The last slot of each range, ascending, and which master has the range.
    pub ranges: Vec<(u16, usize)>,
}

/// Asks a node of the Cluster. `host`: what it is reached by, for a node that does not know its own address.
pub async fn layout(
    commands: &mut MultiplexedConnection,
    host: &str,
    address: &str,
) -> Result<Layout, Failure> {
    let asking = redis::cmd("CLUSTER").arg("SLOTS").query_async::<Value>(commands).await;
    let slots = asking.map_err(|error| match Failure::of(address, error) {
        Failure::Other { address, why } if why.contains("cluster support disabled") => {
            Failure::NoCluster { address }
        }
        failure => failure,
    })?;
    read(&slots, host).map_err(|why| Failure::Slots { address: address.to_owned(), why })
}

/// `[[first, last, [host, port, …], replica …] …]`
fn read(slots: &Value, host: &str) -> Result<Layout, String> {
    let Value::Array(ranges) = slots else { return Err("CLUSTER SLOTS is no list".to_owned()) };
    let mut layout = Layout { masters: Vec::new(), ranges: Vec::new() };
    let mut found = Vec::new();
    for range in ranges {
        let Value::Array(range) = range else { continue };
        let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = range.as_slice() else {
            continue;
        };
        let [name, Value::Int(port), ..] = master.as_slice() else { continue };
        let name = match name {
            Value::BulkString(name) if !name.is_empty() && name != b"?" => {
                String::from_utf8_lossy(name).into_owned()
            }
            _ => host.to_owned(),
        };
        let (Ok(first), Ok(last), Ok(port)) =
            (u16::try_from(*first), u16::try_from(*last), u16::try_from(*port))
        else {
            continue;
        };
        found.push((first, last, (name, port)));
    }
    found.sort();
    let mut next = 0;
    for (first, last, master) in found {
        if first != next {
            return Err(format!("nobody has slot {next}"));
        }
        let known = layout.masters.iter().position(|known| *known == master);
        let at = known.unwrap_or(layout.masters.len());
        if known.is_none() {
            layout.masters.push(master);
        }
        layout.ranges.push((last, at));
        next = last + 1;
    }
    match next {
        super::wire::slot::SLOTS => Ok(layout),
        next => Err(format!("nobody has slot {next}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: i64, last: i64, host: &str, port: i64) -> Value {
        let node = |host: &str| {
            Value::Array(vec![
                Value::BulkString(host.into()),
                Value::Int(port),
                Value::BulkString("id".into()),
            ])
        };
        Value::Array(vec![Value::Int(first), Value::Int(last), node(host), node("10.9.9.9")])
    }

    #[test]
    fn masters_are_those_that_have_slots() {
        let slots = Value::Array(vec![
            range(8192, 16_383, "10.0.0.2", 7001),
            range(0, 100, "10.0.0.1", 7000),
            range(101, 8191, "", 7002),
        ]);
        let layout = read(&slots, "seed").unwrap();
        let masters = [("10.0.0.1", 7000), ("seed", 7002), ("10.0.0.2", 7001)];
        assert_eq!(layout.masters, masters.map(|(host, port)| (host.to_owned(), port)));
        assert_eq!(layout.ranges, [(100, 0), (8191, 1), (16_383, 2)]);
    }

    #[test]
    fn a_cluster_that_is_not_whole_is_none() {
        for (slots, wanted) in [
            (vec![], "slot 0"),
            (vec![range(0, 100, "a", 1)], "slot 101"),
            (vec![range(0, 100, "a", 1), range(102, 16_383, "a", 1)], "slot 101"),
        ] {
            assert!(read(&Value::Array(slots), "seed").unwrap_err().contains(wanted));
        }
        assert!(read(&Value::Nil, "seed").is_err());
    }
}
