//! Places of which there are so many, and so many for one client: whoever wants more than that keeps nobody else from having
//! one.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Client;

/// Places, and who has how many.
#[derive(Debug)]
pub struct Shares {
    most: usize,
    most_of_one: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    of: HashMap<IpAddr, usize>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoShare {
    /// All are taken.
    All,
    /// This client has as many as one may have.
    OfOne,
}

impl Shares {
    /// So many, and so many for one client.
    pub fn new(most: usize, most_of_one: usize) -> Arc<Shares> {
        Arc::new(Shares { most, most_of_one, taken: Mutex::default() })
    }

    /// A place, for as long as it is kept.
    pub fn take(self: &Arc<Self>, client: Client) -> Result<Share, NoShare> {
        let mut taken = self.taken();
        let client = client.network();
        let has = taken.of.get(&client).copied().unwrap_or_default();
        if has >= self.most_of_one {
            return Err(NoShare::OfOne);
        }
        if taken.all >= self.most {
            return Err(NoShare::All);
        }
        taken.all += 1;
        taken.of.insert(client, has + 1);
        Ok(Share { shares: self.clone(), client })
    }

    /// How many are taken.
    pub fn taken_now(&self) -> usize {
        self.taken().all
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place that is taken.
#[derive(Debug)]
pub struct Share {
    shares: Arc<Shares>,
    client: IpAddr,
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.shares.taken();
        taken.all -= 1;
        if let Some(has) = taken.of.get_mut(&self.client) {
            *has -= 1;
            if *has == 0 {
                taken.of.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_does_not_take_all() {
        let client = |text: &str| Client::new(text.parse().unwrap());
        let (one, other) = (client("10.0.0.1"), client("10.0.0.2"));
        let shares = Shares::new(3, 2);
        let first = shares.take(one).unwrap();
        let _second = shares.take(one).unwrap();
        assert_eq!(shares.take(one).unwrap_err(), NoShare::OfOne);
        let _third = shares.take(other).unwrap();
        assert_eq!(shares.take(client("10.0.0.3")).unwrap_err(), NoShare::All);
        assert_eq!(shares.taken_now(), 3);
        drop(first);
        assert!(shares.take(one).is_ok());
        assert_eq!((shares.taken_now(), shares.taken().of.len()), (2, 2), "who has none is forgotten");
    }
}
