//! Which STUN and TURN servers clients are told of, and how they log in.

use std::time::Duration;

use super::setting::{Kind, Setting};
use super::source::{Found, Settings};
use super::{ConfigError, bad};
use crate::ice::{IceServers, IceUrl, Login};
use crate::secret::Secret;

/// `ice-servers`, of a node that speaks to publishers or viewers.
pub const ICE_SERVERS: Setting = Setting {
    name: "ice-servers",
    kind: Kind::List("ice-server"),
    value: "URL",
    help: "STUN or TURN server that publishers or viewers are told of: stun:HOST:PORT, turn:HOST:PORT?transport=udp (or \
           tcp), turns:HOST:PORT",
    ..Setting::NEW
};
/// `turn-username`.
pub const TURN_USERNAME: Setting = Setting {
    name: "turn-username",
    value: "NAME",
    help: "Name that all of them log in to TURN servers with",
    ..Setting::NEW
};
/// `turn-password-file`.
pub const TURN_PASSWORD_FILE: Setting = Setting {
    name: "turn-password-file",
    kind: Kind::SecretFile,
    value: "FILE",
    help: "File with the password that goes with it",
    ..Setting::NEW
};
/// `turn-secret-file`.
pub const TURN_SECRET_FILE: Setting = Setting {
    name: "turn-secret-file",
    kind: Kind::SecretFile,
    value: "FILE",
    help: "File with the secret that the TURN servers know (coturn's static-auth-secret): instead of one name for all, \
           credentials that end by themselves",
    ..Setting::NEW
};
/// `turn-lifetime`.
pub const TURN_LIFETIME: Setting = Setting {
    name: "turn-lifetime",
    value: "SECONDS",
    default: "86400",
    help: "Seconds that such credentials are valid, to begin a connection with",
    ..Setting::NEW
};

/// More of them make gathering slow; browsers complain of five.
const MOST_SERVERS: usize = 8;
/// How long credentials are valid: unless told otherwise, at least and at most. Less than a minute is an hour meant, more than a
/// month a password that does not end.
const LIFETIME: [u64; 3] = [86_400, 60, 2_678_400];

/// What was set, checked.
pub fn ice_servers(settings: &mut Settings<'_>) -> Result<IceServers, ConfigError> {
    let given = settings.list(&ICE_SERVERS)?;
    let username = settings.find(&TURN_USERNAME)?;
    let password = settings.secret(&TURN_PASSWORD_FILE)?;
    let secret = settings.secret(&TURN_SECRET_FILE)?;
    let lifetime = settings.find(&TURN_LIFETIME)?;
    let urls = match &given {
        Some(given) => urls(given)?,
        None => Vec::new(),
    };
    let useless = |name: &str, because: &str| format!("{name} plays no part {because}");
    let mut warnings = Vec::new();
    if let (Some(lifetime), None) = (&lifetime, &secret) {
        warnings.push(useless(&lifetime.name, "without TURN_SECRET or --turn-secret-file"));
    }
    let lifetime = lifetime.map_or(Ok(LIFETIME[0]), |lifetime| lifetime.checked(seconds))?;
    let named = [
        username.as_ref().map(|it| &it.name),
        password.as_ref().map(|it| &it.name),
        secret.as_ref().map(|it| &it.name),
    ];
    if !urls.iter().any(IceUrl::is_turn) {
        let of = named.into_iter().flatten();
        warnings
            .extend(of.map(|name| useless(name, "without a TURN server; set ICE_SERVERS or --ice-server")));
        settings.warnings.extend(warnings);
        return Ok(IceServers { urls, login: Login::None });
    }
    settings.warnings.extend(warnings);
    let login = match (username, password, secret) {
        (None, None, Some(secret)) => {
            Login::Expiring { secret: secret.value, lifetime: Duration::from_secs(lifetime) }
        }
        (Some(username), Some(password), None) => {
            Login::Shared { username: username.checked(quotable)?, password: quotable_secret(password)? }
        }
        (None, None, None) => {
            return bad(
                "a TURN server wants to know who asks; set TURN_SECRET or --turn-secret-file, or TURN_USERNAME and \
                 TURN_PASSWORD",
            );
        }
        (Some(_), None, None) => return bad("TURN_USERNAME needs TURN_PASSWORD or --turn-password-file"),
        (None, Some(password), None) => {
            return bad(format!("{} needs TURN_USERNAME or --turn-username", password.name));
        }
        (username, password, Some(secret)) => {
            let other = username.map(|it| it.name).or(password.map(|it| it.name)).unwrap_or_default();
            return bad(format!(
                "{} and {other} are two ways to log in to TURN servers; leave one of them out",
                secret.name
            ));
        }
    };
    Ok(IceServers { urls, login })
}

fn urls(given: &Found<Vec<String>>) -> Result<Vec<IceUrl>, ConfigError> {
    if given.value.len() > MOST_SERVERS {
        return bad(format!("{}: more than {MOST_SERVERS} servers; browsers ask all of them", given.name));
    }
    let one = |url: &String| {
        let found = Found { value: url.clone(), level: given.level, name: given.name.clone() };
        found.checked(IceUrl::parse)
    };
    given.value.iter().map(one).collect()
}

fn seconds(text: &str) -> Result<u64, String> {
    let [_, least, most] = LIFETIME;
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("must be seconds, a number from {least} to {most}"))
}

/// What stands in a header between quotation marks, and means itself.
fn quotable(text: &str) -> Result<String, String> {
    let plain = |byte: u8| (byte.is_ascii_graphic() || byte == b' ') && !b"\"\\".contains(&byte);
    match text.bytes().all(plain) {
        true => Ok(text.to_owned()),
        false => Err("must be printable ASCII without '\"' and '\\'".to_owned()),
    }
}

fn quotable_secret(found: Found<Secret>) -> Result<Secret, ConfigError> {
    match quotable(found.value.reveal()) {
        Ok(_) => Ok(found.value),
        Err(why) => bad(format!("{} {why}", found.name)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{File, Flags, Table};
    use super::*;

    #[derive(Clone)]
    struct Ends;

    impl Table for Ends {
        const PREFIX: &'static str = "";
        const OWN: &'static [&'static Setting] =
            &[&ICE_SERVERS, &TURN_USERNAME, &TURN_PASSWORD_FILE, &TURN_SECRET_FILE, &TURN_LIFETIME];
    }

    /// What is told with that environment, and the warnings.
    fn told(env: &[(&str, &str)]) -> Result<(Vec<String>, Vec<String>), String> {
        let find =
            |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let flags = Flags::<Ends>::read(&[] as &[&str]).map_err(|why| why.0)?;
        let mut settings = Settings::new(flags, &find, File::default()).map_err(|why| why.0)?;
        let servers = ice_servers(&mut settings).map_err(|why| why.0)?;
        Ok((servers.links(Duration::ZERO, "show", true), settings.warnings))
    }

    #[test]
    fn servers_are_told_with_what_they_want() {
        let stun = r#"<stun:a>; rel="ice-server""#;
        assert_eq!(told(&[]).unwrap(), (Vec::new(), Vec::new()));
        assert_eq!(told(&[("ICE_SERVERS", "stun:a")]).unwrap().0, [stun]);
        let both = [("ICE_SERVERS", "stun:a, turn:b:80?transport=tcp"), ("TURN_SECRET", "s")];
        let (links, warnings) = told(&both).unwrap();
        assert!(
            links[0] == stun
                && links[1].contains(r#"<turn:b:80?transport=tcp>; rel="ice-server"; username="86400:show""#)
        );
        assert!(warnings.is_empty());
        let shared = [("ICE_SERVERS", "turns:b"), ("TURN_USERNAME", "u"), ("TURN_PASSWORD", "p w")];
        assert!(told(&shared).unwrap().0[0].contains(r#"username="u"; credential="p w""#));
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        let turn = ("ICE_SERVERS", "turn:a");
        let many = ["stun:a"; MOST_SERVERS + 1].join(",");
        let errors: [(&[(&str, &str)], &str); 11] = [
            (&[turn], "TURN_SECRET"),
            (&[turn, ("TURN_USERNAME", "u")], "TURN_USERNAME needs TURN_PASSWORD"),
            (&[turn, ("TURN_PASSWORD", "p")], "TURN_PASSWORD needs TURN_USERNAME"),
            (
                &[turn, ("TURN_SECRET", "s"), ("TURN_USERNAME", "u")],
                "TURN_SECRET and TURN_USERNAME are two ways",
            ),
            (&[turn, ("TURN_SECRET", "s"), ("TURN_LIFETIME", "5")], "TURN_LIFETIME '5': must be seconds"),
            (&[turn, ("TURN_SECRET", "s"), ("TURN_LIFETIME", "1e3")], "TURN_LIFETIME"),
            (&[turn, ("TURN_USERNAME", "u\"x"), ("TURN_PASSWORD", "p")], "TURN_USERNAME"),
            (
                &[turn, ("TURN_USERNAME", "u"), ("TURN_PASSWORD", "hunter2\\")],
                "TURN_PASSWORD must be printable",
            ),
            (&[("ICE_SERVERS", "stun:a,http://b")], "ICE_SERVERS 'http://b': must be stun:HOST:PORT"),
            (&[("ICE_SERVERS", "turn:user:hunter2@b")], "ICE_SERVERS: must be stun:HOST:PORT"),
            (&[("ICE_SERVERS", &many)], "more than 8"),
        ];
        for (env, wanted) in errors {
            let why = told(env).unwrap_err();
            assert!(
                why.contains(wanted) && !why.contains('\n') && !why.contains("hunter2"),
                "{env:?}: {why}"
            );
        }
        let useless: [(&[(&str, &str)], &str); 3] = [
            (&[("TURN_SECRET", "s")], "TURN_SECRET plays no part without a TURN server"),
            (&[("ICE_SERVERS", "stun:a"), ("TURN_USERNAME", "u")], "TURN_USERNAME plays no part"),
            (&[("ICE_SERVERS", "stun:a"), ("TURN_LIFETIME", "600")], "TURN_LIFETIME plays no part"),
        ];
        for (env, wanted) in useless {
            let (_, warnings) = told(env).unwrap();
            assert!(warnings.len() == 1 && warnings[0].contains(wanted), "{env:?}: {warnings:?}");
        }
    }
}
