//! The PROXY protocol (HAProxy's `proxy-protocol.txt`), versions 1 and 2: a header before the first byte of a connection, by
//! which a proxy says for whom it connects. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Section 2.2: what version 2 begins with.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Section 2.1: no line is longer, with its end.
const LONGEST_LINE: usize = 107;
/// Signature, command, family and length.
const FIXED: usize = 16;
/// Of what may follow the addresses (certificates' names, say) a proxy sends some hundred bytes.
const LONGEST: usize = 4096;

/// What has come so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// Not all of it.
    Incomplete,
    /// So many bytes, and for whom the proxy connects; `None`: for itself, or it does not know.
    Whole {
        /// Bytes of the header.
        length: usize,
        /// Where the connection came from.
        source: Option<SocketAddr>,
    },
    /// None, and why not.
    Bad(&'static str),
}

/// Reads a header at the beginning of these bytes.
pub fn read(bytes: &[u8]) -> Header {
    let common = bytes.len().min(SIGNATURE.len());
    if bytes[..common] == SIGNATURE[..common] {
        return if bytes.len() < FIXED { Header::Incomplete } else { version_2(bytes) };
    }
    let begin = b"PROXY ";
    let common = bytes.len().min(begin.len());
    if bytes[..common] != begin[..common] {
        return Header::Bad("it begins with no PROXY protocol header");
    }
    let line = &bytes[..bytes.len().min(LONGEST_LINE)];
    match line.windows(2).position(|two| two == b"\r\n") {
        Some(end) => version_1(&bytes[..end]),
        None if bytes.len() < LONGEST_LINE => Header::Incomplete,
        None => Header::Bad("the line is too long"),
    }
}

/// `PROXY TCP4 192.0.2.1 10.0.0.1 56324 443`.
fn version_1(line: &[u8]) -> Header {
    let length = line.len() + 2;
    let Ok(text) = std::str::from_utf8(line) else { return Header::Bad("the line is no text") };
    let words: Vec<&str> = text.split(' ').collect();
    let source = match words[..] {
        ["PROXY", "UNKNOWN", ..] => return Header::Whole { length, source: None },
        ["PROXY", "TCP4", source, destination, from, to] => {
            let addresses = source.parse::<Ipv4Addr>().ok().zip(destination.parse::<Ipv4Addr>().ok());
            addresses.zip(ports(from, to)).map(|((source, _), port)| SocketAddr::from((source, port)))
        }
        ["PROXY", "TCP6", source, destination, from, to] => {
            let addresses = source.parse::<Ipv6Addr>().ok().zip(destination.parse::<Ipv6Addr>().ok());
            addresses.zip(ports(from, to)).map(|((source, _), port)| SocketAddr::from((source, port)))
        }
        _ => None,
    };
    match source {
        Some(source) => Header::Whole { length, source: Some(source) },
        None => Header::Bad("the line is not as version 1 has it"),
    }
}

fn ports(from: &str, to: &str) -> Option<u16> {
    from.parse().ok().filter(|_| to.parse::<u16>().is_ok())
}

fn version_2(bytes: &[u8]) -> Header {
    let (version, command, family) = (bytes[12] >> 4, bytes[12] & 0xf, bytes[13]);
    let rest = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    let length = FIXED + rest;
    if version != 2 {
        return Header::Bad("a version that is neither 1 nor 2");
    }
    if length > LONGEST {
        return Header::Bad("the header is too long");
    }
    let Some(addresses) = bytes.get(FIXED..length) else { return Header::Incomplete };
    let at = |from: usize| u16::from_be_bytes([addresses[from], addresses[from + 1]]);
    let source: Option<(IpAddr, u16)> = match (command, family) {
        // The proxy itself: it looks whether we are there.
        (0, _) => None,
        (1, 0x11) if rest >= 12 => {
            let four = addresses.first_chunk::<4>().copied().unwrap_or_default();
            Some((Ipv4Addr::from(four).into(), at(8)))
        }
        (1, 0x21) if rest >= 36 => {
            let sixteen = addresses.first_chunk::<16>().copied().unwrap_or_default();
            Some((Ipv6Addr::from(sixteen).into(), at(32)))
        }
        (1, 0x11 | 0x21) => return Header::Bad("the addresses are cut short"),
        // Sockets of the machine, or unspecified.
        (1, _) => None,
        _ => return Header::Bad("a command that is neither LOCAL nor PROXY"),
    };
    Header::Whole { length, source: source.map(SocketAddr::from) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(bytes: &[u8]) -> Result<(usize, Option<String>), &'static str> {
        match read(bytes) {
            Header::Whole { length, source } => Ok((length, source.map(|source| source.to_string()))),
            Header::Incomplete => Err("incomplete"),
            Header::Bad(why) => Err(why),
        }
    }

    fn second(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = [SIGNATURE, &[command, family]].concat();
        bytes.extend((rest.len() as u16).to_be_bytes());
        bytes.extend(rest);
        bytes
    }

    #[test]
    fn both_versions_are_read() {
        let line = b"PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\n";
        assert_eq!(
            whole(&[line, &b"GET /"[..]].concat()),
            Ok((line.len(), Some("192.0.2.1:56324".to_owned())))
        );
        assert_eq!(whole(b"PROXY TCP6 2001:db8::1 fd00::1 1 2\r\n").unwrap().1.unwrap(), "[2001:db8::1]:1");
        assert_eq!(whole(b"PROXY UNKNOWN\r\n"), Ok((15, None)));
        assert_eq!(whole(b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n").unwrap().1, None);
        let v4 = [192, 0, 2, 1, 10, 0, 0, 1, 0xdc, 4, 1, 187];
        assert_eq!(whole(&second(0x21, 0x11, &v4)), Ok((28, Some("192.0.2.1:56324".to_owned()))));
        // What comes after the addresses is passed over.
        assert_eq!(whole(&second(0x21, 0x11, &[&v4[..], &[3, 0, 4, 1, 2, 3, 4]].concat())).unwrap().0, 35);
        let mut v6 = [0; 36];
        v6[..2].copy_from_slice(&[0x20, 1]);
        v6[15] = 7;
        v6[33] = 80;
        assert_eq!(whole(&second(0x21, 0x21, &v6)).unwrap().1.unwrap(), "[2001::7]:80");
        assert_eq!(whole(&second(0x20, 0, &[])), Ok((16, None)), "LOCAL");
        assert_eq!(whole(&second(0x21, 0x31, &[0; 216])), Ok((232, None)), "a socket of the machine");
    }

    #[test]
    fn every_beginning_of_a_header_is_incomplete() {
        for header in [b"PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\n".to_vec(), second(0x21, 0x11, &[1; 12])]
        {
            for length in 0..header.len() {
                assert_eq!(read(&header[..length]), Header::Incomplete, "{:?}", &header[..length]);
            }
            assert!(matches!(read(&header), Header::Whole { .. }));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let long = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 200]].concat();
        for bytes in [
            b"GET / HTTP/1.1\r\n".to_vec(),
            b"PRI * HTTP/2.0\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 10.0.0.1 56324\r\n".to_vec(),
            b"PROXY TCP4 2001:db8::1 10.0.0.1 1 2\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 10.0.0.1 1 66000\r\n".to_vec(),
            b"PROXY  TCP4 192.0.2.1 10.0.0.1 1 2\r\n".to_vec(),
            b"PROXY UDP4 192.0.2.1 10.0.0.1 1 2\r\n".to_vec(),
            b"PROXY \xff\r\n".to_vec(),
            long,
            second(0x11, 0x11, &[0; 12]),
            second(0x22, 0x11, &[0; 12]),
            second(0x21, 0x11, &[0; 11]),
            second(0x21, 0x21, &[0; 35]),
            [SIGNATURE, &[0x21, 0x11, 0xff, 0xff]].concat(),
        ] {
            assert!(matches!(read(&bytes), Header::Bad(_)), "{:?}", String::from_utf8_lossy(&bytes));
        }
    }
}
