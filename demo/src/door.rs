//! [`open`]: a port on this machine's loopback that leads to a node's page.
//!
//! A browser lets a page use camera and microphone only where it is safe from others, and `http://127.0.0.1` is. Media goes
//! its own way, straight to the nodes.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

use anyhow::{Context, Result};

/// Listens on a port of loopback until the program ends.
pub fn open(port: u16, node: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).with_context(|| {
        format!("port {port} of this machine is taken; the page is at http://{node} all the same")
    })?;
    thread::spawn(move || {
        for guest in listener.incoming().flatten() {
            // A node that is down is its visitor's to notice.
            thread::spawn(move || pass(guest, node));
        }
    });
    Ok(())
}

fn pass(guest: TcpStream, node: SocketAddr) -> io::Result<()> {
    let node = TcpStream::connect(node)?;
    let (from_guest, to_node) = (guest.try_clone()?, node.try_clone()?);
    thread::spawn(move || copy(from_guest, to_node));
    copy(node, guest)
}

fn copy(mut from: TcpStream, mut to: TcpStream) -> io::Result<()> {
    let copied = io::copy(&mut from, &mut to);
    // The other direction may still have something to say.
    let _ = to.shutdown(Shutdown::Write);
    copied.map(drop)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn what_goes_in_comes_out_both_ways() {
        let node = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let spare = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        open(spare, node.local_addr().unwrap()).unwrap();
        let mut guest = TcpStream::connect((Ipv4Addr::LOCALHOST, spare)).unwrap();
        let (mut served, _) = node.accept().unwrap();
        guest.write_all(b"knock").unwrap();
        let mut heard = [0; 5];
        served.read_exact(&mut heard).unwrap();
        served.write_all(b"enter").unwrap();
        drop(served);
        let mut answer = String::new();
        guest.read_to_string(&mut answer).unwrap();
        assert_eq!((&heard, answer.as_str()), (b"knock", "enter"));
    }
}
