//! The door's thread: reads the media port, both its UDP and its TCP side, and lets time pass.

use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::eventfd::EventFd;

use super::batch::Batch;
use super::callers::Callers;
use super::drops::Reason;
use super::house::House;
use crate::send::Path;

/// How often it is looked whose time is over.
const TICK: Duration = Duration::from_millis(100);
/// Batches of datagrams before it is TCP's turn.
const BATCHES: usize = 16;

/// What epoll says of which socket; connections have their numbers.
const UDP: u64 = u64::MAX;
pub(super) const TCP: u64 = u64::MAX - 1;
const STOP: u64 = u64::MAX - 2;

/// All that the door's thread has.
pub(crate) struct Door {
    pub(crate) house: Arc<House>,
    pub(crate) udp: Arc<UdpSocket>,
    callers: Callers,
    epoll: Arc<Epoll>,
}

impl Door {
    /// `stop` ends the thread when it is written to.
    pub(crate) fn new(
        house: Arc<House>,
        udp: Arc<UdpSocket>,
        tcp: TcpListener,
        stop: &EventFd,
    ) -> io::Result<Door> {
        let epoll = Arc::new(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?);
        for (fd, number) in [(udp.as_fd(), UDP), (tcp.as_fd(), TCP), (stop.as_fd(), STOP)] {
            epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, number))?;
        }
        let callers = Callers::new(tcp, epoll.clone());
        Ok(Door { house, udp, callers, epoll })
    }

    pub(crate) fn run(mut self) {
        let mut batch = Batch::new();
        let mut events = vec![EpollEvent::empty(); 256];
        let mut next = Instant::now() + TICK;
        loop {
            let now = Instant::now();
            if next <= now {
                next = now + TICK;
                self.house.tick(now);
                self.callers.tick(&self.house, now);
            }
            let left = match self.callers.are_waiting() {
                true => Duration::ZERO,
                false => next.saturating_duration_since(now),
            };
            // At least 1 ms: the rest of one would be none, and this a busy loop until then.
            let left = left.as_millis() as u16 + u16::from(!left.is_zero());
            let came = match self.epoll.wait(&mut events, left) {
                Ok(came) => came,
                Err(Errno::EINTR) => 0,
                // Nobody would come in any more, and who is in would be gone in half a minute.
                Err(error) => panic!("the media port cannot be read any more: {error}"),
            };
            let now = Instant::now();
            for event in &events[..came] {
                match event.data() {
                    STOP => return,
                    UDP => self.datagrams(&mut batch, now),
                    TCP => self.callers.accept(&self.house, now),
                    number => self.callers.ready(number, event.events()),
                }
            }
            self.callers.serve(&self.house, now);
        }
    }

    fn datagrams(&self, batch: &mut Batch, now: Instant) {
        for _ in 0..BATCHES {
            let (datagrams, more) = batch.receive(&self.udp);
            let mut hall = self.house.hall();
            for datagram in datagrams {
                match datagram.bytes {
                    Some(bytes) => {
                        let path = match datagram.to {
                            Some(ours) => Path::UdpFrom(datagram.from, ours),
                            None => Path::Udp(datagram.from),
                        };
                        self.house.came(&mut hall, bytes, &path, now);
                    }
                    None => self.house.drops.count(Reason::Garbage),
                }
            }
            if !more {
                return;
            }
        }
    }
}
