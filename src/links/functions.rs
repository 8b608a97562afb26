//! Many functions at once: patterns, the functions that the kernel lets be traced, and what to do when it
//! refuses one of them.
//!
//! A link to many functions is made by one call, and the kernel makes all or nothing of it: one function
//! that cannot be probed fails the other 4,999. So the bad ones are found by halving the list, left out,
//! and reported.

use std::fs::File;
use std::io::{BufRead, BufReader};

use super::{SkippedFunction, tracefs};
use crate::kernel::Kernel;
use crate::sys::{Errno, SysError};

/// Whether a name matches a pattern in which `*` stands for any letters and `?` for one. Takes time in the
/// product of both lengths at most.
pub(super) fn glob(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    // Where the last `*` was, and how much of the name it has taken so far.
    let mut star: Option<(usize, usize)> = None;
    while let Some(&letter) = name.get(n) {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, n));
                p += 1;
            }
            Some(&want) if want == b'?' || want == letter => {
                p += 1;
                n += 1;
            }
            _ => match star.as_mut() {
                Some((after, taken)) => {
                    *taken += 1;
                    (p, n) = (*after, *taken);
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|&c| c == b'*'))
}

/// True if a pattern matches more than itself.
pub(super) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// A function that the kernel lets be traced.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Traceable {
    pub(super) address: u64,
    pub(super) name: String,
}

/// The traceable functions that match `[MODULE:]PATTERN`, each address once. `None` if the kernel's list
/// cannot be read.
pub(super) fn traceable(kernel: &Kernel, pattern: &str) -> Option<Vec<Traceable>> {
    let root = tracefs::root()?;
    let (module, pattern) = match pattern.split_once(':') {
        Some((module, pattern)) => (Some(module), pattern),
        None => (None, pattern),
    };
    let wanted = |name: &str, of: Option<&str>| {
        module.is_none_or(|m| of.unwrap_or("vmlinux") == m) && glob(pattern.as_bytes(), name.as_bytes())
    };
    let mut out = match File::open(root.join("available_filter_functions_addrs")) {
        Ok(file) => with_addresses(BufReader::with_capacity(1 << 16, file), wanted),
        Err(_) => {
            let file = File::open(root.join("available_filter_functions")).ok()?;
            by_symbols(kernel, BufReader::with_capacity(1 << 16, file), wanted)
        }
    };
    out.retain(|f| f.address != 0);
    out.sort();
    out.dedup_by_key(|f| f.address);
    Some(out)
}

/// Lines `ADDRESS NAME [MODULE]`. Linux 6.5.
fn with_addresses(mut file: impl BufRead, wanted: impl Fn(&str, Option<&str>) -> bool) -> Vec<Traceable> {
    let mut out = Vec::new();
    let mut line = String::new();
    while matches!(file.read_line(&mut line), Ok(1..)) {
        let mut words = line.split_ascii_whitespace();
        if let (Some(address), Some(name)) = (words.next(), words.next()) {
            if wanted(name, words.next().map(|m| m.trim_matches(['[', ']']))) {
                let address = u64::from_str_radix(address, 16).unwrap_or(0);
                out.push(Traceable { address, name: name.into() });
            }
        }
        line.clear();
    }
    out
}

/// Lines `NAME [MODULE]`; the addresses are those of the symbols of that name.
fn by_symbols(
    kernel: &Kernel,
    file: impl BufRead,
    wanted: impl Fn(&str, Option<&str>) -> bool,
) -> Vec<Traceable> {
    let mut out = Vec::new();
    for line in file.lines().map_while(Result::ok) {
        let mut words = line.split_ascii_whitespace();
        let Some(name) = words.next() else { continue };
        if !wanted(name, words.next().map(|m| m.trim_matches(['[', ']']))) {
            continue;
        }
        let code = kernel.symbols().named(name).filter(|s| "tTwW".contains(s.kind));
        out.extend(code.map(|s| Traceable { address: s.address, name: name.into() }));
    }
    out
}

/// Makes a link to all items, or to all but those that the kernel refuses.
///
/// `attach` makes a link to some of them. The error is that of all of them if nothing is left, or if the
/// search took too long.
pub(super) fn attach_most<T: Clone, L>(
    items: &[T],
    name: impl Fn(&T) -> String,
    mut attach: impl FnMut(&[T]) -> Result<L, SysError>,
) -> Result<(L, Vec<SkippedFunction>), SysError> {
    let refusal = match attach(items) {
        Ok(fd) => return Ok((fd, Vec::new())),
        Err(e) if !is_about_one(e.errno) || items.len() < 2 => return Err(e),
        Err(e) => e,
    };
    let mut search = Search { attach: &mut attach, tries: 400, good: Vec::new(), bad: Vec::new() };
    search.look(items);
    if search.tries == 0 || search.good.is_empty() {
        return Err(refusal);
    }
    let Search { good, bad, .. } = search;
    let skipped = bad.iter().map(|(item, why)| SkippedFunction { name: name(item), why: why.to_string() });
    let skipped = skipped.collect();
    attach(&good).map(|fd| (fd, skipped))
}

/// The numbers by which the kernel refuses one function of many.
fn is_about_one(errno: Errno) -> bool {
    [
        Errno::EINVAL,
        Errno::ENOENT,
        Errno::ESRCH,
        Errno::EADDRNOTAVAIL,
        Errno::EBUSY,
        Errno::EILSEQ,
        Errno::ENOTSUPP,
        Errno::EOPNOTSUPP,
        Errno::EIO,
    ]
    .contains(&errno)
}

struct Search<'a, T, F> {
    attach: &'a mut F,
    tries: u32,
    good: Vec<T>,
    bad: Vec<(T, Errno)>,
}

impl<T: Clone, F> Search<'_, T, F> {
    /// Tells good from bad in a list that was refused.
    fn look<L>(&mut self, items: &[T])
    where
        F: FnMut(&[T]) -> Result<L, SysError>,
    {
        let (left, right) = items.split_at(items.len() / 2);
        for half in [left, right].into_iter().filter(|half| !half.is_empty()) {
            self.tries = self.tries.saturating_sub(1);
            if self.tries == 0 {
                return;
            }
            match ((self.attach)(half), half) {
                (Ok(_), _) => self.good.extend_from_slice(half),
                (Err(e), [one]) => self.bad.push((one.clone(), e.errno)),
                (Err(_), _) => self.look(half),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, matches) in [
            ("tcp_*", "tcp_connect", true),
            ("tcp_*", "udp_connect", false),
            ("*connect", "tcp_connect", true),
            ("*_?onnect*", "tcp_connect", true),
            ("tcp_connect", "tcp_connect", true),
            ("tcp_connect?", "tcp_connect", false),
            ("*a*b*c*", "xxaxxbxxcxx", true),
            ("*a*b*c*", "xxcxxbxxaxx", false),
            ("*", "", true),
            ("", "a", false),
        ] {
            assert_eq!(glob(pattern.as_bytes(), name.as_bytes()), matches, "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_that_backtracks_ends() {
        let pattern = "*a".repeat(100);
        assert!(!glob(pattern.as_bytes(), "a".repeat(99).as_bytes()));
    }

    #[test]
    fn both_lists_of_functions_are_read() {
        let kernel = Kernel::fixture(crate::uapi::Release(6, 1, 0))
            .with_symbols("00000010 t a_one\n00000020 d a_data\n00000030 t a_two\t[m]\n00000040 t a_one\n");
        let any = |name: &str, _: Option<&str>| name.starts_with("a_");
        let names =
            |found: Vec<Traceable>| found.into_iter().map(|f| (f.address, f.name)).collect::<Vec<_>>();
        let text = "a_one\na_data\na_two [m]\nb\n";
        assert_eq!(
            names(by_symbols(&kernel, text.as_bytes(), any)),
            [(0x10, "a_one".into()), (0x40, "a_one".into()), (0x30, "a_two".into())]
        );
        let text = "ffff0010 a_one\nffff0020 a_two [m]\nffff0030 b\n";
        assert_eq!(
            names(with_addresses(text.as_bytes(), |_, of| of == Some("m"))),
            [(0xffff_0020, "a_two".into())]
        );
    }

    #[test]
    fn the_bad_ones_of_many_are_left_out() {
        let items: Vec<u32> = (0..1000).collect();
        let bad = [3, 500, 999];
        let mut calls = 0;
        let done = attach_most(&items, u32::to_string, |some| {
            calls += 1;
            match some.iter().any(|i| bad.contains(i)) {
                true => Err(SysError::other("attach", Errno::EINVAL)),
                false => Ok(some.len()),
            }
        });
        let (attached, skipped) = done.expect("the others are attached");
        assert_eq!(attached, 997);
        assert_eq!(skipped.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["3", "500", "999"]);
        assert!(calls < 80, "{calls}");
    }

    #[test]
    fn what_is_not_about_one_function_is_not_searched_for() {
        let mut calls = 0;
        let done = attach_most(&[1, 2, 3], i32::to_string, |_| {
            calls += 1;
            Err::<(), _>(SysError::other("attach", Errno::EPERM))
        });
        assert_eq!((done.err().map(|e| e.errno), calls), (Some(Errno::EPERM), 1));
    }
}
