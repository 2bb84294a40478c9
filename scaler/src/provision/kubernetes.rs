//! Nodes as Pods, one each, found again by their labels.
//!
//! Not as replicas of something: a StatefulSet takes away the one with the highest number, a Deployment whichever it likes, and here it has
//! to be the emptiest. Nor could their names be written down before they are made. What a set would do besides, the controller
//! does: it sees who is gone, and makes others. They belong to an object of one's choice, and go with it.
//!
//! A node that is made and not started is a Pod with a scheduling gate (Kubernetes 1.30).

mod objects;

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions};
use kube::{Client, Error, ResourceExt};
use node::record::NodeType;
use serde_json::json;
use tokio::sync::OnceCell;

use super::settings::{KubernetesSettings, of_role};
use super::{Provisioner, Spec, Trouble};
use crate::model::Machine;

/// How long the API server may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long one that was told to end is waited for before the answer is "not yet".
const FAREWELL: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(200);

/// Pods of a namespace.
pub struct Pods {
    settings: KubernetesSettings,
    owner: Option<Owner>,
    client: OnceCell<Client>,
}

/// What nodes belong to.
struct Owner {
    kind: OwnerKind,
    name: String,
}

enum OwnerKind {
    Deployment,
    ConfigMap,
}

impl Pods {
    /// What is said of them, checked.
    pub fn new(settings: KubernetesSettings) -> Result<Pods, String> {
        let owner = match settings.owner.split_once('/') {
            None if settings.owner.is_empty() => None,
            Some(("Deployment", name)) => Some(Owner { kind: OwnerKind::Deployment, name: name.to_owned() }),
            Some(("ConfigMap", name)) => Some(Owner { kind: OwnerKind::ConfigMap, name: name.to_owned() }),
            _ => {
                return Err(format!(
                    "kubernetes.owner is {:?}; it is to be Deployment/NAME or ConfigMap/NAME",
                    settings.owner
                ));
            }
        };
        for (role, pod) in [(NodeType::Relay, &settings.relay), (NodeType::Egress, &settings.egress)] {
            if let Some(pod) = pod {
                let spec =
                    Spec { name: "x".into(), role, tree: "x".into(), parent: "x".into(), zone: "x".into() };
                objects::pod(&spec, pod, true, None)
                    .map_err(|why| format!("kubernetes.{}: {why}", role.name()))?;
            }
        }
        Ok(Pods { settings, owner, client: OnceCell::new() })
    }

    /// The same by a client that is there already.
    pub fn with_client(settings: KubernetesSettings, client: Client) -> Result<Pods, String> {
        let mut pods = Pods::new(settings)?;
        pods.client = OnceCell::new_with(Some(client));
        Ok(pods)
    }

    /// The scaler's own account in a cluster, or that of `kubectl`.
    async fn client(&self) -> Result<Client, Trouble> {
        let connect = || async { answered(Client::try_default()).await };
        self.client.get_or_try_init(connect).await.cloned()
    }

    async fn pods(&self) -> Result<Api<Pod>, Trouble> {
        self.api().await
    }

    async fn api<K>(&self) -> Result<Api<K>, Trouble>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        let client = self.client().await?;
        Ok(match self.settings.namespace.as_str() {
            "" => Api::default_namespaced(client),
            namespace => Api::namespaced(client, namespace),
        })
    }

    async fn owner(&self) -> Result<Option<OwnerReference>, Trouble> {
        let Some(Owner { kind, name }) = &self.owner else { return Ok(None) };
        let (meta, api_version, kind) = match kind {
            OwnerKind::Deployment => {
                (answered(self.api::<Deployment>().await?.get(name)).await?.metadata, "apps/v1", "Deployment")
            }
            OwnerKind::ConfigMap => {
                (answered(self.api::<ConfigMap>().await?.get(name)).await?.metadata, "v1", "ConfigMap")
            }
        };
        Ok(Some(reference(meta, api_version, kind)))
    }

    /// One of ours; who has that name and is not is left alone.
    async fn find(&self, tree: &str, name: &str) -> Result<Option<Pod>, Trouble> {
        let found = answered(self.pods().await?.get_opt(name)).await?;
        match found {
            Some(pod) if !objects::is_ours(&pod, tree) => Err(Trouble::lasting(format!(
                "there is a Pod {name} that the scaler did not make for {tree}; remove it"
            ))),
            found => Ok(found),
        }
    }
}

fn reference(meta: ObjectMeta, api_version: &str, kind: &str) -> OwnerReference {
    OwnerReference {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        name: meta.name.unwrap_or_default(),
        uid: meta.uid.unwrap_or_default(),
        ..OwnerReference::default()
    }
}

impl Provisioner for Pods {
    fn name(&self) -> &'static str {
        "kubernetes"
    }

    async fn make(&self, spec: &Spec, start: bool) -> Result<(), Trouble> {
        let wanted = of_role(spec.role, &self.settings.relay, &self.settings.egress, "kubernetes")?;
        objects::check_name(&spec.name)?;
        let pods = self.pods().await?;
        let there = match self.find(&spec.tree, &spec.name).await? {
            Some(there) => there,
            None => {
                let pod = objects::pod(spec, wanted, start, self.owner().await?).map_err(Trouble::lasting)?;
                match within(pods.create(&PostParams::default(), &pod)).await? {
                    Ok(_) => return Ok(()),
                    // Somebody was faster.
                    Err(Error::Api(status)) if status.code == 409 && status.reason == "AlreadyExists" => {
                        let there = self.find(&spec.tree, &spec.name).await?;
                        there.ok_or_else(|| Trouble::passing(format!("{} comes and goes", spec.name)))?
                    }
                    Err(error) => return Err(trouble(error)),
                }
            }
        };
        if there.metadata.deletion_timestamp.is_some() {
            return Err(Trouble::passing(format!("{} was told to end and is not gone yet", spec.name)));
        }
        if start && objects::is_gated(&there) {
            let open = json!({"spec": {"schedulingGates": null}});
            answered(pods.patch(&spec.name, &PatchParams::default(), &Patch::Merge(open))).await?;
        }
        Ok(())
    }

    async fn destroy(&self, tree: &str, name: &str) -> Result<(), Trouble> {
        let asked = tokio::time::Instant::now();
        let pods = self.pods().await?;
        loop {
            let found = answered(pods.get_opt(name)).await?;
            // Somebody else's of that name is none of ours: there is nothing to take away.
            let Some(pod) = found.filter(|pod| objects::is_ours(pod, tree)) else { return Ok(()) };
            if pod.metadata.deletion_timestamp.is_none() {
                // This one, and not another that somebody makes meanwhile. It has its own terminationGracePeriodSeconds.
                let uid = Preconditions { uid: pod.uid(), resource_version: None };
                let options = DeleteParams { preconditions: Some(uid), ..DeleteParams::default() };
                match within(pods.delete(name, &options)).await? {
                    Err(Error::Api(status)) if matches!(status.code, 404 | 409) => {}
                    answer => drop(answer.map_err(trouble)?),
                }
            } else if asked.elapsed() > FAREWELL {
                return Err(Trouble::passing(format!(
                    "{name} was told to end, and is killed when its terminationGracePeriodSeconds are over"
                )));
            } else {
                tokio::time::sleep(POLL).await;
            }
        }
    }

    async fn list(&self, tree: &str) -> Result<BTreeMap<String, Machine>, Trouble> {
        let options = ListParams::default().labels(&objects::selector(tree));
        let found = answered(self.pods().await?.list(&options)).await?;
        Ok(found.into_iter().filter_map(|pod| objects::machine(&pod)).collect())
    }
}

/// What the API server says, within a time.
async fn within<T>(asked: impl Future<Output = Result<T, Error>>) -> Result<Result<T, Error>, Trouble> {
    tokio::time::timeout(PATIENCE, asked).await.map_err(|_| {
        Trouble::passing(format!("the API server does not answer within {} s", PATIENCE.as_secs()))
    })
}

async fn answered<T>(asked: impl Future<Output = Result<T, Error>>) -> Result<T, Trouble> {
    within(asked).await?.map_err(trouble)
}

fn trouble(error: Error) -> Trouble {
    match error {
        Error::Api(status) => Trouble {
            why: format!("the API server: {} ({})", status.message, status.code),
            // What is forbidden or cannot be is so the next time; a quota may have room by then.
            again: !matches!(status.code, 400 | 401 | 404 | 405 | 415 | 422),
        },
        error => Trouble::passing(format!("the API server cannot be asked: {error}")),
    }
}
