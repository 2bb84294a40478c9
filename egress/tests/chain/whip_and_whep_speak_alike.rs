use lab::http::Response;
use serde_json::json;

use crate::bad_requests_are_refused_and_leave_nothing::offer;
use crate::common::{By, World, lab, on_both};

on_both!(whip_and_whep_speak_alike);

/// The table that the injection is tried with as well.
fn whip_and_whep_speak_alike(by: By) {
    let lab = lab();
    let world = World::start_by(&lab, by, &[("WHEP_TOKEN", lab::wish::TOKEN)]);
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
