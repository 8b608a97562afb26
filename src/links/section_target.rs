//! The language of hooks: section names, as they stand in `SEC("...")`.
//!
//! A section name says what a program is and, for most tracing programs, where it attaches. That is a
//! small language which everybody who writes BPF programs knows already, so it is also what names a hook
//! on the command line and in messages.
//!
//! ```text
//!   kprobe/[MODULE:]FUNCTION[+OFFSET]    kretprobe/[MODULE:]FUNCTION     kprobe/0xADDRESS
//!   kprobe.multi/PATTERN                 kretprobe.multi/PATTERN         kprobe.session/PATTERN
//!   ksyscall/NAME                        kretsyscall/NAME
//!   uprobe/FILE:FUNCTION[+OFFSET]        uretprobe/FILE:FUNCTION         uprobe/FILE:0xOFFSET
//!   uprobe.multi/FILE:PATTERN            uretprobe.multi/FILE:PATTERN    uprobe.session/FILE:PATTERN
//!   usdt/FILE:PROVIDER:NAME
//!   tracepoint/CATEGORY/NAME             raw_tracepoint/NAME             (tp/ and raw_tp/ for short)
//!   fentry.multi/[MODULE:]PATTERN        fexit.multi/PATTERN             fsession.multi/PATTERN
//!   perf_event/EVENT[,freq=HZ|,period=N][,cpu=N]
//!   fentry/...  fexit/...  lsm/...  iter/...  tp_btf/...                 bound at load time
//! ```

use super::error::HookError;
use super::{
    Functions, Iter, Kprobe, KprobeMulti, Ksyscall, MultiKind, PerfEvent, RawTracepoint, Spots, Target,
    Trace, Tracepoint, TracingMulti, Uprobe, UprobeMulti, Usdt,
};
use crate::elf::section::{self, AutoAttach};

impl Target {
    /// The hook that a section name describes. `None` if the name alone does not describe one: the program
    /// type is attached to something that has no name there (an interface, a cgroup), or the name ends where
    /// the hook would begin (`SEC("kprobe")`).
    ///
    /// ```
    /// use rawbpf::links::{Kprobe, Target};
    /// let target = Target::of_section("kretprobe/nf_tables:nft_do_chain").unwrap();
    /// assert_eq!(target, Some(Target::Kprobe(Kprobe::exit("nf_tables:nft_do_chain"))));
    /// assert_eq!(Target::of_section("xdp").unwrap(), None);
    /// assert!(Target::of_section("tracepoint/sched_switch").is_err());
    /// ```
    ///
    /// # Errors
    /// [`HookError`] for a name that begins as a hook and does not go on as one.
    pub fn of_section(section: &str) -> Result<Option<Target>, HookError> {
        let fail = |why: String| HookError { section: section.into(), why };
        // Not a section name, as that says only `perf_event`.
        if let Some(event) = section.strip_prefix("perf_event/") {
            return PerfEvent::parse(event).map(Target::PerfEvent).map(Some).map_err(fail);
        }
        let Some(def) = section::find(section) else { return Ok(None) };
        // What was found at load time needs no name here.
        if matches!(def.auto, AutoAttach::Trace | AutoAttach::Lsm) {
            return Ok(Some(Target::Trace(Trace::default())));
        }
        if def.auto == AutoAttach::Iter {
            return Ok(Some(Target::Iter(Iter::Everything)));
        }
        let (base, rest) = match section.split_once('/') {
            Some((base, rest)) => (base, rest),
            None => return Ok(None),
        };
        if rest.is_empty() && def.auto != AutoAttach::Manual {
            return Err(fail(format!("nothing follows `{base}/`; {}", syntax(def.auto))));
        }
        let exit = base.starts_with("kret") || base.starts_with("uret");
        let kind = match exit {
            _ if base.contains(".session") => MultiKind::Session,
            true => MultiKind::Exit,
            false => MultiKind::Entry,
        };
        let target = match def.auto {
            AutoAttach::Kprobe => Target::Kprobe(Kprobe::parse(rest, exit).map_err(fail)?),
            AutoAttach::KprobeMulti | AutoAttach::KprobeSession => {
                let functions = Functions::Pattern(rest.into());
                Target::KprobeMulti(KprobeMulti { functions, kind, cookies: Vec::new() })
            }
            AutoAttach::Ksyscall => Target::Ksyscall(Ksyscall { name: rest.into(), exit, cookie: 0 }),
            AutoAttach::Tracepoint => match rest.split_once('/') {
                Some((category, name)) if !category.is_empty() && !name.is_empty() => {
                    Target::Tracepoint(Tracepoint { category: category.into(), name: name.into(), cookie: 0 })
                }
                _ => return Err(fail(syntax(def.auto).into())),
            },
            AutoAttach::RawTracepoint => {
                Target::RawTracepoint(RawTracepoint { name: rest.into(), cookie: 0 })
            }
            AutoAttach::Uprobe => Target::Uprobe(Uprobe::parse(rest, exit).map_err(fail)?),
            AutoAttach::UprobeMulti => match rest.rsplit_once(':') {
                Some((file, pattern)) if !file.is_empty() && !pattern.is_empty() => {
                    Target::UprobeMulti(UprobeMulti::new(file, Spots::Pattern(pattern.into()), kind))
                }
                _ => return Err(fail(syntax(def.auto).into())),
            },
            AutoAttach::Usdt => Target::Usdt(Usdt::parse(rest).ok_or_else(|| fail(syntax(def.auto).into()))?),
            AutoAttach::TracingMulti => {
                Target::TracingMulti(TracingMulti { pattern: rest.into(), cookie: 0 })
            }
            _ => return Ok(None),
        };
        Ok(Some(target))
    }

    /// What a section name leaves open, for a program that cannot attach itself.
    ///
    /// ```
    /// use rawbpf::Target;
    /// assert_eq!(Target::missing("xdp"), "an interface has to be named");
    /// assert_eq!(Target::missing("kprobe"), "its section names no function; write kprobe/[MODULE:]FUNCTION[+OFFSET]");
    /// ```
    pub fn missing(section: &str) -> String {
        let Some(def) = section::find(section) else { return "its section is not a known one".into() };
        if def.auto != AutoAttach::Manual {
            return format!("its section names no {}; {}", object(def.auto), syntax(def.auto));
        }
        let row = NEEDS.iter().find(|(prefix, _)| section.starts_with(prefix));
        row.map_or("it is not attached by its section", |(_, what)| what).into()
    }

    /// Gives the program a value that tells this attachment from its others (`bpf_get_attach_cookie`). For
    /// attachments to many functions, all get the same. False if the hook has no cookies.
    pub fn set_cookie(&mut self, value: u64) -> bool {
        match self {
            Target::Kprobe(t) => t.cookie = value,
            Target::KprobeMulti(t) => t.cookies = vec![value],
            Target::Ksyscall(t) => t.cookie = value,
            Target::Tracepoint(t) => t.cookie = value,
            Target::Uprobe(t) => t.cookie = value,
            Target::UprobeMulti(t) => t.cookies = vec![value],
            Target::RawTracepoint(t) => t.cookie = value,
            Target::Usdt(t) => t.cookie = value,
            Target::Trace(t) => t.cookie = value,
            Target::TracingMulti(t) => t.cookie = value,
            Target::PerfEvent(t) => t.cookie = value,
            _ => return false,
        }
        true
    }

    /// Limits the hook to one process. False if it is of all processes in any case.
    pub fn set_pid(&mut self, pid: u32) -> bool {
        match self {
            Target::Uprobe(t) => t.pid = Some(pid),
            Target::UprobeMulti(t) => t.pid = Some(pid),
            Target::Usdt(t) => t.pid = Some(pid),
            Target::PerfEvent(t) => t.pid = Some(pid),
            _ => return false,
        }
        true
    }
}

/// What programs need that cannot attach themselves, by how their section names begin.
const NEEDS: &[(&str, &str)] = &[
    ("xdp/", "it runs from a devmap or cpumap, whose elements name it"),
    ("xdp.frags/", "it runs from a devmap or cpumap, whose elements name it"),
    ("xdp", "an interface has to be named"),
    ("tc", "an interface has to be named"),
    ("classifier", "an interface has to be named"),
    ("netkit", "an interface has to be named"),
    ("cgroup", "a cgroup has to be named"),
    ("lsm_cgroup", "a cgroup has to be named"),
    ("sockops", "a cgroup has to be named"),
    ("sk_lookup", "a network namespace has to be named"),
    ("flow_dissector", "a network namespace has to be named"),
    ("sk_skb", "a sockmap has to be named"),
    ("sk_msg", "a sockmap has to be named"),
    ("sk_reuseport", "a socket has to be given"),
    ("socket", "a socket has to be given"),
    ("netfilter", "a protocol family and a hook have to be named"),
    ("perf_event", "an event has to be named; write perf_event/EVENT[,freq=HZ|,period=N]"),
    ("lwt", "a route has to be named"),
    ("action", "a tc filter has to name it"),
    ("lirc", "a device has to be named"),
    ("syscall", "it is run by BPF_PROG_RUN"),
    ("struct_ops", "its struct_ops map is what is attached"),
];

/// What a hook is of.
fn object(auto: AutoAttach) -> &'static str {
    match auto {
        AutoAttach::Ksyscall => "system call",
        AutoAttach::Tracepoint | AutoAttach::RawTracepoint => "tracepoint",
        AutoAttach::Uprobe | AutoAttach::UprobeMulti => "file and function",
        AutoAttach::Usdt => "file and probe",
        _ => "function",
    }
}

/// How a hook is written.
fn syntax(auto: AutoAttach) -> &'static str {
    match auto {
        AutoAttach::Kprobe => "write kprobe/[MODULE:]FUNCTION[+OFFSET]",
        AutoAttach::KprobeMulti | AutoAttach::KprobeSession => "write kprobe.multi/PATTERN, with * and ?",
        AutoAttach::Ksyscall => "write ksyscall/NAME",
        AutoAttach::Uprobe => "write uprobe/FILE:FUNCTION[+OFFSET]",
        AutoAttach::UprobeMulti => "write uprobe.multi/FILE:PATTERN, with * and ?",
        AutoAttach::Usdt => "write usdt/FILE:PROVIDER:NAME",
        AutoAttach::Tracepoint => "write tracepoint/CATEGORY/NAME",
        AutoAttach::RawTracepoint => "write raw_tracepoint/NAME",
        AutoAttach::TracingMulti => "write fentry.multi/[MODULE:]PATTERN, with * and ?",
        _ => "",
    }
}
