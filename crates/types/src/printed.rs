//! Types whose values are carried as PostgreSQL prints them.
//!
//! Under every setting it prints equal values alike, and values that differ unlike. A text is read
//! only when it is the very one that PostgreSQL would print; all other spellings are PostgreSQL's
//! to read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

/// One of these types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Printed {
    /// `oid`
    Oid,
    /// `name`
    Name,
    /// `macaddr`
    Macaddr,
    /// `inet`
    Inet,
    /// `cidr`
    Cidr,
}

/// `NAMEDATALEN` without the zero at the end: longer names are cut off.
const NAME_BYTES: usize = 63;

/// `inet_send`: what it calls IPv4, and IPv6 (inet.h, `PGSQL_AF_INET`).
const FAMILIES: [u8; 2] = [2, 3];

impl Printed {
    /// Whether the order of the texts' bytes is the order of the values.
    #[must_use]
    pub fn is_byte_ordered(self) -> bool {
        matches!(self, Self::Name | Self::Macaddr)
    }

    /// The `cidr` that equals an `inet`, both as PostgreSQL prints them.
    pub(crate) fn cidr_of(inet: &str) -> Option<String> {
        let (address, bits) = Self::Inet.network(inet)?;
        is_of_network(address, bits).then(|| format!("{}/{bits}", address_text(address)))
    }

    /// Whether PostgreSQL would print a value so.
    pub(crate) fn is_printed(self, text: &str) -> bool {
        match self {
            Self::Oid => text.parse::<u32>().is_ok_and(|number| number.to_string() == text),
            Self::Name => text.len() <= NAME_BYTES && !text.contains('\0'),
            Self::Macaddr => macaddr(text).is_some(),
            Self::Inet | Self::Cidr => self.network(text).is_some(),
        }
    }

    /// The text of a value in binary format; `None` for bytes that aren't one.
    pub(crate) fn decode(self, bytes: &[u8]) -> Option<String> {
        let text = match self {
            Self::Oid => u32::from_be_bytes(bytes.try_into().ok()?).to_string(),
            Self::Name => std::str::from_utf8(bytes).ok()?.to_owned(),
            Self::Macaddr => {
                let bytes: [u8; 6] = bytes.try_into().ok()?;
                bytes.map(|byte| format!("{byte:02x}")).join(":")
            }
            Self::Inet | Self::Cidr => self.network_text(bytes)?,
        };
        self.is_printed(&text).then_some(text)
    }

    /// Appends the binary format; false, and nothing appended, when the text isn't one that
    /// PostgreSQL prints.
    pub(crate) fn encode(self, text: &str, out: &mut Vec<u8>) -> bool {
        match self {
            Self::Oid => match text.parse::<u32>() {
                Ok(number) => out.extend_from_slice(&number.to_be_bytes()),
                Err(_) => return false,
            },
            Self::Name => out.extend_from_slice(text.as_bytes()),
            Self::Macaddr => match macaddr(text) {
                Some(bytes) => out.extend_from_slice(&bytes),
                None => return false,
            },
            Self::Inet | Self::Cidr => match self.network(text) {
                Some((address, bits)) => {
                    let octets = octets(address);
                    let family = FAMILIES[usize::from(address.is_ipv6())];
                    let length = if address.is_ipv6() { 16 } else { 4 };
                    out.extend_from_slice(&[family, bits, u8::from(self == Self::Cidr), length]);
                    out.extend_from_slice(&octets);
                }
                None => return false,
            },
        }
        true
    }

    /// The address and the bits of its network, of a text as PostgreSQL prints it. A `cidr` always
    /// has the bits and nothing to the right of them; an `inet` has them where they aren't all.
    fn network(self, text: &str) -> Option<(IpAddr, u8)> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address = address.parse().ok().filter(|read| address_text(*read) == address)?;
        let most = most_bits(address);
        let bits = match bits {
            Some(digits) => digits.parse::<u8>().ok().filter(|read| read.to_string() == digits)?,
            None => most,
        };
        let is_whole = bits == most;
        let is_printed = match self {
            Self::Cidr => text.contains('/') && is_of_network(address, bits),
            _ => text.contains('/') != is_whole,
        };
        (bits <= most && is_printed).then_some((address, bits))
    }

    fn network_text(self, bytes: &[u8]) -> Option<String> {
        let [family, bits, is_cidr, length, octets @ ..] = bytes else {
            return None;
        };
        let address = match (*family, *length) {
            (family, 4) if family == FAMILIES[0] => {
                IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(octets).ok()?))
            }
            (family, 16) if family == FAMILIES[1] => {
                IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?))
            }
            _ => return None,
        };
        let is_own = (*is_cidr != 0) == (self == Self::Cidr);
        let is_bare = self == Self::Inet && *bits == most_bits(address);
        let text = address_text(address);
        is_own.then(|| if is_bare { text } else { format!("{text}/{bits}") })
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn most_bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The address as `pg_inet_net_ntop` prints it (inet_net_ntop.c). Rust's form of IPv6 differs
/// where the address stands for one of IPv4.
fn address_text(address: IpAddr) -> String {
    let IpAddr::V6(address) = address else {
        return address.to_string();
    };
    let segments = address.segments();
    let zeros = longest_zeros(&segments);
    let stands_for_v4 =
        zeros.start == 0 && (zeros.end == 6 || (zeros.end == 5 && segments[5] == 0xffff));
    let mut text = String::new();
    for (place, segment) in segments.iter().enumerate() {
        if zeros.contains(&place) {
            if place == zeros.start {
                text.push(':');
            }
            continue;
        }
        if place > 0 {
            text.push(':');
        }
        if place == 6 && stands_for_v4 {
            let [.., a, b, c, d] = address.octets();
            text.push_str(&Ipv4Addr::new(a, b, c, d).to_string());
            return text;
        }
        text.push_str(&format!("{segment:x}"));
    }
    if zeros.end == segments.len() && !zeros.is_empty() {
        text.push(':');
    }
    text
}

/// The first of the longest runs of two zeros or more; empty when there is none.
fn longest_zeros(segments: &[u16]) -> Range<usize> {
    let mut longest = 0..0;
    let mut start = 0;
    for (place, segment) in segments.iter().enumerate() {
        if *segment != 0 {
            start = place + 1;
        } else if place + 1 - start > longest.len().max(1) {
            longest = start..place + 1;
        }
    }
    longest
}

/// Whether no bit is set to the right of the network's.
fn is_of_network(address: IpAddr, bits: u8) -> bool {
    octets(address).iter().zip(0_u32..).all(|(octet, place)| {
        let of_network = u32::from(bits).saturating_sub(place * 8).min(8);
        u32::from(*octet) << of_network & 0xff == 0
    })
}

/// Six bytes as two lower-case hexadecimal digits each, with colons between.
fn macaddr(text: &str) -> Option<[u8; 6]> {
    let mut bytes = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut bytes {
        let part = parts.next()?;
        *byte = u8::from_str_radix(part, 16).ok().filter(|read| format!("{read:02x}") == part)?;
    }
    parts.next().is_none().then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goes_round(printed: Printed, text: &str) {
        let mut bytes = Vec::new();
        assert!(printed.is_printed(text) && printed.encode(text, &mut bytes), "{text}");
        assert_eq!(printed.decode(&bytes).as_deref(), Some(text));
    }

    #[test]
    fn what_postgresql_prints_is_read() {
        goes_round(Printed::Oid, "4294967295");
        goes_round(Printed::Name, "größe");
        goes_round(Printed::Macaddr, "08:00:2b:01:02:ff");
        for text in [
            "10.0.0.1",
            "10.1.2.3/8",
            "2001:db8::1",
            "2001:db8::1/64",
            "fe80::/0",
            "::",
            "::1",
            "::1.2.3.4",
            "::ffff:1.2.3.4",
            "::ffff:0.0.0.1",
            "::ffff:0:0:1",
        ] {
            goes_round(Printed::Inet, text);
        }
        for text in ["10.0.0.1/32", "10.0.0.0/8", "0.0.0.0/0", "2001:db8::/32"] {
            goes_round(Printed::Cidr, text);
        }
    }

    #[test]
    fn every_other_spelling_is_postgresqls() {
        for text in ["010", "+1", " 1", "-1", "4294967296", "0x1"] {
            assert!(!Printed::Oid.is_printed(text), "{text}");
        }
        assert!(!Printed::Name.is_printed(&"n".repeat(64)));
        for text in ["08:00:2B:01:02:03", "8:0:2b:1:2:3", "08:00:2b:01:02", "+8:00:2b:01:02:03"] {
            assert!(!Printed::Macaddr.is_printed(text), "{text}");
        }
        for text in ["10.0.0.1/32", "10.0.0.01", "10.0.0.1/033", "10.0.0.1/33", "0::1", "FE80::1"] {
            assert!(!Printed::Inet.is_printed(text), "{text}");
        }
        for text in ["10.0.0.1", "10.0.0.1/8", "2001:db8::1/64"] {
            assert!(!Printed::Cidr.is_printed(text), "{text}");
        }
        assert_eq!(Printed::Inet.decode(&[2, 32, 1, 4, 10, 0, 0, 1]), None);
        assert_eq!(Printed::Inet.decode(&[2, 33, 0, 4, 10, 0, 0, 1]), None);
        assert_eq!(Printed::Cidr.decode(&[]), None);
    }
}
