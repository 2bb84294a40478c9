//! A row of a dashboard as SVG: each panel a card, at the place that it has in Grafana.

use std::path::Path;

use anyhow::{Result, anyhow};
use lab::monitoring::panels::Panel;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::Shown;
use super::scale::{round_up, written};

/// Pixels of a unit of the grid, in width and in height.
const UNIT: (i32, i32) = (44, 26);
const FONT: &str = "sans-serif";
/// Lines of a panel's legend; what does not fit is counted.
const LEGEND_ROWS: i32 = 3;
const LEGEND_HEIGHT: i32 = 14;
/// Of a letter in the legend, about.
const LETTER: i32 = 6;
const INK: RGBColor = RGBColor(36, 41, 46);
const FAINT: RGBColor = RGBColor(120, 127, 135);
const FRAME: RGBColor = RGBColor(208, 215, 222);
/// Colours that lines can be told apart by, also by those who do not see red and green as different.
const LINES: [RGBColor; 8] = [
    RGBColor(31, 119, 180),
    RGBColor(230, 126, 34),
    RGBColor(44, 140, 70),
    RGBColor(192, 57, 43),
    RGBColor(125, 90, 175),
    RGBColor(140, 86, 75),
    RGBColor(214, 90, 160),
    RGBColor(23, 160, 170),
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Failure = DrawingAreaErrorKind<std::io::Error>;

/// Draws a row; `seconds` is how long it was looked at.
pub fn row(file: &Path, panels: &[Shown], seconds: f64) -> Result<()> {
    draw(file, panels, seconds).map_err(|error| anyhow!("{}: {error}", file.display()))
}

fn draw(file: &Path, panels: &[Shown], seconds: f64) -> Result<(), Failure> {
    let end = |of: fn(&[u64; 4]) -> u64| panels.iter().map(|shown| of(&shown.panel.place)).max().unwrap_or(1);
    let (width, height) = (end(|place| place[0] + place[2]), end(|place| place[1] + place[3]));
    let size = (width as u32 * UNIT.0 as u32, height as u32 * UNIT.1 as u32);
    let root = SVGBackend::new(file, size).into_drawing_area();
    root.fill(&WHITE)?;
    for shown in panels {
        let [x, y, w, h] = shown.panel.place.map(|units| units as i32);
        let corner = (x * UNIT.0 + 3, y * UNIT.1 + 3);
        let card = root.clone().shrink(corner, (w * UNIT.0 - 6, h * UNIT.1 - 6));
        let (right, bottom) = (w * UNIT.0 - 7, h * UNIT.1 - 7);
        card.draw(&Rectangle::new([(0, 0), (right, bottom)], FRAME.stroke_width(1)))?;
        text(&card, &shown.panel.title, (8, 6), 14, &INK, HPos::Left)?;
        match shown.panel.kind.as_str() {
            "stat" => number(&card, shown)?,
            "state-timeline" => states(&card, shown, seconds)?,
            _ => lines(&card, shown, seconds)?,
        }
    }
    root.present()
}

fn text(
    area: &Area<'_>,
    words: &str,
    at: (i32, i32),
    size: u32,
    colour: &RGBColor,
    side: HPos,
) -> Result<(), Failure> {
    let style = (FONT, size).into_font().color(colour).pos(Pos::new(side, VPos::Top));
    area.draw_text(words, &style, at)
}

/// The last value, large, with its course below it.
fn number(card: &Area<'_>, shown: &Shown) -> Result<(), Failure> {
    let (width, height) = card.dim_in_pixel();
    let points = shown.lines.first().map_or(&[][..], |(_, points)| points);
    let Some((_, value)) = points.last() else { return nothing(card) };
    let colour = colour_at(&shown.panel, *value);
    let middle = (width as i32 / 2, height as i32 / 2 - 16);
    text(card, &written(*value, &shown.panel.unit), middle, 28, &colour, HPos::Center)?;
    let course = card.clone().shrink((8, height as i32 - 26), (width as i32 - 16, 20));
    let most = round_up(points.iter().map(|(_, value)| *value).fold(0.0, f64::max));
    let (from, to) = (points[0].0, points[points.len() - 1].0.max(points[0].0 + 1.0));
    let mut chart = ChartBuilder::on(&course).build_cartesian_2d(from..to, 0.0..most)?;
    chart.draw_series(LineSeries::new(points.iter().copied(), colour.mix(0.5).stroke_width(1)))?;
    Ok(())
}

/// A bar for each, in the colour of its state.
fn states(card: &Area<'_>, shown: &Shown, seconds: f64) -> Result<(), Failure> {
    let (width, height) = card.dim_in_pixel();
    if shown.lines.is_empty() {
        return nothing(card);
    }
    let name_width =
        12 + LETTER * shown.lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0) as i32;
    let name_width = name_width.min(width as i32 / 2);
    let room = height as i32 - 30 - 20;
    let bar = (room / shown.lines.len() as i32).clamp(6, 34);
    let scale = f64::from(width as i32 - name_width - 12) / seconds;
    for (index, (name, points)) in shown.lines.iter().enumerate() {
        let top = 30 + bar * index as i32;
        text(card, name, (name_width - 6, top + bar / 2 - 6), 11, &INK, HPos::Right)?;
        for run in points.chunk_by(|one, next| one.1 == next.1 && next.0 - one.0 < 3.0) {
            let at = |time: f64| name_width + (time * scale) as i32;
            let (from, to) = (at(run[0].0), at(run[run.len() - 1].0 + 1.0));
            let corners = [(from, top + 2), (to.max(from + 1), top + bar - 2)];
            let colour = word_at(&shown.panel, run[0].1).map_or(LINES[0], |(_, colour)| colour);
            card.draw(&Rectangle::new(corners, colour.mix(0.75).filled()))?;
            let word = word_at(&shown.panel, run[0].1).map_or(String::new(), |(word, _)| word);
            if to - from > LETTER * word.len() as i32 + 8 && bar > 13 {
                text(card, &word, ((from + to) / 2, top + bar / 2 - 6), 11, &WHITE, HPos::Center)?;
            }
        }
    }
    for (share, side) in [(0.0, HPos::Left), (0.5, HPos::Center), (1.0, HPos::Right)] {
        let at = (name_width + (seconds * share * scale) as i32, height as i32 - 18);
        text(card, &clock(seconds * share), at, 11, &FAINT, side)?;
    }
    Ok(())
}

/// Over time, with axes and a legend.
fn lines(card: &Area<'_>, shown: &Shown, seconds: f64) -> Result<(), Failure> {
    let (width, height) = card.dim_in_pixel();
    let values = || shown.lines.iter().flat_map(|(_, points)| points).map(|(_, value)| *value);
    if values().next().is_none() {
        return nothing(card);
    }
    let legend = places(&shown.lines, width as i32 - 16);
    let rows = legend.iter().map(|(_, (_, row))| row + 1).max().unwrap_or(0);
    let plot = (width as i32 - 10, height as i32 - 38 - rows * LEGEND_HEIGHT);
    let most = end_of_axis(&shown.panel.unit, values().fold(0.0, f64::max));
    let mut chart = ChartBuilder::on(&card.clone().shrink((2, 26), plot))
        .margin_right(10)
        .margin_top(4)
        .x_label_area_size(18)
        .y_label_area_size(62)
        .build_cartesian_2d(0.0..seconds, 0.0..most)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .bold_line_style(FRAME.stroke_width(1))
        .light_line_style(TRANSPARENT)
        .axis_style(FRAME)
        .x_labels(5)
        .y_labels(4)
        .label_style((FONT, 11).into_font().color(&FAINT))
        .x_label_formatter(&|time| clock(*time))
        .y_label_formatter(&|value| written(*value, &shown.panel.unit))
        .draw()?;
    for (index, (_, points)) in shown.lines.iter().enumerate() {
        let style = LINES[index % LINES.len()].stroke_width(2);
        // Where nothing came there is a gap.
        for run in points.chunk_by(|one, next| next.0 - one.0 < 3.0) {
            chart.draw_series(LineSeries::new(run.iter().copied(), style))?;
        }
    }
    for (value, colour) in shown.panel.steps.iter().filter(|(value, _)| (0.0..most).contains(value)) {
        let style = named(colour).mix(0.6).stroke_width(1);
        chart.draw_series(LineSeries::new([(0.0, *value), (seconds, *value)], style))?;
    }
    let top = height as i32 - 6 - rows * LEGEND_HEIGHT;
    for (index, (x, row)) in legend {
        let at = (8 + x, top + row * LEGEND_HEIGHT);
        let colour = LINES[index % LINES.len()];
        card.draw(&Rectangle::new([(at.0, at.1 + 5), (at.0 + 10, at.1 + 7)], colour.filled()))?;
        text(card, &shown.lines[index].0, (at.0 + 14, at.1), 11, &INK, HPos::Left)?;
    }
    Ok(())
}

/// Shares end at all of it.
fn end_of_axis(unit: &str, most: f64) -> f64 {
    let all = match unit {
        "percent" => 100.0,
        "percentunit" => 1.0,
        _ => return round_up(most),
    };
    if most > all { round_up(most) } else { round_up(most).min(all) }
}

fn nothing(card: &Area<'_>) -> Result<(), Failure> {
    let (width, height) = card.dim_in_pixel();
    text(card, "none", (width as i32 / 2, height as i32 / 2), 13, &FAINT, HPos::Center)
}

/// Where names of lines stand in the legend: which, its left edge and its row. Those that do not fit are left out.
fn places(lines: &[(String, Vec<(f64, f64)>)], width: i32) -> Vec<(usize, (i32, i32))> {
    let mut places = Vec::new();
    let (mut x, mut row) = (0, 0);
    for (index, (name, _)) in lines.iter().enumerate().filter(|(_, (name, _))| !name.is_empty()) {
        let needs = 24 + LETTER * name.chars().count() as i32;
        if x > 0 && x + needs > width {
            (x, row) = (0, row + 1);
        }
        if row == LEGEND_ROWS {
            break;
        }
        places.push((index, (x, row)));
        x += needs;
    }
    places
}

/// The colour of a value by the panel's words, or its steps.
fn colour_at(panel: &Panel, value: f64) -> RGBColor {
    let step = panel.steps.iter().rfind(|(from, _)| value >= *from);
    step.map_or(INK, |(_, colour)| named(colour))
}

fn word_at(panel: &Panel, value: f64) -> Option<(String, RGBColor)> {
    let found = panel.words.iter().find(|(one, ..)| *one == value);
    found.map(|(_, word, colour)| (word.clone(), named(colour)))
}

fn named(colour: &str) -> RGBColor {
    match colour {
        "green" => RGBColor(44, 140, 70),
        "yellow" => RGBColor(190, 140, 0),
        "red" => RGBColor(192, 57, 43),
        _ => RGBColor(31, 119, 180),
    }
}

/// Seconds since the left edge.
fn clock(seconds: f64) -> String {
    format!("{}:{:02}", seconds as u64 / 60, seconds as u64 % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(kind: &str) -> Panel {
        let steps = vec![(f64::NEG_INFINITY, "green".to_owned()), (70.0, "yellow".to_owned())];
        let words = vec![(1.0, "healthy".to_owned(), "green".to_owned())];
        Panel {
            title: "A <title> & more".to_owned(),
            kind: kind.to_owned(),
            unit: "percent".to_owned(),
            place: [0, 0, 8, 8],
            steps,
            words,
            ..Panel::default()
        }
    }

    #[test]
    fn every_kind_is_drawn() {
        let folder = tempfile::tempdir().unwrap();
        for (kind, wanted) in [("stat", "75 %"), ("state-timeline", "healthy"), ("timeseries", "relay-1")] {
            let value = if kind == "stat" { 75.0 } else { 1.0 };
            let lines = vec![("relay-1".to_owned(), vec![(0.0, value), (1.0, value), (9.0, value)])];
            let file = folder.path().join(format!("{kind}.svg"));
            row(&file, &[Shown { panel: panel(kind), lines }], 10.0).unwrap();
            let svg = std::fs::read_to_string(&file).unwrap();
            for word in [wanted, "A &lt;title&gt; &amp; more"] {
                assert!(svg.contains(word), "{kind} has no {word}: {svg}");
            }
            row(&file, &[Shown { panel: panel(kind), lines: Vec::new() }], 10.0).unwrap();
            assert!(std::fs::read_to_string(&file).unwrap().contains("none"), "{kind}");
        }
    }

    #[test]
    fn shares_end_at_all_of_it() {
        assert_eq!((end_of_axis("percent", 99.5), end_of_axis("percentunit", 0.0)), (100.0, 1.0));
        assert_eq!((end_of_axis("percent", 3.0), end_of_axis("percent", 110.0)), (4.0, 150.0));
    }

    #[test]
    fn values_have_the_colour_of_their_step() {
        let panel = panel("stat");
        assert_eq!((colour_at(&panel, 3.0), colour_at(&panel, 70.0)), (named("green"), named("yellow")));
    }

    #[test]
    fn a_legend_is_no_larger_than_its_rows() {
        let lines = vec![("x".repeat(20), Vec::new()); 30];
        let placed = places(&lines, 300);
        assert_eq!(placed.len(), 6, "{placed:?}");
        assert!(placed.iter().all(|(_, (_, row))| *row < LEGEND_ROWS));
    }
}
