//! An injection that is to go takes no publications any more.

use node::drain::{Drain, Drains};

use super::Injector;

impl Drains for Injector {
    fn drain(&self) -> &Drain {
        &self.drain
    }
}
