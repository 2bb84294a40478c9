//! Empties a node before it is taken away, by its own HTTP (`POST /drain`), wherever in the tree it is.

use std::time::{Duration, Instant};

use axum::http::Method;
use node::asking::Asking;
use node::drain::DrainView;
use node::overview::Overview;
use serde_json::json;

use super::find;

/// How often it is asked how far it is.
const POLL: Duration = Duration::from_millis(250);

/// What is wanted.
#[derive(Clone, Copy, Debug)]
pub enum Emptying<'a> {
    /// It takes nobody any more; `to`: who takes a relay's children; `wait`: until nobody is left, so long at most.
    Begin { to: Option<&'a str>, wait: Option<Duration> },
    /// It serves as before.
    Undo,
}

/// Has it done, and gives how the node is then. An error is one line.
pub async fn drain(
    overview: &Overview,
    asking: &Asking,
    id: &str,
    wanted: Emptying<'_>,
) -> Result<DrainView, String> {
    let node = find(overview, id)?;
    let url = node.operators().ok_or_else(|| {
        format!(
            "{id} has not said where its HTTP is: {}",
            node.why.first().map_or("it is an older version", |why| why)
        )
    })?;
    let url = format!("{url}/drain");
    let ask = async |method: Method, body: Option<&serde_json::Value>| {
        asking.ask::<DrainView>(method, &url, body).await.map_err(|error| error.to_string())
    };
    let (to, wait) = match wanted {
        Emptying::Undo => return ask(Method::DELETE, None).await,
        Emptying::Begin { to, wait } => (to, wait),
    };
    let body = to.map(|to| json!({ "to": to })).unwrap_or_else(|| json!({}));
    let mut view = ask(Method::POST, Some(&body)).await?;
    let deadline = Instant::now() + wait.unwrap_or_default();
    while view.state == "draining" && Instant::now() < deadline {
        tokio::time::sleep(POLL).await;
        view = ask(Method::GET, None).await?;
    }
    Ok(view)
}
