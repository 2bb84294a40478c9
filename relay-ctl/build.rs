//! Embeds the eBPF object that is checked in; `cargo xtask build-ebpf` makes it from the sources, `cargo xtask test lint` proves
//! that it is what they give. RELAY_OBJECT names another one, such as one with line information for the verifier's log.

use std::path::{Path, PathBuf};

const OTHER: &str = "RELAY_OBJECT";

fn main() {
    println!("cargo::rerun-if-env-changed={OTHER}");
    let checked_in = || Path::new(env!("CARGO_MANIFEST_DIR")).join("bpf/relay.o");
    let object = std::env::var_os(OTHER).map_or_else(checked_in, PathBuf::from);
    println!("cargo::rerun-if-changed={}", object.display());
    let out = std::env::var("OUT_DIR").expect("cargo sets OUT_DIR for build scripts");
    if let Err(error) = std::fs::copy(&object, Path::new(&out).join("relay.o")) {
        println!("cargo::error=cannot copy the eBPF object {}: {error}", object.display());
    }
}
