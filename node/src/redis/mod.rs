//! The Redis side of a node: connections, what is read and written, what is listened to. What follows from it is decided
//! elsewhere.
//!
//! - [`connect`]: a pair of connections, one for commands and one that listens; [`dial`]: the stream under them;
//!   [`sentinel`]: which server is the master; [`pulse`]: notices when one of them is gone.
//! - [`script`]: everything that is read and written; [`notify`]: the server's keyspace notifications.
//! - [`channels`]: what is listened to, and what a message means; [`failure`]: what went wrong, in words.

pub mod channels;
pub mod connect;
pub mod dial;
pub mod failure;
pub mod notify;
pub mod pulse;
pub mod script;
pub mod sentinel;
