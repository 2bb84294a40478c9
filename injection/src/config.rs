//! What an injection is configured with: flags and environment, checked before anything is bound.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::path::{Path, PathBuf};

use node::config::{ConfigError, NodeConfig, NodeFile, NodeFlags};
use node::secret::Secret;

/// Port of the HTTP API.
pub const DEFAULT_API_PORT: u16 = 7070;
/// Name unless told otherwise.
pub const DEFAULT_ID: &str = "injection-1";
/// RTP ports: audio, video.
pub const DEFAULT_PORTS: [u16; 2] = [5002, 5004];
/// Janus, where it usually is.
const DEFAULT_JANUS: &str = "ws://127.0.0.1:8188";
/// Where publishers publish.
const DEFAULT_WHIP: &str = "/whip";

/// The flags of an injection, as they were given.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Flags {
    /// Those that every node has.
    #[command(flatten)]
    pub node: NodeFlags,
    /// WebSocket of the Janus with the VideoRoom plugin [default: ws://127.0.0.1:8188] [env: JANUS_VIDEOROOM_WS_URL]
    #[arg(long, value_name = "URL")]
    pub janus: Option<String>,
    /// File with Janus' API secret [env: JANUS_VIDEOROOM_API_SECRET_FILE, or the secret itself:
    /// JANUS_VIDEOROOM_API_SECRET]
    #[arg(long, value_name = "FILE")]
    pub janus_api_secret_file: Option<PathBuf>,
    /// File with the secret that rooms are made with [env: JANUS_VIDEOROOM_ROOM_SECRET_FILE, or the secret itself:
    /// JANUS_VIDEOROOM_ROOM_SECRET]
    #[arg(long, value_name = "FILE")]
    pub janus_room_secret_file: Option<PathBuf>,
    /// File with the VideoRoom plugin's admin key [default: the room secret] [env: JANUS_VIDEOROOM_ADMIN_KEY_FILE, or
    /// the key itself: JANUS_VIDEOROOM_ADMIN_KEY]
    #[arg(long, value_name = "FILE")]
    pub janus_admin_key_file: Option<PathBuf>,
    /// Our address as Janus reaches it, if not the one that we reach Janus from [env: JANUS_MEDIA_ADDRESS]
    #[arg(long, value_name = "ADDRESS")]
    pub janus_media_address: Option<String>,
    /// Where publishers publish: PATH/endpoint/SESSION [default: /whip] [env: WHIP_BASE_PATH]
    #[arg(long, value_name = "PATH")]
    pub whip_base_path: Option<String>,
    /// File with the bearer token that publishers need [env: WHIP_TOKEN_FILE, or the token itself: WHIP_TOKEN]
    #[arg(long, value_name = "FILE")]
    pub whip_token_file: Option<PathBuf>,
    /// Port, or ADDRESS:PORT, for encoders that speak RTMP and no WHIP, as a rule 1935; off unless given
    /// [env: RTMP_LISTEN]
    #[arg(long, value_name = "[ADDRESS:]PORT")]
    pub rtmp: Option<String>,
    /// RTP port that audio is sent from; RTCP is the port after [default: 5002] [env: RTP_AUDIO_PORT]
    #[arg(long, value_name = "PORT")]
    pub rtp_audio_port: Option<String>,
    /// RTP port that video is sent from; RTCP is the port after [default: 5004] [env: RTP_VIDEO_PORT]
    #[arg(long, value_name = "PORT")]
    pub rtp_video_port: Option<String>,
    /// Address of the HTTP API, WHIP included [default: 127.0.0.1:7070, with a token 0.0.0.0:7070; API_PORT changes the
    /// port] [env: INJECTION_API]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub api: Option<String>,
    /// Log level or filter: off, error, warn, info, debug, trace [default: info] [env: INJECTION_LOG]
    #[arg(long)]
    pub log: Option<String>,
}

/// Which Janus.
#[derive(Clone, Debug)]
pub struct JanusConfig {
    /// Its WebSocket.
    pub url: String,
    /// The URL's host.
    pub host: String,
    /// The URL's port.
    pub port: u16,
    /// `api_secret`.
    pub api_secret: Option<Secret>,
    /// Every room's `secret`.
    pub room_secret: Option<Secret>,
    /// The plugin's `admin_key`.
    pub admin_key: Option<Secret>,
    /// Our address as Janus reaches it.
    pub media_address: Option<IpAddr>,
}

/// Checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// What every node has.
    pub node: NodeConfig,
    /// Janus.
    pub janus: JanusConfig,
    /// Begins with `/` and does not end with one.
    pub whip_path: String,
    /// What publishers must know.
    pub whip_token: Option<Secret>,
    /// Where RTMP is taken, if at all.
    pub rtmp: Option<SocketAddr>,
    /// RTP ports: audio, video.
    pub ports: [u16; 2],
    /// Where the HTTP API listens.
    pub api: SocketAddr,
    /// Log filter.
    pub log: String,
}

impl Deref for Config {
    type Target = NodeConfig;

    fn deref(&self) -> &NodeConfig {
        &self.node
    }
}

impl Config {
    /// Puts flags and environment together and checks the whole.
    pub fn new(flags: Flags, env: impl Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
        // Compose and unit files set variables to nothing rather than not at all.
        let env = |name: &str| env(name).filter(|value| !value.is_empty());
        let pick = |flag: Option<String>, name: &str, variable: &str| match flag {
            Some(value) => Some((name.to_owned(), value)),
            None => env(variable).map(|value| (variable.to_owned(), value)),
        };
        let mut node = NodeConfig::new(DEFAULT_ID, flags.node, env, NodeFile::default())?;
        let mut secret = |flag: &Option<PathBuf>, name: &str, variable: &str| {
            let (secret, warning) = secret(flag.as_deref(), name, variable, &env)?;
            node.warnings.extend(warning);
            Ok::<_, ConfigError>(secret)
        };
        let api_secret =
            secret(&flags.janus_api_secret_file, "--janus-api-secret-file", "JANUS_VIDEOROOM_API_SECRET")?;
        let room_secret =
            secret(&flags.janus_room_secret_file, "--janus-room-secret-file", "JANUS_VIDEOROOM_ROOM_SECRET")?;
        let admin_key =
            secret(&flags.janus_admin_key_file, "--janus-admin-key-file", "JANUS_VIDEOROOM_ADMIN_KEY")?;
        let whip_token = secret(&flags.whip_token_file, "--whip-token-file", "WHIP_TOKEN")?;

        let url = pick(flags.janus, "--janus", "JANUS_VIDEOROOM_WS_URL");
        let (name, url) = url.unwrap_or_else(|| ("--janus".to_owned(), DEFAULT_JANUS.to_owned()));
        let (host, port) = place(&url).map_err(|why| ConfigError(format!("{name} '{url}': {why}")))?;
        let media_address = checked(
            pick(flags.janus_media_address, "--janus-media-address", "JANUS_MEDIA_ADDRESS"),
            |text| text.parse().map_err(|_| "must be an address, for instance 10.0.0.5".to_owned()),
        )?;
        let path = pick(flags.whip_base_path, "--whip-base-path", "WHIP_BASE_PATH");
        let whip_path = checked(path, whip_path)?.unwrap_or_else(|| DEFAULT_WHIP.to_owned());
        let audio = checked(pick(flags.rtp_audio_port, "--rtp-audio-port", "RTP_AUDIO_PORT"), rtp_port)?;
        let video = checked(pick(flags.rtp_video_port, "--rtp-video-port", "RTP_VIDEO_PORT"), rtp_port)?;
        let ports = [audio.unwrap_or(DEFAULT_PORTS[0]), video.unwrap_or(DEFAULT_PORTS[1])];
        if ports[0].abs_diff(ports[1]) < 2 {
            let [audio, video] = ports;
            return Err(ConfigError(format!(
                "audio port {audio} and video port {video} are too close: the port after each is for RTCP"
            )));
        }
        let api = checked(pick(flags.api, "--api", "INJECTION_API"), |text| {
            text.parse().map_err(|_| "must be ADDRESS:PORT, for instance 0.0.0.0:7070".to_owned())
        })?;
        let api = node.api(api, None, DEFAULT_API_PORT);
        let rtmp = checked(pick(flags.rtmp, "--rtmp", "RTMP_LISTEN"), listen)?;
        for open in [Some(api), rtmp].into_iter().flatten() {
            if whip_token.is_none() && !open.ip().to_canonical().is_loopback() {
                node.warnings.push(format!(
                    "whoever reaches {open} can publish; set WHIP_TOKEN or --whip-token-file if that is not meant"
                ));
            }
        }
        Ok(Config {
            node,
            janus: JanusConfig { url, host, port, api_secret, room_secret, admin_key, media_address },
            whip_path,
            whip_token,
            rtmp,
            ports,
            api,
            log: pick(flags.log, "--log", "INJECTION_LOG").map_or_else(|| "info".to_owned(), |(_, log)| log),
        })
    }
}

fn checked<T>(
    given: Option<(String, String)>,
    check: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, ConfigError> {
    let Some((name, value)) = given else { return Ok(None) };
    let quoted = value.escape_debug();
    check(&value).map(Some).map_err(|why| ConfigError(format!("{name} '{quoted}': {why}")))
}

/// In a variable, or in a file that a flag or a variable names; and a warning when others can read the file.
fn secret(
    flag: Option<&Path>,
    name: &str,
    variable: &str,
    env: &impl Fn(&str) -> Option<String>,
) -> Result<(Option<Secret>, Option<String>), ConfigError> {
    let file_variable = format!("{variable}_FILE");
    if let Some(path) = flag {
        return Secret::read(name, path).map(|(secret, warning)| (Some(secret), warning));
    }
    match (env(variable), env(&file_variable)) {
        (Some(_), Some(_)) => {
            Err(ConfigError(format!("{variable} and {file_variable} are both set; one of them is enough")))
        }
        (Some(secret), None) => Ok((Some(Secret::new(secret)), None)),
        (None, Some(path)) => {
            Secret::read(&file_variable, Path::new(&path)).map(|(secret, warning)| (Some(secret), warning))
        }
        (None, None) => Ok((None, None)),
    }
}

/// Host and port of `ws://HOST[:PORT][/PATH]`.
fn place(url: &str) -> Result<(String, u16), String> {
    let form = "must be ws://HOST:PORT, for instance ws://127.0.0.1:8188";
    let rest = url.strip_prefix("ws://").ok_or(form)?;
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            (host, port.parse().ok().filter(|port| *port != 0).ok_or(form)?)
        }
        _ => (authority, 80),
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match bare.is_empty() || bare.contains(|c: char| c.is_whitespace() || c.is_control() || "@[]".contains(c))
    {
        true => Err(form.to_owned()),
        false => Ok((bare.to_owned(), port)),
    }
}

fn whip_path(text: &str) -> Result<String, String> {
    let path = text.strip_suffix('/').unwrap_or(text);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let taken = ["/session", "/sessions", "/publish", "/status", "/topology", "/refresh", "/metrics"];
    if !path.starts_with('/') || path.contains("//") || !path.bytes().all(plain) {
        return Err("must be a path such as /whip, of letters, digits and '-._~/'".to_owned());
    }
    if taken.contains(&path) {
        return Err("is a path of the node itself; choose another, for instance /whip".to_owned());
    }
    Ok(path.to_owned())
}

fn listen(text: &str) -> Result<SocketAddr, String> {
    let port = |text: &str| text.parse().ok().filter(|port: &u16| *port != 0);
    let everywhere = || port(text).map(|port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)));
    let address = text.parse::<SocketAddr>().ok().filter(|address| address.port() != 0);
    address
        .or_else(everywhere)
        .ok_or_else(|| "must be a port or ADDRESS:PORT, for instance 1935 or 10.0.0.5:1935".to_owned())
}

fn rtp_port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(port) if (1..u16::MAX).contains(&port) => Ok(port),
        _ => Err("must be a port from 1 to 65534; the port after it is for RTCP".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(env: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let find =
            |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Config::new(Flags::default(), find)
    }

    #[test]
    fn nothing_given_is_something_that_works_on_one_machine() {
        let config = config(&[]).unwrap();
        assert_eq!(
            (&*config.node_id, &*config.whip_path, config.ports),
            ("injection-1", "/whip", [5002, 5004])
        );
        assert_eq!((&*config.janus.host, config.janus.port), ("127.0.0.1", 8188));
        assert_eq!(config.api.to_string(), "127.0.0.1:7070");
    }

    #[test]
    fn the_environment_of_the_contract_arrives() {
        let config = config(&[
            ("NODE_ID", "i7"),
            ("API_PORT", "80"),
            ("RTP_AUDIO_PORT", "6002"),
            ("RTP_VIDEO_PORT", "6004"),
            ("JANUS_VIDEOROOM_WS_URL", "ws://[fd00::1]:8188/ws"),
            ("JANUS_VIDEOROOM_API_SECRET", "hunter2"),
            ("JANUS_VIDEOROOM_ROOM_SECRET", "hunter3"),
            ("WHIP_BASE_PATH", "/in/whip/"),
            ("WHIP_TOKEN", "hunter4"),
        ])
        .unwrap();
        assert_eq!((&*config.node_id, config.ports, config.api.port()), ("i7", [6002, 6004], 80));
        assert_eq!(
            (&*config.janus.host, config.janus.port, &*config.whip_path),
            ("fd00::1", 8188, "/in/whip")
        );
        assert_eq!(config.whip_token.as_ref().unwrap().reveal(), "hunter4");
        assert!(!format!("{config:?}").contains("hunter"));
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_one_line_that_names_it() {
        let table = [
            ("JANUS_VIDEOROOM_WS_URL", "http://a:8188"),
            ("JANUS_VIDEOROOM_WS_URL", "ws://"),
            ("JANUS_VIDEOROOM_WS_URL", "ws://a:0"),
            ("JANUS_VIDEOROOM_WS_URL", "ws://a:x"),
            ("JANUS_MEDIA_ADDRESS", "here"),
            ("WHIP_BASE_PATH", "whip"),
            ("WHIP_BASE_PATH", "/a/{b}"),
            ("WHIP_BASE_PATH", "/session"),
            ("RTP_AUDIO_PORT", "0"),
            ("RTP_VIDEO_PORT", "65535"),
            ("RTP_AUDIO_PORT", "many"),
            ("INJECTION_API", "7070"),
        ];
        for (name, value) in table {
            let error = config(&[(name, value)]).unwrap_err().0;
            assert!(error.starts_with(name) && !error.contains('\n'), "{name}={value}: {error}");
        }
        let close = config(&[("RTP_AUDIO_PORT", "5003")]).unwrap_err().0;
        assert!(close.contains("too close"), "{close}");
        let both = config(&[("WHIP_TOKEN", "a"), ("WHIP_TOKEN_FILE", "/b")]).unwrap_err().0;
        assert!(both.contains("both set"), "{both}");
    }
}
