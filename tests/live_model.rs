//! Random steps of an operator and of everybody else; after each, what the command said is compared with what the
//! machine's other tools see.
//!
//! ```text
//!   ours                load, load --replace, apply, unload, gc; loads are also killed at some moment
//!   everybody else's    the interface goes, comes, is renamed; ip link set xdp off, tc qdisc del, bpftool net detach,
//!                       bpftool cgroup detach, the cgroup goes, a pin is removed
//! ```
//!
//! Three rules:
//! * after a `load` or `apply` with status 0 the pinned program is the one at the hook, as ip, tc and bpftool see it;
//! * after an `unload` with status 0 nothing of it is left;
//! * what `status` says is what they see.
//!
//! `MODEL_STEPS` makes a run longer and `MODEL_SEED` makes another one; a run prints its seed when it fails.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::gate::{BPFTOOL, HOST, ROOT, require};
use crate::net::{in_namespace, mount_bpffs, object};

/// A generator of numbers that is the same everywhere (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }
}

/// A way to attach, what it is loaded by, and who else can tell what stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Xdp,
    XdpNetlink,
    Tcx,
    Clsact,
    Cgroup,
    CgroupOld,
    Netns,
}

const WAYS: [Way; 7] =
    [Way::Xdp, Way::XdpNetlink, Way::Tcx, Way::Clsact, Way::Cgroup, Way::CgroupOld, Way::Netns];

impl Way {
    fn object(self) -> &'static str {
        match self {
            Way::Xdp | Way::XdpNetlink => "packet_count.o",
            Way::Tcx | Way::Clsact => "tc_count.o",
            Way::Cgroup | Way::CgroupOld => "cgroup_net.o",
            Way::Netns => "flow_dissector.o",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Way::Xdp | Way::XdpNetlink => "count_packets",
            Way::Tcx | Way::Clsact => "count_in",
            Way::Cgroup | Way::CgroupOld => "see_in",
            Way::Netns => "dissect",
        }
    }

    fn args(self, world: &World) -> Vec<String> {
        let group = world.group.display().to_string();
        let words: &[&str] = match self {
            Way::Xdp => &["--xdp", "v0"],
            Way::XdpNetlink => &["--xdp", "v0", "--no-link"],
            Way::Tcx => &["--tc", "v0:ingress", "--tc-hook", "tcx"],
            Way::Clsact => &["--tc", "v0:ingress", "--tc-hook", "clsact"],
            Way::Cgroup => &["--cgroup", &group],
            Way::CgroupOld => &["--cgroup", &group, "--no-link"],
            Way::Netns => &["--netns", "self"],
        };
        let program = ["--program", self.program()];
        program.iter().chain(words).map(|w| w.to_string()).collect()
    }

    /// The ids of the programs that stand at the hook, by others' tools; none if there is no such place.
    fn truth(self, world: &World) -> Vec<u64> {
        let id = |v: &Value| v.as_u64();
        match self {
            Way::Xdp | Way::XdpNetlink => {
                let link = json("ip", &["-j", "link", "show", "dev", "v0"]);
                id(&link[0]["xdp"]["prog"]["id"]).into_iter().collect()
            }
            // Debian's bpftool is older than tcx: a packet tells whether the program runs.
            Way::Tcx => {
                let count = || {
                    let path = "/sys/fs/bpf/rawbpf/model/maps/tc_count_map";
                    json("bpftool", &["-j", "map", "dump", "pinned", path]).to_string()
                };
                let before = count();
                for end in ["v0", "v1"] {
                    run("ip", &["link", "set", end, "up"]);
                }
                send_into("v1");
                let runs = before != "null" && count() != before;
                pinned("model", self).filter(|_| runs).into_iter().collect()
            }
            Way::Clsact => {
                let list = json("tc", &["-j", "filter", "show", "dev", "v0", "ingress"]);
                let list = list.as_array().cloned().unwrap_or_default();
                list.iter().filter_map(|row| id(&row["options"]["prog"]["id"])).collect()
            }
            Way::Netns => {
                // Debian's bpftool writes JSON here that is none.
                let text = String::from_utf8_lossy(&run("bpftool", &["net", "show"]).stdout).into_owned();
                let list = text.split_once("flow_dissector:").map(|(_, rest)| rest.to_string());
                let words = list.unwrap_or_default();
                words.lines().filter_map(|l| l.trim().strip_prefix("id ")?.parse().ok()).collect()
            }
            Way::Cgroup | Way::CgroupOld => {
                let group = world.group.display().to_string();
                let list = json("bpftool", &["-j", "cgroup", "show", &group]);
                let list = list.as_array().cloned().unwrap_or_default();
                list.iter().filter_map(|row| id(&row["id"])).collect()
            }
        }
    }
}

struct World {
    group: PathBuf,
}

/// The file that wants what [`Way::args`] wants.
fn toml_of(way: Way, world: &World, name: &str) -> String {
    let group = world.group.display();
    let load = match way {
        Way::Xdp => "xdp = \"v0\"".to_string(),
        Way::XdpNetlink => "xdp = \"v0\", no-link = true".into(),
        Way::Tcx => "tc = \"v0:ingress\", tc-hook = \"tcx\"".into(),
        Way::Clsact => "tc = \"v0:ingress\", tc-hook = \"clsact\"".into(),
        Way::Cgroup => format!("cgroup = \"{group}\""),
        Way::CgroupOld => format!("cgroup = \"{group}\", no-link = true"),
        Way::Netns => "netns = \"self\"".into(),
    };
    let (path, program) = (object(way.object()), way.program());
    format!(
        "[[object]]\npath = \"{path}\"\nname = \"{name}\"\nload = {{ program = \"{program}\", {load} }}\n"
    )
}

fn run(program: &str, args: &[&str]) -> Output {
    Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}"))
}

fn json(program: &str, args: &[&str]) -> Value {
    serde_json::from_slice(&run(program, args).stdout).unwrap_or(Value::Null)
}

/// The id of the program that the load of this name has pinned.
fn pinned(name: &str, way: Way) -> Option<u64> {
    let path = format!("/sys/fs/bpf/rawbpf/{name}/progs/{}", way.program());
    json("bpftool", &["-j", "prog", "show", "pinned", &path])["id"].as_u64()
}

/// Sends a frame out of an interface, which comes in at its peer.
fn send_into(interface: &str) {
    let Ok(index) = nix::net::if_::if_nametoindex(interface) else { return };
    // An interface that was just set up may drop the first frame.
    for _ in 0..3 {
        if crate::live_net::world::send_out_of(index).is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Runs the command, at most for a while; killed after `kill`, if that is given. Its status and what it said.
fn ours(args: &[String], kill: Option<Duration>) -> (Option<i32>, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_rawbpf"))
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let since = Instant::now();
    if let Some(after) = kill {
        std::thread::sleep(after);
        let _ = child.kill();
    }
    while child.try_wait().expect("a child").is_none() {
        assert!(since.elapsed() < Duration::from_secs(20), "{args:?} hangs");
        std::thread::sleep(Duration::from_millis(2));
    }
    let out = child.wait_with_output().expect("it ended");
    let said = [out.stdout, out.stderr].concat();
    (out.status.code(), String::from_utf8_lossy(&said).into_owned())
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|w| w.to_string()).collect()
}

/// One step; what it was, and what is wrong after it.
fn step(dice: &mut Dice, world: &World, way: Way, name: &str) -> (String, Result<(), String>) {
    let group = world.group.display().to_string();
    let outsiders: &[&[&str]] = match way {
        Way::Xdp | Way::XdpNetlink => &[
            &["ip", "link", "set", "dev", "v0", "xdp", "off"],
            &["ip", "link", "set", "dev", "v0", "xdpgeneric", "off"],
            &["bpftool", "net", "detach", "xdp", "dev", "v0"],
        ],
        Way::Tcx => &[&["bpftool", "net", "detach", "tcx_ingress", "dev", "v0"]],
        Way::Clsact => &[
            &["tc", "qdisc", "del", "dev", "v0", "clsact"],
            &["tc", "filter", "del", "dev", "v0", "ingress"],
        ],
        Way::Cgroup | Way::CgroupOld | Way::Netns => &[],
    };
    match dice.below(20) {
        0..=5 => {
            let replace = dice.below(3) > 0;
            let kill = (dice.below(6) == 0).then(|| Duration::from_micros(dice.below(30_000)));
            let mut args = vec!["load".into(), object(way.object()), "--name".into(), name.into()];
            args.extend(way.args(world));
            args.extend(replace.then(|| "--replace".to_string()));
            let (status, said) = ours(&args, kill);
            let what = format!("{args:?}, killed {kill:?}: {status:?}\n{said}");
            let is_so = status != Some(0) || {
                let (ours, there) = (pinned(name, way), way.truth(world));
                ours.is_some_and(|id| there.contains(&id))
            };
            let crashed = status.is_none() && kill.is_none() || status == Some(101);
            let wrong = match (is_so, crashed) {
                (false, _) => Err(format!(
                    "status 0, and {:?} stands there, pinned {:?}",
                    way.truth(world),
                    pinned(name, way)
                )),
                (_, true) => Err("it crashed".into()),
                _ => Ok(()),
            };
            (what, wrong)
        }
        6..=8 => {
            let before = pinned(name, way);
            let args = words(&["unload", name]);
            let (status, said) = ours(&args, None);
            let what = format!("{args:?}: {status:?}\n{said}");
            let left = Path::new("/sys/fs/bpf/rawbpf").join(name).exists()
                || before.is_some_and(|id| way.truth(world).contains(&id));
            let wrong = match status {
                Some(0) if left => Err("status 0, and some of it is left".into()),
                Some(101) | None => Err("it crashed".into()),
                _ => Ok(()),
            };
            (what, wrong)
        }
        15..=16 => {
            let file = std::env::temp_dir().join(format!("rawbpf_model_{}.toml", std::process::id()));
            fs::write(&file, toml_of(way, world, name)).expect("a file is written");
            let kill = (dice.below(8) == 0).then(|| Duration::from_micros(dice.below(30_000)));
            let (status, said) = ours(&words(&["apply", &file.display().to_string()]), kill);
            let _ = fs::remove_file(&file);
            let is_so =
                status != Some(0) || pinned(name, way).is_some_and(|id| way.truth(world).contains(&id));
            let crashed = status.is_none() && kill.is_none() || status == Some(101);
            let wrong = match (is_so, crashed) {
                (false, _) => Err(format!("apply: status 0, and {:?} stands there", way.truth(world))),
                (_, true) => Err("apply crashed".into()),
                _ => Ok(()),
            };
            (format!("apply, killed {kill:?}: {status:?}\n{said}"), wrong)
        }
        17 => {
            let mut args = words(&["load", &object(way.object()), "--name", name, "--replace"]);
            args.extend(way.args(world));
            let both = std::thread::scope(|scope| {
                // The network namespace is the thread's, and its children's.
                [0, 1].map(|_| scope.spawn(|| ours(&args, None))).map(|t| t.join().expect("it ends"))
            });
            let done = both.iter().any(|(status, _)| *status == Some(0));
            let is_so = !done || pinned(name, way).is_some_and(|id| way.truth(world).contains(&id));
            let crashed = both.iter().any(|(status, _)| matches!(status, None | Some(101)));
            let wrong = match is_so && !crashed {
                true => Ok(()),
                false => Err(format!("two at once, and {:?} stands there", way.truth(world))),
            };
            (format!("two at once: {both:?}"), wrong)
        }
        9 => {
            let (status, said) = ours(&words(&["gc"]), None);
            let wrong = if matches!(status, None | Some(101)) { Err("it crashed".into()) } else { Ok(()) };
            (format!("gc: {status:?}\n{said}"), wrong)
        }
        10..=11 => {
            let args: &[&str] = match way {
                Way::Cgroup | Way::CgroupOld => {
                    let _ = fs::remove_dir(&world.group);
                    let _ = fs::create_dir(&world.group);
                    &["true"]
                }
                _ => {
                    run("ip", &["link", "del", "v0"]);
                    run("ip", &["link", "del", "old0"]);
                    &["ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1"]
                }
            };
            run(args[0], &args[1..]);
            ("the place goes and comes".into(), Ok(()))
        }
        12 if !matches!(way, Way::Cgroup | Way::CgroupOld) => {
            run("ip", &["link", "set", "v0", "name", "old0"]);
            run("ip", &["link", "set", "v1", "name", "old1"]);
            run("ip", &["link", "add", "v0", "type", "veth", "peer", "name", "v1"]);
            ("the interface is renamed, and there is a new one".into(), Ok(()))
        }
        13 => {
            let pins = fs::read_dir(format!("/sys/fs/bpf/rawbpf/{name}/links"));
            for pin in pins.into_iter().flatten().flatten() {
                let _ = fs::remove_file(pin.path());
            }
            ("the pins of the links are removed".into(), Ok(()))
        }
        14 if matches!(way, Way::Cgroup | Way::CgroupOld) => {
            let id = way.truth(world).first().map_or("0".into(), u64::to_string);
            run("bpftool", &["cgroup", "detach", &group, "cgroup_inet_ingress", "id", &id]);
            ("bpftool cgroup detach".into(), Ok(()))
        }
        _ if !outsiders.is_empty() => {
            let args = dice.pick(outsiders);
            run(args[0], &args[1..]);
            (format!("{args:?}"), Ok(()))
        }
        _ => ("nothing".into(), Ok(())),
    }
}

/// What `status` says of the load, beside what others see.
fn status_is_so(world: &World, way: Way, name: &str) -> Result<(), String> {
    let (code, said) = ours(&words(&["--json", "status", name]), None);
    let document: Value = serde_json::from_str(&said).unwrap_or(Value::Null);
    if matches!(code, None | Some(101)) {
        return Err(format!("status crashed: {said}"));
    }
    let rows = document["loads"][0]["attachments"].as_array().cloned().unwrap_or_default();
    let there = pinned(name, way).is_some_and(|id| way.truth(world).contains(&id));
    let load = &document["loads"][0];
    let says = load["right"] == true && rows.iter().any(|row| row["right"] == true);
    // In the middle of a replacement either program may run.
    let is_open = load["notes"].to_string().contains("cut short");
    if is_open && code == Some(1) {
        return Ok(());
    }
    match (rows.is_empty(), says == there) {
        (true, _) if there && code != Some(0) => Ok(()),
        (true, _) if !there => Ok(()),
        (false, true) => Ok(()),
        _ => Err(format!("status ({code:?}) says {says}, others see {there}: {said}")),
    }
}

/// One way, so many steps with this seed.
fn walk(seed: u64, way: Way, steps: u64) {
    in_namespace(|| {
        mount_bpffs();
        let root = tempfile::tempdir().expect("a directory");
        nix::mount::mount(
            Some("none"),
            root.path(),
            Some("cgroup2"),
            nix::mount::MsFlags::empty(),
            None::<&str>,
        )
        .expect("cgroup2 is mounted");
        let group = root.path().join(format!("rawbpf_model_{}_{seed}", std::process::id()));
        fs::create_dir(&group).expect("a cgroup");
        let world = World { group };
        run("ip", &["link", "add", "v0", "type", "veth", "peer", "name", "v1"]);
        let mut dice = Dice(seed);
        let mut log = Vec::new();
        for n in 0..steps {
            let (what, wrong) = step(&mut dice, &world, way, "model");
            log.push(what);
            let wrong = wrong.and_then(|()| status_is_so(&world, way, "model"));
            if let Err(why) = wrong {
                let tail: Vec<_> = log.iter().rev().take(6).rev().cloned().collect();
                panic!("{way:?}, seed {seed}, step {n}: {why}; the last steps:\n{}", tail.join("\n"));
            }
        }
        let _ = ours(&words(&["unload", "model"]), None);
        let _ = fs::remove_dir(&world.group);
        nix::mount::umount(root.path()).expect("it is not mounted any more");
    });
}

/// The steps of a run in CI, for all ways together; `MODEL_STEPS` for more.
const STEPS: u64 = 300;

#[test]
fn what_the_command_says_is_what_others_see() {
    require!(ROOT);
    require!(HOST);
    require!(BPFTOOL);
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let steps = number("MODEL_STEPS").unwrap_or(STEPS);
    let seed = number("MODEL_SEED").unwrap_or(17);
    for (n, way) in WAYS.into_iter().enumerate() {
        // Runs of fifty: each begins on a clean machine.
        let mut left = steps / WAYS.len() as u64;
        let mut round = 0;
        while left > 0 {
            let now = left.min(50);
            walk(seed * 1000 + round * 10 + n as u64, way, now);
            (left, round) = (left - now, round + 1);
        }
    }
}
