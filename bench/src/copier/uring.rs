//! The sending half by io_uring: a request for each datagram, all of them handed over by one call.

use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use anyhow::{Context, Result, ensure};
use io_uring::{IoUring, opcode, types};
use nix::sys::socket::SockaddrStorage;

use super::messages::{Inbox, message, read_only};

/// Requests of one call.
const REQUESTS: usize = 1024;

/// Copies until it is killed.
pub fn run(socket: &UdpSocket, clients: &[SockaddrStorage], inbox: &mut Inbox) -> Result<()> {
    let mut ring: IoUring = IoUring::builder()
        .setup_single_issuer()
        .setup_coop_taskrun()
        .setup_defer_taskrun()
        .build(REQUESTS as u32)
        .context("io_uring; is kernel.io_uring_disabled set?")?;
    ring.submitter().register_files(&[socket.as_raw_fd()]).context("registering the socket")?;
    loop {
        let packets = inbox.receive(socket)?;
        let mut vectors: Vec<libc::iovec> = packets.iter().map(read_only).collect();
        let messages: Vec<libc::msghdr> = vectors
            .iter_mut()
            .flat_map(|vector| {
                let vector: *mut libc::iovec = vector;
                // SAFETY: the vector outlives the messages, and nobody writes through either.
                clients.iter().map(move |client| message(unsafe { &mut *vector }, client))
            })
            .collect();
        for chunk in messages.chunks(REQUESTS) {
            for message in chunk {
                let request = opcode::SendMsg::new(types::Fixed(0), message).build();
                // SAFETY: message, vector, packet and address stay where they are until all completions have come, below.
                unsafe { ring.submission().push(&request) }.context("the ring is full")?;
            }
            ring.submit_and_wait(chunk.len()).context("io_uring_enter")?;
            for completion in ring.completion() {
                ensure!(completion.result() >= 0, "a datagram was refused: error {}", -completion.result());
            }
        }
    }
}
