//! Connectivity checks of strangers, by their names or by their passwords, lead to nothing but a count: nobody can make the server
//! send to somebody else.

use std::io::ErrorKind;
use std::net::UdpSocket;

use seats::Credentials;

use crate::client::By;
use crate::stranger::{another_can_join, check};
use crate::studio::{MOUNTPOINT, Studio, dropped, until};

#[test]
fn a_flood_of_them() {
    let mut studio = Studio::start();
    studio.watched_while(|server| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let invitation = server.invite(MOUNTPOINT).unwrap();
        let password = "not the password of the seat".to_owned();
        let forged = check(&Credentials { password, ..invitation.ice.clone() });
        let stranger = check(&Credentials { user: "nobody".to_owned(), ..invitation.ice.clone() });
        for sent in 1..=20_000 {
            socket.send_to(&forged, server.media_port()).unwrap();
            socket.send_to(&stranger, server.media_port()).unwrap();
            if sent % 32 == 0 {
                until("all are counted", || {
                    dropped(server, "stun_forged") == sent && dropped(server, "stun_stranger") == sent
                });
            }
        }
        let answer = socket.recv(&mut [0; 1]);
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::WouldBlock);

        // The one who knows it is answered.
        socket.set_nonblocking(false).unwrap();
        socket.send_to(&check(&invitation.ice), server.media_port()).unwrap();
        assert!(socket.recv(&mut [0; 1000]).unwrap() > 20);
        server.leave(invitation.seat);
        another_can_join(server, By::Udp);
    });
}
