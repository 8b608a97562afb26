//! `rawbpf probes`: what can be traced here, each line with a section name that can be pasted into `SEC("...")`.

use std::io::{self, Write};

use clap::Args as ClapArgs;
use rawbpf::Kernel;
use rawbpf::links::probes::{self, KernelFunction, TracepointEntry};
use serde::Serialize;

use crate::ui::error::CliError;
use crate::ui::output::{Output, Report};
use crate::ui::table::Table;

#[derive(Debug, ClapArgs)]
pub(crate) struct ProbesArgs {
    /// Names of functions and tracepoints; `*` stands for any letters, `?` for one: 'tcp_*', 'nf_tables:*',
    /// 'sched:sched_switch'
    pattern: String,
    /// Of this program or library: functions and USDT probes of user space
    #[arg(long, value_name = "PATH")]
    exe: Option<String>,
    /// Only functions
    #[arg(long, conflicts_with = "tracepoints")]
    functions: bool,
    /// Only tracepoints, or with --exe only USDT probes
    #[arg(long)]
    tracepoints: bool,
}

/// One thing that can be traced.
#[derive(Debug, Serialize)]
struct Row {
    /// What to write into `SEC("...")`.
    section: String,
    /// Other sections for the same place.
    also: Vec<String>,
    kind: &'static str,
    name: String,
    module: Option<String>,
    proto: Option<String>,
    fields: Vec<String>,
    /// Whether many probes can be set at once; null if it is not known.
    multi: Option<bool>,
    note: Option<String>,
}

#[derive(Debug, Serialize)]
struct Probes {
    probes: Vec<Row>,
}

pub(crate) fn run(args: &ProbesArgs, out: &Output) -> Result<(), CliError> {
    let (probes, blind) = match &args.exe {
        Some(exe) => (of_file(exe, args)?, false),
        None => of_kernel(args, out),
    };
    if probes.is_empty() {
        let of = args.exe.as_ref().map_or("this kernel".into(), |exe| format!("`{exe}`"));
        return Err(CliError::NoSuch {
            what: "function or tracepoint",
            wanted: format!("of {of} that matches `{}`", args.pattern),
            near: if blind { ", among what could be read".into() } else { String::new() },
        });
    }
    out.report("probes", &Probes { probes })
}

/// What was found, and whether something could not be read.
fn of_kernel(args: &ProbesArgs, out: &Output) -> (Vec<Row>, bool) {
    let kernel = Kernel::host();
    let (mut rows, mut blind) = (Vec::new(), false);
    // `category/name` can only be a tracepoint.
    if !args.tracepoints && !args.pattern.contains('/') {
        rows.extend(probes::kernel_functions(&kernel, &args.pattern).into_iter().map(function));
        if kernel.symbols().is_empty() {
            out.note("note: /proc/kallsyms cannot be read, so functions are not listed");
            blind = true;
        }
        if kernel.kconfig().lacks("CONFIG_KPROBES") && !rows.is_empty() {
            out.note("note: this kernel was built without CONFIG_KPROBES: what names a kprobe cannot be attached here");
        }
    }
    if !args.functions {
        match probes::tracepoints(&kernel, &args.pattern) {
            Some(list) => rows.extend(list.into_iter().map(tracepoint)),
            None => {
                out.note("note: tracefs cannot be read, so tracepoints are not listed");
                blind = true;
            }
        }
    }
    (rows, blind)
}

fn function(f: KernelFunction) -> Row {
    let name = match &f.module {
        Some(module) => format!("{module}:{}", f.name),
        None => f.name.clone(),
    };
    let mut also = Vec::new();
    if f.traceable == Some(true) {
        also.push(format!("kprobe.multi/{name}"));
        // A trampoline needs a declaration, and a name that is the only one.
        if f.proto.is_some() && f.count == 1 {
            also.push(format!("fentry/{}", f.name));
        }
    }
    let note = match (f.forbidden, f.count) {
        (Some(true), _) => Some("the kernel forbids probes here".to_string()),
        (_, 2..) => Some(format!("{} functions have this name: probe one by its address", f.count)),
        _ => None,
    };
    let (module, proto, multi) = (f.module, f.proto, f.traceable);
    let section = format!("kprobe/{name}");
    Row { section, also, kind: "function", name: f.name, module, proto, fields: Vec::new(), multi, note }
}

fn tracepoint(t: TracepointEntry) -> Row {
    let mut also = vec![format!("raw_tracepoint/{}", t.name)];
    if t.raw.is_some() {
        also.push(format!("tp_btf/{}", t.name));
    }
    Row {
        section: format!("tracepoint/{}/{}", t.category, t.name),
        also,
        kind: "tracepoint",
        name: t.name,
        module: None,
        proto: t.raw,
        fields: t.fields,
        multi: None,
        note: None,
    }
}

fn of_file(exe: &str, args: &ProbesArgs) -> Result<Vec<Row>, CliError> {
    let path = probes::find_executable(exe).ok_or_else(|| CliError::NoSuch {
        what: "program or library",
        wanted: format!("`{exe}`"),
        near: String::new(),
    })?;
    let (functions, usdt) = probes::user_probes(&path, &args.pattern)
        .map_err(|why| CliError::Option(format!("{}: {why}", path.display())))?;
    let file = path.display();
    let mut rows = Vec::new();
    if !args.tracepoints {
        rows.extend(functions.into_iter().map(|f| Row {
            section: format!("uprobe/{file}:{}", f.name),
            also: vec![format!("uprobe.multi/{file}:{}", f.name)],
            kind: "user function",
            name: f.name,
            module: None,
            proto: None,
            fields: Vec::new(),
            multi: None,
            note: Some(format!("at {:#x}", f.offset)),
        }));
    }
    if !args.functions {
        rows.extend(usdt.into_iter().map(|p| Row {
            section: format!("usdt/{file}:{}:{}", p.provider, p.name),
            also: Vec::new(),
            kind: "usdt",
            name: p.name,
            module: None,
            proto: None,
            fields: p.arguments.split_whitespace().map(String::from).collect(),
            multi: None,
            note: Some(match (p.places, p.semaphore) {
                (1, false) => "1 place".into(),
                (n, false) => format!("{n} places"),
                (n, true) => format!("{n} place(s), with a semaphore"),
            }),
        }));
    }
    Ok(rows)
}

impl Report for Probes {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::new(&["SEC", "ALSO", "WHAT IT GETS"]);
        for p in &self.probes {
            let also: Vec<&str> = p.also.iter().filter_map(|s| s.split('/').next()).collect();
            let mut words = p.proto.clone().filter(|_| p.kind == "function").unwrap_or_default();
            if p.kind != "function" {
                words = p.fields.join(", ");
            }
            if let Some(note) = &p.note {
                words = if words.is_empty() { format!("({note})") } else { format!("{words}  ({note})") };
            }
            let also = if also.is_empty() { "-".into() } else { also.join(",") };
            table.row(vec![p.section.clone(), also, words]);
        }
        table.write(out)
    }
}
