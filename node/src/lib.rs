//! What every node of a tree shares, whatever it does with media.
//!
//! - [`config`]: what was asked for, checked before anything is bound; [`secret`]: what must not be shown.
//! - [`http`]: the API that all nodes have; [`auth`]: who may do what; [`view`], [`metrics`]: what it shows.
//! - [`outgoing`]: requests that the node makes of others; [`asking`]: requests that a command makes of nodes; [`webhook`]: who is told what happens.
//! - [`cli`], [`daemon`], [`log`]: the frame of a program: exit codes, signals, what it says.
//! - [`drain`]: a node that is emptied before it goes; [`tasks`]: what goes on by itself, and is begun again should it fail.
//! - [`doctor`]: what a node needs, whether it is there, and what mends it.
//! - [`contract`]: the names of everything in Redis; [`media`]: kinds, codecs, SSRCs and RTP headers.
//! - [`record`]: a node as Redis has it; [`addresses`]: those of this host; [`topology`]: from what Redis says to commands, without I/O.
//! - [`directory`]: who there is in a tree; [`flow`]: what comes to a node; [`overview`]: a whole tree at one look.
//! - [`resolve`]: from a host's name to the address that is used.
//! - [`trust`]: whom a token may be shown to, without I/O.
//! - [`prefix`]: prefixes of addresses; [`sources`]: where media is taken from, without I/O.
//! - [`udp`]: sockets for media, and what they had to drop.
//! - [`sdp`]: what a session description must be before it is parsed.
//! - [`ice`]: the STUN and TURN servers that clients are told of, without I/O.
//! - [`keyframe`]: requests for keyframes, and how often they are passed on, without I/O.
//! - [`repair`]: packets that were lost between two nodes are asked for and sent again, without I/O.
//! - [`port`]: who holds a port that is wanted.
//! - [`pace`]: how many events become one look, without I/O.
//! - [`backoff`]: pauses between attempts; [`muffled`]: warnings that could come by the thousand.
//! - [`directory`]: who there is in a tree, and where a viewer is to go.
//! - [`watch`]: one door for all viewers of a tree.
//! - [`parentage`]: what is written when a node gets a parent, another one, or none, without I/O.
//! - [`event`]: what is published about a tree; [`sessions`]: its sessions.
//! - [`commands`]: a connection for what a node keeps in Redis besides.
//! - [`sweep`]: what nodes that died left in Redis is taken out.
//! - [`tree`]: the shell around these: reads Redis, registers, and has the node carry the commands out.
//!
//! What a command means for media is up to the node ([`tree::Follows`]).
#![warn(missing_docs)]

pub mod addresses;
pub mod asking;
pub mod auth;
pub mod backoff;
pub mod cli;
pub mod commands;
pub mod config;
pub mod contract;
pub mod daemon;
pub mod directory;
pub mod doctor;
pub mod drain;
pub mod event;
pub mod flow;
pub mod http;
pub mod ice;
pub mod keyframe;
pub mod log;
pub mod media;
pub mod metrics;
pub mod muffled;
pub mod outgoing;
pub mod overview;
pub mod pace;
pub mod parentage;
pub mod port;
pub mod prefix;
pub mod record;
mod redis;
pub mod repair;
pub mod resolve;
pub mod sdp;
pub mod secret;
pub mod sessions;
pub mod sources;
pub mod sweep;
pub mod tasks;
pub mod topology;
pub mod tree;
pub mod trust;
pub mod udp;
pub mod view;
pub mod watch;
pub mod webhook;
