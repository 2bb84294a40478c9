//! Who may do what over HTTP and RTMP.
//!
//! ```text
//! publish, watch     Admission: the shared token or a signed one (Keys), then --authorize (Hook)
//! everything else    Access: API token, reading token, and where there is none Host and Origin
//! ```
//!
//! Without I/O, time being an argument: [`Access`], [`Hosts`], [`Claims`], `cache`. Around these: [`Keys`] (a file that is read again
//! when it changes), [`Hook`] (asks somebody else), [`Admission`] (brings the three together).

mod access;
mod admission;
mod cache;
mod claims;
mod config;
mod hook;
mod hosts;
mod issue;
mod jwt;
mod keys;

use std::fmt;

pub(crate) use access::changes;
pub use access::{Access, Asked, Open, wants_page};
pub use admission::{Admission, Asking, Counts, Refused, Rights};
pub use claims::{Claims, Unfit};
pub use config::{
    ADMIN, AUTHORIZE, AUTHORIZE_REMEMBER, AuthConfig, FRAME_ANCESTORS, JWT_KEYS, WEBHOOK,
    WEBHOOK_SECRET_FILE, webhook,
};
pub use hook::Hook;
pub use hosts::Hosts;
pub use issue::{Grant, SigningKey};
pub use jwt::Sealed;
pub use keys::{Keys, KeysError};

/// What somebody wants to do with a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Send it.
    Publish,
    /// Receive it.
    Watch,
}

impl Role {
    /// As tokens and the hook have it.
    pub fn name(self) -> &'static str {
        match self {
            Role::Publish => "publish",
            Role::Watch => "watch",
        }
    }

    /// The role of this name.
    pub fn parse(name: &str) -> Result<Role, String> {
        let named = [Role::Publish, Role::Watch].into_iter().find(|role| role.name() == name);
        named.ok_or_else(|| "must be publish or watch".to_owned())
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
