//! Addresses and numbers as packets and programs hold them: keys that need no conversion by hand.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

crate::plain! {
    /// An IPv4 address in network order, as `__be32` and `struct in_addr`.
    #[derive(Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct Ip4 {
        /// Its bytes.
        pub octets: [u8; 4],
    }

    /// An IPv6 address, as `struct in6_addr`.
    #[derive(Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct Ip6 {
        /// Its bytes.
        pub octets: [u8; 16],
    }

    /// An Ethernet address.
    #[derive(Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct Mac {
        /// Its bytes.
        pub octets: [u8; 6],
    }
}

impl From<Ipv4Addr> for Ip4 {
    fn from(addr: Ipv4Addr) -> Ip4 {
        Ip4 { octets: addr.octets() }
    }
}

impl From<Ip4> for Ipv4Addr {
    fn from(addr: Ip4) -> Ipv4Addr {
        addr.octets.into()
    }
}

impl From<Ipv6Addr> for Ip6 {
    fn from(addr: Ipv6Addr) -> Ip6 {
        Ip6 { octets: addr.octets() }
    }
}

impl From<Ip6> for Ipv6Addr {
    fn from(addr: Ip6) -> Ipv6Addr {
        addr.octets.into()
    }
}

impl fmt::Display for Ip4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ipv4Addr::from(*self).fmt(f)
    }
}

impl fmt::Display for Ip6 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ipv6Addr::from(*self).fmt(f)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.octets;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

macro_rules! debug_as_display {
    ($($t:ty),*) => { $(impl fmt::Debug for $t {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            fmt::Display::fmt(self, f)
        }
    })* };
}
debug_as_display!(Ip4, Ip6, Mac, Be16, Be32, Be64);

macro_rules! big_endian {
    ($($name:ident($int:ty), $c:literal;)*) => { $(
        crate::plain! {
            #[doc = concat!("A number in network order, as `", $c, "`: the most significant byte first.")]
            #[derive(Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub struct $name { bytes: [u8; size_of::<$int>()] }
        }

        impl From<$int> for $name {
            fn from(n: $int) -> $name {
                $name { bytes: n.to_be_bytes() }
            }
        }

        impl From<$name> for $int {
            fn from(n: $name) -> $int {
                <$int>::from_be_bytes(n.bytes)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                <$int>::from(*self).fmt(f)
            }
        }
    )* };
}
big_endian! {
    Be16(u16), "__be16";
    Be32(u32), "__be32";
    Be64(u64), "__be64";
}
