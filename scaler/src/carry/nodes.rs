//! What nodes are asked by their own HTTP: whether they live, whether they can do their job, that they empty themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use futures_util::StreamExt;
use futures_util::stream;
use node::asking::{Asking, Unheard};
use node::drain::DrainView;
use node::outgoing::Probe;
use node::overview::State;
use node::secret::Secret;
use node::trust::TrustedHosts;

use crate::action::{Fact, Step};
use crate::model::Node;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Most nodes that are asked at once.
pub const AT_ONCE: usize = 16;

/// Asks nodes.
#[derive(Clone)]
pub struct Nodes {
    asking: Asking,
    probe: Probe,
}

impl Nodes {
    /// `token`: what they want to know before they change something.
    /// `trusted`: whom it may be shown to.
    pub fn new(token: Option<Secret>, trusted: TrustedHosts) -> Nodes {
        Nodes { asking: Asking::new(token, PATIENCE).trusting(trusted), probe: Probe::default() }
    }

    /// What a step waits for, of whom it is about.
    pub async fn facts(&self, step: &Step, nodes: &[Node]) -> BTreeMap<String, Fact> {
        let known = |name: &str| nodes.iter().find(|node| node.id == name);
        let asked = step.nodes().into_iter().map(|name| {
            let node = known(name);
            async move { (name.to_owned(), self.fact(step, node).await) }
        });
        stream::iter(asked.collect::<Vec<_>>()).buffer_unordered(AT_ONCE).collect().await
    }

    async fn fact(&self, step: &Step, node: Option<&Node>) -> Fact {
        let Some(node) = node else { return Fact { empty: true, ..Fact::default() } };
        let is_gone = matches!(node.state, State::Gone | State::Unknown);
        let mut fact = Fact { empty: is_gone, ..Fact::default() };
        if is_gone {
            return fact;
        }
        match step {
            Step::AwaitAlive { .. } | Step::Join { .. } => {
                fact.alive = node.state != State::Doubtful && self.says(node, "healthz").await;
            }
            // The tree says that media would reach it, the node itself that it would show it.
            Step::AwaitReady { .. } => {
                let in_place = matches!(node.state, State::Ok | State::Full);
                fact.ready = in_place && self.says(node, "readyz").await;
            }
            Step::AwaitDrained { .. } => {
                let asked = self.drain(Method::GET, node).await;
                fact.empty = asked.is_ok_and(|view| view.state == "drained");
            }
            _ => {}
        }
        fact
    }

    async fn says(&self, node: &Node, path: &str) -> bool {
        let Some(url) = &node.url else { return false };
        self.probe.status(&format!("{url}/{path}"), PATIENCE).await == Ok(StatusCode::OK)
    }

    /// Tells a node to empty itself, or to serve as before. An error: why it does not, and whether it may be asked again.
    pub async fn empty(&self, node: &Node, is_to: bool) -> Result<(), (String, bool)> {
        let method = if is_to { Method::POST } else { Method::DELETE };
        self.drain(method, node).await.map(drop)
    }

    async fn drain(&self, method: Method, node: &Node) -> Result<DrainView, (String, bool)> {
        let Some(url) = &node.url else { return Err(("has not said where its HTTP is".to_owned(), true)) };
        let body = (method == Method::POST).then(|| serde_json::json!({}));
        let answer = self.asking.ask(method, &format!("{url}/drain"), body.as_ref()).await;
        answer.map_err(|error| {
            let again = match &error {
                Unheard::Silent { .. } => true,
                // A wrong token stays wrong.
                Unheard::Token { .. } | Unheard::Untrusted { .. } => false,
                Unheard::Refused { status, .. } => {
                    status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
                }
            };
            (error.to_string(), again)
        })
    }
}
