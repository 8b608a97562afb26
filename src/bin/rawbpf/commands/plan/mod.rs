//! `rawbpf plan`: every `bpf(2)` call that `load` would make, before it happens.

mod elsewhere;
mod report;

use std::path::PathBuf;

use clap::Args as ClapArgs;

use crate::options::LoadOptions;
use crate::targets::{self, section};
use crate::ui::error::CliError;
use crate::ui::output::Output;

#[derive(Debug, ClapArgs)]
pub(crate) struct PlanArgs {
    /// The BPF object file, made by clang -target bpf
    pub(crate) object: PathBuf,
    /// Plan for another kernel, by its types: raw BTF or an ELF file with a .BTF section
    #[arg(long, value_name = "FILE", conflicts_with_all = ["btf", "xdp", "attach", "onto", "pid"])]
    pub(crate) kernel: Option<PathBuf>,
    /// The release of that kernel; without --kernel only the release is known of it
    #[arg(long, value_name = "A.B", value_parser = release, conflicts_with_all = ["xdp", "attach", "onto", "pid"])]
    pub(crate) release: Option<rawbpf::uapi::Release>,
    #[command(flatten)]
    pub(crate) how: LoadOptions,
}

fn release(text: &str) -> Result<rawbpf::uapi::Release, String> {
    rawbpf::uapi::Release::parse(text).ok_or_else(|| format!("`{text}` is not a release such as 5.15"))
}

pub(crate) fn run(args: &PlanArgs, out: &Output) -> Result<(), CliError> {
    if args.kernel.is_some() || args.release.is_some() {
        return elsewhere::run(&args.object, args.kernel.as_deref(), args.release, &args.how, out);
    }
    let loading = targets::prepare(&args.object, &args.how)?;
    let plan = loading.object.plan(&loading.kernel, &loading.options)?;
    let targets = targets::all(&loading, &args.how)?;
    section::note_unlimited(targets.iter().map(|(p, t)| (p, t)), &args.how, out);
    let mut report = report::report(&plan, &targets);
    report.calls.extend(report::struct_ops(&plan, &args.how));
    out.report("plan", &report)
}
