use super::*;

#[test]
fn the_same_seed_is_the_same_run() {
    let scenarios = scenario::all();
    let flash = scenarios.iter().find(|scenario| scenario.name == "flash").unwrap();
    let runs = [1, 1, 2].map(|seed| drive::drive(flash, seed).unwrap());
    assert_eq!(runs[0].books, runs[1].books);
    assert_ne!(runs[0].books, runs[2].books);
}

#[test]
fn whatever_happens_every_law_holds() {
    // Three days take too long here: `cargo xtask simulate` has them.
    let short = scenario::all().into_iter().filter(|scenario| scenario.length < 24.0 * 3600.0);
    let names = short.map(|scenario| scenario.name.to_owned()).collect();
    let arguments = Arguments { scenarios: names, seed: 1, seeds: 1, hours: 0, plots: None, write: None };
    let outcomes = outcomes(&arguments).unwrap();
    assert!(outcomes.len() > 10, "{} scenarios", outcomes.len());
    let broken = report::broken(&outcomes);
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    // They happened: viewers came, egresses were made and taken away, some died.
    assert!(outcomes.iter().all(|outcome| outcome.most.watching > 14_000 && outcome.actions[0] > 10));
    assert!(outcomes.iter().any(|outcome| outcome.books.died > 8 && outcome.books.lost_egress > 4000));
}

#[test]
fn pictures_are_drawn_and_tables_put_into_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("scaling.md");
    std::fs::write(&page, format!("before\n\n{}\nold\n{}\nafter\n", PLACE[0], PLACE[1])).unwrap();
    let write = Some(folder.path().to_owned());
    let names = vec!["flash-containers".to_owned()];
    let arguments = Arguments { scenarios: names, seed: 1, seeds: 1, hours: 0, plots: None, write };
    run(&arguments).unwrap();
    let text = std::fs::read_to_string(&page).unwrap();
    assert!(text.starts_with("before\n") && text.ends_with("after\n") && !text.contains("old"), "{text}");
    assert!(text.contains("| flash-containers | 15,0"), "{text}");
    let picture = std::fs::read_to_string(folder.path().join("scaling/flash-containers.svg")).unwrap();
    assert!(picture.contains("<svg") && picture.contains("for a place"), "{}", picture.len());
}
