//! Redis loses its data (FLUSHALL, or it comes back empty): the tree is held for the grace, loudly, and nothing is lost if
//! the data comes back within it. After the grace Redis is obeyed. A plain SREM is obeyed at once at any time.

use std::time::Instant;

use crate::common::tree::{CONVERGED, GRACE, PULSE, Tree};
use crate::common::{QUIET, TIMEOUT, lab_for, name};
use lab::relay::{Json, Mode};
use lab::{Sink, Source, SourceConfig, Topology};

const RATE: u64 = 8_000;

modes!(flushed_and_sown_again_nothing_is_lost: in_xdp_mode = Xdp, in_tc_mode = Tc);
modes!(come_back_empty_and_sown_again_nothing_is_lost: in_xdp_mode = Xdp, in_tc_mode = Tc);
modes!(flushed_for_good_it_is_obeyed_after_the_grace: in_xdp_mode = Xdp, in_tc_mode = Tc);

fn start<'lab>(lab: &'lab lab::Lab, mode: Mode) -> (Tree<'lab>, Sink, Source) {
    let tree = Tree::grow(lab, Topology::one_nic(lab, 3).unwrap(), mode, 2);
    let stayers = tree.bench.sink(&[0, 1]);
    let config = SourceConfig::new(tree.bench.flows(), RATE);
    let source = Source::start(lab, "injection-1", config).unwrap();
    tree.bench.wait_packets(&stayers, 4, 100);
    (tree, stayers, source)
}

/// The relay holds both children and says so; gives what it says.
fn wait_held(tree: &Tree) -> String {
    let status = tree
        .wait_status("the loss is noticed", TIMEOUT, |status| status["topology"]["held"].list().len() == 2);
    assert_eq!(tree.forwarding(), [name(0), name(1)], "held: {status:?}");
    let said: Vec<&str> =
        ["problems", "warnings"].iter().flat_map(|key| status[*key].list()).map(Json::text).collect();
    assert!(!said.is_empty(), "held without a word: {status:?}");
    said.join("; ")
}

fn finish(tree: &Tree, stayers: Sink, source: Source) {
    let sent = source.stop();
    assert!(stayers.wait_quiet(QUIET, TIMEOUT));
    tree.bench.assert_all_of("stayers", &stayers.stop(), &sent);
}

fn flushed_and_sown_again_nothing_is_lost(mode: Mode) {
    let lab = lab_for("flush", mode);
    let (tree, stayers, source) = start(&lab, mode);
    tree.type_in("FLUSHALL");
    let said = wait_held(&tree);
    tree.wait_status("the node registers again", TIMEOUT, |status| {
        status["redis"]["registered"] == Json::Bool(true)
    });
    assert_eq!(tree.type_in("EXISTS node:relay-1"), "1");
    let returned = Instant::now();
    tree.sow(2);
    let converged = tree.converges_on(2, &[name(0), name(1), name(2)], returned);
    tree.wait_status("nothing is held any more", TIMEOUT, |status| {
        status["topology"]["held"].list().is_empty()
    });
    println!("| {mode} | FLUSHALL, sown again | {said} | - | {:.3} |", converged.as_secs_f64());
    // Past the end of the grace, what was held is still there.
    std::thread::sleep(GRACE);
    assert_eq!(tree.forwarding().len(), 3);
    finish(&tree, stayers, source);
}

fn come_back_empty_and_sown_again_nothing_is_lost(mode: Mode) {
    let lab = lab_for("empty", mode);
    let (mut tree, stayers, source) = start(&lab, mode);
    tree.redis.kill9().unwrap();
    tree.wait_trouble("lost", TIMEOUT);
    let returned = tree.redis.restart_empty().unwrap();
    let said = wait_held(&tree);
    tree.sow(2);
    let converged = tree.converges_on(2, &[name(0), name(1), name(2)], returned);
    println!("| {mode} | restarted empty, sown again | {said} | - | {:.3} |", converged.as_secs_f64());
    tree.wait_mended();
    finish(&tree, stayers, source);
}

fn flushed_for_good_it_is_obeyed_after_the_grace(mode: Mode) {
    let lab = lab_for("flushgood", mode);
    let (tree, stayers, source) = start(&lab, mode);
    tree.type_in("FLUSHALL");
    let flushed = Instant::now();
    let said = wait_held(&tree);
    let media = tree.bench.sink_again(stayers, &[0, 1]);
    tree.wait_forwarding(&[]);
    let obeyed = flushed.elapsed();
    println!("| {mode} | FLUSHALL, nobody sows | {said} | - | obeyed after {:.3} |", obeyed.as_secs_f64());
    // The grace begins when the daemon notices.
    let latest = PULSE + GRACE + CONVERGED;
    assert!(obeyed >= GRACE && obeyed < latest, "obeyed after {obeyed:?}");
    assert!(media.wait_quiet(QUIET, TIMEOUT), "media goes on{}", tree.bench.diagnosis());
    tree.bench.assert_flawless("those that were held, until the end", &media.stop());
    source.stop();
}
