//! The lab's Redis: its data outlives `kill -9` and goes when it shall, and redis-cli says when Redis refuses.

use lab::redis::Value;
use lab::topology::{CONTROL, control_host};
use lab::{Lab, Redis, RedisConfig};

#[test]
fn data_outlives_a_kill_and_goes_when_it_shall() {
    let lab = Lab::new("t-redis-").unwrap();
    lab.add_namespace("relay-1").unwrap();
    lab.add_namespace("relay-2").unwrap();
    let hosts = control_host(&lab, &["relay-1", "relay-2"]).unwrap();
    let config = RedisConfig { password: Some("first".to_owned()), ..RedisConfig::default() };
    let mut redis = Redis::start(&lab, CONTROL, config).unwrap();
    for (ns, host) in ["relay-1", "relay-2"].iter().zip(&hosts) {
        let host = host.v4.to_string();
        let ping = ["redis-cli", "--no-auth-warning", "-a", "first", "-h", &host, "PING"];
        assert_eq!(lab.run(ns, &ping).unwrap().trim(), "PONG", "{ns} reaches {host}");
    }

    redis.egress("egress-1", "10.0.0.7", [5002, 5004]).unwrap();
    assert_eq!(
        redis.cli_lines(&["MULTI", "SADD s b", "SADD s a", "EXEC"]).unwrap().lines().last(),
        Some("1")
    );
    redis.kill9().unwrap();
    assert!(redis.cli(&["PING"]).is_err());
    redis.restart().unwrap();
    assert_eq!(redis.cli(&["HGET", "node:egress-1", "videoPort"]).unwrap(), "5004");
    assert_eq!(redis.members("s").unwrap(), ["a", "b"]);
    assert!(redis.cli(&["SADD", "node:egress-1", "x"]).unwrap_err().to_string().contains("WRONGTYPE"));
    assert!(redis.cli_lines(&["SADD node:egress-1 x"]).is_err());

    redis.cli(&["CONFIG", "SET", "requirepass", "second"]).unwrap();
    assert!(redis.cli(&["PING"]).is_err(), "the password is another one");
    redis.use_password(Some("second"));
    let mut connection = redis.connect().unwrap();
    let wanted = Value::List(vec![Value::Text("a".to_owned()), Value::Nil, Value::Number(2)]);
    let script = "return {'a', false, redis.call('SCARD', 's')}";
    assert_eq!(connection.call(&["EVAL", script, "0"]).unwrap(), wanted);

    redis.stop().unwrap();
    redis.restart_empty().unwrap();
    assert_eq!(redis.cli(&["DBSIZE"]).unwrap(), "0");
}
