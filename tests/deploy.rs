//! The folder deploy/: the unit and the manifest are in order, and what they grant is enough and not too much.
//!
//! There is no container runtime on the machines that test this. So a root is made as a runtime makes it: the files that
//! the Dockerfile copies, the mounts of the DaemonSet, proc and sysfs, and nothing else; and the command is started in it
//! with the capabilities that the DaemonSet adds. `RAWBPF_STATIC` names the static command (`make test-deploy`); without
//! it the command of the tests is used, and the libraries that it is linked with are mounted as well.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use serde_json::{Value as Json, json};

use crate::gate::{HOST, ROOT, VETH, require};
use crate::live_export::{ask, frame};
use crate::net::{Veth, in_namespace, object, rawbpf_json, up};

/// As the kernel numbers them.
const CAPABILITIES: &str = "chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap \
    linux_immutable net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot \
    sys_ptrace sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write \
    audit_control setfcap mac_override mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf \
    checkpoint_restore";

fn deploy(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The documents of the manifest: the ConfigMap and the DaemonSet.
fn manifest() -> [Json; 2] {
    let text = deploy("daemonset.yaml");
    let documents = serde_yaml_ng::Deserializer::from_str(&text);
    let read = |document| serde::Deserialize::deserialize(document).expect("YAML");
    let documents: Vec<Json> = documents.map(read).collect();
    documents.try_into().expect("two documents")
}

/// The only container of the pods, and the pods.
fn pod(set: &Json) -> (&Json, &Json) {
    let pod = &set["spec"]["template"]["spec"];
    assert_eq!(pod["containers"].as_array().map(Vec::len), Some(1));
    (&pod["containers"][0], pod)
}

fn texts(list: &Json) -> Vec<&str> {
    list.as_array().expect("a list").iter().map(|t| t.as_str().expect("a text")).collect()
}

/// Without comments and empty lines.
fn bare(toml: &str) -> String {
    let lines = toml.lines().filter(|l| !l.trim().is_empty() && !l.starts_with('#'));
    lines.filter(|l| !l.starts_with("cgroup_root")).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_manifest_holds_to_the_schema() {
    require!(HOST);
    let [map, set] = manifest();
    let schema = include_str!("schemas/daemonset.json");
    let schema = serde_json::from_str(schema).expect("the schema is JSON");
    crate::schema::check(&set, &schema, "DaemonSet").unwrap_or_else(|e| panic!("{e}"));
    let labels = &set["spec"]["template"]["metadata"]["labels"];
    assert_eq!(&set["spec"]["selector"]["matchLabels"], labels);
    let (container, pod) = pod(&set);
    let volumes: Vec<&Json> = pod["volumes"].as_array().expect("a list").iter().map(|v| &v["name"]).collect();
    let mounts: Vec<&Json> =
        container["volumeMounts"].as_array().expect("a list").iter().map(|m| &m["name"]).collect();
    assert_eq!(volumes, mounts);
    assert_eq!(map["metadata"]["name"], pod["volumes"][0]["configMap"]["name"]);
    assert_eq!(map["metadata"]["namespace"], set["metadata"]["namespace"]);
    assert_eq!((&map["apiVersion"], &map["kind"]), (&json!("v1"), &json!("ConfigMap")));
    // A field with a typing error would be seen.
    let mut wrong = set.clone();
    wrong["spec"]["template"]["spec"]["hostNetworks"] = json!(true);
    assert!(crate::schema::check(&wrong, &schema, "DaemonSet").is_err());
}

#[test]
fn the_configurations_are_in_order_and_the_same() {
    require!(HOST);
    let [map, _] = manifest();
    let (own, mapped) =
        (deploy("export.toml"), map["data"]["export.toml"].as_str().expect("a text").to_string());
    assert_eq!(bare(&own), bare(&mapped));
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("export.toml");
    fs::write(&file, mapped.replace("/objects/traffic.o", &object("traffic.o"))).expect("it is written");
    let report = rawbpf_json(&["export", "--check", &file.to_string_lossy()]);
    assert_eq!(report["metrics"].as_array().map(Vec::len), Some(2));
}

#[test]
fn systemd_takes_the_unit() {
    require!(HOST);
    let unit = deploy("rawbpf-export.service");
    let [_, set] = manifest();
    let granted: Vec<String> = texts(&pod(&set).0["securityContext"]["capabilities"]["add"])
        .iter()
        .map(|c| format!("CAP_{c}"))
        .collect();
    for setting in ["CapabilityBoundingSet", "AmbientCapabilities"] {
        let line = format!("{setting}={}", granted.join(" "));
        assert!(unit.lines().any(|l| l == line), "{line}, as in the manifest");
    }
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("rawbpf-export.service");
    fs::write(&file, unit.replace("/usr/local/bin/rawbpf", env!("CARGO_BIN_EXE_rawbpf")))
        .expect("it is written");
    let out = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(&file)
        .output()
        .expect("systemd is installed: make deps");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && !said.contains("rawbpf-export"), "{said}");
}

/// Makes the root that a container would have.
fn make_root(root: &Path, map: &Json, set: &Json) {
    let flags = MsFlags::empty();
    mount(Some("tmpfs"), root, Some("tmpfs"), flags, Some("size=512m")).expect("a root");
    let binary = std::env::var("RAWBPF_STATIC");
    for line in deploy("Dockerfile").lines() {
        let Some((from, to)) = line.strip_prefix("COPY ").and_then(|l| l.split_once(' ')) else { continue };
        let from = match (from, &binary) {
            ("${BINARY}", Ok(binary)) => binary.clone(),
            ("${BINARY}", Err(_)) => env!("CARGO_BIN_EXE_rawbpf").into(),
            (from, _) => format!("{}/{from}", env!("CARGO_MANIFEST_DIR")),
        };
        let to = root.join(to.trim_start_matches('/'));
        fs::create_dir_all(to.parent().expect("a directory")).expect("directories");
        fs::copy(&from, &to).unwrap_or_else(|e| panic!("{from}: {e}"));
    }
    let place = |path: &str| {
        let place = root.join(path.trim_start_matches('/'));
        fs::create_dir_all(&place).expect("a place to mount at");
        place
    };
    mount(Some("proc"), &place("/proc"), Some("proc"), flags, None::<&str>).expect("procfs");
    mount(Some("sysfs"), &place("/sys"), Some("sysfs"), MsFlags::MS_RDONLY, None::<&str>).expect("sysfs");
    if binary.is_err() {
        for dir in ["/lib", "/lib64", "/usr"].into_iter().filter(|dir| Path::new(dir).exists()) {
            bind(dir, &place(dir));
        }
    }
    let (container, pod) = pod(set);
    for m in container["volumeMounts"].as_array().expect("a list") {
        let volumes = pod["volumes"].as_array().expect("a list");
        let volume = volumes.iter().find(|v| v["name"] == m["name"]).expect("its volume");
        let place = place(m["mountPath"].as_str().expect("a path"));
        match volume["hostPath"]["path"].as_str() {
            Some(path) => bind(path, &place),
            None => {
                for (name, text) in map["data"].as_object().expect("files") {
                    fs::write(place.join(name), text.as_str().expect("a text")).expect("it is written");
                }
            }
        }
    }
    let read_only = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
    mount(None::<&str>, root, None::<&str>, read_only, None::<&str>).expect("the root becomes read-only");
}

fn bind(from: &str, to: &Path) {
    mount(Some(from), to, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
        .unwrap_or_else(|e| panic!("{from}: {e}"));
}

/// The command in that root, as root of the machine with these capabilities.
fn contained(root: &Path, capabilities: &[&str], args: &[&str]) -> Command {
    let has = |cap: &&str| capabilities.iter().any(|c| c.eq_ignore_ascii_case(cap));
    let others: Vec<String> =
        CAPABILITIES.split_whitespace().filter(|cap| !has(cap)).map(|c| format!("cap_{c}")).collect();
    let mut command = Command::new("/usr/sbin/capsh");
    command
        .arg(format!("--drop={}", others.join(",")))
        .arg("--no-new-privs")
        .arg(format!("--chroot={}", root.display()))
        .args(["--shell=/rawbpf", "--"])
        .args(args)
        .env_clear()
        .stdin(Stdio::null());
    command
}

fn words(out: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

#[test]
fn the_image_runs_with_what_the_daemonset_grants_and_not_with_less() {
    require!(HOST);
    require!(ROOT);
    in_namespace(|| {
        up(1).expect("lo comes up");
        let veth = require!(VETH, Veth::new("eth0", "far0"));
        let [map, set] = manifest();
        let dir = tempfile::tempdir().expect("a directory");
        make_root(dir.path(), &map, &set);
        let (container, _) = pod(&set);
        let granted = texts(&container["securityContext"]["capabilities"]["add"]);
        let args = texts(&container["args"]);
        for missing in &granted {
            let rest: Vec<&str> = granted.iter().copied().filter(|c| c != missing).collect();
            let out = contained(dir.path(), &rest, &args).output().expect("capsh is installed: make deps");
            assert_eq!(out.status.code(), Some(3), "without {missing}: {}", words(&out));
        }
        let mut running =
            contained(dir.path(), &granted, &args).stdout(Stdio::piped()).spawn().expect("it starts");
        let said = BufReader::new(running.stdout.take().expect("its output")).lines();
        let mut said = said.map(|line| line.expect("a line"));
        assert!(said.any(|line| line.starts_with("serving 2 metrics")), "{:?}", running.wait());
        let address = format!("127.0.0.1:{}", container["ports"][0]["containerPort"]);
        let probe = container["livenessProbe"]["httpGet"]["path"].as_str().expect("a path");
        assert!(ask(&address, &format!("GET {probe} HTTP/1.1")).0.starts_with("HTTP/1.1 200"));
        (0..5).for_each(|_| veth.send_frame(&frame(9, 6, 100)));
        let want =
            "node_source_bytes_total{interface=\"eth0\",protocol=\"PROTO_TCP\",source=\"192.0.2.9\"} 500\n";
        let since = Instant::now();
        loop {
            let (_, page) = ask(&address, "GET /metrics HTTP/1.1");
            if page.contains(want) {
                break;
            }
            assert!(since.elapsed() < Duration::from_secs(60), "{page}");
            std::thread::sleep(Duration::from_millis(20));
        }
        let pid = nix::unistd::Pid::from_raw(running.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("it runs");
        assert!(running.wait().expect("it ends").success());
    });
}
