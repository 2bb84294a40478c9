//! The kernel refuses a program whose verification takes more than a million instructions, and kernels differ by a factor
//! of two in how many they need. What it takes here must leave room for the others.

use aya::programs::{RawTracePoint, SchedClassifier, Xdp};
use aya::{Ebpf, EbpfLoader};
use relay_ctl::kernel::programs::{
    BUSY, COPY, GAPS_TOLD, HISTORY_SIZE, IN_ORDER, OBJECT, PASS, PROBE, SPREAD, TC, XDP, XDP_CPU, XMIT,
};

/// Most instructions that the verifier may walk, for each program.
const LIMITS: [(&str, u32); 9] = [
    (XDP, 150_000),
    (XDP_CPU, 150_000),
    (SPREAD, 150_000),
    // What comes by two ways is looked at in both places where a packet is: for a buffer's first, and for the others.
    (TC, 400_000),
    (COPY, 20_000),
    (XMIT, 20_000),
    (BUSY, 5_000),
    (PROBE, 5_000),
    (PASS, 100),
];

#[test]
fn the_verifier_walks_few_instructions() {
    for in_order in [1, 0] {
        walks_few_instructions(in_order);
    }
}

fn walks_few_instructions(in_order: u8) {
    // With a history, and gaps told, which is more.
    let mut loader = EbpfLoader::new();
    loader.override_global(HISTORY_SIZE, &4096_u32, true).map_max_entries("HISTORY", 4096);
    loader.override_global(GAPS_TOLD, &1_u8, true).override_global(IN_ORDER, &in_order, true);
    let mut ebpf = loader.load(OBJECT).unwrap();
    let walked = LIMITS.map(|(name, limit)| (name, walk(&mut ebpf, name), limit));
    for (name, count, limit) in walked {
        println!("{name}, in order {in_order}: {count} instructions verified, at most {limit}");
    }
    for (name, count, limit) in walked {
        assert!(count <= limit, "{name}: the verifier walks {count} instructions, more than {limit}");
    }
}

/// Loads a program and gives what the kernel says of its verification.
fn walk(ebpf: &mut Ebpf, name: &str) -> u32 {
    let program = ebpf.program_mut(name).unwrap();
    let info = if name == TC {
        let program: &mut SchedClassifier = program.try_into().unwrap();
        program.load().unwrap();
        program.info()
    } else if [XMIT, BUSY].contains(&name) {
        let program: &mut RawTracePoint = program.try_into().unwrap();
        program.load().unwrap();
        program.info()
    } else {
        let program: &mut Xdp = program.try_into().unwrap();
        program.load().unwrap();
        program.info()
    };
    info.unwrap().verified_instruction_count().unwrap()
}
