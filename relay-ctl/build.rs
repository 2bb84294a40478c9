//! Embeds the eBPF object, or says how to build it.

use std::path::Path;

fn main() {
    let object = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bpf/relay-ebpf");
    println!("cargo::rerun-if-changed={}", object.display());
    if !object.exists() {
        println!("cargo::error=the eBPF object is not built yet; run `cargo xtask build-ebpf` first");
        return;
    }
    let out = std::env::var("OUT_DIR").expect("cargo sets OUT_DIR for build scripts");
    if let Err(error) = std::fs::copy(&object, Path::new(&out).join("relay-ebpf")) {
        println!("cargo::error=cannot copy {}: {error}", object.display());
    }
}
