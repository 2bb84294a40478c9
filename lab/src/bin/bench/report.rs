//! Medians, ratios, and how they are shown.

use std::fmt::Write as _;

use crate::frame::RTP;
use crate::load::{FAN_OUT, Sample, median};
use crate::machine::Machine;
use crate::scene::Way;

/// All samples of a run, by way, in the order of [`Way::ALL`].
pub struct Report {
    machine: Machine,
    samples: Vec<Vec<Sample>>,
}

impl Report {
    pub fn new(machine: Machine, samples: Vec<Vec<Sample>>) -> Self {
        Self { machine, samples }
    }

    /// For people.
    pub fn markdown(&self) -> String {
        let Machine { realtime, cpu, .. } = self.machine;
        let rounds = self.samples.first().map_or(0, Vec::len);
        let mut text = format!(
            "\n{}; everything on CPU {cpu}; fan-out {FAN_OUT}, {RTP} bytes of RTP; median of {rounds} rounds\n\n",
            self.machine
        );
        text +=
            "| path | copies/s | ns a copy (range) | lost | children's shares | × tc | × floor's time |\n";
        text += "|---|---:|---:|---:|---|---:|---:|\n";
        let (tc, floor) = (self.cost(Way::Tc), self.cost(Way::Floor));
        for (way, samples) in Way::ALL.iter().zip(&self.samples) {
            let cost = self.cost(*way);
            if *way == Way::Generator {
                let _ = writeln!(text, "| {} | – | {:.0} a packet | – | – | – | – |", way.name(), cost);
                continue;
            }
            let costs = samples.iter().map(|sample| sample.ns_per_copy);
            let least = costs.clone().fold(f64::INFINITY, f64::min);
            let most = costs.fold(0.0, f64::max);
            let lost: u64 = samples.iter().map(|sample| sample.lost).sum();
            let wanted: u64 = samples.iter().map(|sample| sample.lost + sample.copies).sum();
            let lost = match lost {
                0 => "0".to_owned(),
                _ => format!("**{lost}** ({:.4} %)", 100.0 * lost as f64 / wanted as f64),
            };
            let even = match way {
                Way::Floor => "–",
                _ if samples.iter().all(|sample| sample.even) => "equal",
                _ => "**not equal**",
            };
            let _ = writeln!(
                text,
                "| {} | {} | {cost:.0} ({least:.0}–{most:.0}) | {lost} | {even} | {:.2} | {:.2} |",
                way.name(),
                grouped(1e9 / cost),
                tc / cost,
                cost / floor,
            );
        }
        let _ = write!(
            text,
            "\nxdp makes **{:.2} ×** the copies of tc (wanted: at least 2.5), {:.2} × those of userspace and {:.2} × \
             those of GStreamer.\n\
             Its time a copy is **{:.3} ×** the floor's (wanted: at most 1.10); without what both spend on the generator, \
             {:.3} ×.\n",
            self.ratio(Way::Tc, Way::Xdp),
            self.ratio(Way::Userspace, Way::Xdp),
            self.ratio(Way::Gstreamer, Way::Xdp),
            self.ratio(Way::Xdp, Way::Floor),
            self.net_ratio(),
        );
        text += "\nMethod: one CPU does everything, so time is CPU time: the generator (live frames of BPF_PROG_TEST_RUN), the \
                 path, and a sink that counts what arrives and drops it (XDP for xdp and the floor, tcx for the others: XDP \
                 would copy each of their socket buffers). It is busy all the time and nothing overflows: floor, xdp and tc take turns \
                 with the generator in batches of 16 packets that fit the rings; userspace and GStreamer are processes with a \
                 higher real-time priority than the generator, which so sends its next batch when they have nothing left to do. Ratios are medians of the rounds' ratios.\n";
        if !realtime {
            text += "The real-time class was refused, so other processes may have disturbed the figures.\n";
        }
        text
    }

    /// For programs: every sample.
    pub fn json(&self) -> String {
        let Machine { model, kernel, cpus, cpu, realtime } = &self.machine;
        let mut text = format!(
            "{{\n  \"machine\": {{\"model\": {}, \"kernel\": {}, \"cpus\": {cpus}, \"cpu\": {cpu}, \"realtime\": {realtime}}},\n  \
             \"fan_out\": {FAN_OUT},\n  \"rtp_bytes\": {RTP},\n",
            quoted(model),
            quoted(kernel)
        );
        let _ = write!(
            text,
            "  \"ratios\": {{\"xdp_over_tc\": {:.4}, \"xdp_time_over_floor\": {:.4}, \
             \"xdp_time_over_floor_net_of_generator\": {:.4}, \"xdp_over_userspace\": {:.4}, \"xdp_over_gstreamer\": {:.4}}},\n  \
             \"paths\": {{",
            self.ratio(Way::Tc, Way::Xdp),
            self.ratio(Way::Xdp, Way::Floor),
            self.net_ratio(),
            self.ratio(Way::Userspace, Way::Xdp),
            self.ratio(Way::Gstreamer, Way::Xdp),
        );
        for (index, (way, samples)) in Way::ALL.iter().zip(&self.samples).enumerate() {
            let cost = self.cost(*way);
            let _ = write!(
                text,
                "{}\n    {}: {{\"ns_per_copy\": {cost:.2}, \"copies_per_second\": {:.0}, \"rounds\": [",
                if index > 0 { "," } else { "" },
                quoted(way.short()),
                1e9 / cost
            );
            for (index, sample) in samples.iter().enumerate() {
                let Sample { packets, copies, lost, even, ns_per_packet, ns_per_copy } = sample;
                let _ = write!(
                    text,
                    "{}\n      {{\"packets\": {packets}, \"copies\": {copies}, \"lost\": {lost}, \"even\": {even}, \
                     \"ns_per_packet\": {ns_per_packet:.2}, \"ns_per_copy\": {ns_per_copy:.2}}}",
                    if index > 0 { "," } else { "" },
                );
            }
            text += "\n    ]}";
        }
        text += "\n  }\n}\n";
        text
    }

    fn of(&self, way: Way) -> &[Sample] {
        Way::ALL
            .iter()
            .zip(&self.samples)
            .find(|(other, _)| **other == way)
            .map_or(&[], |(_, samples)| samples)
    }

    /// Median time a copy.
    fn cost(&self, way: Way) -> f64 {
        median(&mut self.of(way).iter().map(|sample| sample.ns_per_copy).collect::<Vec<_>>())
    }

    /// Median of the rounds' ratios of time a copy: neighbours in time are compared.
    fn ratio(&self, over: Way, under: Way) -> f64 {
        let rounds = self.of(over).iter().zip(self.of(under));
        median(&mut rounds.map(|(over, under)| over.ns_per_copy / under.ns_per_copy).collect::<Vec<_>>())
    }

    /// xdp over floor, each less the generator's time.
    fn net_ratio(&self) -> f64 {
        let rounds = self.of(Way::Generator).iter().zip(self.of(Way::Floor)).zip(self.of(Way::Xdp));
        let net = |((generator, floor), xdp): ((&Sample, &Sample), &Sample)| {
            (xdp.ns_per_packet - generator.ns_per_packet) / (floor.ns_per_packet - generator.ns_per_packet)
        };
        median(&mut rounds.map(net).collect::<Vec<_>>())
    }
}

/// 1 234 567, so that people can read it.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// A JSON string.
fn quoted(text: &str) -> String {
    let plain = text.chars().filter(|character| !character.is_control() && !['"', '\\'].contains(character));
    format!("\"{}\"", plain.collect::<String>())
}
