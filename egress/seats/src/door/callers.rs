//! TCP connections to the media port (ICE-TCP, RFC 6544: we are passive). Whoever has not shown that it belongs to a seat has
//! little time, and there is little room for such.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use node::http::Client;

use super::connection::{Connection, Frames};
use super::drops::Reason;
use super::house::House;
use super::path::Way;
use crate::send::Path;

/// Connections that belong to nobody yet, at most: the oldest goes for a new one.
const STRANGERS_MOST: usize = 512;
/// Of these from one address, or one network of IPv6.
const STRANGERS_OF_ONE: usize = 64;
/// How long one may take to belong to somebody.
const PATIENCE: Duration = Duration::from_secs(5);
/// Connections accepted before it is others' turn.
const ACCEPTED_AT_ONCE: usize = 64;
/// Bytes read from one before it is the next one's turn.
const READ_AT_ONCE: usize = 16 * 1024;
/// Connections read from before it is UDP's turn.
const SERVED_AT_ONCE: usize = 16;

/// All connections.
pub(crate) struct Callers {
    listener: TcpListener,
    epoll: Arc<Epoll>,
    last: u64,
    callers: HashMap<u64, Caller>,
    /// Those of nobody, in the order in which they came.
    strangers: VecDeque<u64>,
    /// Which of them have something to read, each once, in turn.
    ready: VecDeque<u64>,
}

struct Caller {
    connection: Arc<Connection>,
    frames: Frames,
    since: Instant,
    /// It has shown whose it is.
    known: bool,
    /// It is among those that have something to read.
    waits: bool,
}

impl Callers {
    pub(crate) fn new(listener: TcpListener, epoll: Arc<Epoll>) -> Callers {
        Callers {
            listener,
            epoll,
            last: 0,
            callers: HashMap::new(),
            strangers: VecDeque::new(),
            ready: VecDeque::new(),
        }
    }

    /// [`Self::serve`] has more to do.
    pub(crate) fn are_waiting(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Somebody calls.
    pub(crate) fn accept(&mut self, house: &House, now: Instant) {
        for _ in 0..ACCEPTED_AT_ONCE {
            match self.listener.accept() {
                Ok((stream, peer)) => {
                    if self.of_one(peer.ip()) >= STRANGERS_OF_ONE {
                        house.drops.count(Reason::TcpTooMany);
                        continue;
                    }
                    if self.strangers.len() >= STRANGERS_MOST {
                        self.drop_oldest(Reason::TcpTooMany, house, now);
                    }
                    if let Err(error) = self.welcome(stream, peer, now) {
                        tracing::debug!(%error, %peer, "a TCP connection to the media port is lost");
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // It was gone before we looked.
                Err(error) if error.raw_os_error() == Some(libc::ECONNABORTED) => {}
                // No descriptors: somebody's who is nobody, if there is one; otherwise at the next tick.
                Err(_) => {
                    if !self.drop_oldest(Reason::TcpTooMany, house, now) {
                        self.listen(false);
                        return;
                    }
                }
            }
        }
    }

    /// Epoll says that there is something to do.
    pub(crate) fn ready(&mut self, number: u64, events: EpollFlags) {
        let Some(caller) = self.callers.get_mut(&number) else {
            return;
        };
        if events.contains(EpollFlags::EPOLLOUT) {
            caller.connection.flush();
        }
        // Told of each packet that comes, also while there is more than was read in its last turn.
        let has_more = EpollFlags::EPOLLIN | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR;
        if events.intersects(has_more) && !std::mem::replace(&mut caller.waits, true) {
            self.ready.push_back(number);
        }
    }

    /// Reads some from those whose turn it is.
    pub(crate) fn serve(&mut self, house: &House, now: Instant) {
        for _ in 0..self.ready.len().min(SERVED_AT_ONCE) {
            let Some(number) = self.ready.pop_front() else {
                return;
            };
            let Some(caller) = self.callers.get_mut(&number) else {
                continue;
            };
            let stranger = !caller.known;
            let more = caller.read(house, now);
            if stranger && caller.known {
                self.strangers.retain(|stranger| *stranger != number);
            }
            match more {
                Ok(true) => self.ready.push_back(number),
                Ok(false) => caller.waits = false,
                Err(why) => {
                    if let Some(reason) = why {
                        house.drops.count(reason);
                    }
                    self.end(number, house, now);
                }
            }
        }
    }

    /// Time has passed: who has not shown whose it is goes.
    pub(crate) fn tick(&mut self, house: &House, now: Instant) {
        while let Some(number) = self.strangers.front()
            && self.callers.get(number).is_none_or(|caller| caller.since + PATIENCE <= now)
        {
            self.drop_oldest(Reason::TcpStranger, house, now);
        }
        // A viewer whose seat is free again has no use for its connection.
        let hall = house.hall();
        let over = |(number, caller): (&u64, &Caller)| {
            (caller.known && !hall.knows(Way::Tcp(*number))).then_some(*number)
        };
        let over: Vec<u64> = self.callers.iter().filter_map(over).collect();
        drop(hall);
        for number in over {
            self.end(number, house, now);
        }
        self.listen(true);
    }

    fn welcome(&mut self, stream: TcpStream, peer: std::net::SocketAddr, now: Instant) -> io::Result<()> {
        self.last += 1;
        let connection = Connection::new(self.last, stream, peer)?;
        // Told once of each change: what is not read at once is remembered in `ready`.
        let events = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
        self.epoll.add(&connection, EpollEvent::new(events, self.last))?;
        let caller = Caller {
            connection: Arc::new(connection),
            frames: Frames::default(),
            since: now,
            known: false,
            waits: false,
        };
        self.callers.insert(self.last, caller);
        self.strangers.push_back(self.last);
        Ok(())
    }

    /// How many strangers are where this address is.
    fn of_one(&self, ip: IpAddr) -> usize {
        let network = |ip| Client::new(ip).network();
        let callers = self.strangers.iter().filter_map(|number| self.callers.get(number));
        callers.filter(|c| network(c.connection.peer.ip()) == network(ip)).count()
    }

    /// False: there is none.
    fn drop_oldest(&mut self, why: Reason, house: &House, now: Instant) -> bool {
        let Some(number) = self.strangers.front().copied() else {
            return false;
        };
        house.drops.count(why);
        self.end(number, house, now);
        true
    }

    fn end(&mut self, number: u64, house: &House, now: Instant) {
        self.strangers.retain(|stranger| *stranger != number);
        if let Some(caller) = self.callers.remove(&number) {
            caller.connection.end();
            // Workers may hold it for a while yet: it is not to wake us meanwhile.
            let _ = self.epoll.delete(&*caller.connection);
            house.hall().hung_up(number, now);
        }
    }

    fn listen(&self, on: bool) {
        let events = match on {
            true => EpollFlags::EPOLLIN,
            false => EpollFlags::empty(),
        };
        let event = EpollEvent::new(events, super::listen::TCP);
        let _ = self.epoll.modify(self.listener.as_fd(), &mut { event });
    }
}

impl Caller {
    /// Reads some. True: there may be more. An error: it is over, and perhaps for a reason to be counted.
    fn read(&mut self, house: &House, now: Instant) -> Result<bool, Option<Reason>> {
        let mut bytes = [0; READ_AT_ONCE];
        let length = match self.connection.stream().read(&mut bytes) {
            Ok(0) => return Err((!self.known).then_some(Reason::TcpStranger)),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(true),
            Err(_) => return Err((!self.known).then_some(Reason::TcpStranger)),
        };
        self.frames.extend(&bytes[..length]);
        let path = Path::Tcp(self.connection.clone());
        let mut hall = house.hall();
        let mut is_somebodys = true;
        let known = &mut self.known;
        let frames = self.frames.each(|frame| {
            if is_somebodys {
                house.came(&mut hall, frame, &path, now);
                // The first thing to come is a valid check.
                *known = *known || hall.knows(path.way());
                is_somebodys = *known;
            }
        });
        match frames {
            Err(_) => Err(Some(Reason::TcpMalformed)),
            Ok(()) if !is_somebodys => Err(Some(Reason::TcpStranger)),
            Ok(()) => Ok(true),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use nix::sys::epoll::EpollCreateFlags;

    use super::*;

    fn callers() -> Callers {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Callers::new(listener, Arc::new(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap()))
    }

    /// Somebody calls who seems to be there.
    fn call(callers: &mut Callers, peer: SocketAddr) -> TcpStream {
        let theirs = TcpStream::connect(callers.listener.local_addr().unwrap()).unwrap();
        let (ours, _) = callers.listener.accept().unwrap();
        callers.welcome(ours, peer, Instant::now()).unwrap();
        theirs
    }

    /// Epoll says so at each packet, however much of what came before has not been read.
    #[test]
    fn who_sends_faster_than_is_read_has_one_turn_as_everybody() {
        let mut callers = callers();
        let _theirs = call(&mut callers, ([127, 0, 0, 1], 1).into());
        for _ in 0..3 {
            callers.ready(1, EpollFlags::EPOLLIN);
        }
        assert_eq!(callers.ready.len(), 1);
    }

    #[test]
    fn a_network_of_ipv6_is_one_stranger() {
        let mut callers = callers();
        let at = |text: &str| SocketAddr::new(text.parse().unwrap(), 1);
        let _theirs =
            ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "10.0.0.1", "::ffff:10.0.0.1", "10.0.0.2"]
                .map(|peer| call(&mut callers, at(peer)));
        let of = |peer: &str| callers.of_one(at(peer).ip());
        assert_eq!((of("2001:db8::3"), of("2001:db8:0:1::2"), of("10.0.0.1")), (2, 1, 2));
    }
}
