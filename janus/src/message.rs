//! Requests and what comes back, without I/O.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{Error, Reply};

/// A session description as Janus has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jsep {
    /// `offer` or `answer`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The SDP.
    pub sdp: String,
}

/// Something that happened to a handle without being asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The plugin says something.
    Plugin {
        /// In the plugin's own words.
        data: Value,
        /// An offer or answer that comes with it.
        jsep: Option<Jsep>,
    },
    /// Media can flow.
    WebrtcUp,
    /// Media of one kind begins to come, or stops.
    Media {
        /// Name of the m-line; old versions do not say it.
        mid: Option<String>,
        /// `audio` or `video`.
        kind: String,
        /// It comes; `false`: none came for some seconds.
        receiving: bool,
    },
    /// The peer connection is gone.
    Hangup {
        /// In Janus' words.
        reason: String,
    },
    /// The handle is gone.
    Detached,
    /// Anything else: `slowlink`, `trickle`, …
    Other(Value),
}

/// What a text from Janus is.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// The final answer to a request.
    Answer { transaction: String, result: Result<Reply, Error> },
    /// Something about a handle.
    Event { handle: u64, event: Event },
    /// The session timed out.
    Timeout,
    /// Of no interest: `ack`, `keepalive`.
    Nothing,
}

/// What a request has to hold, and under which name; nothing, where Janus wants none.
pub(crate) type Secret = Option<(&'static str, String)>;

/// Puts a request together.
pub(crate) fn request(
    what: &str,
    transaction: &str,
    secret: &Secret,
    mut fields: Map<String, Value>,
) -> Value {
    fields.insert("janus".to_owned(), json!(what));
    fields.insert("transaction".to_owned(), json!(transaction));
    if let Some((name, secret)) = secret {
        fields.insert((*name).to_owned(), json!(secret));
    }
    Value::Object(fields)
}

/// Reads a text from Janus.
pub(crate) fn read(text: &str) -> Result<Incoming, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let kind = value["janus"].as_str().ok_or("no 'janus' in it")?.to_owned();
    let transaction = value["transaction"].as_str().map(str::to_owned);
    let jsep = || serde_json::from_value::<Jsep>(value["jsep"].clone()).ok();
    let plugin = value["plugindata"]["plugin"].as_str().unwrap_or("plugin").to_owned();
    // A plugin's words, or those of the admin API.
    let data = [&value["plugindata"]["data"], &value["info"]].into_iter().find(|data| !data.is_null());
    let data = data.cloned().unwrap_or_default();
    match (kind.as_str(), transaction) {
        ("ack" | "keepalive", _) => Ok(Incoming::Nothing),
        ("error", Some(transaction)) => {
            let error = &value["error"];
            let result = Err(Error::Janus {
                code: error["code"].as_i64().unwrap_or_default(),
                reason: error["reason"].as_str().unwrap_or("refused").to_owned(),
            });
            Ok(Incoming::Answer { transaction, result })
        }
        ("success" | "event", Some(transaction)) => {
            let id = value["data"]["id"].as_u64();
            let result = match data["error_code"].as_i64() {
                Some(code) => Err(Error::Plugin {
                    plugin,
                    code,
                    reason: data["error"].as_str().unwrap_or("refused").to_owned(),
                }),
                None => Ok(Reply { id, data, jsep: jsep() }),
            };
            Ok(Incoming::Answer { transaction, result })
        }
        ("server_info", Some(transaction)) => {
            Ok(Incoming::Answer { transaction, result: Ok(Reply { data: value, ..Reply::default() }) })
        }
        ("timeout", _) => Ok(Incoming::Timeout),
        (_, _) => {
            let Some(handle) = value["sender"].as_u64() else { return Ok(Incoming::Nothing) };
            let event = match kind.as_str() {
                "event" => Event::Plugin { data, jsep: jsep() },
                "webrtcup" => Event::WebrtcUp,
                "media" => Event::Media {
                    mid: value["mid"].as_str().map(str::to_owned),
                    kind: value["type"].as_str().unwrap_or_default().to_owned(),
                    receiving: value["receiving"].as_bool().unwrap_or_default(),
                },
                "hangup" => Event::Hangup { reason: value["reason"].as_str().unwrap_or_default().to_owned() },
                "detached" => Event::Detached,
                _ => Event::Other(value),
            };
            Ok(Incoming::Event { handle, event })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_that_refuses_is_an_error_in_its_own_words() {
        let text = r#"{"janus":"success","transaction":"t","sender":7,"plugindata":{"plugin":"janus.plugin.streaming",
            "data":{"streaming":"event","error_code":456,"error":"A stream with the provided ID already exists"}}}"#;
        let Ok(Incoming::Answer { transaction, result: Err(error) }) = read(text) else {
            panic!("an answer")
        };
        assert_eq!((transaction.as_str(), error.code()), ("t", Some(456)));
        assert!(error.to_string().contains("already exists"), "{error}");
    }

    #[test]
    fn an_ack_is_not_the_answer() {
        assert!(matches!(read(r#"{"janus":"ack","transaction":"t"}"#), Ok(Incoming::Nothing)));
    }

    #[test]
    fn what_the_admin_api_says_of_a_handle_is_an_answer() {
        let text =
            r#"{"janus":"success","session_id":1,"transaction":"t","handle_id":2,"info":{"handle_id":2}}"#;
        let Ok(Incoming::Answer { result: Ok(reply), .. }) = read(text) else { panic!("an answer") };
        assert_eq!(reply.data, json!({ "handle_id": 2 }));
    }

    #[test]
    fn events_name_their_handle() {
        let text =
            r#"{"janus":"media","session_id":1,"sender":9,"mid":"0","type":"audio","receiving":false}"#;
        let Ok(Incoming::Event { handle: 9, event }) = read(text) else { panic!("an event") };
        let expected = Event::Media { mid: Some("0".to_owned()), kind: "audio".to_owned(), receiving: false };
        assert_eq!(event, expected);
    }

    #[test]
    fn noise_is_an_error_not_a_panic() {
        for text in ["", "{}", "[]", "null", r#"{"janus":3}"#] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
