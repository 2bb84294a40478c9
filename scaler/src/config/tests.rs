use std::path::Path;

use node::config::File;

use super::*;

fn with(flags: &[&str], env: &[(&str, &str)], file: &str) -> Result<Config, ConfigError> {
    let find =
        |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let file = File::parse(file, "scaler.toml".as_ref())?;
    Config::new(Settings::new(Flags::read(flags)?, &find, file)?)
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// One that makes nodes by a program that is not asked here.
const BY_COMMAND: &str = "backend = 'command'\n[command]\ncommand = ['true']\n";

#[test]
fn redis_is_all_that_is_needed_to_say_what_would_be_done() {
    let config = with(&["--redis-url", "redis://h"], &[], "").unwrap();
    assert_eq!((&*config.node_id, config.api.to_string().as_str()), ("scaler-1", "127.0.0.1:7078"));
    assert!(config.trees.is_none() && config.backend.is_none() && config.prometheus.is_none());
    assert_eq!(config.lease, DEFAULT_LEASE);
    assert!(config.warnings.iter().any(|warning| warning.contains("--provision")), "{:?}", config.warnings);
}

#[test]
fn what_makes_no_sense_is_refused_in_one_line_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let policy = write(folder.path(), "policy.toml", "[limits]\nbaseline = 9\nmaximum = 3\n");
    let provision = write(folder.path(), "provision.toml", "backend = 'by hand'\n");
    let slack = write(folder.path(), "slack", "hooks.slack.com");
    let table = [
        ("TREES", "a b"),
        ("POLICY", policy.as_str()),
        ("POLICY", "/nowhere"),
        ("PROVISION", provision.as_str()),
        ("PROMETHEUS", "prometheus:9090"),
        ("NODE_TOKEN", "é"),
        ("LEASE", "0.1"),
        ("LEASE", "soon"),
        ("SLACK_WEBHOOK_FILE", slack.as_str()),
        ("WEBHOOK", "http://h/"),
    ];
    for (name, value) in table {
        let Err(ConfigError(error)) = with(&["--redis-url", "redis://h"], &[(name, value)], "") else {
            panic!("{name}={value} is taken");
        };
        assert!(error.contains(name) && !error.contains('\n'), "{name}={value}: {error}");
    }
    let Err(ConfigError(error)) = with(&[], &[], "") else { panic!("without Redis") };
    assert!(error.contains("REDIS_URL"), "{error}");
}

#[test]
fn the_address_of_slack_is_not_shown() {
    let config = with(
        &["--redis-url", "redis://h"],
        &[("SLACK_WEBHOOK", "https://hooks.slack.com/services/T/B/hunter2"), ("NODE_TOKEN", "hunter3")],
        "",
    );
    let config = config.unwrap();
    assert!(config.slack.is_some());
    assert_eq!(config.node_token.as_ref().unwrap().reveal(), "hunter3");
    assert!(!format!("{:?}", config.node).contains("hunter"));
}

#[test]
fn every_setting_can_be_made_by_every_name_it_has_or_had() {
    let folder = tempfile::tempdir().unwrap();
    let secret = write(folder.path(), "secret", "hunter2");
    let policy = write(folder.path(), "policy.toml", "manual = true\n");
    let provision = write(folder.path(), "provision.toml", BY_COMMAND);
    let redis: &[(&str, &str)] = &[("REDIS_URL", "redis://h")];
    let tls: &[(&str, &str)] = &[("REDIS_URL", "rediss://h")];
    let certificate = write(folder.path(), "ca.pem", "-----BEGIN CERTIFICATE-----\n");
    let with_token: &[(&str, &str)] = &[("API_TOKEN", "t"), ("REDIS_URL", "redis://h")];
    let told: &[(&str, &str)] =
        &[("WEBHOOK_SECRET", "hunter2hunter2hunter2hunter2"), ("REDIS_URL", "redis://h")];
    let examples: &[node::config::everyway::Example<'_>] = &[
        ("node-id", "s7", redis),
        ("redis-url", "redis://other", &[]),
        ("redis-host", "other", &[]),
        ("redis-port", "6380", &[("REDIS_HOST", "h")]),
        ("redis-password-file", &secret, redis),
        ("redis-ca", &certificate, tls),
        ("api", "127.0.0.1:80", redis),
        ("api-port", "80", redis),
        ("api-token-file", &secret, redis),
        ("read-token-file", &secret, with_token),
        ("allowed-hosts", "media.example.com", redis),
        ("trees", "a", redis),
        ("policy", &policy, redis),
        ("provision", &provision, redis),
        ("prometheus", "http://h:9090", redis),
        ("node-token-file", &secret, redis),
        ("node-token-hosts", "10.0.0.0/8", redis),
        ("lease", "3", redis),
        ("webhook", "http://h/", told),
        ("trusted-proxies", "10.0.0.9", redis),
        ("proxy-protocol", "on", &[("TRUSTED_PROXIES", "10.0.0.9"), ("REDIS_URL", "redis://h")]),
        ("max-connections", "100", redis),
        ("max-client-connections", "50", redis),
        ("max-client-requests", "20", redis),
        ("max-bodies", "10", redis),
        ("max-client-bodies", "5", redis),
        ("log", "debug", redis),
        ("log-format", "json", redis),
    ];
    let docs = include_str!("../../../docs/settings.md");
    let load = |settings: Settings<'_>| {
        let mut config = Config::new(settings)?;
        // They name the setting as it was given.
        config.node.warnings.clear();
        Ok(format!(
            "{:?} {:?} {:?} {:?} {} {:?} {:?} {:?} {:?} {:?} {:?}",
            config.node,
            config.redis,
            config.redis.password.as_ref().map(Secret::reveal),
            config.trees,
            config.backend.is_some(),
            config.policy,
            config.prometheus,
            config.node_token.as_ref().map(Secret::reveal),
            config.node_token_hosts,
            (config.lease, &config.slack),
            config.webhook,
        ))
    };
    let faults = node::config::everyway::faults::<ScalerSettings>(examples, docs, &load);
    // What is in these two is an address, or goes with one: tried above.
    let known = ["slack-webhook-file: there is no example", "webhook-secret-file: there is no example"];
    let faults: Vec<&String> = faults.iter().filter(|fault| !known.contains(&fault.as_str())).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

/// With the lines that are commented out, too.
#[test]
fn the_examples_are_sound_and_say_the_defaults() {
    let uncommented = |text: &str| text.replace("#: ", "");
    let policy = uncommented(include_str!("../../../deploy/scaler-policy.example.toml"));
    let policy = Policy::read(&policy).unwrap();
    assert_eq!(policy.of("tree-2", None).unwrap(), crate::settings::Settings::default());
    assert_eq!(policy.of("tree-1", None).unwrap().limits.maximum, 40);

    let folder = tempfile::tempdir().unwrap();
    let text = uncommented(include_str!("../../../deploy/scaler.example.toml"));
    for (name, content) in [
        ("scaler-policy.toml", ""),
        ("provision.toml", BY_COMMAND),
        ("redis-password", "a"),
        ("api-token", "b"),
        ("node-token", "c"),
        ("slack-webhook", "https://hooks.slack.com/services/T/B/secret"),
    ] {
        write(folder.path(), name, content);
    }
    let text = text.replace("/etc/media-tree", &folder.path().display().to_string());
    let config = with(&[], &[], &text).unwrap();
    assert_eq!((config.trees.as_deref(), config.lease), (Some(&["tree-1".to_owned()][..]), DEFAULT_LEASE));
    assert!(config.backend.is_some() && config.slack.is_some() && config.prometheus.is_some());
}
