//! A password or token on the command line is refused before anything is bound, with what to do instead, and is not
//! repeated in what is said about it.

mod common;

use std::net::TcpListener;

use common::{SECRET, refusal, run};

#[test]
fn a_redis_password_in_the_arguments() {
    // Somebody else's: to bind it would fail, with another message and exit code.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let api = taken.local_addr().unwrap().to_string();
    for url in [format!("redis://:{SECRET}@127.0.0.1"), format!("redis+sentinel://u:{SECRET}@127.0.0.1/main")]
    {
        let line =
            refusal(&run(&["attach", "lo", "--mode", "userspace", "--api", &api, "--redis", &url], &[]), 64);
        for word in ["--redis", "process list", "REDIS_URL", "REDIS_PASSWORD", "--redis-password-file"] {
            assert!(line.contains(word), "no `{word}` in: {line}");
        }
    }
    // The same arguments without the password do get as far as that.
    let arguments = ["attach", "lo", "--mode", "userspace", "--api", &api, "--redis", "redis://127.0.0.1"];
    let line = refusal(&run(&arguments, &[]), 1);
    assert!(line.contains(&api), "{line}");
}

#[test]
fn flags_that_do_not_exist_because_they_would_show() {
    let url = format!("redis://:{SECRET}@127.0.0.1");
    let with_value = [format!("--redis-password={SECRET}"), format!("--api-token={SECRET}")];
    let table: [(&[&str], &str); 5] = [
        (&["attach", "lo", &with_value[0]], "--redis-password-file"),
        (&["attach", "lo", &with_value[1]], "--api-token-file"),
        (&["attach", "lo", "--api-token", SECRET], "--api-token-file"),
        (&["child", "remove", "a", &with_value[1]], "--api-token-file"),
        (&["attach", "lo", &url], "redis://…@127.0.0.1"),
    ];
    for (arguments, word) in table {
        let line = refusal(&run(arguments, &[]), 64);
        assert!(line.contains(word), "no `{word}` in: {line}");
    }
}

#[test]
fn help_does_not_show_what_is_in_the_environment() {
    let url = format!("redis://:{SECRET}@127.0.0.1");
    let environment = [("REDIS_URL", url.as_str()), ("REDIS_PASSWORD", SECRET), ("API_TOKEN", SECRET)];
    let output = run(&["attach", "--help"], &environment);
    let help = common::text(&output.stdout);
    assert!(output.status.success() && help.contains("REDIS_URL"), "{help}");
    assert!(!help.contains(SECRET), "{help}");
}
