//! What the relay's kernel and user-space sides share, without `std` and without I/O.
//!
//! - [`packet`], [`parse`]: one bounds-checked parser, run by XDP, tc, the user-space path and the fuzz tests alike.
//! - [`checksum`], [`rewrite`]: RFC 1071/1624 arithmetic and the headers a child's copy gets.
//! - [`stream`]: what is known of one RTP stream (loss, reordering, duplicates, RFC 3550 jitter).
//! - [`rtp`]: the facts of RTP that all of it goes by.
//! - [`atomic`]: words that two CPUs may write at once.
//! - [`reason`]: every way in which a packet is not forwarded, each with a name.
//! - [`probe`]: how the daemon and the program that sends its probe frames talk.
//! - [`layout`]: the maps, their keys, values and sizes. A change there raises [`layout::VERSION`].
//!
//! Byte order: addresses, ports in headers and MAC addresses are kept as they are on the wire (byte arrays); numbers
//! that a person looks for in `bpftool map dump` (ports and SSRCs in keys) are in host order.
#![no_std]
#![warn(missing_docs)]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

pub mod atomic;
pub mod checksum;
pub mod layout;
pub mod packet;
pub mod parse;
pub mod probe;
pub mod reason;
pub mod rewrite;
pub mod rtp;
pub mod stream;
