//! Which IP addresses are no public ones, by the special-purpose registries of IANA (RFC 6890 and what followed).
//!
//! An IPv6 address that carries an IPv4 address is judged by both. Addresses that are not yet given out count as reserved.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address is not for everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserved {
    Unspecified,
    Loopback,
    Private,
    LinkLocal,
    /// Where clouds answer with the credentials of a machine.
    Metadata,
    Multicast,
    /// For documentation, benchmarks, protocols, or later.
    Special,
}

impl Reserved {
    pub fn as_str(self) -> &'static str {
        match self {
            Reserved::Unspecified => "unspecified",
            Reserved::Loopback => "loopback",
            Reserved::Private => "private",
            Reserved::LinkLocal => "link-local",
            Reserved::Metadata => "cloud credentials",
            Reserved::Multicast => "multicast",
            Reserved::Special => "reserved",
        }
    }
}

/// `None`: a public address.
pub fn reserved(address: IpAddr) -> Option<Reserved> {
    match address {
        IpAddr::V4(v4) => reserved_v4(v4),
        IpAddr::V6(v6) => reserved_v6(v6),
    }
}

const V4: &[([u8; 4], u32, Reserved)] = &[
    ([0, 0, 0, 0], 8, Reserved::Unspecified),
    ([10, 0, 0, 0], 8, Reserved::Private),
    ([100, 64, 0, 0], 10, Reserved::Private), // shared by the customers of a carrier
    ([127, 0, 0, 0], 8, Reserved::Loopback),
    ([169, 254, 0, 0], 16, Reserved::LinkLocal),
    ([172, 16, 0, 0], 12, Reserved::Private),
    ([192, 0, 0, 0], 24, Reserved::Special),
    ([192, 0, 2, 0], 24, Reserved::Special),
    ([192, 31, 196, 0], 24, Reserved::Special),
    ([192, 52, 193, 0], 24, Reserved::Special),
    ([192, 88, 99, 0], 24, Reserved::Special),
    ([192, 168, 0, 0], 16, Reserved::Private),
    ([192, 175, 48, 0], 24, Reserved::Special),
    ([198, 18, 0, 0], 15, Reserved::Special),
    ([198, 51, 100, 0], 24, Reserved::Special),
    ([203, 0, 113, 0], 24, Reserved::Special),
    ([224, 0, 0, 0], 4, Reserved::Multicast),
    ([240, 0, 0, 0], 4, Reserved::Special), // and 255.255.255.255
];

/// Each is inside of a range that a list may open for other reasons.
const METADATA: &[IpAddr] = &[
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)), // of containers, as the next
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

fn reserved_v4(address: Ipv4Addr) -> Option<Reserved> {
    if METADATA.contains(&IpAddr::V4(address)) {
        return Some(Reserved::Metadata);
    }
    let bits = u32::from(address);
    let covers = |net: [u8; 4], length: u32| (bits ^ u32::from_be_bytes(net)).leading_zeros() >= length;
    V4.iter().find(|(net, length, _)| covers(*net, *length)).map(|(_, _, why)| *why)
}

fn reserved_v6(address: Ipv6Addr) -> Option<Reserved> {
    if METADATA.contains(&IpAddr::V6(address)) {
        return Some(Reserved::Metadata);
    }
    if address.is_unspecified() {
        return Some(Reserved::Unspecified);
    }
    if address.is_loopback() {
        return Some(Reserved::Loopback);
    }
    let segments = address.segments();
    match segments[0] {
        0xff00.. => return Some(Reserved::Multicast),
        0xfe80..=0xfebf => return Some(Reserved::LinkLocal),
        0xfc00..=0xfdff | 0xfec0..=0xfeff => return Some(Reserved::Private), // ULA, and what was site-local
        _ => {}
    }
    // only 2000::/3 is given out as global unicast; 64:ff9b::/96 is a way to IPv4 from networks without it
    let nat64 = segments[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
    let special = match segments {
        [0x2001, 0..=0x01ff, ..] => true, // Teredo (its IPv4 address is masked), ORCHID, benchmarks
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0x0fff, ..] => true, // documentation
        [0x2620, 0x4f, 0x8000, ..] => true,
        [first, ..] => !(0x2000..=0x3fff).contains(&first) && !nat64,
    };
    match embedded_v4(address).and_then(reserved_v4) {
        Some(why) => Some(why),
        None if special => Some(Reserved::Special),
        None => None,
    }
}

/// The IPv4 address inside of an IPv4-mapped, IPv4-compatible, IPv4-translated, NAT64, 6to4 or ISATAP address.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = address.segments();
    let from = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match s {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => Some(from(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x64, 0xff9b, 1, _, _, _, high, low] => Some(from(high, low)),
        [0x2002, high, low, ..] => Some(from(high, low)),
        [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => Some(from(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_are_not_for_everybody() {
        use Reserved::*;
        let table = [
            ("0.0.0.0", Unspecified),
            ("0.1.2.3", Unspecified),
            ("127.0.0.1", Loopback),
            ("127.255.255.254", Loopback),
            ("10.0.0.1", Private),
            ("100.64.0.1", Private),
            ("100.127.255.255", Private),
            ("172.16.0.1", Private),
            ("172.31.255.255", Private),
            ("192.168.1.1", Private),
            ("169.254.169.254", Metadata),
            ("169.254.0.1", LinkLocal),
            ("168.63.129.16", Metadata),
            ("192.0.0.192", Metadata),
            ("100.100.100.200", Metadata),
            ("192.0.2.1", Special),
            ("192.88.99.1", Special),
            ("198.18.0.1", Special),
            ("198.19.255.255", Special),
            ("198.51.100.7", Special),
            ("203.0.113.9", Special),
            ("224.0.0.1", Multicast),
            ("239.255.255.250", Multicast),
            ("240.0.0.1", Special),
            ("255.255.255.255", Special),
            ("::", Unspecified),
            ("::1", Loopback),
            ("::127.0.0.1", Loopback),
            ("::10.1.2.3", Private),
            ("::8.8.8.8", Special),
            ("::ffff:127.0.0.1", Loopback),
            ("::ffff:169.254.169.254", Metadata),
            ("::ffff:10.0.0.1", Private),
            ("::ffff:8.8.8.8", Special),
            ("::ffff:0:127.0.0.1", Loopback),
            ("64:ff9b::127.0.0.1", Loopback),
            ("64:ff9b::169.254.169.254", Metadata),
            ("64:ff9b:1::10.0.0.1", Private),
            ("64:ff9b:1::8.8.8.8", Special),
            ("2002:7f00:1::", Loopback),
            ("2002:a9fe:a9fe::1", Metadata),
            ("2002:c0a8:101::1", Private),
            ("2a00::5efe:10.0.0.1", Private),
            ("2001:0:1:2:3:4:5:6", Special),
            ("2001:db8::1", Special),
            ("3fff::1", Special),
            ("fe80::1", LinkLocal),
            ("febf::1", LinkLocal),
            ("fec0::1", Private),
            ("fc00::1", Private),
            ("fd00:ec2::254", Metadata),
            ("fd00:ec2::253", Private),
            ("ff02::1", Multicast),
            ("100::1", Special),
            ("5f00::1", Special),
            ("4000::1", Special),
        ];
        for (address, why) in table {
            assert_eq!(reserved(address.parse().expect(address)), Some(why), "{address}");
        }
    }

    #[test]
    fn addresses_for_everybody() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.1",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2a00:1450::1",
            "2002:808:808::1",
            "64:ff9b::8.8.8.8",
        ] {
            assert_eq!(reserved(address.parse().expect(address)), None, "{address}");
        }
    }
}
