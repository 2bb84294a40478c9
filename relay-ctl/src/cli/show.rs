//! Tables for people; `--json` prints the view itself.

use std::fmt::Write as _;
use std::process::ExitCode;

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use serde_json::Value;

pub(crate) use node::cli::printable;

use super::Failure;
use super::maps::Contents;
use crate::view::{Child, ChildState, Children, Repair, Status, Streams};

/// Prints a view.
pub fn print<T: Serialize + ?Sized>(
    json: bool,
    view: &T,
    table: impl Fn(&T) -> String,
) -> Result<ExitCode, Failure> {
    let text = if json {
        serde_json::to_string_pretty(view).map_err(|error| Failure::Other(format!("JSON: {error}")))?
    } else {
        table(view)
    };
    println!("{text}");
    Ok(ExitCode::SUCCESS)
}

pub fn status(status: &Status) -> String {
    let plane = &status.dataplane;
    let tree = match status.tree_id.as_str() {
        "" => String::new(),
        tree => format!(" in {tree}"),
    };
    let health = if status.healthy { "healthy" } else { "NOT healthy" };
    let mut lines = vec![
        format!("{}{tree} on {}: {health}", status.node_id, plane.interface),
        format!("mode        {} ({})", plane.mode, plane.mode_reason),
        format!(
            "listening   {} audio {} video {}",
            status.network.addresses.join(" "),
            status.network.audio_port,
            status.network.video_port
        ),
        format!("sources     {}", status.sources.join(" ")),
        format!("children    {} {}", status.forwarding.children_count, status.forwarding.children.join(" ")),
    ];
    lines.extend(place_in_tree(status));
    lines.extend([
        format!("packets     {} ({} bytes)", plane.packets, plane.bytes),
        format!("generation  {}", plane.generation),
    ]);
    // In userspace mode there are none.
    if !plane.programs.is_empty() {
        lines.push(format!("programs    {}", plane.programs.join(" ")));
    }
    if let Some(overflow) = plane.receive_overflow {
        lines.push(format!("overflow    {overflow} packets dropped by the receive socket"));
    }
    for (reason, count) in &plane.drops {
        lines.push(format!("drops       {reason} {count}"));
    }
    lines.extend(status.repair.as_ref().and_then(repairs));
    if !plane.passed_to_stack.is_empty() {
        let each: Vec<String> =
            plane.passed_to_stack.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        lines.push(format!("not media   {} (passed to the host's network stack)", each.join(", ")));
    }
    for (interface, egress) in &plane.egress {
        lines.push(format!("egress      {interface} sent {} refused {}", egress.sent, egress.refused));
    }
    for problem in &status.problems {
        lines.push(format!("problem     {problem}"));
    }
    for warning in &status.warnings {
        lines.push(format!("warning     {warning}"));
    }
    if !status.daemon {
        let forwards = if status.gstreamer.audio_running { "; forwarding goes on without it" } else { "" };
        lines.push(format!("daemon      down{forwards}"));
    }
    printable(&lines.join("\n"))
}

/// What was lost on the way here, and what children had lost; nothing where nothing was.
fn repairs(repair: &Repair) -> Option<String> {
    let refused: u64 = repair.refused.values().sum();
    let Repair { missing, late, repaired, given_up, answered, .. } = repair;
    (missing + answered + refused > 0).then(|| {
        format!(
            "repair      {missing} missing: {repaired} repaired, {late} late, {given_up} given up; \
             sent again to children {answered}, refused {refused}"
        )
    })
}

fn place_in_tree(status: &Status) -> Vec<String> {
    let topology = &status.topology;
    let mut lines = Vec::new();
    if let Some(parent) = &topology.parent {
        lines.push(format!("parent      {parent}"));
    }
    if !topology.standby.is_empty() {
        lines.push(format!("standby     {}", topology.standby.join(" ")));
    }
    let states = [("waiting", &topology.waiting), ("stale", &topology.stale), ("held", &topology.held)];
    for (name, children) in states {
        if !children.is_empty() {
            lines.push(format!("{name:<11} {} {}", children.len(), children.join(" ")));
        }
    }
    for (child, why) in &topology.refused {
        lines.push(format!("refused     {child}: {why}"));
    }
    if let Some(redis) = &status.redis {
        let state = if redis.connected { "connected" } else { "NOT connected" };
        let known = if redis.registered { "registered" } else { "NOT registered" };
        let notified = if redis.notifications { "notifications" } else { "no notifications, polled" };
        lines.push(format!("redis       {} {state}, {known}, {notified}", redis.server));
        lines.push(format!(
            "            {} reads, {} events, {} reconnects",
            redis.looks, redis.events, redis.reconnects
        ));
    }
    lines
}

pub fn children(children: &Children) -> String {
    let mut table =
        table(&["name", "address", "ports", "interface", "mac", "packets", "bytes", "errors", "state"], 5..8);
    for child in &children.children {
        table.add_row([
            child.name.clone(),
            child.address.clone().unwrap_or_else(|| child.host.clone()),
            format!("{}/{}", child.audio_port, child.video_port),
            child.interface.clone().unwrap_or_else(|| "-".to_owned()),
            child.mac.clone().unwrap_or_else(|| "-".to_owned()),
            child.packets.to_string(),
            child.bytes.to_string(),
            child.errors.to_string(),
            // Last: a reason may be long.
            state(child),
        ]);
    }
    let mut text = table.to_string();
    for child in children.children.iter().filter(|child| child.too_big > 0) {
        let _ = write!(
            text,
            "\n{}: {} copies were larger than the MTU of the route to it ({}); raise it there, or let the encoder send \
             smaller packets",
            child.name,
            child.too_big,
            child.interface.as_deref().unwrap_or("its interface"),
        );
    }
    printable(&text)
}

pub fn streams(streams: &Streams) -> String {
    let head = [
        "port",
        "ssrc",
        "session",
        "source",
        "children",
        "packets",
        "lost",
        "repaired",
        "reordered",
        "duplicates",
        "jitter ms",
        "last seen ms",
    ];
    let mut table = table(&head, 5..head.len());
    for stream in &streams.streams {
        table.add_row([
            format!("{} {}", stream.port, stream.kind),
            stream.ssrc.to_string(),
            stream.session.clone().unwrap_or_else(|| "-".to_owned()),
            stream.source.clone(),
            stream.children.as_ref().map_or_else(|| "all".to_owned(), |names| names.join(",")),
            stream.packets.to_string(),
            stream.lost.to_string(),
            stream.repaired.to_string(),
            stream.reordered.to_string(),
            stream.duplicates.to_string(),
            format!("{:.2}", stream.jitter_ms),
            stream.last_seen_ms.to_string(),
        ]);
    }
    printable(&table.to_string())
}

/// A table for each map that has something in it.
pub fn maps(maps: &[Contents]) -> String {
    let each = maps.iter().map(|map| {
        let title = format!("{}: {}", map.map, map.holds);
        let Some(first) = map.entries.first() else { return format!("{title}\n  (nothing)") };
        let head: Vec<&str> = first.0.iter().map(|(name, _)| *name).collect();
        let mut table = table(&head, 0..0);
        for entry in &map.entries {
            table.add_row(entry.0.iter().map(|(_, value)| plain(value)));
        }
        format!("{title}\n{table}")
    });
    printable(&each.collect::<Vec<_>>().join("\n\n"))
}

/// A value as people write it.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(is) => if *is { "yes" } else { "no" }.to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join("/"),
        other => other.to_string(),
    }
}

pub fn added(child: &Child) -> String {
    printable(&format!("{}: {}", child.name, state(child)))
}

fn state(child: &Child) -> String {
    let name = match child.state {
        ChildState::Forwarding => "forwarding",
        ChildState::Resolving => "resolving",
        ChildState::Unreachable => "unreachable",
    };
    let mut text = name.to_owned();
    for (is, flag) in [(child.stale, " (stale)"), (child.held, " (held)")] {
        if is {
            text.push_str(flag);
        }
    }
    if let Some(problem) = &child.problem {
        text.push_str(&format!(": {problem}"));
    }
    text
}

/// A plain table; the columns in `numbers` are aligned right.
fn table(head: &[&str], numbers: std::ops::Range<usize>) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(head);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if numbers.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

#[cfg(test)]
mod tests;
