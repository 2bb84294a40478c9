//! The log of a daemon, on stderr: which events get through, how a line looks ([`line`]), and how many there may be ([`budget`]).

mod budget;
mod line;

use std::fmt;
use std::io::{self, IsTerminal};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use crate::config::{ConfigError, LogConfig, LogFormat, NodeConfig};
use budget::Budgets;
use line::Said;

/// How lines are written from the start of the log on.
static FORMAT: OnceLock<Format> = OnceLock::new();

/// How lines look.
#[derive(Clone, Debug)]
enum Format {
    Text,
    /// With whose log it is.
    Json(Vec<(&'static str, String)>),
}

/// Begins the log of a node. `own`: the crates that a plain level is about; what the libraries have to say is for whoever asks
/// for it.
pub fn start(node: &NodeConfig, own: &[&str]) -> Result<(), ConfigError> {
    let LogConfig { filter, format } = &node.log;
    let filter = EnvFilter::try_new(directives(filter, own))
        .map_err(|error| ConfigError(format!("--log {filter}: {error}")))?;
    let format = match format {
        LogFormat::Text => Format::Text,
        LogFormat::Json => {
            Format::Json(vec![("node_id", node.node_id.clone()), ("tree_id", node.tree_id.clone())])
        }
    };
    let format = FORMAT.get_or_init(|| format).clone();
    if matches!(format, Format::Json(_)) {
        std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
    }
    let lines = Lines { format, budgets: Mutex::default(), began: Instant::now() };
    let _ = subscriber(lines, filter, io::stderr, io::stderr().is_terminal()).try_init();
    Ok(())
}

/// What a library says by itself, which has no log of its own.
pub fn library_says(library: Option<&str>, is_serious: bool, text: &str) {
    let library = library.unwrap_or("a library");
    match is_serious {
        true => tracing::warn!("{library}: {text}"),
        false => tracing::debug!("{library}: {text}"),
    }
}

/// Why the process ends, as its log's lines are; `None` if these are for people.
pub(crate) fn last_line(name: &str, why: &str) -> Option<String> {
    let Some(Format::Json(node)) = FORMAT.get() else { return None };
    Some(line::json(&now(), Level::ERROR, name, &Said::plain(why), node))
}

type Builder<W> = tracing_subscriber::fmt::SubscriberBuilder<
    tracing_subscriber::fmt::format::DefaultFields,
    Lines,
    EnvFilter,
    W,
>;

fn subscriber<W>(lines: Lines, filter: EnvFilter, writer: W, colours: bool) -> Builder<W>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .with_ansi(colours)
        .event_format(lines)
        .with_env_filter(filter)
        .with_writer(writer)
}

fn directives(log: &str, own: &[&str]) -> String {
    match log {
        "error" | "warn" | "info" | "debug" | "trace" => {
            let own = own.iter().chain(&["node"]).map(|name| format!(",{name}={log}"));
            format!("warn{}", own.collect::<String>())
        }
        other => other.to_owned(),
    }
}

/// Makes lines of events, as many as there may be.
struct Lines {
    format: Format,
    budgets: Mutex<Budgets>,
    began: Instant,
}

impl Lines {
    /// Whether there is a line for this event; how many of its place have been left out before it. Who wants to see everything does.
    fn may(&self, event: &Event<'_>) -> Option<u64> {
        if *event.metadata().level() > Level::INFO {
            return Some(0);
        }
        let mut budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        budgets.may(event.metadata().callsite(), self.began.elapsed())
    }
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(left_out) = self.may(event) else { return Ok(()) };
        let (metadata, said) = (event.metadata(), Said::by(event, left_out));
        let (level, target) = (*metadata.level(), said.target(metadata.target()));
        writer.write_str(&match &self.format {
            Format::Text => line::text(&now(), level, target, &said, writer.has_ansi_escapes()),
            Format::Json(node) => line::json(&now(), level, target, &said, node),
        })
    }
}

fn now() -> String {
    let mut at = String::new();
    // Only a writer can fail here, and a string does not.
    let _ = SystemTime.format_time(&mut Writer::new(&mut at));
    at
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written while `work` is done.
    fn written(format: Format, work: impl FnOnce()) -> String {
        let paper = Paper::default();
        let lines = Lines { format, budgets: Mutex::default(), began: Instant::now() };
        let written = paper.clone();
        let all = EnvFilter::new("trace");
        tracing::subscriber::with_default(
            subscriber(lines, all, move || written.clone(), false).finish(),
            work,
        );
        String::from_utf8(paper.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_plain_level_is_about_our_own_crates() {
        assert_eq!(directives("debug", &["relay_ctl"]), "warn,relay_ctl=debug,node=debug");
        assert_eq!(directives("off", &["relay_ctl"]), "off");
        assert_eq!(directives("hyper=trace", &[]), "hyper=trace");
    }

    #[test]
    fn every_event_is_a_line_of_json() {
        let format = Format::Json(vec![("node_id", "egress-1".to_owned()), ("tree_id", "t".to_owned())]);
        let log = written(format, || {
            tracing::info!(session = "show", ms = 5, "a viewer\nis there");
            tracing::debug!(%AT_ONCE, "more");
        });
        let lines: Vec<serde_json::Value> =
            log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2, "{log}");
        assert_eq!(lines[0]["message"], "a viewer\nis there");
        assert_eq!((&lines[0]["session"], &lines[0]["ms"]), (&"show".into(), &5.into()));
        assert_eq!((&lines[0]["node_id"], &lines[0]["level"]), (&"egress-1".into(), &"INFO".into()));
        assert_eq!((&lines[1]["AT_ONCE"], &lines[1]["target"]), (&"100".into(), &module_path!().into()));
    }

    const AT_ONCE: usize = 100;

    #[test]
    fn one_place_does_not_fill_the_log_and_keeps_no_other_from_it() {
        let log = written(Format::Text, || {
            for n in 0..1000 {
                tracing::warn!("number {n}");
                tracing::debug!("who wants all gets all");
            }
            tracing::warn!("of another place");
        });
        let warned = log.lines().filter(|line| line.contains("number")).count();
        // One more for each second that this takes.
        assert!((AT_ONCE..AT_ONCE + 60).contains(&warned), "{warned}");
        assert_eq!(log.matches("who wants all").count(), 1000);
        assert!(log.ends_with("of another place\n"), "{log}");
    }
}
