//! Tables of programs in the place of the kernel's own: a congestion control of TCP, chosen by its name.

use std::io::{self, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rawbpf::links::{Lifetime, struct_ops};
use rawbpf::{Link, Loaded};

use super::world::{in_world, number, try_load};
use crate::gate::{ROOT, STRUCT_OPS, STRUCT_OPS_LINK, require};
use crate::net::{mount_bpffs, object, rawbpf_fails, rawbpf_json, rawbpf_ok};

/// A machine has one table of a name: one test at a time.
static ONE: Mutex<()> = Mutex::new(());

fn alone(test: impl FnOnce() + Send) {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    in_world(test)
}

/// Registers the only table of an object.
fn register(loaded: &Loaded) -> Result<Link, rawbpf::sys::SysError> {
    let value = loaded.struct_ops_value("table").expect("it is a struct_ops map");
    struct_ops::register(loaded.map("table").expect("it was made"), value)
}

/// Sends a megabyte over a connection that a congestion control of this name rules.
fn send_ruled_by(name: &str) -> io::Result<()> {
    let server = TcpListener::bind("127.0.0.1:0")?;
    let mut client = TcpStream::connect(server.local_addr()?)?;
    let set = nix::sys::socket::setsockopt(&client, nix::sys::socket::sockopt::TcpCongestion, &name.into());
    set.map_err(io::Error::from)?;
    let (mut other, _) = server.accept()?;
    let reader = std::thread::spawn(move || io::copy(&mut other, &mut io::sink()));
    client.write_all(&vec![0; 1 << 20])?;
    drop(client);
    assert_eq!(reader.join().expect("it reads to the end")?, 1 << 20);
    Ok(())
}

/// Connections may hold a table for a moment after they are closed.
fn gone(name: &str) {
    let until = Instant::now() + Duration::from_secs(20);
    while send_ruled_by(name).is_ok() {
        assert!(Instant::now() < until, "{name} is still there");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn connections_are_ruled_by_a_table() {
    require!(ROOT);
    alone(|| {
        let loaded = require!(STRUCT_OPS, try_load("congestion.o", &[]));
        assert!(send_ruled_by("rawbpf_kept").is_err(), "nobody knows it yet");
        let link = register(&loaded).expect("it is registered");
        assert_eq!(link.lifetime(), Lifetime::Hook);
        send_ruled_by("rawbpf_kept").expect("it may be chosen");
        assert_ne!(number(&loaded, ".bss", 0), 0);
        let other = try_load("congestion.o", &[]).expect("it loads again");
        assert!(register(&other).is_err_and(|e| e.errno == rawbpf::sys::Errno::EEXIST), "the name is taken");
        drop(link);
        gone("rawbpf_kept");
    });
}

#[test]
fn connections_are_ruled_by_a_table_with_a_link() {
    require!(ROOT);
    alone(|| {
        mount_bpffs();
        let loaded = require!(STRUCT_OPS_LINK, try_load("congestion_link.o", &[]));
        let link = register(&loaded).expect("it is registered");
        assert_eq!(link.lifetime(), Lifetime::Link);
        send_ruled_by("rawbpf_linked").expect("it may be chosen");
        let before = number(&loaded, ".bss", 0);
        assert_ne!(before, 0);
        // Another table behind the same link, and that kept by a pin.
        let other = try_load("congestion_link.o", &[]).expect("it loads again");
        let value = other.struct_ops_value("table").expect("it is a struct_ops map");
        link.update_map(other.map("table").expect("it was made"), value).expect("it is replaced");
        link.pin("/sys/fs/bpf/table").expect("it is pinned");
        drop(link);
        send_ruled_by("rawbpf_linked").expect("it may be chosen");
        // The first connection may have a last word still.
        assert!(number(&loaded, ".bss", 0) - before < number(&other, ".bss", 0));
        Link::open_pin("/sys/fs/bpf/table").expect("it is there").detach().expect("it is taken away");
        std::fs::remove_file("/sys/fs/bpf/table").expect("the pin is removed");
        gone("rawbpf_linked");
    });
}

#[test]
fn the_command_registers_tables() {
    require!(ROOT);
    alone(|| {
        require!(STRUCT_OPS, try_load("congestion.o", &[]).map(drop));
        mount_bpffs();
        let kept = object("congestion.o");
        let name = "rawbpf_kept";
        let said = rawbpf_ok(&["load", &kept]);
        assert!(said.contains("struct_ops table, registered  no link object"), "{said}");
        assert!(!said.contains("not attached"), "{said}");
        send_ruled_by(name).expect("it may be chosen");
        let list = rawbpf_json(&["attachments"]);
        let seen =
            list["attachments"].as_array().expect("a list").iter().filter(|a| a["kind"] == "struct_ops");
        assert!(seen.clone().any(|a| a["by"] == "map"), "{list}");
        let said = rawbpf_fails(1, &["load", &kept, "--name", "again"]);
        assert!(
            said.contains("cannot register the struct_ops map `table`: a table of that name is registered"),
            "{said}"
        );
        rawbpf_ok(&["unload", "congestion"]);
        gone(name);
        let said = rawbpf_ok(&["load", &kept, "--no-attach"]);
        assert!(said.contains("not attached: table: --no-attach"), "{said}");
        rawbpf_ok(&["unload", "congestion"]);

        require!(STRUCT_OPS_LINK, try_load("congestion_link.o", &[]).map(drop));
        let linked = object("congestion_link.o");
        rawbpf_ok(&["load", &linked]);
        let pin = "/sys/fs/bpf/rawbpf/congestion_link/links/struct_ops_table";
        let before = rawbpf_json(&["link", "show", pin])["link"].clone();
        rawbpf_ok(&["load", &linked, "--replace"]);
        let after = rawbpf_json(&["link", "show", pin])["link"].clone();
        assert_eq!(before["id"], after["id"], "the link stays");
        assert_ne!(before["info"]["map_id"], after["info"]["map_id"], "with another table");
        send_ruled_by("rawbpf_linked").expect("it may be chosen");
        rawbpf_ok(&["unload", "congestion_link"]);
        gone("rawbpf_linked");
    });
}
