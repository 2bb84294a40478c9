//! The scaling controller: egresses and relays of a tree come and go with its audience.
//!
//! Everything is decided without I/O, from what was seen, what is remembered and the time, so that the simulator drives the same code
//! as the daemon:
//!
//! ```text
//! seen (observe) -> Observation -> think: decide -> Decision -> plan -> Action(s), recorded in Redis -> action::next -> Step -> carry
//! ```
//!
//! | module | job | I/O |
//! |---|---|---|
//! | [`settings`] | what is wanted of a tree: thresholds, template, limits | none |
//! | [`model`] | what is known of a tree when it is decided about | none |
//! | [`decide`] | more, fewer, or neither, and why | none |
//! | [`plan`] | where new nodes go, which nodes go away, which slots are filled | none |
//! | [`mod@think`] | both, one after the other | none |
//! | [`action`] | which step of an action comes next, and how what failed is undone | none |
//! | [`observe`] | reads Prometheus, and the tree in Redis | yes |
//! | [`journal`] | who leads; actions and their steps in a Redis stream, each write fenced | yes |
//! | [`carry`] | takes a step: a back end, Redis, a node's HTTP | yes |
//! | [`keeper`] | looks after one tree: leads it, looks, and has carried out what follows | yes |
//! | [`app`], [`api`], [`metrics`], [`cli`], [`config`], [`say`] | the frame: all trees, HTTP, commands, settings, messages | yes |
//! | [`provision`] | the back ends: processes, Docker, Kubernetes, commands of one's own | yes |
//! | [`simulate`] | hours of a modelled tree in seconds, by a virtual clock | none |

pub mod action;
pub mod api;
pub mod app;
mod books;
pub mod carry;
pub mod cli;
mod clock;
pub mod config;
mod daemon;
pub mod decide;
mod failpoint;
pub mod journal;
pub mod keeper;
pub mod metrics;
pub mod model;
pub mod observe;
pub mod plan;
pub mod provision;
pub mod say;
pub mod settings;
mod show;
pub mod simulate;
pub mod think;
mod whole;
mod words;
