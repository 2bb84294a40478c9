//! Where readings come from: the daemon, or the pinned maps when none answers.

use std::path::PathBuf;

use super::model::Reading;
use crate::client::{Client, ClientError};
use crate::report;
use crate::view;

/// A relay to read from.
pub struct Source {
    /// The daemon's API.
    pub client: Client,
    /// Interface whose pinned maps are read when no daemon answers.
    pub interface: Option<String>,
    /// Where data planes are pinned.
    pub pin_root: PathBuf,
}

impl Source {
    /// Reads; an error is one line.
    pub fn read(&self) -> Result<Reading, String> {
        match self.ask() {
            Err(ClientError::NotRunning { api, why }) => {
                let down = ClientError::NotRunning { api, why };
                let (pins, maps) = report::pinned(&self.pin_root, self.interface.as_deref())
                    .map_err(|error| format!("{down}; {error}"))?;
                Ok(Reading {
                    status: report::status(&maps, &pins),
                    children: report::children(&maps),
                    streams: report::streams(&maps),
                })
            }
            other => other.map_err(|error| error.to_string()),
        }
    }

    fn ask(&self) -> Result<Reading, ClientError> {
        let status = self.client.get("/status")?;
        let view::Children { children } = self.client.get("/children")?;
        let view::Streams { streams } = self.client.get("/streams")?;
        Ok(Reading { status, children, streams })
    }
}
