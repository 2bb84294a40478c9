use std::path::Path;

use node::config::File;

use super::*;

fn with(flags: &[&str], env: &[(&str, &str)], file: &str) -> Result<Config, ConfigError> {
    let find =
        |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let file = File::parse(file, "relay.toml".as_ref())?;
    Config::new("eth0", Settings::new(Flags::read(flags)?, &find, file)?)
}

#[test]
fn flags_win_over_the_file() {
    let file = "node-id = 'a'\nmode = 'tc'\nchildren = ['x=10.0.0.1:5002:5004']";
    let config = with(&["--node-id", "b", "--child", "y=10.0.0.2:5002:5004"], &[], file).unwrap();
    assert_eq!(config.node_id, "b");
    assert_eq!(config.mode, ModeWanted::Tc);
    assert_eq!(config.children.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["x", "y"]);
}

#[test]
fn sources_of_the_flags_win_over_those_of_the_file() {
    let config = |sources: &[&str]| {
        let flags: Vec<&str> = sources.iter().flat_map(|source| ["--source", *source]).collect();
        with(&flags, &[], "sources = ['10.0.0.1']")
    };
    let texts = |config: Config| config.sources.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(texts(config(&[]).unwrap()), ["10.0.0.1/32"]);
    // An empty variable is none.
    assert_eq!(texts(config(&[""]).unwrap()), ["10.0.0.1/32"]);
    assert_eq!(texts(config(&["10.2.0.0/16", "fd00::/64"]).unwrap()), ["fd00::/64", "10.2.0.0/16"]);
    assert_eq!(texts(config(&["10.2.0.0/16,fd00::/64"]).unwrap()), ["fd00::/64", "10.2.0.0/16"]);
    let by_variable = with(&[], &[("SOURCES", "10.2.0.0/16, fd00::/64")], "").unwrap();
    assert_eq!(texts(by_variable), ["fd00::/64", "10.2.0.0/16"]);
    assert!(config(&["10.2.0.1/16"]).unwrap_err().0.contains("10.2.0.0/16"));
}

#[test]
fn children_and_redis_contradict_each_other() {
    let redis = [("REDIS_HOST", "h")];
    let by_flag = with(&["--child", "a=10.0.0.1:5002:5004"], &redis, "");
    let by_file = with(&[], &redis, "children = ['b=10.0.0.2:5002:5004']");
    for (config, child) in [(by_flag, "--child a "), (by_file, "--child b ")] {
        let error = config.unwrap_err().0;
        assert!(error.contains(child) && error.contains("SADD children:relay-1"), "{error}");
    }
    assert!(with(&[], &redis, "").unwrap().tree.is_some());
}

#[test]
fn every_key_of_the_file_arrives() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "hunter2").unwrap();
    let text = format!(
        "node-id = 'r'\ntree-id = 't'\nnode-host = 'h'\nredis-url = 'rediss://u:hunter2@s/2'\ntopology-grace = 5\n\
         api-token-file = '{0}'\nredis-password-file = '{0}'\nmode = 'tc'\nlisten = '6002:6004'\n\
         api = '127.0.0.1:80'\npin-root = '/p'\nlog = 'warn'\nstand-in = 'eth'\nsources = ['10.1.0.0/16', 'fd00::7']",
        secret.path().display()
    );
    let config = with(&[], &[], &text).unwrap();
    let tree = config.tree.as_ref().unwrap();
    assert_eq!((&*config.node_id, &*config.tree_id, config.host.as_deref()), ("r", "t", Some("h")));
    assert_eq!((tree.grace.as_secs(), tree.redis.database, tree.redis.tls), (5, 2, true));
    assert_eq!(config.token.as_ref().unwrap().reveal(), "hunter2");
    assert_eq!((config.mode, config.listen.ports), (ModeWanted::Tc, [6002, 6004]));
    assert_eq!((config.api.port(), &*config.pin_root, &*config.log.filter), (80, Path::new("/p"), "warn"));
    assert_eq!(config.stand_in.as_deref(), Some("eth"));
    assert_eq!(
        config.sources.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["10.1.0.0/16", "fd00::7/128"]
    );
    let shown = format!("{config:?}");
    assert!(shown.contains("(secret)") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn cpus_are_for_xdp() {
    let asked = |mode: &str, file: &str| {
        let mut flags = if file.is_empty() { vec!["--cpus", "2"] } else { Vec::new() };
        if !mode.is_empty() {
            flags.extend(["--mode", mode]);
        }
        with(&flags, &[], file)
    };
    for file in ["", "cpus = '2'"] {
        for mode in ["", "auto", "xdp"] {
            assert_eq!(asked(mode, file).unwrap().cpus, Some(Cpus::Count(2)), "{mode:?}");
        }
        for mode in ["tc", "userspace"] {
            let error = asked(mode, file).unwrap_err().0;
            let name = if file.is_empty() { "--cpus" } else { "cpus in the configuration file" };
            assert!(error.starts_with(name) && error.contains(&format!("--mode {mode}")), "{error}");
        }
    }
    assert!(with(&[], &[], "").unwrap().cpus.is_none());
}

#[test]
fn the_example_is_good() {
    let text = include_str!("../../../deploy/relay.example.toml");
    let config = with(&[], &[], text).unwrap();
    assert_eq!(config.children.len(), 2);
    // So is what it shows in comments, with what it says contradicts it left out.
    let lines = text.lines().filter(|line| !line.starts_with("children") && !line.starts_with("    "));
    let all: String = lines
        .filter(|line| *line != "]")
        .map(|line| line.trim_start_matches("#: ").to_owned() + "\n")
        .collect();
    let secrets = tempfile::tempdir().unwrap();
    let all = all.replace("/etc/media-tree", secrets.path().to_str().unwrap());
    for line in all.lines().filter(|line| line.contains("-file = ") || line.contains(".pem")) {
        let content = if line.contains(".pem") { "-----BEGIN CERTIFICATE-----" } else { "hunter2" };
        std::fs::write(line.split('"').nth(1).unwrap(), content).unwrap();
    }
    let config = with(&[], &[], &all).unwrap();
    assert!(config.tree.is_some() && config.token.is_some(), "{all}");
}

#[test]
fn too_many_children_and_double_names_are_refused() {
    let many: Vec<String> = (0..257).map(|i| format!("--child=c{i}=10.0.0.1:5002:5004")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let error = with(&many, &[], "").unwrap_err();
    assert!(error.0.contains("at most 256"), "{error}");
    let error =
        with(&["--child", "a=10.0.0.1:5002:5004", "--child", "a=10.0.0.2:5002:5004"], &[], "").unwrap_err();
    assert!(error.0.contains("given twice"), "{error}");
}

#[test]
fn a_file_with_an_unknown_key_is_refused_with_its_line() {
    let error = with(&[], &[], "mode = 'tc'\nchildern = []\n").unwrap_err();
    assert!(error.0.contains("line 2") && error.0.contains("childern"), "{error}");
}

#[test]
fn listen_is_the_old_name_of_three_settings() {
    let of = |flags: &[&str], env: &[(&str, &str)], file: &str| {
        let listen = with(flags, env, file).map_err(|error| error.0)?.listen;
        Ok::<_, String>((listen.address.map(|address| address.to_string()), listen.ports))
    };
    let at = |address: Option<&str>, ports| Ok((address.map(str::to_owned), ports));
    let new = ["--rtp-address", "10.0.0.5", "--rtp-audio-port", "6002", "--rtp-video-port", "6004"];
    assert_eq!(of(&new, &[], ""), at(Some("10.0.0.5"), [6002, 6004]));
    assert_eq!(of(&["--listen", "10.0.0.5:6002:6004"], &[], ""), at(Some("10.0.0.5"), [6002, 6004]));
    // What is said at a higher level counts.
    assert_eq!(of(&["--listen", "6002:6004"], &[("RTP_AUDIO_PORT", "7002")], ""), at(None, [6002, 6004]));
    assert_eq!(of(&[], &[("RTP_AUDIO_PORT", "7002")], "listen = '6002:6004'"), at(None, [7002, 6004]));
    assert_eq!(
        of(&[], &[("RTP_AUDIO_PORT", "6002"), ("RELAY_LISTEN", "6002:6004")], ""),
        at(None, [6002, 6004])
    );
    let error = of(&["--listen", "6002:6004", "--rtp-audio-port", "7002"], &[], "").unwrap_err();
    assert!(error.contains("--rtp-audio-port 7002 and --listen 6002:6004 contradict"), "{error}");
}

#[test]
fn settings_are_named_as_they_were_given() {
    type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str, &'a str);
    let table: [Case; 5] = [
        (&["--stand-in", ""], &[], "", "--stand-in is empty"),
        (&[], &[], "stand-in = ''", "stand-in in the configuration file is empty"),
        (&[], &[("RELAY_LISTEN", "6002")], "", "RELAY_LISTEN '6002': write [ADDRESS:]AUDIO:VIDEO"),
        (
            &[],
            &[("RELAY_LISTEN", "6002:6003")],
            "",
            "RELAY_LISTEN '6002:6003': port 6003 would be both RTP and RTCP",
        ),
        (
            &[],
            &[("CPUS", "2"), ("MODE", "tc")],
            "",
            "CPUS spreads streams over CPUs in xdp only, and MODE tc",
        ),
    ];
    for (flags, env, file, wanted) in table {
        let error = with(flags, env, file).unwrap_err().0;
        assert!(error.starts_with(wanted), "{error}");
    }
    let named = |flags: &[&str], env: &[(&str, &str)]| with(flags, env, "").unwrap().address_setting;
    assert_eq!(named(&[], &[("RTP_ADDRESS", "10.0.0.5")]), "RTP_ADDRESS");
    assert_eq!(named(&["--listen", "10.0.0.5:5002:5004"], &[]), "--listen");
    assert_eq!(named(&["--rtp-address", "10.0.0.5"], &[("RELAY_LISTEN", "5002:5004")]), "--rtp-address");
}

#[test]
fn every_setting_can_be_made_by_every_name_it_has_or_had() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name).to_str().unwrap().to_owned()
    };
    let (secret, ca) = (write("secret", "hunter2"), write("ca", "-----BEGIN CERTIFICATE-----"));
    // So that no warning about the file makes a difference.
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let redis = [("REDIS_HOST", "h")];
    let examples: &[node::config::everyway::Example<'_>] = &[
        ("node-id", "r7", &[]),
        ("tree-id", "t7", &[]),
        ("node-host", "10.0.0.5", &[]),
        ("zone", "eu-west-1a", &[]),
        ("public-url", "https://media.example.com/n1", &[]),
        ("redis-url", "redis://h:7000/3", &[]),
        ("redis-host", "h", &[]),
        ("redis-port", "7000", &redis),
        ("redis-password-file", &secret, &redis),
        ("redis-ca", &ca, &[("REDIS_URL", "rediss://h")]),
        ("topology-grace", "5", &redis),
        ("drain-limit", "30", &[]),
        ("sweep-after", "60", &redis),
        ("api", "127.0.0.1:80", &[]),
        ("api-port", "80", &[]),
        ("api-token-file", &secret, &[]),
        ("read-token-file", &secret, &[("API_TOKEN", "x")]),
        ("allowed-hosts", "media.example.com", &[]),
        ("rtp-audio-port", "6002", &[]),
        ("rtp-video-port", "6004", &[]),
        ("log", "warn", &[]),
        ("log-format", "json", &[]),
        ("mode", "tc", &[]),
        ("rtp-address", "10.0.0.5", &[]),
        ("listen", "6002:6004", &[]),
        ("children", "a=10.0.0.7:5002:5004", &[]),
        ("sources", "10.0.0.0/8", &[]),
        ("stand-in", "eth", &[]),
        ("cpus", "2", &[]),
        ("history", "512", &[]),
        ("repair-within", "200", &[]),
        ("pin-root", "/sys/fs/bpf/other", &[]),
    ];
    let docs = include_str!("../../../docs/settings.md");
    // What a setting is called where it was made differs from way to way.
    let shown = |config: Config| format!("{:?}", Config { address_setting: String::new(), ..config });
    let load = |settings: Settings<'_>| Config::new("eth0", settings).map(shown);
    let faults = node::config::everyway::faults::<RelaySettings>(examples, docs, &load);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn gaps_are_told_to_who_asks_with_or_without_a_history() {
    for (history, within, gaps) in [("0", "150", true), ("4096", "0", false), ("0", "0", false)] {
        let flags = ["--history", history, "--repair-within", within];
        let constants = with(&flags, &[], "").unwrap().constants;
        assert_eq!((constants.history > 0, constants.gaps), (history != "0", gaps), "{flags:?}");
    }
}

#[test]
fn a_history_has_a_power_of_two_of_slots_or_none() {
    let history = |flag: &str| with(&["--history", flag], &[], "").map(|config| config.constants.history);
    let sizes = ["0", "1", "1000", "4096", "1048576"].map(|text| history(text).unwrap());
    assert_eq!(sizes, [0, 1, 1024, 4096, 1 << 20]);
    assert_eq!(with(&[], &[], "").unwrap().constants.history, 4096);
    assert!(history("1048577").unwrap_err().0.contains("--history"));
}
