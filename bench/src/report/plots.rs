//! The plots, as SVG: lines over children, rates and streams, both axes logarithmic.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use super::{LENGTH, Report};
use crate::contestant::{self, Role};
use crate::latency::RATES;

const SIZE: (u32, u32) = (860, 520);
const FONT: &str = "sans-serif";

/// One line: name, what it is to the others, points.
pub struct Line {
    name: String,
    role: Role,
    points: Vec<(f64, f64)>,
}

impl Line {
    pub fn new(name: &str, is_ours: bool, points: Vec<(f64, f64)>) -> Line {
        let role = if is_ours { Role::Ours } else { Role::Peer };
        Line { name: name.to_owned(), role, points }
    }

    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }
}

/// Draws what there is.
pub fn draw(report: &Report, folder: &Path) -> Result<()> {
    let children = report.children(LENGTH);
    let over_children = |value: &dyn Fn(&str, usize) -> Option<f64>| -> Vec<Line> {
        lines(|who| children.iter().filter_map(|n| Some((*n as f64, value(who, *n)?))).collect())
    };
    let costs = over_children(&|who, n| report.ns(who, (LENGTH, n)));
    let rates = over_children(&|who, n| {
        report.rate(who, (LENGTH, n)).map(|rate| rate * n as f64).filter(|rate| *rate > 0.0)
    });
    let latency = lines(|who| {
        let rows = RATES.iter().filter_map(|rate| {
            let row = report.latency.iter().find(|row| row.is(who, 8, *rate))?;
            Some((f64::from(*rate), row.ns()[1].max(1.0) / 1000.0))
        });
        rows.collect()
    });
    let growth = lines(|who| {
        let rows = report.growth.iter().filter(|row| row.who == who);
        rows.map(|row| (f64::from(row.streams), row.median())).collect()
    });
    chart(&folder.join("cost.svg"), "CPU time of a copy, 214-byte frames", ["children", "ns"], &costs)?;
    chart(&folder.join("rate.svg"), "Loss-free rate, 214-byte frames", ["children", "copies/s"], &rates)?;
    chart(&folder.join("latency.svg"), "Latency p99, 8 children", ["packets/s", "µs"], &latency)?;
    chart(&folder.join("growth.svg"), "CPU time of a copy, 8 children", ["streams", "ns"], &growth)
}

fn lines(points: impl Fn(&str) -> Vec<(f64, f64)>) -> Vec<Line> {
    let contestants = contestant::all();
    let all = contestants.iter().map(|contestant| Line {
        name: contestant.name().to_owned(),
        role: contestant.role(),
        points: points(contestant.short()),
    });
    all.filter(|line| !line.points.is_empty()).collect()
}

/// Draws one; nothing if there are no points.
pub fn chart(file: &Path, title: &str, [x_name, y_name]: [&str; 2], lines: &[Line]) -> Result<()> {
    let points = || lines.iter().flat_map(|line| &line.points);
    let range = |axis: fn(&(f64, f64)) -> f64, margin: f64| {
        let least = points().map(axis).fold(f64::INFINITY, f64::min);
        let most = points().map(axis).fold(0.0, f64::max);
        (least / margin)..(most * margin)
    };
    if points().next().is_none() {
        return Ok(());
    }
    let failed = |error: DrawingAreaErrorKind<std::io::Error>| anyhow!("{}: {error}", file.display());
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    area.fill(&WHITE).map_err(failed)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, (FONT, 20))
        .margin(12)
        .margin_right(290)
        .x_label_area_size(40)
        .y_label_area_size(70)
        .build_cartesian_2d(range(|p| p.0, 1.05).log_scale(), range(|p| p.1, 1.3).log_scale())
        .map_err(failed)?;
    let number = |value: &f64| super::tables::grouped(*value);
    chart
        .configure_mesh()
        .x_desc(x_name)
        .y_desc(y_name)
        .y_labels(14)
        .label_style((FONT, 13))
        .x_label_formatter(&number)
        .y_label_formatter(&number)
        .light_line_style(WHITE)
        .draw()
        .map_err(failed)?;
    for (index, line) in lines.iter().enumerate() {
        let colour = Palette99::pick(index).to_rgba();
        let width = if line.role == Role::Ours { 3 } else { 1 };
        let style = colour.stroke_width(width);
        chart.draw_series(LineSeries::new(line.points.iter().copied(), style)).map_err(failed)?;
        let marks = line.points.iter().map(|point| Circle::new(*point, 3, colour.filled()));
        chart.draw_series(marks).map_err(failed)?;
        // A legend of our own, beside the plot: lines cross everywhere in it.
        let y = 60 + 22 * index as i32;
        let x = SIZE.0 as i32 - 282;
        area.draw(&PathElement::new(vec![(x, y), (x + 22, y)], style)).map_err(failed)?;
        let dashed = if line.role == Role::Floor { " (floor)" } else { "" };
        let name = line.name.split(": bare").next().unwrap_or(&line.name);
        area.draw(&Text::new(format!("{name}{dashed}"), (x + 28, y - 6), (FONT, 12))).map_err(failed)?;
    }
    area.present().map_err(failed)
}
