//! From a host name to its addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::join_all;

/// A name server that takes longer has not answered.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
/// What hosts resolve to, or why they do not.
pub type Answers = BTreeMap<String, Result<Vec<IpAddr>, String>>;

/// All addresses of a host: its own, or those that its name resolves to. Waits for a name server no longer than 5 s.
pub async fn resolve(host: &str) -> Result<Vec<IpAddr>, String> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![address]);
    }
    let fix = "check the name, /etc/hosts and DNS, or give the address";
    let answer = match tokio::time::timeout(LOOKUP_TIMEOUT, tokio::net::lookup_host((host, 0))).await {
        Ok(answer) => answer,
        Err(_) => return Err(format!("host '{host}': the name server does not answer; {fix}")),
    };
    let mut addresses: Vec<IpAddr> = match answer {
        Ok(found) => found.map(|address| address.ip().to_canonical()).collect(),
        Err(error) => return Err(format!("host '{host}' cannot be resolved ({error}); {fix}")),
    };
    let mut seen = BTreeSet::new();
    addresses.retain(|address| seen.insert(*address));
    if addresses.is_empty() {
        return Err(format!("host '{host}' has no address; {fix}"));
    }
    Ok(addresses)
}

/// Resolves hosts, all at the same time.
pub async fn resolve_all(hosts: impl IntoIterator<Item = String>) -> Answers {
    let hosts: BTreeSet<String> = hosts.into_iter().collect();
    let each = hosts.into_iter().map(|host| async move {
        let answer = resolve(&host).await;
        (host, answer)
    });
    join_all(each).await.into_iter().collect()
}
