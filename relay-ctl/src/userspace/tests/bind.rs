use super::*;

fn bind(addresses: &[IpAddr], ports: [u16; 2]) -> Result<Userspace, String> {
    Userspace::bind(&Listen { addresses: addresses.to_vec(), ports }).map_err(|error| error.to_string())
}

#[test]
fn a_port_in_use_is_named_and_nothing_stays_open() {
    let taken = Node::new(V4);
    let [audio, video] = taken.ports;
    let [[audio_rtp, audio_rtcp], [video_rtp, video_rtcp]] = taken.sockets;
    drop((audio_rtp, audio_rtcp, video_rtp));
    let text = bind(&[V4], [audio, video]).err().expect("the last port is taken");
    let port = video + 1;
    assert!(text.contains(&format!("UDP port {port} of 127.0.0.1 is in use by ")), "{text}");
    assert!(text.contains(&format!("(PID {})", std::process::id())), "{text}");
    let text = bind(&[], [audio, video]).err().expect("every address contains that one");
    assert!(text.contains(&format!("UDP port {port} of :: is in use")), "{text}");
    drop(video_rtcp);
    // All of it is free again, and after a stop once more.
    bind(&[V4], [audio, video]).expect("free").stop();
    bind(&[], [audio, video]).expect("free").stop();
}

#[test]
fn ports_that_make_no_two_pairs_are_refused() {
    for ports in [[5004, 5004], [5004, 5005], [5005, 5004], [0, 5004], [5002, 65_535]] {
        assert!(bind(&[V4], ports).err().expect("bad ports").contains("do not make two pairs"));
    }
}

#[test]
fn an_address_of_another_host_is_named() {
    let text = bind(&[[192, 0, 2, 1].into()], [29_000, 29_002]).err().expect("not ours");
    assert_eq!(text, "192.0.2.1 is not an address of this host (see `ip address`)");
}

#[test]
fn an_idle_relay_stops_at_once() {
    let (relay, _) = relay(&[]);
    let start = Instant::now();
    relay.stop();
    assert!(start.elapsed() < Duration::from_secs(1));
}
