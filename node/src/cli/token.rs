//! `injection token` and `egress token`: a token that opens one session, for the operator to give away.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;

use super::Failure;
use crate::auth::{Grant, Role, SigningKey};
use crate::config::ConfigError;

/// Longer than a year nobody can mean.
const LONGEST: u64 = 366 * 86_400;

/// What the token is to be.
#[derive(Clone, Debug, Args)]
pub struct Token {
    /// Session that it opens
    session: String,
    /// File with the key that signs: a JWK (oct with k, or OKP Ed25519 with d), or a set of them such as jwt-keys
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Which key of several, by its kid
    #[arg(long, value_name = "NAME")]
    kid: Option<String>,
    /// publish or watch [default: publish at an injection, watch at an egress]
    #[arg(long, value_parser = Role::parse)]
    role: Option<Role>,
    /// Seconds for which something may begin with it
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u64).range(1..=LONGEST))]
    lifetime: u64,
    /// Tree that it is for [default: every one that has the key]
    #[arg(long, value_name = "NAME")]
    tree: Option<String>,
}

impl Token {
    /// Prints it. `role`: what it is for unless told otherwise.
    pub fn print(self, role: Role) -> Result<ExitCode, Failure> {
        let key = SigningKey::read(&self.key, self.kid.as_deref()).map_err(ConfigError)?;
        let grant = Grant {
            session: self.session,
            role: self.role.unwrap_or(role),
            now: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            lifetime: Duration::from_secs(self.lifetime),
            tree: self.tree,
        };
        println!("{}", key.sign(&grant).map_err(ConfigError)?);
        Ok(ExitCode::SUCCESS)
    }
}
