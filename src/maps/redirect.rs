//! Where XDP programs send packets: interfaces, CPUs, sockets.

use std::os::fd::{AsFd, AsRawFd as _};

use super::typed::{self, typed_map};
use super::{ElemFlags, Map, MapError, Plain};
use crate::progs::Program;

/// An entry of a device map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// The interface.
    pub ifindex: u32,
    /// Id of the program that runs on the packet as it leaves, 0 if none.
    pub program: u32,
}

/// A number and perhaps a program, in the 4 or 8 bytes that the map has for a value. With the program: Linux 5.8
/// (devices), 5.9 (CPUs).
fn target(map: &Map, number: u32, program: Option<&Program>) -> Result<Vec<u8>, MapError> {
    let fd = program.map(|p| p.as_fd().as_raw_fd());
    let value_size = map.info().value_size;
    match (value_size, fd) {
        (4, None) => Ok(number.bytes().to_vec()),
        (8, fd) => Ok([number.bytes(), fd.unwrap_or(0).bytes()].concat()),
        (4, Some(_)) => {
            Err(MapError::argument(map, "its values of 4 bytes have no room for a program; it needs 8"))
        }
        _ => Err(MapError::argument(map, format!("its values have {value_size} bytes; 4 or 8 are known"))),
    }
}

fn read(map: &Map, key: u32) -> Result<Option<(u32, u32)>, MapError> {
    let value = map.get(key.bytes()).map_err(MapError::sys(map, "read an element of"))?;
    let at = |bytes: &[u8], at| bytes.get(at..).and_then(u32::read).unwrap_or(0);
    // An array shows an empty place as zeros.
    Ok(value.map(|v| (at(&v, 0), at(&v, 4))).filter(|(number, _)| *number != 0))
}

macro_rules! devices {
    ($name:ident) => {
        impl $name {
            /// Puts an interface there, and perhaps a program for what is sent to it.
            pub fn set(&self, key: u32, ifindex: u32, program: Option<&Program>) -> Result<(), MapError> {
                let value = target(self.map(), ifindex, program)?;
                typed::set(self.map(), key.bytes(), &value, ElemFlags::ANY)
            }

            /// What is there.
            pub fn get(&self, key: u32) -> Result<Option<Device>, MapError> {
                let found = read(self.map(), key)?;
                Ok(found.map(|(ifindex, program)| Device { ifindex, program }))
            }

            /// Removes what is there; false if there was nothing (an array says true always).
            pub fn delete(&self, key: u32) -> Result<bool, MapError> {
                typed::delete(self.map(), key.bytes())
            }
        }
    };
}

typed_map! {
    /// Interfaces by index, for `bpf_redirect_map`. Linux 4.14.
    #[doc(alias = "BPF_MAP_TYPE_DEVMAP")]
    DevMap<>: [Devmap], key: Exactly(4), value: Any
}
devices!(DevMap);

typed_map! {
    /// Interfaces by any number, for `bpf_redirect_map`. Linux 5.4.
    #[doc(alias = "BPF_MAP_TYPE_DEVMAP_HASH")]
    DevMapHash<>: [DevmapHash], key: Exactly(4), value: Any
}
devices!(DevMapHash);

/// An entry of a CPU map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuQueue {
    /// How many packets may wait.
    pub queue: u32,
    /// Id of the program that runs on the packet on its new CPU, 0 if none.
    pub program: u32,
}

typed_map! {
    /// CPUs by their numbers, each with a queue, for `bpf_redirect_map`. Linux 4.15.
    #[doc(alias = "BPF_MAP_TYPE_CPUMAP")]
    CpuMap<>: [Cpumap], key: Exactly(4), value: Any
}

impl CpuMap {
    /// Gives a CPU a queue for so many packets (1 to 16384), and perhaps a program for what is sent to it.
    pub fn set(&self, cpu: u32, queue: u32, program: Option<&Program>) -> Result<(), MapError> {
        let value = target(self.map(), queue, program)?;
        typed::set(self.map(), cpu.bytes(), &value, ElemFlags::ANY)
    }

    /// The CPU's queue.
    pub fn get(&self, cpu: u32) -> Result<Option<CpuQueue>, MapError> {
        Ok(read(self.map(), cpu)?.map(|(queue, program)| CpuQueue { queue, program }))
    }

    /// Takes the queue away.
    pub fn delete(&self, cpu: u32) -> Result<bool, MapError> {
        typed::delete(self.map(), cpu.bytes())
    }
}

typed_map! {
    /// `AF_XDP` sockets by queue, for `bpf_redirect_map`. It cannot be read. Linux 4.18.
    #[doc(alias = "BPF_MAP_TYPE_XSKMAP")]
    XskMap<>: [Xskmap], key: Exactly(4), value: Exactly(4)
}

impl XskMap {
    /// Puts a socket at an index. `EOPNOTSUPP` if it is no `AF_XDP` socket.
    pub fn set(&self, index: u32, socket: impl AsFd) -> Result<(), MapError> {
        let fd = socket.as_fd().as_raw_fd();
        typed::set(self.map(), index.bytes(), fd.bytes(), ElemFlags::ANY)
    }

    /// Empties an index.
    pub fn delete(&self, index: u32) -> Result<bool, MapError> {
        typed::delete(self.map(), index.bytes())
    }
}
