//! What a session description must be before a parser sees it. Without I/O.

use crate::http::wish::MOST_CANDIDATES;

/// Most media in a description. Publishers and viewers have two; Janus makes something of each.
const MOST_MEDIA: usize = 32;
/// Most lines; browsers send some two hundred. For each format of a medium readers look through all of them.
const MOST_LINES: usize = 4096;
/// Bytes of a line that begins a medium and names its formats: more than all 96 dynamic payload types.
const LONGEST_MEDIUM: usize = 512;

/// Every line is `x=…` (RFC 8866 section 5), and there are not more media, formats and candidates than clients have. `sdp_types` 0.1
/// panics at a line behind the first `m=` that is not. An error says what is wrong.
pub fn check_lines(text: &[u8]) -> Result<(), String> {
    let (mut media, mut candidates) = (0, 0);
    let lines = text
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r\n").or_else(|| line.strip_suffix(b"\n")).unwrap_or(line));
    for (at, line) in lines.filter(|line| !line.is_empty()).enumerate() {
        if at >= MOST_LINES {
            return Err(format!("it has more than {MOST_LINES} lines"));
        }
        // A carriage return by itself would end a line for some, and not for others; a zero is what Janus stumbles over.
        let odd = line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t');
        if line.iter().position(|byte| *byte == b'=') != Some(1) || odd {
            let line = String::from_utf8_lossy(line);
            return Err(format!("'{}' is no line of one", line.escape_debug().take(40).collect::<String>()));
        }
        if line.starts_with(b"m=") {
            (media, candidates) = (media + 1, 0);
            if line.len() > LONGEST_MEDIUM {
                return Err("a medium has more formats than there are payload types".to_owned());
            }
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
            "v=0\ns=a\0b",
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

    /// Readers look through all lines for each format: 64 KiB of either would hold up everybody else.
    #[test]
    fn nobody_has_thousands_of_formats_or_lines() {
        let formats = |number: usize| check_lines(format!("m=video 9 X{}", " 96".repeat(number)).as_bytes());
        assert_eq!(formats(128), Ok(()));
        assert!(formats(200).is_err_and(|why| why.contains("formats")));
        let lines = |number: usize| check_lines("a=x\n".repeat(number).as_bytes());
        assert_eq!(lines(4096), Ok(()));
        assert!(lines(4097).is_err_and(|why| why.contains("4096 lines")));
    }
}
