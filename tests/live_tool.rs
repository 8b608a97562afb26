//! `rawbpf cgroup tree`, `struct_ops`, `token` and `gc`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value as Json;

use crate::gate::{BPFFS, BPFTOOL, BPFTOOL_TREE, BTF, HOST, ROOT, VETH, require};
use crate::net::{
    Veth, in_namespace, mount_bpffs, object, rawbpf, rawbpf_bpffs, rawbpf_fails, rawbpf_json, rawbpf_ok,
};
use rawbpf::links::{Target, Xdp, XdpMode, cgroup};
use rawbpf::{Kernel, Object, Options};

/// A cgroup of the test's own; it goes with the test.
struct Group(PathBuf);

impl Group {
    fn new(name: &str) -> Option<Group> {
        let path = cgroup::mount_point()?.join(format!("rawbpf_{name}_{}", std::process::id()));
        fs::create_dir_all(&path).ok()?;
        Some(Group(path))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// A program for devices on a cgroup of its own; the test gets its number and the cgroup's path.
fn with_cgroup_program(test: impl FnOnce(u32, &str)) {
    let group = require!(BPFFS, Group::new("tree").ok_or("no cgroup2 is mounted, or it cannot be written"));
    let object = Object::open(object("cgroup_host.o")).expect("it is read");
    let loaded =
        object.plan(&Kernel::host(), &Options::default()).expect("a plan").run().expect("it is loaded");
    // The first program that says by itself to what it is attached.
    let program = loaded
        .programs()
        .find(|p| p.prog_type() == rawbpf::uapi::ProgType::CgroupDevice)
        .expect("there is one for devices");
    let mut target = rawbpf::links::Cgroup::new(&group.0);
    target.attach_type = Some(rawbpf::uapi::AttachType::CgroupDevice);
    let _link = rawbpf::attach(program, &Target::Cgroup(target)).expect("it is attached");
    test(program.info().expect("it is there").id, &group.0.display().to_string());
}

#[test]
fn the_tree_shows_what_is_attached() {
    require!(ROOT);
    with_cgroup_program(|id, path| {
        let tree = rawbpf_json(&["cgroup", "tree", path]);
        let ours = &tree["cgroups"][0]["programs"];
        assert_eq!(ours.as_array().map(Vec::len), Some(1), "{tree}");
        assert_eq!(tree["cgroups"][0]["cgroup"], path);
        assert_eq!(ours[0]["prog_id"], id);
        assert!(rawbpf_ok(&["cgroup", "tree", path]).contains("cgroup_device"));
        assert!(rawbpf_ok(&["cgroup", "tree", path, "--effective"]).contains("cgroup_device"));
    });
    assert!(rawbpf_fails(5, &["cgroup", "tree", "/no/such/cgroup"]).contains("open the cgroup"));
}

#[test]
fn the_tree_has_what_bpftool_has() {
    require!(ROOT);
    require!(BPFTOOL);
    require!(BPFTOOL_TREE, Kernel::host().release() >= rawbpf::uapi::Release(6, 1, 0));
    with_cgroup_program(|_, path| {
        let tree = rawbpf_json(&["cgroup", "tree", path]);
        let ours = &tree["cgroups"][0]["programs"];
        let theirs = Command::new("bpftool").args(["-j", "cgroup", "tree", path]).output();
        let theirs = theirs.expect("bpftool is installed: make deps");
        let theirs: Json = serde_json::from_slice(&theirs.stdout).expect("JSON");
        let theirs = &theirs[0]["programs"][0];
        assert_eq!((&ours[0]["prog_id"], &ours[0]["name"]), (&theirs["id"], &theirs["name"]));
        assert_eq!(ours[0]["attach_type"], theirs["attach_type"]);
    });
}

#[test]
fn sets_of_callbacks_are_listed() {
    require!(HOST);
    require!(ROOT);
    require!(BTF, Kernel::host().btf());
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    fs::write(path("ops.c"), OPS).expect("a file");
    let clang = Command::new("clang-19")
        .args(["-g", "-O2", "-target", "bpf", "-c", &path("ops.c"), "-o", &path("ops.o")])
        .output()
        .expect("clang-19 is installed: make deps");
    assert!(clang.status.success(), "{}", String::from_utf8_lossy(&clang.stderr));
    let object = Object::open(path("ops.o")).expect("it is read");
    let loaded =
        object.plan(&Kernel::host(), &Options::default()).expect("a plan").run().expect("it is loaded");
    let map = loaded.map("rawbpf_cc").expect("it is in the object");
    // Filled in, and with a link in use.
    let value = loaded.struct_ops_value("rawbpf_cc").expect("it has a value");
    let _link = rawbpf::links::struct_ops::register(map, value).expect("it is registered");
    let id = map.info().id.to_string();
    let list = rawbpf_json(&["struct_ops", "list"]);
    let row = list["sets"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|s| s["id"] == map.info().id)
        .expect("it is there");
    assert_eq!((&row["of"], &row["name"]), (&"tcp_congestion_ops".into(), &"rawbpf_cc".into()));
    assert!(row["state"] == "in use" || row["state"] == "ready", "{row}");
    let dump = rawbpf_json(&["struct_ops", "dump", "id", &id]);
    assert_eq!(dump["members"]["ssthresh"]["name"], "own_ssthresh", "{dump}");
    assert_eq!(dump["members"]["name"], "rawbpf_test", "{dump}");
    assert!(rawbpf_ok(&["struct_ops", "dump", "id", &id]).contains("own_ssthresh (id "));
    let theirs =
        Command::new("bpftool").args(["-j", "struct_ops", "list"]).output().expect("bpftool is installed");
    let theirs: Json = serde_json::from_slice(&theirs.stdout).expect("JSON");
    let all = theirs.as_array().cloned().unwrap_or_else(|| vec![theirs.clone()]);
    let theirs = all.iter().find(|s| s["id"] == map.info().id).unwrap_or_else(|| panic!("{theirs}"));
    assert_eq!(theirs["kernel_struct_ops"], row["of"]);
}

const OPS: &str = r#"
#define SEC(n) __attribute__((section(n), used))
struct sock; struct rate_sample;
struct tcp_congestion_ops { unsigned (*ssthresh)(struct sock *sk); void (*cong_avoid)(struct sock *sk, unsigned ack, unsigned acked);
    unsigned (*undo_cwnd)(struct sock *sk); char name[16]; } __attribute__((preserve_access_index));
SEC("struct_ops/own_ssthresh") unsigned own_ssthresh(unsigned long long *ctx) { return 2; }
SEC("struct_ops/own_avoid") int own_avoid(unsigned long long *ctx) { return 0; }
SEC("struct_ops/own_undo") unsigned own_undo(unsigned long long *ctx) { return 2; }
SEC(".struct_ops.link") struct tcp_congestion_ops rawbpf_cc = { .ssthresh = (void *)own_ssthresh,
    .cong_avoid = (void *)own_avoid, .undo_cwnd = (void *)own_undo, .name = "rawbpf_test" };
char LICENSE[] SEC("license") = "GPL";
"#;

#[test]
fn what_is_delegated_is_shown() {
    require!(ROOT);
    in_namespace(|| {
        mount_bpffs();
        let shown = rawbpf_json(&["token", "show"]);
        let mount = shown["mounts"].as_array().expect("a list").iter().find(|m| m["mount"] == "/sys/fs/bpf");
        assert_eq!(mount.expect("it is mounted")["commands"], serde_json::json!([]));
        // Nothing is delegated here, and this is no user namespace of its own: each is told as the reason.
        let out = rawbpf(&["token", "create"]);
        assert!(!out.status.success());
        let said = String::from_utf8_lossy(&out.stderr);
        let known = ["delegates nothing", "initial one", "EINVAL"].iter().any(|w| said.contains(w));
        assert!(known, "{said}");
        assert!(rawbpf_fails(1, &["token", "create", "/proc"]).contains("cannot make a token"));
    });
}

/// `gc` takes from all: two tests that leave something for it do not run at once.
pub(crate) fn alone_with_gc() -> std::sync::MutexGuard<'static, ()> {
    static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[test]
fn what_is_dead_is_removed_and_what_is_idle_is_told() {
    require!(ROOT);
    let _alone = alone_with_gc();
    in_namespace(|| {
        mount_bpffs();
        require!(BPFFS, rawbpf_bpffs());
        rawbpf_ok(&["load", &object("packet_count.o")]);
        let object = Object::open(object("packet_count.o")).expect("it is read");
        let loaded =
            object.plan(&Kernel::host(), &Options::default()).expect("a plan").run().expect("it is loaded");
        let program = loaded.program("count_packets").expect("it is there");
        let veth = require!(VETH, Veth::new("gc0", "gc1"));
        let xdp = Target::Xdp(Xdp { interface: "gc0".into(), mode: XdpMode::Generic });
        let link = match rawbpf::attach(program, &xdp) {
            Ok(link) => link,
            Err(e) => return crate::gate::skip(&VETH, &e.to_string()),
        };
        let pin = "/sys/fs/bpf/gc_link";
        if let Err(e) = link.pin(pin) {
            // Before Linux 5.9 XDP has no links.
            return crate::gate::skip(&crate::gate::PERF_LINK, &e.to_string());
        }
        let dead = |garbage: &Json| -> Vec<String> {
            let rows = garbage["dead"].as_array().expect("a list").iter();
            rows.filter_map(|r| r["path"].as_str()).map(String::from).collect()
        };
        let document = |args: &[&str]| -> Json {
            let out = rawbpf(&[args, &["--json"]].concat());
            let document = serde_json::from_slice(&out.stdout).expect("one document");
            crate::schema::check_document(&document).expect("it keeps to the schema");
            document
        };
        assert!(dead(&document(&["gc", "--dry-run"])).is_empty());
        drop(link);
        remove(veth.near);
        let told = document(&["gc", "--dry-run"]);
        assert_eq!(dead(&told), [pin], "{told}");
        assert!(fs::exists(pin).expect("it can be looked for"), "a dry run removes nothing");
        // What `load` loaded is attached nowhere.
        let idle = told["idle"].as_array().expect("a list");
        let ours = |r: &&Json| r["path"] == "/sys/fs/bpf/rawbpf/packet_count/progs/count_packets";
        assert!(idle.iter().any(|r| ours(&r) && r["kind"] == "program"), "{told}");
        let done = document(&["gc"]);
        assert_eq!(done["dead"][0]["removed"], true, "{done}");
        assert!(!fs::exists(pin).expect("it can be looked for"));
        assert!(dead(&document(&["gc"])).is_empty());
    });
}

/// Removes an interface.
fn remove(index: u32) {
    use rawbpf::sys::netlink::{ACK, Message, Netlink};
    const RTM_DELLINK: u16 = 17;
    let head = [[0; 4], index.to_ne_bytes(), [0; 4], [0; 4]].concat();
    let message = Message::new(RTM_DELLINK, ACK, &head);
    let mut netlink = Netlink::route().expect("a socket");
    netlink.request(message).expect("it is removed");
}
