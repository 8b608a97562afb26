//! Which release is running: not always what `uname -r` says.

use std::fs;
use std::sync::OnceLock;

use crate::uapi::Release;

/// The release of the running kernel. Ubuntu and Debian keep the upstream patch level elsewhere, and
/// kprobes of kernels before 5.0 compare it exactly. It stays as it is while a process runs, so it is asked once.
pub(super) fn running() -> Release {
    static RUNNING: OnceLock<Release> = OnceLock::new();
    *RUNNING.get_or_init(|| ubuntu().or_else(debian).or_else(uname).unwrap_or(Release(0, 0, 0)))
}

/// `/proc/version_signature`: `Ubuntu 5.4.0-12.15-generic 5.4.8`.
fn ubuntu() -> Option<Release> {
    let text = fs::read_to_string("/proc/version_signature").ok()?;
    Release::parse(text.split_whitespace().nth(2)?)
}

/// utsname.version: `#1 SMP Debian 4.9.110-3+deb9u4 (2018-08-21)`.
fn debian() -> Option<Release> {
    let uts = nix::sys::utsname::uname().ok()?;
    let text = uts.version().to_string_lossy().into_owned();
    let after = text.split_once("Debian ")?.1;
    Release::parse(after)
}

fn uname() -> Option<Release> {
    let uts = nix::sys::utsname::uname().ok()?;
    Release::parse(&uts.release().to_string_lossy())
}

/// The release as `uname -r` says it.
pub fn release_text() -> String {
    nix::sys::utsname::uname().map(|u| u.release().to_string_lossy().into_owned()).unwrap_or_default()
}

/// Bytes of a page on this machine.
pub(super) fn page_size() -> u32 {
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten();
    size.and_then(|s| u32::try_from(s).ok()).unwrap_or(4096)
}
