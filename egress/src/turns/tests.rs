use std::pin::pin;

use futures_util::FutureExt;
use futures_util::future::{join, join_all};
use proptest::prelude::*;

use super::*;

fn client(last: u8) -> Client {
    Client::new([192, 0, 2, last].into())
}

fn look(turns: &Turns) -> (usize, usize) {
    locked(&turns.line).look()
}

/// Whether it is somebody's turn already.
macro_rules! comes {
    ($waits:expr) => {
        $waits.as_mut().now_or_never().and_then(Result::ok)
    };
}

#[tokio::test]
async fn whoever_comes_first_has_the_first_turn() {
    let turns = Turns::new(2, WAIT);
    let first = turns.wait(client(1)).await.ok();
    let second = turns.wait(client(2)).await.ok();
    let (mut third, mut fourth) = (pin!(turns.wait(client(3))), pin!(turns.wait(client(4))));
    assert!(comes!(third).is_none() && comes!(fourth).is_none());
    drop(second);
    assert!(comes!(fourth).is_none(), "it is the third's turn");
    assert!(comes!(third).is_some());
    drop(first);
    assert!(comes!(fourth).is_some());
}

/// However many watch behind one address: nobody else waits.
#[tokio::test]
async fn who_is_alone_has_all_turns() {
    let turns = Turns::new(16, WAIT);
    let all = join_all((0..16).map(|_| turns.wait(client(1)))).now_or_never();
    assert!(all.is_some_and(|all| all.iter().all(Result::is_ok)));
}

#[tokio::test]
async fn clients_have_their_turns_one_after_the_other() {
    let turns = Turns::new(1, WAIT);
    let mut now = turns.wait(client(9)).await.ok();
    // Three of the first have come before the second's two, and the third's.
    let mut waiting: Vec<_> = [1, 1, 1, 2, 2, 3].map(|of| (of, Box::pin(turns.wait(client(of))))).into();
    assert!(waiting.iter_mut().all(|(_, waits)| comes!(waits).is_none()));
    let mut order = Vec::new();
    while !waiting.is_empty() {
        drop(now.take());
        for at in 0..waiting.len() {
            now = comes!(waiting[at].1);
            if now.is_some() {
                order.push(waiting.remove(at).0);
                break;
            }
        }
        assert!(now.is_some(), "a turn is nobody's: {order:?}");
    }
    assert_eq!(order, [1, 2, 3, 1, 2, 1]);
    drop(now);
    assert_eq!(look(&turns), (1, 0));
}

#[tokio::test]
async fn nobody_waits_for_ever_and_who_has_gone_is_forgotten() {
    let turns = Turns::new(1, Duration::from_millis(10));
    let one = turns.wait(client(1)).await;
    assert!(one.is_ok());
    let (second, third) = join(turns.wait(client(2)), turns.wait(client(1))).await;
    assert_eq!([second.err(), third.err()], [Some(Late::All); 2]);
    assert_eq!(look(&turns), (0, 0));
    drop(one);
    assert_eq!(look(&turns), (1, 0));
    assert!(turns.wait(client(2)).await.is_ok(), "who gave up has no turn");
}

/// Who goes away while he waits, or just as he is given his turn, takes none along.
#[tokio::test]
async fn a_turn_of_somebody_who_has_gone_is_the_next_ones() {
    let turns = Turns::new(1, WAIT);
    let one = turns.wait(client(1)).await.ok();
    let (mut gone, mut given) = (Box::pin(turns.wait(client(1))), Box::pin(turns.wait(client(2))));
    let mut last = pin!(turns.wait(client(3)));
    assert!(comes!(gone).is_none() && comes!(given).is_none() && comes!(last).is_none());
    drop(gone);
    drop(one);
    assert!(comes!(last).is_none(), "it is the second's");
    drop(given);
    assert!(comes!(last).is_some());
    assert_eq!(look(&turns), (1, 0));
}

#[test]
fn whose_share_is_used_up_is_told_from_a_node_that_is() {
    let [one, other] = [1, 2].map(|last| client(last).network());
    let mut line = Line::<()>::new(0);
    let comes = |line: &mut Line<()>, client| match line.comes(client) {
        Came::Waits(number, _) => number,
        Came::Free => panic!("there are none"),
    };
    let all = [one, one, one].map(|client| comes(&mut line, client));
    assert!(line.next().is_some());
    assert!(!line.is_kept_by_its_own(one, all[2]), "it is alone: the node does not get more done");
    let another = comes(&mut line, other);
    assert!(line.is_kept_by_its_own(one, all[2]), "the other waits, too, and has had no turn");
    assert!(!line.is_kept_by_its_own(other, another));
    // Its share is what it was given since it came.
    let late = comes(&mut line, one);
    assert!(!line.is_kept_by_its_own(one, late));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whoever comes, passes its turn on or gives up while it waits, in any order: no turn is lost, none is had twice, and
    /// nobody waits while one is free.
    #[test]
    fn no_turn_is_lost(happens in prop::collection::vec((0..3_u8, 0..8_u8), 0..100)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _inside = runtime.enter();
        let turns = Turns::new(2, WAIT);
        let (mut held, mut waiting) = (Vec::new(), Vec::new());
        for (what, which) in happens {
            let of = |all: usize| usize::from(which) % all;
            match what {
                0 => waiting.push(Box::pin(turns.wait(client(which)))),
                1 if !held.is_empty() => drop(held.swap_remove(of(held.len()))),
                2 if !waiting.is_empty() => drop(waiting.swap_remove(of(waiting.len()))),
                _ => {}
            }
            waiting.retain_mut(|waits| match comes!(waits) {
                Some(turn) => {
                    held.push(turn);
                    false
                }
                None => true,
            });
            let (free, clients) = look(&turns);
            prop_assert_eq!(held.len() + free, 2);
            prop_assert_eq!(free > 0, clients == 0 && held.len() < 2);
            prop_assert!(waiting.is_empty() || free == 0);
        }
    }
}
