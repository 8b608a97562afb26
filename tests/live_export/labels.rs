//! Labels: numbers and bytes in words.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use super::{Exporter, config};
use crate::gate::{RINGBUF, ROOT, require};
use crate::net::{in_namespace, object, up};

const LABELS: &str = r#"
[[metric]]
name = "things"
type = "gauge"
map = "things"
[metric.labels]
address = { from = "key.address", as = "ip" }
be_port = "key.be_port"
cgroup = { from = "key.cgroup", as = "cgroup" }
comm = "key.comm"
flags = { from = "key.flags", names = { 3 = "both" } }
mac = { from = "key.mac", as = "mac" }
port = { from = "key.port", as = "port" }
proto = { from = "key.proto", as = "enum proto" }
raw = "key.mac"
"#;

/// A key of the map `things` of bpf/traffic.bpf.c.
fn thing(cgroup: u64, address: [u8; 16], proto: u8, comm: &[u8; 8]) -> Vec<u8> {
    let flags = if cfg!(target_endian = "big") { 3 << 5 } else { 3 };
    let mut key = cgroup.to_ne_bytes().to_vec();
    key.extend(address);
    key.extend([2, 0, 0, 0, 0, 1]);
    key.extend(53u16.to_be_bytes());
    key.extend(443u16.to_be_bytes());
    key.extend([proto, flags]);
    key.extend(comm);
    key.resize(48, 0);
    key
}

#[test]
fn labels_are_words() {
    require!(ROOT);
    in_namespace(|| {
        up(1).expect("lo comes up");
        require!(
            RINGBUF,
            rawbpf::maps::Builder::new(rawbpf::uapi::MapType::Ringbuf, "r").max_entries(1 << 16).create()
        );
        let dir = tempfile::tempdir().expect("a directory");
        // The id of a cgroup is the inode of its directory: any tree of directories will do.
        let cgroup = dir.path().join("cgroups/kubepods/pod1");
        fs::create_dir_all(&cgroup).expect("directories");
        let root = dir.path().join("cgroups");
        let id = fs::metadata(&cgroup).expect("it is there").ino();
        let text = format!(
            "cgroup_root = \"{}\"\n[[object]]\npath = \"{}\"\n{LABELS}",
            root.display(),
            object("traffic.o")
        );
        let exporter = Exporter::start(&config(dir.path(), &text));
        let things = exporter.map("things");
        let ipv4 = std::net::Ipv4Addr::new(192, 0, 2, 7).to_ipv6_mapped().octets();
        let ipv6 = std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).octets();
        let put = |key: &[u8], value: i32| things.set(key, &value.to_ne_bytes(), 0).expect("it is written");
        put(&thing(id, ipv4, 17, b"nginx\0\0\0"), -5);
        put(&thing(1 << 60, ipv6, 99, b"a\"\\\nb\xffcd"), 7);
        let page = exporter.scrape();
        let rest = "flags=\"both\",mac=\"02:00:00:00:00:01\",port=\"53\"";
        let (known, unknown) = (
            format!(
                "things{{address=\"192.0.2.7\",be_port=\"443\",cgroup=\"/kubepods/pod1\",comm=\"nginx\",{rest},\
                 proto=\"PROTO_UDP\",raw=\"020000000001\"}}"
            ),
            format!(
                "things{{address=\"2001:db8::1\",be_port=\"443\",cgroup=\"{}\",comm=\"a\\\"\\\\\\nb\u{fffd}cd\",{rest},\
                 proto=\"99\",raw=\"020000000001\"}}",
                1u64 << 60
            ),
        );
        assert_eq!((page.value(&known), page.value(&unknown)), (-5.0, 7.0));
        exporter.stop();
    });
}
