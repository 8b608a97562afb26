//! Every verb on a machine that lacks something: an error or the right answer.
//!
//! ```text
//!   fault                        what a program then meets
//!   /sys is empty                no list of CPUs, no types of the kernel, no bpffs, no cgroups
//!   /proc is empty               no processes, no mounts, no symbols, no /proc/self
//!   bpffs may not be read        EACCES at the pins
//!   six descriptors              EMFILE anywhere, also in the middle of what is half done
//!   64 MB of address space       ENOMEM anywhere
//!   all of it
//! ```
//!
//! The table [`rows`] has every verb of the command with arguments that work, on maps of each kind and on a program
//! that stands at an interface. A verb without a row fails the test. Each row runs under each fault, in a mount
//! namespace of its own. Whatever the fault, the command ends by itself, with a status of its own and one of its own
//! messages; it answers as on a whole machine or not at all; and what fails leaves nothing behind: no pin, no program
//! at an interface, no mount, no file.
#![allow(unsafe_code)]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rawbpf::links::Interface;
use rawbpf::{Kernel, Map, Object, Options};

use crate::gate::{HOST, ROOT, VETH, require};
use crate::net::{Veth, in_namespace, mount_bpffs, object, rawbpf, rawbpf_ok};

/// Longer than any verb takes; what is not done by then hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a machine lacks.
#[derive(Debug, Clone, Copy, Default)]
struct Fault {
    name: &'static str,
    empty_sys: bool,
    empty_proc: bool,
    closed_bpffs: bool,
    descriptors: Option<u64>,
    memory: Option<u64>,
}

const WHOLE: Fault = Fault {
    name: "nothing",
    empty_sys: false,
    empty_proc: false,
    closed_bpffs: false,
    descriptors: None,
    memory: None,
};
const EMPTY_SYS: Fault = Fault { name: "an empty /sys", empty_sys: true, ..WHOLE };
const EMPTY_PROC: Fault = Fault { name: "an empty /proc", empty_proc: true, ..WHOLE };
const CLOSED_BPFFS: Fault = Fault { name: "a closed bpffs", closed_bpffs: true, ..WHOLE };
const SIX_DESCRIPTORS: Fault = Fault { name: "six descriptors", descriptors: Some(6), ..WHOLE };
const LITTLE_MEMORY: Fault = Fault { name: "64 MB of address space", memory: Some(64 << 20), ..WHOLE };
const ALL: Fault = Fault {
    name: "all at once",
    empty_sys: true,
    empty_proc: true,
    closed_bpffs: true,
    descriptors: Some(6),
    memory: Some(64 << 20),
};

/// How an answer is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// The same as on a whole machine, or an error.
    Same,
    /// It tells of what is there now, of times or of the machine: it may say less, or something else.
    Own,
    /// As `Own`, and it may fail on a whole machine too, where the kernel lacks something.
    Maybe,
}
use Answer::{Maybe, Own, Same};

/// A verb with its arguments.
struct Row {
    verb: &'static str,
    args: Vec<String>,
    answer: Answer,
    /// Runs until somebody stops it.
    endless: bool,
    /// Run first and afterwards, with nothing missing; the second may fail.
    before: Vec<String>,
    after: Vec<String>,
    input: Option<&'static str>,
}

impl Row {
    fn after(mut self, line: impl Into<String>) -> Row {
        self.after.push(line.into());
        self
    }
    fn before(mut self, line: impl Into<String>) -> Row {
        self.before.push(line.into());
        self
    }
    fn input(mut self, text: &'static str) -> Row {
        self.input = Some(text);
        self
    }
    fn endless(mut self) -> Row {
        self.endless = true;
        self
    }
    /// As it is typed.
    fn line(&self) -> String {
        format!("{} {}", self.verb, self.args.join(" "))
    }
}

fn row(answer: Answer, verb: &'static str, args: impl Into<String>) -> Row {
    let args = args.into().split_whitespace().map(String::from).collect();
    Row { verb, args, answer, endless: false, before: Vec::new(), after: Vec::new(), input: None }
}

/// The maps that the rows name: kind, bytes of key and value, entries. Each is pinned under its kind.
const MAPS: &[(&str, u32, u32, u32)] = &[
    ("array", 4, 8, 4),
    ("hash", 4, 8, 16),
    ("percpu_array", 4, 4096, 4),
    ("percpu_hash", 4, 8, 16),
    ("lru_hash", 4, 8, 16),
    ("lru_percpu_hash", 4, 8, 16),
    ("lpm_trie", 8, 8, 16),
    ("queue", 0, 8, 16),
    ("stack", 0, 8, 16),
    ("prog_array", 4, 4, 4),
    ("perf_event_array", 4, 4, 64),
    ("stack_trace", 4, 1016, 16),
    ("devmap", 4, 4, 4),
    ("cpumap", 4, 4, 4),
    ("xskmap", 4, 4, 4),
    ("sockmap", 4, 8, 4),
    ("sockhash", 4, 8, 4),
];
/// Those that came later; left out where the kernel does not have them.
const NEWER_MAPS: &[(&str, u32, u32, u32)] =
    &[("ringbuf", 0, 0, 4096), ("user_ringbuf", 0, 0, 4096), ("bloom_filter", 0, 8, 16)];

const PINS: &str = "/sys/fs/bpf";

/// What the rows work on.
struct Site {
    dir: tempfile::TempDir,
    veths: [Veth; 2],
    /// A set of callbacks that nothing uses.
    callbacks: Option<rawbpf::Loaded>,
}

impl Site {
    /// Inside namespaces of one's own.
    fn new(veths: [Veth; 2]) -> Site {
        mount_bpffs();
        let dir = tempfile::tempdir().expect("a directory");
        for (kind, key, value, entries) in MAPS {
            assert!(create(kind, *key, *value, *entries), "a {kind} map");
        }
        let made: Vec<_> =
            NEWER_MAPS.iter().filter(|(k, key, value, n)| create(k, *key, *value, *n)).collect();
        eprintln!("{} kinds of maps of {}", MAPS.len() + made.len(), MAPS.len() + NEWER_MAPS.len());
        for (kind, key, value) in [("array", 1, 11), ("hash", 7, 77)] {
            rawbpf_ok(&["map", "set", &pin(kind), &key.to_string(), &value.to_string()]);
        }
        rawbpf_ok(&["map", "set", &pin("percpu_array"), "1", "hex", &"2a".repeat(4096)]);
        rawbpf_ok(&["map", "set", &pin("percpu_hash"), "7", "77"]);
        rawbpf_ok(&["map", "set", &pin("lru_percpu_hash"), "7", "77"]);
        rawbpf_ok(&["map", "push", &pin("queue"), "5"]);
        rawbpf_ok(&["map", "push", &pin("stack"), "5"]);
        rawbpf_ok(&["load", &object("packet_count.o"), "--name", "count", "--xdp", "near0"]);
        let site = Site { dir, veths, callbacks: callbacks() };
        let text = format!(
            "listen = \"127.0.0.1:0\"\n\n[[map]]\nname = \"numbers\"\nfrom = \"{}\"\n\n[[metric]]\nname = \"number\"\n\
             type = \"gauge\"\nmap = \"numbers\"\nlabels = {{ key = \"key\" }}\n",
            pin("count_map")
        );
        fs::write(site.path("export.toml"), text).expect("it is written");
        // An export wants types, which a map made by hand does not have.
        let counters = program_map("count");
        rawbpf_ok(&["map", "pin", "id", &counters.to_string(), &pin("count_map")]);
        fs::write(site.path("lines"), "{\"key\":1,\"value\":11}\n").expect("it is written");
        let applied = format!(
            "[[object]]\npath = \"{}\"\nname = \"applied\"\nload = {{ xdp = \"near1\" }}\n",
            object("packet_count.o")
        );
        fs::write(site.path("apply.toml"), applied).expect("it is written");
        fs::copy(object("packet_count.s"), site.path("copy.s")).expect("it is copied");
        site
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_string_lossy().into_owned()
    }

    /// What a verb that fails must not have changed.
    fn state(&self) -> BTreeSet<String> {
        let mut out = BTreeSet::new();
        walk(Path::new(PINS), &mut out);
        walk(self.dir.path(), &mut out);
        for veth in &self.veths {
            for index in [veth.near, veth.far] {
                let programs = Interface::numbered(index).expect("netlink answers").map(|i| i.xdp);
                out.insert(format!("{index}: {programs:?}"));
            }
        }
        out
    }
}

fn walk(dir: &Path, out: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        out.insert(entry.path().display().to_string());
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            walk(&entry.path(), out);
        }
    }
}

fn pin(name: &str) -> String {
    format!("{PINS}/{name}")
}

fn create(kind: &str, key: u32, value: u32, entries: u32) -> bool {
    let (key, value, entries) = (key.to_string(), value.to_string(), entries.to_string());
    let path = pin(kind);
    let mut args = vec!["map", "create", &path, "--type", kind, "--entries", &entries];
    if key != "0" {
        args.extend(["--key", &key]);
    }
    if value != "0" {
        args.extend(["--value", &value]);
    }
    if kind == "lpm_trie" {
        args.extend(["--flags", "NO_PREALLOC"]);
    }
    let out = rawbpf(&args);
    if !out.status.success() {
        eprintln!("no {kind}: {}", String::from_utf8_lossy(&out.stderr));
    }
    out.status.success()
}

/// The number of the only map of what is loaded under a name.
fn program_map(name: &str) -> u32 {
    let map = Map::open_pin(pin(&format!("rawbpf/{name}/maps/packet_count_map")));
    map.expect("the map is there").info().id
}

/// A set of callbacks that is loaded and not in use, where the kernel takes it.
fn callbacks() -> Option<rawbpf::Loaded> {
    let object = Object::open(object("congestion.o")).ok()?;
    object.plan(&Kernel::host(), &Options::default()).ok()?.run().ok()
}

/// Every verb.
fn rows(site: &Site) -> Vec<Row> {
    let id = |kind: &str| {
        let map = Map::open_pin(pin(kind));
        format!("id {}", map.map_or(0, |map| map.info().id))
    };
    let (array, hash, percpu) = (id("array"), id("hash"), id("percpu_array"));
    let counter = object("packet_count.o");
    let path = |name: &str| site.path(name);
    let prog = pin("rawbpf/count/progs/count_packets");
    let mut rows = vec![
        // What needs no kernel.
        row(Same, "inspect", &*counter),
        row(Same, "inspect", object("usdt.o")),
        row(Same, "plan", format!("{counter} --release 6.12")),
        row(Own, "plan", object("core.o")),
        row(Same, "disasm", &*counter),
        row(Same, "disasm", format!("--text {}", object("ring_events.o"))),
        row(Same, "asm", format!("{} -o {}", path("copy.s"), path("copy.o"))),
        row(Same, "sections", ""),
        row(Same, "completions", "bash"),
        row(Same, "completions", "zsh"),
        row(Own, "man", path("man")),
        row(Same, "gen rust", &*counter),
        row(Own, "gen btf", format!("{} -o {}", object("core_kernel.o"), path("least.btf"))),
        // Loading.
        row(Own, "load", format!("{counter} --name more --xdp near1")).after("unload more"),
        row(Own, "load", format!("{} --name plain", object("ring_events.o"))).after("unload plain"),
        row(Own, "load", format!("{} --name tasks", object("globals.o"))).after("unload tasks"),
        row(Own, "load", format!("{counter} --name count --replace --xdp near0")),
        row(Own, "unload", "gone")
            .before(format!("load {counter} --name gone --xdp near1"))
            .after("unload gone"),
        row(Own, "verify", &*counter),
        row(Own, "verify", object("core.o")),
        row(Own, "doctor", ""),
        row(Own, "doctor", &*counter),
        // Maps.
        row(Own, "map list", ""),
        row(Own, "map show", &*array),
        row(Own, "map show", &*percpu),
        row(Same, "map get", format!("{array} 1")),
        row(Same, "map get", format!("{} 1", pin("hash"))).before(format!("map set {hash} 1 5")),
        row(Same, "map get", format!("{percpu} 1")),
        row(Same, "map get", format!("{} 7", id("percpu_hash"))),
        row(Own, "map set", format!("{array} 2 22")),
        row(Own, "map set", format!("{percpu} 2 hex {}", "2b".repeat(4096))),
        row(Own, "map set", format!("{} 8 88", id("percpu_hash"))),
        row(Own, "map set", format!("{} 0 near0", id("devmap"))),
        row(Own, "map set", format!("{} 0 {prog}", id("prog_array"))),
        row(Own, "map del", format!("{hash} 3")).before(format!("map set {hash} 3 33")),
        row(Own, "map del", format!("{hash} --all")).after(format!("map set {hash} 7 77")),
        row(Own, "map push", format!("{} 6", id("queue"))),
        row(Own, "map pop", id("stack")).before(format!("map push {} 5", pin("stack"))),
        row(Same, "map peek", id("queue")),
        row(Own, "map create", format!("{} --type percpu_array --key 4 --value 64 --entries 4", pin("made")))
            .after("-rm made"),
        row(Own, "map create", format!("{} --type hash --key 4 --value 8 --entries 4", pin("made")))
            .after("-rm made"),
        row(Own, "map pin", format!("{array} {}", pin("other"))).after("-rm other"),
        row(Own, "map freeze", pin("frozen"))
            .before(format!("map create {} --type array --key 4 --value 8 --entries 4", pin("frozen")))
            .after("-rm frozen"),
        row(Own, "map watch", format!("{percpu} --interval 0.05 --count 2")),
        row(Own, "map watch", format!("{hash} --interval 0.05 --count 2")),
        row(Same, "map export", &*array),
        row(Same, "map export", &*percpu),
        row(Own, "map import", format!("{array} --from {}", path("lines"))),
        row(Own, "map import", &*array).input("{\"key\":2,\"value\":11}\n"),
        row(Own, "events", format!("{} --hex", id("perf_event_array"))).endless(),
        row(Own, "export", path("export.toml")).endless(),
        row(Own, "export", format!("--check {}", path("export.toml"))),
        row(Maybe, "trace", "").endless(),
        row(Maybe, "trace", "--global").endless(),
        row(Same, "stack", id("stack_trace")),
        // Programs.
        row(Own, "prog list", ""),
        row(Own, "prog show", &*prog),
        row(Maybe, "prog show", "name count_packets"),
        row(Own, "prog dump", format!("xlated {prog}")),
        row(Own, "prog dump", format!("jited {prog}")),
        row(Maybe, "prog dump", "xlated name count_packets"),
        row(Own, "prog pin", format!("{prog} {}", pin("again"))).after("-rm again"),
        row(Own, "prog run", format!("{prog} --hex {}", "ff".repeat(60))),
        row(Own, "prog stats", format!("{prog} --time 0.05")),
        row(Own, "prog top", "--once --interval 0.05"),
        row(Maybe, "prog stream", format!("out {prog}")),
        // Types.
        row(Own, "btf list", ""),
        row(Same, "btf dump", "vmlinux --root task_struct --format c"),
        row(Same, "btf dump", ""),
        row(Same, "btf dump", &*counter),
        // Attachments.
        row(Maybe, "cgroup tree", ""),
        row(Own, "struct_ops list", ""),
        row(Maybe, "token show", ""),
        row(Maybe, "token create", ""),
        row(Maybe, "status", ""),
        row(Own, "save", ""),
        row(Maybe, "apply", format!("{} --dry-run", site.path("apply.toml"))),
        row(Own, "apply", site.path("apply.toml")).after("unload applied"),
        row(Maybe, "gc", "--dry-run"),
        row(Own, "probes", "tcp_v4_rcv*"),
        row(Same, "probes", format!("main --exe {}", env!("CARGO_BIN_EXE_rawbpf"))),
        row(Own, "feature", ""),
        row(Own, "feature", "devices"),
        row(Own, "link list", ""),
        row(Own, "link list", "--all-netns"),
        row(Own, "link show", ""),
        row(Maybe, "attachments", ""),
        row(Maybe, "attachments", "--tree --all-netns"),
        row(Maybe, "iter", object("iter.o") + " --program dump_task"),
        row(Maybe, "iter", format!("{} --program dump_elements --map {}", object("iter.o"), pin("array"))),
        row(Own, "help", ""),
    ];
    for (kind, ..) in MAPS {
        let keyless = ["queue", "stack", "perf_event_array", "xskmap"].contains(kind);
        rows.push(row(if keyless { Maybe } else { Same }, "map dump", id(kind)));
    }
    for (kind, ..) in NEWER_MAPS {
        rows.push(row(Maybe, "map dump", id(kind)));
        rows.push(row(Maybe, "map show", id(kind)));
    }
    rows.push(row(Maybe, "map push", format!("{} 6", id("bloom_filter"))));
    rows.push(row(Maybe, "map push", format!("{} hex 0102", id("user_ringbuf"))));
    rows.push(row(Maybe, "events", format!("{} --hex", id("ringbuf"))).endless());
    let set = site.callbacks.as_ref().and_then(|l| l.maps().next().map(|m| m.info().id));
    rows.push(row(Maybe, "struct_ops dump", format!("id {}", set.unwrap_or(0))));
    // Links are there where the kernel has links of XDP.
    let load = format!("load {counter} --name linked --xdp near1");
    let mut link = |verb, rest: &str| {
        let row = row(Maybe, verb, format!("{} {rest}", pin("rawbpf/linked/links/xdp_near1")))
            .before(load.as_str());
        rows.push(row.after("unload linked").after("-rm link"));
    };
    link("link show", "");
    link("link detach", "");
    link("link update", &format!("--to {prog}"));
    link("link pin", &format!("--at {}", pin("link")));
    rows
}

/// The verbs that a help text lists.
fn verbs(path: &[&str]) -> Vec<String> {
    let text = rawbpf_ok(&[path, &["--help"]].concat());
    let list = text.split("\nCommands:\n").nth(1).and_then(|t| t.split("\n\n").next()).unwrap_or("");
    let word = |line: &str| {
        let name = line.strip_prefix("  ").filter(|rest| !rest.starts_with(' '))?;
        name.split_whitespace().next().map(String::from)
    };
    list.lines().filter_map(word).collect()
}

/// How a run went.
struct Run {
    status: std::process::ExitStatus,
    out: String,
    err: String,
    hung: bool,
    mounts: (String, String),
    /// What lies on the empty file systems afterwards.
    litter: BTreeSet<String>,
}

/// Runs a row in a mount namespace of its own, with the fault.
fn run(row: &Row, fault: Fault, json: bool) -> Run {
    let mut args: Vec<&str> = row.verb.split(' ').chain(row.args.iter().map(String::as_str)).collect();
    if json {
        args.push("--json");
    }
    std::thread::scope(|scope| {
        let name = std::thread::current().name().unwrap_or("test").to_string();
        let thread = std::thread::Builder::new().name(name).spawn_scoped(scope, || starve(&args, row, fault));
        thread.expect("a thread starts").join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn starve(args: &[&str], row: &Row, fault: Fault) -> Run {
    unshare(CloneFlags::CLONE_NEWNS).expect("root may leave its namespace");
    // It goes on to tell of this namespace when /proc has gone.
    let mut mounts = File::open("/proc/thread-self/mounts").expect("procfs is mounted");
    let mut list = || {
        let mut text = String::new();
        mounts.rewind().and_then(|()| mounts.read_to_string(&mut text)).expect("the mounts are told");
        text
    };
    let cover = |path: &str| {
        mount(Some("none"), path, Some("tmpfs"), MsFlags::empty(), None::<&str>).expect("a tmpfs is mounted");
    };
    if fault.empty_sys {
        cover("/sys");
    }
    if fault.empty_proc {
        cover("/proc");
    }
    let (mut out, mut err) = (tempfile::tempfile().expect("a file"), tempfile::tempfile().expect("a file"));
    let before = list();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rawbpf"));
    command.args(args).env("NO_COLOR", "1").env("RUST_BACKTRACE", "0");
    command.stdout(out.try_clone().expect("a file")).stderr(err.try_clone().expect("a file"));
    command.stdin(Stdio::null());
    if let Some(text) = row.input {
        let mut file = tempfile::tempfile().expect("a file");
        std::io::Write::write_all(&mut file, text.as_bytes()).expect("it is written");
        file.rewind().expect("a file");
        command.stdin(file);
    }
    // SAFETY: system calls alone between fork and exec.
    unsafe { command.pre_exec(move || limit(fault)) };
    let mut child = command.spawn().expect("rawbpf runs");
    let began = Instant::now();
    let (mut hung, mut stopped) = (false, false);
    let status = loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            break status;
        }
        let time = began.elapsed();
        if row.endless && !stopped && time > Duration::from_millis(400) {
            stopped = true;
            kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).expect("it runs");
        }
        if time > PATIENCE {
            hung = true;
            child.kill().expect("it runs");
        }
        std::thread::sleep(Duration::from_millis(3));
    };
    let text = |file: &mut File| {
        let mut bytes = Vec::new();
        file.rewind().and_then(|()| file.read_to_end(&mut bytes)).expect("a file");
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let mut litter = BTreeSet::new();
    if fault.empty_sys {
        walk(Path::new("/sys"), &mut litter);
    }
    if fault.empty_proc {
        walk(Path::new("/proc"), &mut litter);
    }
    let mounts = (before, list());
    Run { status, out: text(&mut out), err: text(&mut err), hung, mounts, litter }
}

/// In the child, before the command starts.
fn limit(fault: Fault) -> std::io::Result<()> {
    let set = |what, most: u64| {
        let most = most as libc::rlim_t;
        let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
        // SAFETY: reads the struct, and nothing else.
        if unsafe { libc::setrlimit(what, &limit) } == 0 {
            Ok(())
        } else {
            Err(std::io::Error::last_os_error())
        }
    };
    set(libc::RLIMIT_CORE, 0)?;
    if fault.closed_bpffs {
        // CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH: a command that is started now does not have them.
        for capability in [1, 2] {
            // SAFETY: takes numbers only.
            if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) } != 0 {
                return Err(std::io::Error::last_os_error());
            }
        }
    }
    if let Some(most) = fault.descriptors {
        set(libc::RLIMIT_NOFILE, most)?;
    }
    if let Some(most) = fault.memory {
        set(libc::RLIMIT_AS, most)?;
    }
    Ok(())
}

fn set_mode(path: &str, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("root may");
}

/// What is wrong with how a run went; nothing if it is in order.
fn wrong(row: &Row, run: &Run, json: bool) -> Option<String> {
    let said = |what: &str| Some(format!("{what}: {}\n{}", run.status, run.err));
    if run.hung {
        return said("it hangs");
    }
    if let Some(signal) = run.status.signal() {
        return said(&format!("signal {signal}"));
    }
    // Those of the command: see `rawbpf --help`.
    if !(0..=6).contains(&run.status.code().unwrap_or(-1)) {
        return said("no status of the command's");
    }
    for word in ["panicked at", "memory allocation of", "RUST_BACKTRACE"] {
        if run.err.contains(word) {
            return said("a panic");
        }
    }
    // One that has gone was taken along by somebody else, who removed the file that it was mounted on.
    let left: Vec<&str> = run.mounts.1.lines().filter(|l| !run.mounts.0.lines().any(|m| m == *l)).collect();
    if !left.is_empty() {
        return said(&format!("mounts are left: {left:?}"));
    }
    if !run.litter.is_empty() {
        return said(&format!("files are left: {:?}", run.litter));
    }
    if json && row.verb != "completions" && row.verb != "help" {
        // Some print a document a line.
        let documents = serde_json::Deserializer::from_str(&run.out).into_iter::<serde_json::Value>();
        for document in documents {
            match document {
                Err(e) => return said(&format!("no JSON: {e}: {:.300}", run.out)),
                Ok(document) if document.get("command").is_some() => {
                    if let Err(e) = crate::schema::check_document(&document) {
                        return said(&format!("not as the schema has it: {e}"));
                    }
                }
                Ok(_) => {}
            }
        }
    }
    if !run.status.success() && !json && !run.err.contains("error: ") && run.out.is_empty() {
        return said("it fails and does not say why");
    }
    None
}

/// A line that prepares a row or cleans up after it: a command line of rawbpf's, or `-rm PIN`.
fn prepare(line: &str) -> bool {
    if let Some(name) = line.strip_prefix("-rm ") {
        return fs::remove_file(pin(name)).is_ok();
    }
    let args: Vec<&str> = line.split_whitespace().collect();
    let out = rawbpf(&args);
    if !out.status.success() {
        eprintln!("{line}: {}", String::from_utf8_lossy(&out.stderr));
    }
    out.status.success()
}

/// Runs every row under a fault.
fn every_row(fault: Fault, json: bool) {
    require!(ROOT);
    in_namespace(|| {
        let veths = Veth::new("near0", "far0").and_then(|a| Ok([a, Veth::new("near1", "far1")?]));
        let site = Site::new(require!(VETH, veths));
        let wanted = std::env::var("RAWBPF_ROWS").unwrap_or_default();
        let mut bad = Vec::new();
        let (mut count, mut answered) = (0, 0);
        let began = Instant::now();
        for row in rows(&site).iter().filter(|r| r.line().contains(&wanted)) {
            let ready = row.before.iter().all(|line| prepare(line));
            assert!(ready || row.answer == Maybe, "{}: cannot be prepared", row.line());
            let whole = (row.answer == Same).then(|| run(row, WHOLE, json));
            let before = site.state();
            if fault.closed_bpffs {
                set_mode(PINS, 0);
            }
            let run = run(row, fault, json);
            if fault.closed_bpffs {
                set_mode(PINS, 0o700);
            }
            let after = site.state();
            count += 1;
            answered += u32::from(run.status.success());
            if std::env::var_os("RAWBPF_SHOW").is_some() {
                eprintln!("--- {}: {}: {}\n{}{}", fault.name, row.line(), run.status, run.out, run.err);
            }
            let mut complain = |what: String| bad.push(format!("{}: {}: {what}", fault.name, row.line()));
            if let Some(what) = wrong(row, &run, json) {
                complain(what);
            } else if !run.status.success() && before != after {
                let change: Vec<_> = before.symmetric_difference(&after).collect();
                complain(format!("it fails, and yet something changed: {change:?}\n{}", run.err));
            } else if let Some(whole) = whole.filter(|_| run.status.success()) {
                if whole.out != run.out {
                    complain(format!(
                        "another answer: {:.600?}\n, on a whole machine: {:.600?}",
                        run.out, whole.out
                    ));
                }
            }
            if fault.name == WHOLE.name && !run.status.success() && row.answer != Maybe {
                complain(format!("it fails on a whole machine: {}{}", run.out, run.err));
            }
            row.after.iter().for_each(|line| _ = prepare(line));
        }
        eprintln!("{}: {count} rows, {answered} answered, {:?}", fault.name, began.elapsed());
        assert!(bad.is_empty(), "{} of {count}:\n{}", bad.len(), bad.join("\n"));
    });
}

#[test]
fn every_verb_has_a_row() {
    require!(ROOT);
    in_namespace(|| {
        let veths = Veth::new("near0", "far0").and_then(|a| Ok([a, Veth::new("near1", "far1")?]));
        let site = Site::new(require!(VETH, veths));
        let rows: BTreeSet<String> = rows(&site).iter().map(|row| row.verb.to_string()).collect();
        let mut all = BTreeSet::new();
        for verb in verbs(&[]) {
            let below = if verb == "help" { Vec::new() } else { verbs(&[&verb]) };
            if below.is_empty() {
                all.insert(verb);
            } else {
                all.extend(below.iter().filter(|b| *b != "help").map(|b| format!("{verb} {b}")));
            }
        }
        assert!(all.len() > 50, "the help is not read: {all:?}");
        assert_eq!(all, rows, "the verbs and the rows of tests/starved.rs");
    });
}

/// An answer that says less than usual must not say what it cannot know.
#[test]
fn what_cannot_be_seen_is_not_claimed() {
    require!(ROOT);
    in_namespace(|| {
        mount_bpffs();
        assert!(create("hash", 4, 8, 16));
        let told = |verb, args: &str| {
            let run = run(&row(Own, verb, args), EMPTY_PROC, false);
            (run.status.code(), run.out, run.err)
        };
        // The map may be held by a process, and the pins of programs are not found.
        let (status, out, err) = told("gc", "--dry-run");
        assert_eq!(status, Some(1), "{out}{err}");
        assert!(
            out.contains("cannot look at the processes") && out.contains("cannot look at the pins"),
            "{out}"
        );
        assert!(!out.contains("no process has it") && !out.contains("no program uses it"), "{out}");
        let (status, out, err) = told("token show", "");
        assert_ne!(status, Some(0), "{out}");
        assert!(
            !out.contains("no bpffs is mounted") && err.contains("/proc/thread-self/mounts"),
            "{out}{err}"
        );
        let (_, out, err) = told("cgroup tree", "");
        assert!(!err.contains("there is no mount") && err.contains("/proc/self/mounts"), "{out}{err}");
        let (_, out, err) = told("probes", "ksys_read --functions");
        assert!(err.contains("/proc/kallsyms") && err.contains("among what could be read"), "{out}{err}");
        let (_, out, err) = told("link list", "");
        assert!(err.contains("cannot look at the processes"), "{out}{err}");
        let (_, out, err) = told("prog list", "");
        assert!(err.contains("cannot look at the pins"), "{out}{err}");
        let (_, out, _) = told("doctor", "");
        let of = |what: &str| out.lines().find(|l| l.contains(what)).unwrap_or("").trim().to_string();
        assert!(of("own user namespace").starts_with("unknown"), "{out}");
        assert!(of("CAP_BPF").starts_with("unknown"), "{out}");
    });
}

#[test]
fn every_verb_on_a_whole_machine() {
    every_row(WHOLE, false);
}

#[test]
fn every_verb_with_an_empty_sys() {
    require!(HOST);
    every_row(EMPTY_SYS, false);
}

#[test]
fn every_verb_with_an_empty_proc() {
    require!(HOST);
    every_row(EMPTY_PROC, false);
}

#[test]
fn every_verb_with_a_closed_bpffs() {
    require!(HOST);
    every_row(CLOSED_BPFFS, false);
}

#[test]
fn every_verb_with_six_descriptors() {
    require!(HOST);
    every_row(SIX_DESCRIPTORS, false);
}

#[test]
fn every_verb_with_little_memory() {
    require!(HOST);
    every_row(LITTLE_MEMORY, false);
}

#[test]
fn every_verb_with_all_of_it() {
    every_row(ALL, true);
}
