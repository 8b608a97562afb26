//! Loading with libbpf.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr;

use libbpf_sys as b;

use crate::Verdict;
use crate::dump::Loaded;
use crate::events::Seen;

/// An open object.
pub struct Object(*mut b::bpf_object);

impl Drop for Object {
    fn drop(&mut self) {
        // SAFETY: it was opened by `open` and is closed once.
        unsafe { b::bpf_object__close(self.0) }
    }
}

/// The linked library's version.
pub fn version() -> (u32, u32) {
    // SAFETY: they return constants.
    unsafe { (b::libbpf_major_version(), b::libbpf_minor_version()) }
}

fn last_errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

fn open(name: &str, bytes: &[u8]) -> Result<Object, i32> {
    let name = CString::new(name).unwrap_or_default();
    // SAFETY: the options are zero but for a name that outlives the call; the bytes are as long as said.
    unsafe {
        if std::env::var_os("ORACLE_VERBOSE").is_none() {
            b::libbpf_set_print(None);
        }
        let mut options: b::bpf_object_open_opts = std::mem::zeroed();
        options.sz = size_of::<b::bpf_object_open_opts>() as u64;
        options.object_name = name.as_ptr();
        // Types for CO-RE, instead of the kernel's.
        let types = std::env::var("ORACLE_BTF").ok().and_then(|file| CString::new(file).ok());
        options.btf_custom_path = types.as_ref().map_or(ptr::null(), |file| file.as_ptr());
        let object = b::bpf_object__open_mem(bytes.as_ptr().cast(), bytes.len() as u64, &options);
        if object.is_null() { Err(last_errno()) } else { Ok(Object(object)) }
    }
}

fn each_program(object: &Object) -> Vec<(*mut b::bpf_program, String)> {
    let mut out = Vec::new();
    let mut at = ptr::null_mut();
    loop {
        // SAFETY: the object is open, and names live as long as it does.
        unsafe {
            at = b::bpf_object__next_program(object.0, at);
            if at.is_null() {
                return out;
            }
            out.push((at, CStr::from_ptr(b::bpf_program__name(at)).to_string_lossy().into_owned()));
        }
    }
}

pub fn programs(name: &str, bytes: &[u8]) -> Result<Vec<String>, String> {
    let object = open(name, bytes).map_err(|e| format!("errno {e}"))?;
    Ok(each_program(&object).into_iter().map(|(_, name)| name).collect())
}

/// Sections that libbpf 1.8 brought, with what its table says of them: the type, what it is attached to, whether the
/// section's name ends with a target in the kernel's types, and whether it may sleep.
const LATER: &[(&str, u32, u32, bool, bool)] = &[
    ("tp.s", 5, 0, false, true),
    ("tracepoint.s", 5, 0, false, true),
    ("raw_tp.s", 17, 0, false, true),
    ("raw_tracepoint.s", 17, 0, false, true),
    ("tp_btf.s", 26, 23, true, true),
    ("fentry.multi", 26, 59, false, false),
    ("fentry.multi.s", 26, 59, false, true),
    ("fexit.multi", 26, 60, false, false),
    ("fexit.multi.s", 26, 60, false, true),
    ("fsession.multi", 26, 61, false, false),
    ("fsession.multi.s", 26, 61, false, true),
];

/// Says by hand of a program what libbpf 1.7 does not know from its section.
///
/// # Safety
/// The program is one of an open object's that is not loaded.
unsafe fn set_later_section(prog: *mut b::bpf_program) -> Result<(), i32> {
    const SLEEPABLE: u32 = 1 << 4;
    // SAFETY: as the caller says; the section's name lives as long as the object, the target's outlives the call.
    unsafe {
        let section = CStr::from_ptr(b::bpf_program__section_name(prog)).to_string_lossy().into_owned();
        let (word, target) = section.split_once('/').unwrap_or((&section, ""));
        let row = LATER.iter().find(|row| row.0 == word && b::bpf_program__type(prog) == 0);
        let Some(&(_, kind, attach, has_target, sleeps)) = row else { return Ok(()) };
        b::bpf_program__set_type(prog, kind);
        b::bpf_program__set_expected_attach_type(prog, attach);
        b::bpf_program__set_flags(prog, if sleeps { SLEEPABLE } else { 0 });
        if has_target {
            let target = CString::new(target).unwrap_or_default();
            match b::bpf_program__set_attach_target(prog, 0, target.as_ptr()) {
                0 => {}
                err => return Err(-err),
            }
        }
        Ok(())
    }
}

/// Loads these programs of an object; the error is a number.
pub fn load_all(name: &str, bytes: &[u8], programs: &[String]) -> Result<Object, i32> {
    let object = open(name, bytes)?;
    // SAFETY: programs and maps are those of the open object.
    unsafe {
        for (prog, name) in &each_program(&object) {
            b::bpf_program__set_autoload(*prog, programs.contains(name));
            if programs.contains(name) {
                set_later_section(*prog)?;
            }
        }
        let mut map = ptr::null_mut();
        loop {
            map = b::bpf_object__next_map(object.0, map);
            if map.is_null() {
                break;
            }
            b::bpf_map__set_pin_path(map, ptr::null());
            let kind = b::bpf_map__type(map);
            let internal = b::bpf_map__is_internal(map);
            if b::bpf_map__max_entries(map) == 0 && crate::takes_entries(kind) && !internal {
                b::bpf_map__set_max_entries(map, 1);
            }
        }
        match b::bpf_object__load(object.0) {
            0 => Ok(object),
            err => Err(-err),
        }
    }
}

pub fn load(name: &str, bytes: &[u8], program: &str) -> Verdict {
    let object = match load_all(name, bytes, &[program.to_string()]) {
        Ok(object) => object,
        Err(errno) => return Verdict::Refused(errno, "it was refused".into()),
    };
    let programs = each_program(&object);
    let Some((prog, _)) = programs.iter().find(|(_, name)| name == program) else {
        return Verdict::Refused(0, "no such program".into());
    };
    // SAFETY: the program is one of the open object's, which keeps its descriptor open.
    unsafe {
        let fd = b::bpf_program__fd(*prog);
        if fd < 0 {
            return Verdict::Refused(-fd, "it was not loaded".into());
        }
        match Loaded::of(BorrowedFd::borrow_raw(fd)) {
            Ok(loaded) => Verdict::Loaded(Box::new(loaded)),
            Err(e) => Verdict::Refused(0, e),
        }
    }
}

/// A program of an object, loaded.
pub struct Program {
    object: Object,
    program: *mut b::bpf_program,
}

impl Program {
    /// Loads one program of an object.
    pub fn load(name: &str, bytes: &[u8], program: &str) -> Result<Program, i32> {
        let object = open(name, bytes)?;
        let mut wanted = ptr::null_mut();
        // SAFETY: programs are those of the open object.
        unsafe {
            for (prog, name) in each_program(&object) {
                b::bpf_program__set_autoload(prog, name == program);
                if name == program {
                    wanted = prog;
                }
            }
            match b::bpf_object__load(object.0) {
                0 if !wanted.is_null() => Ok(Program { object, program: wanted }),
                _ => Err(last_errno()),
            }
        }
    }

    /// Attaches to the kernel's functions that a pattern matches.
    pub fn kprobe_multi(&self, pattern: &str) -> Result<Link<'_>, i32> {
        let pattern = CString::new(pattern).unwrap_or_default();
        // SAFETY: the options are zero but for their size; the program lives as long as its object.
        unsafe {
            let mut options: b::bpf_kprobe_multi_opts = std::mem::zeroed();
            options.sz = size_of::<b::bpf_kprobe_multi_opts>() as _;
            self.link(b::bpf_program__attach_kprobe_multi_opts(self.program, pattern.as_ptr(), &options))
        }
    }

    /// Attaches to these functions of the kernel, by their names.
    pub fn kprobe_multi_named(&self, names: &[CString]) -> Result<Link<'_>, i32> {
        let mut names: Vec<*const std::ffi::c_char> = names.iter().map(|name| name.as_ptr()).collect();
        // SAFETY: as above; the names are as many as said, and outlive the call.
        unsafe {
            let mut options: b::bpf_kprobe_multi_opts = std::mem::zeroed();
            options.sz = size_of::<b::bpf_kprobe_multi_opts>() as _;
            options.syms = names.as_mut_ptr();
            options.cnt = names.len() as _;
            self.link(b::bpf_program__attach_kprobe_multi_opts(self.program, ptr::null(), &options))
        }
    }

    /// Attaches to a function of an executable, by its name.
    pub fn uprobe(&self, path: &str, function: &str) -> Result<Link<'_>, i32> {
        let (path, function) =
            (CString::new(path).unwrap_or_default(), CString::new(function).unwrap_or_default());
        // SAFETY: as above; both texts outlive the call.
        unsafe {
            let mut options: b::bpf_uprobe_opts = std::mem::zeroed();
            options.sz = size_of::<b::bpf_uprobe_opts>() as _;
            options.func_name = function.as_ptr();
            self.link(b::bpf_program__attach_uprobe_opts(self.program, -1, path.as_ptr(), 0, &options))
        }
    }

    fn link(&self, link: *mut b::bpf_link) -> Result<Link<'_>, i32> {
        if link.is_null() { Err(last_errno()) } else { Ok(Link { link, _of: &self.object }) }
    }
}

/// An attachment.
pub struct Link<'a> {
    link: *mut b::bpf_link,
    _of: &'a Object,
}

impl Link<'_> {
    /// The descriptor of the kernel's link.
    pub fn fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is open for as long as the link is.
        unsafe { BorrowedFd::borrow_raw(b::bpf_link__fd(self.link)) }
    }
}

impl Drop for Link<'_> {
    fn drop(&mut self) {
        // SAFETY: it was attached by `Program` and is destroyed once.
        unsafe { b::bpf_link__destroy(self.link) };
    }
}

/// A reader of a ring buffer.
pub struct Ring {
    ring: *mut b::ring_buffer,
    seen: Box<Seen>,
}

/// What is called for each record.
unsafe extern "C" fn on_record(
    seen: *mut std::ffi::c_void,
    data: *mut std::ffi::c_void,
    size: b::size_t,
) -> std::ffi::c_int {
    // SAFETY: `seen` is the box of the `Ring`, which nobody else uses during a call; the record is as long as said.
    unsafe { (*seen.cast::<Seen>()).add(std::slice::from_raw_parts(data.cast(), size as usize)) };
    0
}

impl Ring {
    pub fn new(map: impl AsFd) -> Result<Ring, i32> {
        let mut seen = Box::new(Seen::default());
        let at = ptr::from_mut(seen.as_mut()).cast();
        // SAFETY: `seen` lives as long as the ring, in its box.
        let ring = unsafe { b::ring_buffer__new(map.as_fd().as_raw_fd(), Some(on_record), at, ptr::null()) };
        if ring.is_null() { Err(last_errno()) } else { Ok(Ring { ring, seen }) }
    }

    /// Reads what is there.
    pub fn consume(&mut self) -> Result<Seen, i32> {
        *self.seen = Seen::default();
        // SAFETY: the ring is open.
        match unsafe { b::ring_buffer__consume(self.ring) } {
            0.. => Ok(*self.seen),
            e => Err(-e),
        }
    }

    /// Waits for so many milliseconds at most, and reads what is there.
    pub fn poll(&mut self, ms: i32) -> Result<Seen, i32> {
        *self.seen = Seen::default();
        // SAFETY: the ring is open.
        match unsafe { b::ring_buffer__poll(self.ring, ms) } {
            0.. => Ok(*self.seen),
            e => Err(-e),
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: it was made by `new` and is freed once.
        unsafe { b::ring_buffer__free(self.ring) };
    }
}
