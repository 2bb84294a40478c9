//! RTCP of a viewer: what it reports and asks for ([`read()`]), and our reports to it ([`SenderReport`]).

mod clock;
mod read;
mod write;

pub use clock::Ntp;
pub use read::{Arrivals, Malformed, Report, Said, Sequences, read};
pub use write::{SenderReport, goodbye};
