//! `rawbpf cgroup tree`: the programs of each cgroup, in the order in which they run.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Subcommand};
use rawbpf::links::cgroup::{self, HOOKS, Share};
use rawbpf::progs::ProgInfo;
use rawbpf::sys::attr::TargetFd;
use rawbpf::sys::{self, Errno};
use serde::Serialize;

use crate::ui::error::CliError;
use crate::ui::output::{Output, Report};

#[derive(Debug, Subcommand)]
pub(crate) enum CgroupCommand {
    /// Show the programs of all cgroups, as a tree
    Tree(TreeArgs),
}

impl CgroupCommand {
    /// As it is typed.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            CgroupCommand::Tree(_) => "cgroup tree",
        }
    }
}

#[derive(Debug, ClapArgs)]
pub(crate) struct TreeArgs {
    /// Start at this directory; where cgroup2 is mounted if not given
    root: Option<PathBuf>,
    /// Also what each cgroup inherits from those above
    #[arg(long)]
    effective: bool,
    /// Also the cgroups without programs
    #[arg(long)]
    all: bool,
}

/// Carries a verb of `rawbpf cgroup` out.
pub(crate) fn run(command: &CgroupCommand, out: &Output) -> Result<(), CliError> {
    let CgroupCommand::Tree(args) = command;
    let found = || {
        let doing = "see where cgroup2 is mounted (/proc/self/mounts)";
        File::open("/proc/self/mounts").map_err(CliError::io(doing))?;
        cgroup::mount_point().ok_or_else(|| CliError::NoSuch {
            what: "mount",
            wanted: "of cgroup2".into(),
            near: "; mount one with `mount -t cgroup2 cgroup2 /sys/fs/cgroup`".into(),
        })
    };
    let root = args.root.clone().map_or_else(found, Ok)?;
    File::open(&root).map_err(CliError::io(format!("open the cgroup {}", root.display())))?;
    let mut tree = Tree { root: root.display().to_string(), cgroups: Vec::new(), problems: Vec::new() };
    tree.walk(&root, 0, args);
    let failed = !tree.problems.is_empty();
    out.report("cgroup tree", &tree)?;
    // What could be asked was shown; that something could not is told by the exit status.
    if failed { Err(CliError::Reported(1)) } else { Ok(()) }
}

#[derive(Debug, Serialize)]
struct Tree {
    root: String,
    cgroups: Vec<Group>,
    problems: Vec<Problem>,
}

#[derive(Debug, Serialize)]
struct Group {
    cgroup: String,
    programs: Vec<Attached>,
    #[serde(skip)]
    depth: usize,
}

#[derive(Debug, Serialize)]
struct Attached {
    attach_type: String,
    prog_id: u32,
    name: Option<String>,
    /// How the hook is shared with the cgroups below; null for what is inherited.
    share: Option<String>,
    link_id: Option<u32>,
}

#[derive(Debug, Serialize)]
struct Problem {
    what: String,
    why: String,
}

/// Deeper than any real tree.
const DEPTH: usize = 64;

impl Tree {
    fn walk(&mut self, path: &Path, depth: usize, args: &TreeArgs) {
        let programs = self.programs(path, args.effective);
        let shown = args.all || !programs.is_empty();
        if shown {
            self.cgroups.push(Group { cgroup: path.display().to_string(), programs, depth });
        }
        let list = match fs::read_dir(path) {
            Ok(list) => list,
            // One that has gone since is no problem.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return,
            Err(e) => return self.problem(path.display().to_string(), e),
        };
        let mut below: Vec<PathBuf> =
            list.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()).collect();
        below.sort();
        for dir in below.iter().filter(|_| depth < DEPTH) {
            self.walk(dir, depth + 1, args);
        }
    }

    fn problem(&mut self, what: impl Into<String>, why: impl std::fmt::Display) {
        self.problems.push(Problem { what: what.into(), why: why.to_string() });
    }

    fn programs(&mut self, path: &Path, effective: bool) -> Vec<Attached> {
        let group = match File::open(path) {
            Ok(group) => group,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Vec::new(),
            Err(e) => {
                self.problem(path.display().to_string(), e);
                return Vec::new();
            }
        };
        let mut out = Vec::new();
        let flags = if effective { sys::EFFECTIVE } else { 0 };
        for (attach_type, _) in HOOKS {
            let found = match sys::prog_query(TargetFd::of(&group), *attach_type, flags) {
                Ok(found) => found,
                // Not on this kernel; or the cgroup has gone.
                Err(e) if UNKNOWN.contains(&e.errno) => continue,
                Err(e) => {
                    self.problem(format!("{attach_type} of {}", path.display()), e);
                    continue;
                }
            };
            for program in found.programs {
                let flags = if program.flags != 0 { program.flags } else { found.flags };
                out.push(Attached {
                    attach_type: attach_type.to_string(),
                    prog_id: program.prog_id,
                    name: name(program.prog_id),
                    share: (!effective).then(|| Share::from_flags(flags).to_string()),
                    link_id: Some(program.link_id).filter(|id| *id != 0),
                });
            }
        }
        out
    }
}

const UNKNOWN: [Errno; 4] = [Errno::EINVAL, Errno::EOPNOTSUPP, Errno::ENOTSUPP, Errno::ENODEV];

fn name(id: u32) -> Option<String> {
    let info = ProgInfo::by_id(id).ok()?;
    Some(info.name).filter(|name| !name.is_empty())
}

impl Report for Tree {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.cgroups.is_empty() {
            writeln!(out, "no programs in the cgroups below {}", self.root)?;
        }
        for group in &self.cgroups {
            let indent = "  ".repeat(group.depth);
            writeln!(out, "{indent}{}", group.cgroup)?;
            for p in &group.programs {
                let name = p.name.as_deref().unwrap_or("-");
                let mut more = vec![format!("id {}", p.prog_id)];
                more.extend(p.link_id.map(|id| format!("link {id}")));
                more.extend(p.share.clone().filter(|s| !s.is_empty()));
                writeln!(out, "{indent}    {}  {name} ({})", p.attach_type, more.join(", "))?;
            }
        }
        for p in &self.problems {
            writeln!(out, "cannot look at {}: {}", p.what, p.why)?;
        }
        Ok(())
    }
}
