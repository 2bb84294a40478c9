//! A whole tree looked at by real programs: Prometheus, Alertmanager and node_exporter, with the configuration of deploy/monitoring, in which
//! time runs faster.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod a_new_egress_is_scraped;
mod a_redis_that_hangs_is_told_by_all;
mod a_relay_forwards_without_its_daemon;
mod alarms;
mod broadcast;
mod every_panel_shows_something;
mod the_documents_queries_work;
mod the_right_alerts_reach_people;
