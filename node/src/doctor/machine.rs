//! What the machine has for a node: ports, buffers, open files, its own name.

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};

use nix::sys::resource::{Resource, getrlimit};

use super::Finding;
use crate::port::{Holder, Transport, holder, refusal};

/// Open files that a node with some hundreds of connections needs.
const FILES: u64 = 4096;

/// Ports that the node takes, each with what it is for. `program`: the node's own, which may be running.
pub fn ports(program: &str, ports: &[(&str, Transport, SocketAddr)]) -> Vec<Finding> {
    ports.iter().map(|(what, transport, at)| port(program, what, *transport, *at)).collect()
}

fn port(program: &str, what: &str, transport: Transport, at: SocketAddr) -> Finding {
    let bound = match transport {
        Transport::Tcp => TcpListener::bind(at).map(drop),
        Transport::Udp => UdpSocket::bind(at).map(drop),
    };
    let name = if transport == Transport::Tcp { "TCP" } else { "UDP" };
    let fix = "stop the other program, or choose another port";
    let result = match bound {
        Ok(()) => Ok(format!("{name} {at} is free")),
        Err(error) => match holder(transport, at.port()).filter(|holder| holder.name == program) {
            Some(holder) => Ok(format!("{name} {at} is this node's, which runs (PID {})", holder.pid)),
            None => Err(format!("{name} {at}: {}", refusal(transport, at, &error))),
        },
    };
    Finding::needed(what, result, fix)
}

/// UDP ports that others are to be given, on this machine: those of them that are in use by anybody but `by`.
pub fn pool(what: &str, by: &str, ports: std::ops::RangeInclusive<u16>) -> Finding {
    let in_use = |port: &u16| UdpSocket::bind((std::net::Ipv4Addr::UNSPECIFIED, *port)).is_err();
    let others = ports.clone().filter(in_use).filter_map(|port| match holder(Transport::Udp, port) {
        Some(holder) if holder.name == by => None,
        Some(holder) => Some(format!("{port} ({} (PID {}))", holder.name, holder.pid)),
        None => Some(port.to_string()),
    });
    let others: Vec<String> = others.collect();
    let (first, last) = (ports.start(), ports.end());
    let result = match others[..] {
        [] => Ok(format!("UDP {first} to {last} are free, or {by}'s")),
        _ => Err(format!("of UDP {first} to {last} others have {}", others.join(", "))),
    };
    Finding::wanted(what, result, "set port-pool-base to another, or stop those programs")
}

/// The largest receive buffer that the kernel gives, against what the node asks for: a burst that comes while it is busy
/// waits there.
pub fn receive_buffer(wanted: usize) -> Finding {
    at_least("receive buffer", "net.core.rmem_max", wanted as u64, "bursts of media are lost")
}

/// The same of what is sent: what cannot leave at once waits there.
pub fn send_buffer(wanted: usize) -> Finding {
    at_least("send buffer", "net.core.wmem_max", wanted as u64, "bursts of media to many viewers are lost")
}

/// The buffer that programs get that ask for none, as Janus for the media of mountpoints.
pub fn default_buffer(wanted: usize) -> Finding {
    at_least("Janus' receive buffer", "net.core.rmem_default", wanted as u64, "Janus loses bursts of media")
}

fn at_least(what: &str, key: &str, wanted: u64, otherwise: &str) -> Finding {
    let text = fs::read_to_string(format!("/proc/sys/{}", key.replace('.', "/")));
    let result = match text.as_deref().map(str::trim).map(str::parse::<u64>) {
        Ok(Ok(bytes)) if bytes >= wanted => Ok(format!("{key} is {bytes} bytes")),
        Ok(Ok(bytes)) => Err(format!("{key} is {bytes} bytes, less than {wanted}: {otherwise}")),
        // Of another network namespace than the first, the kernel does not say.
        _ => Ok(format!("{key} cannot be read here")),
    };
    Finding::wanted(what, result, &format!("sysctl {key}={wanted} (for good: a file in /etc/sysctl.d)"))
}

/// How many files the node may open; each connection is one.
pub fn open_files() -> Finding {
    let result = match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, _)) if soft >= FILES => Ok(format!("{soft} may be open")),
        Ok((soft, _)) => Err(format!("only {soft} may be open, and every connection is one")),
        Err(error) => Ok(format!("the limit cannot be read: {error}")),
    };
    Finding::wanted("open files", result, "LimitNOFILE=65536 in the unit, or `ulimit -n 65536`")
}

/// The same of another program, which listens on a TCP port of this machine. `wanted`: how many it needs; `why`: who takes them.
pub fn open_files_of(what: &str, port: u16, wanted: u64, why: &str) -> Finding {
    let limits = |holder: Holder| fs::read_to_string(format!("/proc/{}/limits", holder.pid)).ok();
    let result = match holder(Transport::Tcp, port).and_then(limits).as_deref().and_then(soft_limit) {
        Some(files) if files >= wanted => Ok(format!("{files} may be open")),
        Some(files) => Err(format!("only {files} may be open, and {why} take {wanted}")),
        None => Ok("the limit cannot be read; root may".to_owned()),
    };
    Finding::wanted(what, result, "LimitNOFILE=65536 in its unit, or `ulimit -n 65536` before it starts")
}

/// How many files a process may open, by its `/proc/PID/limits`.
fn soft_limit(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The host that others are told to send media to.
pub async fn host(name: &str) -> Finding {
    let result = match tokio::net::lookup_host((name, 0)).await {
        Ok(found) => {
            let addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
            match addresses[..] {
                [] => Err(format!("{name} has no address")),
                _ => Ok(addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" ")),
            }
        }
        Err(error) => Err(format!("{name} cannot be looked up: {error}")),
    };
    Finding::needed("NODE_HOST", result, "name an address, or mend DNS")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_said_to_be_and_by_whom() {
        let held = UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = held.local_addr().unwrap();
        let own = std::fs::read_to_string("/proc/self/comm").unwrap();
        let found = ports("egress", &[("RTP", Transport::Udp, at)]);
        assert!(!found[0].ok && found[0].seen.contains(own.trim()), "{found:?}");
        let runs = ports(own.trim(), &[("RTP", Transport::Udp, at)]);
        assert!(runs[0].ok && runs[0].seen.contains("which runs"), "{runs:?}");
        let pool_ = pool("pool", "janus", at.port()..=at.port());
        assert!(!pool_.ok && pool_.optional && pool_.seen.contains(&at.port().to_string()), "{pool_:?}");
        drop(held);
        assert!(ports("egress", &[("RTP", Transport::Udp, at)])[0].ok);
    }

    #[test]
    fn another_programs_open_files_are_counted() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = held.local_addr().unwrap().port();
        let few = open_files_of("Janus' open files", port, u64::MAX, "300 viewers");
        assert!(
            !few.ok
                && few.optional
                && few.seen.ends_with("may be open, and 300 viewers take 18446744073709551615"),
            "{few:?}"
        );
        assert!(open_files_of("", port, 1, "").ok);
        drop(held);
        let nobody = open_files_of("", port, u64::MAX, "");
        assert!(nobody.ok && nobody.seen.contains("cannot be read"), "{nobody:?}");
    }

    #[test]
    fn limits_are_compared() {
        assert!(at_least("x", "net.core.somaxconn", 1, "").ok);
        let small = at_least("x", "net.core.somaxconn", u64::MAX, "connections are lost");
        assert!(!small.ok && small.seen.ends_with("connections are lost"), "{small:?}");
        assert!(small.fix.unwrap().starts_with("sysctl net.core.somaxconn=18446744073709551615"));
    }
}
