//! What is logged, and how.

use tracing_subscriber::filter::{EnvFilter, LevelFilter};

/// Both, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// A level, or a filter.
    pub filter: String,
    /// How lines are written.
    pub format: LogFormat,
}

/// How lines of the log are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// An object of JSON each.
    Json,
}

impl LogFormat {
    /// As they are called.
    pub const WORDS: [&str; 2] = ["text", "json"];
}

/// Of a word.
pub fn log_format(word: &str) -> Result<LogFormat, String> {
    match LogFormat::WORDS.iter().position(|known| *known == word) {
        Some(0) => Ok(LogFormat::Text),
        Some(_) => Ok(LogFormat::Json),
        None => Err("must be text or json".to_owned()),
    }
}

/// A level, or a filter. A word that is neither would be taken for the name of a crate, and silence all others.
pub fn log_filter(text: &str) -> Result<String, String> {
    let form = "must be off, error, warn, info, debug or trace, or a filter such as warn,relay_ctl=debug";
    let part_is_sound = |part: &str| part.parse::<LevelFilter>().is_ok() || part.contains(['=', '[', ']']);
    let mut parts = text.split(',').map(str::trim).filter(|part| !part.is_empty()).peekable();
    if parts.peek().is_none() || !parts.all(part_is_sound) {
        return Err(form.to_owned());
    }
    EnvFilter::try_new(text).map_err(|error| format!("{error}; it {form}"))?;
    let plain = ["off", "error", "warn", "info", "debug", "trace"];
    let level = plain.into_iter().find(|level| level.eq_ignore_ascii_case(text));
    Ok(level.unwrap_or(text).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_level_is_refused_with_what_is_possible() {
        for good in ["off", "info", "warn,relay_ctl=debug", "hyper=trace", "relay_ctl[child{name=a}]=debug"] {
            assert_eq!(log_filter(good).as_deref(), Ok(good));
        }
        assert_eq!(log_filter("DEBUG").as_deref(), Ok("debug"));
        for bad in ["chatty", "hyper", "info,chatty", "", ",", "relay_ctl=loud"] {
            let why = log_filter(bad).unwrap_err();
            assert!(why.contains("off, error, warn, info, debug or trace"), "{bad}: {why}");
        }
    }
}
