//! RTCP of a viewer, opened already: what it says, and that it cannot make us work for long.

use seats::rtcp::{self, Said};

/// Any bytes.
pub fn viewer_rtcp(packet: &[u8]) {
    let Ok(first) = said(packet) else { return };
    assert!(first.len() * 4 <= packet.len(), "something is said by at least a header's bytes");
    // What a packet says does not depend on what follows it.
    let request = [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9];
    let both = said(&[packet, &request].concat()).expect("two packets that are whole");
    assert_eq!(both[..first.len()], first);
    assert_eq!(both[first.len()..], said(&request).expect("a request for a keyframe"));
}

fn said(packet: &[u8]) -> Result<Vec<String>, rtcp::Malformed> {
    let (mut all, mut sequences) = (Vec::new(), 0);
    rtcp::read(packet, |said| {
        all.push(match said {
            Said::Lacks { ssrc, sequences: lacks } => {
                let lacks = Vec::from_iter(lacks.iter());
                sequences += lacks.len();
                format!("{ssrc} {lacks:?}")
            }
            Said::Arrivals(arrivals) => {
                let arrivals = Vec::from_iter(arrivals.iter());
                assert!(arrivals.len() <= 1024, "{}", arrivals.len());
                format!("{arrivals:?}")
            }
            said => format!("{said:?}"),
        })
    })?;
    assert!(sequences * 4 <= packet.len() * 17, "{sequences} in {} bytes", packet.len());
    Ok(all)
}
