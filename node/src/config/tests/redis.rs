//! Where Redis is.

use super::*;

#[test]
fn redis_urls() {
    type Wanted<'a> = (RedisServer, Option<&'a str>, Option<&'a str>, i64, bool);
    let sentinel = |sentinels: &[(&str, u16)], master: &str| RedisServer::Sentinel {
        sentinels: sentinels.iter().map(|(host, port)| ((*host).to_owned(), *port)).collect(),
        master: master.to_owned(),
    };
    let cluster = |seeds: &[(&str, u16)]| RedisServer::Cluster {
        seeds: seeds.iter().map(|(host, port)| ((*host).to_owned(), *port)).collect(),
    };
    let table: [(&str, Wanted); 15] = [
        ("redis://h", (single("h", 6379), None, None, 0, false)),
        ("redis://h/", (single("h", 6379), None, None, 0, false)),
        ("redis://h:7000/3", (single("h", 7000), None, None, 3, false)),
        ("rediss://h.example:6380", (single("h.example", 6380), None, None, 0, true)),
        ("redis://[fd00::1]", (single("fd00::1", 6379), None, None, 0, false)),
        ("redis://:hunter2@[fd00::1]:7000/1", (single("fd00::1", 7000), None, Some("hunter2"), 1, false)),
        ("redis://node:hunter2@h", (single("h", 6379), Some("node"), Some("hunter2"), 0, false)),
        ("redis://:p%40ss%2Fw%3Ard@h", (single("h", 6379), None, Some("p@ss/w:rd"), 0, false)),
        // What is not allowed by RFC 3986 and typed all the time.
        ("redis://:p@ss:w#rd?@h", (single("h", 6379), None, Some("p@ss:w#rd?"), 0, false)),
        ("redis://:@h", (single("h", 6379), None, None, 0, false)),
        (
            "redis+sentinel://u:hunter2@s1:26380,s2,[fd00::3]:26381/main/2",
            (
                sentinel(&[("s1", 26380), ("s2", 26379), ("fd00::3", 26381)], "main"),
                Some("u"),
                Some("hunter2"),
                2,
                false,
            ),
        ),
        ("rediss+sentinel://s1/main", (sentinel(&[("s1", 26379)], "main"), None, None, 0, true)),
        ("redis+cluster://c1", (cluster(&[("c1", 6379)]), None, None, 0, false)),
        (
            "redis+cluster://c1:7000,[fd00::1]:7001/",
            (cluster(&[("c1", 7000), ("fd00::1", 7001)]), None, None, 0, false),
        ),
        ("rediss+cluster://u:hunter2@c1/0", (cluster(&[("c1", 6379)]), Some("u"), Some("hunter2"), 0, true)),
    ];
    for (url, (server, user, password, database, tls)) in table {
        let redis = redis_of(url);
        assert_eq!((redis.server, redis.user.as_deref()), (server, user), "{url}");
        assert_eq!(redis.password.as_ref().map(Secret::reveal), password, "{url}");
        assert_eq!((redis.database, redis.tls), (database, tls), "{url}");
    }
}

#[test]
fn a_bad_redis_url_is_refused_and_never_quoted() {
    let table = [
        ("hunter2@h", "not a URL"),
        ("http://:hunter2@h", "scheme"),
        ("hunter2://h", "scheme"),
        ("redis+hunter2://h", "scheme"),
        ("redis+cluster://:hunter2@c1/1", "database"),
        ("redis+cluster://:hunter2@c1,", "no host"),
        ("redis://", "no host"),
        ("redis://:hunter2", "no host"),
        ("redis://u:hunter2", "port"),
        ("redis://u:hunter2@", "no host"),
        ("redis://:hunter2@h:0", "port"),
        ("redis://:hunter2@h:70000", "port"),
        ("redis://:hunter2@h:", "port"),
        ("redis://:hun/ter2@h", "%2F"),
        ("redis://:hunter2@h/hunter2", "database"),
        ("redis://:hunter2@h/-1", "database"),
        ("redis://h/0?password=hunter2", "parameters"),
        ("redis://h?password=hunter2", "parameters"),
        ("redis://fd00::1:6379", "brackets"),
        ("redis://[fd00::1", "]"),
        ("redis://[hunter2]", "IPv6"),
        ("redis://[fd00::1]hunter2", "]"),
        ("redis://h1,h2", "no host"),
        ("redis://:%ff@h", "UTF-8"),
        ("redis://h o", "no host"),
        ("redis+sentinel://h1:26379,h2:26379", "master"),
        ("redis+sentinel://h1,,h2/main", "no host"),
        ("redis+sentinel://h1/main/x", "database"),
        ("redis://node@h", "REDIS_PASSWORD"),
    ];
    for (url, word) in table {
        assert_refused(url, by_env(&[("REDIS_URL", url)]), &[word]);
    }
}

#[test]
fn host_and_port_do_instead_of_a_url() {
    let variables = [("REDIS_HOST", "fd00::1"), ("REDIS_PORT", "7000"), ("REDIS_PASSWORD", SECRET)];
    let redis = by_env(&variables).unwrap().tree.unwrap().redis;
    assert_eq!(redis.server, single("fd00::1", 7000));
    assert_eq!(redis.password.unwrap().reveal(), SECRET);
    let redis = by_env(&[("REDIS_HOST", "h")]).unwrap().tree.unwrap().redis;
    assert_eq!((redis.server, redis.tls, redis.database), (single("h", 6379), false, 0));
}

#[test]
fn what_needs_redis_and_has_none_is_warned_about() {
    for variable in
        [("REDIS_PASSWORD", SECRET), ("TOPOLOGY_GRACE", "5"), ("SWEEP_AFTER", "60"), ("REDIS_CA", "/ca.pem")]
    {
        let config = by_env(&[variable]).unwrap();
        assert!(config.tree.is_none());
        let [warning] = config.warnings.as_slice() else { panic!("{:?}", config.warnings) };
        assert!(warning.contains(variable.0) && warning.contains("REDIS_URL"), "{warning}");
    }
}

#[test]
fn a_certificate_authority_is_looked_at_before_anything_is_done() {
    let good = temporary("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
    let other = temporary("-----BEGIN PRIVATE KEY-----\n");
    let ca =
        |path: &std::path::Path| by_env(&[("REDIS_URL", "rediss://h"), ("REDIS_CA", path.to_str().unwrap())]);
    assert_eq!(ca(good.path()).unwrap().tree.unwrap().redis.tls_ca.as_deref(), Some(good.path()));
    assert_refused("no certificate", ca(other.path()), &["REDIS_CA", "PEM"]);
    assert_refused("no file", ca("/nowhere/ca.pem".as_ref()), &["REDIS_CA", "/nowhere/ca.pem"]);
}
