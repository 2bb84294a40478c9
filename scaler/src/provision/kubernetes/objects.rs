//! From a node that is wanted to a Pod, and back; without I/O.

use k8s_openapi::api::core::v1::{EnvVar, Pod, PodSchedulingGate, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt;
use kube::api::ObjectMeta;
use node::record::NodeType;
use serde_json::Value;

use crate::model::Machine;
use crate::provision::fill::{Values, fill};
use crate::provision::settings;
use crate::provision::{Spec, Trouble};
use crate::whole::whole;

const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
const US: &str = "media-tree-scaler";
/// What Kubernetes' discovery of Prometheus and Services choose by, see deploy/monitoring/kubernetes.yml.
const COMPONENT: &str = "app.kubernetes.io/component";
const TREE: &str = "media-tree/tree-id";
/// What keeps a Pod from being started.
const GATE: &str = "media-tree/cold";
const ZONE: &str = "topology.kubernetes.io/zone";

/// The Pod that a node is to be. An error says what in the settings cannot be.
pub fn pod(
    spec: &Spec,
    wanted: &settings::Pod,
    start: bool,
    owner: Option<OwnerReference>,
) -> Result<Pod, String> {
    let filled = whole(fill_in(&wanted.spec, Values { spec, ports: None })?);
    let mut pod: PodSpec =
        serde_json::from_value(filled.clone()).map_err(|error| format!("spec: {error}"))?;
    let understood = serde_json::to_value(&pod).map_err(|error| format!("spec: {error}"))?;
    if let Some(unknown) = unknown(&filled, &understood, "spec") {
        return Err(format!("{unknown} means nothing to Kubernetes"));
    }
    let node = pod.containers.first_mut().ok_or("spec.containers is empty; the first is the node")?;
    let ours = [("NODE_ID", &spec.name), ("TREE_ID", &spec.tree), ("ZONE", &spec.zone)];
    let environment = node.env.get_or_insert_default();
    for (name, value) in ours.into_iter().filter(|(_, value)| !value.is_empty()) {
        environment.retain(|variable| variable.name != name);
        environment.push(EnvVar { name: name.to_owned(), value: Some(value.clone()), value_from: None });
    }
    if !spec.zone.is_empty() {
        pod.node_selector.get_or_insert_default().insert(ZONE.to_owned(), spec.zone.clone());
    }
    if !start {
        pod.scheduling_gates.get_or_insert_default().push(PodSchedulingGate { name: GATE.to_owned() });
    }
    let mut labels = wanted.labels.clone();
    labels.extend([
        (MANAGED_BY.to_owned(), US.to_owned()),
        (COMPONENT.to_owned(), spec.role.name().to_owned()),
        (TREE.to_owned(), spec.tree.clone()),
    ]);
    Ok(Pod {
        metadata: ObjectMeta {
            name: Some(spec.name.clone()),
            labels: Some(labels),
            annotations: (!wanted.annotations.is_empty()).then(|| wanted.annotations.clone()),
            owner_references: owner.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(pod),
        status: None,
    })
}

/// Names of Pods have no capitals and no '_'.
pub fn check_name(name: &str) -> Result<(), Trouble> {
    let fine = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !name.ends_with('-');
    let wrong = || format!("{name} cannot be the name of a Pod: lower-case letters, digits and '-' inside");
    fine.then_some(()).ok_or_else(|| Trouble::lasting(wrong()))
}

/// What the Pods of a tree are found by.
pub fn selector(tree: &str) -> String {
    format!("{MANAGED_BY}={US},{TREE}={tree}")
}

/// It is one of them.
pub fn is_ours(pod: &Pod, tree: &str) -> bool {
    let has = |label: &str, value: &str| pod.labels().get(label).is_some_and(|is| is == value);
    has(MANAGED_BY, US) && has(TREE, tree)
}

/// It is made and not started.
pub fn is_gated(pod: &Pod) -> bool {
    let gates = pod.spec.as_ref().and_then(|spec| spec.scheduling_gates.as_deref()).unwrap_or_default();
    gates.iter().any(|gate| gate.name == GATE)
}

/// A Pod that waits for a machine counts as running: it does what it can to.
pub fn machine(pod: &Pod) -> Option<(String, Machine)> {
    let role = pod.labels().get(COMPONENT)?;
    let role = [NodeType::Relay, NodeType::Egress].into_iter().find(|known| known.name() == role)?;
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending");
    let running = !is_gated(pod) && matches!(phase, "Pending" | "Running");
    let created = pod.creation_timestamp().map_or(0, |time| time.0.as_millisecond().max(0) as u64);
    let selector = pod.spec.as_ref().and_then(|spec| spec.node_selector.as_ref());
    let zone = selector.and_then(|selector| selector.get(ZONE)).cloned().unwrap_or_default();
    Some((pod.name_any(), Machine { role, running, created, zone }))
}

fn fill_in(value: &Value, values: Values) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => Value::String(fill(text, values)?),
        Value::Array(list) => list.iter().map(|value| fill_in(value, values)).collect::<Result<_, _>>()?,
        Value::Object(fields) => {
            let filled = fields.iter().map(|(name, value)| Ok((name.clone(), fill_in(value, values)?)));
            Value::Object(filled.collect::<Result<_, String>>()?)
        }
        other => other.clone(),
    })
}

/// The first field that was said and not understood.
fn unknown(said: &Value, understood: &Value, path: &str) -> Option<String> {
    match (said, understood) {
        (Value::Object(said), Value::Object(understood)) => said.iter().find_map(|(name, value)| {
            let path = format!("{path}.{name}");
            match understood.get(name) {
                Some(understood) => unknown(value, understood, &path),
                None => Some(path),
            }
        }),
        (Value::Array(said), Value::Array(understood)) => {
            let mut pairs = said.iter().zip(understood).enumerate();
            pairs.find_map(|(index, (said, understood))| {
                unknown(said, understood, &format!("{path}[{index}]"))
            })
        }
        _ => None,
    }
}
