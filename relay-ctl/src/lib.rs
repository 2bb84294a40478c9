//! The relay's daemon and command line.
//!
//! - [`config`]: what was asked for, checked before anything is bound or attached.
//! - [`fanout`]: from children and routes to map writes, without I/O.
//! - [`kernel`]: the XDP and tc data planes; [`userspace`]: the one without rights.
//! - [`net`]: routes, neighbours, links and addresses, from the kernel by netlink.
//! - [`relay`]: the one thing that holds the state and brings these together.
//! - [`api`], [`view`], [`report`], [`client`]: HTTP, what it shows, and how that is read from the maps.
//! - [`metrics`]: the same as Prometheus wants it.
//! - [`daemon`], [`cli`]: the commands; [`top`]: the one that is looked at for longer; [`tree`]: what concerns a whole tree.

pub use node::prefix as address;
pub mod api;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod doctor;
pub mod fanout;
pub mod kernel;
pub mod metrics;
pub mod mode;
pub mod net;
pub mod relay;
pub mod report;
pub mod top;
pub mod tree;
pub mod userspace;
pub mod view;
