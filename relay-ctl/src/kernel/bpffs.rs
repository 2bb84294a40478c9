//! The BPF filesystem that everything is pinned in.

use std::path::Path;

use super::KernelError;

/// Sees to it that `root` is on a BPF filesystem, mounting one at `/sys/fs/bpf` where that is what is missing.
pub fn ensure_bpffs(root: &Path) -> Result<(), KernelError> {
    if is_bpffs(root) {
        return Ok(());
    }
    let mount_point = Path::new("/sys/fs/bpf");
    if root.starts_with(mount_point) && mount_point.is_dir() {
        tracing::info!("mounting the BPF filesystem at {}", mount_point.display());
        let mounted = nix::mount::mount(
            Some("bpf"),
            mount_point,
            Some("bpf"),
            nix::mount::MsFlags::empty(),
            None::<&str>,
        );
        if mounted.is_ok() && is_bpffs(root) {
            return Ok(());
        }
    }
    Err(KernelError::NoBpffs { root: root.to_owned() })
}

/// True when `path`, or its nearest ancestor that exists, is on a BPF filesystem.
pub fn is_bpffs(path: &Path) -> bool {
    let Some(existing) = path.ancestors().find(|ancestor| ancestor.exists()) else { return false };
    nix::sys::statfs::statfs(existing)
        .is_ok_and(|filesystem| filesystem.filesystem_type() == nix::sys::statfs::BPF_FS_MAGIC)
}
