use proptest::prelude::*;

use super::*;

fn books(pairs: u16) -> Books {
    Books::new(Some(PortPool::new(6000, pairs).unwrap()))
}

fn ssrcs(audio: u32, video: u32) -> PerKind<Ssrc> {
    PerKind { audio: Ssrc(audio), video: Ssrc(video) }
}

fn spec(session: &str, audio: u32) -> Spec {
    Spec {
        session: session.to_owned(),
        ssrcs: ssrcs(audio, audio + 1),
        room: Some(4000 + u64::from(audio)),
        codec: VideoCodec::Vp8,
    }
}

/// These are the sessions of the tree now.
fn tell(books: &mut Books, sessions: Vec<Spec>) {
    let before: Vec<String> = books.tree.keys().cloned().collect();
    for session in before.iter().filter(|id| sessions.iter().all(|spec| spec.session != **id)) {
        books.ends(session);
    }
    sessions.into_iter().for_each(|spec| books.begins(spec));
}

/// Does what the plan says, as a Janus that never refuses would.
fn carry_out(books: &mut Books) -> Vec<Step> {
    let plan = books.plan();
    for step in &plan {
        match step {
            Step::End(session) => {
                assert!(books.get(session).is_some() || books.released(session).is_some());
                books.forget(session);
            }
            Step::Release(session) => books.keep(session),
            Step::Make(spec) => match books.reserve(spec, true, 1) {
                Ok(_) => books.made(&spec.session),
                Err(refusal) => {
                    let refused = Refused { why: refusal.to_string(), fault: refusal.fault() };
                    books.refuse(&spec.session, refused);
                }
            },
        }
    }
    plan
}

fn sessions(books: &Books) -> Vec<&str> {
    books.all().map(|mountpoint| mountpoint.session.as_str()).collect()
}

#[test]
fn sessions_of_the_tree_get_mountpoints_by_themselves() {
    let mut books = books(5);
    tell(&mut books, vec![spec("s1", 10), spec("s2", 20)]);
    assert_eq!(carry_out(&mut books).len(), 2);
    assert_eq!(sessions(&books), ["s1", "s2"]);
    assert_eq!((books.get("s1").unwrap().id, books.get("s1").unwrap().ports.unwrap().audio), (4010, 6000));
    assert_eq!(books.plan(), [], "nothing more to do");
    tell(&mut books, vec![spec("s2", 20)]);
    assert_eq!(carry_out(&mut books), [Step::End("s1".to_owned())]);
    assert_eq!(books.pool().unwrap().view().allocated, 1);
}

#[test]
fn a_session_that_changed_is_made_anew() {
    let mut books = books(5);
    tell(&mut books, vec![spec("s1", 10)]);
    carry_out(&mut books);
    let changed = Spec { room: Some(4010), ..spec("s1", 30) };
    tell(&mut books, vec![changed.clone()]);
    assert_eq!(books.plan(), [Step::End("s1".to_owned()), Step::Make(changed.clone())]);
    carry_out(&mut books);
    assert_eq!(books.get("s1").unwrap().ssrcs, changed.ssrcs);
}

#[test]
fn asking_for_what_is_there_by_itself_gives_it() {
    let mut books = books(5);
    tell(&mut books, vec![spec("s1", 10)]);
    carry_out(&mut books);
    let there = books.get("s1").unwrap().clone();
    for _ in 0..2 {
        let asked = books.ask(Spec { room: None, ..spec("s1", 10) }, 9).unwrap();
        assert_eq!(asked, Asked::Exists(Box::new(there.clone())));
    }
    assert!(
        matches!(books.ask(spec("s1", 50), 9), Err(error @ Refusal::OtherSsrcs { .. }) if error.to_string().contains("10 (audio)"))
    );
}

#[test]
fn clashes_are_refused_and_leave_nothing_behind() {
    let mut books = books(2);
    let Ok(Asked::Reserved(_)) = books.ask(spec("s1", 10), 1) else { panic!("reserved") };
    books.made("s1");
    let same_room = Spec { room: Some(4010), ..spec("s2", 20) };
    let table = [
        (spec("s1", 10), "has a mountpoint already"),
        (spec("s2", 9), "SSRC 10 belongs to session s1"),
        (spec("s2", 11), "SSRC 11 belongs to session s1"),
        (same_room, "room 4010 belongs to session s1"),
        (Spec { ssrcs: ssrcs(5, 5), ..spec("s2", 5) }, "the same SSRC 5"),
    ];
    for (spec, wanted) in table {
        let why = books.ask(spec, 1).unwrap_err().to_string();
        assert!(why.contains(wanted), "{why}");
        assert_eq!(books.pool().unwrap().view().allocated, 1);
    }
    assert!(matches!(books.ask(spec("s2", 20), 1), Ok(Asked::Reserved(_))));
    assert!(
        matches!(books.ask(spec("s3", 30), 1), Err(error @ Refusal::PortsUsedUp(2)) if error.to_string().contains("all 2 pairs"))
    );
    books.undo("s2", false);
    assert_eq!((books.pool().unwrap().view().allocated, books.plan()), (1, vec![]));
}

#[test]
fn what_was_ended_by_hand_is_not_made_again_by_itself() {
    let mut books = books(5);
    tell(&mut books, vec![spec("s1", 10)]);
    carry_out(&mut books);
    assert!(books.dismiss("s1") && !books.dismiss("s9"));
    assert_eq!(carry_out(&mut books), [Step::End("s1".to_owned())]);
    tell(&mut books, vec![spec("s1", 10)]);
    assert_eq!(books.plan(), []);
    assert!(matches!(books.ask(spec("s1", 10), 1), Ok(Asked::Reserved(_))), "but it is when asked for");
    books.made("s1");
    assert_eq!(books.plan(), []);
    books.dismiss("s1");
    carry_out(&mut books);
    tell(&mut books, vec![]);
    tell(&mut books, vec![spec("s1", 10)]);
    carry_out(&mut books);
    assert_eq!(sessions(&books), ["s1"], "and when the session begins again");
}

#[test]
fn what_was_asked_for_stays_until_its_session_ends_in_the_tree() {
    let mut books = books(5);
    books.ask(Spec { room: None, ..spec("s1", 10) }, 1).unwrap();
    books.made("s1");
    tell(&mut books, vec![spec("s2", 20)]);
    carry_out(&mut books);
    assert_eq!(sessions(&books), ["s1", "s2"], "the tree does not know s1");
    let number = books.get("s1").unwrap().id;
    tell(&mut books, vec![Spec { room: Some(number), ..spec("s1", 10) }]);
    carry_out(&mut books);
    assert_eq!(sessions(&books), ["s1"]);
    tell(&mut books, vec![]);
    carry_out(&mut books);
    assert!(sessions(&books).is_empty());
}

#[test]
fn what_is_released_has_no_ports_and_is_made_again() {
    let mut books = books(5);
    tell(&mut books, vec![spec("s1", 10), spec("s2", 20)]);
    carry_out(&mut books);
    assert!(books.release(true) && !books.release(true));
    assert_eq!(carry_out(&mut books), ["s1", "s2"].map(|id| Step::Release(id.to_owned())));
    assert_eq!((books.pool().unwrap().view().allocated, books.released("s1")), (0, Some(ssrcs(10, 11))));
    assert!(books.wants("s1") && books.plan().is_empty());
    // One ends meanwhile, and another begins.
    tell(&mut books, vec![spec("s1", 10), spec("s3", 30)]);
    assert_eq!(carry_out(&mut books), [Step::End("s2".to_owned())]);
    assert!(books.plan().is_empty());
    books.release(false);
    carry_out(&mut books);
    assert_eq!((sessions(&books), books.released("s1")), (vec!["s1", "s3"], None));
}

#[test]
fn nobody_waits_for_what_was_released_unseen_and_then_refused() {
    let mut books = books(5);
    tell(&mut books, vec![spec("s1", 10)]);
    // The server was away before it had made it.
    books.reserve(&spec("s1", 10), true, 0).unwrap();
    books.keep("s1");
    books.reserve(&spec("s1", 10), true, 0).unwrap();
    books.failed("s1", false);
    assert_eq!((books.released("s1"), books.waiting().count()), (None, 0));
    assert_eq!(books.plan(), [Step::Make(spec("s1", 10))]);
}

#[test]
fn a_janus_that_comes_back_is_given_the_same_again() {
    let mut books = books(5);
    tell(&mut books, vec![spec("s1", 10), spec("s2", 20)]);
    carry_out(&mut books);
    let before: Vec<Mountpoint> = books.all().cloned().collect();
    books.forgotten();
    assert!(books.all().all(|mountpoint| !mountpoint.made));
    assert_eq!(carry_out(&mut books).len(), 2);
    assert_eq!(books.all().cloned().collect::<Vec<_>>(), before);
}

proptest! {
    #[test]
    fn there_is_what_is_wanted_and_ports_are_exact(
        steps in proptest::collection::vec((0u8..4, 0u32..6, 0u32..8), 0..60)
    ) {
        let mut books = books(4);
        let mut tree: BTreeMap<String, Spec> = BTreeMap::new();
        for (what, name, audio) in steps {
            let session = format!("s{name}");
            match what {
                0 => { tree.insert(session.clone(), spec(&session, audio)); }
                1 => { tree.remove(&session); }
                2 => {
                    if let Ok(Asked::Reserved(_)) = books.ask(spec(&session, audio), 1) {
                        if audio % 2 == 0 { books.made(&session) } else { books.undo(&session, false) }
                    }
                }
                _ => { books.dismiss(&session); }
            }
            tell(&mut books, tree.values().cloned().collect());
            carry_out(&mut books);
            let count = books.all().count();
            prop_assert_eq!(usize::from(books.pool().unwrap().view().allocated), count);
            let ssrcs: BTreeSet<Ssrc> = books.all().flat_map(|mountpoint| mountpoint.ssrcs.into_array()).collect();
            let ids: BTreeSet<u64> = books.all().map(|mountpoint| mountpoint.id).collect();
            let pairs: BTreeSet<Pair> = books.all().filter_map(|mountpoint| mountpoint.ports).collect();
            prop_assert_eq!((ssrcs.len(), ids.len(), pairs.len()), (2 * count, count, count));
            // What is left to do was refused for a reason.
            for step in books.plan() {
                let Step::Make(spec) = step else { return Err(TestCaseError::fail("something is to end")) };
                prop_assert!(books.refused().contains_key(&spec.session));
            }
        }
    }
}

#[test]
fn ports_that_janus_cannot_take_are_exchanged_for_others() {
    let mut books = books(3);
    tell(&mut books, vec![spec("s1", 10), spec("s2", 20)]);
    let first = books.reserve(&spec("s1", 10), true, 0).unwrap();
    let held = || "held by socat (PID 7)".to_owned();
    let other = books.other_ports("s1", held(), 0).unwrap();
    assert_eq!(
        (first.ports.unwrap().audio, other.ports.unwrap().audio, books.pool().unwrap().view().allocated),
        (6000, 6002, 1)
    );
    assert_eq!(books.get("s1").unwrap().ports, other.ports);
    books.made("s1");
    assert_eq!((books.pool().unwrap().view().set_aside, books.trouble()), (vec![6000], None));
    // The last one is held as well.
    books.reserve(&spec("s2", 20), true, 0).unwrap();
    let refusal = books.other_ports("s2", held(), 0).unwrap_err();
    assert!(
        refusal.to_string().starts_with("2 of 3 pairs") && refusal.to_string().contains("socat"),
        "{refusal}"
    );
    books.remove("s2");
    assert_eq!(
        (books.pool().unwrap().view().allocated, books.pool().unwrap().view().set_aside),
        (1, vec![6000, 6004])
    );
}

#[test]
fn one_session_that_cannot_be_shown_does_not_make_the_node_ill() {
    let mut books = books(1);
    tell(&mut books, vec![spec("s1", 10), spec("s2", 20)]);
    carry_out(&mut books);
    assert_eq!((books.refused().len(), books.trouble()), (1, None), "one too many");
    tell(&mut books, vec![Spec { ssrcs: ssrcs(5, 5), ..spec("s3", 5) }]);
    carry_out(&mut books);
    assert_eq!(
        (sessions(&books).len(), books.refused().len(), books.trouble()),
        (0, 1, None),
        "its own fault"
    );
    let refused = |fault| Refused { why: "Janus says no".to_owned(), fault };
    tell(&mut books, vec![spec("s4", 30), spec("s5", 40)]);
    books.refuse("s4", refused(Fault::Node));
    assert!(books.trouble().unwrap().contains("session s4: Janus says no"));
    books.reserve(&spec("s5", 40), true, 0).unwrap();
    books.made("s5");
    assert_eq!(books.trouble(), None, "another is shown");
}

#[test]
fn numbers_that_nothing_can_have_are_refused() {
    let mut books = books(3);
    for room in [0, 1 << 53] {
        let why = books.ask(Spec { room: Some(room), ..spec("s1", 10) }, 0).unwrap_err().to_string();
        assert!(why.contains(&format!("not {room}")), "{why}");
    }
    for [audio, video] in [[0, 1], [1, 0]] {
        let why = books.ask(Spec { ssrcs: ssrcs(audio, video), ..spec("s1", 10) }, 0).unwrap_err();
        assert_eq!(why, Refusal::NoSsrc);
    }
    assert_eq!((books.pool().unwrap().view().allocated, books.all().count()), (0, 0));
}

#[test]
fn without_a_pool_there_may_be_a_thousand() {
    let mut books = Books::new(None);
    tell(&mut books, (0..=1000).map(|number| spec(&format!("s{number}"), 10 + 2 * number)).collect());
    carry_out(&mut books);
    assert_eq!(
        (books.all().filter(|mountpoint| mountpoint.ports.is_none()).count(), books.trouble()),
        (1000, None)
    );
    assert_eq!(books.refused().len(), 1);
    tell(&mut books, vec![]);
    carry_out(&mut books);
    assert_eq!(books.all().count(), 0);
}
