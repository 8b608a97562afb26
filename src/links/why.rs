//! Why a kernel refuses to be traced: what stands behind an error number.
//!
//! `EPERM` has four causes here, and `ENOENT` five. All of them can be told apart by looking at what the
//! kernel says of itself: its lockdown mode, what this process may do, `perf_event_paranoid`, how it was
//! configured, what is mounted. That is done only once something was refused.

use super::AttachError;
use crate::elf::section::distance;
use crate::kernel::Kernel;
use crate::kernel::policy::{Cap, Policy};
use crate::progs::Program;
use crate::sys::{Errno, SysError};
use crate::uapi::ProgType;

/// The error for a hook that the kernel refused, with the cause as far as the machine tells it.
/// `options`: what the kernel must have been configured with.
pub(super) fn refused(
    kernel: &Kernel,
    program: &Program,
    hook: impl ToString,
    source: SysError,
    options: &[&str],
) -> AttachError {
    refused_because(kernel, program, hook, source, options, "")
}

/// As [`refused`], with a cause to name if no better one is found.
pub(super) fn refused_because(
    kernel: &Kernel,
    program: &Program,
    hook: impl ToString,
    source: SysError,
    options: &[&str],
    guess: &str,
) -> AttachError {
    let (program, hook) = (program.name().to_string(), hook.to_string());
    if let Some(why) = unconfigured(kernel, options).filter(|_| !source.errno.is_permission()) {
        return AttachError::Unsupported { program, hook, why };
    }
    let cause = permission(source.errno).unwrap_or_else(|| guess.into());
    let why = if cause.is_empty() { cause } else { format!(": {cause}") };
    AttachError::Refused { program, hook, source, why }
}

/// What forbids it, if the number says that something does.
pub(super) fn permission(errno: Errno) -> Option<String> {
    if !errno.is_permission() {
        return None;
    }
    let policy = Policy::here();
    if let Some(mode) = policy.locked_down() {
        return Some(format!(
            "the kernel is locked down ({mode}), which forbids this kind of tracing even to root; see /sys/kernel/security/lockdown"
        ));
    }
    if !policy.has(Cap::Perfmon) {
        let paranoid = match policy.perf_event_paranoid {
            None => String::new(),
            Some(level) => format!(" (kernel.perf_event_paranoid is {level})"),
        };
        return Some(format!(
            "this process has neither CAP_PERFMON nor CAP_SYS_ADMIN, which tracing needs{paranoid}"
        ));
    }
    None
}

/// The options that the kernel was built without, as a sentence; `None` if it has all, or if nothing is
/// known about its configuration.
pub(super) fn unconfigured(kernel: &Kernel, options: &[&str]) -> Option<String> {
    let config = kernel.kconfig();
    let missing: Vec<String> =
        options.iter().map(|o| format!("CONFIG_{o}")).filter(|option| config.lacks(option)).collect();
    if missing.is_empty() {
        return None;
    }
    Some(format!("this kernel was built without {}", missing.join(", ")))
}

/// Programs of another type cannot be attached.
pub(super) fn check_type(program: &Program, hook: &'static str, wanted: ProgType) -> Result<(), AttachError> {
    let found = program.prog_type();
    if found == wanted {
        return Ok(());
    }
    Err(AttachError::WrongType { program: program.name().into(), found, hook, wanted })
}

/// How often each letter is in a name.
fn letters(name: &str) -> [u8; 32] {
    let mut out = [0u8; 32];
    for slot in name.bytes().map(|b| usize::from(b % 32)) {
        if let Some(count) = out.get_mut(slot) {
            *count = count.saturating_add(1);
        }
    }
    out
}

/// How many letters one name has and the other has not: every change of a letter makes at most two.
fn differ(wanted: &[u8; 32], name: &str) -> usize {
    wanted.iter().zip(letters(name)).map(|(a, b)| usize::from(a.abs_diff(b))).sum()
}

/// The names nearest to `wanted`, as ` (nearest: a, b)`; empty if none is near.
pub(super) fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> String {
    /// Among the names of a kernel or of a large file only those are compared that may be near: a
    /// comparison takes time in the product of both lengths.
    const LETTERS: usize = 3;
    let limit = 1 + wanted.len() / 4;
    let letters = letters(wanted);
    let may_be_near = |name: &&str| {
        name.len().abs_diff(wanted.len()) <= limit.min(LETTERS) && differ(&letters, name) <= 2 * limit
    };
    let mut best: Vec<(usize, &str)> = Vec::new();
    for name in names.filter(may_be_near) {
        let far = distance(wanted, name);
        if far <= limit && !best.iter().any(|(_, known)| *known == name) {
            best.push((far, name));
            best.sort();
            best.truncate(3);
        }
    }
    match best.as_slice() {
        [] => String::new(),
        near => format!(" (nearest: {})", near.iter().map(|(_, n)| *n).collect::<Vec<_>>().join(", ")),
    }
}
