//! The server comes and goes. What was there is made again when it is back.

use std::sync::Arc;
use std::time::Duration;

use node::backoff::Backoff;

use super::Egress;

/// Pauses between attempts: the first, and the longest.
const RETRY: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(2)];

impl Egress {
    /// Keeps what serves viewers connected.
    pub async fn keep_server(self: Arc<Self>) {
        let mut backoff = Backoff::new(RETRY);
        let mut said = None;
        let place = self.server.place();
        loop {
            match self.attempt().await {
                Ok(()) => {
                    tracing::info!("connected to {place}");
                    backoff.reset();
                    said = None;
                    self.wake.notify_one();
                    self.server.gone().await;
                    self.server_is_gone(format!("{place} is gone")).await;
                }
                Err(why) => {
                    if said.as_ref() != Some(&why) {
                        tracing::warn!("{why}");
                    }
                    self.link.down(why.clone());
                    said = Some(why);
                    tokio::time::sleep(backoff.pause()).await;
                }
            }
        }
    }

    async fn attempt(&self) -> Result<(), String> {
        // What another node of this name has in the same server is not to be tidied up.
        if let Some(tree) = self.tree.get()
            && !tree.may_use_name().await
        {
            let name = self.server.name();
            return Err(format!("{name} is not connected to while another node has this one's name"));
        }
        self.server.connect().await?;
        // Nobody changes anything before it is clear what is there.
        let _changing = self.changing.lock().await;
        self.books().forgotten();
        self.server.tidy().await;
        self.link.up();
        Ok(())
    }

    /// Everything in it is gone as well: mountpoints, and the viewers' connections.
    async fn server_is_gone(&self, why: String) {
        tracing::warn!("{why}; reconnecting");
        self.link.down(why);
        let _changing = self.changing.lock().await;
        self.books().forgotten();
        self.audience.clear();
        self.judge_all();
    }
}
