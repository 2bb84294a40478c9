//! Where names are: a name server may send whoever asks to where no node is.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use node::resolve::resolve;

use super::list::is_nowhere;

/// Names that are asked for at a time.
const AT_ONCE: usize = 16;
/// All of them within this. A name that nobody knows by then is let through: to Prometheus, it is down.
const PATIENCE: Duration = Duration::from_secs(3);

/// Those of these names that are where no node can be.
pub async fn astray(names: BTreeSet<String>) -> BTreeSet<String> {
    let asked = names.into_iter().map(async |name| {
        let addresses = resolve(&name).await.unwrap_or_default();
        is_astray(&addresses).then_some(name)
    });
    let late = tokio::time::sleep(PATIENCE);
    let known = stream::iter(asked).buffer_unordered(AT_ONCE).take_until(late);
    known.filter_map(async |name| name).collect().await
}

/// One such address is enough: nobody knows which of them is asked.
fn is_astray(addresses: &[IpAddr]) -> bool {
    addresses.iter().any(|address| is_nowhere(*address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_way_round_what_addresses_are_refused() {
        let of =
            |texts: &[&str]| is_astray(&texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>());
        assert!(of(&["10.0.0.5", "169.254.169.254"]) && of(&["fd00:ec2::254"]));
        assert!(!of(&["10.0.0.5", "fd00::7"]) && !of(&[]));
    }

    #[tokio::test]
    async fn a_name_that_is_somewhere_stays() {
        assert_eq!(astray(["localhost".to_owned()].into()).await, BTreeSet::new());
    }
}
