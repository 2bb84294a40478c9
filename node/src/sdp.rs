//! What a session description must be before a parser sees it. Without I/O.

use crate::http::wish::MOST_CANDIDATES;

/// Most media in a description. Publishers and viewers have two; Janus makes something of each.
const MOST_MEDIA: usize = 32;

/// Every line is `x=…` (RFC 8866 section 5), and there are not more media and candidates than clients have. `sdp_types` 0.1
/// panics at a line behind the first `m=` that is not. An error says what is wrong.
pub fn check_lines(text: &[u8]) -> Result<(), String> {
    let (mut media, mut candidates) = (0, 0);
    let lines = text
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r\n").or_else(|| line.strip_suffix(b"\n")).unwrap_or(line));
    for line in lines.filter(|line| !line.is_empty()) {
        // A carriage return by itself would end a line for some, and not for others.
        if line.iter().position(|byte| *byte == b'=') != Some(1) || line.contains(&b'\r') {
            let line = String::from_utf8_lossy(line);
            return Err(format!("'{}' is no line of one", line.escape_debug().take(40).collect::<String>()));
        }
        if line.starts_with(b"m=") {
            (media, candidates) = (media + 1, 0);
        }
        candidates += usize::from(line.starts_with(b"a=candidate:"));
        if media > MOST_MEDIA {
            return Err(format!("it has more than {MOST_MEDIA} media"));
        }
        if candidates > MOST_CANDIDATES {
            return Err(format!(
                "a medium has more than {MOST_CANDIDATES} candidates; send those that are of use"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_lines;

    #[test]
    fn lines_have_a_letter_and_a_value() {
        for text in ["", "v=0\r\ns=-\r\n", "v=0\n\nm=audio 9 RTP/AVP 0\na=", "v=0\r\na=x=y"] {
            assert_eq!(check_lines(text.as_bytes()), Ok(()), "{text:?}");
        }
        for text in [
            "v",
            "v=0\r\nmid:0\r\n",
            "v=0\r\n=\r\n",
            "v=0\rs=two",
            "v=0\r\ns=-\r",
            "v=0\n==1\n",
            "v=0\n \n",
            "v=0\nab=c",
        ] {
            assert!(check_lines(text.as_bytes()).unwrap_err().contains("no line"), "{text:?}");
        }
        assert!(check_lines(b"\xff\xff").is_err());
    }

    #[test]
    fn nobody_has_thousands_of_media_or_candidates() {
        let of = |media: usize, candidates: usize| {
            let one = format!(
                "m=audio 9 X 0\r\n{}",
                "a=candidate:1 1 udp 1 10.0.0.1 9 typ host\r\n".repeat(candidates)
            );
            check_lines(one.repeat(media).as_bytes())
        };
        assert_eq!(of(32, 64), Ok(()));
        assert!(of(33, 0).is_err_and(|why| why.contains("32 media")));
        assert!(of(1, 65).is_err_and(|why| why.contains("64 candidates")));
    }
}
