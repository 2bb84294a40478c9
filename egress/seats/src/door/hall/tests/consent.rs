//! Nobody is sent anything who has not said that he is there.

use super::*;

/// RFC 7675: a viewer whose reports or checks come from wherever is gone when nobody answers where it is sent to.
#[test]
fn who_does_not_answer_is_gone_and_who_answers_is_not() {
    let mut evening = Evening::new();
    let (silent, ice) = evening.up(1);
    let (answers, _) = evening.up(2);
    for second in 0..40 {
        let (to_silent, others): (Vec<Effect>, Vec<Effect>) = evening
            .passes_unanswered(Duration::from_secs(1))
            .into_iter()
            .partition(|effect| matches!(effect, Effect::Say(to, _) if way(to) == way(&from(1))));
        assert!(to_silent.len() <= 1, "no more than a question a second");
        let effects = evening.answers(others);
        assert_eq!(gone(&effects, silent).is_some(), second == 29, "{second}");
        if second < 29 {
            // It says that it is there, from elsewhere; and anybody may send this from its address.
            evening.forges(&ice, 3);
            evening.forges(&ice, 1);
            evening.comes(REPORT, 1);
            evening.hall.seats[&silent].alive.store(true, Relaxed);
        }
    }
    assert!(!evening.hall.leave(answers).is_empty());
    assert!(evening.is_empty());
}

/// Whoever knows the password may send from any address that is not its own.
#[test]
fn nobody_is_sent_to_who_has_not_answered() {
    let mut evening = Evening::new();
    let (seat, ice) = evening.up(1);
    let (mut came, mut went) = (0, 0);
    for _ in 0..200 {
        let before = check(&format!("{}:theirs", ice.user), &ice.password, true, true).len();
        let effects = evening.forges(&ice, 2);
        came += before;
        went += bytes_to(&effects, 2);
        assert!(!effects.iter().any(|effect| matches!(effect, Effect::Moved(..))));
        let effects = evening.passes_unanswered(Duration::from_millis(100));
        went += bytes_to(&effects, 2);
        evening.answers(
            effects.into_iter().filter(|effect| bytes_to(std::slice::from_ref(effect), 1) > 0).collect(),
        );
        assert_eq!(dropped(&evening.comes(FLIGHT, 2)), Some(Reason::DtlsEarly));
        assert!(went <= 3 * came, "{went} bytes for {came}");
    }
    assert!(went > 0);
    assert!(evening.hall.seats[&seat].uses(way(&from(1))), "where it was");
    // An answer that nobody can have got, and one by who does not know the password.
    let questions: Vec<Effect> = evening.passes_unanswered(Duration::from_secs(1));
    let asked = |port| {
        questions.iter().find_map(|effect| match effect {
            Effect::Say(path, said) if way(path) == way(&from(port)) => Some(said.clone()),
            _ => None,
        })
    };
    let question = asked(2).expect("a question");
    let right = peer(true).ice.password;
    for (password, port, from) in [("another of 22 letters or more", 2, 2), (&right, 3, 2), (&right, 2, 2)] {
        let effects =
            evening.comes(&answer(&question, password, SocketAddr::from(([192, 0, 2, 1], from))), port);
        let moved = effects.iter().any(|effect| matches!(effect, Effect::Moved(..)));
        assert_eq!(moved, password == right && port == 2, "{password} {port}");
    }
}

/// The same of who is about to come in: the handshake's flights are longer than what they answer.
#[test]
fn no_handshake_begins_with_who_has_not_answered() {
    for begins in [true, false] {
        let mut evening = Evening::new();
        let (seat, ice) = evening.invite();
        evening.admit(seat, begins);
        for _ in 0..50 {
            let effects = evening.forges(&ice, 1);
            assert!(effects.iter().all(|effect| matches!(effect, Effect::Say(..))));
            evening.comes(FLIGHT, 1);
            assert!(evening.passes_unanswered(Duration::from_millis(100)).iter().all(is_question));
        }
        let effects = evening.checks(&ice, 2);
        assert_eq!(effects.iter().any(|effect| matches!(effect, Effect::Shake { .. })), !begins);
    }
}
