use std::time::{Duration, Instant};

use node::tree::RedisView;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::super::app::Key;
use super::super::model::Reading;
use super::super::samples::reading;
use super::*;
use crate::view;

/// What a terminal of this size shows.
fn screen(app: &mut App, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, app)).unwrap();
    let buffer = terminal.backend().buffer();
    let row = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..height).map(row).collect()
}

fn app(first: Reading, second: Reading) -> App {
    let (mut app, start) = (App::default(), Instant::now());
    app.arrived(Ok(first), start);
    app.arrived(Ok(second), start + Duration::from_secs(1));
    app
}

/// Three children and three streams at 50 packets a second.
fn small() -> App {
    app(reading(5, 3, 3, 100), reading(6, 3, 3, 150))
}

#[test]
fn eighty_columns_show_what_matters() {
    let screen = screen(&mut small(), 80, 24);
    let wanted = [
        "relay-1 in tree-1 on eth0: healthy, up 6s",
        "in       150 packets/s, 1.20 Mbit/s in 3 streams",
        "out      150 packets/s, 1.20 Mbit/s to 3 children",
        "mode     tc (asked for)",
        "child                pkt/s   Mbit/s  errors address          state",
        "egress-0                50     0.40       0 10.0.0.7         forwarding",
        "egress-1                50     0.40       0 10.0.0.7         forwarding",
        "egress-2                50     0.40       0 10.0.0.7         forwarding",
        "",
        "      ssrc kind     pkt/s loss %  Mbit/s  jitter reorder    last   dup session",
        "         0 video       50   0.00    0.40   1.5ms       0    10ms     0 -",
        "         1 video       50   0.00    0.40   1.5ms       0    10ms     0 -",
        "         2 video       50   0.00    0.40   1.5ms       0    10ms     0 -",
    ];
    assert_eq!(screen[..wanted.len()], wanted, "{}", screen.join("\n"));
    assert!(screen[23].starts_with("q quit"), "{}", screen.join("\n"));
}

#[test]
fn forty_columns_leave_out_the_least_telling() {
    let screen = screen(&mut small(), 40, 10);
    assert_eq!(screen[4], "child 1-1            pkt/s   Mbit/s", "{}", screen.join("\n"));
    assert_eq!(screen[5], "egress-0                50     0.40");
    assert_eq!(screen[6], "  ssrc 1-2 kind     pkt/s loss %  Mbit/s");
    assert_eq!(screen[7], "         0 video       50   0.00    0.40");
}

#[test]
fn a_wide_screen_shows_every_column() {
    let screen = screen(&mut small(), 200, 60);
    for name in ["session", "source", "port", "dup", "fixed", "state"] {
        assert!(screen.iter().any(|line| line.contains(name)), "{name} is not in\n{}", screen.join("\n"));
    }
    assert!(screen.iter().any(|line| line.contains("10.0.0.1:4000")));
}

#[test]
fn no_size_is_too_small() {
    let mut app = app(reading(5, 300, 3_000, 100), reading(6, 300, 3_000, 150));
    app.trouble = Some("gone".to_owned());
    for (width, height) in [(1, 1), (1, 60), (200, 1), (2, 2), (3, 5), (9, 4), (u16::from(u8::MAX), 3)] {
        screen(&mut app, width, height);
        screen(&mut App::default(), width, height);
    }
}

#[test]
fn scrolling_and_sizes_go_together() {
    let mut app = app(reading(5, 0, 100, 100), reading(6, 0, 100, 150));
    screen(&mut app, 80, 24);
    app.pressed(Key::Scroll(i32::MAX));
    let end = screen(&mut app, 80, 24);
    assert!(end[22].trim_start().starts_with("99 video"), "{}", end.join("\n"));
    // A larger terminal shows all of them again, up to the last.
    let all = screen(&mut app, 80, 200);
    assert!(all.iter().any(|line| line.trim_start().starts_with("0 video")), "{}", all.join("\n"));
}

#[test]
fn trouble_is_said() {
    let mut first = reading(5, 1, 1, 100);
    let mut second = reading(6, 1, 1, 150);
    for reading in [&mut first, &mut second] {
        reading.status.healthy = false;
        reading.status.daemon = false;
        reading.status.problems = vec!["interface eth0 is down".to_owned()];
        reading.status.warnings = vec!["children that have not registered yet: egress-9".to_owned()];
        reading.status.redis = Some(RedisView {
            server: "redis://10.0.0.2:6379".to_owned(),
            problem: Some("wrong password".to_owned()),
            ..RedisView::default()
        });
        reading.children[0] = view::Child {
            stale: true,
            state: view::ChildState::Unreachable,
            problem: Some("does not answer".to_owned()),
            ..reading.children[0].clone()
        };
        reading.streams[0].session = Some("morning\u{1b}[31mshow".to_owned());
    }
    second.status.dataplane.drops.insert("no-children".to_owned(), 7);
    let mut app = app(first, second);
    let shown = screen(&mut app, 120, 30).join("\n");
    let wanted = [
        "NOT healthy",
        "daemon down",
        "problem  interface eth0 is down",
        "redis    redis://10.0.0.2:6379: wrong password",
        "drops/s  no-children 7.0",
        "warning  children that have not registered yet: egress-9",
        "unreachable (stale): does not answer",
    ];
    for text in wanted {
        assert!(shown.contains(text), "'{text}' is not in\n{shown}");
    }
    assert!(!shown.contains('\u{1b}'), "a session's name must not steer the terminal");
    app.trouble = Some("no relay-ctl answers".to_owned());
    let shown = screen(&mut app, 120, 30).join("\n");
    assert!(shown.contains("NO ANSWER") && shown.contains("no answer: no relay-ctl answers"), "{shown}");
}
