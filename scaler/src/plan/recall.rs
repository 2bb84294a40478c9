//! Who is called back: more egresses are wanted while some are still being emptied. Pure.

use node::overview::State;
use node::record::NodeType;

use crate::action::{Action, Kind, Progress};
use crate::decide::Decision;
use crate::model::Observation;

/// What is made, and what is called back instead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recall {
    /// What is to be done.
    pub actions: Vec<Action>,
    /// Names of actions that are called back.
    pub back: Vec<String>,
}

/// Egresses that are being drained are there at once, and new ones are not: they come first, whole actions of them, and so many fewer are
/// made; also where none can be made. `running`: what is being done, and how far it is.
pub fn recall<'a>(
    decision: &Decision,
    seen: &Observation,
    running: impl IntoIterator<Item = (&'a Action, &'a Progress)>,
    actions: Vec<Action>,
) -> Recall {
    let mut recall = Recall { actions, back: Vec::new() };
    let mut wanted = decision.wanted as usize;
    for (action, _) in running.into_iter().filter(|(action, progress)| progress.is_emptying(action)) {
        let come = useful(action, seen);
        if wanted == 0 || come == 0 {
            continue;
        }
        recall.back.push(action.id.clone());
        let fewer = come.min(wanted);
        wanted -= fewer;
        leave_out(&mut recall.actions, fewer);
    }
    recall
}

/// Egresses of an action that serve still, or would if they were not being emptied.
fn useful(action: &Action, seen: &Observation) -> usize {
    let nodes = action.nodes();
    let is_useful = |node: &&crate::model::Node| {
        node.role == Some(NodeType::Egress)
            && matches!(node.state, State::Draining | State::Ok | State::Full)
            && nodes.contains(&node.id.as_str())
    };
    seen.nodes.iter().filter(is_useful).count()
}

/// So many egresses fewer are made, those that were planned last.
fn leave_out(actions: &mut Vec<Action>, mut fewer: usize) {
    for action in actions.iter_mut().rev() {
        if let Kind::Grow { egresses, .. } = &mut action.kind {
            let cut = fewer.min(egresses.len());
            egresses.truncate(egresses.len() - cut);
            fewer -= cut;
        }
    }
    actions.retain(|action| !matches!(&action.kind, Kind::Grow { egresses, .. } if egresses.is_empty()));
}
