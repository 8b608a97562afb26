//! Perf events, as far as BPF needs them: `perf_event_open(2)` and three of its ioctls.
//!
//! Probes and tracepoints are older than BPF and belong to perf: a *perf event* stands for "this function
//! is entered" or "this counter has gone round", and a program can be put behind it. The event is a
//! descriptor; when the last one is closed, the probe is gone.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use super::attr::Ptr;
use super::errno::{Call, Errno, SysError};
use super::fd;
use super::observe::{self, Fields};

/// What kind of event (`perf_event_attr.type`) that is the same on every machine. Those of probes are
/// numbers that the kernel tells in `/sys/bus/event_source/devices/NAME/type`.
#[allow(missing_docs)]
pub mod perf_type {
    #[doc(alias = "PERF_TYPE_HARDWARE")]
    pub const HARDWARE: u32 = 0;
    #[doc(alias = "PERF_TYPE_SOFTWARE")]
    pub const SOFTWARE: u32 = 1;
    #[doc(alias = "PERF_TYPE_TRACEPOINT")]
    pub const TRACEPOINT: u32 = 2;
    #[doc(alias = "PERF_TYPE_RAW")]
    pub const RAW: u32 = 4;
}

/// How often a counting event runs what is behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// Once after this many occurrences. Probes and tracepoints are not sampled: 0.
    Period(u64),
    /// About this many times a second.
    Frequency(u64),
}

/// What `perf_event_open` opens: the part of `struct perf_event_attr` that BPF uses.
#[derive(Debug)]
#[doc(alias = "perf_event_attr")]
#[doc(alias = "PerfEvent")]
pub struct PerfAttr<'a> {
    kind: u32,
    config: u64,
    sampling: Sampling,
    config1: u64,
    config2: u64,
    /// What `config1` points to.
    name: Option<&'a CStr>,
}

impl<'a> PerfAttr<'a> {
    /// An event that counts something: hardware, software, or a tracepoint by its number.
    pub fn counter(kind: u32, config: u64, sampling: Sampling) -> PerfAttr<'a> {
        PerfAttr { kind, config, sampling, config1: 0, config2: 0, name: None }
    }

    /// A probe at `offset` in the kernel function or file `name`.
    pub fn probe(kind: u32, config: u64, name: &'a CStr, offset: u64) -> PerfAttr<'a> {
        let config1 = Ptr::to_str(name).address();
        let name = Some(name);
        PerfAttr { config1, config2: offset, name, ..PerfAttr::counter(kind, config, Sampling::Period(0)) }
    }

    /// A probe at an address of the kernel.
    pub fn probe_at(kind: u32, config: u64, address: u64) -> PerfAttr<'a> {
        PerfAttr { config2: address, ..PerfAttr::counter(kind, config, Sampling::Period(0)) }
    }

    fn fields(&self, pid: i32, cpu: i32) -> Fields {
        let sampling = match self.sampling {
            Sampling::Period(period) => ("sample_period", period),
            Sampling::Frequency(hz) => ("sample_freq", hz),
        };
        let config1 = match self.name {
            Some(name) => format!("{:?}", name.to_string_lossy()),
            None => self.config1.to_string(),
        };
        let set = |n: u64| if n == 0 { String::new() } else { format!("{n:#x}") };
        let mut fields = vec![("type", self.kind.to_string()), ("config", format!("{:#x}", self.config))];
        fields.extend([(sampling.0, set(sampling.1)), ("config1", config1), ("config2", set(self.config2))]);
        fields.retain(|(_, value)| !value.is_empty() && value != "0");
        fields.extend([("pid", pid.to_string()), ("cpu", cpu.to_string())]);
        fields
    }
}

/// `struct perf_event_attr` up to `config2`, which is what Linux 2.6.33 had (`PERF_ATTR_SIZE_VER1`).
#[repr(C)]
struct RawAttr {
    kind: u32,
    size: u32,
    config: u64,
    sample_period_or_freq: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    bp_type: u32,
    config1: u64,
    config2: u64,
}

const _: () = assert!(size_of::<RawAttr>() == 72);

/// The `freq` bit of the flags, which C declares as the eleventh one-bit field of a u64.
const FREQ: u64 = if cfg!(target_endian = "big") { 1 << (63 - 10) } else { 1 << 10 };

/// Opens an event of process `pid` (-1: all) on `cpu` (-1: all; not both).
///
/// `EACCES` or `EPERM` without `CAP_PERFMON`, as `kernel.perf_event_paranoid` says; `ENOENT` for a function or a
/// counter that does not exist.
pub(crate) fn perf_event_open(event: &PerfAttr<'_>, pid: i32, cpu: i32) -> Result<OwnedFd, SysError> {
    /// `PERF_FLAG_FD_CLOEXEC`
    const CLOEXEC: u64 = 1 << 3;
    const NO_GROUP: i32 = -1;
    let (value, flags) = match event.sampling {
        Sampling::Period(period) => (period, 0),
        Sampling::Frequency(hz) => (hz, FREQ),
    };
    let mut attr = RawAttr {
        kind: event.kind,
        size: size_of::<RawAttr>() as u32,
        config: event.config,
        sample_period_or_freq: value,
        sample_type: 0,
        read_format: 0,
        flags,
        wakeup_events: 0,
        bp_type: 0,
        config1: event.config1,
        config2: event.config2,
    };
    let fail = |errno| SysError::other("perf_event_open", errno);
    let fields = observe::before(|| event.fields(pid, cpu));
    // SAFETY: `attr` is as long as it says, and may be written: a kernel that knows less writes its own size there.
    // The strings that it points to are borrowed by `event`. Test:
    // `live_tracing::kernel_side::cookies_of_perf_events`.
    let raw = unsafe { libc::syscall(libc::SYS_perf_event_open, &mut attr, pid, cpu, NO_GROUP, CLOEXEC) };
    let result = if raw < 0 { Err(Errno::last()) } else { Ok(raw as i32) };
    observe::after(Call::Other("perf_event_open"), fields, result, "");
    // SAFETY: the kernel just returned this descriptor to us. Test:
    // `live_tracing::kernel_side::cookies_of_perf_events`.
    result.and_then(|raw| unsafe { fd::own(raw) }).map_err(fail)
}

// The ioctls have no argument, or a plain number: nothing of ours is read or written.
nix::ioctl_none!(enable, b'$', 0);
nix::ioctl_none!(disable, b'$', 1);
nix::ioctl_write_int!(set_bpf, b'$', 8);

/// `PERF_EVENT_IOC_ENABLE`
pub(crate) fn perf_enable(event: impl AsFd) -> Result<(), SysError> {
    // SAFETY: a borrowed descriptor, no memory. Test: `live_tracing::kernel_side::cookies_of_perf_events`.
    let done = unsafe { enable(event.as_fd().as_raw_fd()) };
    told("ioctl(PERF_EVENT_IOC_ENABLE)", event, None, done)
}

/// `PERF_EVENT_IOC_DISABLE`
pub(crate) fn perf_disable(event: impl AsFd) -> Result<(), SysError> {
    // SAFETY: a borrowed descriptor, no memory. Test: `live_tracing::kernel_side::cookies_of_perf_events`.
    let done = unsafe { disable(event.as_fd().as_raw_fd()) };
    told("ioctl(PERF_EVENT_IOC_DISABLE)", event, None, done)
}

/// `PERF_EVENT_IOC_SET_BPF`: puts a program behind the event, until the event is closed. Linux 4.1.
pub(crate) fn perf_set_bpf(event: impl AsFd, program: impl AsFd) -> Result<(), SysError> {
    let program = program.as_fd().as_raw_fd();
    // SAFETY: borrowed descriptors, no memory. Test: `live_tracing::kernel_side::cookies_of_perf_events`.
    let done = unsafe { set_bpf(event.as_fd().as_raw_fd(), program as libc::c_ulong) };
    told("ioctl(PERF_EVENT_IOC_SET_BPF)", event, Some(program), done)
}

/// The outcome of an ioctl, after whoever observes was told of it.
fn told(
    name: &'static str,
    event: impl AsFd,
    program: Option<i32>,
    done: Result<i32, nix::errno::Errno>,
) -> Result<(), SysError> {
    let fields = observe::before(|| {
        let event = ("fd", event.as_fd().as_raw_fd().to_string());
        [event].into_iter().chain(program.map(|fd| ("prog_fd", fd.to_string()))).collect()
    });
    let done = done.map_err(|e| SysError::other(name, e));
    observe::after(Call::Other(name), fields, done.map_err(|e| e.errno), "");
    done.map(drop)
}
