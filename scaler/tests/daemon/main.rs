//! The scaler as it is run, with a real Redis, and tiny nodes as real processes: each file is one behaviour.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

#[path = "../../../node/tests/tree/common/mod.rs"]
mod common;
mod stage;

mod a_fault_of_its_own_leaves_no_leader_that_does_nothing;
mod a_journal_is_fenced_also_in_a_cluster;
mod a_token_is_shown_to_whom_it_is_for;
mod an_action_is_carried_out_to_its_end;
mod it_goes_on_wherever_it_was_killed;
mod redis_and_prometheus_may_be_away;
mod somebody_has_to_approve;
mod two_scalers_never_act_at_once;
mod what_fails_is_undone;
mod what_is_broken_in_redis_does_no_harm;
mod what_is_wrong_is_said_as_it_is;
mod what_was_decided_may_be_out_of_date;
