use std::net::{TcpListener, UdpSocket};

use super::*;

#[tokio::test]
async fn ports_are_nobody_elses() {
    let place = Place::new();
    // Below the ports that the kernel gives to whoever connects: those come and go. The first two blocks of the range are in use.
    let (first, _held) = (20000..32000)
        .step_by(100)
        .find_map(|port: u16| {
            let tcp = TcpListener::bind(("0.0.0.0", port)).ok()?;
            let udp = UdpSocket::bind(("0.0.0.0", port + 7)).ok()?;
            Some((port, (tcp, udp)))
        })
        .unwrap();
    let range = |last: u16| format!("ports = '{first}-{last}'\nports-each = 4\n");
    let backend = |last| {
        Backend::read(&format!(
            "backend = 'process'\n[process]\nstate = '{0}/state'\n{1}\n[process.egress]\ncommand = ['sh', '-c', \
             'echo {{name}} $API $LAST >> {0}/ports; exec sleep 600']\nenvironment = {{ API = '{{port}}', LAST = '{{port+3}}' }}\n",
            place.path().display(),
            range(last)
        ))
        .unwrap()
    };
    // A whole hundred may be needed if others listen there; the order is that of asking.
    let wide = backend(first + 99);
    for name in ["a", "b", "c"] {
        wide.make(&egress(name), name != "b").await.unwrap();
    }
    wide.make(&egress("b"), true).await.unwrap();
    let said = place.wait_said("ports", 3).await;
    let ports: Vec<(String, u16)> = said
        .iter()
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let [api, last] = [words[1], words[2]].map(|port| port.parse::<u16>().unwrap());
            assert_eq!(last, api + 3);
            assert!(api >= first + 8 && (api - first) % 4 == 0, "{line}: in use before");
            (words[0].to_owned(), api)
        })
        .collect();
    let of = |name: &str| ports.iter().find(|(whose, _)| whose == name).unwrap().1;
    assert!(of("a") < of("b") && of("b") < of("c"), "{ports:?}");

    let narrow = backend(first + 7);
    let trouble = narrow.make(&egress("d"), true).await.unwrap_err();
    assert!(trouble.again && trouble.why.contains("make process.ports wider"), "{trouble}");
    // What is given back is used again.
    destroyed(&wide, "a").await;
    wide.make(&egress("e"), true).await.unwrap();
    let said = place.wait_said("ports", 4).await;
    assert!(said[3].starts_with(&format!("e {} ", of("a"))), "{said:?}");
    for name in ["b", "c", "e"] {
        destroyed(&wide, name).await;
    }
}
