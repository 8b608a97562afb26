//! What `/proc/self/fdinfo` says of a map, and `BPF_OBJ_GET_INFO_BY_FD` does not.

use std::fs;
use std::os::fd::{AsFd as _, AsRawFd as _};

use super::Map;
use crate::uapi::ProgType;

/// The kernel's account of a map. What it did not say is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FdInfo {
    /// Bytes of memory that it takes: what is used since Linux 6.4, an estimate from the sizes before that.
    pub memlock: Option<u64>,
    /// User space may no longer write to it. Linux 5.2.
    pub frozen: Option<bool>,
    /// The type of the programs that may use it (a program array, or a map with such a program). Linux 4.6.
    pub owner_prog_type: Option<ProgType>,
    /// Those programs are compiled to machine code. Linux 4.10.
    pub owner_jited: Option<bool>,
}

impl FdInfo {
    fn parse(text: &str) -> FdInfo {
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|value| value.trim().parse::<u64>().ok())
        };
        FdInfo {
            memlock: field("memlock"),
            frozen: field("frozen").map(|n| n != 0),
            owner_prog_type: field("owner_prog_type").map(|n| ProgType(n as u32)),
            owner_jited: field("owner_jited").map(|n| n != 0),
        }
    }
}

impl Map {
    /// Asks for what only `/proc/self/fdinfo` tells; empty where there is no procfs.
    pub fn fd_info(&self) -> FdInfo {
        let path = format!("/proc/self/fdinfo/{}", self.as_fd().as_raw_fd());
        fs::read_to_string(path).map(|text| FdInfo::parse(&text)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_lines_are_read() {
        let text = "pos:\t0\nmap_type:\t2\nmemlock:\t4096\nmap_id:\t7\nfrozen:\t1\n";
        let info = FdInfo { memlock: Some(4096), frozen: Some(true), ..FdInfo::default() };
        assert_eq!(FdInfo::parse(text), info);
        assert_eq!(FdInfo::parse("memlock: much"), FdInfo::default());
    }
}
