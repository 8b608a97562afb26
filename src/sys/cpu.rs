//! Which CPUs this machine can have, and has.

use std::fs;
use std::sync::OnceLock;

/// How many CPUs can ever be online: the number of slots in a per-CPU value.
///
/// It is the number of bits set in `/sys/devices/system/cpu/possible`, which is not "the highest
/// number plus one" on machines with holes in that list. One, if the file cannot be read.
pub fn possible_cpus() -> usize {
    possible_cpu_list().len()
}

/// One more than the highest number that a CPU of this kernel may have (`CONFIG_NR_CPUS`); `None` if the kernel does
/// not say.
pub fn cpu_limit() -> Option<u32> {
    let last = std::fs::read_to_string("/sys/devices/system/cpu/kernel_max").ok()?;
    last.trim().parse::<u32>().ok()?.checked_add(1)
}

/// The numbers of the CPUs that can ever be online, ascending: the order of the slots of a per-CPU value. CPU 0,
/// if the file cannot be read.
pub fn possible_cpu_list() -> &'static [u32] {
    /// It does not change before the next boot.
    static POSSIBLE: OnceLock<Vec<u32>> = OnceLock::new();
    POSSIBLE.get_or_init(|| match read_list("/sys/devices/system/cpu/possible") {
        none if none.is_empty() => vec![0],
        cpus => cpus,
    })
}

/// The numbers of the CPUs that are online now, ascending.
pub fn online_cpus() -> Vec<u32> {
    read_list("/sys/devices/system/cpu/online")
}

fn read_list(path: &str) -> Vec<u32> {
    fs::read_to_string(path).map(|text| parse_list(text.trim())).unwrap_or_default()
}

/// Reads the kernel's list format: `0-3,8,10-11`.
fn parse_list(text: &str) -> Vec<u32> {
    /// No kernel is built for more CPUs than this; it bounds what a corrupt list can make us do.
    const MAX: u32 = 65_536;
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>()) {
            cpus.extend(first..=last.min(MAX));
        }
    }
    cpus
}

#[cfg(test)]
mod tests {
    use super::parse_list;

    /// libbpf reads 128 bytes of the list, and fails on machines with many holes.
    #[test]
    fn a_list_of_any_length() {
        let text: Vec<String> = (0..1000).map(|n| (2 * n).to_string()).collect();
        assert_eq!(parse_list(&text.join(",")).len(), 1000);
    }

    #[test]
    fn lists_with_holes() {
        assert_eq!(parse_list("0-3,8,10-11"), [0, 1, 2, 3, 8, 10, 11]);
        assert_eq!(parse_list("0"), [0]);
        assert!(parse_list("").is_empty());
    }
}
