//! Attaching what traces, on real kernels: each kind is told by what its program saw, never by the
//! descriptor that attaching returned; then it is detached, and must be gone without a trace.
#![allow(unsafe_code)]

use std::collections::BTreeSet;
use std::fs;
use std::sync::{Mutex, OnceLock, PoisonError};

use rawbpf::links::{self, AttachError};
use rawbpf::{Error, Kernel, Link, Loaded, Object, Options, Target};

mod archive;
mod cli;
mod files;
mod kernel_side;
mod others;
mod usdt;
mod user_side;

/// Reads an object of bpf/.
fn object(name: &str) -> Object {
    let path = format!("{}/bpf/{name}.o", env!("CARGO_MANIFEST_DIR"));
    Object::open(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Loads some programs of an object, and tells them whose doings count: those of this process.
fn load(name: &str, programs: &[&str]) -> Result<Loaded, Error> {
    load_object(object(name), programs)
}

fn load_object(mut object: Object, programs: &[&str]) -> Result<Loaded, Error> {
    if let Some(data) = object.map_mut(".data") {
        data.contents = Some(std::process::id().to_ne_bytes().to_vec());
    }
    let only = programs.iter().map(|p| p.to_string()).collect();
    let plan = object.plan(kernel(), &Options { only, ..Options::default() })?;
    Ok(plan.run()?)
}

/// This kernel; its types and symbols are read once for all tests.
pub(crate) fn kernel() -> &'static Kernel {
    static KERNEL: OnceLock<Kernel> = OnceLock::new();
    KERNEL.get_or_init(Kernel::host)
}

/// What a program counted or noted in element `n`.
fn seen(loaded: &Loaded, n: usize) -> u64 {
    let value = loaded
        .map(".bss")
        .expect("the object has it")
        .get(&[0; 4])
        .expect("it is read")
        .expect("it is there");
    u64::from_ne_bytes(value[n * 8..n * 8 + 8].try_into().expect("8 bytes"))
}

/// Attaches a program to what its section says.
fn auto(loaded: &Loaded, program: &str) -> Result<Link, AttachError> {
    let program = loaded.program(program).expect("it was loaded");
    links::auto(kernel(), program).map(|link| link.expect("its section says where"))
}

/// Attaches a program to a hook in the language of section names.
fn attach(loaded: &Loaded, program: &str, hook: &str) -> Result<Link, AttachError> {
    let target = Target::of_section(hook).expect("it is a hook").expect("it is one by itself");
    links::attach_on(kernel(), loaded.program(program).expect("it was loaded"), &target)
}

/// Everything that an attachment may leave behind: this process's descriptors, the kernel's links, probes
/// written to tracefs.
fn traces() -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for entry in fs::read_dir("/proc/self/fd").expect("procfs is mounted").flatten() {
        if let Ok(to) = fs::read_link(entry.path()) {
            let to = to.display().to_string();
            if to.contains("bpf") || to.contains("perf_event") {
                out.insert(format!("{}: {to}", entry.path().display()));
            }
        }
    }
    // Elsewhere others make links too: other tests, and whoever else uses this machine.
    if std::env::var_os("RAWBPF_GUEST").is_some() {
        out.extend(links::list().unwrap_or_default().iter().map(|link| format!("link {}", link.id)));
    }
    for file in ["kprobe_events", "uprobe_events"] {
        let text = fs::read_to_string(format!("/sys/kernel/tracing/{file}")).unwrap_or_default();
        out.extend(text.lines().map(String::from));
    }
    out
}

/// Runs a test, and makes sure that it leaves nothing behind. The kernel frees links in the background.
fn leaves_nothing(test: impl FnOnce()) {
    // One at a time: each looks at what the whole process holds.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (before, start) = (traces(), std::time::Instant::now());
    test();
    eprintln!("took {:?}", start.elapsed());
    for _ in 0..100 {
        if traces().is_subset(&before) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let left: Vec<String> = traces().difference(&before).cloned().collect();
    panic!("left behind: {left:#?}");
}

/// Calls socket(2), which fails for a family that does not exist.
fn call_socket(family: i32) -> i32 {
    // SAFETY: plain numbers.
    let fd = unsafe { libc::socket(family, libc::SOCK_STREAM, 0) };
    if fd >= 0 {
        // SAFETY: just opened, ours.
        unsafe { libc::close(fd) };
    }
    fd
}

/// Calls getpgid(2), which no library calls by itself.
fn call_getpgid() {
    // The kernel asks its security modules only where a process is named.
    // SAFETY: plain numbers.
    unsafe { libc::getpgid(libc::getpid()) };
}

/// Makes the kernel call bpf_fentry_test1(1) and its kin, by running a tracing program.
fn call_fentry_test(tracer: &Loaded) {
    let run = rawbpf::sys::TestRun::default();
    tracer.programs().next().expect("it has one").test_run(&run).expect("it runs");
}
