use std::time::Duration;

use super::super::samples::reading;
use super::*;

fn at(start: Instant, seconds: u64) -> Instant {
    start + Duration::from_secs(seconds)
}

fn packets(app: &App) -> Option<f64> {
    app.picture.as_ref().unwrap().incoming.packets
}

#[test]
fn a_daemon_that_goes_and_comes_back_is_told_and_survived() {
    let (mut app, start) = (App::default(), Instant::now());
    app.arrived(Err("nobody there".to_owned()), start);
    assert!(app.picture.is_none());
    app.arrived(Ok(reading(1, 1, 1, 100)), at(start, 1));
    app.arrived(Ok(reading(2, 1, 1, 200)), at(start, 2));
    assert_eq!((packets(&app), &app.trouble), (Some(100.0), &None));
    app.arrived(Err("gone".to_owned()), at(start, 3));
    assert_eq!((packets(&app), app.trouble.as_deref()), (Some(100.0), Some("gone")));
    // The same run: the rate is over the whole gap.
    app.arrived(Ok(reading(5, 1, 1, 800)), at(start, 5));
    assert_eq!((packets(&app), &app.trouble), (Some(200.0), &None));
    // Another run.
    app.arrived(Ok(reading(0, 1, 1, 900)), at(start, 6));
    assert_eq!(packets(&app), None);
    app.arrived(Ok(reading(1, 1, 1, 950)), at(start, 7));
    assert_eq!(packets(&app), Some(50.0));
}

#[test]
fn a_pause_holds_the_picture_and_goes_on_with_the_last_interval() {
    let (mut app, start) = (App::default(), Instant::now());
    app.arrived(Ok(reading(1, 1, 1, 100)), at(start, 1));
    app.arrived(Ok(reading(2, 1, 1, 200)), at(start, 2));
    app.pressed(Key::Pause);
    app.arrived(Ok(reading(3, 1, 1, 700)), at(start, 3));
    assert_eq!(packets(&app), Some(100.0));
    app.pressed(Key::Pause);
    app.arrived(Ok(reading(4, 1, 1, 720)), at(start, 4));
    assert_eq!(packets(&app), Some(20.0));
}

#[test]
fn scrolling_stays_within_the_rows() {
    let mut app = App::default();
    app.fits(Focus::Streams, 100, 10);
    let table = [
        (Key::Scroll(1), 1),
        (Key::Page(1), 11),
        (Key::Scroll(i32::MAX), 90),
        (Key::Page(1), 90),
        (Key::Scroll(-1), 89),
        (Key::Scroll(i32::MIN), 0),
        (Key::Page(-1), 0),
    ];
    for (key, wanted) in table {
        assert!(app.pressed(key));
        assert_eq!(app.fits(Focus::Streams, 100, 10), wanted, "{key:?}");
    }
    assert_eq!(app.fits(Focus::Children, 3, 10), 0, "the other table stays where it is");
    assert!(!app.pressed(Key::Quit));
}
