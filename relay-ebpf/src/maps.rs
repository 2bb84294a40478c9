//! The maps, as `relay_common::layout` describes them.

use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::btf_maps::{Array, ArrayOfMaps, CpuMap, DevMap, HashMap, LpmTrie, PerCpuArray, RingBuf};
use aya_ebpf::macros::btf_map;
use relay_common::layout::{self, *};
use relay_common::reason::Reason;
use relay_common::stream::Stream;

use crate::media::Media;

const REASONS: usize = Reason::ALL.len();

#[btf_map]
pub static RELAY: Array<layout::Relay, 1> = Array::new();
#[btf_map]
pub static LISTENERS: HashMap<ListenerKey, Listener, { MAX_LISTENERS as usize }> = HashMap::new();
/// How often `LISTENERS`, `SOURCES` or `PEERS` have changed. One word, so that a packet sees it change at once.
#[btf_map]
pub static LISTENER_CHANGES: Array<u32, 1> = Array::new();
/// Not pinned.
#[btf_map]
pub static LISTENER_CACHE: PerCpuArray<Heard, { layout::HEARD as usize }> = PerCpuArray::new();
#[btf_map]
pub static SOURCES: LpmTrie<[u8; 16], u32, { MAX_SOURCES as usize }> = LpmTrie::new();
#[btf_map]
pub static ROUTES: HashMap<StreamKey, u32, { MAX_ROUTES as usize }> = HashMap::new();
#[btf_map]
pub static SETS: Array<SetWord, { 2 * MAX_SETS as usize }> = Array::new();
#[btf_map]
pub static SET_CHILDREN: Array<SetChildren, { MAX_SETS as usize }> = Array::new();
/// The inner map's size here is only a template: each devmap is as large as its fan-out set.
#[btf_map]
pub static FANOUT: ArrayOfMaps<DevMap<1>, { MAX_INSTANCES as usize }> = ArrayOfMaps::new();
#[btf_map]
pub static INSTANCES: Array<Span, { MAX_INSTANCES as usize }> = Array::new();
#[btf_map]
pub static GROUPS: HashMap<GroupKey, Span, { MAX_GROUPS as usize }> = HashMap::new();
#[btf_map]
pub static MEMBERS: Array<u32, { MAX_MEMBERS as usize }> = Array::new();
#[btf_map]
pub static CHILDREN: Array<Child, { CHILD_SLOTS as usize }> = Array::new();
#[btf_map]
pub static PEERS: HashMap<ListenerKey, u32, { MAX_PEERS as usize }> = HashMap::new();
#[btf_map]
pub static STREAMS: HashMap<StreamKey, Stream, { MAX_STREAMS as usize }> = HashMap::new();
/// Interfaces that have just taken a copy, by index modulo [`PROOFS`]. Not pinned.
#[btf_map]
pub static PROVEN: PerCpuArray<Proof, PROOFS> = PerCpuArray::new();
/// What is known of the packet in hand. Not pinned.
#[btf_map]
pub static MEDIA: PerCpuArray<Media, 1> = PerCpuArray::new();
/// Where a new entry of `STREAMS` is put together. Not pinned.
#[btf_map]
pub static NEW_STREAM: PerCpuArray<Stream, 1> = PerCpuArray::new();
/// Which CPUs copy. Not pinned, like `CPUS`: see [`layout::Spread`].
#[btf_map]
pub static SPREAD: Array<layout::Spread, 1> = Array::new();
/// The queues of those CPUs. The loader makes it as large as there are CPUs.
#[btf_map]
pub static CPUS: CpuMap<1> = CpuMap::new();
#[btf_map]
pub static CHILD_STATS: PerCpuArray<ChildStats, { MAX_CHILDREN as usize }> = PerCpuArray::new();
#[btf_map]
pub static CHILD_INFO: Array<ChildInfo, { MAX_CHILDREN as usize }> = Array::new();
#[btf_map]
pub static DROPS: PerCpuArray<u64, REASONS> = PerCpuArray::new();
#[btf_map]
pub static EGRESS: PerCpuArray<Egress, { CURSORS_PER_CPU }> = PerCpuArray::new();
#[btf_map]
pub static CURSORS: PerCpuArray<Cursor, { CURSORS_PER_CPU }> = PerCpuArray::new();
#[btf_map]
pub static SERIAL: PerCpuArray<Broadcasts, 1> = PerCpuArray::new();
#[btf_map]
pub static PENDING: PerCpuArray<Pending, 1> = PerCpuArray::new();
#[btf_map]
pub static CAPTURE_FILTER: Array<CaptureFilter, 1> = Array::new();
#[btf_map]
pub static TOTALS: Array<Total, 2> = Array::new();
#[btf_map]
pub static CAPTURE: RingBuf<CaptureHead, { CAPTURE_RING as usize }> = RingBuf::new();
/// The last packets that went to children, to be sent again. The loader makes it as large as `--history` says; user space reads it by
/// `mmap`. Not pinned, like `HISTORY_HEAD` and `GAPS`.
#[btf_map]
pub static HISTORY: Array<Kept, 1, MMAPABLE> = Array::new();
#[btf_map]
pub static HISTORY_HEAD: Array<HistoryHead, 1, MMAPABLE> = Array::new();
/// What streams have jumped over.
#[btf_map]
pub static GAPS: RingBuf<Gap, { GAP_RING as usize }> = RingBuf::new();

const MMAPABLE: usize = BPF_F_MMAPABLE as usize;

/// Value of `PROVEN`: an interface has taken a copy, and when, CLOCK_MONOTONIC ns.
#[repr(C)]
pub struct Proof {
    pub since: u64,
    pub ifindex: u32,
    pub reserved: u32,
}

/// Slots of `PROVEN`.
pub const PROOFS: usize = 64;

const CURSORS_PER_CPU: usize = layout::CURSORS as usize;
