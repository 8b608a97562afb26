//! Words that mean bytes: numbers and addresses.

use std::net::IpAddr;

/// An address of exactly `len` bytes: IPv4, IPv6, or bytes in hexadecimal between colons.
pub(super) fn address(word: &str, len: usize) -> Option<Vec<u8>> {
    let bytes = match (len, word.parse::<IpAddr>()) {
        (4, Ok(IpAddr::V4(v4))) => v4.octets().to_vec(),
        (16, Ok(IpAddr::V6(v6))) => v6.octets().to_vec(),
        (16, Ok(IpAddr::V4(v4))) => v4.to_ipv6_mapped().octets().to_vec(),
        _ => {
            let byte =
                |pair: &str| u8::from_str_radix(pair, 16).ok().filter(|_| (1..=2).contains(&pair.len()));
            word.split(':').map(byte).collect::<Option<Vec<u8>>>()?
        }
    };
    (bytes.len() == len && len > 1).then_some(bytes)
}

/// Sign, magnitude, and whether it was written in bits (hexadecimal, octal, binary).
pub(super) fn parse_number(word: &str) -> Option<(bool, u128, bool)> {
    let (negative, digits) = match word.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, word.strip_prefix('+').unwrap_or(word)),
    };
    let (radix, digits) = match digits.get(..2) {
        Some("0x" | "0X") => (16, digits.get(2..)?),
        Some("0b" | "0B") => (2, digits.get(2..)?),
        Some("0o") => (8, digits.get(2..)?),
        _ => (10, digits),
    };
    let digits = digits.replace('_', "");
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return None; // no second sign
    }
    Some((negative, u128::from_str_radix(&digits, radix).ok()?, radix != 10))
}
