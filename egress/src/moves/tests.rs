use node::directory::Particulars;
use node::record::NodeType;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

fn egress(id: &str, viewers: u32, max_viewers: u32) -> (String, Entry) {
    let entry = Entry {
        node_type: NodeType::Egress,
        url: format!("http://{id}"),
        zone: String::new(),
        status: "active".to_owned(),
        parent: None,
        particulars: Particulars { viewers, max_viewers, ..Particulars::default() },
    };
    (id.to_owned(), entry)
}

fn places<const N: usize>(egresses: [(String, Entry); N]) -> Places {
    [("show".to_owned(), egresses.into())].into()
}

fn viewers(count: usize, hears: bool) -> Vec<Viewer> {
    let viewer = |n: usize| Viewer { session: "show".to_owned(), name: format!("viewer-{n:04}"), hears };
    (0..count).map(viewer).collect()
}

fn at(ms: u64) -> Here<'static> {
    Here { node: "here", zone: "", now: Duration::from_millis(ms), lets_go: false }
}

/// Who is told to go where.
fn told(plan: &Plan) -> Vec<(&str, &str)> {
    fn told(step: &Step) -> Option<(&str, &str)> {
        match step {
            Step::Tell { viewer, to, .. } => Some((viewer.as_str(), to.as_str())),
            Step::LetGo { .. } => None,
        }
    }
    plan.steps.iter().filter_map(told).collect()
}

#[test]
fn viewers_are_sent_one_after_the_other_and_not_here() {
    let (mut moves, all) = (Moves::default(), viewers(200, true));
    let places = places([egress("here", 200, 300), egress("e2", 0, 300)]);
    let mut sent = Vec::new();
    for tick in 0..100 {
        let plan = moves.plan(&all, &places, at(tick * 20));
        assert!(told(&plan).len() <= 10, "{plan:?}");
        assert_eq!((plan.hopeful, plan.homeless), (200, 0));
        sent.extend(told(&plan).into_iter().map(|(viewer, to)| (viewer.to_owned(), to.to_owned())));
        if sent.len() == 200 {
            assert!(tick > 40, "all at once");
            break;
        }
    }
    sent.sort();
    sent.dedup();
    assert!(sent.len() == 200 && sent.iter().all(|(_, to)| to == "e2"), "{sent:?}");
    let Some(Step::Tell { url, .. }) = Moves::default().plan(&all, &places, at(0)).steps.first().cloned()
    else {
        panic!("nobody is told")
    };
    assert_eq!(url, "http://e2/whep/endpoint/show");
}

#[test]
fn who_does_not_go_is_told_again_of_another_place() {
    let (mut moves, one) = (Moves::default(), viewers(1, true));
    let places = places([egress("e2", 0, 300), egress("e3", 0, 300)]);
    let to = |plan: &Plan| told(plan).first().map(|(_, to)| (*to).to_owned());
    let first = to(&moves.plan(&one, &places, at(0))).unwrap();
    assert_eq!(to(&moves.plan(&one, &places, at(5_900))), None, "it is on its way");
    let second = to(&moves.plan(&one, &places, at(6_100))).unwrap();
    assert_ne!(first, second);
    assert_eq!(to(&moves.plan(&one, &places, at(12_200))), None, "more patience each time");
    assert_eq!(to(&moves.plan(&one, &places, at(18_200))), Some(first));
    let gone = moves.plan(&[], &places, at(18_300));
    assert!(gone == Plan::default() && moves.told.is_empty(), "{gone:?}");
}

#[test]
fn who_has_nowhere_to_go_is_left_in_peace() {
    let mut moves = Moves::default();
    let full = places([egress("here", 1, 300), egress("e2", 300, 300)]);
    let plan = moves.plan(&viewers(3, true), &full, at(0));
    assert_eq!(plan, Plan { homeless: 3, ..Plan::default() });
    let plan = moves.plan(&viewers(3, true), &Places::new(), at(0));
    assert_eq!(plan, Plan { homeless: 3, ..Plan::default() });
    // Of three, two have room.
    let plan = moves.plan(&viewers(3, true), &places([egress("e2", 298, 300)]), at(0));
    assert_eq!((plan.hopeful, plan.homeless), (2, 1));
}

#[test]
fn who_cannot_be_told_is_let_go_in_the_end_if_there_is_room() {
    let (mut moves, deaf) = (Moves::default(), viewers(1, false));
    let places = places([egress("e2", 0, 300)]);
    assert_eq!(moves.plan(&deaf, &places, at(0)), Plan::default());
    let last = Here { lets_go: true, ..at(1000) };
    let plan = moves.plan(&deaf, &places, last);
    assert!(matches!(&plan.steps[..], [Step::LetGo { viewer, .. }] if viewer == "viewer-0000"), "{plan:?}");
    assert_eq!(moves.plan(&deaf, &Places::new(), last).steps, []);
}

#[test]
fn who_has_been_told_three_times_and_stays_keeps_no_node_from_being_emptied() {
    let (mut moves, one) = (Moves::default(), viewers(1, true));
    let places = places([egress("e2", 0, 300)]);
    for ms in [0, 6_100, 18_200] {
        let plan = moves.plan(&one, &places, Here { lets_go: true, ..at(ms) });
        assert_eq!(told(&plan).len(), 1, "{ms}: {plan:?}");
    }
    let ends = Here { lets_go: true, ..at(42_300) };
    assert!(moves.plan(&one, &places, at(42_100)).steps.is_empty(), "it is on its way yet");
    assert!(matches!(&moves.plan(&one, &places, ends).steps[..], [Step::LetGo { .. }]));
    // Of a node that only is cut off it may stay.
    assert_eq!(told(&moves.plan(&one, &places, at(43_000))).len(), 1);
    let nowhere = moves.plan(&one, &super::Places::new(), Here { lets_go: true, ..at(200_000) });
    assert!(nowhere.steps.is_empty(), "it has nowhere to go");
}

#[test]
fn a_viewer_knows_beforehand_where_else_to_go() {
    let carriers =
        places([egress("here", 9, 300), egress("e2", 0, 300), egress("e3", 300, 300), egress("e4", 0, 300)]);
    let carriers = &carriers["show"];
    let urls = |viewer: &str| elsewhere(carriers, viewer, at(0)).into_iter().map(|entry| entry.url);
    let mut sorted: Vec<_> = urls("viewer-1").collect();
    sorted.sort();
    assert_eq!(sorted, ["http://e2", "http://e4"]);
    let of_e2 = (0..1000).filter(|n| urls(&format!("v{n}")).next().unwrap() == "http://e2").count();
    assert!((400..600).contains(&of_e2), "{of_e2} of 1000 to one of two that are alike");
    assert_eq!(spread(carriers, at(0), 200), 250);
    assert_eq!(spread(carriers, at(0), 1_000_000), LONGEST_SPREAD);
}

/// Places that take in who comes as long as they have room, and are seen as they were up to three seconds ago.
struct World {
    places: BTreeMap<String, (u32, u32)>,
    seen: Places,
    viewers: Vec<Viewer>,
    refused: usize,
}

#[test]
fn in_a_thousand_worlds_nobody_is_sent_where_no_room_is_and_all_arrive() {
    for seed in 0..1000 {
        let mut dice = StdRng::seed_from_u64(seed);
        let count = dice.random_range(1..60);
        let places: BTreeMap<String, (u32, u32)> = (0..dice.random_range(1..5))
            .map(|n| {
                let most = dice.random_range(1..100);
                (format!("e{n}"), (dice.random_range(0..=most), most))
            })
            .collect();
        let room: u32 = places.values().map(|(taken, most)| most - taken).sum();
        let left = usize::saturating_sub(count, room as usize);
        let mut world = World { places, seen: Places::new(), viewers: viewers(count, true), refused: 0 };
        world.look();
        let (fails, lag) = (if seed % 4 == 0 { 0.3 } else { 0.0 }, dice.random_range(1..150));
        let mut moves = Moves::default();
        let mut on_their_way: Vec<(u64, String, String)> = Vec::new();
        let mut tick = 0;
        // Soon, and then so seldom that the most patient have tried often enough.
        while tick < 50_000 {
            tick += if tick < 500 { 1 } else { 50 };
            let plan = moves.plan(&world.viewers, &world.seen, at(tick * 20));
            for (viewer, to) in told(&plan) {
                if !dice.random_bool(fails) {
                    on_their_way.push((tick + dice.random_range(1..40), viewer.to_owned(), to.to_owned()));
                }
            }
            for (_, viewer, to) in on_their_way.extract_if(.., |(when, ..)| *when <= tick) {
                world.arrives(&viewer, &to);
            }
            if tick % lag == 0 || tick >= 500 {
                world.look();
            }
            if world.viewers.len() <= left && on_their_way.is_empty() {
                break;
            }
        }
        assert_eq!((world.refused, world.viewers.len()), (0, left), "seed {seed}");
    }
}

impl World {
    fn look(&mut self) {
        let seen = self.places.iter().map(|(id, (taken, most))| egress(id, *taken, *most));
        self.seen = [("show".to_owned(), seen.collect())].into();
    }

    fn arrives(&mut self, viewer: &str, to: &str) {
        let (taken, most) = self.places.get_mut(to).unwrap();
        if *taken == *most {
            self.refused += 1;
            return;
        }
        *taken += 1;
        self.viewers.retain(|there| there.name != viewer);
    }
}
