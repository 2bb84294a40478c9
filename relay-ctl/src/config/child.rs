//! Where media goes and where it comes in, as it is written: `NAME=HOST:AUDIO:VIDEO` and `[ADDRESS:]AUDIO:VIDEO`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use relay_common::layout::{HOST, NAME};

use super::{ConfigError, bad};
use crate::view::NewChild;

/// A child as it is configured: `NAME=HOST:AUDIO:VIDEO`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildSpec {
    /// Unique name.
    pub name: String,
    /// Host name or address.
    pub host: String,
    /// RTP ports: audio, video.
    pub ports: [u16; 2],
}

impl ChildSpec {
    /// Checks the parts.
    pub fn new(name: &str, host: &str, ports: [u16; 2]) -> Result<ChildSpec, ConfigError> {
        let printable =
            |text: &str| !text.is_empty() && text.chars().all(|c| !c.is_whitespace() && !c.is_control());
        if !printable(name) || name.len() >= NAME || name.contains('=') {
            return bad(format!(
                "child name '{name}' must be 1 to {} characters without blanks or '='",
                NAME - 1
            ));
        }
        if !printable(host) || host.len() >= HOST {
            return bad(format!("child {name} has no usable host; write NAME=HOST:AUDIO:VIDEO"));
        }
        check_ports(ports).map_err(|why| ConfigError(format!("child {name}: {why}")))?;
        Ok(ChildSpec { name: name.to_owned(), host: host.to_owned(), ports })
    }
}

impl FromStr for ChildSpec {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<ChildSpec, ConfigError> {
        let form =
            "write NAME=HOST:AUDIO:VIDEO, for instance egress-1=10.0.0.7:5002:5004 or e6=[fd00::7]:5002:5004";
        let Some((name, rest)) = text.split_once('=') else { return bad(format!("child '{text}': {form}")) };
        let mut parts = rest.rsplitn(3, ':');
        let (Some(video), Some(audio), Some(host)) = (parts.next(), parts.next(), parts.next()) else {
            return bad(format!("child {name} has no address or ports: {form}"));
        };
        let host = match host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
            Some(inner) => inner,
            None if host.contains(':') => {
                return bad(format!("child {name}: put IPv6 addresses in brackets; {form}"));
            }
            None => host,
        };
        if host.is_empty() {
            return bad(format!("child {name} has no address: {form}"));
        }
        let port = |text| port(text).map_err(|why| ConfigError(format!("child {name}: {why}")));
        ChildSpec::new(name, host, [port(audio)?, port(video)?])
    }
}

impl TryFrom<NewChild> for ChildSpec {
    type Error = ConfigError;

    fn try_from(child: NewChild) -> Result<ChildSpec, ConfigError> {
        ChildSpec::new(&child.name, &child.host, [child.audio_port, child.video_port])
    }
}

impl fmt::Display for ChildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [audio, video] = self.ports;
        match self.host.contains(':') {
            true => write!(f, "{}=[{}]:{audio}:{video}", self.name, self.host),
            false => write!(f, "{}={}:{audio}:{video}", self.name, self.host),
        }
    }
}

/// Where media comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// One address, or all of the interface's.
    pub address: Option<IpAddr>,
    /// RTP ports: audio, video.
    pub ports: [u16; 2],
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Listen, String> {
        let form = "write [ADDRESS:]AUDIO:VIDEO, for instance 5002:5004 or 10.0.0.5:5002:5004";
        let mut parts = text.rsplitn(3, ':');
        let (Some(video), Some(audio)) = (parts.next(), parts.next()) else {
            return Err(form.to_owned());
        };
        let address = match parts.next() {
            None | Some("" | "*") => None,
            Some(address) => {
                let bare = address.trim_start_matches('[').trim_end_matches(']');
                Some(bare.parse().map_err(|_| form.to_owned())?)
            }
        };
        let ports = [port(audio)?, port(video)?];
        check_ports(ports)?;
        Ok(Listen { address, ports })
    }
}

fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("port '{text}' is not a number from 1 to 65534"))
}

/// RTCP goes to the port after each RTP port (RFC 3550 section 11), so four ports must differ.
fn check_ports([audio, video]: [u16; 2]) -> Result<(), String> {
    if audio == 0 || video == 0 {
        return Err("port 0 is not a port; choose ports from 1 to 65534".to_owned());
    }
    if audio == u16::MAX || video == u16::MAX {
        return Err("port 65535 leaves no port for RTCP; choose ports from 1 to 65534".to_owned());
    }
    if audio == video {
        return Err(format!("audio and video have the same port {audio}; give them different ones"));
    }
    if audio + 1 == video || video + 1 == audio {
        return Err(format!(
            "port {} would be both RTP and RTCP (RTP port + 1); leave a port between {audio} and {video}",
            audio.max(video)
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn child(text: &str) -> Result<ChildSpec, String> {
        text.parse().map_err(|error: ConfigError| error.0)
    }

    #[test]
    fn children_are_written_name_host_audio_video() {
        let table = [
            ("egress-1=10.0.0.7:5002:5004", "egress-1", "10.0.0.7", [5002, 5004]),
            ("a=egress.example:6000:6002", "a", "egress.example", [6000, 6002]),
            ("six=[fd00::7]:5002:5004", "six", "fd00::7", [5002, 5004]),
        ];
        for (text, name, host, ports) in table {
            let parsed = child(text).unwrap();
            assert_eq!((parsed.name.as_str(), parsed.host.as_str(), parsed.ports), (name, host, ports));
            assert_eq!(parsed.to_string(), text);
        }
    }

    #[test]
    fn a_bad_child_is_refused_in_one_line_that_names_it() {
        let table = [
            ("egress-1", "NAME=HOST"),
            ("egress-1=", "no address"),
            ("egress-1=:5002:5004", "no address"),
            ("egress-1=10.0.0.7:5002", "no address or ports"),
            ("egress-1=10.0.0.7:0:5004", "port 0"),
            ("egress-1=10.0.0.7:5002:5002", "same port"),
            ("egress-1=10.0.0.7:5002:5003", "RTP and RTCP"),
            ("egress-1=10.0.0.7:5002:65535", "65535"),
            ("egress-1=10.0.0.7:5002:70000", "70000"),
            ("egress-1=fd00::7:5002:5004", "brackets"),
            ("=10.0.0.7:5002:5004", "child name"),
        ];
        for (text, wanted) in table {
            let error = child(text).unwrap_err();
            assert!(error.contains(wanted), "{text}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
