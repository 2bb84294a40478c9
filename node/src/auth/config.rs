//! The settings of [`super`] that nodes at the ends of the tree have, besides their own token.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Uri;

use super::Keys;
use crate::config::{ConfigError, Kind, NodeConfig, Setting, Settings};
use crate::outgoing;
use crate::webhook::WebhookConfig;

/// How long an answer of the hook counts unless told otherwise.
const REMEMBER: Duration = Duration::from_secs(10);
/// Longer than an hour nobody can mean.
const LONGEST: u64 = 3600;

/// `admin`.
pub const ADMIN: Setting = Setting {
    name: "admin",
    value: "ADDRESS:PORT",
    default: "no such listener: all is on api",
    help: "Address of a listener of its own for operators, scripts and monitoring; the one of api then has only pages, \
           WHIP or WHEP, events and health",
    ..Setting::NEW
};
/// `jwt-keys`.
pub const JWT_KEYS: Setting = Setting {
    name: "jwt-keys",
    value: "FILE",
    help: "File with the keys that tokens of single sessions are verified with (JWK set; Ed25519 or HS256), read again \
           when it changes",
    ..Setting::NEW
};
/// `authorize`.
pub const AUTHORIZE: Setting = Setting {
    name: "authorize",
    value: "URL",
    help: "Asked by POST whether somebody may publish or watch: 200 is yes, 403 no",
    ..Setting::NEW
};
/// `authorize-remember`.
pub const AUTHORIZE_REMEMBER: Setting = Setting {
    name: "authorize-remember",
    value: "SECONDS",
    default: "10",
    help: "How long an answer of authorize counts; 0 to ask each time",
    ..Setting::NEW
};
/// `webhook`.
pub const WEBHOOK: Setting = Setting {
    name: "webhook",
    value: "URL",
    help: "Told by POST what happens to sessions, publishers and viewers",
    ..Setting::NEW
};
/// `webhook-secret-file`.
pub const WEBHOOK_SECRET_FILE: Setting = Setting {
    name: "webhook-secret-file",
    kind: Kind::SecretFile,
    value: "FILE",
    help: "File with the secret that what is sent to webhook is signed with (standardwebhooks.com)",
    ..Setting::NEW
};
/// `frame-ancestors`.
pub const FRAME_ANCESTORS: Setting = Setting {
    name: "frame-ancestors",
    kind: Kind::List("frame-ancestor"),
    value: "ORIGIN",
    default: "the node's own",
    help: "Sites whose pages may show this node's page in a frame, such as https://www.example.com",
    ..Setting::NEW
};

/// Who may, checked.
#[derive(Clone, Debug, Default)]
pub struct AuthConfig {
    /// A listener for all that is not for publishers and viewers.
    pub admin: Option<SocketAddr>,
    /// Keys of signed tokens.
    pub keys: Option<Arc<Keys>>,
    /// Who is asked.
    pub authorize: Option<Uri>,
    /// How long its answers count.
    pub remember: Duration,
    /// Who is told.
    pub webhook: Option<WebhookConfig>,
    /// Sites that may show the page in a frame.
    pub frame_ancestors: Vec<String>,
}

impl AuthConfig {
    /// Of settings that have been gathered. Warnings go to the node's.
    pub fn new(node: &mut NodeConfig, settings: &mut Settings<'_>) -> Result<AuthConfig, ConfigError> {
        let admin = settings.get(&ADMIN, |text| {
            let address = text.parse::<SocketAddr>().ok().filter(|address| address.port() != 0);
            let address = address.ok_or("must be ADDRESS:PORT, for instance 127.0.0.1:7080")?;
            let overlaps = address.port() == node.api.port()
                && (address.ip() == node.api.ip()
                    || address.ip().is_unspecified()
                    || node.api.ip().is_unspecified());
            if overlaps {
                return Err(format!("is where the API listens ({}); choose another port", node.api));
            }
            Ok(address)
        })?;
        if let Some(admin) = admin
            && node.token.is_none()
            && !admin.ip().to_canonical().is_loopback()
        {
            node.warnings.push(format!(
                "the admin listener on {admin} is open to the network without a token: whoever reaches it can change what \
                 this node does; set API_TOKEN or --api-token-file, or listen on 127.0.0.1"
            ));
        }
        let keys = match settings.find(&JWT_KEYS)? {
            Some(file) => {
                let (keys, warning) = Keys::read(Path::new(&file.value))
                    .map_err(|error| ConfigError(format!("{}: {error}", file.name)))?;
                node.warnings.extend(warning);
                Some(Arc::new(keys))
            }
            None => None,
        };
        let authorize = settings.get(&AUTHORIZE, outgoing::url)?;
        let remember = settings.find(&AUTHORIZE_REMEMBER)?;
        if let (None, Some(remember)) = (&authorize, &remember) {
            node.warnings.push(format!("{} plays no part without AUTHORIZE or --authorize", remember.name));
        }
        let remember = remember.map_or(Ok(REMEMBER), |remember| remember.checked(seconds))?;
        let webhook = webhook(node, settings)?;
        let frame_ancestors = match settings.list(&FRAME_ANCESTORS)? {
            Some(list) => list.value.iter().map(|site| origin(&list.name, site)).collect::<Result<_, _>>()?,
            None => Vec::new(),
        };
        node.warnings.append(&mut settings.warnings);
        Ok(AuthConfig { admin, keys, authorize, remember, webhook, frame_ancestors })
    }
}

/// Who is told what happens, if anybody is. Warnings go to the node's.
pub fn webhook(
    node: &mut NodeConfig,
    settings: &mut Settings<'_>,
) -> Result<Option<WebhookConfig>, ConfigError> {
    let url = settings.find(&WEBHOOK)?;
    let secret = settings.secret(&WEBHOOK_SECRET_FILE)?;
    match (url, secret) {
        (None, None) => Ok(None),
        (Some(url), Some(secret)) => {
            let name = secret.name;
            let webhook = WebhookConfig::new(url.checked(outgoing::url)?, secret.value)
                .map_err(|why| ConfigError(format!("{name}: {why}")))?;
            node.warnings.extend(webhook.warning());
            Ok(Some(webhook))
        }
        (Some(url), None) => Err(ConfigError(format!(
            "{} needs WEBHOOK_SECRET or --webhook-secret-file: what is sent is signed with it",
            url.name
        ))),
        (None, Some(secret)) => {
            Err(ConfigError(format!("{} plays no part without WEBHOOK or --webhook", secret.name)))
        }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| *seconds <= LONGEST);
    seconds.map(Duration::from_secs).ok_or_else(|| format!("must be whole seconds from 0 to {LONGEST}"))
}

/// A source expression of CSP that is a host (W3C Content Security Policy, section 2.3.1); nothing in it may end the directive.
fn origin(name: &str, text: &str) -> Result<String, ConfigError> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let sound = rest.is_some_and(|rest| {
        !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:*[]".contains(&byte))
    });
    if text == "*" || sound {
        return Ok(text.to_owned());
    }
    let text = text.escape_debug();
    Err(ConfigError(format!(
        "{name} '{text}': must be an origin such as https://www.example.com or https://*.example.com, or *"
    )))
}
