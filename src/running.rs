//! An object that runs: loaded, and attached to what its sections name.
//!
//! What watches the kernel can often do so by several hooks, the best of which not every kernel has: `fentry` takes
//! BTF and a trampoline, kprobes take an option, a tracepoint is nearly always there but tells less. Such an object
//! holds a program for each, and which to take is known only by trying:
//!
//! ```text
//!   ("fentry",     connect_fentry, finish_fentry)   load ─► attach ─✗  undone, the reason kept
//!   ("kprobe",     connect_kprobe, finish_kprobe)   load ─► attach ─►  Running { way: 1 }
//!   ("tracepoint", state_changes)                   not tried
//! ```

use std::fmt;

use crate::elf::Object;
use crate::error::{Causes, Error};
use crate::kernel::Kernel;
use crate::links::{AttachError, HookError, Link, Target, auto};
use crate::loader::{Loaded, Options};

/// A loaded object whose programs are attached. Dropping it detaches and unloads them.
#[derive(Debug)]
pub struct Running {
    /// The attachments, in the order of the programs.
    pub links: Vec<Link>,
    /// Its maps and programs.
    pub loaded: Loaded,
    /// Which of the ways this is, counted from 0.
    pub way: usize,
    /// The ways before it, and why they do not work here.
    pub refused: Vec<(String, Error)>,
}

/// One way of doing a job: what it is called, and the programs that it takes.
pub type Way<'w> = (&'w str, &'w [&'w str]);

/// No way works on this kernel.
#[derive(Debug)]
pub struct NoWay {
    /// Each way that was tried, and why it does not work.
    pub refused: Vec<(String, Error)>,
}

impl fmt::Display for NoWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "this kernel has none of the ways to do it")?;
        self.refused.iter().try_for_each(|(way, e)| write!(f, "\n  {way}: {}", Causes(e)))
    }
}

impl std::error::Error for NoWay {}

impl Running {
    /// Loads the programs of these names, all if there are none, and attaches each to what its section names.
    ///
    /// # Errors
    /// Those of planning, loading and attaching; [`HookError`] for a section that does not say where to attach.
    pub fn start(kernel: &Kernel, object: &Object, programs: &[&str]) -> Result<Running, Error> {
        let only = programs.iter().map(|name| name.to_string()).collect();
        let loaded = object.plan(kernel, &Options { only, ..Options::default() })?.run()?;
        let attach = |program| {
            let section = crate::progs::Program::section(program);
            let missing = || HookError { section: section.into(), why: Target::missing(section) };
            auto(kernel, program)?.ok_or_else(|| AttachError::Hook(missing()))
        };
        let links = loaded.programs().map(attach).collect::<Result<_, _>>()?;
        Ok(Running { links, loaded, way: 0, refused: Vec::new() })
    }

    /// The first way that works. All of a way works, or none of it is left.
    ///
    /// ```no_run
    /// use rawbpf::{Kernel, Object, Running};
    /// let object = Object::open("tcp_connect.o")?;
    /// let ways = [("fentry", &["connect_fentry"][..]), ("kprobe", &["connect_kprobe"])];
    /// let running = Running::first(&Kernel::host(), &object, &ways)?;
    /// println!("by {}; {} were refused", ways[running.way].0, running.refused.len());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`NoWay`] with the reason of each.
    pub fn first(kernel: &Kernel, object: &Object, ways: &[Way<'_>]) -> Result<Running, NoWay> {
        let mut refused = Vec::new();
        for (number, (way, programs)) in ways.iter().enumerate() {
            match Running::start(kernel, object, programs) {
                Ok(running) => return Ok(Running { way: number, refused, ..running }),
                Err(e) => refused.push((way.to_string(), e)),
            }
        }
        Err(NoWay { refused })
    }
}
