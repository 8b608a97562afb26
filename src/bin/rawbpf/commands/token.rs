//! `rawbpf token`: what root has delegated through a bpffs to those who have no capabilities.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};
use rawbpf::sys::{self, Errno};
use serde::Serialize;

use crate::ui::error::CliError;
use crate::ui::output::{Output, Report};

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Show what each mounted bpffs delegates
    #[command(visible_alias = "list")]
    Show,
    /// Make a token of a bpffs, to see whether that is possible here, and say what it is good for
    Create(CreateArgs),
}

impl TokenCommand {
    /// As it is typed.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            TokenCommand::Show => "token show",
            TokenCommand::Create(_) => "token create",
        }
    }
}

#[derive(Debug, ClapArgs)]
pub(crate) struct CreateArgs {
    /// Where the bpffs is mounted
    #[arg(default_value = "/sys/fs/bpf")]
    bpffs: PathBuf,
}

/// What one mount delegates: names of commands, map types ..., or `any`.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Delegation {
    mount: String,
    commands: Vec<String>,
    map_types: Vec<String>,
    prog_types: Vec<String>,
    attach_types: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Show {
    mounts: Vec<Delegation>,
}

#[derive(Debug, Serialize)]
struct Created {
    #[serde(flatten)]
    delegation: Delegation,
}

/// Carries a verb of `rawbpf token` out.
pub(crate) fn run(command: &TokenCommand, out: &Output) -> Result<(), CliError> {
    match command {
        TokenCommand::Show => out.report("token show", &Show { mounts: mounts()? }),
        TokenCommand::Create(args) => create(args, out),
    }
}

fn mounts() -> Result<Vec<Delegation>, CliError> {
    let doing = "list the mounts (/proc/thread-self/mounts)";
    let text = fs::read_to_string("/proc/thread-self/mounts").map_err(CliError::io(doing))?;
    Ok(text.lines().filter_map(delegation).collect())
}

/// A line of the list of mounts: device, path, type, options.
fn delegation(line: &str) -> Option<Delegation> {
    let words: Vec<&str> = line.split(' ').collect();
    let [_, path, "bpf", options, ..] = words.as_slice() else { return None };
    let mut out = Delegation { mount: path.replace("\\040", " "), ..Delegation::default() };
    for (name, value) in options.split(',').filter_map(|o| o.split_once('=')) {
        let list = || value.split(':').map(String::from).collect();
        match name {
            "delegate_cmds" => out.commands = list(),
            "delegate_maps" => out.map_types = list(),
            "delegate_progs" => out.prog_types = list(),
            "delegate_attachs" => out.attach_types = list(),
            _ => {}
        }
    }
    Some(out)
}

fn create(args: &CreateArgs, out: &Output) -> Result<(), CliError> {
    let path = args.bpffs.display().to_string();
    let dir = File::open(&args.bpffs).map_err(CliError::io(format!("open {path}")))?;
    let all = mounts()?;
    let here = all.into_iter().find(|d| d.mount == path.trim_end_matches('/'));
    if let Err(e) = sys::token_create(&dir) {
        let why = match (e.errno, &here) {
            (_, None) => Some(format!("{path} is not where a bpffs is mounted")),
            (Errno::ENOENT, Some(_)) => Some(format!(
                "the bpffs at {path} delegates nothing; whoever mounts it has to say what: \
                 mount -t bpf -o delegate_cmds=any,delegate_maps=any,delegate_progs=any,delegate_attachs=any"
            )),
            (Errno::EOPNOTSUPP, Some(_)) => {
                Some("tokens are for user namespaces, and this is the initial one".to_string())
            }
            (Errno::EPERM, Some(_)) => Some(format!(
                "it takes CAP_BPF in the user namespace that the bpffs at {path} was mounted in"
            )),
            _ => None,
        };
        return Err(match why {
            Some(why) => CliError::Token { why, source: e },
            None => CliError::sys(format!("make a token of {path}"))(e),
        });
    }
    out.report("token create", &Created { delegation: here.unwrap_or_default() })
}

impl Delegation {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let words = |list: &[String]| if list.is_empty() { "none".into() } else { list.join(", ") };
        writeln!(out, "{}", self.mount)?;
        for (name, list) in [
            ("commands", &self.commands),
            ("map types", &self.map_types),
            ("program types", &self.prog_types),
            ("attach types", &self.attach_types),
        ] {
            writeln!(out, "  {name:<14} {}", words(list))?;
        }
        Ok(())
    }
}

impl Report for Show {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.mounts.is_empty() {
            return writeln!(out, "no bpffs is mounted");
        }
        self.mounts.iter().try_for_each(|m| m.write(out))
    }
}

impl Report for Created {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "a token can be made here; it is good for what is delegated:")?;
        self.delegation.write(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read() {
        let line =
            "bpf /run/my\\040bpf bpf rw,relatime,delegate_cmds=prog_load:map_create,delegate_progs=any 0 0";
        let found = delegation(line).expect("it is a bpffs");
        assert_eq!(found.mount, "/run/my bpf");
        assert_eq!(found.commands, ["prog_load", "map_create"]);
        assert_eq!((found.prog_types, found.map_types.len()), (vec!["any".to_string()], 0));
        assert_eq!(delegation("proc /proc proc rw 0 0"), None);
    }
}
