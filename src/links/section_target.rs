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
use super::hook_kind::SectionName;
use super::table::{NEEDS, SECTIONS};
use super::{Iter, PerfEvent, Target, Trace};
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
            return Err(fail(format!("nothing follows `{base}/`; {}", words(def.auto).1)));
        }
        let Some(row) = SECTIONS.iter().find(|row| row.auto == def.auto) else { return Ok(None) };
        (row.read)(&SectionName { base, rest }).map(Some).map_err(fail)
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
            let (object, syntax) = words(def.auto);
            return format!("its section names no {object}; {syntax}");
        }
        let row = NEEDS.iter().copied().flatten().find(|(prefix, _)| section.starts_with(prefix));
        row.map_or("it is not attached by its section", |(_, what)| what).into()
    }
}

/// What a section of this kind names, and how it is written.
fn words(auto: AutoAttach) -> (&'static str, &'static str) {
    SECTIONS.iter().find(|row| row.auto == auto).map_or(("function", ""), |row| (row.object, row.syntax))
}
