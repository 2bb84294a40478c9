//! Devmaps that are in place before a change wants them.

use relay_common::layout::{ALL_CHILDREN, MAX_CHILDREN, MAX_INSTANCES};

use super::Fanout;

/// Devmaps of each likely size that are kept ready: so many changes in a row need not wait.
const STOCK: usize = 3;

impl Fanout {
    /// A size of devmap that one of the next changes is likely to want and of which there are not enough in stock, with
    /// an instance to put it in.
    ///
    /// Putting a devmap into `FANOUT` waits until every CPU has been through the scheduler, some 10 ms; done beforehand,
    /// a change does not wait.
    pub fn stock_order(&mut self) -> Option<(u32, u32)> {
        let sizes = self
            .sets
            .get(&ALL_CHILDREN)
            .map_or([0; 2], |set| [0, 1].map(|version| set.halves[version].members.len() as u32));
        // Children mostly have one IP version.
        let larger = sizes[0].max(sizes[1]);
        let smaller = sizes[0].min(sizes[1]);
        let also = if smaller > 0 { [smaller + 1, smaller - 1] } else { [0; 2] };
        let likely = [larger + 1, larger.saturating_sub(1), larger, also[0], also[1]];
        let size = (1..=STOCK).find_map(|enough| {
            let lacks = |size: &u32| (1..=MAX_CHILDREN).contains(size) && self.stock_of(*size) < enough;
            likely.into_iter().find(lacks)
        })?;
        // Not the last ones: changes come first.
        (self.instances.available() > MAX_INSTANCES as usize / 4).then_some(())?;
        let instance = self.instances.take()?;
        self.ordered.insert(instance, size);
        Some((size, instance))
    }

    /// Devmaps of a size that are in stock or on order.
    fn stock_of(&self, size: u32) -> usize {
        let ordered = self.ordered.values().filter(|ordered| **ordered == size).count();
        ordered + self.stock.get(&size).map_or(0, Vec::len)
    }

    /// The devmap of a [`Fanout::stock_order`] is in place.
    pub fn stocked(&mut self, size: u32, instance: u32) {
        self.ordered.remove(&instance);
        self.stock.entry(size).or_default().push(instance);
    }

    /// The devmap of a [`Fanout::stock_order`] could not be made.
    pub fn not_stocked(&mut self, instance: u32) {
        self.ordered.remove(&instance);
        self.instances.give(instance);
    }

    /// Keeps an instance out of use whose devmap is still on order from before [`Fanout::resume`].
    pub fn on_order(&mut self, instance: u32) {
        self.instances.take_this(instance);
    }

    pub(super) fn take_instance(&mut self, size: u32) -> Option<u32> {
        if let Some(ready) = self.stock.get_mut(&size) {
            let instance = ready.pop();
            if ready.is_empty() {
                self.stock.remove(&size);
            }
            if instance.is_some() {
                return instance;
            }
        }
        self.instances.take()
    }
}
