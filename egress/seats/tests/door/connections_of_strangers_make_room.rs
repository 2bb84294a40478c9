//! TCP connections by which no viewer comes are few, and not for long; whoever says something else is hung up on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::client::By;
use crate::stranger::{another_can_join, call};
use crate::studio::{Studio, dropped, until};

/// The server has hung up.
fn is_over(mut stream: &TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    match stream.read(&mut [0; 100]) {
        Ok(length) => length == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn whoever_is_silent() {
    let mut studio = Studio::start();
    studio.watched_while(|server| {
        let of_one: Vec<TcpStream> = (0..70).map(|_| call(server, [127, 0, 0, 9])).collect();
        until("six are too many", || dropped(server, "tcp_too_many") == 6);
        assert_eq!(of_one.iter().filter(|stream| is_over(stream)).count(), 6);

        let of_many: Vec<TcpStream> =
            (0..600).map(|nth| call(server, [127, 0, 1, (nth % 100) as u8])).collect();
        until("the oldest have gone", || dropped(server, "tcp_too_many") == 6 + 64 + 600 - 512);
        assert!(of_one.iter().all(is_over));
        another_can_join(server, By::Tcp);
        // The one who joined made one more go.
        until("the others have had their time", || dropped(server, "tcp_stranger") == 511);
        assert!(of_many.iter().all(is_over));
    });
}

#[test]
fn whoever_talks_of_something_else() {
    let mut studio = Studio::start();
    studio.watched_while(|server| {
        for talk in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0, 4, 128, 200, 0, 0], &[0, 0], &[255, 255]] {
            let mut stream = call(server, [127, 0, 0, 9]);
            stream.write_all(talk).unwrap();
            until("it is hung up on", || is_over(&stream));
        }
        assert_eq!((dropped(server, "tcp_stranger"), dropped(server, "tcp_malformed")), (2, 2));
        another_can_join(server, By::Tcp);
    });
}
