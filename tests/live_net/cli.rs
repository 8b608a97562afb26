//! The hooks of the network on the command line: load, see, replace, unload, and nothing is left.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::world::{add_address, has_tcx, in_world, load, program, send_out_of, try_load};
use crate::gate::{CLS_BPF, LWT_BPF, NETFILTER, ROOT, TCX, VETH, require};
use crate::net::{Veth, in_namespace, mount_bpffs, object, rawbpf, rawbpf_fails, rawbpf_json, rawbpf_ok};
use rawbpf::links::{Direction, NetNs, Tc, TcHook};
use rawbpf::{Kernel, Target};

/// What is left of the loads of this namespace.
fn left_behind() -> Vec<String> {
    let mut out = Vec::new();
    let mut todo = vec![Path::new("/sys/fs/bpf/rawbpf").to_path_buf()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            out.push(entry.path().display().to_string());
            todo.push(entry.path());
        }
    }
    out
}

/// An element of an array map, by its pin.
fn counted(load: &str, map: &str, index: usize) -> u64 {
    let dump = rawbpf_json(&["map", "dump", &format!("/sys/fs/bpf/rawbpf/{load}/maps/{map}")]);
    dump["elements"][index]["value"].as_u64().unwrap_or_else(|| panic!("a number in {dump}"))
}

/// The attachments of a load's programs.
fn attachments(args: &[&str]) -> Vec<Value> {
    let list = rawbpf_json(&[&["attachments"], args].concat());
    list["attachments"].as_array().cloned().unwrap_or_else(|| panic!("a list in {list}"))
}

fn of_program(list: &[Value], name: &str) -> Vec<Value> {
    let pinned = |a: &Value| a["program_pinned"].as_array().is_some_and(|p| !p.is_empty());
    list.iter().filter(|a| a["program"] == name && pinned(a)).cloned().collect()
}

/// A filter can be made: by the same library, but without the command.
fn has_clsact() -> Result<(), String> {
    let loaded = load("tc_count.o", &["count_in"]);
    let tc = Tc { hook: TcHook::Clsact, ..Tc::new("lo", Direction::Ingress) };
    rawbpf::attach(program(&loaded, "count_in"), &Target::Tc(tc)).map(drop).map_err(|e| e.to_string())
}

#[test]
fn tc_in_both_directions_by_the_sections() {
    require!(ROOT);
    in_world(|| {
        let veth = require!(VETH, Veth::new("near0", "far0"));
        if has_tcx().is_err() {
            require!(CLS_BPF, has_clsact());
        }
        let counter = object("tc_count.o");
        let said = rawbpf_ok(&["load", &counter]);
        assert!(
            said.contains("not attached: count_in: an interface has to be named: --tc IF[:ingress|egress]"),
            "{said}"
        );
        rawbpf_ok(&["unload", "tc_count"]);

        let said = rawbpf_ok(&["load", &counter, "--tc", "near0"]);
        assert!(said.contains("tc ingress of near0") && said.contains("tc egress of near0"), "{said}");
        veth.send(4);
        send_out_of(veth.near).expect("it is sent");
        assert_eq!((counted("tc_count", "tc_count_map", 0), counted("tc_count", "tc_count_map", 1)), (4, 1));
        let list = attachments(&[]);
        let listed = of_program(&list, "count_in");
        assert_eq!(listed.len(), 1, "{list:?}");
        assert_eq!(listed[0]["place"], "near0 ingress");
        rawbpf_ok(&["unload", "tc_count"]);
        assert!(left_behind().is_empty(), "{:?}", left_behind());
        assert!(of_program(&attachments(&[]), "count_in").is_empty());
    });
}

#[test]
fn a_filter_stays_and_is_found_again() {
    require!(ROOT);
    in_world(|| {
        let veth = require!(VETH, Veth::new("near0", "far0"));
        require!(CLS_BPF, has_clsact());
        let counter = object("tc_count.o");
        let said = rawbpf_ok(&["load", &counter, "--tc", "near0", "--tc-hook", "clsact"]);
        assert!(said.contains("no link object"), "{said}");
        assert!(Path::new("/sys/fs/bpf/rawbpf/tc_count/direct/tc_ingress_near0").exists());
        veth.send(3);
        assert_eq!(counted("tc_count", "tc_count_map", 0), 3);
        let before = of_program(&attachments(&[]), "count_in").remove(0);
        assert_eq!((&before["by"], &before["kind"]), (&"filter".into(), &"tc".into()));

        // Another program in the same place: the filter stays, with its priority and handle.
        let said = rawbpf_ok(&["load", &counter, "--replace"]);
        assert!(said.contains("replaced tc_count"), "{said}");
        let after = of_program(&attachments(&[]), "count_in").remove(0);
        assert_eq!(before["hook"], after["hook"]);
        assert_ne!(before["prog_id"], after["prog_id"]);
        veth.send(2);
        assert_eq!(counted("tc_count", "tc_count_map", 0), 2, "the new one's map");
        rawbpf_ok(&["unload", "tc_count"]);
        assert!(left_behind().is_empty(), "{:?}", left_behind());
    });
}

#[test]
fn what_fails_leaves_nothing() {
    require!(ROOT);
    in_world(|| {
        let _veth = require!(VETH, Veth::new("near0", "far0"));
        require!(CLS_BPF, has_clsact());
        let counter = object("tc_count.o");
        // The second interface does not exist: the first is attached, and let go again.
        let args = ["load", &counter, "--tc", "near0,nope0", "--tc-hook", "clsact"];
        let said = rawbpf_fails(5, &args);
        assert!(said.contains("there is no interface `nope0`"), "{said}");
        assert!(left_behind().is_empty(), "{:?}", left_behind());
    });
}

/// Runs the command five times and kills it each time at another moment, from its start until it is done; `before`
/// and `after` each are called around that. Whole runs take some milliseconds here and some hundred in a guest, and what
/// is not met there by one kernel is by another.
fn kill_at_all_moments(args: &[&str], before: impl Fn(), after: impl Fn(Duration)) {
    before();
    let began = std::time::Instant::now();
    rawbpf_ok(args);
    let whole = began.elapsed();
    after(whole);
    for step in 1..=5 {
        before();
        let mut child = Command::new(env!("CARGO_BIN_EXE_rawbpf"))
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        std::thread::sleep(whole * step / 5);
        child.kill().expect("it is killed");
        child.wait().expect("it has ended");
        after(whole * step / 5);
    }
}

/// Takes a load back, whatever state it is in, and looks for what is left.
fn clean_up_after(name: &str, killed: Duration) {
    let out = rawbpf(&["unload", name]);
    let known = [Some(0), Some(5)].contains(&out.status.code());
    assert!(known, "killed after {killed:?}: {}", String::from_utf8_lossy(&out.stderr));
    assert!(left_behind().is_empty(), "killed after {killed:?}: {:?}", left_behind());
    assert_eq!(super::world::attached(), Vec::<String>::new(), "killed after {killed:?}");
}

#[test]
fn killed_at_any_moment_it_leaves_only_what_unload_finds() {
    require!(ROOT);
    in_world(|| {
        let _veth = require!(VETH, Veth::new("near0", "far0"));
        require!(CLS_BPF, has_clsact());
        mount_bpffs();
        let counter = object("tc_count.o");
        let load = ["load", &counter, "--tc", "near0", "--tc-hook", "clsact"];
        kill_at_all_moments(&load, || (), |killed| clean_up_after("tc_count", killed));
        // And in the middle of taking it back.
        let unload = ["unload", "tc_count"];
        kill_at_all_moments(&unload, || drop(rawbpf_ok(&load)), |killed| clean_up_after("tc_count", killed));
    });
}

#[test]
fn a_replacement_that_is_killed_leaves_no_hook_empty() {
    require!(ROOT);
    in_world(|| {
        let _veth = require!(VETH, Veth::new("near0", "far0"));
        require!(CLS_BPF, has_clsact());
        mount_bpffs();
        let (filters, xdp) = (object("tc_count.o"), object("packet_count.o"));
        let load_filters = ["load", &filters, "--tc", "near0", "--tc-hook", "clsact"];
        let load_xdp = ["load", &xdp, "--xdp", "near0", "--xdp-mode", "generic"];
        for (name, load, programs) in [
            ("tc_count", &load_filters[..], &["count_in", "count_out"][..]),
            ("packet_count", &load_xdp, &["count_packets"]),
        ] {
            let replace = [load, &["--replace"]].concat();
            // Each replaces what the one before has left, in whatever state that is.
            rawbpf_ok(load);
            let after = |killed: Duration| {
                let list = attachments(&[]);
                // Links of other tests are listed, too, without the names of their interfaces.
                let here = |a: &&Value| a["place"].as_str().is_some_and(|place| place.starts_with("near0"));
                let found =
                    |name: &&&str| list.iter().filter(here).filter(|a| a["program"] == **name).count();
                let counts: Vec<usize> = programs.iter().map(|name| found(&name)).collect();
                assert_eq!(counts, vec![1; programs.len()], "{name}, killed after {killed:?}: {list:?}");
            };
            kill_at_all_moments(&replace, || (), after);
            let said = rawbpf_ok(&replace);
            assert!(said.contains("replaced"), "{said}");
            after(Duration::MAX);
            clean_up_after(name, Duration::MAX);
            // Or it is taken back as it is.
            kill_at_all_moments(
                &replace,
                || drop(rawbpf_ok(&replace)),
                |killed| clean_up_after(name, killed),
            );
        }
    });
}

#[test]
fn in_the_foreground_it_ends_with_the_command() {
    require!(ROOT);
    in_world(|| {
        let veth = require!(VETH, Veth::new("near0", "far0"));
        require!(CLS_BPF, has_clsact());
        let args = ["load", &object("tc_count.o"), "--tc", "near0", "--tc-hook", "clsact", "--foreground"];
        let mut child = Command::new(env!("CARGO_BIN_EXE_rawbpf"))
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let until = std::time::Instant::now() + Duration::from_secs(20);
        while super::world::attached().is_empty() {
            assert!(std::time::Instant::now() < until, "it is never attached");
            std::thread::sleep(Duration::from_millis(20));
        }
        veth.send(1);
        // The second filter may come a moment later; a signal that comes before that waits.
        std::thread::sleep(Duration::from_millis(200));
        let pid = nix::unistd::Pid::from_raw(child.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("it is told to end");
        assert!(child.wait().expect("it ends").success());
    });
}

#[test]
fn programs_of_a_cgroup() {
    require!(ROOT);
    in_world(|| {
        mount_bpffs();
        let mount = rawbpf::links::cgroup::mount_point().expect("cgroup2 is mounted");
        let name = format!("rawbpf-cli-{}", std::process::id());
        let path = mount.join(&name);
        fs::create_dir(&path).expect("a cgroup is made");
        let file = object("cgroup_host.o");
        for extra in [&[][..], &["--no-link"], &["--cgroup-share", "override"]] {
            // By its path below the mount.
            rawbpf_ok(&[&["load", &file, "--cgroup", &name], extra].concat());
            let list = attachments(&[]);
            let found = of_program(&list, "no_dev_zero");
            assert_eq!(found.len(), 1, "{extra:?}: {list:?}");
            assert_eq!(found[0]["by"], if extra.is_empty() { "link" } else { "prog_attach" });
            assert_eq!(found[0]["hook"]["path"], path.display().to_string());
            let before = found[0]["prog_id"].clone();
            rawbpf_ok(&["load", &file, "--replace"]);
            let after = of_program(&attachments(&[]), "no_dev_zero");
            assert_eq!(after.len(), 1, "{extra:?}");
            assert_ne!(after[0]["prog_id"], before, "{extra:?}");
            rawbpf_ok(&["unload", "cgroup_host"]);
            assert!(of_program(&attachments(&[]), "no_dev_zero").is_empty(), "{extra:?}");
            assert!(left_behind().is_empty(), "{:?}", left_behind());
        }
        let said = rawbpf_fails(5, &["load", &file, "--cgroup", "no/such"]);
        assert!(said.contains("there is no cgroup"), "{said}");
        fs::remove_dir(&path).expect("the cgroup is removed");
    });
}

#[test]
fn programs_of_a_map_of_sockets() {
    require!(ROOT);
    in_world(|| {
        mount_bpffs();
        let file = object("sockmap.o");
        for extra in [&[][..], &["--no-link"]] {
            let args = ["load", &file, "--sockmap", "sockets_map", "--program", "on_send"];
            rawbpf_ok(&[&args, extra].concat());
            rawbpf_ok(&["unload", "sockmap"]);
            assert!(left_behind().is_empty(), "{:?}", left_behind());
        }
        let said = rawbpf_fails(2, &["load", &file, "--sockmap", "nope"]);
        assert!(said.contains("--sockmap: the object has no map `nope`; it has: sockets_map"), "{said}");
    });
}

#[test]
fn a_route_through_a_program() {
    require!(ROOT);
    in_world(|| {
        let veth = require!(VETH, Veth::new("near0", "far0"));
        add_address(veth.near, "10.8.0.1".parse().expect("an address"), 24);
        mount_bpffs();
        let file = object("lwt.o");
        let loaded = try_load("lwt.o", &["count_leaving"]).map_err(|e| e.to_string());
        let by_hand = |loaded: rawbpf::Loaded| {
            let route = "10.7.0.0/16,dev=near0".parse().expect("a route");
            rawbpf::attach(program(&loaded, "count_leaving"), &Target::Route(route))
                .map(drop)
                .map_err(|e| e.to_string())
        };
        require!(LWT_BPF, loaded.and_then(by_hand));
        let args = ["load", &file, "--program", "count_leaving", "--route", "10.9.0.0/16,dev=near0"];
        let said = rawbpf_ok(&args);
        assert!(said.contains("route 10.9.0.0/16 dev near0") && said.contains("no link object"), "{said}");
        let seen = of_program(&attachments(&[]), "count_leaving");
        assert_eq!((&seen[0]["by"], &seen[0]["place"]), (&"route".into(), &"10.9.0.0/16 out".into()));
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").expect("a socket");
        socket.send_to(b"x", "10.9.1.2:9").expect("it is sent");
        assert_eq!(counted("lwt", "lwt_map", 1), 1);
        // Another program on the same route.
        rawbpf_ok(&["load", &file, "--program", "count_leaving", "--replace"]);
        let after = of_program(&attachments(&[]), "count_leaving");
        assert_ne!(seen[0]["prog_id"], after[0]["prog_id"]);
        rawbpf_ok(&["unload", "lwt"]);
        assert!(of_program(&attachments(&[]), "count_leaving").is_empty());
        assert!(socket.send_to(b"x", "10.9.1.2:9").is_err(), "the route is gone");
    });
}

#[test]
fn a_hook_of_the_ip_stack() {
    require!(ROOT);
    in_world(|| {
        require!(NETFILTER, try_load("netfilter.o", &[]));
        mount_bpffs();
        let file = object("netfilter.o");
        rawbpf_ok(&["load", &file, "--netfilter", "ipv4:input:-150,ipv6:input"]);
        let list = attachments(&[]);
        let places: Vec<&Value> =
            list.iter().filter(|a| a["kind"] == "netfilter").map(|a| &a["place"]).collect();
        assert!(
            places.contains(&&"ipv4 input".into()) && places.contains(&&"ipv6 input".into()),
            "{places:?}"
        );
        rawbpf_ok(&["unload", "netfilter"]);
        let said = rawbpf_fails(2, &["load", &file, "--netfilter", "ipv4:sideways"]);
        assert!(said.contains("`sideways` is no netfilter hook"), "{said}");
    });
}

#[test]
fn another_namespace_by_its_name() {
    require!(ROOT);
    in_world(|| {
        mount_bpffs();
        // As `ip netns add blue` does it, where nobody else sees it.
        let tmpfs = nix::mount::MsFlags::empty();
        fs::create_dir_all("/run/netns").expect("a folder");
        nix::mount::mount(Some("none"), "/run/netns", Some("tmpfs"), tmpfs, None::<&str>).expect("a tmpfs");
        fs::write("/run/netns/blue", "").expect("a file");
        let source = in_namespace(|| std::fs::File::open("/proc/thread-self/ns/net").expect("a namespace"));
        let from = format!("/proc/thread-self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&source));
        let bind = nix::mount::MsFlags::MS_BIND;
        nix::mount::mount(Some(from.as_str()), "/run/netns/blue", None::<&str>, bind, None::<&str>)
            .expect("the namespace is mounted");
        drop(source);

        let counter = object("packet_count.o");
        rawbpf_ok(&["load", &counter, "--xdp", "lo", "--xdp-mode", "generic", "--netns", "blue"]);
        let said = rawbpf_ok(&["load", &object("flow_dissector.o"), "--netns", "blue", "--no-link"]);
        assert!(said.contains("network namespace blue"), "{said}");
        let seen = of_program(&attachments(&[]), "count_packets");
        assert_eq!(seen[0]["place"], "interface 1 of a network namespace that was not looked at");
        for args in [&["--netns", "blue"][..], &["--all-netns"]] {
            let list = attachments(args);
            let xdp = of_program(&list, "count_packets");
            assert_eq!((&xdp[0]["place"], xdp.len()), (&"lo".into(), 1), "{args:?}");
            let inode = NetNs::named("blue").open().expect("it opens").inode();
            assert_eq!(xdp[0]["netns"], inode);
            let dissector = of_program(&list, "dissect");
            assert_eq!(dissector[0]["place"], "network namespace blue", "{args:?}");
        }
        let said = rawbpf_ok(&["link", "list", "--netns", "blue"]);
        assert!(said.contains("XDP on lo"), "{said}");
        let said = rawbpf_ok(&["attachments", "--netns", "blue", "--tree"]);
        assert!(said.contains("  lo in network namespace blue\n    count_packets (id "), "{said}");
        // Found wherever it is.
        rawbpf_ok(&["unload", "flow_dissector"]);
        rawbpf_ok(&["unload", "packet_count"]);
        let list = attachments(&["--all-netns"]);
        assert!(of_program(&list, "dissect").is_empty() && of_program(&list, "count_packets").is_empty());
        let said = rawbpf_fails(5, &["load", &counter, "--netns", "red"]);
        assert!(
            said.contains("there is no network namespace `red` in /run/netns; there are: blue"),
            "{said}"
        );
        rawbpf_fails(5, &["attachments", "--netns", "red"]);
        assert!(left_behind().is_empty(), "{:?}", left_behind());
        let _ = nix::mount::umount("/run/netns/blue");
        let _ = nix::mount::umount("/run/netns");
    });
}

#[test]
fn a_place_in_the_list() {
    require!(ROOT);
    in_world(|| {
        let _veth = require!(VETH, Veth::new("near0", "far0"));
        require!(TCX, has_tcx());
        mount_bpffs();
        let file = object("tc_order.o");
        let at = |name: &str, extra: &[&str]| {
            let args = ["load", &file, "--tc", "near0:ingress", "--program", name, "--name", name];
            rawbpf_ok(&[&args, extra].concat())
        };
        at("one", &[]);
        at("two", &["--first"]);
        at("three", &["--before", "one"]);
        let names = |list: &[Value]| -> Vec<String> {
            let here = list.iter().filter(|a| a["place"] == "near0 ingress");
            here.filter_map(|a| a["program"].as_str().map(String::from)).collect()
        };
        assert_eq!(names(&attachments(&[])), ["two", "three", "one"]);
        let args =
            ["load", &file, "--tc", "near0:ingress", "--program", "one", "--name", "x", "--after", "four"];
        let said = rawbpf_fails(1, &args);
        assert!(said.contains("`four` does not stand there; there are: `two` (program"), "{said}");
        let said = rawbpf_fails(2, &["load", &file, "--tc", "near0:sideways"]);
        assert!(
            said.contains("--tc: `sideways` in `near0:sideways` is neither of ingress, egress"),
            "{said}"
        );
        let said = rawbpf_fails(2, &["load", &file, "--tc", "near0:ingress"]);
        assert!(
            said.contains("several tc ingress programs (one, two, three); choose one with --program"),
            "{said}"
        );
        let said = rawbpf_fails(2, &["load", &object("packet_count.o"), "--tc", "near0"]);
        assert!(said.contains("--tc: the object has no tc program; it has: count_packets (xdp)"), "{said}");
        let said = rawbpf_fails(2, &["load", &file, "--first"]);
        assert!(said.contains("--first, --last, --before, --after and --revision go with"), "{said}");
        // Only if nobody was faster.
        let detail =
            attachments(&[]).iter().find(|a| a["place"] == "near0 ingress").map(|a| a["detail"].clone());
        let revision = detail.and_then(|d| d.as_str()?.strip_prefix("revision ")?.parse::<u64>().ok());
        let revision = revision.expect("a revision");
        for name in ["one", "two", "three"] {
            rawbpf_ok(&["unload", name]);
        }
        let args = ["load", &file, "--tc", "near0:ingress", "--program", "one", "--revision"];
        let said = rawbpf_fails(1, &[&args[..], &[revision.to_string().as_str()]].concat());
        // A list that was empty begins anew.
        assert!(said.contains(&format!("its revision is 1, not {revision}")), "{said}");
        rawbpf_ok(&[&args[..], &["1", "--no-link"]].concat());
        // In the place of one that has no link.
        let two =
            ["load", &file, "--tc", "near0:ingress", "--program", "two", "--name", "two", "--instead-of"];
        rawbpf_ok(&[&two[..], &["/sys/fs/bpf/rawbpf/tc_order/progs/one"]].concat());
        assert_eq!(names(&attachments(&[])), ["two"]);
        rawbpf_ok(&["unload", "tc_order"]);
        assert_eq!(names(&attachments(&[])), ["two"], "it is not that one's any more");
        rawbpf_ok(&["unload", "two"]);
    });
}

#[test]
fn a_link_is_shown_pinned_changed_and_detached() {
    require!(ROOT);
    in_world(|| {
        let veth = require!(VETH, Veth::new("near0", "far0"));
        mount_bpffs();
        let counter = object("packet_count.o");
        rawbpf_ok(&["load", &counter, "--xdp", "near0"]);
        rawbpf_ok(&["load", &counter, "--name", "other"]);
        let shown = rawbpf_json(&["link", "show", "xdp_near0"]);
        let link = &shown["link"];
        assert_eq!((&link["hook"], &link["info"]["ifindex"]), (&"XDP on near0".into(), &veth.near.into()));
        let id = link["id"].to_string();
        assert_eq!(rawbpf_json(&["link", "show", "id", &id])["link"]["id"], link["id"]);
        let said = rawbpf_ok(&["link", "show", "/sys/fs/bpf/rawbpf/packet_count/links/xdp_near0"]);
        assert!(said.contains("link ") && said.contains("program  count_packets"), "{said}");
        // Other tests make links meanwhile.
        let line =
            |verb: &str| rawbpf_ok(&["link", verb]).lines().find(|l| l.starts_with(&id)).map(String::from);
        assert!(line("show").is_some_and(|l| l.contains("xdp_near0")), "{:?}", line("show"));
        assert!(line("list").is_some());

        rawbpf_ok(&["link", "pin", "xdp_near0", "--at", "/sys/fs/bpf/mine"]);
        let pins = rawbpf_json(&["link", "show", "id", &id])["link"]["pinned"].clone();
        assert_eq!(pins.as_array().map(Vec::len), Some(2), "{pins}");

        let other = "/sys/fs/bpf/rawbpf/other/progs/count_packets";
        let said = rawbpf_fails(2, &["link", "update", "id", &id, "--to", other, "--from", other]);
        assert!(said.contains("the program behind it is count_packets") && said.contains("--from"), "{said}");
        rawbpf_ok(&["link", "update", "xdp_near0", "--to", other]);
        veth.send(2);
        assert_eq!(counted("other", "packet_count_map", 0), 2);
        let said = rawbpf_fails(1, &["link", "update", "xdp_near0", "--to", "count_packets"]);
        assert!(said.contains("programs have the name `count_packets`"), "{said}");
        let said = rawbpf_fails(5, &["link", "update", "xdp_near0", "--to", "other/nope"]);
        assert!(said.contains("there is no program `nope` under the name `other`"), "{said}");
        // One grammar in every place.
        rawbpf_ok(&["link", "update", "packet_count/xdp_near0", "--to", "other/count_packets"]);
        let id = rawbpf_json(&["prog", "show", "other/count_packets"])["programs"][0]["id"].to_string();
        rawbpf_ok(&["prog", "show", &format!("id:{id}")]);
        rawbpf_ok(&["link", "update", "xdp_near0", "--to", &format!("id:{id}")]);
        rawbpf_ok(&["map", "dump", "other/packet_count_map"]);

        rawbpf_ok(&["link", "detach", "xdp_near0"]);
        veth.send(2);
        assert_eq!(counted("other", "packet_count_map", 0), 2, "detached, though pinned twice");
        fs::remove_file("/sys/fs/bpf/mine").expect("the pin is removed");
        let said = rawbpf_fails(5, &["link", "show", "nope"]);
        assert!(said.contains("there is no link pinned as `nope`; pinned are: xdp_near0"), "{said}");
        rawbpf_fails(5, &["link", "show", "id", "4294967295"]);
        rawbpf_ok(&["unload", "packet_count"]);
        rawbpf_ok(&["unload", "other"]);
        assert!(left_behind().is_empty(), "{:?}", left_behind());
    });
}

#[test]
fn what_may_not_be_seen_is_said_and_the_rest_is_listed() {
    require!(ROOT);
    in_world(|| {
        // The command where anybody may run it.
        let dir = tempfile::tempdir_in("/").expect("a folder");
        let copy = dir.path().join("rawbpf");
        fs::copy(env!("CARGO_BIN_EXE_rawbpf"), &copy).expect("a copy");
        for path in [dir.path(), &copy] {
            let all = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(path, all).expect("anybody may");
        }
        let mut command = Command::new(&copy);
        std::os::unix::process::CommandExt::uid(&mut command, 65534);
        let out = command.arg("attachments").env("NO_COLOR", "1").output().expect("it runs");
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(1), "{said}");
        assert!(
            said.contains("could not be looked at") && said.contains("cannot look at the links"),
            "{said}"
        );
        assert!(!out.stdout.is_empty(), "what there is, is listed");
        let mut command = Command::new(&copy);
        std::os::unix::process::CommandExt::uid(&mut command, 65534);
        let out = command.args(["attachments", "--json"]).output().expect("it runs");
        let document: Value = serde_json::from_slice(&out.stdout).expect("one document");
        assert!(document["problems"].as_array().is_some_and(|p| !p.is_empty()), "{document}");
    });
}

#[test]
fn the_plan_names_the_calls() {
    require!(ROOT);
    let plan = |args: &[&str]| rawbpf_ok(&[&["plan", &object("tc_count.o")], args].concat());
    let said = plan(&["--tc", "eth0:ingress"]);
    assert!(said.contains("BPF_LINK_CREATE  prog_fd=<count_in> target_ifindex=index of eth0"), "{said}");
    let said = plan(&["--tc", "eth0", "--tc-hook", "clsact"]);
    assert!(said.contains("RTM_NEWTFILTER  prog_fd=<count_out>"), "{said}");
    let _ = Kernel::host();
}
