//! Loaded programs: what the kernel made of them, and what it can be asked.
//!
//! A program lives as long as something holds it: an open descriptor, a pin in a bpffs, or a link that
//! attaches it. [`Program`] is such a descriptor. What the kernel keeps about a program is in
//! [`ProgInfo`]; of the name it keeps 15 letters, and the full name is found by the program's BTF.

mod code;

pub use code::{LoadedCode, LoadedFunction, LoadedLine};

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use crate::btf::{Btf, Kind, TypeId};
use crate::sys::info::RawProgInfo;
use crate::sys::{self, BtfFd, Errno, ObjectKind, ProgFd, SysError, TestRun, TestRunOutput};
use crate::uapi::{AttachType, ProgType};

/// A loaded program.
#[derive(Debug)]
pub struct Program {
    fd: ProgFd,
    name: String,
    prog_type: ProgType,
    attach_type: AttachType,
    section: String,
}

impl Program {
    /// Takes a descriptor of a program whose kind is known already.
    pub(crate) fn loaded(fd: ProgFd, name: String, prog_type: ProgType, attach_type: AttachType) -> Program {
        Program { fd, name, prog_type, attach_type, section: String::new() }
    }

    /// Remembers the section that it stood in.
    pub(crate) fn in_section(self, section: String) -> Program {
        Program { section, ..self }
    }

    /// Remembers what a plan says of it: its whole name, the hook it was verified for, and where that is.
    pub(crate) fn planned(self, name: &str, attach_type: AttachType, section: &str) -> Program {
        Program { name: name.into(), attach_type, section: section.into(), ..self }
    }

    /// Takes an open descriptor and asks the kernel what it is. `EINVAL` if it is not a program.
    pub fn from_fd(fd: impl Into<OwnedFd>) -> Result<Program, SysError> {
        Program::of(ProgFd::new(fd)?)
    }

    /// Takes an open program and asks the kernel about it.
    pub(crate) fn of(fd: ProgFd) -> Result<Program, SysError> {
        let info = ProgInfo::of(&fd)?;
        Ok(Program::loaded(fd, info.name, info.prog_type, AttachType::default()))
    }

    /// Opens the program with this id. Needs `CAP_SYS_ADMIN`. Linux 4.13.
    pub fn open_id(id: u32) -> Result<Program, SysError> {
        Program::of(ProgFd::by_id(id)?)
    }

    /// Opens a pinned program. Linux 4.4.
    pub fn open_pin(path: impl AsRef<Path>) -> Result<Program, SysError> {
        Program::of(ProgFd::by_pin(path.as_ref())?)
    }

    /// Its full name, as far as it is known.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What kind of program it is.
    pub fn prog_type(&self) -> ProgType {
        self.prog_type
    }

    /// The attach type it was loaded for; 0 if it was not loaded by this process.
    pub fn attach_type(&self) -> AttachType {
        self.attach_type
    }

    /// The section that it stood in, which says what it is and where it attaches, such as
    /// `kprobe/tcp_connect`. Empty if it was not loaded by this process.
    pub fn section(&self) -> &str {
        &self.section
    }

    /// What the kernel says of it.
    pub fn info(&self) -> Result<ProgInfo, SysError> {
        ProgInfo::of(&self.fd)
    }

    /// Its code as the kernel holds it now.
    pub fn code(&self) -> Result<LoadedCode, SysError> {
        LoadedCode::of(&self.fd)
    }

    /// Gives it a name in a bpffs; it then outlives this process. Linux 4.4.
    pub fn pin(&self, path: impl AsRef<Path>) -> Result<(), SysError> {
        sys::obj_pin(&self.fd, path.as_ref())
    }

    /// Runs it on data from user space (`BPF_PROG_TEST_RUN`). Linux 4.12; which program types can be run
    /// so has grown since.
    ///
    /// A syscall program gets `ctx` itself, and what it made of it is returned.
    #[doc(alias("BPF_PROG_TEST_RUN", "BPF_PROG_RUN"))]
    pub fn test_run(&self, run: &TestRun) -> Result<TestRunOutput, SysError> {
        match self.prog_type {
            ProgType::Syscall | ProgType::RawTracepoint | ProgType::RawTracepointWritable => {
                sys::prog_run_in_place(&self.fd, run)
            }
            _ => sys::prog_test_run(&self.fd, run),
        }
    }
}

impl AsRef<ProgFd> for Program {
    fn as_ref(&self) -> &ProgFd {
        &self.fd
    }
}

impl AsFd for Program {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// What the kernel keeps about a program.
#[derive(Debug, Clone)]
pub struct ProgInfo {
    /// Its id, unique while it lives.
    pub id: u32,
    /// What kind of program it is.
    pub prog_type: ProgType,
    /// The full name, from BTF; without BTF the first 15 letters; empty if it has none.
    pub name: String,
    /// The first 8 bytes of a hash of its instructions.
    pub tag: [u8; 8],
    /// It may use GPL-only helpers.
    pub gpl_compatible: bool,
    /// When it was loaded, in nanoseconds since boot.
    pub loaded_at_ns: u64,
    /// Who loaded it.
    pub uid: u32,
    /// Bytes of instructions after the verifier.
    pub xlated_size: u32,
    /// Bytes of machine code, 0 if it is interpreted.
    pub jited_size: u32,
    /// Ids of the maps it uses.
    pub map_ids: Vec<u32>,
    /// Id of its BTF object, 0 if none.
    pub btf_id: u32,
    /// Nanoseconds it ran in all, while statistics were on (`kernel.bpf_stats_enabled`). Linux 5.1.
    pub run_time_ns: u64,
    /// How often it ran, while statistics were on. Linux 5.1.
    pub run_count: u64,
    /// Runs that were skipped because it was running on that CPU already. Linux 5.12.
    pub recursion_misses: u64,
    /// Instructions that the verifier looked at. Linux 5.16.
    pub verified_insns: u32,
    /// Device that it is bound to, 0 if none.
    pub ifindex: u32,
    /// Id of the BTF object of the function that it is attached to, 0 if none. Linux 5.13.
    pub attach_btf_obj_id: u32,
    /// BTF type of that function.
    pub attach_btf_id: u32,
}

impl ProgInfo {
    /// Asks about an open program.
    pub fn of(fd: &ProgFd) -> Result<ProgInfo, SysError> {
        ProgInfo::with(fd, &mut Types::default())
    }

    /// Asks about the program with this id. `ENOENT` if it is gone; needs `CAP_SYS_ADMIN`.
    pub fn by_id(id: u32) -> Result<ProgInfo, SysError> {
        ProgInfo::of(&ProgFd::by_id(id)?)
    }

    /// Asks about an open program; the types that were looked at are kept for the next one.
    fn with(fd: &ProgFd, types: &mut Types) -> Result<ProgInfo, SysError> {
        let size = sys::prog_info(fd)?;
        let named = size.name.text();
        // Only a name that fills its 15 letters can have been cut.
        let cut = named.len() == 15 && size.btf_id != 0;
        let wanted = RawProgInfo {
            nr_map_ids: size.nr_map_ids,
            nr_func_info: if cut { size.nr_func_info.min(1) } else { 0 },
            func_info_rec_size: size.func_info_rec_size,
            ..Default::default()
        };
        let (raw, lists) = match wanted.nr_map_ids + wanted.nr_func_info {
            0 => (size, sys::ProgLists::default()),
            _ => sys::prog_lists_of(fd, &wanted)?,
        };
        let mut info = ProgInfo {
            id: raw.id,
            prog_type: raw.prog_type,
            name: raw.name.text(),
            tag: raw.tag,
            gpl_compatible: raw.flags & 1 != 0,
            loaded_at_ns: raw.load_time,
            uid: raw.created_by_uid,
            xlated_size: raw.xlated_prog_len,
            jited_size: raw.jited_prog_len,
            map_ids: lists.map_ids,
            btf_id: raw.btf_id,
            run_time_ns: raw.run_time_ns,
            run_count: raw.run_cnt,
            recursion_misses: raw.recursion_misses,
            verified_insns: raw.verified_insns,
            ifindex: raw.ifindex,
            attach_btf_obj_id: raw.attach_btf_obj_id,
            attach_btf_id: raw.attach_btf_id,
        };
        let main = lists.func_info.get(4..8).and_then(|b| b.try_into().ok()).map(u32::from_ne_bytes);
        if let (true, Some(main), Some(btf)) = (cut, main, types.of(raw.btf_id)) {
            if let Ok(ty) = btf.ty(TypeId(main)) {
                if matches!(ty.kind, Kind::Func { .. }) && ty.name.to_string().starts_with(&info.name) {
                    info.name = ty.name.to_string();
                }
            }
        }
        Ok(info)
    }

    /// The tag in hex, as bpftool prints it.
    pub fn tag_hex(&self) -> String {
        self.tag.iter().map(|b| format!("{b:02x}")).collect()
    }
}

/// The types of a BTF object that a program or map brought; `None` if they cannot be read.
pub fn loaded_btf(id: u32) -> Option<Arc<Btf>> {
    let fd = BtfFd::by_id(id).ok()?;
    let bytes = sys::btf_bytes(&fd).ok()?;
    Btf::parse(bytes).ok().map(Arc::new)
}

/// BTF objects that were read already: the programs of one object file share one.
#[derive(Default)]
struct Types(HashMap<u32, Option<Arc<Btf>>>);

impl Types {
    fn of(&mut self, id: u32) -> Option<Arc<Btf>> {
        self.0.entry(id).or_insert_with(|| loaded_btf(id)).clone()
    }
}

/// Bytes of memory that a program takes, as `/proc/self/fdinfo` has them; `None` where there is no procfs.
pub fn memlock(program: impl AsFd) -> Option<u64> {
    let path = format!("/proc/thread-self/fdinfo/{}", program.as_fd().as_raw_fd());
    let text = std::fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix("memlock:")?.trim().parse().ok())
}

/// All programs of the machine, by id. Needs `CAP_SYS_ADMIN`. One that goes away meanwhile is left out.
pub fn list() -> Result<Vec<ProgInfo>, SysError> {
    iter().collect()
}

/// As [`list`], one by one: a machine may have thousands.
pub fn iter() -> impl Iterator<Item = Result<ProgInfo, SysError>> {
    let mut types = Types::default();
    let mut id = Some(0);
    std::iter::from_fn(move || {
        loop {
            match sys::next_id(ObjectKind::Prog, id?) {
                Ok(next) => id = next,
                Err(e) => {
                    id = None;
                    return Some(Err(e));
                }
            }
            if let Ok(fd) = ProgFd::by_id(id?) {
                match ProgInfo::with(&fd, &mut types) {
                    // It was made for a device that is gone, and nothing is left of it but its id.
                    Err(e) if e.errno == Errno::ENODEV => {}
                    info => return Some(info),
                }
            }
        }
    })
}
