use proptest::prelude::*;

use super::*;

/// Passes datagrams from one to the other until both have nothing to say; `lost` says which do not come.
fn talk([a, b]: [&mut Association; 2], mut lost: impl FnMut() -> bool) -> Result<[Option<Keys>; 2], Broken> {
    let mut keys = [None, None];
    let mut quiet = 0;
    while quiet < 2 {
        for who in 0..2 {
            let (from, to) = if who == 0 { (&mut *a, &mut *b) } else { (&mut *b, &mut *a) };
            let datagrams = from.output();
            quiet = if datagrams.is_empty() { quiet + 1 } else { 0 };
            for datagram in datagrams {
                assert!(plausible(&datagram) && datagram.len() <= MTU as usize);
                if lost() {
                    continue;
                }
                if let Progress::Up(up) = to.receive(&datagram)? {
                    keys[1 - who] = Some(*up);
                }
            }
        }
    }
    Ok(keys)
}

fn pair() -> (Association, Association) {
    let (ours, theirs) = (Identity::new().unwrap(), Identity::new().unwrap());
    (
        theirs.associate(false, vec![ours.fingerprint.clone()]).unwrap(),
        ours.associate(true, vec![theirs.fingerprint.clone()]).unwrap(),
    )
}

#[test]
fn both_sides_have_the_same_keys_and_hear_of_the_end() {
    let (mut viewer, mut server) = pair();
    viewer.tick().unwrap();
    let [theirs, ours] = talk([&mut viewer, &mut server], || false).unwrap();
    let (theirs, ours) = (theirs.unwrap(), ours.unwrap());
    assert_eq!(ours.profile, Profile::Aes128Gcm);
    assert!(ours.ours == theirs.theirs && ours.theirs == theirs.ours);
    assert!(ours.ours != ours.theirs && ours.ours.len() == 28);

    server.close();
    let goodbye = server.output().pop_front().unwrap();
    assert!(matches!(viewer.receive(&goodbye), Ok(Progress::Closed)));
}

#[test]
fn goodbyes_are_heard_and_said_without_the_association() {
    for viewer_begins in [true, false] {
        let (mut a, mut b) = pair();
        a.tick().unwrap();
        talk([&mut a, &mut b], || false).unwrap();
        let (mut viewer, server) = if viewer_begins { (a, b) } else { (b, a) };
        let farewell = server.farewell().unwrap();
        drop(server);

        let said = farewell.say().unwrap();
        assert!(plausible(&said) && !farewell.is_in(&said));
        assert!(matches!(viewer.receive(&said), Ok(Progress::Closed)));

        viewer.close();
        let goodbye = viewer.output().pop_back().unwrap();
        assert!(farewell.is_in(&goodbye));
        for at in 0..goodbye.len() {
            let mut forged = goodbye.clone();
            forged[at] ^= 1;
            assert!(!farewell.is_in(&forged), "{at}");
            assert!(!farewell.is_in(&goodbye[..at]));
        }
    }
}

#[test]
fn a_flight_that_gets_lost_is_sent_again() {
    let (mut viewer, mut server) = pair();
    viewer.tick().unwrap();
    let mut first = true;
    let keys = talk([&mut viewer, &mut server], || std::mem::take(&mut first)).unwrap();
    assert!(keys.iter().all(Option::is_none));
    let keys = loop {
        viewer.tick().unwrap();
        if !viewer.stream.get_ref().goes.is_empty() {
            break talk([&mut viewer, &mut server], || false).unwrap();
        }
        std::thread::yield_now();
    };
    assert!(keys.iter().all(Option::is_some));
}

/// The viewer's last flight, each record for itself, in any order that a network may make of them.
#[test]
fn the_last_message_may_overtake_others() {
    for first in 0..4 {
        let (mut viewer, mut server) = pair();
        viewer.tick().unwrap();
        server.receive(&viewer.output().pop_front().unwrap()).unwrap();
        for datagram in server.output() {
            viewer.receive(&datagram).unwrap();
        }
        let flight = viewer.output().into_iter().collect::<Vec<_>>().concat();
        let mut records: Vec<&[u8]> = records(&flight).map(|record| record.unwrap().bytes).collect();
        let last = records.pop().unwrap();
        records.insert(first, last);
        for record in records {
            server.receive(record).unwrap();
        }
        assert!(server.is_up(), "{first}");
    }
}

#[test]
fn a_handshake_without_end_ends() {
    let (mut viewer, mut server) = pair();
    viewer.tick().unwrap();
    let hello = viewer.output().pop_front().unwrap();
    let times = (0..1000).take_while(|_| server.receive(&hello).is_ok()).count();
    assert!((20..=HANDSHAKE_MOST / hello.len()).contains(&times), "{times}");
    assert!(matches!(server.receive(&hello), Err(Broken::Endless)));
}

#[test]
fn another_certificate_than_the_descriptions_is_refused() {
    let (ours, theirs) = (Identity::new().unwrap(), Identity::new().unwrap());
    let mut viewer = theirs.associate(false, vec![ours.fingerprint.clone()]).unwrap();
    for fingerprints in [vec![ours.fingerprint.clone()], Vec::new()] {
        let mut server = ours.associate(true, fingerprints).unwrap();
        viewer.tick().unwrap();
        let refused = talk([&mut viewer, &mut server], || false).err();
        assert!(matches!(refused, Some(Broken::Stranger)), "{refused:?}");
        viewer = theirs.associate(false, vec![ours.fingerprint.clone()]).unwrap();
    }
}

#[test]
fn only_records_of_a_sane_length_are_plausible() {
    let (mut viewer, _) = pair();
    viewer.tick().unwrap();
    let hello = viewer.output().pop_front().unwrap();
    assert!(plausible(&hello));
    assert!(plausible(&[hello.clone(), hello.clone()].concat()));
    assert!(!plausible(&hello[..hello.len() - 1]));
    assert!(!plausible(&[]));
    assert!(!plausible(&[22; 12]));
    let mut long = hello.clone();
    long[14] = 1;
    assert!(!plausible(&long), "a message of 64 KiB");

    // As some put them: several messages in one record.
    let with = |message: &[u8]| {
        let mut record = [&hello, message].concat();
        let length = (record.len() - 13) as u16;
        record[11..13].copy_from_slice(&length.to_be_bytes());
        record
    };
    assert!(plausible(&with(&hello[13..])));
    let behind = [11, 1, 0x80, 0, 0, 3, 0, 0, 0, 0, 0, 1, 7];
    assert!(!plausible(&with(&behind)), "a message of 98 KiB behind another");
    assert!(!plausible(&with(&behind[..11])), "half a header");
}

/// Whoever can send from the viewer's address, but has no keys, ends nothing: neither garbage nor an alert that is not encrypted.
#[test]
fn what_strangers_send_does_not_end_it() {
    let forge = |server: &mut Association, epochs: &[u8]| {
        for (epoch, kind) in epochs.iter().flat_map(|epoch| (20..=24).map(move |kind| (*epoch, kind))) {
            for length in [0, 2, 23, 24, 26, 200] {
                let header = [kind, 254, 253, 0, epoch, 0, 0, 0, 0, 1, kind, 0, length];
                let record = [&header[..], &vec![2; usize::from(length)]].concat();
                if !plausible(&record) {
                    continue;
                }
                let heard = server.receive(&record);
                assert!(matches!(heard, Ok(Progress::Goes)), "{kind} {epoch} {length}: {:?}", heard.err());
            }
        }
    };
    let (mut viewer, mut server) = pair();
    // What is not encrypted is anybody's until the handshake is over.
    forge(&mut server, &[1, 2]);
    viewer.tick().unwrap();
    server.receive(&viewer.output().pop_front().unwrap()).unwrap();
    forge(&mut server, &[1, 2]);
    talk([&mut viewer, &mut server], || false).unwrap();
    assert!(server.is_up());
    forge(&mut server, &[0, 1, 2]);
    viewer.close();
    let goodbye = viewer.output().pop_back().unwrap();
    assert!(matches!(server.receive(&goodbye), Ok(Progress::Closed)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_record_of_a_stranger_ends_it(
        records in prop::collection::vec(
            (20..=25_u8, prop::sample::select(vec![[254, 253], [254, 255], [3, 3]]), 0..4_u8, 0..4_u8,
                prop_oneof![prop::collection::vec(any::<u8>(), 0..40), prop::collection::vec(any::<u8>(), 0..1300)]),
            1..40,
        ),
        whole: bool,
    ) {
        let (mut viewer, mut server) = pair();
        viewer.tick().unwrap();
        talk([&mut viewer, &mut server], || false).unwrap();
        let records: Vec<Vec<u8>> = records.iter().map(|(kind, version, epoch, nth, body)| {
            let [high, low] = (body.len() as u16).to_be_bytes();
            let header = [*kind, version[0], version[1], 0, *epoch, 0, 0, 0, 0, 0, *nth, high, low];
            [&header[..], body].concat()
        }).collect();
        let together = if whole { 2 } else { 1 };
        for datagram in records.chunks(together).map(<[_]>::concat).filter(|bytes| plausible(bytes)) {
            let heard = server.receive(&datagram);
            prop_assert!(matches!(heard, Ok(Progress::Goes)), "{:?}", heard.err());
        }
        viewer.close();
        let goodbye = viewer.output().pop_back().unwrap();
        prop_assert!(matches!(server.receive(&goodbye), Ok(Progress::Closed)));
    }
}

/// `cargo test -p seats --lib -- what_a_handshake_costs --ignored --nocapture`: time of our side's and of the other side's, and what an
/// association takes in memory, whole and as it is once media flows.
#[test]
#[ignore = "a measurement"]
fn what_a_handshake_costs() {
    use nix::sys::resource::{UsageWho, getrusage};
    use nix::sys::time::TimeValLike;
    const VIEWERS: usize = 2000;
    let processor = || {
        let usage = getrusage(UsageWho::RUSAGE_THREAD).unwrap();
        std::time::Duration::from_micros((usage.user_time() + usage.system_time()).num_microseconds() as u64)
    };
    // SAFETY: it has no conditions.
    let memory = || unsafe { libc::mallinfo2() }.uordblks;
    let (ours, theirs) = (Identity::new().unwrap(), Identity::new().unwrap());
    let (mut servers, mut spent) = (Vec::new(), [std::time::Duration::ZERO; 2]);
    let before = memory();
    for _ in 0..VIEWERS {
        let mut viewer = theirs.associate(false, vec![ours.fingerprint.clone()]).unwrap();
        let began = processor();
        let mut server = ours.associate(true, vec![theirs.fingerprint.clone()]).unwrap();
        spent[0] += processor() - began;
        viewer.tick().unwrap();
        while !(server.is_up() && viewer.is_up()) {
            for who in [0, 1] {
                let (from, to) =
                    if who == 0 { (&mut viewer, &mut server) } else { (&mut server, &mut viewer) };
                let datagrams = from.output();
                let began = processor();
                for datagram in datagrams {
                    to.receive(&datagram).unwrap();
                }
                spent[who] += processor() - began;
            }
        }
        servers.push(server);
    }
    let whole = (memory() - before) / VIEWERS;
    let began = processor();
    let farewells: Vec<Farewell> = servers.iter().map(|server| server.farewell().unwrap()).collect();
    let farewell = processor() - began;
    drop(servers);
    let small = (memory() - before) / VIEWERS;
    drop(farewells);
    let [server, viewer] = spent.map(|spent| spent / VIEWERS as u32);
    println!(
        "a handshake takes {server:?} here and {viewer:?} there, {whole} bytes, of which {small} are kept (after {:?})",
        farewell / VIEWERS as u32
    );
}
