//! A relay that is to go gives away its children first.

use std::sync::Arc;

use node::drain::{Drain, Drains, Giver};

use super::Relay;

impl Drains for Relay {
    fn drain(&self) -> &Drain {
        &self.drain
    }

    fn count(&self) -> u64 {
        self.membership.view().map_or(0, |view| view.topology.children.len() as u64)
    }

    async fn cannot_drain(&self, to: Option<&str>) -> Option<String> {
        let Some(tree) = &self.config.tree else {
            let why = "this relay is in no tree (--redis-url): its children are those that it was given by name, and go with it";
            return Some(why.to_owned());
        };
        Giver::new(&tree.redis, &self.registration().await).refuses(to?).await
    }
}

impl Relay {
    /// Gives the children away when that is ordered, for ever.
    pub async fn keep_drained(self: Arc<Self>) {
        match &self.config.tree {
            Some(tree) => Giver::new(&tree.redis, &self.registration().await).run(&self.drain).await,
            // There is nobody to give them to.
            None => {
                let mut stage = self.drain.stage();
                while stage.wait_for(|stage| stage.order.is_some() && !stage.drained).await.is_ok() {
                    self.drain.done();
                }
            }
        }
    }
}
