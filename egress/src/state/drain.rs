//! An egress that is to go gives away its viewers first.

use std::time::Duration;

use node::drain::{Drain, Drains};
use tokio::time::sleep;

use super::Egress;

/// Viewers are counted so often.
const COUNTED: Duration = Duration::from_millis(200);

impl Drains for Egress {
    fn drain(&self) -> &Drain {
        &self.drain
    }
}

impl Egress {
    /// Says, while the egress is to be emptied, how many viewers are left.
    pub async fn keep_drained(self: std::sync::Arc<Self>) {
        let mut stage = self.drain.stage();
        while stage.wait_for(|stage| stage.order.is_some() && !stage.drained).await.is_ok() {
            match self.capacity.viewers() {
                [0, _] => self.drain.done(),
                [left, _] => self.drain.left(left as u64, None),
            }
            sleep(COUNTED).await;
        }
    }
}
