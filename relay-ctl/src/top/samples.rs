//! Readings for tests.

use super::model::Reading;
use crate::view;
use crate::view::samples::{child, status, stream};

/// Children and streams, `packets` at each.
pub fn reading(uptime: u64, children: usize, streams: u32, packets: u64) -> Reading {
    let children: Vec<view::Child> = (0..children).map(|n| child(&format!("egress-{n}"), packets)).collect();
    let streams: Vec<view::Stream> = (0..streams).map(|ssrc| stream(ssrc, packets)).collect();
    let mut status = status(uptime);
    status.forwarding.children_count = children.len();
    status.dataplane.packets = packets * streams.len() as u64;
    status.dataplane.bytes = packets * 1000 * streams.len() as u64;
    Reading { status, children, streams }
}
