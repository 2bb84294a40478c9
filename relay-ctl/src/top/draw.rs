//! The picture on a terminal of any size: what does not fit is left out, the least telling first.

use std::collections::BTreeMap;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Table};

use super::app::{App, Focus};
use super::model::{ChildRow, Picture, Rate, StreamRow};
use crate::view::ChildState;

/// Draws everything.
pub fn draw(frame: &mut Frame, app: &mut App) {
    let area = frame.area();
    let head = head(app);
    // Half of the screen is for the tables, whatever there is to complain about.
    let head_rows = (head.len() as u16).min((area.height / 2).max(1));
    let children = app.picture.as_ref().map_or(0, |picture| picture.children.len());
    let left = area.height.saturating_sub(head_rows + 1);
    let child_rows = (children as u16).saturating_add(2).min(left / 2);
    let [top, middle, bottom, foot] = Layout::vertical([
        Constraint::Length(head_rows),
        Constraint::Length(child_rows),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(head), top);
    frame.render_widget(Paragraph::new(keys(app)), foot);
    let Some(picture) = app.picture.take() else { return };
    table(frame, app, middle, Focus::Children, &picture.children, CHILD_COLUMNS);
    table(frame, app, bottom, Focus::Streams, &picture.streams, STREAM_COLUMNS);
    app.picture = Some(picture);
}

fn head(app: &App) -> Vec<Line<'static>> {
    let trouble = app.trouble.iter().map(|why| Line::from(format!("no answer: {why}")).red().bold());
    let Some(picture) = &app.picture else {
        return std::iter::once(Line::from("relay-ctl top: asking …")).chain(trouble).collect();
    };
    let Picture { status, incoming, outgoing, drops, passed_to_stack, .. } = picture;
    let health = match (&app.trouble, status.healthy) {
        (Some(_), _) => "NO ANSWER, this is how it was".red().bold(),
        (None, true) => "healthy".green(),
        (None, false) => "NOT healthy".red().bold(),
    };
    let mut name = status.node_id.clone();
    if !status.tree_id.is_empty() {
        name.push_str(&format!(" in {}", status.tree_id));
    }
    let mut first = vec![
        Span::from(name).bold(),
        format!(" on {}: ", status.dataplane.interface).into(),
        health,
        format!(", up {}", duration(status.uptime)).into(),
    ];
    if !status.daemon {
        first.push(", daemon down (read from the maps; forwarding goes on)".yellow());
    }
    if app.paused {
        first.push(" PAUSED".reversed());
    }
    let mut lines = vec![Line::from(first)];
    lines.extend(trouble);
    lines.extend(status.problems.iter().map(|problem| Line::from(format!("problem  {problem}")).red()));
    lines.push(match picture.streams.len() {
        1 => format!("in       {} in 1 stream", in_words(incoming)).into(),
        count => format!("in       {} in {count} streams", in_words(incoming)).into(),
    });
    lines.push(match status.forwarding.children_count {
        1 => format!("out      {} to 1 child", in_words(outgoing)).into(),
        count => format!("out      {} to {count} children", in_words(outgoing)).into(),
    });
    lines.push(format!("mode     {} ({})", status.dataplane.mode, status.dataplane.mode_reason).into());
    if let Some(redis) = &status.redis {
        let line = match &redis.problem {
            Some(problem) => Line::from(format!("redis    {}: {problem}", redis.server)).red(),
            None if !redis.connected => Line::from(format!("redis    {}: not connected", redis.server)).red(),
            None => {
                let notified = if redis.notifications { "notifies" } else { "is polled (no notifications)" };
                let known = if redis.registered { "registered" } else { "NOT registered" };
                Line::from(format!("redis    {} {notified}, {known}", redis.server))
            }
        };
        lines.push(line);
    }
    let each = |rates: &BTreeMap<String, f64>| {
        rates.iter().map(|(reason, rate)| format!("{reason} {rate:.1}")).collect::<Vec<_>>().join("  ")
    };
    if !drops.is_empty() {
        lines.push(Line::from(format!("drops/s  {}", each(drops))).yellow());
    }
    if !passed_to_stack.is_empty() {
        // Nothing is wrong: ARP, SSH and whatever else the host does.
        lines.push(Line::from(format!("stack/s  {}", each(passed_to_stack))).dim());
    }
    lines.extend(status.warnings.iter().map(|warning| Line::from(format!("warning  {warning}")).yellow()));
    lines
}

fn keys(app: &App) -> Line<'static> {
    let focus = match app.focus {
        Focus::Streams => "streams",
        Focus::Children => "children",
    };
    let pause = if app.paused { "go on" } else { "pause" };
    Line::from(format!(
        "q quit  s sort: {}  p {pause}  ↑↓ PgUp PgDn scroll {focus}  Tab other",
        app.sort.name()
    ))
    .dim()
}

/// Heading, width, text of a cell. Numbers are aligned right.
struct Column<T: 'static> {
    name: &'static str,
    width: u16,
    number: bool,
    text: fn(&T) -> String,
}

/// A row and how it is marked.
trait Marked {
    fn style(&self) -> Style;
}

impl Marked for ChildRow {
    fn style(&self) -> Style {
        match (self.state, self.stale || self.held) {
            (ChildState::Forwarding, false) => Style::new(),
            (ChildState::Forwarding | ChildState::Resolving, _) => Style::new().fg(Color::Yellow),
            (ChildState::Unreachable, _) => Style::new().fg(Color::Red),
        }
    }
}

impl Marked for StreamRow {
    fn style(&self) -> Style {
        match self.loss_percent {
            _ if self.last_seen_ms > 5_000 => Style::new().add_modifier(Modifier::DIM),
            Some(loss) if loss >= 1.0 => Style::new().fg(Color::Red),
            Some(loss) if loss > 0.0 => Style::new().fg(Color::Yellow),
            _ => Style::new(),
        }
    }
}

/// The most telling first: a narrow terminal leaves out the last.
const CHILD_COLUMNS: &[Column<ChildRow>] = &[
    Column { name: "child", width: 16, number: false, text: |row| row.name.clone() },
    Column { name: "pkt/s", width: 9, number: true, text: |row| number(row.rate.packets, 0) },
    Column { name: "Mbit/s", width: 8, number: true, text: |row| number(row.rate.megabits, 2) },
    Column { name: "errors", width: 7, number: true, text: |row| count(row.errors) },
    Column { name: "address", width: 16, number: false, text: |row| row.address.clone() },
    Column { name: "state", width: 60, number: false, text: state },
];

const STREAM_COLUMNS: &[Column<StreamRow>] = &[
    Column { name: "ssrc", width: 10, number: true, text: |row| row.ssrc.to_string() },
    Column { name: "kind", width: 5, number: false, text: |row| row.kind.clone() },
    Column { name: "pkt/s", width: 8, number: true, text: |row| number(row.rate.packets, 0) },
    Column { name: "loss %", width: 6, number: true, text: |row| number(row.loss_percent, 2) },
    Column { name: "Mbit/s", width: 7, number: true, text: |row| number(row.rate.megabits, 2) },
    Column { name: "jitter", width: 7, number: true, text: |row| format!("{:.1}ms", row.jitter_ms) },
    Column { name: "reorder", width: 7, number: true, text: |row| count(row.reordered) },
    Column { name: "last", width: 7, number: true, text: |row| ago(row.last_seen_ms) },
    Column { name: "dup", width: 5, number: true, text: |row| count(row.duplicates) },
    Column {
        name: "session",
        width: 24,
        number: false,
        text: |row| row.session.clone().unwrap_or_else(none),
    },
    Column { name: "fixed", width: 6, number: true, text: |row| count(row.repaired) },
    Column { name: "source", width: 24, number: false, text: |row| row.source.clone() },
    Column { name: "port", width: 5, number: true, text: |row| row.port.to_string() },
];

fn table<T: Marked>(
    frame: &mut Frame,
    app: &mut App,
    area: Rect,
    which: Focus,
    rows: &[T],
    columns: &'static [Column<T>],
) {
    let page = area.height.saturating_sub(1) as usize;
    let first = app.fits(which, rows.len(), page);
    if area.height < 2 || area.width == 0 {
        return;
    }
    let columns = fitting(columns, area.width);
    let widths: Vec<Constraint> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let last = at + 1 == columns.len();
            if last && !column.number { Constraint::Min(1) } else { Constraint::Length(column.width) }
        })
        .collect();
    let align = |column: &Column<T>, text: String| {
        let line = Line::from(text);
        Cell::from(if column.number { line.right_aligned() } else { line })
    };
    let shown = rows.iter().skip(first).take(page);
    let more = rows.len().saturating_sub(first + page);
    let head = columns.iter().enumerate().map(|(at, column)| {
        let name = match at {
            0 if more > 0 || first > 0 => format!("{} {}-{}", column.name, first + 1, rows.len() - more),
            _ => column.name.to_owned(),
        };
        align(column, name)
    });
    let mut style = Style::new().add_modifier(Modifier::REVERSED);
    if app.focus != which {
        style = style.add_modifier(Modifier::DIM);
    }
    let head = Row::new(head.collect::<Vec<_>>()).style(style);
    let body = shown.map(|row| {
        Row::new(columns.iter().map(|column| align(column, (column.text)(row))).collect::<Vec<_>>())
            .style(row.style())
    });
    frame.render_widget(Table::new(body.collect::<Vec<_>>(), widths).header(head), area);
}

/// As many columns as there is room for. Words that have less room than they want still show how they begin.
fn fitting<T>(columns: &'static [Column<T>], width: u16) -> &'static [Column<T>] {
    let mut left = width;
    let fit = |column: &&Column<T>| {
        let least = if column.number { column.width } else { column.width.min(8) };
        let fits = least <= left;
        left = left.saturating_sub(column.width + 1);
        fits
    };
    &columns[..columns.iter().take_while(fit).count().max(1)]
}

fn in_words(rate: &Rate) -> String {
    format!("{} packets/s, {} Mbit/s", number(rate.packets, 0), number(rate.megabits, 2))
}

fn state(row: &ChildRow) -> String {
    let mut text = match row.state {
        ChildState::Forwarding => "forwarding",
        ChildState::Resolving => "resolving",
        ChildState::Unreachable => "unreachable",
    }
    .to_owned();
    for (is, word) in [(row.stale, "stale"), (row.held, "held")] {
        if is {
            text.push_str(&format!(" ({word})"));
        }
    }
    if let Some(problem) = &row.problem {
        text.push_str(&format!(": {problem}"));
    }
    text
}

fn none() -> String {
    "-".to_owned()
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(none, |value| format!("{value:.digits$}"))
}

fn count(value: Option<u64>) -> String {
    value.map_or_else(none, |value| value.to_string())
}

fn ago(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms}ms"),
        1_000..60_000 => format!("{:.1}s", ms as f64 / 1000.0),
        _ => duration(ms / 1000),
    }
}

fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{minutes}m{:02}s", seconds % 60),
        3_600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

#[cfg(test)]
mod tests;
