//! Devmaps kept ready for the changes that are likely to come, so that they need not wait for the kernel.

use std::sync::Arc;

use futures_util::future::join_all;

use super::Relay;
use super::plane::Plane;
use crate::kernel::StockOrder;

/// Fills the stock after every change.
pub struct StockKeeper(Arc<Relay>);

impl StockKeeper {
    /// Of this relay.
    pub fn new(relay: Arc<Relay>) -> StockKeeper {
        StockKeeper(relay)
    }

    /// Runs until cancelled.
    pub async fn run(self) {
        let mut applied = self.0.applied.subscribe();
        loop {
            while self.fill_orders().await {}
            if applied.changed().await.is_err() {
                return;
            }
        }
    }

    /// True when there were orders, and one could be filled.
    async fn fill_orders(&self) -> bool {
        let orders: Vec<StockOrder> = {
            let mut state = self.0.state.lock().await;
            let Plane::Kernel(plane) = &mut state.plane else { return false };
            std::iter::from_fn(|| plane.stock_order()).collect()
        };
        // Together and without the lock: this is the wait that changes are to be spared, and one wait of the kernel's
        // does for all.
        let filling = orders.into_iter().map(|order| async move {
            let (size, instance) = (order.size, order.instance);
            let filled = tokio::task::spawn_blocking(move || order.fill()).await;
            let devmap = match filled {
                Ok(Ok(devmap)) => Some(devmap),
                Ok(Err(error)) => {
                    tracing::warn!("no devmap in stock for {size} children: {error}");
                    None
                }
                Err(_) => None,
            };
            let filled = devmap.is_some();
            if let Plane::Kernel(plane) = &mut self.0.state.lock().await.plane {
                plane.stocked(size, instance, devmap);
            }
            filled
        });
        join_all(filling).await.contains(&true)
    }
}
