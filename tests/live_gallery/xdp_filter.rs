//! `xdp_filter`: at a prompt, in a pipe, from elsewhere; packets and bytes are exact.

use std::fs::File;
use std::io::{BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use nix::sys::signal::Signal;
use nix::sys::termios::tcgetattr;

use super::{LONG, Tool, eventually, example, fails, from, nothing_is_left, run, xdp_on};
use crate::gate::{LITTLE_ENDIAN, ROOT, VETH, require};
use crate::net::{Veth, in_namespace, mount_bpffs};

#[test]
fn counts_to_the_byte() {
    require!(ROOT);
    require!(LITTLE_ENDIAN);
    in_namespace(|| {
        let veth = require!(VETH, Veth::new("near0", "far0"));
        mount_bpffs();
        let mut tool = Tool::start("xdp_filter", &["near0"]);
        tool.line_with("filtering what near0 receives");
        // Each by itself, so that the answer is there before a packet is.
        for network in ["10.0.0.0/8", "10.1.2.3", "2001:db8::/32"] {
            tool.say(&format!("block {network}"));
            assert_eq!(tool.line_with(network), format!("{network} is blocked"));
        }
        for (source, len, times) in [
            ("10.1.2.3", 60, 3),     // the longest prefix counts
            ("10.1.2.4", 100, 2),    // its network
            ("11.0.0.1", 60, 4),     // not blocked
            ("2001:db8::1", 200, 5), // blocked
            ("2001:db9::1", 60, 1),  // not blocked
        ] {
            (0..times).for_each(|_| veth.send_frame(&from(source, len)));
        }
        // In a VLAN and in a VLAN of a VLAN. ARP passes; an IPv4 header that is cut or of another version is none.
        let tagged = |tag: &[u8], frame: &[u8]| [&frame[..12], tag, &frame[12..]].concat();
        let once = tagged(&[0x81, 0, 0, 7], &from("10.1.2.3", 60));
        veth.send_frame(&once);
        veth.send_frame(&tagged(&[0x88, 0xa8, 0, 8], &once));
        veth.send(1);
        veth.send_frame(&from("10.1.2.3", 33));
        let mut wrong = from("10.1.2.3", 60);
        wrong[14] = 0x65;
        veth.send_frame(&wrong);
        let all = "total 20, passed 6 (30.0%), dropped 12 (60.0%), invalid 2 (10.0%)";
        eventually("all packets are counted", || {
            tool.say("stats");
            tool.line_with("total") == all
        });
        tool.say("list");
        let row = |text: &str| tool.line_with(text).split_whitespace().map(String::from).collect::<Vec<_>>();
        assert_eq!(row("BLOCKED"), ["BLOCKED", "PACKETS", "BYTES"]);
        assert_eq!(row("10.0.0.0/8"), ["10.0.0.0/8", "2", "200"]);
        assert_eq!(row("10.1.2.3"), ["10.1.2.3", "5", "312"]);
        assert_eq!(row("2001:db8::/32"), ["2001:db8::/32", "5", "1000"]);
        // The longer one is gone, the shorter one still drops.
        tool.say("unblock 10.1.2.3");
        assert_eq!(tool.line_with("10.1.2.3"), "10.1.2.3 is no longer blocked");
        veth.send_frame(&from("10.1.2.3", 60));
        eventually("it is counted", || {
            tool.say("list");
            row("10.0.0.0/8")[1..] == ["3", "260"]
        });
        // By hand: nothing but the end of the pipe, and that ends nothing.
        drop(tool.child.stdin.take());
        veth.send(1);
        let last = tool.end(Signal::SIGINT).pop();
        assert_eq!(last.as_deref().map(|l| l.split(',').next()), Some(Some("total 22")), "{last:?}");
        nothing_is_left("near0");
    });
}

#[test]
fn takes_commands_from_elsewhere() {
    require!(ROOT);
    require!(LITTLE_ENDIAN);
    in_namespace(|| {
        let veth = require!(VETH, Veth::new("near0", "far0"));
        mount_bpffs();
        let tell = |words: &[&str]| run("xdp_filter", &[&["near0"], words].concat());
        let text = |out: &Output| String::from_utf8_lossy(&out.stdout).trim().to_string();
        assert!(fails("xdp_filter", &["near0", "list"]).contains("no xdp_filter runs on near0; start one"));
        let mut tool = Tool::start("xdp_filter", &["near0"]);
        tool.line_with("filtering");
        assert_eq!(text(&tell(&["block", "10.9.9.9/16"])), "10.9.0.0/16 is blocked");
        assert_eq!(text(&tell(&["block", "2001:db8::9"])), "2001:db8::9 is blocked");
        veth.send_frame(&from("10.9.1.1", 77));
        eventually("it is counted", || {
            text(&tell(&["list"])).lines().any(|l| l.split_whitespace().eq(["10.9.0.0/16", "1", "77"]))
        });
        // What is wrong is said, and changes nothing.
        for (words, why) in [
            (&["block", "10.0.0.256"][..], "`10.0.0.256` is no address and no network"),
            (&["block", "10.0.0.0/33"], "`10.0.0.0/33` is no address and no network"),
            (&["block", "2001:db8::/129"], "write it as 10.0.0.1, 10.0.0.0/8 or 2001:db8::/32"),
            (&["block"], "`block` takes one address or network"),
            (&["block", "10.9.0.0/16"], "10.9.0.0/16 is blocked already"),
            (&["unblock", "10.9.1.1"], "10.9.1.1 is not blocked"),
            (&["list", "all"], "`list` takes no arguments"),
            (&["blokc", "::1"], "there is no command `blokc`"),
            (&["quit"], "Ctrl-C or SIGTERM"),
            (&[], "is taken by a process that is running"),
        ] {
            let said = fails("xdp_filter", &[&["near0"], words].concat());
            assert!(said.contains(why), "{words:?}: {said}");
            // At the prompt the same is said, and the next line is read.
            if let Some(line) = Some(words.join(" ")).filter(|l| !l.is_empty() && l != "quit") {
                tool.say(&line);
            }
        }
        tool.say("stats");
        assert!(tool.line_with("total").starts_with("total 1, passed 0 (0.0%), dropped 1 (100.0%)"));
        tool.say("quit");
        assert!(tool.child.wait().expect("it ends").success());
        nothing_is_left("near0");
        assert!(fails("xdp_filter", &["near0", "stats"]).contains("no xdp_filter runs on near0"));
    });
}

/// A process that is killed can clear nothing up; who comes next does.
#[test]
fn starts_after_one_that_was_killed() {
    require!(ROOT);
    require!(LITTLE_ENDIAN);
    in_namespace(|| {
        let _veth = require!(VETH, Veth::new("near0", "far0"));
        mount_bpffs();
        let mut tool = Tool::start("xdp_filter", &["near0"]);
        tool.line_with("filtering");
        tool.say("block 10.0.0.1");
        tool.line_with("blocked");
        tool.child.kill().expect("it is killed");
        tool.child.wait().expect("it ends");
        assert!(Path::new("/sys/fs/bpf/rawbpf/xdp_filter_near0/maps/blocked4").exists());
        eventually("the link is freed", || xdp_on("near0") == 0);
        let tool = Tool::start("xdp_filter", &["near0"]);
        tool.line_with("filtering");
        assert_eq!(
            String::from_utf8_lossy(&run("xdp_filter", &["near0", "list"]).stdout),
            "nothing is blocked\n"
        );
        tool.end(Signal::SIGTERM);
        nothing_is_left("near0");
    });
}

/// At a terminal: a line is edited, the one before is called back, the counts come by themselves every five seconds
/// (so long the test takes), and Ctrl-C leaves the terminal as it was.
#[test]
fn lines_are_edited_at_a_terminal() {
    require!(ROOT);
    require!(LITTLE_ENDIAN);
    in_namespace(|| {
        let _veth = require!(VETH, Veth::new("near0", "far0"));
        mount_bpffs();
        let terminal = nix::pty::openpty(None, None).expect("a terminal");
        let before = tcgetattr(&terminal.slave).expect("its modes");
        let end = || Stdio::from(terminal.slave.try_clone().expect("another descriptor"));
        let mut command = Command::new(example("xdp_filter"));
        let command = command.arg("near0").env("TERM", "xterm").stdin(end()).stdout(end()).stderr(end());
        let mut tool = command.spawn().expect("it starts");
        let mut master = File::from(terminal.master.try_clone().expect("another descriptor"));
        let screen = Screen::of(File::from(terminal.master));
        screen.until("xdp_filter> ");
        let mut key = |keys: &str| master.write_all(keys.as_bytes()).expect("it is typed");
        // Backspace, cursor to the left, a letter in between.
        key("blokk\x7f 10.0.0.1\x1b[H\x1b[C\x1b[C\x1b[Cc\r");
        screen.until("10.0.0.1 is blocked\r\n");
        key("\x1b[A\r");
        screen.until("error: 10.0.0.1 is blocked already");
        screen.until("total 0, passed 0 (0.0%), dropped 0 (0.0%), invalid 0 (0.0%)");
        key("\x03");
        assert!(tool.wait().expect("it ends").success());
        assert_eq!(tcgetattr(&terminal.slave).expect("its modes"), before);
        nothing_is_left("near0");
    });
}

/// What a terminal shows, as it comes.
struct Screen(Receiver<u8>);

impl Screen {
    fn of(master: File) -> Screen {
        let (send, bytes) = channel();
        std::thread::spawn(move || {
            BufReader::new(master).bytes().map_while(Result::ok).try_for_each(|byte| send.send(byte))
        });
        Screen(bytes)
    }

    /// Reads on until it has shown this.
    #[track_caller]
    fn until(&self, text: &str) {
        let until = Instant::now() + LONG;
        let mut seen = Vec::new();
        while !seen.ends_with(text.as_bytes()) {
            match self.0.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(byte) => seen.push(byte),
                Err(_) => panic!("no `{text}`, but: {:?}", String::from_utf8_lossy(&seen)),
            }
        }
    }
}
