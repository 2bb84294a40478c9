//! Whole numbers that were written as others: `2.0` for 2. Programs that make TOML of YAML, Helm among them, know no other numbers.

use serde_json::Value;

/// Numbers below 2^53 without a fraction become whole ones; a setting that may have a fraction takes these, too.
pub fn whole(value: Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float)
                if number.is_f64() && float.fract() == 0.0 && float.abs() < 9_007_199_254_740_992.0 =>
            {
                Value::from(float as i64)
            }
            _ => Value::Number(number),
        },
        Value::Array(list) => Value::Array(list.into_iter().map(whole).collect()),
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(name, value)| (name, whole(value))).collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_without_a_fraction_are_whole() {
        let given = json!({"a": 2.0, "b": [2.5, -3.0, 7, "2.0"], "c": {"d": 1e300}, "e": u64::MAX});
        let wanted = json!({"a": 2, "b": [2.5, -3, 7, "2.0"], "c": {"d": 1e300}, "e": u64::MAX});
        assert_eq!(whole(given), wanted);
    }
}
