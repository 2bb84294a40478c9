//! Janus comes and goes. What was there is made again when it is back.

use std::sync::Arc;
use std::time::Duration;

use node::backoff::Backoff;

use super::Egress;
use crate::streaming::Streaming;

/// Pauses between attempts: the first, and the longest.
const RETRY: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(2)];

impl Egress {
    /// Keeps a connection to Janus.
    pub async fn keep_janus(self: Arc<Self>) {
        let mut backoff = Backoff::new(RETRY);
        let mut said = None;
        loop {
            match self.attempt().await {
                Ok(streaming) => {
                    tracing::info!("connected to Janus at {}", self.config.janus.url);
                    backoff.reset();
                    said = None;
                    self.wake.notify_one();
                    streaming.closed().await;
                    self.janus_is_gone(format!("Janus at {} is gone", self.config.janus.url)).await;
                }
                Err(why) => {
                    if said.as_ref() != Some(&why) {
                        tracing::warn!("{why}");
                    }
                    self.janus.down(why.clone());
                    said = Some(why);
                    tokio::time::sleep(backoff.pause()).await;
                }
            }
        }
    }

    async fn attempt(&self) -> Result<Streaming, String> {
        // What another node of this name has in the same Janus is not to be tidied up.
        if let Some(tree) = self.tree.get()
            && !tree.may_use_name().await
        {
            return Err("Janus is not connected to while another node has this one's name".to_owned());
        }
        let connecting = Streaming::connect(&self.config.janus, &self.config.node.node_id);
        let streaming = connecting.await.map_err(|error| error.to_string())?;
        // Nobody changes anything before it is clear what is there.
        let _changing = self.changing.lock().await;
        self.books().forgotten();
        match streaming.tidy().await {
            Ok(0) => {}
            Ok(count) => tracing::info!("{count} mountpoints of an earlier run were taken out of Janus"),
            Err(error) => tracing::warn!("mountpoints of an earlier run may be left in Janus: {error}"),
        }
        self.janus.up(streaming.clone());
        Ok(streaming)
    }

    /// Everything in Janus is gone with it: mountpoints, and the viewers' connections.
    async fn janus_is_gone(&self, why: String) {
        tracing::warn!("{why}; reconnecting");
        self.janus.down(why);
        let _changing = self.changing.lock().await;
        self.books().forgotten();
        self.audience.clear();
        self.judge_all();
    }
}
