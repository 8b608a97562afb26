//! The CPU time of a thread, and how much of it was spent inside bpf(2): libbpf and rawbpf both make that call with
//! libc's `syscall`, which the linker is told to lead here (build.rs).

use std::cell::Cell;

use libc::c_long;

thread_local! {
    static INSIDE: Cell<u64> = const { Cell::new(0) };
}

/// Nanoseconds of this thread's CPU time.
fn now() -> u64 {
    // SAFETY: the call fills the struct that it is given.
    let time = unsafe {
        let mut time: libc::timespec = std::mem::zeroed();
        libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time);
        time
    };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Runs `f`; returns what it does, and the nanoseconds of CPU time outside and inside of bpf(2).
pub fn split<T>(f: impl FnOnce() -> T) -> (T, u64, u64) {
    INSIDE.set(0);
    let start = now();
    let out = f();
    let all = now() - start;
    let inside = INSIDE.get();
    (out, all.saturating_sub(inside), inside)
}

unsafe extern "C" {
    fn __real_syscall(n: c_long, a: c_long, b: c_long, c: c_long, d: c_long, e: c_long, f: c_long) -> c_long;
}

/// What `syscall` means in this program. It is variadic; on the machines that this runs on, whole numbers and pointers
/// are passed alike to a function that is not.
///
/// # Safety
/// As for `syscall`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_syscall(
    n: c_long,
    a: c_long,
    b: c_long,
    c: c_long,
    d: c_long,
    e: c_long,
    f: c_long,
) -> c_long {
    // SAFETY: the arguments are passed on as they came.
    let call = || unsafe { __real_syscall(n, a, b, c, d, e, f) };
    if n != libc::SYS_bpf {
        return call();
    }
    let start = now();
    let ret = call();
    // Reading the clock leaves errno alone: it does not fail.
    INSIDE.set(INSIDE.get() + (now() - start));
    ret
}
