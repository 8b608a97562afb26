//! An attachment, and how long it lasts.
//!
//! Most are *link objects* of the kernel, which end with their last descriptor or pin. Hooks that are older than
//! links, and kernels that are, have none: there something has to be undone by hand.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::info::LinkInfo;
use crate::progs::Program;
use crate::sys::{self, Errno, LinkFd, SysError};

/// An attachment. Dropping it detaches the program, unless it is pinned or held elsewhere too.
#[must_use = "dropping a Link detaches the program"]
#[derive(Debug)]
pub struct Link {
    hold: Hold,
    // After `hold`: it is dropped when the program is detached already.
    after: Option<After>,
    note: Option<String>,
    skipped: Vec<SkippedFunction>,
}

/// A function that an attachment to many left out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[doc(alias = "Skipped")]
pub struct SkippedFunction {
    /// The function.
    pub name: String,
    /// Why.
    pub why: String,
}

/// What keeps an attachment up.
#[derive(Debug)]
enum Hold {
    /// A link object of the kernel: it ends with its last descriptor and pin.
    Object(LinkFd),
    /// Several of them: one for each CPU, or for each place in a file. Never empty.
    Objects(Vec<LinkFd>),
    /// An attachment from before there were links for the hook, or one that never got any: something has
    /// to be undone. `None` once it is.
    Undo(Option<Box<dyn Undo>>),
}

/// How long an attachment lasts if nobody ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// As long as the last descriptor or pin of its link object.
    Link,
    /// Until somebody removes it: it belongs to the hook and not to a process, and cannot be pinned.
    Hook,
    /// As long as this process: it cannot be pinned.
    Process,
}

/// An attachment without a link object, and how to end it.
pub(crate) trait Undo: std::fmt::Debug + Send + Sync {
    /// Ends the attachment.
    fn undo(&mut self) -> Result<(), SysError>;

    /// Puts another program in the place of this one, in one step.
    fn update(&self, _program: &Program) -> Result<(), SysError> {
        Err(SysError::other("putting another program in its place", Errno::EOPNOTSUPP))
    }

    /// False if the attachment ends with this process in any case.
    fn outlives_process(&self) -> bool {
        true
    }

    /// There will be nothing to undo: the attachment outlives this value.
    fn keep(&mut self) {}
}

/// Something to clean up once a program is detached, unless the attachment outlives this process by a pin.
#[derive(Debug)]
struct After {
    undo: Box<dyn Undo>,
    pinned: AtomicBool,
}

impl Drop for After {
    fn drop(&mut self) {
        if self.pinned.load(Ordering::Relaxed) {
            self.undo.keep();
        } else {
            let _ = self.undo.undo();
        }
    }
}

impl Link {
    pub(crate) fn new(fd: LinkFd) -> Link {
        Link::holding(Hold::Object(fd))
    }

    fn holding(hold: Hold) -> Link {
        Link { hold, after: None, note: None, skipped: Vec::new() }
    }

    /// An attachment that consists of several link objects, or of one.
    pub(crate) fn of_objects(mut fds: Vec<LinkFd>) -> Option<Link> {
        match fds.len() {
            0 => None,
            1 => fds.pop().map(Link::new),
            _ => Some(Link::holding(Hold::Objects(fds))),
        }
    }

    /// An attachment that has no link object.
    pub(crate) fn undone_by(undo: impl Undo + 'static) -> Link {
        Link::holding(Hold::Undo(Some(Box::new(undo))))
    }

    /// Cleans up with `undo` once the program is detached by this value.
    pub(super) fn and_then(self, undo: impl Undo + 'static) -> Link {
        Link { after: Some(After { undo: Box::new(undo), pinned: AtomicBool::new(false) }), ..self }
    }

    pub(super) fn skipping(self, skipped: Vec<SkippedFunction>) -> Link {
        Link { skipped, ..self }
    }

    /// How long the attachment lasts if this value is [leaked](Link::leak) or pinned.
    pub fn lifetime(&self) -> Lifetime {
        match &self.hold {
            Hold::Object(_) | Hold::Objects(_) => Lifetime::Link,
            Hold::Undo(undo) if undo.as_ref().is_none_or(|u| u.outlives_process()) => Lifetime::Hook,
            Hold::Undo(_) => Lifetime::Process,
        }
    }

    pub(super) fn noting(self, note: String) -> Link {
        Link { note: Some(note), ..self }
    }

    /// Opens a pinned link.
    pub fn open_pin(path: impl AsRef<Path>) -> Result<Link, SysError> {
        Ok(Link::new(LinkFd::by_pin(path.as_ref())?))
    }

    /// Opens the link with this id. Needs `CAP_SYS_ADMIN`. Linux 5.8.
    pub fn open_id(id: u32) -> Result<Link, SysError> {
        Ok(Link::new(LinkFd::by_id(id)?))
    }

    /// Something to tell the user about how it was attached, such as a fallback.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// What an attachment to many functions left out because the kernel does not let it be probed.
    pub fn skipped(&self) -> &[SkippedFunction] {
        &self.skipped
    }

    /// The descriptor of the link object, the first if it has several; `None` if the kernel has no link for
    /// this attachment.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.fds().next()
    }

    /// The descriptors of all link objects of the attachment.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.objects().iter().map(AsFd::as_fd)
    }

    fn objects(&self) -> &[LinkFd] {
        match &self.hold {
            Hold::Object(fd) => std::slice::from_ref(fd),
            Hold::Objects(fds) => fds.as_slice(),
            Hold::Undo(_) => &[],
        }
    }

    /// False if the attachment ends with this process whatever is done: the kernel has no link for it that
    /// could be pinned. So it is with perf events before Linux 5.15.
    pub fn can_outlive_process(&self) -> bool {
        match &self.hold {
            Hold::Object(_) | Hold::Objects(_) => true,
            Hold::Undo(undo) => undo.as_ref().is_none_or(|u| u.outlives_process()),
        }
    }

    /// Starts an iterator: a file whose reading runs the program. `EINVAL` for other links.
    #[doc(alias = "BPF_ITER_CREATE")]
    pub fn iterate(&self) -> Result<std::fs::File, SysError> {
        sys::iter_create(self.object()?).map(std::fs::File::from)
    }

    /// The link object, or the error that says that there is none.
    pub(super) fn object(&self) -> Result<&LinkFd, SysError> {
        self.objects()
            .first()
            .ok_or(SysError::other("this attachment has no link object in this kernel", Errno::EOPNOTSUPP))
    }

    /// What the kernel says of it.
    pub fn info(&self) -> Result<LinkInfo, SysError> {
        LinkInfo::of(self.object()?)
    }

    /// Gives it a name in a bpffs: the program stays attached when this process ends. An attachment of
    /// several link objects gets one name for each: the others are called `PATH+1`, `PATH+2` ...
    ///
    /// `EOPNOTSUPP` for attachments that have no link object.
    pub fn pin(&self, path: impl AsRef<Path>) -> Result<(), SysError> {
        self.object()?;
        let mut made: Vec<PathBuf> = Vec::new();
        for (i, fd) in self.fds().enumerate() {
            let mut name = path.as_ref().as_os_str().to_owned();
            if i > 0 {
                name.push(format!("+{i}"));
            }
            if let Err(e) = sys::obj_pin(fd, Path::new(&name)) {
                // All of it or nothing.
                made.iter().for_each(|path| drop(std::fs::remove_file(path)));
                return Err(e);
            }
            made.push(name.into());
        }
        if let Some(after) = &self.after {
            after.pinned.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Puts another program behind it, in one step: no packet or event passes without one. With `old`, only
    /// if that program is behind it now (`EPERM` otherwise). `EINVAL` for links that cannot be updated, such
    /// as those of perf events and raw tracepoints.
    pub fn update(&self, program: &Program, old: Option<&Program>) -> Result<(), SysError> {
        match &self.hold {
            Hold::Object(fd) => sys::link_update(fd, program, old.map(AsFd::as_fd)),
            Hold::Objects(fds) => {
                fds.iter().try_for_each(|fd| sys::link_update(fd, program, old.map(AsFd::as_fd)))
            }
            Hold::Undo(Some(undo)) => undo.update(program),
            Hold::Undo(None) => Err(SysError::other("an attachment that has ended", Errno::ENOENT)),
        }
    }

    /// Detaches the program though others may hold the link. `EOPNOTSUPP` for links of perf events and raw
    /// tracepoints: those end with their last descriptor and pin.
    pub fn detach(mut self) -> Result<(), SysError> {
        match &mut self.hold {
            Hold::Object(fd) => sys::link_detach(&*fd),
            Hold::Objects(fds) => fds.iter().try_for_each(sys::link_detach),
            Hold::Undo(undo) => undo.take().map_or(Ok(()), |mut undo| undo.undo()),
        }
    }

    /// Leaves the program attached for as long as this process lives, and longer where there is no link
    /// object.
    pub fn leak(mut self) {
        if let (Lifetime::Hook, Hold::Undo(undo)) = (self.lifetime(), &mut self.hold) {
            // The hook holds it; only our descriptors are closed.
            drop(undo.take());
            return;
        }
        std::mem::forget(self);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Hold::Undo(Some(undo)) = self {
            let _ = undo.undo();
        }
    }
}
