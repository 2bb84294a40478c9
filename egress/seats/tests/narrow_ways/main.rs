//! What the batch does where the kernel does not take what it is given. Each test has a network namespace of its own, which takes
//! root, `ip` and `tc`.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

mod a_full_socket_loses_what_does_not_fit;
mod a_small_mtu_takes_packets_one_by_one;

use std::convert::Infallible;
use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use seats::Seat;
use seats::send::{Batch, Path};

/// Runs a test in a namespace with nothing but a loopback interface, which `commands` make as the test wants it.
fn alone_with(commands: &[&str], test: fn(Host)) {
    let commands: Vec<String> = commands.iter().map(|&command| command.to_owned()).collect();
    let thread = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace takes root");
        run("ip link set lo up");
        commands.iter().for_each(|command| run(command));
        test(Host::new());
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn run(command: &str) {
    let mut words = command.split(' ');
    let program = words.next().unwrap();
    let output = Command::new(program).args(words).output();
    let output = output.unwrap_or_else(|error| panic!("{command}: {error}"));
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The media port, and one viewer.
struct Host {
    socket: Arc<UdpSocket>,
    batch: Batch,
    viewer: UdpSocket,
    address: SocketAddr,
}

impl Host {
    fn new() -> Host {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap());
        let viewer = UdpSocket::bind("127.0.0.1:0").unwrap();
        viewer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let address = viewer.local_addr().unwrap();
        Host { batch: Batch::new(socket.clone()).unwrap(), socket, viewer, address }
    }

    fn push(&mut self, seat: u64, packet: &[u8]) {
        let filled = self.batch.push(Seat(seat), &Path::Udp(self.address), packet.len(), |room| {
            room.copy_from_slice(packet);
            Ok::<_, Infallible>(())
        });
        filled.unwrap();
    }

    fn received(&self) -> Vec<u8> {
        let mut packet = vec![0; 4000];
        let length = self.viewer.recv(&mut packet).unwrap();
        packet.truncate(length);
        packet
    }
}
