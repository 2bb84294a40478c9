//! What Janus says of itself (`{"janus":"info"}`), judged. Without I/O: the nodes ask.

use serde_json::Value;

use super::Finding;

/// 1.1.0, as Janus writes it: the first with what the nodes use of its plugins.
const OLDEST: u64 = 1100;

/// Findings about a Janus that has answered. `plugin`: the one that the node needs, `janus.plugin.streaming`.
pub fn findings(info: &Value, plugin: &str) -> Vec<Finding> {
    let is = |name: &str| info[name].as_bool();
    let version = info["version_string"].as_str().unwrap_or("of no version");
    let new_enough = match info["version"].as_u64() {
        Some(number) if number >= OLDEST => Ok(format!("Janus {version}")),
        _ => Err(format!("Janus {version} is too old")),
    };
    let loaded = match info["plugins"].get(plugin) {
        Some(loaded) => Ok(format!("{plugin} {}", loaded["version_string"].as_str().unwrap_or_default())),
        None => Err(format!("{plugin} is not loaded")),
    };
    let whole_answers = match is("full-trickle") {
        Some(true) => {
            Err("it answers without its own candidates, and WHIP and WHEP have no way to send them later"
                .to_owned())
        }
        _ => Ok("its answers have all of its candidates".to_owned()),
    };
    let guarded = match is("api_secret") {
        Some(false) => Err("whoever reaches its WebSocket can do everything".to_owned()),
        _ => Ok("it asks for a secret".to_owned()),
    };
    let loops = match info["static-event-loops"].as_u64() {
        Some(0) => Err("a thread for each publisher and viewer".to_owned()),
        Some(1) => Ok("one for all publishers and viewers".to_owned()),
        Some(loops) => Err(format!("{loops}, which get into each other's way from some 200 viewers on")),
        None => Ok("it does not say".to_owned()),
    };
    let noticed = match is("ice-keepalive-conncheck") {
        Some(false) => Err("whoever vanishes is noticed after many minutes".to_owned()),
        _ => Ok("whoever vanishes is noticed in less than a minute".to_owned()),
    };
    let folder = "/etc/janus/janus.jcfg";
    vec![
        Finding::needed("Janus' version", new_enough, "Janus 1.1 or later, as Debian 12 has it"),
        Finding::needed("Janus' plugin", loaded, &format!("load it: `plugins.disable` in {folder}")),
        Finding::needed(
            "Janus' answers",
            whole_answers,
            &format!("`full_trickle = false` in `nat` of {folder}"),
        ),
        Finding::wanted(
            "Janus' secret",
            guarded,
            &format!("`api_secret` in `general` of {folder}, and JANUS_API_SECRET here"),
        ),
        Finding::wanted(
            "Janus' threads",
            loops,
            &format!("`event_loops = 1` in `general` of {folder}: half the CPU time, twice the viewers"),
        ),
        Finding::wanted(
            "Janus' patience",
            noticed,
            &format!("`ice_keepalive_conncheck = true` in `nat` of {folder}"),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// As Debian's Janus answers with its own configuration, shortened.
    fn debian() -> Value {
        json!({
            "version": 1102, "version_string": "1.1.2", "local-ip": "10.0.0.5", "full-trickle": false,
            "ice-keepalive-conncheck": false, "static-event-loops": 0, "api_secret": false,
            "plugins": { "janus.plugin.streaming": { "version_string": "0.0.8" } },
        })
    }

    fn wrong(info: &Value, plugin: &str) -> Vec<(String, bool)> {
        let findings = findings(info, plugin);
        findings.into_iter().filter(|found| !found.ok).map(|found| (found.what, found.optional)).collect()
    }

    #[test]
    fn debian_s_own_configuration_works_and_could_be_better() {
        let notes = ["Janus' secret", "Janus' threads", "Janus' patience"];
        assert_eq!(wrong(&debian(), "janus.plugin.streaming"), notes.map(|what| (what.to_owned(), true)));
    }

    #[test]
    fn what_keeps_a_node_from_its_job_is_no_note() {
        let table = [
            ("version", json!(1003), "Janus' version"),
            ("plugins", json!({}), "Janus' plugin"),
            ("full-trickle", json!(true), "Janus' answers"),
        ];
        for (key, value, what) in table {
            let mut info = debian();
            info[key] = value;
            let wrong = wrong(&info, "janus.plugin.streaming");
            assert!(wrong.contains(&(what.to_owned(), false)), "{key}: {wrong:?}");
        }
        // More threads are no better.
        for (loops, sound) in [(1, true), (2, false), (4, false)] {
            let mut info = debian();
            info["static-event-loops"] = json!(loops);
            let noted = wrong(&info, "janus.plugin.streaming").contains(&("Janus' threads".to_owned(), true));
            assert_eq!(noted, !sound, "{loops}");
        }
        // One that says nothing of itself.
        assert!(!wrong(&json!({}), "janus.plugin.streaming").is_empty());
    }
}
