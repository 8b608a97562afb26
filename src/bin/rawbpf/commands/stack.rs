//! `rawbpf stack`: stack traces with names.

use std::io::{self, Write};

use clap::Args as ClapArgs;
use rawbpf::Kernel;
use rawbpf::maps::{Frames, StackTraces};
use rawbpf::symbolize::{Frame, KernelSymbols, ProcessSymbols};
use serde::Serialize;

use crate::select::map as map_select;
use crate::ui::error::CliError;
use crate::ui::output::{Output, Report};

#[derive(Debug, ClapArgs)]
pub(crate) struct StackArgs {
    /// A map of stack traces, and the ids of traces; all of them if there is none
    #[arg(required = true, num_args = 1.., value_names = ["MAP", "ID"])]
    pub(crate) words: Vec<String>,
    /// The process that user-space addresses belong to
    #[arg(long, value_name = "PID")]
    pub(crate) pid: Option<u32>,
}

#[derive(Debug, Serialize)]
struct Stacks {
    map: String,
    stacks: Vec<Stack>,
}

#[derive(Debug, Serialize)]
struct Stack {
    id: u32,
    frames: Vec<FrameRow>,
}

#[derive(Debug, Serialize)]
struct FrameRow {
    address: String,
    symbol: Option<String>,
    offset: Option<u64>,
    file: Option<String>,
    file_offset: Option<u64>,
    #[serde(skip)]
    text: String,
}

pub(crate) fn run(args: &StackArgs, out: &Output) -> Result<(), CliError> {
    let (words, ids) = map_select::selector(&args.words);
    let traces = StackTraces::try_from(map_select::find(words)?)?;
    let bad = |id: &String| CliError::Option(format!("`{id}` is no id of a stack trace: it is a number"));
    let mut ids = ids.iter().map(|id| id.parse().map_err(|_| bad(id))).collect::<Result<Vec<u32>, _>>()?;
    let all = ids.is_empty();
    if all {
        ids = traces.ids()?;
    }
    let kernel = KernelSymbols::new(Kernel::host().symbols());
    if kernel.is_empty() {
        out.note("the kernel hides its symbols' addresses (kernel.kptr_restrict); they are shown as numbers");
    }
    let mut process = args.pid.map(ProcessSymbols::of).transpose()?;
    let mut stacks = Vec::new();
    for id in ids {
        match traces.get(id)? {
            Some(frames) => stacks.push(Stack { id, frames: named(&frames, &kernel, process.as_mut()) }),
            // Of all, one may have gone meanwhile.
            None if all => {}
            None => {
                let map = traces.map().name().to_string();
                return Err(CliError::NoElement { map, key: id.to_string() });
            }
        }
    }
    out.report("stack", &Stacks { map: traces.map().name().into(), stacks })
}

fn named(frames: &Frames, kernel: &KernelSymbols, process: Option<&mut ProcessSymbols>) -> Vec<FrameRow> {
    let mut process = process;
    match frames {
        Frames::Addresses(all) => {
            let mut name = |address: u64| match &mut process {
                Some(process) if !is_kernel(address) => process.frame(address),
                None if !is_kernel(address) && cfg!(target_arch = "x86_64") => Frame::unknown(address),
                _ => kernel.frame(address),
            };
            all.iter().map(|address| FrameRow::new(name(*address))).collect()
        }
        Frames::BuildIds(all) => all
            .iter()
            .map(|frame| match (&mut process, frame.status) {
                (Some(process), 1) => FrameRow::new(process.build_id_frame(frame)),
                (Some(process), _) => FrameRow::new(process.frame(frame.at)),
                (None, 1) => FrameRow::new(no_process(frame)),
                (None, _) => FrameRow::new(Frame::unknown(frame.at)),
            })
            .collect(),
    }
}

fn no_process(frame: &rawbpf::maps::BuildIdFrame) -> Frame {
    let id: String = frame.build_id.iter().map(|b| format!("{b:02x}")).collect();
    Frame { address: frame.at, symbol: None, file: Some((format!("build-id:{id}"), frame.at)) }
}

/// True in the upper half of the address space, which is the kernel's (but not on s390x, where it has one of its own).
fn is_kernel(address: u64) -> bool {
    address >> 63 == 1
}

impl FrameRow {
    fn new(frame: Frame) -> FrameRow {
        let text = frame.to_string();
        let (symbol, offset) = frame.symbol.unzip();
        let (file, file_offset) = frame.file.unzip();
        FrameRow { address: format!("{:#x}", frame.address), symbol, offset, file, file_offset, text }
    }
}

impl Report for Stacks {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.stacks.is_empty() {
            return writeln!(out, "no stack traces");
        }
        for stack in &self.stacks {
            writeln!(out, "stack {}", stack.id)?;
            for frame in &stack.frames {
                writeln!(out, "  {}", frame.text)?;
            }
        }
        Ok(())
    }
}
