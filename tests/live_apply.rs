//! A file says what stays: it is made so, again and again, and shown, and saved.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::gate::{CLS_BPF, ROOT, VETH, XDP_LINK, require};
use crate::live_deploy::{delete, has_xdp_link, index, xdp_on};
use crate::live_net::world::in_world;
use crate::net::{Veth, mount_bpffs, object, rawbpf, rawbpf_fails, rawbpf_json, rawbpf_ok};

/// Writes a file; @ in it is the folder of the objects.
fn file(dir: &Path, text: &str) -> PathBuf {
    let path = dir.join("apply.toml");
    let objects = Path::new(&object("x.o")).parent().expect("a folder").display().to_string();
    fs::write(&path, text.replace('@', &objects)).expect("it is written");
    path
}

fn apply(path: &Path, more: &[&str]) -> (Option<i32>, String) {
    let path = path.to_string_lossy();
    let out = rawbpf(&[&["apply", &path], more].concat());
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    (out.status.code(), said)
}

#[test]
fn the_second_run_does_nothing_and_says_so() {
    require!(ROOT);
    in_world(|| {
        let veth = require!(VETH, Veth::new("v0", "v1"));
        require!(XDP_LINK, has_xdp_link());
        mount_bpffs();
        let dir = tempfile::tempdir().expect("a folder");
        let text = "[[object]]\npath = \"@/packet_count.o\"\nload = { xdp = \"v0\" }\n";
        let path = file(dir.path(), text);
        let (status, said) = apply(&path, &["--dry-run"]);
        assert_eq!(status, Some(6), "{said}");
        assert!(said.contains("packet_count: attach count_packets to XDP on v0"), "{said}");
        assert_eq!(xdp_on("v0"), 0);
        assert_eq!(apply(&path, &[]).0, Some(0));
        let before = rawbpf_json(&["status"]);
        assert_eq!(before["right"], true, "{before}");
        for more in [&[][..], &["--dry-run"]] {
            let (status, said) = apply(&path, more);
            assert_eq!((status, said.as_str()), (Some(0), "packet_count: nothing to do\n"));
        }
        assert_eq!(rawbpf_json(&["status"]), before, "nothing was touched");
        // What is saved makes the same.
        let saved = rawbpf_ok(&["save"]);
        let again = dir.path().join("saved.toml");
        fs::write(&again, saved).expect("it is written");
        assert_eq!(apply(&again, &["--dry-run"]).1, "packet_count: nothing to do\n");
        // The interface comes back: the program is attached again, and its map keeps what it counted.
        veth.send(3);
        delete(index("v0"));
        let veth = Veth::new("v0", "v1").expect("it is made again");
        let status = rawbpf_json(&["status"]);
        assert_eq!((&status["right"], xdp_on("v0")), (&false.into(), 0), "{status}");
        assert_eq!(rawbpf(&["status", "packet_count"]).status.code(), Some(1));
        assert_eq!(apply(&path, &[]).0, Some(0));
        veth.send(1);
        let dump = rawbpf_json(&["map", "dump", "packet_count_map"]);
        assert_eq!(dump["elements"][0]["value"], 4, "{dump}");
        assert_eq!(rawbpf_json(&["status"])["right"], true);
        let _ = rawbpf_json(&["save"]);
        rawbpf_ok(&["unload", "packet_count"]);
    });
}

#[test]
fn one_that_fails_leaves_the_others_and_itself() {
    require!(ROOT);
    in_world(|| {
        require!(VETH, Veth::new("v0", "v1"));
        require!(XDP_LINK, has_xdp_link());
        mount_bpffs();
        let dir = tempfile::tempdir().expect("a folder");
        let one = "[[object]]\npath = \"@/packet_count.o\"\nname = \"one\"\n";
        let two = "[[object]]\npath = \"@/packet_count.o\"\nname = \"two\"\n";
        let path =
            file(dir.path(), &format!("{one}load = {{ xdp = \"v0\" }}\n{two}load = {{ xdp = \"v1\" }}\n"));
        assert_eq!(apply(&path, &[]).0, Some(0));
        let links = || rawbpf_json(&["status", "one"])["loads"][0]["attachments"].clone();
        let before = links();
        // One wants a place that is not there, another to be somewhere else.
        file(
            dir.path(),
            &format!(
                "{one}load = {{ xdp = \"nope\" }}\n{two}load = {{ xdp = \"lo\", xdp-mode = \"generic\" }}\n"
            ),
        );
        let (status, said) = apply(&path, &[]);
        assert_eq!(status, Some(5), "{said}");
        assert!(said.contains("one: failed: there is no interface `nope`"), "{said}");
        assert!(said.contains("two: attach count_packets to XDP on lo"), "{said}");
        assert_eq!((xdp_on("v0"), xdp_on("v1"), xdp_on("lo")), (1, 0, 1));
        assert_eq!(links(), before);
        // A mistake has its line.
        file(dir.path(), &format!("{one}load = {{ xpd = \"v0\" }}\n"));
        let (status, said) = apply(&path, &[]);
        assert_eq!(status, Some(2), "{said}");
        assert!(
            said.contains("apply.toml:4: object[0].load.xpd:") && said.contains("did you mean"),
            "{said}"
        );
        // The place may come.
        file(dir.path(), &format!("{one}load = {{ xdp = \"nope\", wait = true }}\n"));
        let (status, said) = apply(&path, &["--prune"]);
        assert_eq!(status, Some(0), "{said}");
        assert!(said.contains("one: wait with count_packets for XDP on nope"), "{said}");
        assert!(said.contains("two: unloaded, it is not in the file"), "{said}");
        assert_eq!((xdp_on("v0"), xdp_on("lo")), (0, 0));
        assert_eq!(rawbpf(&["status"]).status.code(), Some(1));
        rawbpf_ok(&["unload", "one"]);
    });
}

#[test]
fn interfaces_are_named_in_many_ways() {
    require!(ROOT);
    in_world(|| {
        require!(VETH, Veth::new("v0", "w0"));
        require!(XDP_LINK, has_xdp_link());
        Veth::new("v1", "w1").expect("another pair");
        mount_bpffs();
        let file = object("packet_count.o");
        rawbpf_ok(&["load", &file, "--xdp", "v*"]);
        assert_eq!(["v0", "v1", "w0", "w1"].map(xdp_on), [1, 1, 0, 0]);
        rawbpf_ok(&["load", &file, "--replace", "--xdp", &format!("ifindex:{}", index("w1"))]);
        assert_eq!(["v0", "v1", "w0", "w1"].map(xdp_on), [0, 0, 0, 1]);
        let said = rawbpf_fails(5, &["load", &file, "--replace", "--xdp", "wlan*"]);
        assert!(said.contains("there is no interface `wlan*`"), "{said}");
        assert_eq!(xdp_on("w1"), 1, "as it was");
        rawbpf_ok(&["unload", "packet_count"]);
    });
}

/// A command that runs, and what it says, line by line.
struct Running {
    child: Child,
    lines: std::sync::mpsc::Receiver<String>,
    readers: Vec<std::thread::JoinHandle<()>>,
}

impl Running {
    fn start(args: &[&str]) -> Running {
        let mut child = Command::new(env!("CARGO_BIN_EXE_rawbpf"))
            .args(args)
            .env("NO_COLOR", "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let (send, lines) = std::sync::mpsc::channel();
        let (out, err) = (child.stdout.take().expect("its output"), child.stderr.take().expect("its errors"));
        let more = send.clone();
        let readers = vec![
            std::thread::spawn(move || {
                BufReader::new(out).lines().map_while(Result::ok).for_each(|l| drop(send.send(l)))
            }),
            std::thread::spawn(move || {
                BufReader::new(err).lines().map_while(Result::ok).for_each(|l| drop(more.send(l)))
            }),
        ];
        Running { child, lines, readers }
    }

    /// Waits for a line with these words: how long that took.
    #[track_caller]
    fn says(&self, words: &str) -> Duration {
        let began = Instant::now();
        let mut said = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(Duration::from_secs(20)) {
            if line.contains(words) {
                return began.elapsed();
            }
            said.push(line);
        }
        panic!("it does not say `{words}`: {said:#?}");
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("it runs");
    }

    fn status(mut self) -> Option<i32> {
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.readers.drain(..).for_each(|reader| drop(reader.join()));
    }
}

#[test]
fn what_is_watched_is_repaired_within_a_second_or_two() {
    require!(ROOT);
    in_world(|| {
        require!(XDP_LINK, has_xdp_link());
        mount_bpffs();
        let dir = tempfile::tempdir().expect("a folder");
        let xdp = "[[object]]\npath = \"@/packet_count.o\"\nload = { xdp = \"v0\" }\n";
        let tc = "[[object]]\npath = \"@/tc_count.o\"\nload = { tc = \"v0\", tc-hook = \"clsact\" }\n";
        let path = file(dir.path(), &format!("{xdp}{tc}"));
        let running = Running::start(&["apply", &path.to_string_lossy(), "--watch"]);
        running.says("tc_count: wait with count_out");
        let began = Instant::now();
        require!(VETH, Veth::new("v0", "v1"));
        running.says("packet_count: attach count_packets to XDP on v0");
        running.says("tc_count: attach count_out to tc egress of v0");
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        let right = || rawbpf_json(&["status"])["right"] == true;
        assert!(right());
        require!(CLS_BPF, Ok::<(), String>(()));
        // Another tool detaches the link by force, which no message says.
        rawbpf_ok(&["link", "detach", "packet_count/xdp_v0"]);
        running.says("packet_count: attach count_packets to XDP on v0");
        // Somebody removes the pin.
        fs::remove_file("/sys/fs/bpf/rawbpf/packet_count/links/xdp_v0").expect("it is removed");
        running.says("packet_count: attach count_packets to XDP on v0");
        delete(index("v0"));
        running.says("packet_count: wait with count_packets");
        Veth::new("v0", "v1").expect("it is made again");
        running.says("tc_count: attach count_out to tc egress of v0");
        assert!(right());
        // The file says something else, and then something wrong.
        file(dir.path(), xdp);
        running.signal(Signal::SIGHUP);
        std::thread::sleep(Duration::from_millis(200));
        file(dir.path(), "[[object]\n");
        running.signal(Signal::SIGHUP);
        running.says("the file is not taken");
        running.signal(Signal::SIGTERM);
        assert_eq!(running.status(), Some(0));
        assert_eq!(xdp_on("v0"), 1, "it stays");
        assert!(right());
        rawbpf_ok(&["unload", "packet_count"]);
        rawbpf_ok(&["unload", "tc_count"]);
    });
}

#[test]
fn in_the_foreground_a_hook_that_is_gone_ends_it_or_is_waited_for() {
    require!(ROOT);
    in_world(|| {
        require!(VETH, Veth::new("v0", "v1"));
        require!(XDP_LINK, has_xdp_link());
        let file = object("packet_count.o");
        let running = Running::start(&["load", &file, "--xdp", "v0", "--foreground"]);
        running.says("in the foreground");
        delete(index("v0"));
        running.says("count_packets is not attached to XDP on v0 any more");
        assert_eq!(running.status(), Some(1));
        Veth::new("v0", "v1").expect("it is made again");
        let running = Running::start(&["load", &file, "--xdp", "v0", "--foreground", "--wait"]);
        running.says("in the foreground");
        delete(index("v0"));
        running.says("any more");
        Veth::new("v0", "v1").expect("it is made again");
        running.says("count_packets is attached to XDP on v0");
        assert_eq!(xdp_on("v0"), 1);
        running.signal(Signal::SIGTERM);
        assert_eq!(running.status(), Some(0));
        assert_eq!(xdp_on("v0"), 0);
    });
}
