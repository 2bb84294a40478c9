//! What probe frames said, by egress interface, and the means to ask.

use std::collections::BTreeMap;

use crate::kernel::probe::Prober;

/// The answers so far. A prober is made when the first question is asked.
#[derive(Default)]
pub struct Probes {
    prober: Option<Prober>,
    answers: BTreeMap<u32, Result<String, String>>,
}

impl Probes {
    /// The answer known, or a new one.
    pub fn ask(&mut self, ifindex: u32, name: &str, mac: [u8; 6]) -> Result<String, String> {
        if let Some(answer) = self.answers.get(&ifindex) {
            return answer.clone();
        }
        let answer = self.transmit(ifindex, name, mac);
        self.answers.insert(ifindex, answer.clone());
        answer
    }

    /// Forgets the answer of one interface, or of all: the next question is asked anew.
    pub fn forget(&mut self, ifindex: Option<u32>) {
        self.answers.retain(|asked, _| ifindex.is_some_and(|ifindex| ifindex != *asked));
    }

    fn transmit(&mut self, ifindex: u32, name: &str, mac: [u8; 6]) -> Result<String, String> {
        let prober = match &mut self.prober {
            Some(prober) => prober,
            None => self.prober.insert(Prober::new()?),
        };
        prober.transmit(ifindex, name, mac)
    }
}
