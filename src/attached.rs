//! An object that runs: loaded, and attached to what its sections name.
//!
//! A tool that watches the kernel can often do so by several hooks, and not every kernel has the best of them: `fentry`
//! needs BTF and a trampoline, kprobes need an option, a tracepoint is nearly always there but tells less. Such an object
//! holds a variant for each hook, and only trying tells which one works:
//!
//! ```text
//!   ("fentry",     connect_fentry, finish_fentry)   load ─► attach ─✗  undone, the reason kept
//!   ("kprobe",     connect_kprobe, finish_kprobe)   load ─► attach ─►  Attached { variant: 1 }
//!   ("tracepoint", state_changes)                   not tried
//! ```

use std::fmt;

use crate::elf::Object;
use crate::error::{Causes, Error};
use crate::kernel::Kernel;
use crate::links::{AttachError, HookError, Link, Target, auto};
use crate::loader::{Loaded, Options};

/// A loaded object whose programs are attached. Dropping it detaches and unloads them.
#[doc(alias = "Running")]
#[derive(Debug)]
pub struct Attached {
    /// The attachments, in the order of the programs.
    pub links: Vec<Link>,
    /// Its maps and programs.
    pub loaded: Loaded,
    /// Which of the variants this is, counted from 0.
    #[doc(alias = "way")]
    pub variant: usize,
    /// The variants before it, and why they do not work here.
    pub refused: Vec<(String, Error)>,
}

/// One variant of a tool: its name, and its programs.
#[doc(alias = "Way")]
pub type Variant<'v> = (&'v str, &'v [&'v str]);

/// No variant works on this kernel.
#[doc(alias = "NoWay")]
#[derive(Debug)]
pub struct NoVariant {
    /// Each variant that was tried, and why it does not work.
    pub refused: Vec<(String, Error)>,
}

impl fmt::Display for NoVariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no variant works on this kernel")?;
        self.refused.iter().try_for_each(|(name, e)| write!(f, "\n  {name}: {}", Causes(e)))
    }
}

impl std::error::Error for NoVariant {}

impl Attached {
    /// Loads the programs of these names, all if there are none, and attaches each to what its section names.
    ///
    /// # Errors
    /// Those of planning, loading and attaching; [`HookError`] for a section that does not say where to attach.
    pub fn start(kernel: &Kernel, object: &Object, programs: &[&str]) -> Result<Attached, Error> {
        let only = programs.iter().map(|name| name.to_string()).collect();
        let loaded = object.plan(kernel, &Options { only, ..Options::default() })?.run()?;
        let attach = |program| {
            let section = crate::progs::Program::section(program);
            let missing = || HookError { section: section.into(), why: Target::missing(section) };
            auto(kernel, program)?.ok_or_else(|| AttachError::Hook(missing()))
        };
        let links = loaded.programs().map(attach).collect::<Result<_, _>>()?;
        Ok(Attached { links, loaded, variant: 0, refused: Vec::new() })
    }

    /// The first variant that works. All of a variant works, or none of it is left.
    ///
    /// ```no_run
    /// use rawbpf::{Attached, Kernel, Object};
    /// let object = Object::open("tcp_connect.o")?;
    /// let variants = [("fentry", &["connect_fentry"][..]), ("kprobe", &["connect_kprobe"])];
    /// let tool = Attached::first(&Kernel::host(), &object, &variants)?;
    /// println!("by {}; {} were refused", variants[tool.variant].0, tool.refused.len());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`NoVariant`] with the reason of each.
    pub fn first(kernel: &Kernel, object: &Object, variants: &[Variant<'_>]) -> Result<Attached, NoVariant> {
        let mut refused = Vec::new();
        for (number, (name, programs)) in variants.iter().enumerate() {
            match Attached::start(kernel, object, programs) {
                Ok(attached) => return Ok(Attached { variant: number, refused, ..attached }),
                Err(e) => refused.push((name.to_string(), e)),
            }
        }
        Err(NoVariant { refused })
    }
}
