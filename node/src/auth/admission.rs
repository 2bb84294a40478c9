//! Who may publish or watch: [`Admission`] brings the shared token, signed tokens and the hook together. Every one that is
//! configured has its say: of the two kinds of token either will do, and the hook is asked after that.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::StatusCode;

use super::config::AuthConfig;
use super::hook::{Answer, Hook, Question};
use super::jwt::Sealed;
use super::{Keys, Role};
use crate::http::Failed;
use crate::secret::Secret;

/// Who is asking for what.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// The session, by its name.
    pub session: &'a str,
    /// What was shown.
    pub token: Option<&'a [u8]>,
    /// From where, if that is known.
    pub client: Option<IpAddr>,
    /// `whip`, `whep`, `rtmp`.
    pub protocol: &'a str,
}

/// Why somebody is not admitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No token, or none that opens this.
    #[error("{0}")]
    Unauthorized(String),
    /// The hook said no.
    #[error("session {0} may not be {1} by you: the node's --authorize says no")]
    Forbidden(String, &'static str),
    /// The hook said nothing.
    #[error("who may do this cannot be found out at present; try again in a moment")]
    Unknown,
}

impl From<Refused> for Failed {
    fn from(refused: Refused) -> Failed {
        let status = match &refused {
            Refused::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Refused::Forbidden(..) => StatusCode::FORBIDDEN,
            Refused::Unknown => StatusCode::SERVICE_UNAVAILABLE,
        };
        Failed(status, refused.to_string())
    }
}

/// How often who was admitted and who was not, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Admitted.
    pub admitted: u64,
    /// By the tokens.
    pub unauthorized: u64,
    /// By the hook.
    pub forbidden: u64,
    /// The hook did not answer.
    pub unknown: u64,
}

impl Counts {
    /// Each by the name that the metric's label has.
    pub fn rows(self) -> [([&'static str; 1], f64); 4] {
        let Counts { admitted, unauthorized, forbidden, unknown } = self;
        [
            ("admitted", admitted),
            ("unauthorized", unauthorized),
            ("forbidden", forbidden),
            ("unknown", unknown),
        ]
        .map(|(name, count)| ([name], count as f64))
    }
}

/// What is admitted to, and by what.
#[derive(Clone, Debug)]
pub struct Rights {
    /// What is to be done.
    pub role: Role,
    /// The token that all share.
    pub shared: Option<Secret>,
    /// What that is called, and the setting that it comes from.
    pub shared_name: &'static str,
    /// This node.
    pub node_id: String,
    /// Its tree.
    pub tree_id: String,
}

/// Who may publish, or watch.
#[derive(Debug)]
pub struct Admission {
    rights: Rights,
    keys: Option<Arc<Keys>>,
    hook: Option<Hook>,
    counts: [AtomicU64; 4],
}

impl Admission {
    /// As configured.
    pub fn new(rights: Rights, config: &AuthConfig) -> Arc<Admission> {
        let hook = config.authorize.clone().map(|url| Hook::new(url, config.remember));
        Arc::new(Admission { rights, keys: config.keys.clone(), hook, counts: Default::default() })
    }

    /// Whether somebody may begin.
    pub async fn admit(&self, asking: Asking<'_>) -> Result<(), Refused> {
        let admitted = match self.holds(asking, now()) {
            Ok(()) => self.ask(asking).await,
            refused => refused,
        };
        let [yes, unauthorized, forbidden, unknown] = &self.counts;
        let count = match &admitted {
            Ok(()) => yes,
            Err(Refused::Unauthorized(_)) => unauthorized,
            Err(Refused::Forbidden(..)) => forbidden,
            Err(Refused::Unknown) => unknown,
        };
        count.fetch_add(1, Ordering::Relaxed);
        admitted
    }

    /// Whether somebody who only asks how things are could begin. Whoever decides besides is not asked about those who show nothing.
    pub async fn would_admit(&self, asking: Asking<'_>) -> bool {
        let asks_for_nothing = self.hook.is_some() && asking.token.is_none();
        !asks_for_nothing && self.holds(asking, now()).is_ok() && self.ask(asking).await.is_ok()
    }

    /// Whether somebody may go on with what was begun, or end it: with any token that could have begun it, and be it expired
    /// since.
    pub fn goes_on(&self, asking: Asking<'_>) -> Result<(), Refused> {
        self.holds(asking, None)
    }

    /// Who was admitted, and who not.
    pub fn counts(&self) -> Counts {
        let [admitted, unauthorized, forbidden, unknown] =
            self.counts.each_ref().map(|count| count.load(Ordering::Relaxed));
        Counts { admitted, unauthorized, forbidden, unknown }
    }

    /// What is allowed and probably not meant, now.
    pub fn warnings(&self) -> Vec<String> {
        let keys = self.keys.as_ref().and_then(|keys| keys.problem());
        let hook = self.hook.as_ref().and_then(Hook::problem);
        keys.into_iter().chain(hook).collect()
    }

    /// Whether the token will do. `now`: when something is to begin with it.
    fn holds(&self, asking: Asking<'_>, now: Option<Duration>) -> Result<(), Refused> {
        let Rights { role, shared, shared_name, tree_id, .. } = &self.rights;
        if shared.is_none() && self.keys.is_none() {
            return Ok(());
        }
        let name = match (shared, &self.keys) {
            (Some(_), None) => (*shared_name).to_owned(),
            (None, _) => format!("a signed token (JWT) for this session, with role {role}"),
            (Some(_), Some(_)) => {
                format!("{shared_name}, or a signed one (JWT) for this session with role {role}")
            }
        };
        let Some(token) = asking.token else {
            return Err(Refused::Unauthorized(format!(
                "this needs the header `Authorization: Bearer TOKEN` with {name}"
            )));
        };
        if shared.as_ref().is_some_and(|shared| shared.is(token)) {
            return Ok(());
        }
        let wrong = |why: &str| {
            Err(Refused::Unauthorized(format!(
                "the token in `Authorization: Bearer …` is wrong{why}; this needs {name}"
            )))
        };
        let (Some(keys), Some(sealed)) = (&self.keys, Sealed::new(token)) else { return wrong("") };
        let opened = keys.open(sealed).and_then(|claims| {
            let fit = claims.is_for(*role, asking.session, tree_id);
            fit.and_then(|()| now.map_or(Ok(()), |now| claims.is_due(now))).map_err(|why| why.to_string())
        });
        match opened {
            Ok(()) => Ok(()),
            Err(why) => wrong(&format!(": {why}")),
        }
    }

    async fn ask(&self, asking: Asking<'_>) -> Result<(), Refused> {
        let Some(hook) = &self.hook else { return Ok(()) };
        let Rights { role, node_id, tree_id, .. } = &self.rights;
        let question = Question {
            action: role.name(),
            session_id: asking.session,
            protocol: asking.protocol,
            client: asking.client,
            token: asking.token.and_then(|token| std::str::from_utf8(token).ok()),
            node_id,
            tree_id,
        };
        match hook.ask(*role, &question).await {
            Answer::Yes => Ok(()),
            Answer::No => {
                let what = if *role == Role::Publish { "published to" } else { "watched" };
                Err(Refused::Forbidden(asking.session.escape_debug().take(80).collect(), what))
            }
            Answer::None(_) => Err(Refused::Unknown),
        }
    }
}

fn now() -> Option<Duration> {
    // A clock before 1970 lets nothing expire that has not: every token is "not valid yet" or as it says.
    Some(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}
