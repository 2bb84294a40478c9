//! What joins log lines of several nodes and of what is around them: the trace that a request says it belongs to (W3C Trace Context).
//! Nothing follows from it but what is logged.

use std::fmt;

use axum::http::HeaderMap;

/// The header (section 3.2).
const HEADER: &str = "traceparent";

/// `trace-id` of a request: sixteen bytes of the client's choice, in the log as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId(u128);

impl TraceId {
    /// That of a request, if it says one as it should: `00-TRACE-PARENT-FLAGS`, and perhaps more in later versions.
    pub fn of(headers: &HeaderMap) -> Option<TraceId> {
        let mut values = headers.get_all(HEADER).iter();
        let (value, None) = (values.next()?.to_str().ok()?, values.next()) else { return None };
        let mut parts = value.split('-');
        let version = hex(parts.next()?, 2)?;
        let trace = hex(parts.next()?, 32)?;
        let parent = hex(parts.next()?, 16)?;
        hex(parts.next()?, 2)?;
        let is_whole = version != 0 || parts.next().is_none();
        (version != 0xff && trace != 0 && parent != 0 && is_whole).then_some(TraceId(trace))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Lower case, and exactly so many digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_hex.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn of(values: &[&str]) -> Option<String> {
        let pair = |value: &&str| {
            (HeaderName::from_static(HEADER), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        };
        TraceId::of(&values.iter().map(pair).collect()).map(|trace| trace.to_string())
    }

    #[test]
    fn a_trace_is_taken_as_the_standard_has_it_and_nothing_else_is() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let value = format!("00-{trace}-00f067aa0ba902b7-01");
        assert_eq!(of(&[&value]).as_deref(), Some(trace));
        assert_eq!(of(&[&format!("cc{}-what-the-future-will-be-like", &value[2..])]).as_deref(), Some(trace));
        for bad in [
            "",
            &value.to_ascii_uppercase(),
            &value[..54],
            &format!("{value}-more"),
            &format!("ff{}", &value[2..]),
            &value.replace(trace, &"0".repeat(32)),
            &value.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &value.replace(trace, "+bf92f3577b34da6a3ce929d0e0e4736"),
            &"0".repeat(100_000),
        ] {
            assert_eq!(of(&[bad]), None, "{bad}");
        }
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[&value, &value]), None, "which?");
    }
}
