//! Profiles of H264 (RFC 6184 section 8.1). Viewers are told constrained baseline, which every browser decodes: what is
//! said to be more than that is refused, because some would see nothing, and nobody would know why.

/// What the tree's H264 is said to be, and what Janus is told, which knows a profile by all of its six digits only.
pub const CARRIED: &str = "42e01f";

/// Whether a decoder of constrained baseline decodes it. An error names the profile. `None`: nothing is said, which is
/// baseline (section 8.1).
pub fn check(profile_level_id: Option<&str>) -> Result<(), String> {
    let Some(text) = profile_level_id else { return Ok(()) };
    let Some([profile, constraints, _level]) = bytes(text) else {
        return Err(format!(
            "of a profile that cannot be read ({})",
            text.escape_debug().take(12).collect::<String>()
        ));
    };
    let set = |bit: u8| constraints & (0x80 >> bit) != 0;
    // Table 5: which bits say that a stream keeps to constrained baseline. Baseline itself has more only in tools that no
    // encoder uses (slice groups, arbitrary slice order).
    let is_carried = match profile {
        66 => true,
        77 => set(0),
        88 => set(0) && set(1),
        _ => false,
    };
    match is_carried {
        true => Ok(()),
        false => Err(format!("of the {} profile ({text})", name(profile, constraints))),
    }
}

/// How much it is like what the tree's is said to be: less is more.
pub fn distance(profile_level_id: Option<&str>, packetization_mode: Option<&str>) -> u8 {
    // Mode 0 has one packet for each slice, which can be larger than a network takes.
    let mode = if packetization_mode == Some("1") { 0 } else { 2 };
    let constrained =
        profile_level_id.and_then(bytes).is_some_and(|[_, constraints, _]| constraints & 0x40 != 0);
    mode + u8::from(!constrained)
}

fn bytes(text: &str) -> Option<[u8; 3]> {
    let whole = text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = whole.then(|| u32::from_str_radix(text, 16).ok())??;
    let [_, bytes @ ..] = number.to_be_bytes();
    Some(bytes)
}

fn name(profile: u8, constraints: u8) -> &'static str {
    match profile {
        77 => "Main",
        88 => "Extended",
        100 if constraints & 0x0c == 0x0c => "Constrained High",
        100 => "High",
        110 => "High 10",
        122 => "High 4:2:2",
        244 => "High 4:4:4",
        _ => "same",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_browser_decodes_is_taken() {
        // Level and case do not matter, nor by which bits it is said.
        for good in ["42e01f", "42E01F", "42e034", "42c00d", "42001f", "420029", "4d801f", "58c01e"] {
            assert_eq!(check(Some(good)), Ok(()), "{good}");
        }
        assert_eq!(check(None), Ok(()));
        let table = [
            ("4d001f", "Main"),
            ("4D401F", "Main"),
            ("64001f", "High profile (64001f)"),
            ("640c1f", "Constrained High"),
            ("580020", "Extended"),
            ("f4001f", "High 4:4:4"),
            ("42e01", "cannot be read"),
            ("+2e01f", "cannot be read"),
            ("", "cannot be read"),
        ];
        for (bad, words) in table {
            let why = check(Some(bad)).unwrap_err();
            assert!(why.contains(words), "{bad}: {why}");
        }
    }

    #[test]
    fn constrained_baseline_in_fragments_is_liked_best() {
        let order = [
            (Some("42e01f"), Some("1")),
            (Some("42001f"), Some("1")),
            (Some("42e01f"), None),
            (None, Some("0")),
        ];
        assert!(order.is_sorted_by_key(|(profile, mode)| distance(*profile, *mode)));
    }
}
