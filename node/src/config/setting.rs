//! What a setting is called. One rule for all nodes: a setting has one name, `rtp-audio-port`. It is the key in the
//! configuration file; with dashes before it, it is the flag, `--rtp-audio-port`; in capitals and with `_`, it is the
//! variable, `RTP_AUDIO_PORT`. Two kinds of settings have more to them, see [`Kind`].
//!
//! Names that a setting had before go on working, and are in no help text.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ValueHint};

/// What a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One value.
    One,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Several. The name is a plural; the flag names one of them, is called like this, and may be given again. In a variable
    /// commas separate them.
    List(&'static str),
    /// A file with a secret in it, whose name ends in `-file`. The variable without `_FILE` has the secret itself.
    SecretFile,
    /// The configuration file: no key of its own.
    ConfigFile,
}

/// A setting of a node.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// Names of flag and key that it had before.
    pub old_names: &'static [&'static str],
    /// Variables that it had before; of a secret, without `_FILE`.
    pub old_variables: &'static [&'static str],
    /// A variable that it had before begins with the kind of node, such as `RELAY_LOG` ([`Table::PREFIX`]).
    pub was_prefixed: bool,
    /// It is an old name itself, for settings that have new ones: hidden, and without a variable but its old ones.
    pub replaced: bool,
    /// What it takes.
    pub kind: Kind,
    /// What stands for its value in help texts.
    pub value: &'static str,
    /// What is so without it, for help texts; may be empty.
    pub default: &'static str,
    /// What it is for.
    pub help: &'static str,
}

/// The settings of a kind of node, besides those that all have ([`super::COMMON`]).
pub trait Table: Clone + Send + Sync + 'static {
    /// What its variables began with before, if they did.
    const PREFIX: &'static str;
    /// Its own settings.
    const OWN: &'static [&'static Setting];

    /// All settings.
    fn settings() -> impl Iterator<Item = &'static Setting> {
        super::COMMON.iter().chain(Self::OWN).copied()
    }
}

impl Setting {
    /// A setting with one value, and nothing else to say; the rest by struct update.
    pub const NEW: Setting = Setting {
        name: "",
        old_names: &[],
        old_variables: &[],
        was_prefixed: false,
        replaced: false,
        kind: Kind::One,
        value: "",
        default: "",
        help: "",
    };

    /// The flag, without its dashes.
    pub fn flag(&self) -> &'static str {
        if let Kind::List(flag) = self.kind { flag } else { self.name }
    }

    /// Its names in the configuration file, today's first.
    pub fn keys(&self) -> impl Iterator<Item = &'static str> {
        let is_key = self.kind != Kind::ConfigFile;
        std::iter::once(self.name).chain(self.old_names.iter().copied()).filter(move |_| is_key)
    }

    /// Its variables, today's first.
    pub fn variables(&self, prefix: &str) -> Vec<String> {
        let name = capitals(self.name);
        let prefixed = (self.was_prefixed && !prefix.is_empty()).then(|| format!("{prefix}_{name}"));
        let end = if self.kind == Kind::SecretFile { "_FILE" } else { "" };
        let old = self.old_variables.iter().map(|old| format!("{old}{end}"));
        let today = (!self.replaced).then_some(name);
        today.into_iter().chain(prefixed).chain(old).collect()
    }

    /// The variables that have the secret itself, today's first.
    pub fn secret_variables(&self) -> Vec<String> {
        let name = capitals(self.name);
        let today = name.strip_suffix("_FILE").unwrap_or(&name).to_owned();
        std::iter::once(today).chain(self.old_variables.iter().map(|old| (*old).to_owned())).collect()
    }

    /// As clap has it.
    pub(super) fn arg(&'static self) -> Arg {
        let arg = Arg::new(self.name)
            .long(self.flag())
            .aliases(self.old_names.iter().copied())
            .value_name(self.value)
            // `--history -1` is a bad value, and no flag that nobody knows.
            .allow_negative_numbers(true)
            .hide(self.replaced)
            .help(self.help_text());
        let arg =
            if matches!(self.value, "FILE" | "FOLDER") { arg.value_hint(ValueHint::AnyPath) } else { arg };
        match self.kind {
            Kind::List(_) => arg.action(ArgAction::Append),
            Kind::Word(words) => arg.value_parser(PossibleValuesParser::new(words)),
            _ => arg,
        }
    }

    fn help_text(&self) -> String {
        let default = match self.default {
            "" => String::new(),
            default => format!(" [default: {default}]"),
        };
        let variable = capitals(self.name);
        let variable = match self.kind {
            Kind::SecretFile => {
                format!("{variable}, or the secret itself: {}", variable.trim_end_matches("_FILE"))
            }
            _ => variable,
        };
        format!("{}{default} [env: {variable}]", self.help)
    }

    /// The setting's row in docs/settings.md. `prefixes`: of the nodes that have it.
    pub fn row(&self, prefixes: &[&str]) -> String {
        let mut old: Vec<String> = self.old_names.iter().map(|old| format!("`{old}`")).collect();
        let today = if self.replaced { 0 } else { 1 };
        for prefix in prefixes {
            for variable in self.variables(prefix).iter().skip(today).map(|old| format!("`{old}`")) {
                if !old.contains(&variable) {
                    old.push(variable);
                }
            }
        }
        let mut name = format!("`{}`", self.name);
        if let Kind::List(flag) = self.kind {
            name += &format!(" (flag `--{flag}`)");
        }
        format!("| {name} | {} | {} | {} |", old.join(", "), self.help, self.default)
    }
}

fn capitals(name: &str) -> String {
    name.replace('-', "_").to_ascii_uppercase()
}

/// One way to make a setting, for tests that try each.
#[derive(Clone, Debug, Default)]
pub struct Way {
    /// Arguments of the command line.
    pub arguments: Vec<String>,
    /// Variables.
    pub environment: Vec<(String, String)>,
    /// The configuration file.
    pub file: String,
}

impl Way {
    /// A variable, looked up.
    pub fn variable(&self, name: &str) -> Option<String> {
        self.environment.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    }
}

impl Setting {
    /// All ways to make this setting: by each name that it has or had, in flag, variable and file. A secret's `value` is a
    /// file with `secret` in it.
    pub fn ways(&self, prefix: &str, value: &str, secret: &str) -> Vec<Way> {
        let flags = std::iter::once(self.flag()).chain(self.old_names.iter().copied());
        let flags = flags
            .map(|flag| Way { arguments: vec![format!("--{flag}"), value.to_owned()], ..Way::default() });
        let variable =
            |name: String, value: &str| Way { environment: vec![(name, value.to_owned())], ..Way::default() };
        let variables = self.variables(prefix).into_iter().map(|name| variable(name, value));
        let secrets = if self.kind == Kind::SecretFile { self.secret_variables() } else { Vec::new() };
        let secrets = secrets.into_iter().map(|name| variable(name, secret));
        let list = matches!(self.kind, Kind::List(_));
        let text = if list { format!("[\"{value}\"]") } else { format!("\"{value}\"") };
        let keys = self.keys().map(|key| Way { file: format!("{key} = {text}\n"), ..Way::default() });
        flags.chain(variables).chain(secrets).chain(keys).collect()
    }
}
