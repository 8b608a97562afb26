//! `rawbpf iter`: prints what an iterator prints.

use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, ValueEnum};
use rawbpf::links::{CgroupOrder, Iter};
use rawbpf::uapi::AttachType;
use rawbpf::{Kernel, Link, Map, Object, Options, Target};

use crate::ui::error::CliError;
use crate::ui::output::Output;

#[derive(Debug, ClapArgs)]
pub(crate) struct IterArgs {
    /// An object file with an iterator, or the path of a pinned iterator link
    pub(crate) source: PathBuf,
    /// Which program of the object [default: its only iterator]
    #[arg(long, value_name = "NAME")]
    pub(crate) program: Option<String>,
    /// Walk over the elements of this map: NAME, ID, or the path of its pin
    #[arg(long, value_name = "MAP")]
    pub(crate) map: Option<String>,
    /// Walk over the threads of this process
    #[arg(long, value_name = "PID", conflicts_with = "map")]
    pub(crate) pid: Option<u32>,
    /// Walk over this thread
    #[arg(long, value_name = "TID", conflicts_with_all = ["map", "pid"])]
    pub(crate) tid: Option<u32>,
    /// Start at this cgroup
    #[arg(long, value_name = "DIR", conflicts_with_all = ["map", "pid", "tid"])]
    pub(crate) cgroup: Option<PathBuf>,
    /// Which cgroups to visit from there, and in which order
    #[arg(long, value_name = "ORDER", default_value = "parents-first", requires = "cgroup")]
    pub(crate) order: OrderArg,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(crate) enum OrderArg {
    Itself,
    #[default]
    ParentsFirst,
    ChildrenFirst,
    Ancestors,
    Children,
}

pub(crate) fn run(args: &IterArgs, _out: &Output) -> Result<(), CliError> {
    let link = match is_object(&args.source) {
        true => of_object(args)?,
        false => {
            let doing = format!("open the link {}", args.source.display());
            Link::open_pin(&args.source).map_err(CliError::sys(doing))?
        }
    };
    let mut walk = link.iterate().map_err(CliError::sys("start the iterator"))?;
    match io::copy(&mut walk, &mut io::stdout().lock()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map(drop).map_err(CliError::io("read the iterator")),
    }
}

/// What is no object is a pin. Those are files of a bpffs, of no length.
fn is_object(path: &Path) -> bool {
    let about = std::fs::metadata(path);
    about.is_ok_and(|m| m.len() > 0 && !m.file_type().is_fifo()) || !path.exists()
}

/// Loads and attaches the iterator of an object; it ends with this process.
fn of_object(args: &IterArgs) -> Result<Link, CliError> {
    let object = Object::open(&args.source)?;
    let iterators: Vec<&str> =
        object.programs.iter().filter(|p| p.attach_type == AttachType::TraceIter).map(|p| p.name()).collect();
    let name = match (&args.program, iterators.as_slice()) {
        (Some(name), _) => name.clone(),
        (None, [one]) => (*one).to_string(),
        (None, []) => return Err(CliError::Option("the object has no iterator (SEC(\"iter/...\"))".into())),
        (None, many) => {
            let many = many.join(", ");
            return Err(CliError::Option(format!(
                "the object has several iterators ({many}); choose one with --program"
            )));
        }
    };
    let kernel = Kernel::host();
    let options = Options { only: vec![name.clone()], ..Options::default() };
    let loaded = object.plan(&kernel, &options)?.run()?;
    let over = over(args, loaded.maps())?;
    let program = loaded.program(&name).ok_or_else(|| CliError::Option(format!("no program `{name}`")))?;
    Ok(rawbpf::links::attach_on(&kernel, program, &Target::Iter(over))?)
}

/// What to walk over.
fn over<'m>(args: &IterArgs, own: impl Iterator<Item = &'m Map>) -> Result<Iter, CliError> {
    if let Some(map) = &args.map {
        return Ok(Iter::Map(map_id(map, own)?));
    }
    let order = match args.order {
        OrderArg::Itself => CgroupOrder::Itself,
        OrderArg::ParentsFirst => CgroupOrder::ParentsFirst,
        OrderArg::ChildrenFirst => CgroupOrder::ChildrenFirst,
        OrderArg::Ancestors => CgroupOrder::Ancestors,
        OrderArg::Children => CgroupOrder::Children,
    };
    Ok(match (args.pid, args.tid, &args.cgroup) {
        (Some(pid), ..) => Iter::Process(pid),
        (_, Some(tid), _) => Iter::Thread(tid),
        (_, _, Some(dir)) => Iter::Cgroup(dir.clone(), order),
        _ => Iter::Everything,
    })
}

/// A map by its id, the path of its pin, or its name: one of the object's own, or any.
fn map_id<'m>(wanted: &str, mut own: impl Iterator<Item = &'m Map>) -> Result<u32, CliError> {
    if let Ok(id) = wanted.strip_prefix("id:").unwrap_or(wanted).parse() {
        return Ok(id);
    }
    if wanted.starts_with('/') {
        let map = Map::open_pin(wanted).map_err(CliError::sys(format!("open the map {wanted}")))?;
        return Ok(map.info().id);
    }
    if let Some(map) = own.find(|m| m.name() == wanted) {
        return Ok(map.info().id);
    }
    let all = rawbpf::maps::list().map_err(CliError::sys("list the maps"))?;
    let found: Vec<u32> = all.iter().filter(|m| m.name() == wanted).map(|m| m.info().id).collect();
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(CliError::NoSuch { what: "map", wanted: format!("`{wanted}`"), near: String::new() }),
        many => {
            let list = many.iter().map(|id| format!("  id {id}")).collect::<Vec<_>>().join("\n");
            Err(CliError::Ambiguous { what: "map", name: wanted.into(), count: many.len(), list })
        }
    }
}
