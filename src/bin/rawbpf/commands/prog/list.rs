//! `rawbpf prog list` and `show`: what the kernel says of its programs.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use rawbpf::links::inventory::{self, Holder, Pins, Processes};
use rawbpf::progs::{self, ProgInfo};
use rawbpf::sys::{self, ObjectKind};
use rawbpf::{Kernel, btf::TypeId};
use serde::Serialize;
use serde_json::{Map as JsonMap, Value as Json};

use super::metadata;
use crate::select::{self, PROG};
use crate::ui::clock;
use crate::ui::error::CliError;
use crate::ui::output::{Output, Report};
use crate::ui::table::Table;
use crate::values::json::plain;

#[derive(Debug, ClapArgs)]
pub(crate) struct ListArgs {
    #[arg(num_args = 0..=2, value_name = "PROG", help = PROG)]
    pub(crate) program: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Owner {
    pid: u32,
    name: String,
}

/// All that is known of one program.
#[derive(Debug, Serialize)]
struct ProgRow {
    id: u32,
    name: String,
    #[serde(rename = "type")]
    prog_type: String,
    tag: String,
    gpl_compatible: bool,
    /// Seconds since 1970.
    loaded_at: u64,
    uid: u32,
    xlated_size: u32,
    jited_size: u32,
    memlock: Option<u64>,
    map_ids: Vec<u32>,
    btf_id: u32,
    attach_to: Option<String>,
    ifindex: u32,
    verified_insns: u32,
    run_time_ns: u64,
    run_count: u64,
    recursion_misses: u64,
    pinned: Vec<String>,
    owners: Vec<Owner>,
    metadata: JsonMap<String, Json>,
}

/// The same report for `list`, which is a table, and for `show`, which is a page for each program.
#[derive(Debug, Serialize)]
struct ProgReport {
    programs: Vec<ProgRow>,
    #[serde(skip)]
    in_full: bool,
}

pub(super) fn list(args: &ListArgs, out: &Output) -> Result<(), CliError> {
    if out.is_json() || !args.program.is_empty() {
        // The table for people has no room for what takes time to find out.
        return report("prog list", args, out.is_json(), false, out);
    }
    stream(out)
}

/// How many rows are looked at for the widths of the columns.
const PAGE: usize = 16;

/// Prints the table while it is made: of a thousand programs the first are there at once.
fn stream(out: &Output) -> Result<(), CliError> {
    let around = Around::noted(false, out);
    let mut rest = progs::iter().map(|info| info.map(|info| around.row(info).cells()));
    let mut stdout = io::BufWriter::new(io::stdout().lock());
    let mut page = Table::new(HEAD);
    let fail = || CliError::sys("list the programs");
    let mut shown = 0;
    for row in rest.by_ref().take(PAGE) {
        page.row(row.map_err(fail())?);
        shown += 1;
    }
    if shown == 0 {
        return quiet(writeln!(stdout, "no programs").and_then(|()| stdout.flush()));
    }
    let widths = page.widths();
    let mut written = page.write(&mut stdout).and_then(|()| stdout.flush());
    for row in rest {
        let row = row.map_err(fail())?;
        written = written.and_then(|()| Table::write_row(&mut stdout, &row, &widths));
    }
    quiet(written.and_then(|()| stdout.flush()))
}

/// A reader that has gone away is no error.
fn quiet(written: io::Result<()>) -> Result<(), CliError> {
    match written {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(CliError::io("write to standard output")),
    }
}

pub(super) fn show(args: &ListArgs, out: &Output) -> Result<(), CliError> {
    report("prog show", args, true, true, out)
}

fn report(
    command: &str,
    args: &ListArgs,
    complete: bool,
    in_full: bool,
    out: &Output,
) -> Result<(), CliError> {
    let infos = match args.program.as_slice() {
        [] => progs::list().map_err(CliError::sys("list the programs"))?,
        words => select::programs(words)?.into_iter().map(|f| f.info).collect(),
    };
    let around = Around::noted(complete, out);
    let programs = infos.into_iter().map(|info| around.row(info)).collect();
    out.report(command, &ProgReport { programs, in_full })
}

/// What is looked up once for all programs.
struct Around {
    pins: Pins,
    processes: Option<Processes>,
    kernel: Kernel,
}

impl Around {
    /// With a note of what could not be looked at.
    fn noted(complete: bool, out: &Output) -> Around {
        let mut problems = Vec::new();
        let around = Around::new(complete, &mut problems);
        for problem in &problems {
            out.note(&format!("note: {problem}"));
        }
        around
    }

    fn new(complete: bool, problems: &mut Vec<inventory::Problem>) -> Around {
        Around {
            pins: inventory::pins(problems),
            processes: complete.then(|| inventory::processes(problems)),
            kernel: Kernel::host(),
        }
    }

    fn row(&self, info: ProgInfo) -> ProgRow {
        let paths = |paths: &Vec<PathBuf>| {
            let mut list: Vec<String> = paths.iter().map(|p| p.display().to_string()).collect();
            list.sort();
            list
        };
        let owners = |list: &Vec<Holder>| {
            list.iter().map(|h| Owner { pid: h.pid, name: h.name.clone() }).collect::<Vec<_>>()
        };
        let complete = self.processes.is_some();
        let fd: Option<OwnedFd> = complete.then(|| sys::fd_by_id(ObjectKind::Prog, info.id).ok()).flatten();
        ProgRow {
            id: info.id,
            tag: info.tag_hex(),
            prog_type: info.prog_type.to_string(),
            gpl_compatible: info.gpl_compatible,
            loaded_at: clock::since_boot(info.loaded_at_ns),
            uid: info.uid,
            xlated_size: info.xlated_size,
            jited_size: info.jited_size,
            memlock: fd.and_then(progs::memlock),
            btf_id: info.btf_id,
            attach_to: if complete { self.target(&info) } else { None },
            ifindex: info.ifindex,
            verified_insns: info.verified_insns,
            run_time_ns: info.run_time_ns,
            run_count: info.run_count,
            recursion_misses: info.recursion_misses,
            pinned: self.pins.programs.get(&info.id).map(paths).unwrap_or_default(),
            owners: self
                .processes
                .as_ref()
                .and_then(|p| p.programs.get(&info.id))
                .map(owners)
                .unwrap_or_default(),
            metadata: if complete { metadata::of(&info) } else { JsonMap::new() },
            name: info.name,
            map_ids: info.map_ids,
        }
    }

    /// The function of the kernel or of a program that a program was loaded for.
    fn target(&self, info: &ProgInfo) -> Option<String> {
        let (object, id) = (info.attach_btf_obj_id, info.attach_btf_id);
        if object == 0 || id == 0 {
            return None;
        }
        if let Some(name) = self.kernel.type_name(object, id) {
            return Some(name);
        }
        let btf = progs::loaded_btf(object)?;
        let ty = btf.ty(TypeId(id)).ok()?;
        Some(format!("{} of a program", ty.name))
    }
}

fn or_dash(list: &[String]) -> String {
    if list.is_empty() { "-".into() } else { list.join(",") }
}

impl Report for ProgReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.in_full {
            for (nth, program) in self.programs.iter().enumerate() {
                if nth > 0 {
                    writeln!(out)?;
                }
                program.page(out)?;
            }
        }
        if self.programs.is_empty() {
            return writeln!(out, "no programs");
        }
        if self.in_full {
            return Ok(());
        }
        let mut table = Table::new(HEAD);
        for p in &self.programs {
            table.row(p.cells());
        }
        table.write(out)
    }
}

/// The columns of the table.
const HEAD: &[&str] = &["ID", "NAME", "TYPE", "TAG", "LOADED", "UID", "XLATED", "JITED", "MAPS", "PINNED"];

impl ProgRow {
    fn cells(&self) -> Vec<String> {
        let maps: Vec<String> = self.map_ids.iter().map(u32::to_string).collect();
        vec![
            self.id.to_string(),
            self.name.clone(),
            self.prog_type.clone(),
            self.tag.clone(),
            clock::date(self.loaded_at),
            self.uid.to_string(),
            format!("{}B", self.xlated_size),
            if self.jited_size == 0 { "-".into() } else { format!("{}B", self.jited_size) },
            or_dash(&maps),
            or_dash(&self.pinned),
        ]
    }

    fn page(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::new(&[]);
        let mut line = |name: &str, value: String| table.row(vec![name.into(), value]);
        let maps: Vec<String> = self.map_ids.iter().map(u32::to_string).collect();
        line("id", self.id.to_string());
        line("name", if self.name.is_empty() { "-".into() } else { self.name.clone() });
        line("type", self.prog_type.clone());
        line("tag", self.tag.clone());
        line("license", if self.gpl_compatible { "GPL compatible" } else { "not GPL compatible" }.into());
        line("loaded", format!("{} by user {}", clock::date(self.loaded_at), self.uid));
        line("xlated", format!("{} bytes", self.xlated_size));
        line(
            "jited",
            if self.jited_size == 0 {
                "no: it is interpreted".into()
            } else {
                format!("{} bytes", self.jited_size)
            },
        );
        line("maps", or_dash(&maps));
        for (name, value) in [
            ("memory", self.memlock.map(|n| format!("{n} bytes"))),
            ("btf", (self.btf_id != 0).then(|| self.btf_id.to_string())),
            ("attach to", self.attach_to.clone()),
            ("device", (self.ifindex != 0).then(|| format!("interface {}", self.ifindex))),
            ("verified", (self.verified_insns != 0).then(|| format!("{} instructions", self.verified_insns))),
            ("ran", (self.run_count != 0).then(|| self.runs())),
            (
                "recursion",
                (self.recursion_misses != 0).then(|| format!("{} runs left out", self.recursion_misses)),
            ),
        ] {
            if let Some(value) = value {
                line(name, value);
            }
        }
        line("pinned", or_dash(&self.pinned));
        let owners: Vec<String> = self.owners.iter().map(|o| format!("{} ({})", o.name, o.pid)).collect();
        line("owners", or_dash(&owners));
        for (name, value) in &self.metadata {
            line(name, plain(value));
        }
        table.write(out)
    }

    fn runs(&self) -> String {
        let each = self.run_time_ns.checked_div(self.run_count).unwrap_or(0);
        format!("{} times, {} ns in all, {each} ns each", self.run_count, self.run_time_ns)
    }
}
