//! A scenario as a picture (SVG): viewers, those who wait, nodes and bandwidth, one below the other.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use super::drive::{Outcome, Point};

const SIZE: (u32, u32) = (860, 880);
const FONT: &str = "sans-serif";
/// The same as the dashboards': told apart also by those who do not see red and green as different.
const COLOURS: [RGBColor; 3] = [RGBColor(31, 119, 180), RGBColor(230, 126, 34), RGBColor(44, 140, 70)];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Failure = DrawingAreaErrorKind<std::io::Error>;

struct Line {
    name: &'static str,
    of: fn(&Point) -> f64,
}

/// From the top.
const PANELS: [(&str, &[Line]); 4] = [
    (
        "viewers",
        &[
            Line { name: "watch", of: |point| point.watching as f64 },
            Line { name: "places", of: |point| point.places as f64 },
            Line { name: "want to watch", of: |point| point.wanted },
        ],
    ),
    (
        "viewers who wait",
        &[
            Line { name: "for their turn", of: |point| point.at_the_door as f64 },
            Line { name: "for a place", of: |point| point.in_the_dark as f64 },
        ],
    ),
    (
        "nodes",
        &[
            Line { name: "egresses that serve", of: |point| point.serving as f64 },
            Line { name: "egresses", of: |point| point.egresses as f64 },
            Line { name: "relays", of: |point| point.relays as f64 },
        ],
    ),
    ("Gbit/s", &[Line { name: "to viewers", of: |point| point.gigabits }]),
];

/// Draws it.
pub fn draw(file: &Path, outcome: &Outcome) -> Result<()> {
    drawn(file, outcome).map_err(|error| anyhow!("{}: {error}", file.display()))
}

fn drawn(file: &Path, outcome: &Outcome) -> Result<(), Failure> {
    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let all = root.titled(outcome.about, (FONT, 18))?;
    for (area, (title, lines)) in all.split_evenly((PANELS.len(), 1)).iter().zip(PANELS) {
        panel(area, title, lines, &outcome.course)?;
    }
    root.present()
}

fn panel(area: &Area<'_>, title: &str, lines: &[Line], course: &[Point]) -> Result<(), Failure> {
    // A long run is told in hours.
    let last = course.last().map_or(1.0, |point| point.minute.max(1.0));
    let (unit, per) = if last > 600.0 { ("hours", 60.0) } else { ("minutes", 1.0) };
    let values = course.iter().flat_map(|point| lines.iter().map(|line| (line.of)(point)));
    let most = values.fold(1.0, f64::max) * 1.1;
    let first = course.first().map_or(0.0, |point| point.minute);
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .margin_right(150)
        .x_label_area_size(34)
        .y_label_area_size(64)
        .build_cartesian_2d(first / per..last / per, 0.0..most)?;
    chart
        .configure_mesh()
        .x_desc(unit)
        .y_desc(title)
        .x_labels(12)
        .y_labels(6)
        .label_style((FONT, 12))
        .x_label_formatter(&|value| format!("{value:.0}"))
        .y_label_formatter(&|value| format!("{value:.0}"))
        .light_line_style(WHITE)
        .draw()?;
    for (index, line) in lines.iter().enumerate() {
        let style = COLOURS[index].stroke_width(2);
        chart.draw_series(LineSeries::new(
            course.iter().map(|point| (point.minute / per, (line.of)(point))),
            style,
        ))?;
        // A legend of our own, beside the plot.
        let (x, y) = (SIZE.0 as i32 - 146, 16 + 20 * index as i32);
        area.draw(&PathElement::new(vec![(x, y), (x + 18, y)], style))?;
        area.draw(&Text::new(line.name, (x + 24, y - 6), (FONT, 12)))?;
    }
    Ok(())
}
