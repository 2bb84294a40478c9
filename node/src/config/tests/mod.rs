//! What the tests of settings share.

mod redis;
mod secrets;
mod values;
mod ways;

use std::collections::BTreeMap;
use std::fs::write;

use super::*;

/// What no line, warning or debug print may show.
const SECRET: &str = "hunter2";

fn env<'a>(variables: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
    let variables: BTreeMap<&str, &str> = variables.iter().copied().collect();
    move |name| variables.get(name).map(|value| (*value).to_owned())
}

/// A kind of node without settings of its own.
#[derive(Clone, Debug)]
struct Plain;

impl Table for Plain {
    const PREFIX: &'static str = "PLAIN";
    const OWN: &'static [&'static Setting] = &[];
}

fn parsed(file: &str) -> File {
    File::parse(file, "/etc/plain.toml".as_ref()).unwrap()
}

fn built(flags: &[&str], variables: &[(&str, &str)], file: File) -> Result<NodeConfig, String> {
    let flags = Flags::<Plain>::read(flags).map_err(|error| error.0)?;
    let env = env(variables);
    let config = Settings::new(flags, &env, file).and_then(|mut settings| {
        NodeConfig::new(
            Defaults { node_id: "relay-1", api_port: 7071, drain_limit: Duration::ZERO },
            &mut settings,
        )
    });
    let config = config.map_err(|error| error.0);
    let shown = format!("{config:?}");
    assert!(!shown.contains(SECRET), "{shown}");
    config
}

fn with(flags: &[&str], variables: &[(&str, &str)], file: &str) -> Result<NodeConfig, String> {
    built(flags, variables, parsed(file))
}

fn by_env(variables: &[(&str, &str)]) -> Result<NodeConfig, String> {
    with(&[], variables, "")
}

/// Refused, in one line that has all of the words.
fn assert_refused(what: &str, config: Result<NodeConfig, String>, words: &[&str]) {
    let error = config.expect_err(what);
    assert!(!error.contains('\n'), "{what}: {error}");
    for word in words {
        assert!(error.contains(word), "{what}: no `{word}` in: {error}");
    }
}

fn redis_of(url: &str) -> RedisConfig {
    by_env(&[("REDIS_URL", url)]).unwrap().tree.expect("Redis is configured").redis
}

fn single(host: &str, port: u16) -> RedisServer {
    RedisServer::Single { host: host.to_owned(), port }
}

fn temporary(content: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    write(file.path(), content).unwrap();
    file
}
