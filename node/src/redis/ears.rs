//! Connections that listen: one, or one to each master of a Cluster.
//!
//! In a Cluster what is published is heard everywhere, but what a server says about keys it says of its own ones only. So
//! keys are listened to at all masters, and all else at the first.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::{PubSub, PubSubSink, PubSubStream};
use redis::{Msg, RedisError, RedisResult, Value};
use tokio::time::timeout;

/// To subscribe with. Clones share the connections.
#[derive(Clone)]
pub struct Ears {
    sinks: Vec<PubSubSink>,
    answer: Duration,
}

/// What is heard.
pub struct Messages(Vec<PubSubStream>);

/// The two halves of these connections. `answer`: how long an answer is waited for.
pub fn split(connections: Vec<PubSub>, answer: Duration) -> (Ears, Messages) {
    let (sinks, streams) = connections.into_iter().map(PubSub::split).unzip();
    (Ears { sinks, answer }, Messages(streams))
}

impl Ears {
    /// Listens to what others publish.
    pub async fn subscribe(&mut self, channels: &[String]) -> RedisResult<()> {
        let answer = self.answer;
        for sink in self.sinks.iter_mut().take(1) {
            within(answer, sink.subscribe(channels)).await?;
        }
        Ok(())
    }

    /// Listens to what servers say about keys.
    pub async fn subscribe_to_keys(&mut self, channels: &[String]) -> RedisResult<()> {
        let answer = self.answer;
        for sink in &mut self.sinks {
            within(answer, sink.subscribe(channels)).await?;
        }
        Ok(())
    }

    /// And no more.
    pub async fn unsubscribe_from_keys(&mut self, channels: &[String]) -> RedisResult<()> {
        let answer = self.answer;
        for sink in &mut self.sinks {
            within(answer, sink.unsubscribe(channels)).await?;
        }
        Ok(())
    }

    /// All of them answer.
    pub async fn ping(&mut self) -> RedisResult<()> {
        let answer = self.answer;
        let pings = self.sinks.iter_mut().map(|sink| within(answer, sink.ping::<Value>()));
        futures_util::future::try_join_all(pings).await.map(drop)
    }
}

impl Messages {
    /// The next message; `None` when one of the connections has ended. Dropping it loses nothing.
    pub async fn next(&mut self) -> Option<Msg> {
        poll_fn(|context| {
            for stream in &mut self.0 {
                if let Poll::Ready(message) = stream.poll_next_unpin(context) {
                    return Poll::Ready(message);
                }
            }
            Poll::Pending
        })
        .await
    }
}

async fn within<T>(answer: Duration, work: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    let silent = || RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
    timeout(answer, work).await.unwrap_or_else(|_| Err(silent()))
}
