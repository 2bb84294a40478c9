//! Who has a port that is wanted here. `Address already in use` names nobody; the kernel knows: `/proc/net` has the socket's
//! inode, and the folder of the process that holds it has a link to it.

use std::fmt;
use std::fs;
use std::io;
use std::net::SocketAddr;

/// Its process.
const JANUS: &str = "janus";
/// UDP ports of the sample mountpoints in Debian's configuration of Janus, the nodes' own RTP ports among them.
const SAMPLES: [u16; 5] = [5002, 5004, 5102, 5104, 5106];

/// Transport protocol of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP, listening.
    Tcp,
    /// UDP.
    Udp,
}

/// A process that holds a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its name, at most 15 bytes.
    pub name: String,
    /// Its process id in this PID namespace.
    pub pid: u32,
}

impl fmt::Display for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} (PID {})", self.name, self.pid)
    }
}

/// Why `at` could not be bound: what the system says and, if somebody else has the port, who.
pub fn refusal(transport: Transport, at: SocketAddr, error: &io::Error) -> String {
    if error.kind() != io::ErrorKind::AddrInUse {
        return error.to_string();
    }
    format!("{error}: {}", in_use_by(transport, at.port()))
}

/// The holder of a port that is in use, or how to find it, and what to do if it is a Janus as Debian installs it.
pub fn in_use_by(transport: Transport, port: u16) -> String {
    let letter = if transport == Transport::Tcp { 't' } else { 'u' };
    let sample = transport == Transport::Udp && SAMPLES.contains(&port);
    match holder(transport, port) {
        Some(holder) if sample && holder.name == JANUS => {
            format!("in use by {holder}: {}", of_a_sample(port))
        }
        Some(holder) => format!("in use by {holder}"),
        // Other users' processes do not show what they hold, but they do show their names.
        None => {
            let find = format!("`sudo ss -Hln{letter}p 'sport = :{port}'` shows which");
            match if sample { has_port(JANUS, port) } else { None } {
                Some(pid) => {
                    let holder = Holder { name: JANUS.to_owned(), pid };
                    format!("in use by another program, most likely {holder}: {}; {find}", of_a_sample(port))
                }
                None => format!("in use by another program ({find})"),
            }
        }
    }
}

/// What has it there and how it is mended.
fn of_a_sample(port: u16) -> String {
    format!(
        "as Debian installs it, a sample mountpoint of its takes UDP {port}; put deploy/janus/*.jcfg into /etc/janus, or take \
         `rtp-sample` out of janus.plugin.streaming.jcfg there, and restart it"
    )
}

/// A process of that name in the network namespace that has a UDP port's sockets; which of them it is, only root may see.
fn has_port(name: &str, port: u16) -> Option<u32> {
    let sockets_of = |pid: &str| -> Vec<u64> {
        let tables = ["udp", "udp6"].map(|table| fs::read_to_string(format!("/proc/{pid}/net/{table}")));
        tables.into_iter().flatten().flat_map(|table| inodes(Transport::Udp, port, &table)).collect()
    };
    let ours = sockets_of("self");
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.find(|pid: &u32| {
        let is = fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|found| found.trim_end() == name);
        is && sockets_of(&pid.to_string()).iter().any(|socket| ours.contains(socket))
    })
}

/// Who holds a port in this network namespace, if this process may know.
pub fn holder(transport: Transport, port: u16) -> Option<Holder> {
    let tables = match transport {
        Transport::Tcp => ["/proc/self/net/tcp", "/proc/self/net/tcp6"],
        Transport::Udp => ["/proc/self/net/udp", "/proc/self/net/udp6"],
    };
    let tables = tables.iter().filter_map(|table| fs::read_to_string(table).ok());
    let links: Vec<String> = tables
        .flat_map(|table| inodes(transport, port, &table))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    if links.is_empty() {
        return None;
    }
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find_map(|pid: u32| {
        let sockets = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten();
        let mut names = sockets.filter_map(|entry| fs::read_link(entry.path()).ok());
        names.any(|name| links.iter().any(|link| name.as_os_str() == link.as_str())).then(|| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            Holder { name: name.trim().to_owned(), pid }
        })
    })
}

/// The sockets of a table of `/proc/net` that are bound to a port. Of TCP only those that listen.
fn inodes(transport: Transport, port: u16, table: &str) -> Vec<u64> {
    const LISTENING: &str = "0A";
    let of_line = |line: &str| -> Option<u64> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, local) = fields.get(1)?.rsplit_once(':')?;
        let bound = u16::from_str_radix(local, 16).ok()? == port;
        let counts = transport == Transport::Udp || *fields.get(3)? == LISTENING;
        // 0: nobody has it any more.
        fields.get(9)?.parse().ok().filter(|inode| bound && counts && *inode != 0)
    };
    table.lines().skip(1).filter_map(of_line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};

    #[test]
    fn a_port_of_our_own_is_known_to_be_ours() {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let tcp = TcpListener::bind("[::1]:0").or_else(|_| TcpListener::bind("127.0.0.1:0")).unwrap();
        for (transport, at) in
            [(Transport::Udp, udp.local_addr().unwrap()), (Transport::Tcp, tcp.local_addr().unwrap())]
        {
            assert_eq!(holder(transport, at.port()).unwrap().pid, std::process::id());
        }
    }

    #[test]
    fn the_refusal_names_who_has_the_port() {
        let first = UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = first.local_addr().unwrap();
        let error = UdpSocket::bind(at).unwrap_err();
        let text = refusal(Transport::Udp, at, &error);
        assert!(text.contains(&format!("(PID {})", std::process::id())), "{text}");
    }

    #[test]
    fn any_other_error_is_left_as_it_is() {
        let at = "127.0.0.1:80".parse().unwrap();
        let error = io::Error::from(io::ErrorKind::PermissionDenied);
        assert_eq!(refusal(Transport::Tcp, at, &error), error.to_string());
    }

    #[test]
    fn a_connection_from_a_port_does_not_hold_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connection = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert_eq!(holder(Transport::Tcp, connection.local_addr().unwrap().port()), None);
    }

    #[test]
    fn a_table_of_the_kernel_is_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref\n   \
             1: 0100007F:138A 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 0\n   \
             2: 00000000:138C 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 0 2 0\n";
        assert_eq!(inodes(Transport::Udp, 5002, table), [4711]);
        assert_eq!(inodes(Transport::Udp, 5004, table), [0; 0]);
    }
}
