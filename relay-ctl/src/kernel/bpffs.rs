//! The BPF filesystem that everything is pinned in.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::KernelError;

/// The BPF filesystem was mounted by this process, in a mount namespace of its own.
static PRIVATE: AtomicBool = AtomicBool::new(false);

/// Somebody else who mounts it is waited for this long: any user of the machine can hold that lock.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is looked.
const POLL: Duration = Duration::from_millis(10);

/// Sees to it that `root` is on a BPF filesystem, mounting one at `/sys/fs/bpf` where that is what is missing.
pub fn ensure_bpffs(root: &Path) -> Result<(), KernelError> {
    if is_bpffs(root) {
        return Ok(());
    }
    let mount_point = Path::new("/sys/fs/bpf");
    if root.starts_with(mount_point) && mount_point.is_dir() {
        // Of two that are started at once each would mount one, the later over the earlier, and what is pinned there already would be
        // out of sight.
        let _turn = turn(mount_point);
        if is_bpffs(root) {
            return Ok(());
        }
        tracing::info!("mounting the BPF filesystem at {}", mount_point.display());
        let mounted = nix::mount::mount(
            Some("bpf"),
            mount_point,
            Some("bpf"),
            nix::mount::MsFlags::empty(),
            None::<&str>,
        );
        if mounted.is_ok() && is_bpffs(root) {
            if is_private() {
                PRIVATE.store(true, Relaxed);
                tracing::warn!(
                    "that mount is seen in this mount namespace only (`ip netns exec` and PrivateMounts= make one): what is \
                     pinned there ends with relay-ctl, and forwarding with it; mount it for all first: \
                     `mount -t bpf bpf /sys/fs/bpf` outside"
                );
            }
            return Ok(());
        }
    }
    Err(KernelError::NoBpffs { root: root.to_owned() })
}

/// Waits for our turn to mount there, or until that has been done: a lock on the folder below, which who comes later does not see any more.
fn turn(mount_point: &Path) -> Option<File> {
    let folder = File::open(mount_point).ok()?;
    let began = Instant::now();
    let mut said = false;
    while let Err(std::fs::TryLockError::WouldBlock) = folder.try_lock() {
        if !std::mem::replace(&mut said, true) {
            tracing::info!("waiting for another process that mounts the BPF filesystem");
        }
        if is_bpffs(mount_point) || began.elapsed() > PATIENCE {
            return None;
        }
        std::thread::sleep(POLL);
    }
    Some(folder)
}

/// True when what is pinned ends with this process, since the BPF filesystem was mounted for it alone.
pub fn ends_with_us() -> bool {
    PRIVATE.load(Relaxed)
}

/// Are mounts of this process seen by itself and its children only?
fn is_private() -> bool {
    let namespace = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/mnt")).ok();
    matches!((namespace("self"), namespace("1")), (Some(ours), Some(first)) if ours != first)
}

/// True when `path`, or its nearest ancestor that exists, is on a BPF filesystem.
pub fn is_bpffs(path: &Path) -> bool {
    let Some(existing) = path.ancestors().find(|ancestor| ancestor.exists()) else { return false };
    nix::sys::statfs::statfs(existing)
        .is_ok_and(|filesystem| filesystem.filesystem_type() == nix::sys::statfs::BPF_FS_MAGIC)
}
