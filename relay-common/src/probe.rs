//! What `relay_probe` and the daemon tell each other, word by word in the map `PROBE`. That map is never pinned, so it is
//! no part of the layout.

/// Word: the interface to send on.
pub const TARGET: u32 = 0;
/// Word: what became of the frame: 0 while nobody has said, [`SENT`] or [`REFUSED`].
pub const OUTCOME: u32 = 1;
/// Word: the error number that the refusal came with, positive; 0: none, as from a ring that is full.
pub const ERROR: u32 = 2;
/// Words of the map.
pub const WORDS: u32 = 3;

/// [`OUTCOME`]: the driver took the frame.
pub const SENT: u32 = 1;
/// [`OUTCOME`]: the driver, or the kernel before it, did not.
pub const REFUSED: u32 = 2;
