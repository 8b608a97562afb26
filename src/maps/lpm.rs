//! Tries of prefixes: routing tables, allow lists.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::typed::{self, typed_map};
use super::{ElemFlags, Ip4, Ip6, MapError, Plain, Walk};

/// The first bits of some data: the key of an LPM trie, `struct bpf_lpm_trie_key`.
///
/// ```
/// use rawbpf::maps::{Ip4, Prefix};
/// let net: Prefix<Ip4> = "10.0.0.0/8".parse().unwrap();
/// assert_eq!((net.bits, net.to_string()), (8, "10.0.0.0/8".to_string()));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Prefix<K> {
    /// How many bits count, from the most significant bit of the first byte on.
    pub bits: u32,
    /// The data, most significant byte first.
    pub data: K,
}

/// Bytes of the longest key: 4 and 2048 bits.
const MOST: usize = 4 + 256;

impl<K: Plain> Prefix<K> {
    /// The first `bits` bits of `data`.
    pub fn new(bits: u32, data: impl Into<K>) -> Prefix<K> {
        Prefix { bits, data: data.into() }
    }

    /// All bits of `data`: the prefix that matches it alone.
    pub fn whole(data: impl Into<K>) -> Prefix<K> {
        Prefix { bits: size_of::<K>() as u32 * 8, data: data.into() }
    }

    /// The same prefix with zeros in all bits that do not count: 10.0.0.0/8 for 10.1.2.3/8. The kernel keeps what it
    /// is given.
    ///
    /// ```
    /// use rawbpf::maps::{Ip4, Prefix};
    /// let net: Prefix<Ip4> = "10.1.255.3/15".parse().unwrap();
    /// assert_eq!(net.network().to_string(), "10.0.0.0/15");
    /// ```
    pub fn network(mut self) -> Prefix<K> {
        for (byte, at) in self.data.bytes_mut().iter_mut().zip((0u32..).step_by(8)) {
            let counting = self.bits.saturating_sub(at).min(8);
            *byte &= !(0xff_u32 >> counting) as u8;
        }
        self
    }

    /// As the kernel reads it, and how long that is.
    fn key(&self) -> ([u8; MOST], usize) {
        let mut out = [0; MOST];
        let parts = self.bits.bytes().iter().chain(self.data.bytes());
        out.iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
        (out, 4 + size_of::<K>())
    }

    fn read(bytes: &[u8]) -> Option<Prefix<K>> {
        Some(Prefix { bits: u32::read(bytes)?, data: K::read(bytes.get(4..)?)? })
    }
}

impl<K: Plain + fmt::Display> fmt::Display for Prefix<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.data, self.bits)
    }
}

/// A text that is no `address/bits`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no prefix; write it as 10.0.0.0/8 or 2001:db8::/32")]
pub struct PrefixSyntax(String);

macro_rules! parse_prefix {
    ($($ty:ty, $addr:ty, $most:literal;)*) => { $(
        impl FromStr for Prefix<$ty> {
            type Err = PrefixSyntax;
            fn from_str(text: &str) -> Result<Self, PrefixSyntax> {
                let (addr, bits) = text.split_once('/').unwrap_or((text, stringify!($most)));
                let bits = bits.parse().ok().filter(|bits| *bits <= $most);
                let parsed = addr.parse::<$addr>().ok().zip(bits);
                let (addr, bits) = parsed.ok_or_else(|| PrefixSyntax(text.into()))?;
                Ok(Prefix::new(bits, addr))
            }
        }
    )* };
}
parse_prefix! {
    Ip4, Ipv4Addr, 32;
    Ip6, Ipv6Addr, 128;
}

typed_map! {
    /// A trie of prefixes; a lookup finds the longest that matches.
    #[doc(alias = "BPF_MAP_TYPE_LPM_TRIE")]
    LpmTrie<K, V>: [LpmTrie], key: Exactly(4 + size_of::<K>()), value: Exactly(size_of::<V>())
}

impl<K: Plain, V: Plain> LpmTrie<K, V> {
    /// The value of the longest prefix that matches. [`Prefix::whole`] looks an address up.
    pub fn get(&self, key: &Prefix<K>) -> Result<Option<V>, MapError> {
        let (key, len) = key.key();
        typed::get(self.map(), key.get(..len).unwrap_or_default(), ElemFlags::ANY)
    }

    /// Writes the value of exactly this prefix. `EINVAL` if it has more bits than the key.
    pub fn set(&self, key: &Prefix<K>, value: &V) -> Result<(), MapError> {
        self.set_with(key, value, ElemFlags::ANY)
    }

    /// Writes the value of exactly this prefix as the flags say: `NOEXIST`, `EXIST`.
    pub fn set_with(&self, key: &Prefix<K>, value: &V, flags: ElemFlags) -> Result<(), MapError> {
        let (key, len) = key.key();
        typed::set(self.map(), key.get(..len).unwrap_or_default(), value.bytes(), flags)
    }

    /// Removes exactly this prefix; false if it was not there.
    pub fn delete(&self, key: &Prefix<K>) -> Result<bool, MapError> {
        let (key, len) = key.key();
        typed::delete(self.map(), key.get(..len).unwrap_or_default())
    }

    /// Calls `f` with every prefix and its value, see [`Map::elements`](super::Map::elements). Linux 4.16.
    pub fn for_each(&self, mut f: impl FnMut(Prefix<K>, V)) -> Result<Walk, MapError> {
        let each = |key: &[u8], value: &[u8]| {
            if let (Some(key), Some(value)) = (Prefix::read(key), V::read(value)) {
                f(key, value);
            }
        };
        self.map().for_each(each).map_err(MapError::sys(self.map(), "read the elements of"))
    }
}
