//! Who asks, as proxies say it: before the first byte of a connection, or in a header.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue};
use node::http::proxy_protocol::{Header, read};
use node::http::{Client, Trusted};

/// The beginning of a connection, and the value of a header.
pub fn client(bytes: &[u8]) {
    if let Header::Whole { length, .. } = read(bytes) {
        assert!(length <= bytes.len(), "{length} of {}", bytes.len());
        assert_eq!(read(&bytes[..length]), read(bytes), "what follows plays no part");
        assert_eq!(read(&bytes[..length - 1]), Header::Incomplete, "all of it is needed");
    }
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
    let peer = IpAddr::from([10, 0, 0, 1]);
    let Ok(trusted) = Trusted::parse(&["10.0.0.1".to_owned()]) else { return };
    for names in [&["x-forwarded-for"][..], &["forwarded"], &["x-forwarded-for", "forwarded"]] {
        let headers: HeaderMap =
            names.iter().map(|name| (http::HeaderName::from_static(name), value.clone())).collect();
        let _ = Client::behind(peer, &headers, &trusted);
        assert_eq!(Client::behind(peer, &headers, &Trusted::NOBODY), Client::new(peer));
    }
}
