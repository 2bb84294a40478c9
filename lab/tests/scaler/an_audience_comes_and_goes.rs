//! Viewers take the places of a tree; the scaler makes an egress, and somebody sees a picture from it; they leave, and it is emptied and
//! taken away. Nothing is left of it.

use std::time::{Instant, SystemTime};

use lab::Lab;

use super::house::{By, House};

/// One egress at least, two at most; each takes ten, and has a relay of its own. Of the slots that stand ready `warm` run.
fn policy(warm: u32) -> String {
    format!(
        "[limits]\nbaseline = 1\nmaximum = 2\nready-places = 1\n\
         [thresholds]\ncpu-in = 60\nmemory-out = 99\nmemory-in = 98\n\
         [pace]\nout-rest = 1\nin-rest = 4\nin-after = 4\nahead = 0\n\
         [template]\nchildren = 1\nwarm = {warm}\ncold = 1\n"
    )
}

fn comes_and_goes(by: By, warm: u32) {
    let name = if by == By::Processes { "t-scaler-" } else { "t-scalerd-" };
    let lab = Lab::new(name).unwrap();
    let began = Instant::now();
    let house = House::open(&lab, by, 10, &policy(warm));
    // Of nothing but an injection.
    let first = house.until("an egress", || house.egresses().first().cloned());
    house.first_picture(&first);
    println!("a tree of nothing serves its first viewer after {:.1} s", began.elapsed().as_secs_f64());
    house.until("the slots", || {
        let status = house.status()?;
        let tree = status["trees"].list().first()?;
        (tree["running"].list().is_empty() && tree["egresses"].number() == 1).then_some(())
    });

    let crowd = house.crowd(9, "1");
    house.until("the crowd", || (house.viewers(&first) >= 9.0).then_some(()));
    let (crossed, at) = (Instant::now(), SystemTime::now());
    let second = house.until("another egress", || house.egresses().into_iter().find(|name| *name != first));
    house.first_picture(&second);
    let how = if warm > 0 { "warm" } else { "cold" };
    println!(
        "{how}: from the threshold to the first picture of a new egress {:.1} s",
        crossed.elapsed().as_secs_f64()
    );
    println!("{}", house.history(at));
    let (figures, _) = house
        .prometheus
        .wait("tree:places:sum", super::house::PATIENCE, |figures| {
            figures.iter().any(|figure| figure.value == 20.0)
        })
        .unwrap();
    assert_eq!(figures.len(), 1, "{figures:?}");

    crowd.terminate().unwrap();
    let left = Instant::now();
    house.until("one egress less", || (house.egresses().len() == 1).then_some(()));
    println!("fewer: {:.1} s after they have left", left.elapsed().as_secs_f64());
    house.until("all that is done", || house.is_idle().then_some(()));
    // Whoever stays serves.
    house.first_picture(&house.egresses()[0]);
}

#[test]
fn with_a_warm_slot() {
    comes_and_goes(By::Processes, 1);
}

#[test]
fn with_cold_slots() {
    comes_and_goes(By::Processes, 0);
}

#[test]
#[ignore = "needs an engine and images: cargo xtask test scaler"]
fn with_containers() {
    comes_and_goes(By::Containers, 1);
}
