//! Who comes in by the media port: ICE (lite), DTLS on threads of its own, and what viewers send later.
//!
//! ```text
//! listen   reads the port: `batch` UDP, `callers` TCP      one thread
//! hall     decides what is done with a packet              no I/O
//! house    does it: answers, tells `pool` and the workers  whoever asks
//! pool     DTLS, by its `agenda`                           threads of its own, which give way to media
//! ```

mod agenda;
mod batch;
mod callers;
mod candidates;
mod connection;
mod consent;
mod drops;
mod dtls;
mod farewell;
mod guest;
mod hall;
#[doc(hidden)]
pub mod hostile;
mod house;
mod listen;
mod path;
mod pool;
mod sockets;
mod stun;

pub(crate) use candidates::candidates;
pub use connection::Connection;
pub(crate) use dtls::Identity;
pub(crate) use house::House;
pub(crate) use listen::Door;
pub(crate) use pool::Pool;
pub use sockets::SEND_BUFFER;
pub(crate) use sockets::bind;
