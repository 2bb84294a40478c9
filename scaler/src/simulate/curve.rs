//! How many want to watch, and when.

const HOUR: f64 = 3600.0;
const DAY: f64 = 24.0 * HOUR;
/// An audience's day, from four in the morning on: hours, and part of the way from the least to the most.
const OF_A_DAY: [(f64, f64); 9] = [
    (0.0, 0.0),
    (2.0, 0.0),
    (5.0, 0.2),
    (13.0, 0.45),
    (16.0, 1.0),
    (18.0, 1.0),
    (20.0, 0.45),
    (22.0, 0.15),
    (24.0, 0.0),
];

/// Viewers by seconds since the beginning: straight from one point to the next, as the first before and as the last after.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    points: Vec<(f64, f64)>,
    /// It begins anew after so many seconds.
    every: Option<f64>,
}

impl Curve {
    /// Once.
    pub fn through<const N: usize>(points: [(f64, f64); N]) -> Curve {
        Curve { points: points.into(), every: None }
    }

    /// Every day the same: fewest at night, most in the evening.
    pub fn daily(least: f64, most: f64) -> Curve {
        let points = OF_A_DAY.map(|(hour, part)| (hour * HOUR, least + (most - least) * part));
        Curve { points: points.into(), every: Some(DAY) }
    }

    /// How many at that second.
    pub fn at(&self, second: f64) -> f64 {
        let second = self.every.map_or(second, |every| second.rem_euclid(every));
        let after = self.points.partition_point(|(at, _)| *at <= second);
        let before = after.checked_sub(1).and_then(|before| self.points.get(before));
        match (before, self.points.get(after)) {
            (Some((x0, y0)), Some((x1, y1))) => y0 + (second - x0) * (y1 - y0) / (x1 - x0),
            (Some((_, level)), None) | (None, Some((_, level))) => *level,
            (None, None) => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_joined() {
        let curve = Curve::through([(10.0, 0.0), (20.0, 100.0), (20.0, 300.0), (30.0, 300.0)]);
        let seen = [0.0, 10.0, 15.0, 20.0, 25.0, 99.0].map(|second| curve.at(second));
        assert_eq!(seen, [0.0, 0.0, 50.0, 300.0, 300.0, 300.0]);
        assert_eq!(Curve::through([]).at(3.0), 0.0);
    }

    #[test]
    fn every_day_has_one_night_and_one_evening() {
        let curve = Curve::daily(1000.0, 20_000.0);
        assert_eq!([1.0, 17.0, 24.0 + 17.0].map(|hour| curve.at(hour * HOUR)), [1000.0, 20_000.0, 20_000.0]);
        assert_eq!(curve.at(24.0 * HOUR - 1e-6).round(), curve.at(24.0 * HOUR).round());
    }
}
