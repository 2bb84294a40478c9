//! Pods are made, started, listed and ended, by the real client over HTTP. There is no API server to be had where these tests run: this
//! stand-in keeps objects and answers as its documents say, and knows nothing of schemas; those are the part `scaler`'s.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Path as Route, Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use kube::{Client, Config};
use scaler::provision::kubernetes::Pods;
use scaler::provision::settings::KubernetesSettings;
use serde_json::{Value, json};

use super::*;

#[derive(Default)]
struct Server {
    pods: BTreeMap<String, Value>,
    made: u64,
    asked: Vec<String>,
}

type Shared = State<Arc<Mutex<Server>>>;
type Answer = (StatusCode, Json<Value>);

fn refused(code: StatusCode, reason: &str) -> Answer {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": reason,
        "reason": reason, "code": code.as_u16()});
    (code, Json(status))
}

async fn listed(State(server): Shared, Query(query): Query<BTreeMap<String, String>>) -> Answer {
    let server = server.lock().unwrap();
    let wanted: Vec<(&str, &str)> =
        query["labelSelector"].split(',').map(|pair| pair.split_once('=').unwrap()).collect();
    let has = |pod: &&Value| wanted.iter().all(|(name, value)| pod["metadata"]["labels"][*name] == *value);
    let items: Vec<&Value> = server.pods.values().filter(has).collect();
    let list =
        json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": items});
    (StatusCode::OK, Json(list))
}

async fn created(State(server): Shared, Json(mut pod): Json<Value>) -> Answer {
    let mut server = server.lock().unwrap();
    let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
    if server.pods.contains_key(&name) {
        return refused(StatusCode::CONFLICT, "AlreadyExists");
    }
    server.made += 1;
    pod["metadata"]["uid"] = json!(format!("uid-{}", server.made));
    pod["metadata"]["creationTimestamp"] = json!("2026-11-30T12:00:00Z");
    pod["status"] = json!({"phase": "Pending"});
    server.pods.insert(name, pod.clone());
    (StatusCode::CREATED, Json(pod))
}

async fn found(State(server): Shared, Route(name): Route<String>) -> Answer {
    let found = server.lock().unwrap().pods.get(&name).cloned();
    found.map_or_else(|| refused(StatusCode::NOT_FOUND, "NotFound"), |pod| (StatusCode::OK, Json(pod)))
}

async fn changed(State(server): Shared, Route(name): Route<String>, body: String) -> Answer {
    let mut server = server.lock().unwrap();
    server.asked.push(format!("PATCH {name} {body}"));
    let pod = server.pods.get_mut(&name).unwrap();
    // The one change that is asked for.
    assert_eq!(body, r#"{"spec":{"schedulingGates":null}}"#);
    pod["spec"].as_object_mut().unwrap().remove("schedulingGates");
    (StatusCode::OK, Json(pod.clone()))
}

/// It takes its time to end, until the test says that it has.
async fn ended(State(server): Shared, Route(name): Route<String>, Json(options): Json<Value>) -> Answer {
    let mut server = server.lock().unwrap();
    server.asked.push(format!("DELETE {name} {}", options["preconditions"]["uid"]));
    let Some(pod) = server.pods.get_mut(&name) else { return refused(StatusCode::NOT_FOUND, "NotFound") };
    pod["metadata"]["deletionTimestamp"] = json!("2026-11-30T13:00:00Z");
    (StatusCode::OK, Json(pod.clone()))
}

async fn owner() -> Json<Value> {
    Json(json!({"kind": "Deployment", "apiVersion": "apps/v1",
        "metadata": {"name": "media-tree-scaler", "uid": "uid-of-owner"}}))
}

async fn serve() -> (Arc<Mutex<Server>>, Client) {
    let server: Arc<Mutex<Server>> = Arc::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let pods = "/api/v1/namespaces/media/pods";
    let routes = Router::new()
        .route(pods, get(listed).post(created))
        .route(&format!("{pods}/{{name}}"), get(found).patch(changed).delete(ended))
        .route("/apis/apps/v1/namespaces/media/deployments/media-tree-scaler", get(owner))
        .with_state(server.clone());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let config = Config::new(format!("http://{address}").parse().unwrap());
    (server, Client::try_from(config).unwrap())
}

fn settings(pod: Value) -> KubernetesSettings {
    serde_json::from_value(json!({
        "namespace": "media", "owner": "Deployment/media-tree-scaler",
        "egress": {"labels": {"app.kubernetes.io/part-of": "media-tree"}, "spec": pod},
    }))
    .unwrap()
}

fn an_egress() -> Value {
    json!({
        "terminationGracePeriodSeconds": 130,
        "containers": [{
            "name": "egress", "image": "media-tree/egress", "args": ["--server", "native"],
            "env": [{"name": "REDIS_URL", "value": "redis://redis"}, {"name": "NODE_ID", "value": "mine"}],
            "resources": {"requests": {"cpu": "1", "memory": "512Mi"}},
            "readinessProbe": {"httpGet": {"path": "/readyz", "port": 7073}},
        }],
    })
}

#[tokio::test]
async fn nodes_are_pods() {
    let (server, client) = serve().await;
    let pods = Pods::with_client(settings(an_egress()), client).unwrap();
    let mut spec = egress("egress-9");
    spec.zone = "eu-west-1a".to_owned();
    pods.make(&spec, true).await.unwrap();
    pods.make(&spec, true).await.unwrap();
    pods.make(&egress("egress-10"), false).await.unwrap();
    let made = server.lock().unwrap().pods["egress-9"].clone();
    assert_eq!(
        made["metadata"]["labels"],
        json!({"app.kubernetes.io/part-of": "media-tree", "app.kubernetes.io/managed-by": "media-tree-scaler",
            "app.kubernetes.io/component": "egress", "media-tree/tree-id": "tree-1"})
    );
    assert_eq!(made["metadata"]["ownerReferences"][0]["uid"], "uid-of-owner");
    assert_eq!(made["spec"]["nodeSelector"], json!({"topology.kubernetes.io/zone": "eu-west-1a"}));
    assert_eq!(
        made["spec"]["containers"][0]["env"],
        json!([{"name": "REDIS_URL", "value": "redis://redis"}, {"name": "NODE_ID", "value": "egress-9"},
            {"name": "TREE_ID", "value": "tree-1"}, {"name": "ZONE", "value": "eu-west-1a"}])
    );
    assert_eq!(server.lock().unwrap().made, 2);

    let running = |list: BTreeMap<String, scaler::model::Machine>| {
        list.into_iter().map(|(name, machine)| (name, machine.running)).collect::<Vec<_>>()
    };
    let names = |pairs: &[(&str, bool)]| {
        pairs.iter().map(|(name, runs)| ((*name).to_owned(), *runs)).collect::<Vec<_>>()
    };
    let list = pods.list("tree-1").await.unwrap();
    assert_eq!(list["egress-9"].created, 1_796_040_000_000);
    assert_eq!(running(list), names(&[("egress-10", false), ("egress-9", true)]));
    assert_eq!(pods.list("tree-2").await.unwrap().len(), 0);
    pods.make(&egress("egress-10"), true).await.unwrap();
    pods.make(&egress("egress-10"), true).await.unwrap();
    assert_eq!(server.lock().unwrap().asked.len(), 1, "it is started once");
    server.lock().unwrap().pods.get_mut("egress-9").unwrap()["status"]["phase"] = json!("Failed");
    assert_eq!(
        running(pods.list("tree-1").await.unwrap()),
        names(&[("egress-10", true), ("egress-9", false)])
    );

    let trouble = pods.destroy("tree-1", "egress-10").await.unwrap_err();
    assert!(trouble.again && trouble.why.contains("terminationGracePeriodSeconds"), "{trouble}");
    assert!(pods.make(&egress("egress-10"), true).await.is_err_and(|trouble| trouble.again));
    assert!(pods.destroy("tree-1", "egress-10").await.is_err_and(|trouble| trouble.again));
    let gone = server.lock().unwrap().pods.remove("egress-10");
    assert!(gone.is_some());
    pods.destroy("tree-1", "egress-10").await.unwrap();
    let asked = server.lock().unwrap().asked.clone();
    assert_eq!(
        asked[1..],
        [r#"DELETE egress-10 "uid-2""#],
        "it is told to end once, and no other of its name"
    );
}

#[tokio::test]
async fn who_is_not_ours_is_left_alone() {
    let (server, client) = serve().await;
    let pods = Pods::with_client(settings(an_egress()), client).unwrap();
    let theirs = json!({"metadata": {"name": "egress-9", "uid": "u"}, "spec": {"containers": []}});
    server.lock().unwrap().pods.insert("egress-9".to_owned(), theirs);
    let made = pods.make(&egress("egress-9"), true).await;
    assert!(made.is_err_and(|trouble| !trouble.again && trouble.why.contains("did not make")));
    // There is none of ours: what could not be made is undone by that.
    pods.destroy("tree-1", "egress-9").await.unwrap();
    assert!(server.lock().unwrap().pods.contains_key("egress-9"));
    assert!(pods.make(&egress("Egress_9"), true).await.is_err_and(|trouble| !trouble.again));
    let unreachable = Client::try_from(Config::new("http://127.0.0.1:9".parse().unwrap())).unwrap();
    let pods = Pods::with_client(settings(an_egress()), unreachable).unwrap();
    assert!(pods.list("tree-1").await.is_err_and(|trouble| trouble.again));
}

#[test]
fn what_kubernetes_would_not_understand_is_refused_at_the_start() {
    for (pointer, value, why) in [
        ("/containers", json!([]), "spec.containers is empty"),
        (
            "/containers/0/readinessProb",
            json!({}),
            "spec.containers[0].readinessProb means nothing to Kubernetes",
        ),
        ("/hostNetwork", json!("yes"), "spec: invalid type: string"),
        ("/containers/0/args", json!(["{nam}"]), "{nam} means nothing"),
        ("/containers/0/args", json!(["{port}"]), "no ports of their own"),
    ] {
        let mut pod = an_egress();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        pod.pointer_mut(parent).unwrap()[name] = value;
        let toml = format!("backend = 'kubernetes'\n[kubernetes.egress]\nspec = {}", toml_of(&pod));
        let refused = Backend::read(&toml).err().unwrap_or_else(|| panic!("{pointer}: taken"));
        assert!(refused.starts_with("kubernetes.egress: ") && refused.contains(why), "{refused}");
    }
    let wrong = "backend = 'kubernetes'\n[kubernetes]\nowner = 'Pod/x'";
    assert!(Backend::read(wrong).is_err_and(|why| why.contains("kubernetes.owner is \"Pod/x\"")));
}

/// JSON as TOML's inline tables: every key is quoted in both.
fn toml_of(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: Vec<_> =
                fields.iter().map(|(name, value)| format!("{name:?} = {}", toml_of(value))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        Value::Array(list) => format!("[{}]", list.iter().map(toml_of).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}
