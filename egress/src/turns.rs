//! [`Turns`]: newcomers are answered as fast as those before them come up, and no faster.
//!
//! An answer is soon made; the handshakes behind it take longer. Whoever is answered begins to count: its checks and flights are sent
//! again and again, and after some time it gives up. Whoever waits for the answer just waits. So in a rush a few shake hands at
//! once, and the others wait for their answers, in the order in which they came. Of one client no more than some wait with all others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;
use std::time::Duration;

use node::http::Client;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Turns for each of the machine's cores: enough for who takes a third of a second, where a core has some 200 joins a second.
const OF_A_CORE: usize = 64;
/// A client has one in so many.
const CLIENTS: usize = 8;
/// How long somebody may wait for a turn. Nobody looks at a page for longer without asking again.
pub const WAIT: Duration = Duration::from_secs(10);
/// How long a turn lasts at most: whoever is far away, or never comes, does not keep all others waiting.
pub const LASTS: Duration = Duration::from_secs(1);

/// So many at once.
pub struct Turns {
    all: Arc<Semaphore>,
    of_one: usize,
    clients: Clients,
    wait: Duration,
}

/// Those of each client that has any, or waits.
type Clients = Arc<Mutex<HashMap<IpAddr, Arc<Semaphore>>>>;

/// Somebody's turn, until it is dropped.
pub struct Turn {
    _of_all: OwnedSemaphorePermit,
    _of_its_client: OwnedSemaphorePermit,
    _guest: Guest,
}

/// Keeps what there is of a client.
struct Guest {
    clients: Clients,
    client: IpAddr,
    turns: Arc<Semaphore>,
}

impl Turns {
    /// As many as this machine gets done.
    pub fn of_this_machine() -> Turns {
        let most = OF_A_CORE * available_parallelism().map_or(1, usize::from);
        Turns::new(most, most / CLIENTS, WAIT)
    }

    fn new(most: usize, of_one: usize, wait: Duration) -> Turns {
        Turns { all: Arc::new(Semaphore::new(most)), of_one, clients: Clients::default(), wait }
    }

    /// Waits for a turn. `None`: for too long.
    pub async fn wait(&self, client: Client) -> Option<Turn> {
        let guest = self.guest(client.network());
        let turns = async {
            let of_its_client = guest.turns.clone().acquire_owned().await.ok()?;
            Some((self.all.clone().acquire_owned().await.ok()?, of_its_client))
        };
        let (of_all, of_its_client) = tokio::time::timeout(self.wait, turns).await.ok()??;
        Some(Turn { _of_all: of_all, _of_its_client: of_its_client, _guest: guest })
    }

    fn guest(&self, client: IpAddr) -> Guest {
        let turns = locked(&self.clients)
            .entry(client)
            .or_insert_with(|| Arc::new(Semaphore::new(self.of_one)))
            .clone();
        Guest { clients: self.clients.clone(), client, turns }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut clients = locked(&self.clients);
        // One of them is the map's and one this one's.
        if Arc::strong_count(&self.turns) <= 2 {
            clients.remove(&self.client);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt;
    use futures_util::future::join;

    use super::*;

    fn client(last: u8) -> Client {
        Client::new([192, 0, 2, last].into())
    }

    #[tokio::test]
    async fn whoever_comes_first_has_the_first_turn() {
        let turns = Turns::new(2, 2, WAIT);
        let first = turns.wait(client(1)).await.unwrap();
        let second = turns.wait(client(2)).await.unwrap();
        let (mut third, mut fourth) = (pin!(turns.wait(client(3))), pin!(turns.wait(client(4))));
        assert!(third.as_mut().now_or_never().is_none() && fourth.as_mut().now_or_never().is_none());
        drop(second);
        assert!(fourth.as_mut().now_or_never().is_none(), "it is the third's turn");
        assert!(third.now_or_never().flatten().is_some());
        drop(first);
        assert!(fourth.now_or_never().flatten().is_some());
    }

    #[tokio::test]
    async fn one_client_does_not_keep_others_waiting() {
        let turns = Turns::new(4, 2, WAIT);
        let _two = join(turns.wait(client(1)), turns.wait(client(1))).await;
        let mut third = pin!(turns.wait(client(1)));
        assert!(third.as_mut().now_or_never().is_none());
        let other = turns.wait(client(2)).now_or_never().flatten();
        assert!(other.is_some(), "there are turns, and it has none yet");
    }

    #[tokio::test]
    async fn nobody_waits_for_ever_and_who_has_gone_is_forgotten() {
        let turns = Turns::new(1, 1, Duration::from_millis(10));
        let one = turns.wait(client(1)).await;
        assert!(one.is_some());
        let (second, third) = join(turns.wait(client(2)), turns.wait(client(1))).await;
        assert!(second.is_none() && third.is_none());
        assert_eq!(locked(&turns.clients).len(), 1);
        drop(one);
        assert!(locked(&turns.clients).is_empty());
        assert!(turns.wait(client(2)).await.is_some(), "who gave up has no turn");
    }
}
