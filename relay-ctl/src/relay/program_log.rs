//! What the eBPF programs log: rare events, never packets.

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::Relay;
use super::plane::Plane;

impl Relay {
    /// Passes on what the eBPF programs log: rare events, never packets.
    pub async fn log_programs(&self) {
        let mut state = self.state.lock().await;
        let Plane::Kernel(plane) = &mut state.plane else { return };
        let logger = match aya_log::EbpfLogger::init(plane.programs().ebpf()) {
            Ok(logger) => logger,
            Err(error) => {
                tracing::warn!("the programs' log cannot be read: {error}");
                return;
            }
        };
        // SAFETY: the logger owns its file descriptor and keeps it open for as long as it lives.
        let logger = unsafe { AsyncFd::register_with_interest(logger, Interest::READABLE) };
        let Ok(mut logger) = logger else {
            tracing::warn!("the programs' log cannot be waited for");
            return;
        };
        tokio::spawn(async move {
            while let Ok(mut guard) = logger.readable_mut().await {
                guard.get_inner_mut().flush();
                guard.clear_ready();
            }
        });
    }
}
