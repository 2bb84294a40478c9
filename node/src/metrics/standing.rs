//! What every node says of itself, of its place in the tree and of its HTTP, by the same names.

use std::time::Instant;

use prometheus::Result;

use super::{Scrape, flag};
use crate::http::Taken;
use crate::record::NodeType;
use crate::topology::TopologyView;
use crate::tree::RedisView;
use crate::watch::Redirects;

/// How a node is.
pub struct Standing<'a> {
    /// What it does.
    pub node_type: NodeType,
    /// Tree.
    pub tree_id: &'a str,
    /// Name.
    pub node_id: &'a str,
    /// It can do its job.
    pub healthy: bool,
    /// It gives away what it has, or has done so.
    pub draining: bool,
    /// Its place in the tree.
    pub topology: &'a TopologyView,
    /// How it stands with Redis; `None`: it is run without.
    pub redis: Option<&'a RedisView>,
    /// Packets that it has taken from its parent, if it has one and counts them.
    pub taken: Option<&'a (String, u64)>,
    /// Of a node with standby parents: each of its parents, and whether media comes from it.
    pub heard: &'a [(String, bool)],
    /// Its HTTP.
    pub http: &'a Taken,
    /// Whom it sent on to an egress.
    pub redirects: &'a Redirects,
}

impl Scrape {
    /// Begins a scrape with all that every node has. What concerns Redis is absent in one that is run without.
    pub fn of(standing: &Standing<'_>) -> Result<Scrape> {
        let scrape = Scrape::new(standing.node_type.name(), standing.tree_id, standing.node_id)?;
        scrape.standing(standing)?;
        standing.http.scrape(&scrape)?;
        standing.redirects.scrape(&scrape)?;
        Ok(scrape)
    }

    fn standing(&self, standing: &Standing<'_>) -> Result<()> {
        let Standing { healthy, draining, topology, redis, taken, heard, .. } = standing;
        self.gauge("build_info", "Always 1.", ["version"], [([env!("CARGO_PKG_VERSION")], 1.0)])?;
        self.one_gauge("healthy", "1 when it can do its job.", flag(*healthy))?;
        self.one_gauge("draining", "1 while it gives away what it has, and after.", flag(*draining))?;
        let parent = topology.parent.iter().map(|parent| ([parent.as_str()], 1.0));
        self.gauge("parent_info", "Always 1; the label is the parent.", ["parent"], parent)?;
        let taken = taken.iter().map(|(parent, packets)| ([parent.as_str()], *packets as f64));
        let help = "RTP and RTCP packets taken from the parent.";
        self.counter("parent_packets_total", help, ["parent"], taken)?;
        let standby = topology.standby.iter().map(|parent| ([parent.as_str()], 1.0));
        self.gauge("standby_info", "Always 1; the label is a standby parent.", ["parent"], standby)?;
        let heard = heard.iter().map(|(parent, comes)| ([parent.as_str()], flag(*comes)));
        let help = "1 while media comes from this parent, of a node that has standby parents.";
        self.gauge("parent_heard", help, ["parent"], heard)?;
        redis.map_or(Ok(()), |redis| self.redis(redis))
    }

    /// Children that are not simply there, of a node that may have some.
    pub fn odd_children(&self, topology: &TopologyView) -> Result<()> {
        let states = [
            ("waiting", topology.waiting.len()),
            ("stale", topology.stale.len()),
            ("held", topology.held.len()),
            ("refused", topology.refused.len()),
        ];
        self.gauge(
            "topology_children",
            "Children that are not simply registered and sent to, by what is the matter.",
            ["state"],
            states.map(|(state, count)| ([state], count as f64)),
        )
    }

    fn redis(&self, redis: &RedisView) -> Result<()> {
        self.one_gauge("redis_up", "1 while Redis answers.", flag(redis.connected))?;
        let help = "1 while a plain SADD is noticed at once.";
        self.one_gauge("redis_notifications", help, flag(redis.notifications))?;
        let age = redis.looked.map(|at| Instant::now().saturating_duration_since(at).as_secs_f64());
        let help = "Since Redis last said how the topology is.";
        self.gauge("topology_age_seconds", help, [], age.map(|age| ([], age)))?;
        let counters = [
            ("redis_looks_total", "Looks at the topology in Redis.", redis.looks),
            ("redis_events_total", "Events that said look now.", redis.events),
            ("redis_reconnects_total", "Times that the connection was made again.", redis.reconnects),
            ("redis_losses_total", "Times that Redis was found to have lost its data.", redis.losses),
        ];
        counters.into_iter().try_for_each(|(name, help, value)| self.one_counter(name, help, value as f64))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_node_in_a_tree_says_whom_it_follows_and_how_old_that_is() {
        let (parent, standby) = (Some("relay-1".to_owned()), vec!["relay-2".to_owned()]);
        let topology = TopologyView { parent, standby, ..TopologyView::default() };
        let looked = Instant::now().checked_sub(Duration::from_secs(5));
        let redis = RedisView { connected: true, looks: 4, looked, ..RedisView::default() };
        let text = |topology: &TopologyView, redis: Option<&RedisView>, taken: Option<&(String, u64)>| {
            let (http, redirects) = (Taken::default(), Redirects::default());
            let heard: Vec<(String, bool)> = topology.standby.iter().map(|id| (id.clone(), false)).collect();
            let standing = Standing {
                node_type: NodeType::Egress,
                tree_id: "t",
                node_id: "e",
                healthy: true,
                draining: false,
                topology,
                redis,
                taken,
                heard: &heard,
                http: &http,
                redirects: &redirects,
            };
            Scrape::of(&standing).unwrap().text().unwrap()
        };
        let taken = ("relay-1".to_owned(), 7);
        let said = text(&topology, Some(&redis), Some(&taken));
        for line in [
            r#"media_tree_egress_parent_info{node_id="e",parent="relay-1",tree_id="t"} 1"#,
            r#"media_tree_egress_parent_packets_total{node_id="e",parent="relay-1",tree_id="t"} 7"#,
            r#"media_tree_egress_standby_info{node_id="e",parent="relay-2",tree_id="t"} 1"#,
            r#"media_tree_egress_parent_heard{node_id="e",parent="relay-2",tree_id="t"} 0"#,
            r#"media_tree_egress_redis_up{node_id="e",tree_id="t"} 1"#,
            r#"media_tree_egress_redis_looks_total{node_id="e",tree_id="t"} 4"#,
            r#"media_tree_egress_topology_age_seconds{node_id="e",tree_id="t"} 5"#,
        ] {
            // An age goes on while this is written.
            assert!(said.lines().any(|found| found.starts_with(line)), "{line} is not in\n{said}");
        }
        let alone = text(&TopologyView::default(), None, None);
        assert!(
            !alone.contains("parent") && !alone.contains("redis") && !alone.contains("topology"),
            "{alone}"
        );
    }
}
