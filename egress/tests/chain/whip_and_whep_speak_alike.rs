use lab::http::Response;
use serde_json::json;

use crate::bad_requests_are_refused_and_leave_nothing::offer;
use crate::common::{World, lab};

/// The table that the injection is tried with as well.
#[test]
fn whip_and_whep_speak_alike() {
    let lab = lab();
    let world = World::start_with(&lab, &[("WHEP_TOKEN", lab::wish::TOKEN)]);
    world.session("s1", 4001, [7777, 8888]);
    world.until("s1", || world.get("/mountpoints")["count"] == json!(1));
    let wrong =
        lab::wish::differences("/whep/endpoint/s1", &offer("96 VP8/90000"), |method, path, headers, body| {
            let server = ([127, 0, 0, 1], 7073).into();
            let answer = lab::http::request(&lab, "eg", server, method, path, headers, body);
            answer.unwrap_or_else(|error| Response {
                status: 0,
                head: String::new(),
                body: error.to_string(),
            })
        });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
