//! `relay-ctl tree`: what can be typed, and what it does.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use clap_complete::ArgValueCandidates;
use node::asking::Asking;
use node::cli::Failure;
use node::commands::Commands;
use node::config::{ConfigError, WholeTreeConfig, environment};
use node::drain::DrainView;
use node::overview::Overview;
use node::trust::TrustedHosts;

use super::arguments::interval;
use super::completion::nodes;
use super::{NOT_HEALTHY, UNKNOWN, WAIT, show};
use crate::config::{DEFAULT_API_PORT, RelaySettings};
use crate::tree::targets::{self, File, List, Ports};
use crate::tree::{self, Emptying, Moved, Paint, Placed, Source, Unplaced};

/// How often `status --wait` looks.
const POLL: Duration = Duration::from_millis(500);
/// How long an answer may take unless told otherwise.
const ANSWER: Duration = Duration::from_secs(5);
// A node whose Redis hangs has the time to say so.
const _: () = assert!(ANSWER.as_secs() > node::overview::PATIENCE.as_secs());

#[derive(Args)]
pub(super) struct TreeArgs {
    #[command(flatten)]
    from: From,
    #[command(subcommand)]
    what: Option<TreeCommand>,
}

#[derive(Subcommand)]
enum TreeCommand {
    /// Say whether all is well. Exit code 0: healthy; 1: not healthy; 2: the tree cannot be read
    Status {
        /// Wait until the tree is healthy, or until --timeout [then 60 by default]
        #[arg(long)]
        wait: bool,
    },
    /// List the sessions
    Sessions,
    /// Empty a node before it is taken away: it takes nobody any more, and gives away whom it has
    Drain {
        /// Node
        #[arg(value_name = "NODE", add = ArgValueCandidates::new(nodes))]
        id: String,
        /// Relay that takes the children of the one that is drained
        #[arg(long, value_name = "NODE", add = ArgValueCandidates::new(nodes))]
        to: Option<String>,
        /// Wait until nobody is left, or until --timeout [then 60 by default]; exit code 1 if somebody is
        #[arg(long)]
        wait: bool,
        /// Have it serve as before
        #[arg(long, conflicts_with_all = ["wait", "to"])]
        undo: bool,
    },
    /// Make a node the child of another. One that is a child already is left as it is. Needs Redis
    Attach {
        /// Node
        #[arg(value_name = "NODE", add = ArgValueCandidates::new(nodes))]
        id: String,
        /// Its parent [default: the relay of its zone with the fewest children; of a relay the injection]
        #[arg(long, value_name = "NODE", add = ArgValueCandidates::new(nodes))]
        to: Option<String>,
        /// Have a relay stand by for the node instead: it sends what the node's parent sends, and each packet is taken once
        /// [default: a relay with another way up]
        #[arg(
            long,
            value_name = "RELAY",
            num_args = 0..=1,
            default_missing_value = "",
            conflicts_with = "to",
            add = ArgValueCandidates::new(nodes)
        )]
        standby: Option<String>,
        /// Wait until the node has registered, and somebody can be its parent, or until --timeout [then 60 by default]
        #[arg(long)]
        wait: bool,
    },
    /// Make a node nobody's child; one that has children or viewers is to be drained first. Needs Redis
    Detach {
        /// Node
        #[arg(value_name = "NODE", add = ArgValueCandidates::new(nodes))]
        id: String,
        /// Only have RELAY stand by for it no more, or nobody
        #[arg(
            long,
            value_name = "RELAY",
            num_args = 0..=1,
            default_missing_value = "",
            add = ArgValueCandidates::new(nodes)
        )]
        standby: Option<String>,
    },
    /// Give a node another parent while media flows: the new one sends before the old one ends. Needs Redis
    Move {
        /// Node
        #[arg(value_name = "NODE", add = ArgValueCandidates::new(nodes))]
        id: String,
        /// New parent
        #[arg(long, value_name = "NODE", add = ArgValueCandidates::new(nodes))]
        to: String,
    },
    /// Say whom a Prometheus has to ask, as JSON for its `file_sd_configs`: every node, and node_exporter on its machine. Needs Redis
    Targets(TargetsArgs),
    /// Check the tree, and ask every node what ails it. Exit code 1 if something does
    Doctor,
}

#[derive(Args)]
struct TargetsArgs {
    /// Write them into this file, which is never seen half written, instead of printing them
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Keep the file current. While Redis is away the list stays as it was
    #[arg(long, requires = "write")]
    watch: bool,
    /// Port of node_exporter on every node's machine; 0: there is none
    #[arg(long, value_name = "PORT", default_value = "9100")]
    exporter_port: u16,
}

/// Where the tree is read.
#[derive(Args)]
struct From {
    /// Ask this node for the tree, instead of Redis. Not with `attach`, `detach`, `move` and `targets`, which need Redis
    #[arg(long, global = true, value_name = "ADDRESS:PORT or URL")]
    node: Option<String>,
    /// Redis that has the tree, without a password [env: REDIS_URL, REDIS_HOST, REDIS_PASSWORD]
    #[arg(long, global = true, value_name = "URL")]
    redis_url: Option<String>,
    /// File with the password for Redis [env: REDIS_PASSWORD_FILE]
    #[arg(long, global = true, value_name = "FILE")]
    redis_password_file: Option<String>,
    /// File with the certificate authority of Redis, PEM [env: REDIS_CA]
    #[arg(long, global = true, value_name = "FILE")]
    redis_ca: Option<String>,
    /// Tree [default: tree-1] [env: TREE_ID]
    #[arg(long, global = true, value_name = "NAME")]
    tree_id: Option<String>,
    /// File with the nodes' token [env: API_TOKEN_FILE, or the token itself: API_TOKEN; READ_TOKEN]
    #[arg(long, global = true, value_name = "FILE")]
    api_token_file: Option<String>,
    /// Host that the token is shown to: a name, *.NAME, an address or ADDRESS/BITS; without one whatever address Redis has for a node. May
    /// be given more than once [env: NODE_TOKEN_HOSTS]
    #[arg(long = "node-token-host", global = true, value_name = "HOST")]
    node_token_hosts: Vec<String>,
    /// File with the settings of a node of the tree, of which these are taken [env: CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<String>,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    /// Seconds to wait for an answer [default: 5]
    #[arg(long, global = true, value_name = "SECONDS", value_parser = interval)]
    timeout: Option<Duration>,
}

impl From {
    fn config(&self) -> Result<WholeTreeConfig, Failure> {
        let given = [
            ("--redis-url", &self.redis_url),
            ("--redis-password-file", &self.redis_password_file),
            ("--redis-ca", &self.redis_ca),
            ("--tree-id", &self.tree_id),
            ("--api-token-file", &self.api_token_file),
            ("--config", &self.config),
        ];
        if let (Some(_), Some(_)) = (&self.node, &self.redis_url) {
            let why = "--node and --redis-url both say where the tree is read; leave one of them out";
            return Err(ConfigError(why.to_owned()).into());
        }
        let flags: Vec<String> = given
            .into_iter()
            .filter_map(|(flag, value)| Some([flag.to_owned(), value.clone()?]))
            .flatten()
            .collect();
        let config = node::config::whole_tree::<RelaySettings>(&flags, environment, DEFAULT_API_PORT)?;
        for warning in &config.warnings {
            eprintln!("relay-ctl: {warning}");
        }
        Ok(config)
    }
}

impl From {
    /// Who is shown the token. The node that is asked for the tree is named by whoever runs this, or is this machine's own.
    fn trusted(&self, source: &Source) -> Result<TrustedHosts, Failure> {
        let given = match self.node_token_hosts.as_slice() {
            [] => environment("NODE_TOKEN_HOSTS").into_iter().collect(),
            given => given.to_vec(),
        };
        let trusted = TrustedHosts::read(given.iter().map(String::as_str)).map_err(|why| {
            ConfigError(format!("--node-token-host '{}': {why}", given.join(",").escape_debug()))
        })?;
        Ok(match source {
            Source::Node { url } => trusted.and(url),
            Source::Redis { .. } => trusted,
        })
    }
}

pub(super) fn run(arguments: TreeArgs) -> Result<ExitCode, Failure> {
    let config = arguments.from.config()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Other(format!("no runtime: {error}")))?;
    runtime.block_on(carry_out(arguments, config))
}

async fn carry_out(arguments: TreeArgs, config: WholeTreeConfig) -> Result<ExitCode, Failure> {
    let TreeArgs { from, what } = arguments;
    let waits = matches!(
        &what,
        Some(
            TreeCommand::Status { wait: true }
                | TreeCommand::Drain { wait: true, .. }
                | TreeCommand::Attach { wait: true, .. }
        )
    );
    let whole = from.timeout.unwrap_or(if waits { WAIT } else { ANSWER });
    let source = Source::new(from.node.as_deref(), &config);
    let asking = Asking::new(config.token.clone(), if waits { ANSWER } else { whole });
    let asking = asking.trusting(from.trusted(&source)?);
    let (json, paint) = (from.json, paint());
    let Some(what) = what else {
        let overview = read(&source, &asking).await?;
        return show::print(json, &overview, |overview| tree::overview(overview, paint));
    };
    match what {
        TreeCommand::Status { wait } => status(&source, &asking, wait.then_some(whole), json, paint).await,
        TreeCommand::Sessions => {
            let overview = read(&source, &asking).await?;
            match json {
                true => show::print(true, &overview.sessions, |_| String::new()),
                false => show::print(false, &overview, |overview| tree::sessions(overview, paint)),
            }
        }
        TreeCommand::Drain { id, to, wait, undo } => {
            let overview = read(&source, &asking).await?;
            let wanted = match undo {
                true => Emptying::Undo,
                false => Emptying::Begin { to: to.as_deref(), wait: wait.then_some(whole) },
            };
            let view = tree::drain(&overview, &asking, &id, wanted).await.map_err(Failure::Other)?;
            show::print(json, &view, |view| emptied(&id, view))?;
            let is_left = wait && view.state != "drained";
            Ok(if is_left { ExitCode::from(NOT_HEALTHY) } else { ExitCode::SUCCESS })
        }
        TreeCommand::Attach { id, to, standby, wait } => {
            let commands = writes_into(&source, "attach")?;
            let deadline = Instant::now() + if wait { whole } else { Duration::ZERO };
            loop {
                let placing = async {
                    let overview = source.read(&asking).await.map_err(Unplaced::NotYet)?;
                    match &standby {
                        Some(relay) => tree::stand_by(&overview, commands, &id, named(relay)).await,
                        None => tree::attach(&overview, commands, &id, to.as_deref()).await,
                    }
                };
                match placing.await {
                    Err(Unplaced::NotYet(_)) if Instant::now() < deadline => tokio::time::sleep(POLL).await,
                    placed => {
                        let placed = placed.map_err(|unplaced| Failure::Other(unplaced.why().to_owned()))?;
                        return show::print(json, &placed, |placed| match standby {
                            Some(_) => stood_words(placed, true),
                            None => placed_words(placed, true),
                        });
                    }
                }
            }
        }
        TreeCommand::Detach { id, standby: Some(relay) } => {
            let commands = writes_into(&source, "detach")?;
            let overview = read(&source, &asking).await?;
            let placed = tree::stand_down(&overview, commands, &id, named(&relay)).await;
            show::print(json, &placed.map_err(Failure::Other)?, |placed| stood_words(placed, false))
        }
        TreeCommand::Detach { id, standby: None } => {
            let commands = writes_into(&source, "detach")?;
            let overview = read(&source, &asking).await?;
            let placed = tree::detach(&overview, commands, &id).await.map_err(Failure::Other)?;
            show::print(json, &placed, |placed| placed_words(placed, false))
        }
        TreeCommand::Move { id, to } => {
            let commands = writes_into(&source, "move")?;
            let overview = read(&source, &asking).await?;
            let moved =
                tree::move_node(&overview, commands, &asking, &id, &to).await.map_err(Failure::Other)?;
            show::print(json, &moved, moved_words)
        }
        TreeCommand::Targets(arguments) => targets(&source, &arguments).await,
        TreeCommand::Doctor => {
            let overview = read(&source, &asking).await?;
            let findings = tree::examine(&overview, &asking).await;
            show::print(json, &findings, |findings| node::doctor::text(findings))?;
            Ok(node::doctor::verdict(&findings))
        }
    }
}

/// Who was named, if anybody was.
fn named(relay: &str) -> Option<&str> {
    Some(relay).filter(|relay| !relay.is_empty())
}

/// Redis, for a command that writes there.
fn writes_into<'a>(source: &'a Source, command: &str) -> Result<&'a Commands, Failure> {
    match source {
        Source::Redis { commands, .. } => Ok(commands),
        Source::Node { .. } => {
            let why = format!(
                "`{command}` writes into Redis; name it with --redis-url or REDIS_URL (and leave out --node)"
            );
            Err(ConfigError(why).into())
        }
    }
}

async fn targets(source: &Source, arguments: &TargetsArgs) -> Result<ExitCode, Failure> {
    let Source::Redis { commands, tree_id } = source else {
        let why = "`targets` reads what nodes write into Redis; name it with --redis-url or REDIS_URL (and leave out --node)";
        return Err(ConfigError(why.to_owned()).into());
    };
    let ports = Ports { exporter: arguments.exporter_port };
    let file = arguments.write.as_deref().map(File::new).transpose().map_err(ConfigError)?;
    let say = |what: &str| eprintln!("relay-ctl: {}", show::printable(what));
    let remark = |list: &List| list.remark().iter().for_each(|remark| say(remark));
    match file {
        Some(file) if arguments.watch => targets::watch(commands, tree_id, &file, ports, say).await,
        Some(file) => {
            let former = List::read(&file.read()).of(tree_id);
            let list = targets::list(commands, tree_id, former).await.map_err(Failure::Other)?;
            file.write(&list.text(ports)).map_err(Failure::Other)?;
            remark(&list);
        }
        None => {
            let list = targets::list(commands, tree_id, List::default()).await.map_err(Failure::Other)?;
            print!("{}", list.text(ports));
            remark(&list);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Colours for who looks at a terminal and does not mind (no-color.org).
fn paint() -> Paint {
    let refused = environment("NO_COLOR").is_some_and(|value| !value.is_empty());
    Paint(std::io::stdout().is_terminal() && !refused)
}

async fn read(source: &Source, asking: &Asking) -> Result<Overview, Failure> {
    source.read(asking).await.map_err(Failure::Other)
}

async fn status(
    source: &Source,
    asking: &Asking,
    wait: Option<Duration>,
    json: bool,
    paint: Paint,
) -> Result<ExitCode, Failure> {
    let deadline = Instant::now() + wait.unwrap_or_default();
    loop {
        let found = source.read(asking).await;
        let healthy = found.as_ref().is_ok_and(|overview| overview.healthy);
        if !healthy && Instant::now() < deadline {
            tokio::time::sleep(POLL).await;
            continue;
        }
        return match found {
            Ok(overview) => {
                show::print(json, &overview, |overview| tree::standing(overview, paint))?;
                Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::from(NOT_HEALTHY) })
            }
            Err(why) => {
                eprintln!("relay-ctl: {}", show::printable(&why));
                Ok(ExitCode::from(UNKNOWN))
            }
        };
    }
}

fn emptied(id: &str, view: &DrainView) -> String {
    let to = view.to.as_ref().map(|to| format!(" to {to}")).unwrap_or_default();
    let mut text = match view.state.as_str() {
        "no" => format!("{id}: serves as before"),
        "drained" => format!("{id}: drained; nobody is left, and it can be stopped"),
        _ => format!("{id}: draining{to}, {} left", view.left),
    };
    if let Some(problem) = &view.problem {
        text.push_str(&format!("; {problem}"));
    }
    show::printable(&text)
}

fn placed_words(placed: &Placed, attached: bool) -> String {
    let (node, parents) = (&placed.node, placed.parents.join(", "));
    let text = match (attached, placed.changed) {
        (true, true) => format!("{node}: attached to {parents}"),
        (true, false) => format!("{node}: is a child of {parents} already"),
        (false, true) => format!("{node}: no child of {parents} any more"),
        (false, false) => format!("{node}: is nobody's child"),
    };
    show::printable(&text)
}

fn stood_words(placed: &Placed, stands: bool) -> String {
    let (node, parents) = (&placed.node, placed.parents.join(", "));
    let text = match (stands, placed.changed) {
        (true, true) => format!("{node}: {parents} stands by"),
        (true, false) => format!("{node}: {parents} stands by already"),
        (false, true) => format!("{node}: {parents} stands by no more"),
        (false, false) => format!("{node}: has no such standby parent"),
    };
    show::printable(&text)
}

fn moved_words(moved: &Moved) -> String {
    let from = if moved.from.is_empty() { String::new() } else { format!(" from {}", moved.from.join(", ")) };
    let note = moved.note.as_ref().map(|note| format!("\nnote     {note}")).unwrap_or_default();
    show::printable(&format!("{}: moved{from} to {}{note}", moved.node, moved.to))
}
