//! The Redis side of a node: connections, what is read and written, what is listened to. What follows from it is decided
//! elsewhere.
//!
//! - [`connect`]: connections for commands and such that listen; [`dial`]: the stream under them; [`sentinel`]: which server
//!   is the master; [`cluster`]: which masters there are; [`pulse`]: notices when one of them is gone.
//! - [`wire`]: which server a command goes to; [`ears`]: listening to one or several.
//! - [`name`]: whose a node's name is.
//! - [`script`]: everything that is read and written; [`notify`]: the server's keyspace notifications.
//! - [`channels`]: what is listened to, and what a message means; [`failure`]: what went wrong, in words.

pub mod channels;
pub mod cluster;
pub mod connect;
pub mod dial;
pub mod ears;
pub mod failure;
pub mod name;
pub mod notify;
pub mod pulse;
pub mod script;
pub mod sentinel;
pub mod wire;
