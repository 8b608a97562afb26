//! `hello`: what programs print comes back with their names.

use std::process::Command;

use nix::sys::signal::Signal;

use super::{Tool, fails, nothing_is_left};
use crate::gate::{JIT, KPROBE, LITTLE_ENDIAN, ROOT, STACKTRACE, TRACE_INSTANCE, VETH, require};
use crate::net::{Veth, in_namespace};

#[test]
fn says_who_printed() {
    require!(ROOT);
    require!(LITTLE_ENDIAN);
    // Only machine code has a symbol in the stack trace.
    require!(JIT);
    require!(TRACE_INSTANCE, rawbpf::events::TracePipe::private().map(|pipe| pipe.is_private()));
    in_namespace(|| {
        let veth = require!(VETH, Veth::new("near0", "far0"));
        let tool = Tool::start("hello", &["near0"]);
        assert_eq!(tool.line_with("hello_packet is"), "hello_packet is attached");
        let clone = tool.line_with("hello_clone is");
        veth.send(3);
        let lines: Vec<String> = (0..3).map(|_| tool.line_with("hello, packet of 60 bytes")).collect();
        require!(STACKTRACE, lines.iter().all(|line| line.contains("  hello_packet  ")));
        match clone.strip_prefix("hello_clone is not attached: ") {
            None => {
                // fork() is made of clone(2); most others use clone3(2) by now.
                let mut shell =
                    Command::new("sh").args(["-c", "(:); (:)"]).spawn().expect("there is a shell");
                let line = tool.line_with(&format!("hello, clone by process {}", shell.id()));
                assert!(line.contains("  hello_clone  "), "{line}");
                shell.wait().expect("it ends");
            }
            Some(why) => {
                assert!(why.contains("CONFIG_KPROBES") && why.contains("sys_clone"), "{why}");
                crate::gate::skip(&KPROBE, why);
            }
        }
        tool.end(Signal::SIGINT);
        nothing_is_left("near0");
    });
}

#[test]
fn says_what_is_wrong() {
    require!(ROOT);
    require!(LITTLE_ENDIAN);
    require!(TRACE_INSTANCE, rawbpf::events::TracePipe::private().map(drop));
    in_namespace(|| {
        assert!(fails("hello", &["--what"]).contains("usage: hello"));
        let tool = Tool::start("hello", &["nope0"]);
        let line = tool.line_with("hello_packet is not attached");
        assert!(line.contains("there is no interface `nope0`"), "{line}");
    });
}
