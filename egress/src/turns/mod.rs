//! [`Turns`]: newcomers are answered as fast as those before them come up, and no faster.
//!
//! An answer is soon made; the handshakes behind it take longer. Whoever is answered begins to count: its checks and flights are sent
//! again and again, and after some time it gives up. Whoever waits for the answer just waits. So in a rush a few shake hands at
//! once, and the others wait for their answers: of one client in the order in which they came, and clients one after the other.
//! A client that is alone may have all turns.

mod line;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;
use std::time::Duration;

use node::http::Client;

use line::{Came, Line};

/// Turns for each of the machine's cores: enough for who takes a third of a second, where a core has some 200 joins a second.
const OF_A_CORE: usize = 64;
/// How long somebody may wait for a turn. Nobody looks at a page for longer without asking again.
pub const WAIT: Duration = Duration::from_secs(10);
/// How long a turn lasts at most: whoever is far away, or never comes, does not keep all others waiting.
pub const LASTS: Duration = Duration::from_secs(1);

/// So many at once.
pub struct Turns {
    line: Shared,
    wait: Duration,
}

type Shared = Arc<Mutex<Line<Turn>>>;

/// Why a turn did not come in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// The node does not get more done.
    All,
    /// Others waited, too, and its client's turns went to those before it.
    OfOne,
}

/// Somebody's turn, until it is dropped. `None`: it was handed on.
pub struct Turn(Option<Shared>);

impl Turns {
    /// As many as this machine gets done.
    pub fn of_this_machine() -> Turns {
        Turns::new(OF_A_CORE * available_parallelism().map_or(1, usize::from), WAIT)
    }

    fn new(most: usize, wait: Duration) -> Turns {
        Turns { line: Arc::new(Mutex::new(Line::new(most))), wait }
    }

    /// Waits for a turn.
    pub async fn wait(&self, client: Client) -> Result<Turn, Late> {
        let client = client.network();
        // A statement of its own: the lock is free again before anybody waits.
        let came = locked(&self.line).comes(client);
        let (number, turn) = match came {
            Came::Free => return Ok(Turn(Some(self.line.clone()))),
            Came::Waits(number, turn) => (number, turn),
        };
        let place = Place { line: &self.line, client, number };
        match tokio::time::timeout(self.wait, turn).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(place.why_late()),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(line) = self.0.take() else { return };
        loop {
            let next = locked(&line).next();
            // Nobody waits: it is free.
            let Some(next) = next else { return };
            match next.send(Turn(Some(line.clone()))) {
                Ok(()) => return,
                // He gave up just now: it is the next one's.
                Err(mut back) => back.0 = None,
            }
        }
    }
}

/// Somebody's place in the line, which is the others' once he does not wait any more.
struct Place<'a> {
    line: &'a Shared,
    client: IpAddr,
    number: u64,
}

impl Place<'_> {
    fn why_late(&self) -> Late {
        match locked(self.line).is_kept_by_its_own(self.client, self.number) {
            true => Late::OfOne,
            false => Late::All,
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        locked(self.line).leaves(self.client, self.number);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
