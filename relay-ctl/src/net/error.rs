use std::{io, net::IpAddr};

/// Why the kernel's answer is not a next hop. Each message says what to look at or do.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    #[error("cannot open a netlink socket: {0}")]
    Socket(#[source] io::Error),

    #[error("the netlink socket is closed")]
    Closed,

    #[error("the kernel did not answer in time: {doing}")]
    Timeout { doing: String },

    #[error("{doing}: {source}")]
    Kernel { doing: String, source: io::Error },

    #[error("{doing}: the kernel's answer has no {missing}")]
    BadReply { doing: String, missing: &'static str },

    #[error("no interface {wanted}; this network namespace has: {} (see `ip link`)", .existing.join(", "))]
    UnknownInterface { wanted: String, existing: Vec<String> },

    #[error("{0} is not the address of one host (it is unspecified, broadcast or multicast)")]
    NotUnicast(IpAddr),

    #[error(
        "{0} is a link-local address, which names no interface; use a global or unique-local address \
         (`ip -6 address show scope global` on that host)"
    )]
    LinkLocal(IpAddr),

    #[error("{destination} is an address of this host (see `ip {}route get {destination}`)", family(.destination))]
    Local { destination: IpAddr },

    #[error(
        "no route to {destination}; add one with `ip {f}route add {destination} via <gateway>`, \
         or bring the interface up (see `ip {f}route` and `ip link`)",
        f = family(.destination)
    )]
    NoRoute { destination: IpAddr },

    #[error(
        "the route to {destination} is of type unreachable; find it with `ip {f}route show table all type unreachable`",
        f = family(.destination)
    )]
    Unreachable { destination: IpAddr },

    #[error(
        "the route to {destination} is of type blackhole; find it with `ip {f}route show table all type blackhole`",
        f = family(.destination)
    )]
    Blackhole { destination: IpAddr },

    #[error(
        "the route to {destination} is of type prohibit; find it with `ip {f}route show table all type prohibit` \
         or `ip {f}rule`",
        f = family(.destination)
    )]
    Prohibited { destination: IpAddr },

    #[error(
        "no source address for {destination} on {interface}; add one with `ip {}address add <address>/<prefix> dev {interface}`",
        family(.destination)
    )]
    NoSource { destination: IpAddr, interface: String },
}

impl NetError {
    /// The kernel refused what we were `doing`.
    pub(super) fn kernel(doing: impl Into<String>, source: io::Error) -> Self {
        NetError::Kernel { doing: doing.into(), source }
    }
}

/// The option of `ip` that makes the quoted command look at the right family.
fn family(address: &IpAddr) -> &'static str {
    if address.is_ipv6() { "-6 " } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_command_for_the_family() {
        let destination = IpAddr::from([10, 9, 9, 9]);
        let v4 = NetError::NoRoute { destination }.to_string();
        assert!(v4.starts_with("no route to 10.9.9.9; add one with `ip route add 10.9.9.9 via"), "{v4}");
        let v6 = NetError::Blackhole { destination: IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, 1]) }.to_string();
        assert!(v6.contains("`ip -6 route show table all type blackhole`"), "{v6}");
    }

    #[test]
    fn an_unknown_interface_lists_those_that_exist() {
        let existing = vec!["lo".to_owned(), "eth0".to_owned()];
        let text = NetError::UnknownInterface { wanted: "`eth9`".to_owned(), existing }.to_string();
        assert_eq!(text, "no interface `eth9`; this network namespace has: lo, eth0 (see `ip link`)");
    }
}
