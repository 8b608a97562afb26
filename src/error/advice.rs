//! What to do about an error, as data.
//!
//! Advice is data, so that each program words it by its own means: a step such as [`NextStep::ListElements`] is a method
//! of [`Map`](crate::Map) for one and a command line for another.

use std::fmt;

use crate::kernel::policy::Cap;
use crate::links::Remedy;
use crate::sys::ObjectKind;

/// What may have caused an error, and what to do next. `Display` words both for users of the library.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Advice {
    /// What may have caused it, a sentence without its full stop; empty if the error says it.
    pub why: String,
    /// What to do, where that is more than `why` says.
    pub step: Option<NextStep>,
}

/// What to do about an error.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NextStep {
    /// List the objects of this kind that the kernel has.
    List(ObjectKind),
    /// List what is pinned.
    ListPins,
    /// List the keys of the map.
    ListElements,
    /// Look at the flags of the map.
    ShowMap,
    /// List what is attached where.
    ListAttachments,
    /// List what this kernel can do.
    ListFeatures,
    /// Look at the fields that the kernel was asked with.
    ShowCalls,
    /// Run as root, or with these capabilities.
    Grant(Vec<Cap>),
    /// Run outside of the user namespace, or use a BPF token.
    UseToken,
    /// Give the types of this kernel from a file.
    GiveBtf,
    /// Give the value of this variable, an option of the kernel's configuration, from a file.
    GiveKconfig(String),
    /// Say of which type this program is.
    NameType(String),
    /// Say to which loaded program this one is bound.
    NameTarget(String),
    /// Attach in another way.
    Attach(Remedy),
}

impl Advice {
    pub(super) fn new(why: impl Into<String>, step: Option<NextStep>) -> Advice {
        Advice { why: why.into(), step }
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let between = if self.why.is_empty() || self.step.is_none() { "" } else { "; " };
        write!(f, "{}{between}", self.why)?;
        self.step.as_ref().map_or(Ok(()), |step| step.fmt(f))
    }
}

impl fmt::Display for NextStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NextStep::List(ObjectKind::Prog) => f.write_str("list the loaded programs"),
            NextStep::List(ObjectKind::Map) => f.write_str("list the maps"),
            NextStep::List(ObjectKind::Btf) => f.write_str("list the BTF objects"),
            NextStep::List(ObjectKind::Link) => f.write_str("list the links"),
            NextStep::ListPins => f.write_str("list the files of the bpffs"),
            NextStep::ListElements => f.write_str("list the keys of the map"),
            NextStep::ShowMap => f.write_str("look at the flags of the map"),
            NextStep::ListAttachments => f.write_str("list what is attached where"),
            NextStep::ListFeatures => f.write_str("list what this kernel can do"),
            NextStep::ShowCalls => f.write_str("look at each field that the kernel was asked with"),
            NextStep::Grant(caps) => {
                let names: Vec<String> = caps.iter().map(|c| c.name().to_lowercase()).collect();
                write!(f, "run it as root, or give the file the capabilities: setcap {}+ep FILE", names.join(","))
            }
            NextStep::UseToken => f.write_str(
                "run it outside, or with a BPF token (Linux 6.9): a bpffs that root has mounted with delegate_cmds, \
                 delegate_maps and delegate_progs",
            ),
            NextStep::GiveBtf => f.write_str("give a file with the kernel's types"),
            NextStep::GiveKconfig(name) => write!(f, "give a configuration with a line {name}=..."),
            NextStep::NameType(program) => write!(f, "say which section `{program}` is to be treated as"),
            NextStep::NameTarget(program) => {
                write!(f, "say which loaded program `{program}` is bound to, and which function")
            }
            NextStep::Attach(remedy) => remedy.fmt(f),
        }
    }
}
