//! What is decided and planned, by what is seen of it: a module a behaviour.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod dead_nodes_are_cleared;
mod fewer_are_wanted_when_all_is_known;
mod more_are_wanted_for_a_cause;
mod slots_are_kept;
mod what_is_unknown_changes_nothing;
mod whatever_happens;
mod where_new_egresses_go;
mod which_egresses_go;
mod who_is_called_back;
mod world;
