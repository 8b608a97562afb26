//! The hook of a link in words, for links that no hook has shown.

use std::sync::OnceLock;

use crate::kernel::{Kernel, Symbol};
use crate::links::info::{Hook, IterOver, PerfHook};
use crate::links::netfilter::{NfFamily, NfHook};
use crate::links::perf_event::PerfEvent;
use crate::progs::Program;
use crate::sys::LinkTargets;

/// What is looked up at most once, and only if somebody needs it.
#[derive(Debug, Default)]
pub(super) struct Names {
    kernel: OnceLock<Kernel>,
}

/// How many of many targets are named.
const SHOWN: usize = 3;

impl Names {
    fn kernel(&self) -> &Kernel {
        self.kernel.get_or_init(Kernel::host)
    }

    /// The place, and more about it.
    pub(super) fn of(&mut self, hook: &Hook) -> (String, String) {
        match hook {
            Hook::Xdp { ifindex } => (elsewhere(*ifindex), String::new()),
            Hook::Tcx { ifindex, attach_type } | Hook::Netkit { ifindex, attach_type } => {
                (elsewhere(*ifindex), attach_type.to_string())
            }
            Hook::Cgroup { cgroup_id, attach_type } => {
                (format!("cgroup {cgroup_id} that is gone {attach_type}"), String::new())
            }
            Hook::Netns { inode: 0, attach_type } => {
                ("a network namespace that is gone".into(), attach_type.to_string())
            }
            Hook::Netns { inode, .. } => (format!("network namespace {inode}"), String::new()),
            Hook::Sockmap { map_id, attach_type } => {
                (format!("{attach_type} of map {map_id}"), String::new())
            }
            Hook::Netfilter { pf, hook, priority, flags } => {
                let family = NfFamily::from_number(*pf).map_or_else(|| pf.to_string(), |f| f.name().into());
                let at = NfHook::from_number(*hook).map_or_else(|| hook.to_string(), |h| h.name().into());
                let defrag = if flags & 1 != 0 { ", defragmented" } else { "" };
                (format!("{family} {at}"), format!("priority {priority}{defrag}"))
            }
            Hook::Tracing { target_obj_id, target_btf_id, cookie, .. } => {
                (self.target(*target_obj_id, *target_btf_id), cookie_text(*cookie))
            }
            Hook::TracingMulti { target_obj_id, targets, .. } => {
                let name = |id: &u64| self.target(*target_obj_id, *id as u32);
                (list(targets, name), functions(targets.places.len()))
            }
            Hook::RawTracepoint { name, cookie } => (name.clone(), cookie_text(*cookie)),
            Hook::Iter { name, over } => (name.clone(), over_text(*over)),
            Hook::PerfEvent(event) => self.perf(event),
            Hook::KprobeMulti { count, missed, targets, .. } => {
                let name = |address: &u64| self.symbol(*address);
                let missed = if *missed == 0 { String::new() } else { format!(", {missed} missed") };
                (list(targets, name), format!("{}{missed}", functions(*count as usize)))
            }
            Hook::UprobeMulti { path, pid, count, targets, .. } => {
                let of = if *pid == 0 { String::new() } else { format!(", process {pid}") };
                let at = list(targets, |offset| format!("{offset:#x}"));
                let places = if *count == 1 { "1 place".into() } else { format!("{count} places") };
                (format!("{path} {at}").trim_end().into(), format!("{places}{of}"))
            }
            Hook::StructOps { map_id } => (format!("map {map_id}"), String::new()),
            Hook::Filter { .. } | Hook::Route { .. } | Hook::Other => (String::new(), String::new()),
        }
    }

    /// A function of the kernel, of a module or of a program.
    fn target(&self, obj_id: u32, type_id: u32) -> String {
        // For freplace the object is a program.
        if let Some(name) = self.kernel().type_name(obj_id, type_id) {
            let plain = ["bpf_lsm_", "btf_trace_"].iter().find_map(|p| name.strip_prefix(p));
            return plain.map_or_else(|| name.clone(), String::from);
        }
        match Program::open_id(obj_id) {
            Ok(program) => format!("function {type_id} of program `{}` (id {obj_id})", program.name()),
            Err(_) => format!("type {type_id} of object {obj_id}"),
        }
    }

    fn symbol(&self, address: u64) -> String {
        self.function_at(address).map_or_else(|| format!("{address:#x}"), String::from)
    }

    /// The function that begins at an address. A probe of its entry may stand behind the instruction there that marks
    /// the target of a jump, such as x86's endbr64.
    fn function_at(&self, address: u64) -> Option<&str> {
        const MARK: u64 = 4;
        let near =
            |s: &Symbol<'_>| s.address != 0 && address.checked_sub(s.address).is_some_and(|d| d <= MARK);
        let code = self.kernel().symbols().all().filter(|s| "tTwW".contains(s.kind));
        code.filter(near).max_by_key(|s| s.address).map(|s| s.name)
    }

    fn perf(&self, event: &PerfHook) -> (String, String) {
        match event {
            // A name that several functions have leads to none of them.
            PerfHook::Kprobe { function, offset, address, missed, cookie, .. } => {
                let at = match (function.as_str(), offset) {
                    ("", _) => match self.function_at(*address) {
                        Some(name) => format!("{name} ({address:#x})"),
                        None => format!("{address:#x}"),
                    },
                    (name, 0) => name.into(),
                    (name, offset) => format!("{name}+{offset:#x}"),
                };
                let missed = if *missed == 0 { String::new() } else { format!("{missed} missed ") };
                (at, format!("{missed}{}", cookie_text(*cookie)).trim_end().into())
            }
            PerfHook::Uprobe { path, offset, cookie, .. } => {
                (format!("{path}+{offset:#x}"), cookie_text(*cookie))
            }
            PerfHook::Tracepoint { name, cookie } => (name.clone(), cookie_text(*cookie)),
            PerfHook::Event { kind, config, cookie } => {
                (PerfEvent::name_of(*kind, *config), cookie_text(*cookie))
            }
            PerfHook::Unknown => ("a perf event".into(), String::new()),
        }
    }
}

fn functions(count: usize) -> String {
    if count == 1 { "1 function".into() } else { format!("{count} functions") }
}

fn elsewhere(ifindex: u32) -> String {
    match ifindex {
        0 => "an interface that is gone".into(),
        n => format!("interface {n} of a network namespace that was not looked at"),
    }
}

fn cookie_text(cookie: u64) -> String {
    if cookie == 0 { String::new() } else { format!("cookie {cookie:#x}") }
}

/// The first of many targets.
fn list(targets: &LinkTargets, name: impl Fn(&u64) -> String) -> String {
    let shown: Vec<String> = targets.places.iter().filter(|p| **p != 0).take(SHOWN).map(name).collect();
    let more = if targets.places.len() > SHOWN && !shown.is_empty() { ", ..." } else { "" };
    format!("{}{more}", shown.join(", "))
}

fn over_text(over: IterOver) -> String {
    match over {
        IterOver::All | IterOver::Task { tid: 0, pid: 0 } => String::new(),
        IterOver::Map(id) => format!("map {id}"),
        IterOver::Cgroup { id, .. } => format!("cgroup {id}"),
        IterOver::Task { tid, pid: 0 } => format!("thread {tid}"),
        IterOver::Task { pid, .. } => format!("process {pid}"),
    }
}
