//! What can go wrong on the command line, and the exit status of each.

use std::io;
use std::path::{Path, PathBuf};

use rawbpf::deploy::DeployError;
use rawbpf::links::{AttachError, NetNsError};
use rawbpf::sys::{Errno, SysError};
use rawbpf::{Error, ErrorKind};

use crate::ui::advice::words;
use crate::ui::style::count;

/// A failure of the command.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// A failure of the library.
    #[error(transparent)]
    Lib(Error),
    /// The name is loaded already.
    #[error(
        "`{name}` is loaded already, pinned under {path}; replace it with --replace, or choose another name with --name"
    )]
    Loaded { name: String, path: PathBuf },
    /// The name cannot be one in a bpffs.
    #[error(
        "`{name}` cannot be a name: it becomes a directory in a bpffs, whose names have 1 to 255 letters, without dots and slashes; give another with --name"
    )]
    BadName { name: String },
    /// Nothing is loaded under this name.
    #[error("nothing is loaded under the name `{name}`; loaded are: {known}")]
    NotLoaded { name: String, known: String },
    /// There is no such object in the kernel.
    #[error("there is no {what} {wanted}{near}")]
    NoSuch { what: &'static str, wanted: String, near: String },
    /// A name that several objects have.
    #[error("{count} {what}s have the name `{name}`; say which by its id or path:\n{list}")]
    Ambiguous { what: &'static str, name: String, count: usize, list: String },
    /// Words that are not a selector.
    #[error("`{words}` is not a selector of a {what}; write a NAME, `id N`, or a path that begins with /")]
    BadSelector { what: &'static str, words: String },
    /// There is no bpffs.
    #[error(
        "no bpffs is mounted at {path}; mount one with `mount -t bpf bpf {path}`, or leave out --no-mount"
    )]
    NoBpffs { path: PathBuf },
    /// A file operation failed.
    #[error("cannot {doing}")]
    Io { doing: String, source: std::io::Error },
    /// A list of which some things are missing; it has been printed.
    #[error("{} could not be looked at:\n  {}", count(.problems.len(), "thing"), .problems.join("\n  "))]
    Incomplete { problems: Vec<String> },
    /// A network namespace that cannot be entered.
    #[error(transparent)]
    NetNs(#[from] NetNsError),
    /// The report says it all; this is the exit status.
    #[error("see the report")]
    Reported(u8),
    /// A text that is not a key or value of the map.
    #[error("the {what} cannot be read: {problem}")]
    Value { what: &'static str, problem: String },
    /// Events were lost, and that was to be an error.
    #[error("events were lost")]
    Lost,
    /// A mistake in a configuration file.
    #[error("{}:{line}: {key}{problem}", .file.display())]
    Config { file: PathBuf, line: usize, key: String, problem: String },
    /// A line of the input.
    #[error("line {line} of the input")]
    Line { line: usize, source: Box<CliError> },
    /// There is no such element.
    #[error("map `{map}` has no element {key}")]
    NoElement { map: String, key: String },
    /// A failure after the output has begun: it was ended as far as it came.
    #[error("the output is not complete")]
    Told(#[source] Box<CliError>),
    /// No token could be made, and why is known.
    #[error("cannot make a token: {why}")]
    Token { why: String, source: SysError },
    /// A ring buffer that no program reads.
    #[error("map `{map}` is full: programs make room in it when they read, and none did for a second")]
    Full { map: String },
    /// What stays, and why it does not.
    #[error(transparent)]
    Deploy(DeployError),
    /// It is done, and only the report of it could not be printed.
    #[error("`{name}` is loaded and attached; only the report of it could not be written")]
    Unreported { name: String, source: Box<CliError> },
    /// What this kernel cannot do.
    #[error("{0}")]
    Unsupported(String),
    /// An option that does not fit the object.
    #[error("{0}")]
    Option(String),
}

impl CliError {
    /// A failed file operation.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> CliError {
        let doing = doing.into();
        move |source| CliError::Io { doing, source }
    }

    /// A failed system call.
    pub(crate) fn sys(doing: impl Into<String>) -> impl FnOnce(SysError) -> CliError {
        let doing = doing.into();
        move |source| CliError::Lib(Error::sys(doing, source))
    }

    /// A pin that cannot be opened. Where a name has a dot, a bpffs does not look for it, but says that it is forbidden.
    pub(crate) fn pin(what: &'static str, path: impl AsRef<Path>) -> impl FnOnce(SysError) -> CliError {
        let path = path.as_ref().to_path_buf();
        move |source| match path.file_name().map(|name| name.to_string_lossy().contains('.')) {
            Some(true) if source.errno == Errno::EPERM => CliError::NoSuch {
                what,
                wanted: format!("pinned at {}", path.display()),
                near: ": names in a bpffs have no dots (rawbpf pins `.bss` as `_bss`)".into(),
            },
            _ => CliError::sys(format!("open the {what} pinned at {}", path.display()))(source),
        }
    }

    /// The exit status; see the help text.
    pub(crate) fn exit_status(&self) -> u8 {
        if let CliError::Reported(status) = self {
            return *status;
        }
        match self.kind() {
            "usage" => 2,
            "not permitted" => 3,
            "unsupported" => 4,
            "not found" => 5,
            _ => 1,
        }
    }

    /// The class of failure, as a word.
    pub(crate) fn kind(&self) -> &'static str {
        use std::io::ErrorKind as Io;
        match self {
            CliError::Lib(Error::Global(_)) => "usage",
            CliError::Lib(e) => match e.kind() {
                ErrorKind::NotPermitted => "not permitted",
                ErrorKind::Unsupported => "unsupported",
                ErrorKind::NotFound => "not found",
                ErrorKind::Failed => "failed",
            },
            CliError::Io { source, .. } => match source.kind() {
                Io::PermissionDenied => "not permitted",
                Io::NotFound => "not found",
                _ => "failed",
            },
            CliError::NetNs(NetNsError::NoName { .. } | NetNsError::NoProcess { .. }) => "not found",
            CliError::NetNs(NetNsError::Open { source, .. } | NetNsError::Enter { source, .. })
                if source.errno.is_permission() =>
            {
                "not permitted"
            }
            CliError::NetNs(_) => "failed",
            CliError::Incomplete { .. } => "incomplete",
            CliError::Config { .. } => "usage",
            CliError::Token { source, .. } if source.errno.is_permission() => "not permitted",
            CliError::Token { .. } => "failed",
            CliError::BadName { .. }
            | CliError::BadSelector { .. }
            | CliError::Option(_)
            | CliError::Value { .. } => "usage",
            CliError::Unsupported(_) => "unsupported",
            CliError::NotLoaded { .. } | CliError::NoSuch { .. } | CliError::NoElement { .. } => "not found",
            CliError::Told(e) | CliError::Line { source: e, .. } => e.kind(),
            CliError::Deploy(DeployError::Private { .. } | DeployError::NotInPlace { .. }) => "usage",
            CliError::Deploy(_) | CliError::Unreported { .. } => "failed",
            CliError::Reported(_)
            | CliError::Loaded { .. }
            | CliError::Ambiguous { .. }
            | CliError::NoBpffs { .. }
            | CliError::Full { .. }
            | CliError::Lost => "failed",
        }
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            CliError::Lib(e) => e.advice().map(|advice| words(&advice)),
            CliError::Io { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
                Some("run it as root".into())
            }
            CliError::NoSuch { what: what @ ("program" | "map" | "link"), near, .. } if near.is_empty() => {
                let command = if *what == "program" { "prog" } else { what };
                Some(format!("`rawbpf {command} list` shows what is there"))
            }
            CliError::Deploy(DeployError::Private { netns: Some(netns), .. }) => Some(format!(
                "run it outside, as `rawbpf load ... --netns {netns}`; or with --foreground, which pins nothing"
            )),
            CliError::Deploy(DeployError::Private { netns: None, .. }) => Some(
                "mount a bpffs where it stays (`mount -t bpf bpf /sys/fs/bpf`, outside), or use --foreground, which pins \
                 nothing"
                    .into(),
            ),
            CliError::Deploy(DeployError::NotInPlace { .. }) => Some("`rawbpf unload` takes it away".into()),
            CliError::NetNs(_) if self.kind() == "not permitted" => {
                Some("run it as root, or with the capability CAP_SYS_ADMIN".into())
            }
            _ => None,
        }
    }

    /// The symbolic name of the kernel's error number.
    pub(crate) fn errno(&self) -> Option<String> {
        match self {
            CliError::Lib(e) => e.errno().map(|e| e.name()),
            CliError::Token { source, .. } => Some(source.errno.name()),
            CliError::Io { source, .. } => source.raw_os_error().map(|e| rawbpf::sys::Errno(e).name()),
            _ => None,
        }
    }

    /// The library's failure, if it is one.
    pub(crate) fn lib(&self) -> Option<&Error> {
        match self {
            CliError::Lib(e) => Some(e),
            CliError::Told(e) | CliError::Line { source: e, .. } => e.lib(),
            _ => None,
        }
    }

    /// What the verifier wrote, if it wrote something.
    pub(crate) fn verifier_log(&self) -> Option<&str> {
        match self {
            CliError::Lib(Error::Load(rawbpf::loader::LoadError::Program { log, .. }))
                if !log.text.is_empty() =>
            {
                Some(&log.text)
            }
            CliError::Lib(Error::Load(rawbpf::loader::LoadError::Btf { log, .. })) if !log.is_empty() => {
                Some(log)
            }
            _ => None,
        }
    }
}

/// Everything that the library can fail with is a failure of the command.
macro_rules! from_lib {
    ($($t:ty),*) => { $(impl From<$t> for CliError {
        fn from(e: $t) -> CliError {
            CliError::Lib(e.into())
        }
    })* };
}
from_lib!(
    rawbpf::elf::ReadError,
    rawbpf::elf::BuildError,
    rawbpf::elf::GlobalError,
    rawbpf::elf::NoText,
    rawbpf::elf::WriteError,
    rawbpf::insn::text::TextErrors,
    rawbpf::kernel::KernelError,
    rawbpf::loader::PlanError,
    rawbpf::loader::LoadError,
    rawbpf::loader::MinimalError,
    rawbpf::skeleton::SkeletonError,
    AttachError,
    rawbpf::btf::BtfError,
    rawbpf::maps::MapError,
    rawbpf::events::TraceError,
    rawbpf::symbolize::SymbolizeError
);

/// An error with its causes, in one line.
pub(crate) fn whole(e: &CliError) -> String {
    causes(e).iter().fold(e.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// An error of the stage that deploys with its causes and what to do, in one line.
pub(crate) fn text(e: &DeployError) -> String {
    let text = causes(e).iter().fold(e.to_string(), |text, cause| format!("{text}: {cause}"));
    let hint = match e {
        DeployError::Lib(e) => e.advice().map(|advice| words(&advice)),
        _ => None,
    };
    hint.map_or(text.clone(), |hint| format!("{text}; {hint}"))
}

/// What caused it, the nearest first.
pub(crate) fn causes(e: &dyn std::error::Error) -> Vec<String> {
    let mut out = Vec::new();
    let mut at = e.source();
    while let Some(cause) = at {
        // The standard library gives a number where the name is what people search for.
        let raw = cause.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
        out.push(raw.map_or_else(|| cause.to_string(), |errno| Errno(errno).to_string()));
        at = cause.source();
    }
    out
}

/// The stage's errors in the command's words.
impl From<DeployError> for CliError {
    fn from(e: DeployError) -> CliError {
        match e {
            DeployError::Lib(e) => CliError::Lib(e),
            DeployError::NetNs(e) => CliError::NetNs(e),
            DeployError::Loaded { name, path } => CliError::Loaded { name, path },
            DeployError::BadName { name } => CliError::BadName { name },
            DeployError::NotLoaded { name, known } => CliError::NotLoaded { name, known },
            DeployError::NoBpffs { path } => CliError::NoBpffs { path },
            DeployError::Io { doing, source } => CliError::Io { doing, source },
            DeployError::Wish { key, why } => CliError::Option(format!("--{key}: {why}")),
            DeployError::NoSuccessor { .. } => CliError::Option(format!("--replace: {e}")),
            other => CliError::Deploy(other),
        }
    }
}
