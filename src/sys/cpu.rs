//! Which CPUs this machine can have, and has.
//!
//! The number of CPUs that can ever be online is how many slots a per-CPU value has: how many bytes the kernel writes
//! when it is asked for one. A guess that is too low lets it write behind a buffer, so there is none. The number comes
//! from sysfs (and from nothing that merely stands where sysfs should be), or from the kernel itself, by what a map of
//! CPUs accepts as a key; if neither answers, it is an error, and the next caller asks again.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsFd;
use std::sync::OnceLock;

use nix::sys::statfs::{SYSFS_MAGIC, fstatfs};

use super::attr::{Fd, MapCreate, MapElem, Ptr, PtrMut};
use super::cmd::{call, map_create};
use super::errno::{Errno, SysError};
use crate::uapi::{Cmd, MapType};

/// No kernel is built for more CPUs than this; it bounds what a corrupt list can make us do.
const MOST: u32 = 65_536;

macro_rules! cpu_file {
    ($name:literal) => {
        (concat!("/sys/devices/system/cpu/", $name), concat!("reading /sys/devices/system/cpu/", $name))
    };
}

/// How many CPUs can ever be online: the number of slots in a per-CPU value.
///
/// It is the number of entries of `/sys/devices/system/cpu/possible`, which is not "the highest number plus one" on
/// machines with holes in that list.
///
/// # Errors
/// As for [`possible_cpu_list`].
pub fn possible_cpus() -> Result<usize, SysError> {
    possible_cpu_list().map(<[u32]>::len)
}

/// The numbers of the CPUs that can ever be online, ascending: the order of the slots of a per-CPU value.
///
/// # Errors
/// sysfs cannot be read, and the kernel cannot be asked by a map of CPUs (`EPERM` without `CAP_BPF`).
pub fn possible_cpu_list() -> Result<&'static [u32], SysError> {
    /// It does not change before the next boot. A failure is not kept.
    static POSSIBLE: OnceLock<Vec<u32>> = OnceLock::new();
    if let Some(known) = POSSIBLE.get() {
        return Ok(known);
    }
    let found = match sysfs_list(cpu_file!("possible")) {
        Ok(list) => list,
        Err(unreadable) => ask_the_kernel().map_err(|_| unreadable)?,
    };
    Ok(POSSIBLE.get_or_init(|| found))
}

/// The numbers of the CPUs that are online now, ascending.
///
/// # Errors
/// sysfs cannot be read.
pub fn online_cpus() -> Result<Vec<u32>, SysError> {
    sysfs_list(cpu_file!("online"))
}

/// The CPUs to try when something is to be done on each that is online: those that are, or all possible ones where
/// sysfs does not say. On one that is not there, `perf_event_open` says `ENODEV`.
///
/// # Errors
/// As for [`possible_cpu_list`].
pub fn cpus_to_try() -> Result<Vec<u32>, SysError> {
    online_cpus().or_else(|_| possible_cpu_list().map(<[u32]>::to_vec))
}

/// One more than the highest number that a CPU of this kernel may have (`CONFIG_NR_CPUS`); `None` if the kernel does
/// not say.
pub fn cpu_limit() -> Option<u32> {
    let last = sysfs_text(cpu_file!("kernel_max")).ok()?;
    last.trim().parse::<u32>().ok()?.checked_add(1)
}

/// A file of sysfs, and what to say when it cannot be read.
type CpuFile = (&'static str, &'static str);

fn sysfs_list(file: CpuFile) -> Result<Vec<u32>, SysError> {
    parse_list(sysfs_text(file)?.trim()).ok_or(SysError::other(file.1, Errno::EIO))
}

/// A file of sysfs. `ENOENT` if what is there is not sysfs.
fn sysfs_text((path, reading): CpuFile) -> Result<String, SysError> {
    let fail = |e: std::io::Error| SysError::other(reading, e);
    let mut file = File::open(path).map_err(fail)?;
    if !fstatfs(&file).is_ok_and(|s| s.filesystem_type() == SYSFS_MAGIC) {
        return Err(SysError::other(reading, Errno::ENOENT));
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(fail)?;
    Ok(text)
}

/// Reads the kernel's list format: `0-3,8,10-11`. `None` if any of it is something else.
fn parse_list(text: &str) -> Option<Vec<u32>> {
    let mut cpus: Vec<u32> = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        let ascends = cpus.last().is_none_or(|before| *before < first) && first <= last;
        if !ascends || last >= MOST {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

/// The possible CPUs, by what a map of CPUs (Linux 4.15) says of each number: to take an entry out of it is refused
/// with `ENODEV` for a number that no CPU can have, and changes nothing otherwise.
fn ask_the_kernel() -> Result<Vec<u32>, SysError> {
    let make = |max_entries| {
        let map_type = MapType::Cpumap;
        map_create(&mut MapCreate { map_type, key_size: 4, value_size: 4, max_entries, ..Default::default() })
    };
    // As large as the kernel makes one, which is NR_CPUS.
    let (mut fits, mut too_large) = (1, MOST + 1);
    let mut map = make(fits)?;
    while too_large - fits > 1 {
        let middle = fits + (too_large - fits) / 2;
        match make(middle) {
            Ok(larger) => (map, fits) = (larger, middle),
            Err(e) if e.errno == Errno::E2BIG => too_large = middle,
            Err(e) => return Err(e),
        }
    }
    let mut possible = Vec::new();
    for cpu in 0..fits {
        match clear(&map, cpu) {
            Ok(_) => possible.push(cpu),
            Err(e) if e.errno == Errno::ENODEV => {}
            Err(e) => return Err(e),
        }
    }
    match possible.is_empty() {
        true => Err(SysError::bpf(Cmd::MapUpdateElem, Errno::ENODEV)),
        false => Ok(possible),
    }
}

/// Puts a queue of no length on a CPU of a new map of CPUs: there is none before and after.
fn clear(map: impl AsFd, cpu: u32) -> Result<i32, SysError> {
    let (key, none) = (cpu.to_ne_bytes(), [0u8; 4]);
    let mut attr = MapElem {
        map_fd: Fd::of(&map),
        pad: 0,
        key: Ptr::to(&key),
        value: PtrMut::to_const(&none),
        flags: 0,
    };
    // SAFETY: the map was made with keys and values of 4 bytes, and an update only reads both. Test:
    // `sound_attacks::a_sys_that_lies_of_cpus`.
    unsafe { call(Cmd::MapUpdateElem, &mut attr) }
}

#[cfg(test)]
mod tests {
    use super::{ask_the_kernel, parse_list, possible_cpu_list};

    /// libbpf reads 128 bytes of the list, and fails on machines with many holes.
    #[test]
    fn a_list_of_any_length() {
        let text: Vec<String> = (0..1000).map(|n| (2 * n).to_string()).collect();
        assert_eq!(parse_list(&text.join(",")).map(|l| l.len()), Some(1000));
    }

    #[test]
    fn lists_with_holes() {
        assert_eq!(parse_list("0-3,8,10-11"), Some(vec![0, 1, 2, 3, 8, 10, 11]));
        assert_eq!(parse_list("0"), Some(vec![0]));
    }

    #[test]
    fn what_is_no_list_is_not_read_as_one() {
        for text in ["", "0-", "-1", "a", "0,", "3-1", "0-3,2", "0-99999999", "0 1", "0-3,x", "1,1"] {
            assert_eq!(parse_list(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_kernel_and_sysfs_agree() {
        // Without the right to make maps there is nothing to compare; tests/ asks as root, in guests too.
        if let (Ok(asked), Ok(read)) = (ask_the_kernel(), possible_cpu_list()) {
            assert_eq!(asked, read);
        }
    }
}
