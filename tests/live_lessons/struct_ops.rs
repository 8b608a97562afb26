//! struct_ops: congestion controls made of programs, used by connections of a network of the test's own.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use super::{Lesson, kernel, load, load_object, object};
use crate::gate::{GUEST, ROOT, SCHED_EXT, STRUCT_OPS, STRUCT_OPS_LINK, require};
use crate::net::{in_namespace, rawbpf_fails, rawbpf_json, rawbpf_ok};
use rawbpf::elf::MapOrigin;
use rawbpf::links::struct_ops::register;
use rawbpf::maps::{StructOps, StructOpsState};
use rawbpf::{Link, Options};

/// A connection over the loopback interface that sends something under this congestion control.
fn connect(congestion: &str) -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut near = TcpStream::connect(listener.local_addr()?)?;
    // SAFETY: the name is a buffer of its own length.
    let set = unsafe {
        let name = congestion.as_ptr().cast();
        libc::setsockopt(
            near.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_CONGESTION,
            name,
            congestion.len() as u32,
        )
    };
    if set != 0 {
        return Err(std::io::Error::last_os_error());
    }
    let (mut far, _) = listener.accept()?;
    let sent = vec![7; 4096];
    near.write_all(&sent)?;
    let mut got = vec![0; sent.len()];
    far.read_exact(&mut got)?;
    Ok(())
}

/// Waits until the answer is yes: acknowledgements take their time.
fn soon(what: &str, mut is: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is() {
        assert!(since.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The loopback interface works.
fn loopback() {
    crate::net::up(1).expect("lo comes up");
}

fn registered(lesson: &Lesson, map: &str) -> Result<Link, rawbpf::sys::SysError> {
    let value = lesson.loaded.struct_ops_value(map).expect("all its programs are loaded");
    register(lesson.loaded.map(map).expect("it is there"), value)
}

/// Gives a congestion control another name, so that tests side by side do not meet.
fn named(object: &mut rawbpf::Object, map: &str, name: &str) {
    let contents = object.map_mut(map).and_then(|m| m.contents.as_mut()).expect("it has contents");
    let at = contents.windows(4).position(|w| w == b"bpf_").expect("the name");
    contents[at..].fill(0);
    contents[at..at + name.len()].copy_from_slice(name.as_bytes());
}

#[test]
fn a_congestion_control_counts_connections() {
    require!(ROOT);
    in_namespace(|| {
        loopback();
        let mut object = object("cc");
        named(&mut object, "counting", "bpf_library");
        let lesson = require!(STRUCT_OPS, load_object(object, &Options::default()));
        assert_eq!(connect("bpf_library").expect_err("not yet").raw_os_error(), Some(libc::ENOENT));
        let link = registered(&lesson, "counting").expect("it registers");
        let ops = StructOps::try_from(lesson.loaded.map("counting").expect("it is there")).expect("a table");
        assert_eq!(ops.state().expect("it is read"), StructOpsState::InUse);
        connect("bpf_library").expect("a connection");
        assert_eq!(lesson.number("begun"), 1);
        soon("acknowledgements", || lesson.number("acked") > 0);
        drop(link);
        assert_eq!(connect("bpf_library").expect_err("no more").raw_os_error(), Some(libc::ENOENT));
    });
}

#[test]
fn a_link_registers_and_takes_another_table() {
    require!(ROOT);
    in_namespace(|| {
        loopback();
        let load = || {
            let mut object = object("cc_link");
            named(&mut object, "linked", "bpf_linklib");
            load_object(object, &Options::default())
        };
        let first = require!(STRUCT_OPS_LINK, load());
        let link = registered(&first, "linked").expect("it registers");
        connect("bpf_linklib").expect("a connection");
        let second = load().expect("again");
        let map = second.loaded.map("linked").expect("it is there");
        link.update_map(map, second.loaded.struct_ops_value("linked").expect("complete")).expect("updated");
        connect("bpf_linklib").expect("a connection");
        assert_eq!((first.number("begun"), second.number("begun")), (1, 1));
        drop(link);
        assert_eq!(connect("bpf_linklib").expect_err("no more").raw_os_error(), Some(libc::ENOENT));
    });
}

/// How many connections began, as the loaded object's map of this path says.
fn begun(name: &str) -> u64 {
    let dump = rawbpf_json(&["map", "dump", &format!("/sys/fs/bpf/rawbpf/{name}/maps/_bss")]);
    let text = dump["elements"][0]["value"].to_string();
    let value: serde_json::Value = dump["elements"][0]["value"].clone();
    value["begun"].as_u64().unwrap_or_else(|| panic!("a number in {text}"))
}

#[test]
fn the_command_registers_and_unregisters() {
    require!(ROOT);
    in_namespace(|| {
        loopback();
        let file = crate::net::object("cc.o");
        drop(require!(STRUCT_OPS, load("cc")));
        let plan = rawbpf_ok(&["plan", &file]);
        let last = plan.lines().rfind(|l| l.contains("BPF_")).expect("calls");
        assert!(last.contains("BPF_MAP_UPDATE_ELEM") && last.contains("with 4 programs"), "{last}");
        let said = rawbpf_ok(&["load", &file]);
        let line = said.lines().find(|l| l.starts_with("  link")).expect("a line for it");
        assert!(line.contains("counting") && line.contains("no link object"), "{said}");
        assert!(!said.contains("not attached"), "{said}");
        connect("bpf_counting").expect("a connection");
        assert_eq!(begun("cc"), 1);
        let said = rawbpf_fails(2, &["load", &file, "--replace"]);
        assert!(said.contains("registered without a link"), "{said}");
        connect("bpf_counting").expect("it is still there");
        let said = rawbpf_ok(&["unload", "cc"]);
        assert!(said.contains("1 link detached"), "{said}");
        assert_eq!(connect("bpf_counting").expect_err("no more").raw_os_error(), Some(libc::ENOENT));
        let said = rawbpf_ok(&["load", &file, "--no-attach"]);
        assert!(said.contains("not attached: cc_init"), "{said}");
        assert_eq!(connect("bpf_counting").expect_err("not yet").raw_os_error(), Some(libc::ENOENT));
        rawbpf_ok(&["unload", "cc"]);
    });
}

#[test]
fn the_command_pins_the_link_and_replaces_without_a_gap() {
    require!(ROOT);
    in_namespace(|| {
        loopback();
        let file = crate::net::object("cc_link.o");
        drop(require!(STRUCT_OPS_LINK, load("cc_link")));
        assert!(rawbpf_ok(&["plan", &file]).contains("BPF_LINK_CREATE  map_fd=<linked>"));
        rawbpf_ok(&["load", &file]);
        connect("bpf_linked").expect("a connection");
        let link = |list: &serde_json::Value| {
            let all = list["links"].as_array().cloned().unwrap_or_default();
            let mine = all
                .into_iter()
                .find(|l| l["pinned"].to_string().contains("rawbpf/cc_link/links/struct_ops_linked"));
            mine.unwrap_or_else(|| panic!("no link in {list}"))
        };
        let before = link(&rawbpf_json(&["link", "list"]));
        let said = rawbpf_ok(&["load", &file, "--replace"]);
        assert!(said.contains("replaced cc_link"), "{said}");
        let after = link(&rawbpf_json(&["link", "list"]));
        assert_eq!(before["id"], after["id"], "the link stays");
        assert_ne!(before["hook"], after["hook"], "the map is new");
        connect("bpf_linked").expect("a connection");
        assert_eq!(begun("cc_link"), 1, "the new one counts in the new map");
        rawbpf_ok(&["unload", "cc_link"]);
        assert_eq!(connect("bpf_linked").expect_err("no more").raw_os_error(), Some(libc::ENOENT));
    });
}

#[test]
fn tables_behind_a_question_mark_wait_until_they_are_asked_for() {
    require!(ROOT);
    let plain = require!(STRUCT_OPS, load_object(object("cc_optional"), &Options::default()));
    assert_eq!(plain.loaded.programs().count(), 0, "their programs wait too");
    assert_eq!(plain.loaded.maps().filter(|m| !m.name().starts_with('.')).count(), 0);
    let mut asked = object("cc_optional");
    // A member that this kernel does not have is fine as long as it is zero.
    asked.map_mut("second").expect("it is there").autocreate = true;
    let second = load_object(asked.clone(), &Options::default()).expect("it loads");
    assert!(second.loaded.struct_ops_value("second").is_some());
    assert!(second.loaded.program("cc_init").is_none(), "only the first has it");
    // At its place in the object's own struct: three pointers before it.
    let contents = asked.map_mut("second").and_then(|m| m.contents.as_mut()).expect("contents");
    contents[24] = 1;
    let said = asked.plan(kernel(), &Options::default()).expect_err("not zero").to_string();
    assert_eq!(
        said,
        "struct_ops map `second`, member `not_invented_yet`: this kernel has no such member, and its value is not zero"
    );
    assert!(matches!(asked.map("second").expect("it is there").origin, MapOrigin::StructOps(_)));
}

#[test]
fn a_scheduler_begins_and_ends() {
    require!(ROOT);
    require!(GUEST);
    let lesson = require!(SCHED_EXT, load("scheduler"));
    let file =
        |name: &str| std::fs::read_to_string(format!("/sys/kernel/sched_ext/{name}")).unwrap_or_default();
    assert_eq!(file("state").trim(), "disabled");
    let link = registered(&lesson, "lesson").expect("it registers");
    assert_eq!((file("state").trim(), file("root/ops").trim()), ("enabled", "lesson"));
    assert_eq!((lesson.number("begun"), lesson.number("ended")), (1, 0));
    drop(link);
    soon("the scheduler's end", || lesson.number("ended") == 1 && file("state").trim() == "disabled");
}
