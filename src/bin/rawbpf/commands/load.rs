//! `rawbpf load`: the main job.

use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;

use crate::keep::report::{LoadReport, report};
use crate::keep::signals::hold_signals;
use crate::keep::store::{Entry, Store};
use crate::keep::wanted::Wanted;
use crate::keep::{attach, bpffs, replace, struct_ops};
use crate::options::LoadOptions;
use crate::targets::{self, net, section};
use crate::ui::error::CliError;
use crate::ui::output::Output;

#[derive(Debug, ClapArgs)]
pub(crate) struct LoadArgs {
    /// The BPF object file, made by clang -target bpf
    pub(crate) object: PathBuf,
    #[command(flatten)]
    pub(crate) how: LoadOptions,
    /// Name to load it under; the file name up to its first dot if not given
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Replace what is loaded under this name, without a moment in which the hook is empty
    #[arg(long, conflicts_with = "foreground")]
    pub(crate) replace: bool,
    /// Pin nothing: stay in the foreground, and detach on Ctrl-C or SIGTERM
    #[arg(long)]
    pub(crate) foreground: bool,
    /// Do not mount a bpffs at /sys/fs/bpf if there is none
    #[arg(long)]
    pub(crate) no_mount: bool,
}

pub(crate) fn run(args: &LoadArgs, out: &Output) -> Result<(), CliError> {
    let (object, plan) = targets::prepare(&args.object, &args.how)?;
    net::enter(args.how.net.netns.as_ref())?;
    let targets = targets::all(&object, &plan, &args.how)?;
    section::note_unlimited(&targets, &args.how, out);
    let name = args.name.clone().unwrap_or_else(|| object.name.clone());
    let wanted = Wanted { object: &args.object, how: &args.how, plan: &plan, targets: &targets };
    if args.foreground {
        return foreground(&wanted, &name, out);
    }
    let bpffs = Path::new(bpffs::DEFAULT);
    let store = Store::new(bpffs);
    let old = store.entry(&name)?;
    bpffs::ensure(bpffs, !args.no_mount, out)?;
    let _lock = store.lock()?;
    replace::mend(&old)?;
    let report = if args.replace && old.exists() {
        replace::run(&wanted, &old)?
    } else {
        let entry = store.take(&name)?;
        fresh(&wanted, &entry).inspect_err(|_| {
            // Nothing stays behind; what was attached is detached when its link is dropped.
            let _ = entry.remove();
        })?
    };
    out.report("load", &report)
}

fn fresh(wanted: &Wanted, entry: &Entry) -> Result<LoadReport, CliError> {
    let loaded = wanted.plan.run()?;
    let mut attached = attach::attach(Some(entry), &loaded, wanted.targets, wanted.how)?;
    struct_ops::attach_all(Some(entry), &loaded, wanted.how, &[], &mut attached);
    let attached = attached.or_error(wanted.how.strict)?;
    let _signals = hold_signals();
    attach::pin(entry, &loaded, &attached.done)?;
    let report = report(wanted, &entry.name, Some(&entry.dir), &loaded, &attached)?;
    attach::leave(attached.done);
    Ok(report)
}

/// Loads and attaches, and undoes both when a signal comes.
fn foreground(wanted: &Wanted, name: &str, out: &Output) -> Result<(), CliError> {
    let signals = hold_signals();
    let loaded = wanted.plan.run()?;
    let mut attached = attach::attach(None, &loaded, wanted.targets, wanted.how)?;
    struct_ops::attach_all(None, &loaded, wanted.how, &[], &mut attached);
    let attached = attached.or_error(wanted.how.strict)?;
    out.report("load", &report(wanted, name, None, &loaded, &attached)?)?;
    out.note("in the foreground; Ctrl-C detaches");
    signals.wait();
    drop(attached);
    out.note("detached");
    Ok(())
}
