//! Two sweepers, each of which takes the lease from the other at any time, goes on although it has lost it, or dies between any two
//! steps; and an injection that comes back at any time, or never. It loses nothing from then on, and nobody is told that
//! what it has is over; of one that does not come back nothing is left, and the end of each session is told once.

use injection::session::Session;
use injection::store::Sessions;
use node::contract::key;
use node::sweep::Sweeper;
use node::sweep::carry::{Terms, carry};
use node::sweep::work::{Leftover, Work};
use node::tree::Timing;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;

use crate::common::{Server, config};
use crate::crowd::{begin, now};

/// What was written before this many ms is old.
const LATELY: u64 = 60_000;

/// One of the two.
#[derive(Default)]
struct Hand {
    terms: Option<Terms>,
    works: Vec<Work>,
}

struct World {
    redis: MultiplexedConnection,
    store: Sessions,
    tree: String,
    injection: String,
    sessions: Vec<Session>,
    hands: [Hand; 2],
    /// Which numbers the tree's sessions have had.
    versions: Vec<u64>,
}

impl World {
    async fn new(server: &Server, seed: u64) -> World {
        let (tree, injection) = (format!("tree-{seed}"), format!("injection-{seed}"));
        let mut redis = server.client().await;
        let store = Sessions::new(config(server).redis, &injection, &tree);
        let mut sessions = Vec::new();
        for name in ["a", "b"] {
            let session = begin(&store, &format!("{name}{seed}")).await;
            let hash = key::session(&session.id);
            let _: () = redis.pexpire(hash, 86_400_000 - 2 * LATELY as i64).await.unwrap();
            sessions.push(session);
        }
        let mut world = World {
            redis,
            store,
            tree,
            injection,
            sessions,
            hands: Default::default(),
            versions: Vec::new(),
        };
        world.version().await;
        world
    }

    async fn version(&mut self) {
        let version: u64 = self.redis.get(key::session_version(&self.tree)).await.unwrap();
        if self.versions.last() != Some(&version) {
            self.versions.push(version);
        }
    }

    /// The lease expires, and this one takes it.
    async fn takes(&mut self, hand: usize) {
        let _: () = self.redis.del(key::sweeper_lease(&self.tree)).await.unwrap();
        let every = Timing::default().reread;
        let sweeper = Sweeper::new(&self.tree, &format!("hand-{hand}"), every, every);
        let fence = sweeper.take(&mut self.redis, now()).await.unwrap().expect("nobody has it");
        let leftover = |session: &Session| Leftover::Session {
            id: session.id.clone(),
            injection: self.injection.clone(),
        };
        let works = self.sessions.iter().map(|session| Work::new(leftover(session))).collect();
        let terms = Terms { tree: self.tree.clone(), fence, lately: LATELY };
        self.hands[hand] = Hand { terms: Some(terms), works };
    }

    /// One step of what this one has begun. `false`: there is none.
    async fn steps(&mut self, hand: usize) -> bool {
        let Hand { terms: Some(terms), works } = &mut self.hands[hand] else { return false };
        let Some(work) = works.iter_mut().find(|work| work.next().is_some()) else { return false };
        let step = work.next().expect("just found");
        let answer = carry(&mut self.redis, terms, &work.leftover, step, now()).await.unwrap();
        work.answered(answer);
        self.version().await;
        true
    }

    /// The injection is back, as one that could not reach Redis for a while.
    async fn returns(&mut self) {
        let _: () = self.redis.hset(key::node(&self.injection), "host", "10.0.0.1").await.unwrap();
        self.store.mend(&self.sessions, now()).await.unwrap();
        self.version().await;
    }

    /// Where a session is: in its four sets, and active by its hash.
    async fn places(&mut self, id: &str) -> [bool; 5] {
        let mut pipe = redis::pipe();
        for set in [
            key::sessions(&self.injection),
            key::ACTIVE_SESSIONS.to_owned(),
            key::INDEXED_SESSIONS.to_owned(),
            key::session_index(&self.tree),
        ] {
            pipe.sismember(set, id);
        }
        pipe.hget(key::session(id), "active");
        let (a, b, c, d, active): (bool, bool, bool, bool, String) =
            pipe.query_async(&mut self.redis).await.unwrap();
        [a, b, c, d, active == "true"]
    }

    async fn claims(&mut self) -> Vec<String> {
        self.redis.hkeys(key::session_claims(&self.tree)).await.unwrap()
    }
}

async fn try_it(server: &Server, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut world = World::new(server, seed).await;
    let ids: Vec<String> = world.sessions.iter().map(|session| session.id.clone()).collect();
    // Of two thirds of them the injection comes back, after so many steps.
    let returns = (random.random_range(0..3) > 0).then(|| random.random_range(0..40));
    let mut since = None;
    for step in 0..60 {
        if returns == Some(step) {
            world.returns().await;
            since = Some(world.versions.len());
        }
        let hand = random.random_range(0..2);
        match random.random_range(0..12) {
            0 => world.takes(hand).await,
            1 => world.hands[hand] = Hand::default(),
            _ => drop(world.steps(hand).await),
        }
        if let Some(since) = since {
            for id in &ids {
                assert_eq!(world.places(id).await, [true; 5], "seed {seed}, step {step}: {id}");
            }
            assert_eq!(world.versions.len(), since, "seed {seed}, step {step}: somebody is told");
        }
    }
    // At last one comes to its end.
    world.takes(0).await;
    while world.steps(0).await {}
    // And the other, which has not noticed, to its own.
    while world.steps(1).await {}
    for id in &ids {
        let wanted = [since.is_some(); 5];
        assert_eq!(world.places(id).await, wanted, "seed {seed}: {id} at last");
    }
    if since.is_none() {
        assert_eq!(world.claims().await, [""; 0], "seed {seed}");
        assert_eq!(world.versions.len(), 1 + ids.len(), "seed {seed}: each is told of once");
    }
}

#[tokio::test]
async fn two_sweepers_take_nothing_from_who_lives() {
    let server = Server::start("").await;
    for seed in 0..200 {
        try_it(&server, seed).await;
    }
}
