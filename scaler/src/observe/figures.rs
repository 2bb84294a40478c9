//! What Prometheus says of a tree: the recording rules of deploy/monitoring, in two questions.

use std::time::Duration;

use prometheus_http_query::Client;
use prometheus_http_query::response::InstantVector;
use serde::Deserialize;

use crate::model::{Figures, Reading};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Longest answer that is read: a figure of each of a thousand egresses is a hundredth of it.
const LONGEST: usize = 4 << 20;

/// What it answers.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase", tag = "status")]
enum Answer {
    Success { data: Data },
    Error { error: String },
}

/// What an instant query gives that asks for vectors.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase", tag = "resultType", content = "result")]
enum Data {
    Vector(Vec<InstantVector>),
}

/// Asks a Prometheus.
#[derive(Clone)]
pub struct Prometheus {
    client: Client,
    url: String,
}

/// What is asked for, and where it goes.
type Place = fn(&mut Figures) -> &mut Option<Reading>;
const FIGURES: [(&str, Place); 5] = [
    ("tree:egress_cpu_utilization:avg5m", |figures| &mut figures.cpu),
    ("tree:egress_memory_utilization:avg", |figures| &mut figures.memory),
    ("tree:egress_port_pool_utilization_percent:max", |figures| &mut figures.port_pool),
    ("tree:receive_drops:rate5m", |figures| &mut figures.drops),
    ("tree:egresses_scraped:ratio", |figures| &mut figures.scraped),
];

impl Prometheus {
    /// At this address.
    pub fn new(url: &str) -> Result<Prometheus, String> {
        // One provider of cryptography for the whole process; whoever was first has chosen it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().timeout(PATIENCE).connect_timeout(PATIENCE).build();
        let http = http.map_err(|error| error.to_string())?;
        let client = Client::from(http, url).map_err(|error| error.to_string())?;
        Ok(Prometheus { client, url: url.to_owned() })
    }

    /// What it says of a tree. What it does not know is not there; `problem` is set if it does not answer.
    pub async fn figures(&self, tree: &str) -> Figures {
        match tokio::time::timeout(PATIENCE * 2, self.ask(tree)).await {
            Ok(Ok(figures)) => figures,
            Ok(Err(why)) => {
                Figures { problem: Some(format!("Prometheus at {}: {why}", self.url)), ..Figures::default() }
            }
            Err(_) => Figures {
                problem: Some(format!("Prometheus at {} does not answer", self.url)),
                ..Figures::default()
            },
        }
    }

    async fn ask(&self, tree: &str) -> Result<Figures, String> {
        let (values, times) = (values(tree), times(tree));
        let (values, times) = tokio::try_join!(self.vector(&values), self.vector(&times))?;
        Ok(read(&values, &times))
    }

    async fn vector(&self, query: &str) -> Result<Vec<InstantVector>, String> {
        let mut answer = self.client.query(query).get_raw().await.map_err(|error| innermost(&error))?;
        let status = answer.status();
        let mut text = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| innermost(&error))? {
            if text.len() + piece.len() > LONGEST {
                return Err(format!("its answer is longer than {} MiB", LONGEST >> 20));
            }
            text.extend_from_slice(&piece);
        }
        match serde_json::from_slice(&text) {
            Ok(Answer::Success { data: Data::Vector(vector) }) => Ok(vector),
            Ok(Answer::Error { error }) => Err(error),
            Err(_) if !status.is_success() => Err(format!("it answers {status}")),
            Err(error) => Err(format!("unexpected answer: {error}")),
        }
    }
}

/// All figures, each by its own name, and who is overloaded.
fn values(tree: &str) -> String {
    let tree = quoted(tree);
    let names: Vec<&str> = FIGURES.iter().map(|(name, _)| *name).collect();
    format!(
        "{{__name__=~\"{}\",tree_id={tree}}} or node:overloaded:bool{{tree_id={tree},node_type=\"egress\"}} == 1",
        names.join("|")
    )
}

/// When each was measured: an instant query says of everything that it is of now.
fn times(tree: &str) -> String {
    let tree = quoted(tree);
    let of = |name: &str| {
        format!("label_replace(timestamp({name}{{tree_id={tree}}}), \"figure\", \"{name}\", \"\", \"\")")
    };
    FIGURES.iter().map(|(name, _)| of(name)).collect::<Vec<_>>().join(" or ")
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn read(values: &[InstantVector], times: &[InstantVector]) -> Figures {
    let mut figures = Figures::default();
    for (name, place) in FIGURES {
        let is =
            |label: &str, vector: &&InstantVector| vector.metric().get(label).is_some_and(|own| own == name);
        let value = values.iter().find(|vector| is("__name__", vector));
        let time = times.iter().find(|vector| is("figure", vector));
        if let (Some(value), Some(time)) = (value, time) {
            let at = (time.sample().value() * 1000.0).max(0.0) as u64;
            *place(&mut figures) = Some(Reading { value: value.sample().value(), at });
        }
    }
    let overloaded = values
        .iter()
        .filter(|vector| vector.metric().get("__name__").is_some_and(|name| name == "node:overloaded:bool"));
    figures.overloaded = overloaded.filter_map(|vector| vector.metric().get("node_id").cloned()).collect();
    figures
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vectors(json: &str) -> Vec<InstantVector> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_is_missing_is_not_0_and_each_figure_has_its_own_time() {
        let values = vectors(
            r#"[{"metric":{"__name__":"tree:egress_cpu_utilization:avg5m","tree_id":"t"},"value":[100,"0.75"]},
                {"metric":{"__name__":"tree:receive_drops:rate5m","tree_id":"t"},"value":[100,"0"]},
                {"metric":{"__name__":"node:overloaded:bool","node_id":"e7","tree_id":"t"},"value":[100,"1"]}]"#,
        );
        let times = vectors(
            r#"[{"metric":{"figure":"tree:egress_cpu_utilization:avg5m","tree_id":"t"},"value":[100,"85.5"]}]"#,
        );
        let figures = read(&values, &times);
        assert_eq!(figures.cpu, Some(Reading { value: 0.75, at: 85_500 }));
        // Its time is not known.
        assert_eq!((figures.drops, figures.memory), (None, None));
        assert!(figures.overloaded.iter().eq(["e7"]));
    }

    #[test]
    fn a_name_cannot_end_the_quotes() {
        assert_eq!(quoted(r#"a"b\"#), r#""a\"b\\""#);
    }
}
