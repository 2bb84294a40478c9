//! Which packets are a session's, without I/O, and what they become.
//!
//! Janus is told to forward each publication with SSRCs that are drawn for it and told to nobody else. A session's own SSRC
//! is no secret, and whoever reaches Janus' way to us could send with it. Neither can what a former publication still has
//! on the way get between the next one's.

use std::time::Duration;

use node::media::Ssrc;
use node::media::rtp::{self, Header};

use crate::numbering::Numbering;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It is the session's, and has the session's SSRC and numbers now.
    Goes,
    /// It is late, of a publication that is over.
    Late,
    /// It is not from Janus, or no RTP.
    Stranger,
}

/// A stream's way through: from a publication's SSRC to the session's.
#[derive(Debug)]
pub struct Passage {
    /// What it leaves with.
    session: Ssrc,
    /// What the current publication's packets come with; `None` before the first.
    comes: Option<Ssrc>,
    /// What the one's before came with.
    former: Option<Ssrc>,
    numbering: Numbering,
}

impl Passage {
    /// Of a stream with this SSRC and clock rate; nobody publishes yet.
    pub fn new(session: Ssrc, clock: u32) -> Passage {
        Passage { session, comes: None, former: None, numbering: Numbering::new(clock) }
    }

    /// Another publication begins, which comes with this SSRC.
    pub fn begin(&mut self, comes: Ssrc) {
        self.former = self.comes.replace(comes);
        self.numbering.begin();
    }

    /// Judges a packet, and makes it the session's if it is. `now`: since 1970.
    pub fn pass(&mut self, packet: &mut [u8], now: Duration) -> Judgement {
        let Ok(header) = Header::read(packet) else { return Judgement::Stranger };
        if self.comes != Some(header.ssrc) {
            return if self.former == Some(header.ssrc) { Judgement::Late } else { Judgement::Stranger };
        }
        let (sequence, timestamp) = self.numbering.shifted(header.sequence, header.timestamp, now);
        rtp::renumber(packet, sequence, timestamp);
        rtp::rename(packet, self.session);
        Judgement::Goes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1);

    fn packet(ssrc: u32, sequence: u16) -> Vec<u8> {
        Header { payload_type: 96, sequence, timestamp: 1, ssrc: Ssrc(ssrc) }.bytes().to_vec()
    }

    #[test]
    fn only_what_janus_was_told_goes_on() {
        let mut passage = Passage::new(Ssrc(7), 90_000);
        let judged = |passage: &mut Passage, ssrc, sequence| {
            let mut packet = packet(ssrc, sequence);
            let judgement = passage.pass(&mut packet, NOW);
            (judgement, Header::read(&packet).map(|header| header.ssrc.0))
        };
        assert_eq!(judged(&mut passage, 7, 1), (Judgement::Stranger, Ok(7)), "nobody publishes");
        passage.begin(Ssrc(1000));
        assert_eq!(judged(&mut passage, 1000, 1), (Judgement::Goes, Ok(7)));
        assert_eq!(judged(&mut passage, 7, 2), (Judgement::Stranger, Ok(7)), "everybody knows the session's");
        passage.begin(Ssrc(2000));
        assert_eq!(judged(&mut passage, 1000, 2), (Judgement::Late, Ok(1000)));
        assert_eq!(judged(&mut passage, 2000, 9), (Judgement::Goes, Ok(7)));
        passage.begin(Ssrc(3000));
        assert_eq!(judged(&mut passage, 1000, 3), (Judgement::Stranger, Ok(1000)));
    }

    /// A receiver report whose first block is about the stream has that stream's SSRC where RTP has its own (RFC 3550 section
    /// 6.4.2). It was renumbered, that is damaged, and sent to everybody.
    #[test]
    fn rtcp_about_a_stream_is_none_of_its_packets() {
        let mut passage = Passage::new(Ssrc(7), 90_000);
        passage.begin(Ssrc(7));
        let mut report = [&[0x81, 201, 0, 7, 0, 0, 0, 1, 0, 0, 0, 7][..], &[0; 20]].concat();
        let before = report.clone();
        assert_eq!((passage.pass(&mut report, NOW), report), (Judgement::Stranger, before));
        assert_eq!(passage.pass(&mut [0x80, 96], NOW), Judgement::Stranger);
    }
}
