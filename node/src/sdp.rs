//! What a session description must be before a parser sees it. Without I/O.

/// Every line is `x=…` (RFC 8866 section 5). `sdp_types` 0.1 panics at a line behind the first `m=` that is not. An error
/// says which is wrong.
pub fn check_lines(text: &[u8]) -> Result<(), String> {
    let lines = text
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r\n").or_else(|| line.strip_suffix(b"\n")).unwrap_or(line));
    for line in lines.filter(|line| !line.is_empty()) {
        // A carriage return by itself would end a line for some, and not for others.
        if line.iter().position(|byte| *byte == b'=') != Some(1) || line.contains(&b'\r') {
            let line = String::from_utf8_lossy(line);
            return Err(format!("'{}' is no line of one", line.escape_debug().take(40).collect::<String>()));
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
}
