//! Counters: a program that runs whenever a counter of the CPU or of the kernel goes round.
//!
//! ```text
//!   perf_event/cpu-clock,freq=99          99 times a second on every CPU: a profiler
//!   perf_event/cycles,period=1000000      every millionth cycle
//!   perf_event/page-faults,period=1       each fault of a page
//!   perf_event/r01c2                      a counter of this model of CPU, by its number
//! ```
//!
//! An event belongs to a CPU or to a process. To watch the whole machine takes one for each CPU, so the
//! attachment has as many links.

use std::fmt;
use std::os::fd::OwnedFd;

use super::hook_kind::{HookKind, Needs};
use super::nearest::nearest;
use super::{AttachError, Link, perf_link, refusal};
use crate::kernel::Kernel;
use crate::progs::Program;
use crate::sys::{self, Errno, Sampling, SysError, perf_type};
use crate::uapi::ProgType;

/// What its programs need, by how their section names begin.
pub(super) const SECTION_NEEDS: Needs =
    &[("perf_event", "an event has to be named; write perf_event/EVENT[,freq=HZ|,period=N]")];

/// A counter. Linux 4.9; cookies since 5.15.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PerfEvent {
    /// What is counted: the event's name, `rN` for a raw one, or `TYPE:CONFIG` in numbers.
    pub event: String,
    /// How often the program runs.
    pub sampling: Sampling,
    /// Only on this CPU; on all if `None`.
    pub cpu: Option<u32>,
    /// Only in this process, and not in its children.
    pub pid: Option<u32>,
    /// What the program gets by `bpf_get_attach_cookie`. Linux 5.15.
    pub cookie: u64,
}

/// The events that are called the same on every machine: name, type, number.
const EVENTS: &[(&str, u32, u64)] = &[
    ("cycles", perf_type::HARDWARE, 0),
    ("instructions", perf_type::HARDWARE, 1),
    ("cache-references", perf_type::HARDWARE, 2),
    ("cache-misses", perf_type::HARDWARE, 3),
    ("branches", perf_type::HARDWARE, 4),
    ("branch-misses", perf_type::HARDWARE, 5),
    ("bus-cycles", perf_type::HARDWARE, 6),
    ("ref-cycles", perf_type::HARDWARE, 9),
    ("cpu-clock", perf_type::SOFTWARE, 0),
    ("task-clock", perf_type::SOFTWARE, 1),
    ("page-faults", perf_type::SOFTWARE, 2),
    ("faults", perf_type::SOFTWARE, 2),
    ("context-switches", perf_type::SOFTWARE, 3),
    ("cs", perf_type::SOFTWARE, 3),
    ("cpu-migrations", perf_type::SOFTWARE, 4),
    ("minor-faults", perf_type::SOFTWARE, 5),
    ("major-faults", perf_type::SOFTWARE, 6),
    ("alignment-faults", perf_type::SOFTWARE, 7),
    ("emulation-faults", perf_type::SOFTWARE, 8),
    ("cgroup-switches", perf_type::SOFTWARE, 11),
];

impl PerfEvent {
    /// An event on all CPUs, 99 times a second: often enough to see much, and out of step with what
    /// happens 100 times a second.
    pub fn new(event: &str) -> PerfEvent {
        PerfEvent { event: event.into(), sampling: Sampling::Frequency(99), cpu: None, pid: None, cookie: 0 }
    }

    /// `EVENT[,freq=HZ|,period=N][,cpu=N]`
    pub(super) fn parse(text: &str) -> Result<PerfEvent, String> {
        let mut words = text.split(',');
        let mut out = PerfEvent::new(words.next().unwrap_or_default());
        for word in words {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            let number: u64 =
                value.parse().map_err(|_| format!("`{word}` is not freq=HZ, period=N or cpu=N"))?;
            match key {
                "freq" => out.sampling = Sampling::Frequency(number),
                "period" => out.sampling = Sampling::Period(number),
                "cpu" => out.cpu = Some(number as u32),
                _ => return Err(format!("`{word}` is not freq=HZ, period=N or cpu=N")),
            }
        }
        if out.numbers().is_none() {
            let near = nearest(&out.event, EVENTS.iter().map(|(name, ..)| *name));
            return Err(format!("there is no event `{}`{near}; raw events are written rNUMBER", out.event));
        }
        Ok(out)
    }

    /// The name of an event by its type and number, as far as it has one: of those that are the same on every machine,
    /// or of the source in `/sys/bus/event_source` that the type stands for.
    pub fn name_of(kind: u32, config: u64) -> String {
        /// The two clocks of the software events have sources of their own, which are the first that the kernel
        /// registers, and which sysfs does not show: what was opened as `PERF_TYPE_SOFTWARE` comes back as these.
        const CLOCKS: [(u32, &str); 2] = [(6, "cpu-clock"), (7, "task-clock")];
        if let Some((name, ..)) = EVENTS.iter().find(|(_, k, c)| (*k, *c) == (kind, config)) {
            return (*name).into();
        }
        let sources = std::fs::read_dir("/sys/bus/event_source/devices").into_iter().flatten().flatten();
        let mut sources = sources.filter_map(|source| {
            let number = std::fs::read_to_string(source.path().join("type")).ok()?;
            (number.trim().parse() == Ok(kind)).then(|| source.file_name().to_string_lossy().into_owned())
        });
        match (sources.next(), CLOCKS.iter().find(|(k, _)| *k == kind)) {
            (Some(source), _) => format!("{source} {config:#x}"),
            (None, Some((_, clock))) if config <= 1 => (*clock).into(),
            _ => format!("type {kind} config {config:#x}"),
        }
    }

    /// The event's type and number.
    fn numbers(&self) -> Option<(u32, u64)> {
        if let Some((_, kind, config)) = EVENTS.iter().find(|(name, ..)| *name == self.event) {
            return Some((*kind, *config));
        }
        if let Some((kind, config)) = self.event.split_once(':') {
            return Some((kind.parse().ok()?, super::kprobe::number(config)?));
        }
        let raw = self.event.strip_prefix('r')?;
        Some((perf_type::RAW, u64::from_str_radix(raw, 16).ok()?))
    }
}

impl fmt::Display for PerfEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "perf_event/{}", self.event)?;
        match self.sampling {
            Sampling::Frequency(hz) => write!(f, ",freq={hz}")?,
            Sampling::Period(period) => write!(f, ",period={period}")?,
        }
        self.cpu.map_or(Ok(()), |cpu| write!(f, ",cpu={cpu}"))?;
        self.pid.map_or(Ok(()), |pid| write!(f, " in process {pid}"))
    }
}

impl HookKind for PerfEvent {
    fn words(&self) -> String {
        self.to_string()
    }

    fn attach(&self, kernel: &Kernel, program: &Program) -> Result<Link, AttachError> {
        attach(kernel, program, self)
    }

    fn set_cookie(&mut self, cookie: u64) -> bool {
        self.cookie = cookie;
        true
    }

    fn set_pid(&mut self, pid: u32) -> bool {
        self.pid = Some(pid);
        true
    }
}

/// Attaches a program to a counter.
pub(super) fn attach(kernel: &Kernel, program: &Program, event: &PerfEvent) -> Result<Link, AttachError> {
    refusal::check_type(program, "perf event", ProgType::PerfEvent)?;
    let refused = |source| explain(kernel, program, event, source);
    let events = open(event).map_err(refused)?;
    perf_link::attach(program, events, event.cookie).map_err(refused)
}

fn open(event: &PerfEvent) -> Result<Vec<OwnedFd>, SysError> {
    let (kind, config) = event.numbers().ok_or(SysError::other("perf_event_open", Errno::ENOENT))?;
    let counter = sys::PerfAttr::counter(kind, config, event.sampling);
    let pid = event.pid.map_or(-1, |pid| pid as i32);
    let cpus: Vec<i32> = match (event.cpu, event.pid) {
        (Some(cpu), _) => vec![cpu as i32],
        (None, Some(_)) => vec![-1],
        (None, None) => sys::cpus_to_try()?.into_iter().map(|cpu| cpu as i32).collect(),
    };
    let mut out = Vec::new();
    for cpu in cpus {
        match sys::perf_event_open(&counter, pid, cpu) {
            Ok(fd) => out.push(fd),
            // It went offline meanwhile.
            Err(e) if e.errno == Errno::ENODEV && event.cpu.is_none() => {}
            Err(e) => return Err(e),
        }
    }
    Ok(out)
}

fn explain(kernel: &Kernel, program: &Program, event: &PerfEvent, source: SysError) -> AttachError {
    let hardware = event.numbers().is_some_and(|(kind, _)| kind != perf_type::SOFTWARE);
    let guess = match source.errno {
        Errno::ENOENT | Errno::EOPNOTSUPP | Errno::ENODEV if hardware => {
            "this machine has no such counter (virtual machines often have none); cpu-clock is always there"
        }
        Errno::ENODEV | Errno::EINVAL if event.cpu.is_some() => "there is no such CPU, or it is offline",
        Errno::EINVAL if event.sampling == Sampling::Period(0) => "the period is 0",
        Errno::EINVAL if matches!(event.sampling, Sampling::Frequency(_)) => {
            "the frequency is above kernel.perf_event_max_sample_rate, or the event cannot be sampled so"
        }
        Errno::ESRCH => "there is no such process",
        Errno::EPROTO => "the event is sampled with a call chain already",
        _ => "",
    };
    refusal::refused_because(kernel, program, event, source, &["PERF_EVENTS", "BPF_EVENTS"], guess)
}

#[cfg(test)]
mod tests {
    use super::PerfEvent;

    #[test]
    fn an_event_is_named_by_its_numbers() {
        assert_eq!(PerfEvent::name_of(1, 0), "cpu-clock");
        assert_eq!(PerfEvent::name_of(0, 0), "cycles");
        assert_eq!(PerfEvent::name_of(4_000_000_000, 0x1c2), "type 4000000000 config 0x1c2");
    }
}
