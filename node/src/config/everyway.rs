//! Tries every way to make every setting of a kind of node. For the nodes' tests.

use super::{ConfigError, File, Flags, Kind, Settings, Table, Way};

/// Where a way leads, as a configuration shows itself.
fn led_to<T: Table>(
    way: &Way,
    load: &dyn Fn(Settings<'_>) -> Result<String, ConfigError>,
) -> Result<String, ConfigError> {
    let env = |name: &str| way.variable(name);
    let file = File::parse(&way.file, "settings.toml".as_ref())?;
    load(Settings::new(Flags::<T>::read(&way.arguments)?, &env, file)?)
}

/// A setting's name, a value other than the default, and variables that have to be set besides.
pub type Example<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

/// Of the settings of [`super::HttpConfig`], which all nodes have.
const HTTP: [Example<'static>; 7] = [
    ("trusted-proxies", "10.0.0.9", &[]),
    ("proxy-protocol", "on", &[("TRUSTED_PROXIES", "10.0.0.9")]),
    ("max-connections", "100", &[]),
    ("max-client-connections", "50", &[]),
    ("max-client-requests", "20", &[]),
    ("max-bodies", "10", &[]),
    ("max-client-bodies", "5", &[]),
];

/// What is wrong with a kind of node's settings: each that cannot be made by every name it has or had, in flag, variable
/// and file, to the same effect; or that `docs` (docs/settings.md) does not list as it is. `examples` has one for each
/// setting but those of HTTP.
pub fn faults<T: Table>(
    examples: &[Example<'_>],
    docs: &str,
    load: &dyn Fn(Settings<'_>) -> Result<String, ConfigError>,
) -> Vec<String> {
    let mut faults = Vec::new();
    for setting in T::settings() {
        let is_common = super::COMMON.iter().any(|common| common.name == setting.name);
        let row = setting.row(if is_common { &["INJECTION", "RELAY"] } else { &[T::PREFIX] });
        if !docs.contains(&row) {
            faults.push(format!("docs/settings.md has no line\n{row}"));
        }
        // The configuration file has no effect of its own.
        if setting.kind == Kind::ConfigFile {
            continue;
        }
        let Some((_, value, besides)) = examples.iter().chain(&HTTP).find(|(name, ..)| *name == setting.name)
        else {
            faults.push(format!("{}: there is no example", setting.name));
            continue;
        };
        let besides: Vec<(String, String)> =
            besides.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let with = |mut way: Way| {
            way.environment.extend(besides.clone());
            led_to::<T>(&way, load)
        };
        let without = with(Way::default()).map_err(|error| error.0);
        let mut first = None;
        for way in setting.ways(T::PREFIX, value, "hunter2") {
            let shown =
                format!("{} by {:?} {:?} {:?}", setting.name, way.arguments, way.environment, way.file);
            match with(way) {
                Err(error) => faults.push(format!("{shown}: {error}")),
                Ok(led) if Ok(&led) == without.as_ref() => faults.push(format!("{shown}: no effect")),
                Ok(led) if first.get_or_insert_with(|| led.clone()) != &led => {
                    faults.push(format!("{shown}: another effect\n{led}\n{first:?}"));
                }
                Ok(_) => {}
            }
        }
    }
    faults
}
