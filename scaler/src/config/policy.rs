//! What is wanted of each tree: the file's settings for all trees, over them the file's for this one, over them what is in Redis.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::settings::{Limits, Pace, Settings, Template, Thresholds};

/// The file, checked.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    all: Value,
    trees: BTreeMap<String, Value>,
}

impl Policy {
    /// From the file's text. An error is one line that says what is wrong in it.
    pub fn read(text: &str) -> Result<Policy, String> {
        let mut all: Value = toml::from_str(text).map_err(|error| said(text, &error))?;
        let trees = match all.as_object_mut().and_then(|all| all.remove("trees")) {
            None => BTreeMap::new(),
            Some(Value::Object(trees)) => trees.into_iter().collect(),
            Some(_) => {
                return Err(
                    "trees is to be a table with a table for each tree: [trees.NAME.limits]".to_owned()
                );
            }
        };
        let policy = Policy { all, trees };
        policy.check().map_err(|why| located(text, &why).unwrap_or(why))?;
        Ok(policy)
    }

    fn check(&self) -> Result<(), String> {
        self.of("", None)?;
        for tree in self.trees.keys() {
            self.of(tree, None).map_err(|why| format!("trees.{}: {why}", tree.escape_debug()))?;
        }
        Ok(())
    }

    /// What is wanted of a tree. `said`: the JSON in Redis, if there is any.
    pub fn of(&self, tree: &str, said: Option<&str>) -> Result<Settings, String> {
        let mut whole = self.all.clone();
        if let Some(own) = self.trees.get(tree) {
            lay_over(&mut whole, own);
        }
        if let Some(said) = said {
            let said = serde_json::from_str(said).map_err(|error| format!("it is no JSON: {error}"))?;
            are_tables(&said)?;
            lay_over(&mut whole, &said);
        }
        if whole.is_null() {
            whole = Value::Object(serde_json::Map::new());
        }
        are_tables(&whole)?;
        let settings = serde_json::from_value(crate::whole::whole(whole));
        // It may quote what was said, and is one line all the same.
        let settings: Settings = settings.map_err(|error| error.to_string().escape_debug().to_string())?;
        settings.check()?;
        Ok(settings)
    }
}

/// The file as a whole, to find where in it something is wrong that its values do not know the place of.
#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
struct Whole {
    thresholds: Thresholds,
    limits: Limits,
    pace: Pace,
    template: Template,
    manual: bool,
    dry_run: bool,
    trees: BTreeMap<String, Settings>,
}

/// This fault with its line, if whoever knows the places finds the same.
fn located(text: &str, why: &str) -> Option<String> {
    let error = toml::from_str::<Whole>(text).err()?;
    let fault = error.message().split(", expected").next()?;
    why.contains(fault).then(|| said(text, &error))
}

fn said(text: &str, error: &toml::de::Error) -> String {
    let line = error.span().map_or(0, |span| text[..span.start].matches('\n').count() + 1);
    format!("line {line}: {}", error.message().escape_debug())
}

/// What is no table where one belongs is refused: it would take the place of everything that was said below it, and a list is as good as
/// a table to whoever reads settings.
fn are_tables(said: &Value) -> Result<(), String> {
    let Value::Object(fields) = said else {
        return Err(format!("it is to be an object, such as {{\"manual\":true}}, and is {}", kind(said)));
    };
    let odd = ["thresholds", "limits", "pace", "template"].into_iter().find_map(|name| {
        let value = fields.get(name).filter(|value| !value.is_object())?;
        Some(format!("{name} is to be a table, and is {}", kind(value)))
    });
    odd.map_or(Ok(()), Err)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}

/// Tables are merged, all else is replaced.
fn lay_over(below: &mut Value, above: &Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (name, value) in above {
                lay_over(below.entry(name).or_insert(Value::Null), value);
            }
        }
        (below, above) => *below = above.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_may_be_written_as_others() {
        let settings = Policy::read("[limits]\nbaseline = 2.0").unwrap().of("a", None).unwrap();
        assert_eq!(settings.limits.baseline, 2);
        assert!(Policy::read("[limits]\nbaseline = 2.5").is_err());
    }

    #[test]
    fn redis_wins_over_the_tree_and_the_tree_over_all_trees() {
        let text = "
            dry-run = true
            [limits]
            baseline = 2
            maximum = 20
            [trees.a.limits]
            maximum = 30
            [trees.a.template]
            zones = ['x']";
        let policy = Policy::read(text).unwrap();
        let limits = |tree: &str, said: Option<&str>| {
            let Settings { limits, dry_run, .. } = policy.of(tree, said).unwrap();
            (limits.baseline, limits.maximum, dry_run)
        };
        assert_eq!(limits("b", None), (2, 20, true));
        assert_eq!(limits("a", None), (2, 30, true));
        assert_eq!(limits("a", Some(r#"{"limits":{"maximum":40},"dry-run":false}"#)), (2, 40, false));
        assert_eq!(policy.of("a", None).unwrap().template.zones, ["x"]);
        assert_eq!(Policy::default().of("a", None).unwrap(), Settings::default());
        assert_eq!(Policy::read("").unwrap().of("a", None).unwrap(), Settings::default());
    }

    #[test]
    fn what_is_no_table_does_not_take_the_place_of_one() {
        let policy = Policy::read("manual = true\n[limits]\nmaximum = 20").unwrap();
        for said in
            ["null", "[]", "7", r#""x""#, r#"{"limits":null}"#, r#"{"limits":[]}"#, r#"{"limits":[1,90]}"#]
        {
            let settings = policy.of("a", Some(said));
            assert!(settings.as_ref().is_err_and(|why| why.contains("is to be")), "{said}: {settings:?}");
        }
        assert!(policy.of("a", Some("{}")).unwrap().manual);
        assert!(Policy::read("limits = [1, 90]").is_err());
        assert!(Policy::read("[trees]\na = 3").is_err());
    }

    #[test]
    fn what_is_wrong_is_said_in_one_line() {
        for (text, said) in [
            ("[limits", "line 1:"),
            ("[limits]\nbaseline = 9\nmaximum = 3", "limits.baseline is 9"),
            ("[limits]\nmost = 3", "line 2: unknown field `most`"),
            ("manual = true\n\n[limit]\nmaximum = 3", "line 3: unknown field `limit`"),
            (
                "[limits]\nbaseline = 2\n[trees.a.limits]\nmaximum = 9\nmost = 3",
                "line 5: unknown field `most`",
            ),
            ("[limits]\nbaseline = 2.0\nmaximum = 'many'", "invalid type: string"),
            ("trees = 3", "trees is to be a table"),
            ("[trees.a.limits]\nbaseline = 900", "trees.a: limits.baseline is 900"),
        ] {
            let why = Policy::read(text).unwrap_err();
            assert!(why.contains(said) && !why.contains('\n'), "{text}: {why}");
        }
        let policy = Policy::default();
        assert!(policy.of("a", Some("{")).unwrap_err().starts_with("it is no JSON"));
        assert!(policy.of("a", Some(r#"{"limits":{"maximum":0}}"#)).is_err());
        for said in [r#"{"a\nb":1}"#, r#"{"template":{"zones":["a\nb"]}}"#, r#"{"limits":{"a\u0007":1}}"#] {
            let why = policy.of("a", Some(said)).unwrap_err();
            assert!(!why.contains(char::is_control), "{why:?}");
        }
    }
}
