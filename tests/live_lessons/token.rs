//! BPF tokens: a process without any capability outside its own user namespace loads a program, because root has
//! mounted a bpffs there that delegates it.
//!
//! ```text
//!   child: unshare(user, mount), fsopen("bpf") ──── its descriptor ────► parent: fsconfig(delegate_* = any), create
//!          fsmount, move_mount to DIR, exec rawbpf ◄──── done ─────────          uid_map, gid_map
//! ```

use std::ffi::{CStr, CString};
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output};

use crate::gate::{ROOT, TOKEN, require};
use crate::net::{in_namespace, mount_bpffs, object, rawbpf_fails, rawbpf_ok};

/// `FSCONFIG_SET_STRING`, `FSCONFIG_CMD_CREATE`, `MOVE_MOUNT_F_EMPTY_PATH`
const SET_STRING: libc::c_long = 1;
const CREATE: libc::c_long = 6;
const EMPTY_PATH: libc::c_long = 4;

/// A system call whose arguments are numbers and strings that live as long as it runs.
fn syscall(number: libc::c_long, args: [libc::c_long; 5]) -> io::Result<i32> {
    // SAFETY: the callers below pass descriptors, flags, and pointers to C strings that they hold.
    let n = unsafe { libc::syscall(number, args[0], args[1], args[2], args[3], args[4]) };
    if n < 0 { Err(io::Error::last_os_error()) } else { Ok(n as i32) }
}

fn pointer(text: &CStr) -> libc::c_long {
    text.as_ptr() as libc::c_long
}

fn pipe() -> (File, File) {
    let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).expect("a pipe");
    (read.into(), write.into())
}

/// Runs rawbpf as the root of a new user namespace, with a bpffs at `dir` that delegates everything.
fn in_a_container(dir: &Path, args: &[&str], env: &[(&str, &Path)]) -> io::Result<Output> {
    let (mut told, tell) = pipe();
    let (go, let_go) = pipe();
    let at = CString::new(dir.as_os_str().as_bytes()).expect("a path");
    let mut command = Command::new(env!("CARGO_BIN_EXE_rawbpf"));
    command.args(args).envs(env.iter().copied());
    // SAFETY: only system calls on memory that was prepared before.
    unsafe {
        let (tell, go) = (tell.as_raw_fd(), go.as_raw_fd());
        command.pre_exec(move || enter(tell, go, &at));
    }
    std::thread::scope(|scope| {
        let helper = scope.spawn(move || {
            let mut message = [0; 8];
            told.read_exact(&mut message)?;
            let [pid, fd] = [0, 4].map(|at| {
                i32::from_ne_bytes([message[at], message[at + 1], message[at + 2], message[at + 3]])
            });
            let done = delegate(pid, fd);
            // The child waits for this byte, whatever became of it.
            (&let_go).write_all(&[u8::from(done.is_ok())])?;
            done
        });
        let output = command.output();
        drop(tell);
        helper.join().expect("it ends")?;
        output
    })
}

/// In the child, before it becomes rawbpf.
fn enter(tell: i32, go: i32, at: &CStr) -> io::Result<()> {
    syscall(libc::SYS_unshare, [(libc::CLONE_NEWUSER | libc::CLONE_NEWNS).into(), 0, 0, 0, 0])?;
    let fs = syscall(libc::SYS_fsopen, [pointer(c"bpf"), 0, 0, 0, 0])?;
    let mut message = [0; 8];
    // SAFETY: a plain number is returned.
    message[..4].copy_from_slice(&unsafe { libc::getpid() }.to_ne_bytes());
    message[4..].copy_from_slice(&fs.to_ne_bytes());
    let mut answer = [0u8];
    // SAFETY: both buffers are ours and as long as is said.
    unsafe {
        if libc::write(tell, message.as_ptr().cast(), 8) != 8
            || libc::read(go, answer.as_mut_ptr().cast(), 1) != 1
        {
            return Err(io::Error::last_os_error());
        }
    }
    if answer[0] != 1 {
        return Err(io::Error::from_raw_os_error(libc::ECANCELED));
    }
    let mount = syscall(libc::SYS_fsmount, [fs.into(), 0, 0, 0, 0])?;
    let here = libc::c_long::from(libc::AT_FDCWD);
    syscall(libc::SYS_move_mount, [mount.into(), pointer(c""), here, pointer(at), EMPTY_PATH])?;
    Ok(())
}

/// In the parent, which is root: makes the child root of its namespace, and lets its bpffs delegate.
fn delegate(pid: i32, fd: i32) -> io::Result<()> {
    fs::write(format!("/proc/{pid}/uid_map"), "0 0 1")?;
    fs::write(format!("/proc/{pid}/gid_map"), "0 0 1")?;
    let owned = |fd: i32| {
        // SAFETY: the system call has just returned it.
        unsafe { OwnedFd::from_raw_fd(fd) }
    };
    let process = owned(syscall(libc::SYS_pidfd_open, [pid.into(), 0, 0, 0, 0])?);
    let theirs = [process.as_raw_fd().into(), fd.into(), 0, 0, 0];
    let fs = owned(syscall(libc::SYS_pidfd_getfd, theirs)?);
    let configure = |command, key: libc::c_long, value: libc::c_long| {
        syscall(libc::SYS_fsconfig, [fs.as_raw_fd().into(), command, key, value, 0])
    };
    for what in [c"delegate_cmds", c"delegate_maps", c"delegate_progs", c"delegate_attachs"] {
        configure(SET_STRING, pointer(what), pointer(c"any"))?;
    }
    configure(CREATE, 0, 0).map(drop)
}

#[test]
fn a_container_loads_what_was_delegated_to_it() {
    require!(ROOT);
    in_namespace(|| {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, file) = (dir.path().to_string_lossy(), object("packet_count.o"));
        let said = |out: &Output| {
            format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
        };
        let with = ["verify", &file, "--token", &path];
        let out = require!(TOKEN, in_a_container(dir.path(), &with, &[]));
        assert!(out.status.success(), "{}", said(&out));
        assert!(said(&out).contains("1 program: 1 accepted, 0 refused"), "{}", said(&out));
        // libbpf asks without the token whether the kernel takes names, is refused, and leaves them out.
        let out = in_a_container(dir.path(), &[&with[..], &["--explain"]].concat(), &[]).expect("it runs");
        let load = said(&out).lines().find(|l| l.contains("bpf(BPF_PROG_LOAD")).map(String::from);
        assert!(load.expect("a call").contains("prog_name=\"count_packets\""), "{}", said(&out));
        // Named in the environment, as libbpf has it.
        let env = [("LIBBPF_BPF_TOKEN_PATH", dir.path())];
        let out = in_a_container(dir.path(), &["verify", &file], &env).expect("it runs");
        assert!(out.status.success(), "{}", said(&out));
        // Without the token the same process may do nothing.
        let out = in_a_container(dir.path(), &["verify", &file, "--token", ""], &[]).expect("it runs");
        assert!(!out.status.success() && said(&out).contains("EPERM"), "{}", said(&out));
    });
}

#[test]
fn a_token_that_cannot_be_had_is_an_error() {
    require!(ROOT);
    in_namespace(|| {
        mount_bpffs();
        let file = object("packet_count.o");
        // Outside of user namespaces the kernel makes no tokens, and before 6.9 it makes none at all.
        let out = crate::net::rawbpf(&["load", &file, "--token", "/sys/fs/bpf"]);
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(!out.status.success(), "{said}");
        assert!(said.contains("cannot make a BPF token from /sys/fs/bpf"), "{said}");
        let said = rawbpf_fails(5, &["load", &file, "--token", "/nonexistent"]);
        assert!(said.contains("cannot make a BPF token from /nonexistent"), "{said}");
        rawbpf_ok(&["load", &file, "--token", ""]);
        rawbpf_ok(&["unload", "packet_count"]);
    });
}
