//! A tree in the terminal.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use node::overview::{Edge, EdgeState, NodeView, Overview, SessionView, State};
use node::record::NodeType;

use crate::cli::printable;

/// Colours, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint(pub bool);

/// What a colour says.
#[derive(Clone, Copy)]
enum Tone {
    Good,
    Wait,
    Bad,
    Dim,
    Bold,
}

impl Paint {
    /// The text is padded first: what steers the terminal has no width.
    fn tone(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Good => 32,
            Tone::Wait => 33,
            Tone::Bad => 31,
            Tone::Dim => 2,
            Tone::Bold => 1,
        };
        if self.0 && !text.trim().is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn tone(state: State) -> Tone {
    match state {
        State::Ok => Tone::Good,
        State::Unattached => Tone::Dim,
        State::Full | State::Draining => Tone::Wait,
        State::Degraded | State::CutOff | State::Doubtful | State::Gone | State::Unknown => Tone::Bad,
    }
}

/// One line and what is wrong.
pub fn standing(overview: &Overview, paint: Paint) -> String {
    let left = overview.left_out;
    let health = if overview.healthy {
        paint.tone(Tone::Good, "healthy")
    } else {
        paint.tone(Tone::Bad, "NOT healthy")
    };
    let mut text = format!(
        "{}: {health} · {} · {} · {}",
        paint.tone(Tone::Bold, &clean(&overview.tree_id)),
        counted(overview.nodes.len() + left.nodes, "node"),
        counted(overview.sessions.len() + left.sessions, "session"),
        counted(overview.viewers as usize, "viewer"),
    );
    for (title, tone, sentences) in
        [("problem", Tone::Bad, &overview.problems), ("note", Tone::Wait, &overview.notes)]
    {
        for sentence in sentences {
            let _ = write!(text, "\n{} {}", paint.tone(tone, &format!("{title:<8}")), clean(sentence));
        }
    }
    text
}

/// The tree: a node a line, each below its parent.
pub fn overview(overview: &Overview, paint: Paint) -> String {
    let edges: BTreeMap<(&str, &str), &Edge> =
        overview.edges.iter().map(|edge| ((edge.from.as_str(), edge.to.as_str()), edge)).collect();
    let branches = branches(&overview.nodes);
    let names: Vec<String> = branches
        .iter()
        .zip(&overview.nodes)
        .map(|(branch, node)| format!("{branch}{}", clean(&node.id)))
        .collect();
    let widest = names.iter().map(|name| name.chars().count()).max().unwrap_or_default();
    let mut lines = vec![standing(overview, paint), String::new()];
    for (name, node) in names.iter().zip(&overview.nodes) {
        let edge = node.parent.as_deref().and_then(|parent| edges.get(&(parent, node.id.as_str())).copied());
        let kind = node.node_type.map_or("?", NodeType::name);
        let state = paint.tone(tone(node.state), &format!("{:<10}", node.state.words()));
        let padding = " ".repeat(widest - name.chars().count());
        let line = format!(
            "{name}{padding}  {kind:<9}  {state}  {:>12}  {}",
            seats(node),
            traffic(node, edge, paint)
        );
        let line = line.trim_end().to_owned();
        lines.push(if node.standby.is_empty() {
            line
        } else {
            format!("{line}  {}", stood_by(node, &edges, paint))
        });
    }
    if overview.left_out.nodes > 0 {
        lines.push(format!("… and {} not shown", counted(overview.left_out.nodes, "node")));
    }
    lines.join("\n")
}

/// Who stands by for a node.
fn stood_by(node: &NodeView, edges: &BTreeMap<(&str, &str), &Edge>, paint: Paint) -> String {
    let one = |parent: &String| {
        let is_well =
            edges.get(&(parent.as_str(), node.id.as_str())).is_some_and(|edge| edge.state == EdgeState::Ok);
        paint.tone(if is_well { Tone::Dim } else { Tone::Bad }, &clean(parent))
    };
    format!("standby {}", node.standby.iter().map(one).collect::<Vec<_>>().join(", "))
}

/// What is in front of each name.
fn branches(nodes: &[NodeView]) -> Vec<String> {
    let goes_on = |at: usize, depth: usize| {
        let below = nodes[at + 1..].iter().take_while(|node| node.depth >= depth);
        below.clone().any(|node| node.depth == depth)
    };
    let branch = |(at, node): (usize, &NodeView)| {
        let mut text: String =
            (1..node.depth).map(|depth| if goes_on(at, depth) { "│  " } else { "   " }).collect();
        if node.depth > 0 {
            text.push_str(if goes_on(at, node.depth) { "├─ " } else { "└─ " });
        }
        text
    };
    nodes.iter().enumerate().map(branch).collect()
}

fn seats(node: &NodeView) -> String {
    match node.max_viewers {
        0 => String::new(),
        most => format!("{}/{most}", node.viewers),
    }
}

fn traffic(node: &NodeView, edge: Option<&Edge>, paint: Paint) -> String {
    let measured = edge.and_then(|edge| Some((edge.packets_per_second?, edge.bits_per_second?, edge.loss)));
    let repaired =
        edge.and_then(|edge| Some(edge.loss_before_repair? - edge.loss?)).filter(|part| *part > 0.0);
    let own = || node.flow.map(|flow| (flow.packet_rate(), flow.bit_rate(), None));
    let mut text = match measured.or_else(own) {
        Some((0.0, ..)) => paint.tone(Tone::Dim, "   no media"),
        Some((packets, bits, loss)) => {
            let lost = match loss {
                Some(loss) if loss > 0.0 => paint.tone(Tone::Bad, &share(loss, "lost")),
                Some(_) => paint.tone(Tone::Dim, "no loss"),
                None => String::new(),
            };
            let again = repaired.map(|part| paint.tone(Tone::Dim, &format!(", {}", share(part, "repaired"))));
            format!("{packets:>7.0}/s  {:>11}  {lost}{}", bit_rate(bits), again.unwrap_or_default())
        }
        None => String::new(),
    };
    if let Some(edge) = edge.filter(|edge| edge.state != EdgeState::Ok) {
        let why = if edge.state == EdgeState::Silent { "nothing comes" } else { "keys do not agree" };
        text = format!("{text}  {}", paint.tone(Tone::Bad, why));
    }
    text
}

fn bit_rate(bits: f64) -> String {
    if bits >= 1e6 { format!("{:.1} Mbit/s", bits / 1e6) } else { format!("{:.0} kbit/s", bits / 1e3) }
}

/// What is lost is never rounded to nothing.
fn share(part: f64, what: &str) -> String {
    if part < 0.0001 { format!("< 0.01 % {what}") } else { format!("{:.2} % {what}", part * 100.0) }
}

/// A table of the sessions.
pub fn sessions(overview: &Overview, paint: Paint) -> String {
    let widest = |of: fn(&SessionView) -> usize, least: usize| {
        overview.sessions.iter().map(of).max().unwrap_or_default().max(least)
    };
    let injection = |session: &SessionView| session.injection.clone().unwrap_or_else(|| "-".to_owned());
    let name = widest(|session| session.session_id.chars().count(), 7);
    let at = widest(|session| session.injection.as_ref().map_or(1, |id| id.chars().count()), 9);
    let mut lines =
        vec![format!("{:<name$}  {:<14}  {:<at$}  {:>8}", "session", "state", "injection", "egresses")];
    for session in &overview.sessions {
        let (state, tone) = match session {
            SessionView { orphan: true, .. } => ("injection gone", Tone::Bad),
            SessionView { live: Some(true), .. } => ("live", Tone::Good),
            SessionView { video_codec: Some(_), .. } => ("paused", Tone::Wait),
            _ => ("not started", Tone::Dim),
        };
        let egresses = session.egresses.map_or_else(|| "-".to_owned(), |count| count.to_string());
        let (id, state) = (clean(&session.session_id), paint.tone(tone, &format!("{state:<14}")));
        lines.push(format!("{id:<name$}  {state}  {:<at$}  {egresses:>8}", clean(&injection(session))));
    }
    if overview.left_out.sessions > 0 {
        lines.push(format!("… and {} not shown", counted(overview.left_out.sessions, "session")));
    }
    lines.join("\n")
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Names come from Redis: nothing of theirs may steer the terminal, or begin a line.
fn clean(text: &str) -> String {
    printable(&text.replace('\n', " "))
}

#[cfg(test)]
mod tests;
