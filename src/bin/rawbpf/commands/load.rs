//! `rawbpf load`: the main job.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args as ClapArgs;
use rawbpf::deploy::{self, How, LoadRecord, Maps, Watch, Woken};

use crate::keep::bpffs;
use crate::keep::report::report;
use crate::keep::signals::hold_signals;
use crate::options::LoadOptions;
use crate::targets::request::{self, Wanted};
use crate::targets::section;
use crate::ui::error::CliError;
use crate::ui::notify::notify;
use crate::ui::output::Output;
use crate::ui::stop::Stop;

#[derive(Debug, ClapArgs)]
pub(crate) struct LoadArgs {
    /// The BPF object file, made by clang -target bpf
    pub(crate) object: PathBuf,
    #[command(flatten)]
    pub(crate) how: LoadOptions,
    /// Name to load it under [default: the file name up to its first dot]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Replace what is loaded under this name; the hook is never empty meanwhile
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
    let mut wanted = request::read(&args.object, args.name.as_deref(), &args.how, Maps::Fresh)?;
    let targets = wanted.request.wishes.iter().map(|w| (&w.program, &w.target));
    section::note_unlimited(targets, &args.how, out);
    if args.foreground {
        return foreground(args, wanted, out);
    }
    let store = bpffs::ensure(!args.no_mount, out)?;
    let entry = store.entry(&wanted.request.name)?;
    let _lock = store.lock()?;
    deploy::mend(&entry)?;
    let how = if args.replace { How::Replace } else { How::Fresh };
    if args.replace && entry.exists()? {
        let record = LoadRecord::read(&entry)?;
        wanted.keep_hooks(&args.object, &args.how, record.as_ref())?;
    }
    let Wanted { request, loading } = wanted;
    let _signals = hold_signals();
    let done = deploy::deploy(&store, &request, &loading, how)?;
    let report = report(&request.name, &args.object, Some(&entry.dir), &args.how, &done);
    done.leave();
    let unreported = |e| CliError::Unreported { name: request.name.clone(), source: Box::new(e) };
    report.and_then(|report| out.report("load", &report)).map_err(unreported)
}

/// Loads and attaches, and undoes both when a signal comes. If a place goes away, that is said; with --wait, what comes
/// again is attached again, else the command ends when nothing is attached any more.
fn foreground(args: &LoadArgs, wanted: Wanted, out: &Output) -> Result<(), CliError> {
    let Wanted { request, loading } = wanted;
    let signals = Stop::new()?;
    let mut done = deploy::hold(&request, &loading)?;
    let dir: Option<&Path> = None;
    out.report("load", &report(&request.name, &args.object, dir, &args.how, &done)?)?;
    out.note("in the foreground; Ctrl-C detaches");
    notify("READY=1");
    let watch = Watch::new([(None, &request)])?;
    let had_hooks = !done.made.is_empty();
    loop {
        if watch.wait(Duration::from_secs(1), signals.fd())? == Woken::Caller {
            break;
        }
        for lost in done.lost(&request)? {
            out.note(&format!("{} is not attached to {} any more: {}", lost.program, lost.place, lost.why));
        }
        if request.wait {
            match done.catch_up(&request, &loading) {
                Ok(news) => news.iter().for_each(|text| out.note(text)),
                Err(e) => out.note(&crate::ui::error::text(&e)),
            }
        } else if had_hooks && done.made.is_empty() {
            out.note("nothing is attached any more; --wait waits for it to come again");
            return Err(CliError::Reported(1));
        }
    }
    drop(done);
    out.note("detached");
    Ok(())
}
