//! Why what is planned is not done, and what has it done. Without I/O.

use crate::settings::Settings;

/// Each a sentence. `said`: what is in Redis of the tree's settings; `makes`: this scaler can make nodes.
pub(super) fn by(tree: &str, settings: &Settings, said: Option<&str>, makes: bool) -> Vec<String> {
    let said = said.and_then(|said| serde_json::from_str::<serde_json::Value>(said).ok()).unwrap_or_default();
    let place = |name: &str| match said.get(name) {
        Some(_) => format!("scaler:settings:{{{tree}}} in Redis"),
        None => "the file that --policy names".to_owned(),
    };
    let mut held = Vec::new();
    if !makes {
        held.push(
            "this scaler makes nothing: it was started without a provision file; --provision FILE has it act"
                .to_owned(),
        );
    }
    if settings.dry_run {
        held.push(format!(
            "nothing is done in a dry run; dry-run = false in {} has it act",
            place("dry-run")
        ));
    } else if settings.manual {
        held.push(format!(
            "nothing is done until somebody approves it, by the name that `scaler status` has for it: `scaler approve ACTION`; \
             manual = false in {} has it act by itself",
            place("manual")
        ));
    }
    held
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_named_where_it_can_be_changed() {
        let plain = Settings::default();
        assert!(by("t", &plain, None, true).is_empty());
        let dry = Settings { dry_run: true, manual: true, ..Settings::default() };
        let held = by("t", &dry, Some(r#"{"dry-run":true}"#), true);
        assert!(held.len() == 1 && held[0].contains("scaler:settings:{t} in Redis"), "{held:?}");
        let held = by("t", &dry, Some(r#"{"manual":true}"#), false);
        assert!(held.len() == 2 && held[0].contains("--provision FILE"), "{held:?}");
        assert!(held[1].contains("dry-run = false in the file that --policy names"), "{held:?}");
        let manual = Settings { manual: true, ..Settings::default() };
        assert!(by("t", &manual, None, true)[0].contains("scaler approve"));
    }
}
