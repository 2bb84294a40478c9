//! Back ends make real things: processes of this machine, and what a program of one's own makes of it.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod a_cold_node_is_started_later;
mod a_command_makes_nodes;
mod a_crash_between_start_and_record_loses_nothing;
mod a_node_is_made_once;
mod bad_files_are_refused;
mod nodes_outlive_the_scaler;
mod nodes_that_end_at_once_say_why;
#[cfg(feature = "kubernetes")]
mod pods;
mod ports_are_nobody_elses;
mod settings_of_the_scaler_are_not_the_nodes;
mod what_is_not_ours_is_left;
mod who_does_not_end_is_killed;

use std::path::Path;
use std::time::{Duration, Instant};

use node::record::NodeType;
use scaler::provision::{Backend, Provisioner, Spec, Trouble};
use tempfile::TempDir;

/// Where back ends keep what they do.
struct Place(TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// A back end of processes: egresses are this script, which finds the folder in `$PLACE`.
    fn processes(&self, script: &str, more: &str) -> Backend {
        let place = self.path().display();
        Backend::read(&format!(
            "backend = 'process'\n[process]\nstate = '{place}/state'\n{more}\n[process.egress]\n\
             command = ['sh', '-c', '''{script}''']\nenvironment = {{ PLACE = '{place}' }}\n"
        ))
        .unwrap()
    }

    /// The words of all lines that nodes have written there.
    fn said(&self, file: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.path().join(file)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Waits for so many.
    async fn wait_said(&self, file: &str, count: usize) -> Vec<String> {
        until(|| async { Some(self.said(file)).filter(|said| said.len() >= count) }).await
    }
}

/// What it gives in the end.
async fn until<T, F: Future<Output = Option<T>>>(mut what: impl FnMut() -> F) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = what().await {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "it does not come");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn egress(name: &str) -> Spec {
    Spec {
        name: name.to_owned(),
        role: NodeType::Egress,
        tree: "tree-1".to_owned(),
        parent: "relay-1".to_owned(),
        zone: String::new(),
    }
}

/// Asks until it is so, as the controller does.
async fn destroyed(backend: &Backend, name: &str) {
    until(|| async {
        match backend.destroy("tree-1", name).await {
            Ok(()) => Some(()),
            Err(Trouble { again: true, .. }) => None,
            Err(trouble) => panic!("{trouble}"),
        }
    })
    .await;
}

async fn running(backend: &Backend, name: &str) -> Option<bool> {
    backend.list("tree-1").await.unwrap().get(name).map(|machine| machine.running)
}
