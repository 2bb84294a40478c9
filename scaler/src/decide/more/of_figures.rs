//! What Prometheus' figures ask for: as many as take a figure to a quarter of the way from where more are wanted to where fewer are.

use super::{Cause, More, Wants};
use crate::action::Urgency;
use crate::decide::numbers::between;

/// How many egresses more when packets are dropped: one for each so many.
const FOR_EACH: u32 = 8;

impl Wants<'_> {
    pub(super) fn of_figures(&self) -> impl Iterator<Item = More> {
        let (known, thresholds) = (self.known, &self.settings.thresholds);
        let cpu = self.ratio(known.cpu, (thresholds.cpu_out, thresholds.cpu_in));
        let cpu = cpu.map(|(count, value)| More {
            cause: Cause::Cpu,
            count,
            urgency: Urgency::High,
            reason: format!("high CPU usage ({value:.1} %, more than {} %)", thresholds.cpu_out),
            value,
        });
        let memory = self.ratio(known.memory, (thresholds.memory_out, thresholds.memory_in));
        let memory = memory.map(|(count, value)| More {
            cause: Cause::Memory,
            count,
            urgency: Urgency::High,
            reason: format!("high memory usage ({value:.1} %, more than {} %)", thresholds.memory_out),
            value,
        });
        let pool = (thresholds.port_pool_out, thresholds.port_pool_in);
        let pool = self.ratio(known.port_pool, pool).map(|(count, value)| More {
            cause: Cause::PortPool,
            count,
            urgency: Urgency::Critical,
            reason: format!(
                "port pool near exhaustion ({value:.1} %, more than {} %)",
                thresholds.port_pool_out
            ),
            value,
        });
        let drops = known.drops.filter(|drops| *drops > thresholds.drops_out && self.places.viewers > 0);
        let drops = drops.map(|value| More {
            cause: Cause::Drops,
            count: self.staying().div_ceil(FOR_EACH).max(1),
            urgency: Urgency::High,
            reason: format!("packet loss ({value:.1} packets/s dropped, more than {})", thresholds.drops_out),
            value,
        });
        [cpu, memory, pool, drops].into_iter().flatten()
    }

    /// As many more as bring the mean down, if the load stays as it is.
    fn ratio(&self, value: Option<f64>, (out, r#in): (f64, f64)) -> Option<(u32, f64)> {
        let value = value.filter(|value| *value > out)?;
        let staying = self.staying();
        let wanted = (f64::from(staying) * value / between(out, r#in)).ceil() as u32;
        let count = wanted.checked_sub(staying + self.books.coming()).filter(|count| *count > 0)?;
        Some((count, value))
    }
}
