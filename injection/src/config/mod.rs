//! What an injection is configured with: flags, environment and file, checked before anything is bound.

mod file;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::path::PathBuf;

pub use file::File;
use node::config::{ConfigError, Found, NodeConfig, NodeFlags, Settings};
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
    /// Puts flags, environment and file together and checks the whole.
    pub fn new(
        flags: Flags,
        env: impl Fn(&str) -> Option<String>,
        mut file: File,
    ) -> Result<Config, ConfigError> {
        let mut node = NodeConfig::new(DEFAULT_ID, flags.node, &env, file.node())?;
        let mut settings = Settings::new(&env);
        let mut secret = |flag, variable: &str, key| {
            let file_variable = format!("{variable}_FILE");
            let found = settings.secret(flag, (variable, &file_variable), key)?;
            Ok::<_, ConfigError>(found.map(|found| found.value))
        };
        let api_secret = secret(
            ("--janus-api-secret-file", flags.janus_api_secret_file),
            "JANUS_VIDEOROOM_API_SECRET",
            ("janus-api-secret-file", file.janus_api_secret_file),
        )?;
        let room_secret = secret(
            ("--janus-room-secret-file", flags.janus_room_secret_file),
            "JANUS_VIDEOROOM_ROOM_SECRET",
            ("janus-room-secret-file", file.janus_room_secret_file),
        )?;
        let admin_key = secret(
            ("--janus-admin-key-file", flags.janus_admin_key_file),
            "JANUS_VIDEOROOM_ADMIN_KEY",
            ("janus-admin-key-file", file.janus_admin_key_file),
        )?;
        let whip_token = secret(
            ("--whip-token-file", flags.whip_token_file),
            "WHIP_TOKEN",
            ("whip-token-file", file.whip_token_file),
        )?;
        node.warnings.append(&mut settings.warnings);

        let url = settings.pick(("--janus", flags.janus), "JANUS_VIDEOROOM_WS_URL", ("janus", file.janus));
        let (url, (host, janus_port)) = checked(url, |text| Ok((text.to_owned(), place(text)?)))?
            .unwrap_or_else(|| (DEFAULT_JANUS.to_owned(), ("127.0.0.1".to_owned(), 8188)));
        let media_address = settings.pick(
            ("--janus-media-address", flags.janus_media_address),
            "JANUS_MEDIA_ADDRESS",
            ("janus-media-address", file.janus_media_address),
        );
        let media_address = checked(media_address, |text| {
            text.parse().map_err(|_| "must be an address, for instance 10.0.0.5".to_owned())
        })?;
        let path = settings.pick(
            ("--whip-base-path", flags.whip_base_path),
            "WHIP_BASE_PATH",
            ("whip-base-path", file.whip_base_path),
        );
        let whip_path = checked(path, whip_path)?.unwrap_or_else(|| DEFAULT_WHIP.to_owned());
        let port = |flag, variable, (key, value): (&str, Option<u16>)| {
            let value = value.map(|port| port.to_string());
            checked(settings.pick(flag, variable, (key, value)), rtp_port)
        };
        let audio = port(
            ("--rtp-audio-port", flags.rtp_audio_port),
            "RTP_AUDIO_PORT",
            ("rtp-audio-port", file.rtp_audio_port),
        )?;
        let video = port(
            ("--rtp-video-port", flags.rtp_video_port),
            "RTP_VIDEO_PORT",
            ("rtp-video-port", file.rtp_video_port),
        )?;
        let ports = [audio.unwrap_or(DEFAULT_PORTS[0]), video.unwrap_or(DEFAULT_PORTS[1])];
        if ports[0].abs_diff(ports[1]) < 2 {
            let [audio, video] = ports;
            return Err(ConfigError(format!(
                "audio port {audio} and video port {video} are too close: the port after each is for RTCP"
            )));
        }
        let api = checked(settings.pick(("--api", flags.api), "INJECTION_API", ("", None)), |text| {
            text.parse().map_err(|_| "must be ADDRESS:PORT, for instance 0.0.0.0:7070".to_owned())
        })?;
        let api = node.api(api, file.api, DEFAULT_API_PORT);
        let rtmp = file.rtmp.map(|rtmp| rtmp.to_string());
        let rtmp = checked(settings.pick(("--rtmp", flags.rtmp), "RTMP_LISTEN", ("rtmp", rtmp)), listen)?;
        for open in [Some(api), rtmp].into_iter().flatten() {
            if whip_token.is_none() && !open.ip().to_canonical().is_loopback() {
                node.warnings.push(format!(
                    "whoever reaches {open} can publish; set WHIP_TOKEN or --whip-token-file if that is not meant"
                ));
            }
        }
        Ok(Config {
            node,
            janus: JanusConfig {
                url,
                host,
                port: janus_port,
                api_secret,
                room_secret,
                admin_key,
                media_address,
            },
            whip_path,
            whip_token,
            rtmp,
            ports,
            api,
            log: settings
                .pick(("--log", flags.log), "INJECTION_LOG", ("log", file.log))
                .map_or_else(|| "info".to_owned(), |log| log.value),
        })
    }
}

fn checked<T>(
    found: Option<Found<String>>,
    check: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, ConfigError> {
    found.map(|found| found.checked(check)).transpose()
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
mod tests;
