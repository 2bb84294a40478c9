//! An injection that is to go takes nothing new, and those who publish are kept until they end, for as long as there is time.

use std::sync::Arc;
use std::time::Duration;

use node::drain::{Drain, Drains};
use tokio::time::sleep;

use super::Injector;

/// Publications are counted so often.
const COUNTED: Duration = Duration::from_millis(200);

impl Drains for Injector {
    fn drain(&self) -> &Drain {
        &self.drain
    }

    fn count(&self) -> u64 {
        self.entries().iter().filter(|entry| entry.is_taken()).count() as u64
    }
}

impl Injector {
    /// Says, while the injection is to be emptied, how many publish yet; for ever.
    pub async fn keep_drained(self: Arc<Self>) {
        let mut stage = self.drain.stage();
        while stage.wait_for(|stage| stage.order.is_some() && !stage.drained).await.is_ok() {
            match self.count() {
                0 => self.drain.done(),
                left => self.drain.left(left, None),
            }
            sleep(COUNTED).await;
        }
    }
}
