//! A relay that is to go gives away its children first.

use node::drain::{Drain, Drains};

use super::Relay;

impl Drains for Relay {
    fn drain(&self) -> &Drain {
        &self.drain
    }
}
