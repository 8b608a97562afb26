//! Maps of sockets.
//!
//! A socket goes in as a descriptor. What comes out is its cookie, a number that names it as long as the machine
//! runs, if the map has 8 bytes for a value; user space may read them since Linux 5.7.

use std::os::fd::{AsFd, AsRawFd as _};

use super::typed::{self, typed_map};
use super::{ElemFlags, Map, MapError, Plain};

fn set(map: &Map, key: &[u8], socket: impl AsFd, flags: ElemFlags) -> Result<(), MapError> {
    let fd = socket.as_fd().as_raw_fd();
    match map.info().value_size {
        4 => typed::set(map, key, fd.bytes(), flags),
        8 => typed::set(map, key, i64::from(fd).bytes(), flags),
        n => Err(MapError::argument(map, format!("its values have {n} bytes; sockets take 4 or 8"))),
    }
}

fn cookie(map: &Map, key: &[u8]) -> Result<Option<u64>, MapError> {
    if map.info().value_size != 8 {
        return Err(MapError::argument(map, "it cannot be read: its values have 4 bytes, a cookie has 8"));
    }
    typed::get(map, key, ElemFlags::ANY)
}

macro_rules! by_index {
    ($name:ident) => {
        impl $name {
            /// Puts a socket at an index.
            pub fn set(&self, index: u32, socket: impl AsFd) -> Result<(), MapError> {
                set(self.map(), index.bytes(), socket, ElemFlags::ANY)
            }

            /// The cookie of the socket at an index, if the map's values have 8 bytes.
            pub fn cookie(&self, index: u32) -> Result<Option<u64>, MapError> {
                cookie(self.map(), index.bytes())
            }

            /// Takes the socket out; false if there was none.
            pub fn delete(&self, index: u32) -> Result<bool, MapError> {
                typed::delete(self.map(), index.bytes()).or_else(none_there)
            }
        }
    };
}

/// Empty places of socket arrays answer `EINVAL`.
fn none_there(e: MapError) -> Result<bool, MapError> {
    match &e {
        MapError::Sys { source, .. } if source.errno == crate::sys::Errno::EINVAL => Ok(false),
        _ => Err(e),
    }
}

typed_map! {
    /// Sockets by index; programs attached to it see and redirect what they receive. Linux 4.14.
    #[doc(alias = "BPF_MAP_TYPE_SOCKMAP")]
    SockMap<>: [Sockmap], key: Exactly(4), value: Any
}
by_index!(SockMap);

typed_map! {
    /// Sockets by key. Linux 4.18.
    #[doc(alias = "BPF_MAP_TYPE_SOCKHASH")]
    SockHash<K>: [Sockhash], key: Exactly(size_of::<K>()), value: Any
}

impl<K: Plain> SockHash<K> {
    /// Puts a socket under a key.
    pub fn set(&self, key: &K, socket: impl AsFd) -> Result<(), MapError> {
        set(self.map(), key.bytes(), socket, ElemFlags::ANY)
    }

    /// The cookie of the socket under a key, if the map's values have 8 bytes.
    pub fn cookie(&self, key: &K) -> Result<Option<u64>, MapError> {
        cookie(self.map(), key.bytes())
    }

    /// Takes the socket out; false if there was none.
    pub fn delete(&self, key: &K) -> Result<bool, MapError> {
        typed::delete(self.map(), key.bytes())
    }
}

typed_map! {
    /// Sockets of a `SO_REUSEPORT` group, among which an sk_reuseport program chooses. Linux 4.19.
    #[doc(alias = "BPF_MAP_TYPE_REUSEPORT_SOCKARRAY")]
    ReuseportSockArray<>: [ReuseportSockarray], key: Exactly(4), value: Any
}
by_index!(ReuseportSockArray);
