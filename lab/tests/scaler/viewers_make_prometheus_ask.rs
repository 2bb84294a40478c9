//! Viewers take CPU time of an egress; the recording rules of deploy/monitoring make a figure of it that crosses a threshold, and the scaler makes
//! another egress for that: places there would be enough.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lab::Lab;

use super::house::{By, House, PATIENCE};

const CPU: &str = "tree:egress_cpu_utilization:avg5m";
/// Percent of a processor that the crowd takes at least: it takes several times as much.
const ABOVE: f64 = 2.0;
const VIEWERS: usize = 80;

fn asks_for_an_egress(warm: u32) {
    let (name, how) = if warm > 0 { ("t-scalerw-", "warm") } else { ("t-scalerc-", "cold") };
    let lab = Lab::new(name).unwrap();
    let policy = format!(
        "[limits]\nbaseline = 1\nmaximum = 2\nready-places = 1\n\
         [thresholds]\ncpu-out = 100\nmemory-out = 99\nmemory-in = 98\nplaces-out = 95\nplaces-in = 90\n\
         [pace]\nout-rest = 1\nin-rest = 4\nin-after = 4\nahead = 0\n\
         [template]\nchildren = 1\nwarm = {warm}\ncold = 1\n"
    );
    let house = House::open(&lab, By::Processes, 400, &policy);
    let first = house.until("an egress", || house.egresses().first().cloned());
    house.first_picture(&first);
    // What starting has taken is out of the mean again.
    let calm = |figures: &[lab::monitoring::Sample]| figures.iter().any(|figure| figure.value < 0.05);
    let (figures, _) = house.prometheus.wait(CPU, PATIENCE, calm).unwrap();
    let calm = figures[0].value * 100.0;
    let out = calm + ABOVE;
    house.wants(&format!("{{\"thresholds\":{{\"cpu-out\":{out:.2},\"cpu-in\":{:.2}}}}}", calm + ABOVE / 2.0));
    assert_eq!(house.egresses().len(), 1);

    let (began, at) = (now(), SystemTime::now());
    let crowd = house.crowd(VIEWERS, "2");
    let second = house.until("another egress", || house.egresses().into_iter().find(|name| *name != first));
    house.first_picture(&second);
    let served = now();
    let history = house.history(at);
    let begun = history.lines().find(|line| line.contains("high CPU usage"));
    let begun = begun.unwrap_or_else(|| panic!("it was made for another cause:\n{history}"));
    assert_eq!(begun.contains("which is started"), warm == 0, "its slot is to be {how}:\n{history}");
    // When the figure was above the threshold first, by Prometheus' own clock.
    let series = house.prometheus.range(&format!("100 * {CPU} > {out}"), began..served, 0.5).unwrap();
    let crossed = series.iter().flat_map(|series| &series.points).map(|(time, _)| *time).reduce(f64::min);
    let crossed = crossed.expect("it has crossed the threshold");
    println!(
        "{how}: calm {calm:.1} %, threshold {out:.1} %: crossed {:.1} s after {VIEWERS} viewers began to come, first picture of a new egress {:.1} s later\n{history}",
        crossed - began,
        served - crossed
    );

    // Two egresses without viewers, and what feeds them, take more than one did: what is calm is another figure now.
    house.wants("{\"thresholds\":{\"cpu-out\":100,\"cpu-in\":50}}");
    crowd.terminate().unwrap();
    let left = now();
    house.until("one egress less", || (house.egresses().len() == 1).then_some(()));
    println!("fewer: {:.1} s after they have left", now() - left);
    house.until("all that is done", || house.is_idle().then_some(()));
    // Whoever stays serves.
    house.first_picture(&house.egresses()[0]);
}

#[test]
fn with_a_warm_slot() {
    asks_for_an_egress(1);
}

#[test]
fn with_a_cold_slot() {
    asks_for_an_egress(0);
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64()
}
