//! Attacks on this process's memory by safe code through the public API. Each is refused, or does nothing wrong.
//!
//! What must not even compile is in tests/compile_fail/. Many of these show something under a sanitizer only
//! (`make test-sound`): without one a few bytes too many are not seen.
#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use rawbpf::events::{RingBuf, RingSet, RingWatch, UserRingBuf};
use rawbpf::links::{Target, Xdp, XdpMode};
use rawbpf::maps::{Arena, Builder, MappedArray};
use rawbpf::sys::attr::{self, Fd, KprobePlaces, LinkCreate, LinkExtra, Ptr};
use rawbpf::sys::map::MapFd;
use rawbpf::sys::netlink::{ACK, Message, Netlink};
use rawbpf::sys::{self, Batch, BtfFd, Errno, LinkFd, ObjectKind, ProgFd, ProgLoadParts};
use rawbpf::uapi::{AttachType, MapType, ProgType};
use rawbpf::{Kernel, Link, Loaded, Map, Object, Options, Program};

use crate::gate::{ARENA, BTF, HOST, KPROBE_MULTI, RINGBUF, ROOT, USER_RINGBUF, VETH, require};
use crate::net::{Veth, in_namespace, mount_bpffs, object, rawbpf, rawbpf_ok};

fn loaded(name: &str) -> Loaded {
    let object = Object::open(object(name)).expect("it is read");
    object.plan(&Kernel::host(), &Options::default()).expect("a plan").run().expect("it is loaded")
}

fn xdp(loaded: &Loaded, interface: &str) -> Link {
    let program = loaded.programs().next().expect("a program");
    let mode = XdpMode::Auto;
    rawbpf::attach(program, &Target::Xdp(Xdp { interface: interface.into(), mode })).expect("it is attached")
}

fn own(fd: impl AsFd) -> OwnedFd {
    fd.as_fd().try_clone_to_owned().expect("a descriptor")
}

fn map(map_type: MapType, key: u32, value: u32, max: u32) -> Map {
    let builder = Builder::new(map_type, "attacked").key_size(key).value_size(value).max_entries(max);
    builder.create().expect("a map")
}

fn cover(path: &str) {
    mount(Some("none"), path, Some("tmpfs"), MsFlags::empty(), None::<&str>).expect("a tmpfs is mounted");
}

/// A descriptor is taken as what it is, and as nothing else.
#[track_caller]
fn told_apart(fd: impl AsFd, is: Option<ObjectKind>) {
    let as_program = ProgFd::new(own(&fd)).is_ok();
    let as_link = LinkFd::new(own(&fd)).is_ok();
    let as_types = BtfFd::new(own(&fd)).is_ok();
    let as_map = MapFd::new(own(&fd)).is_ok();
    let taken = [as_program, as_link, as_types, as_map];
    let kinds = [ObjectKind::Prog, ObjectKind::Link, ObjectKind::Btf, ObjectKind::Map];
    assert_eq!(taken, kinds.map(|kind| Some(kind) == is), "a descriptor of {is:?} as {kinds:?}");
    assert_eq!(Program::from_fd(own(&fd)).is_ok(), as_program);
    assert_eq!(Map::from_fd(own(&fd)).is_ok(), as_map);
    assert_eq!(sys::map_info(&fd).is_ok(), as_map);
    assert_eq!(sys::kind_of(&fd).expect("the kernel says"), is);
}

/// One descriptor of each kind, and others.
struct Kinds {
    loaded: Loaded,
    link: LinkFd,
    types: Option<BtfFd>,
    others: Vec<OwnedFd>,
}

impl Kinds {
    fn new(interface: &str) -> Kinds {
        let loaded = loaded("packet_count.o");
        let link = xdp(&loaded, interface);
        let id = link.info().expect("it is there").id;
        let link = LinkFd::by_id(id).expect("it is there");
        let types = loaded.map("packet_count_map").expect("it is there").info().btf_id;
        let dir = tempfile::tempdir().expect("a directory");
        // A name that looks like the kernel's own.
        let named = |name: &str| OwnedFd::from(File::create(dir.path().join(name)).expect("a file"));
        let (read, write) = nix::unistd::pipe().expect("a pipe");
        let memory = |name: &std::ffi::CStr| {
            nix::sys::memfd::memfd_create(name, nix::sys::memfd::MFdFlags::empty()).expect("memory")
        };
        let others = vec![
            named("anon_inode:bpf-prog"),
            named("bpf-map"),
            memory(c"anon_inode:bpf-map"),
            memory(c"anon_inode:btf"),
            read,
            write,
            OwnedFd::from(File::open("/").expect("it is there")),
            nix::sys::epoll::Epoll::new(nix::sys::epoll::EpollCreateFlags::empty()).expect("an epoll").0,
        ];
        Kinds { loaded, link, types: (types != 0).then(|| BtfFd::by_id(types).expect("its types")), others }
    }

    #[track_caller]
    fn all_told_apart(&self) {
        told_apart(self.loaded.programs().next().expect("it is there"), Some(ObjectKind::Prog));
        told_apart(self.loaded.maps().next().expect("it is there"), Some(ObjectKind::Map));
        told_apart(&self.link, Some(ObjectKind::Link));
        if let Some(types) = &self.types {
            told_apart(types, Some(ObjectKind::Btf));
        }
        for other in &self.others {
            told_apart(other, None);
        }
    }
}

/// Runs a test with an interface that has an XDP program behind a link.
fn with_kinds(test: impl FnOnce(Kinds) + Send) {
    in_namespace(|| {
        let _veth = require!(VETH, Veth::new("near", "far"));
        let probe = loaded("packet_count.o");
        // Links of XDP came with Linux 5.9.
        require!(VETH, xdp(&probe, "near").info().map(drop));
        test(Kinds::new("near"));
    });
}

#[test]
fn a_descriptor_is_what_the_kernel_says() {
    require!(ROOT);
    with_kinds(|kinds| kinds.all_told_apart());
}

#[test]
fn a_descriptor_is_what_the_kernel_says_without_proc() {
    require!(ROOT);
    with_kinds(|kinds| {
        cover("/proc");
        kinds.all_told_apart();
    });
}

#[test]
fn a_proc_that_is_none_is_not_believed() {
    require!(ROOT);
    with_kinds(|kinds| {
        cover("/proc");
        let dir = Path::new("/proc/thread-self/fd");
        fs::create_dir_all(dir).expect("a directory");
        // Everything is a program here.
        for n in 0..512 {
            std::os::unix::fs::symlink("anon_inode:bpf-prog", dir.join(n.to_string())).expect("a link");
        }
        kinds.all_told_apart();
    });
}

/// The kernel would write the lists of a program to where the info says: the info says nothing of addresses here.
#[test]
fn lengths_that_a_caller_makes_up() {
    require!(ROOT);
    let loaded = loaded("packet_count.o");
    let program = ProgFd::new(own(loaded.programs().next().expect("a program"))).expect("it is one");
    let honest = sys::prog_info(&program).expect("it is there");
    type Change = fn(&mut sys::info::RawProgInfo);
    let changes: &[(&str, Change)] = &[
        ("few instructions", |i| i.xlated_prog_len = 8),
        ("part of an instruction", |i| i.xlated_prog_len = 15),
        ("many more instructions", |i| i.xlated_prog_len = 1 << 24),
        ("little machine code", |i| i.jited_prog_len = 1),
        ("much more machine code", |i| i.jited_prog_len = 1 << 24),
        ("lines of one byte", |i| (i.nr_line_info, i.line_info_rec_size) = (1 << 16, 1)),
        ("lines without bytes", |i| (i.nr_line_info, i.line_info_rec_size) = (1 << 16, 0)),
        ("more than memory holds", |i| (i.nr_line_info, i.line_info_rec_size) = (u32::MAX, u32::MAX)),
        ("functions of one byte", |i| (i.nr_func_info, i.func_info_rec_size) = (1 << 16, 1)),
        ("few maps", |i| i.nr_map_ids = 0),
        ("addresses", |i| {
            (i.map_ids, i.xlated_prog_insns, i.jited_prog_insns) = (0x1000, 0x2000, 0x3000);
            (i.func_info, i.line_info, i.jited_line_info) = (0x4000, 0x5000, 0x6000);
            (i.jited_ksyms, i.jited_func_lens, i.prog_tags, i.nr_prog_tags) = (0x7000, 0x8000, 0x9000, 1000);
        }),
    ];
    for (what, change) in changes {
        let mut size = honest;
        change(&mut size);
        // Whatever it says: it says it, and has room for what comes.
        match sys::prog_lists_of(&program, &size) {
            Ok((info, _)) => assert_eq!(info.id, honest.id, "{what}"),
            Err(e) => assert!(
                [Errno::EINVAL, Errno::ENOMEM, Errno::E2BIG, Errno::ENOSPC].contains(&e.errno),
                "{what}: {e}"
            ),
        }
    }
}

/// Each question that a link can be asked, to a link of another kind.
fn ask_everything(link: &LinkFd) {
    let head = sys::link_info(link).expect("it is there");
    let id = head.id;
    for n in 0..3 {
        // More than once: what is written too far is found by the allocator later.
        let name = sys::link_info_with_name(link);
        assert!(name.as_ref().map_or(true, |(info, _)| info.id == id), "{n}: {name:?}", name = name.is_ok());
        assert!(sys::kprobe_multi_targets(link).is_ok_and(|(info, _)| info.id == id) || n < 3);
        assert!(sys::uprobe_multi_targets(link).is_ok_and(|(info, ..)| info.id == id) || n < 3);
        assert!(sys::tracing_multi_targets(link).is_ok_and(|(info, _)| info.id == id) || n < 3);
    }
    let room: Vec<Vec<u8>> = (1..200).map(|n| vec![n; usize::from(n) * 64]).collect();
    assert!(room.iter().enumerate().all(|(n, v)| v.iter().all(|b| usize::from(*b) == n + 1)));
}

#[test]
fn questions_to_links_of_other_kinds() {
    require!(ROOT);
    with_kinds(|kinds| {
        ask_everything(&kinds.link);
        // Every link that this machine has, whoever made it.
        let mut id = 0;
        while let Ok(Some(next)) = sys::next_id(ObjectKind::Link, id) {
            id = next;
            if let Ok(link) = LinkFd::by_id(id) {
                ask_everything(&link);
            }
        }
    });
}

/// The link that made the kernel write 4,096 numbers where there was room for 64 bytes.
#[test]
fn questions_to_a_link_with_many_places() {
    require!(ROOT);
    let object = Object::open(object("kprobe_multi.o")).expect("it is read");
    let running = rawbpf::Attached::start(&Kernel::host(), &object, &[]);
    let _running = require!(KPROBE_MULTI, running.map_err(|e| format!("{e:#?}")));
    let mut id = 0;
    let mut asked = 0;
    while let Ok(Some(next)) = sys::next_id(ObjectKind::Link, id) {
        id = next;
        let Ok(link) = LinkFd::by_id(id) else { continue };
        ask_everything(&link);
        asked += 1;
    }
    assert!(asked > 0);
}

/// A list of CPUs that a file gives which is not the kernel's: all of them are there all the same.
#[test]
fn a_sys_that_lies_of_cpus() {
    require!(ROOT);
    in_namespace(|| {
        mount_bpffs();
        let map = map(MapType::PercpuArray, 4, 4096, 4);
        let id = map.info().id.to_string();
        let args = ["map", "dump", "id", id.as_str()];
        let whole = rawbpf_ok(&args);
        cover("/sys");
        let dir = Path::new("/sys/devices/system/cpu");
        fs::create_dir_all(dir).expect("a directory");
        for lie in ["0", "", "0-", "0-1,", "4294967295", "0-99999999999", "x", "0\0", "1-0"] {
            fs::write(dir.join("possible"), lie).expect("it is written");
            let out = rawbpf(&args);
            let (text, errors) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
            assert!(out.status.code().is_some(), "{lie:?}: {}: {errors}", out.status);
            assert!(!out.status.success() || text == whole, "{lie:?}: {text}, not {whole}");
        }
    });
}

/// A ring lends out memory that the kernel may write to once its consumer has gone on: there is one consumer.
#[test]
fn a_ring_has_one_consumer() {
    require!(ROOT);
    let map = Builder::new(MapType::Ringbuf, "ring").max_entries(65536).create();
    let map = require!(RINGBUF, map);
    let again = || Map::open_id(map.info().id).expect("it is there");
    let first = RingBuf::new(again()).expect("a consumer");
    let second = RingBuf::new(again()).map(drop).expect_err("there is one already");
    assert!(second.to_string().contains("EBUSY") || format!("{second:?}").contains("EBUSY"), "{second:?}");
    assert!(RingBuf::new(Map::from_fd(own(&map)).expect("it is a map")).is_err());
    // One that only looks at the positions lends nothing.
    assert!(RingWatch::new(&map).is_ok());
    let mut set = RingSet::new().expect("a set");
    set.add(first).expect("it is taken in");
    assert!(RingBuf::new(again()).is_err(), "the set has it");
    drop(set);
    let third = RingBuf::new(again()).expect("nobody has it");
    let moved = std::thread::spawn(move || drop(third)).join();
    assert!(moved.is_ok() && RingBuf::new(again()).is_ok());
}

#[test]
fn a_user_ring_has_one_producer() {
    require!(ROOT);
    let map = Builder::new(MapType::UserRingbuf, "ring").max_entries(65536).create();
    let map = require!(USER_RINGBUF, map);
    let again = || Map::open_id(map.info().id).expect("it is there");
    let mut first = UserRingBuf::new(again()).expect("a producer");
    assert!(UserRingBuf::new(again()).is_err());
    assert!(first.reserve(usize::MAX).is_err() && first.reserve(1 << 31).is_err());
    let slot = first.reserve(8).expect("it fits").expect("there is room");
    // A slot that is never dropped stays reserved, and is nobody's.
    std::mem::forget(slot);
    for _ in 0..10_000 {
        if let Ok(Some(mut slot)) = first.reserve(48) {
            slot.fill(0xab);
            slot.commit();
        }
    }
    drop(first);
    assert!(UserRingBuf::new(again()).is_ok());
}

/// What is no ring, and sizes that are not its own.
#[test]
fn a_map_that_is_no_ring() {
    require!(ROOT);
    for (map_type, key, value, max) in [(MapType::Array, 4, 8, 4096), (MapType::Hash, 4, 8, 4096)] {
        assert!(RingBuf::new(map(map_type, key, value, max)).is_err());
        assert!(UserRingBuf::new(map(map_type, key, value, max)).is_err());
        assert!(RingWatch::new(&map(map_type, key, value, max)).is_err());
        assert!(Arena::new(map(map_type, key, value, max)).is_err());
    }
    assert!(MappedArray::<u64>::new(map(MapType::Array, 4, 8, 4)).is_err(), "it cannot be mapped");
}

/// Places in shared memory that do not lie in it.
#[test]
fn places_outside_of_shared_memory() {
    require!(ROOT);
    let mmapable = sys::map::flags::MMAPABLE;
    let builder =
        Builder::new(MapType::Array, "mapped").key_size(4).value_size(8).max_entries(4).flags(mmapable);
    let array = MappedArray::<u64>::new(builder.create().expect("a map")).expect("it is mapped");
    let memory = array.memory();
    let len = memory.len();
    for offset in [len, len - 1, len + 1, usize::MAX, usize::MAX - 7, isize::MAX as usize] {
        assert!(memory.atomic_u64(offset).is_none() && memory.atomic_u32(offset).is_none(), "{offset}");
        assert!(memory.load_u64(offset).is_none() && memory.load_u32(offset).is_none(), "{offset}");
        assert!(!memory.copy_out(offset, &mut [0; 9]) && !memory.copy_in(offset, &[0; 9]), "{offset}");
        assert!(memory.read(offset, 9).is_none() && memory.read(0, offset).is_none_or(|v| v.len() <= len));
    }
    for unaligned in 1..4 {
        assert!(memory.atomic_u64(unaligned).is_none() && memory.atomic_u32(unaligned).is_none());
    }
    for index in [4, 5, u32::MAX] {
        assert!(array.load(index).is_none() && !array.store(index, &1), "{index}");
    }
    assert!(MappedArray::<[u64; 2]>::new(Map::open_id(array.map().info().id).expect("it is there")).is_err());
}

#[test]
fn places_outside_of_an_arena() {
    require!(ROOT);
    let builder = Builder::new(MapType::Arena, "arena").max_entries(4).flags(sys::map::flags::MMAPABLE);
    let map = require!(ARENA, builder.create());
    let arena = Arena::new(map).expect("it is mapped");
    let len = arena.memory().len();
    for offset in [len, len - 7, usize::MAX, usize::MAX - 7] {
        assert!(arena.load::<u64>(offset).is_none() && !arena.store(offset, &1u64), "{offset}");
    }
    for pointer in [0, 1, u64::MAX, arena.address() as u64 - 1, (arena.address() + len) as u64] {
        assert!(arena.offset_of(pointer).is_none_or(|at| at <= len), "{pointer:#x}");
    }
    // A second mapping is elsewhere or refused; it is never over the first.
    let again = Map::open_id(arena.map().info().id).expect("it is there");
    if let Ok(second) = Arena::new(again) {
        assert!(second.store(0, &7u64) && arena.load::<u64>(0) == Some(7));
    }
}

/// Types are read from a file that changes afterwards: they are not a view of it.
#[test]
fn a_file_of_types_that_is_cut_off() {
    require!(ROOT);
    let bytes = require!(BTF, fs::read("/sys/kernel/btf/vmlinux"));
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("types");
    fs::write(&path, &bytes).expect("it is written");
    let around = format!("/sys/kernel/btf/../../..{}", path.display());
    for path in [path.display().to_string(), around] {
        fs::write(&path, &bytes).expect("it is written");
        let types = rawbpf::kernel::read_types(&path, None).expect("they are types");
        let count = types.iter().count();
        File::create(&path).expect("it is cut off");
        assert_eq!(types.iter().count(), count);
        fs::write(&path, vec![0xff; bytes.len()]).expect("it is written");
        let named = types.iter().count();
        assert_eq!(named, count, "{path}");
    }
    // The same by a mount: the kernel's file is what it is by its file system, and not by its name.
    in_namespace(|| {
        fs::write(&path, &bytes).expect("it is written");
        let over = "/sys/kernel/btf/vmlinux";
        mount(Some(&path), over, Some("none"), MsFlags::MS_BIND, None::<&str>).expect("it is mounted");
        let types = rawbpf::kernel::read_types(over, None).expect("they are types");
        let count = types.iter().count();
        File::create(&path).expect("it is cut off");
        assert_eq!(types.iter().count(), count);
    });
}

#[test]
fn an_attribute_that_is_too_long() {
    for len in [65_531, 65_532, 65_535, 65_536, 70_000, 131_072] {
        let value = vec![1; len];
        let netlink = |message| {
            let mut netlink = Netlink::route().expect("a socket");
            netlink.request(message).map(drop).expect_err("there is no such thing")
        };
        let message = Message::new(16, ACK, &[0; 16]).attr(3, &value);
        let said = format!("{:?}", netlink(message));
        assert!(len < 65_532 || said.contains("EMSGSIZE") || said.contains("90"), "{len}: {said}");
        let nested = Message::new(16, ACK, &[0; 16]).nest(18, |inner| inner.push(1, &value));
        let said = format!("{:?}", netlink(nested));
        assert!(len < 65_532 || said.contains("EMSGSIZE") || said.contains("90"), "{len}: {said}");
    }
}

/// An observer may do all that others may.
#[test]
fn an_observer_that_observes() {
    require!(ROOT);
    let (done, wait) = mpsc::channel();
    std::thread::spawn(move || {
        sys::observe(Some(Box::new(|_| {
            // It is told of its own call as well: it has taken itself away by then.
            sys::observe(None);
            let _ = sys::next_id(ObjectKind::Map, 0);
            sys::observe(Some(Box::new(|_| sys::observe(None))));
        })));
        for _ in 0..4 {
            let _ = sys::next_id(ObjectKind::Map, 0);
        }
        // One that panics leaves nothing locked.
        let me = std::thread::current().id();
        sys::observe(Some(Box::new(move |_| {
            // Other tests are observed as well.
            assert_ne!(std::thread::current().id(), me, "an observer that panics");
        })));
        let panicked = std::panic::catch_unwind(|| sys::next_id(ObjectKind::Map, 0)).is_err();
        sys::observe(None);
        let _ = sys::next_id(ObjectKind::Map, 0);
        done.send(panicked)
    });
    wait.recv_timeout(Duration::from_secs(20)).expect("it does not wait for itself");
}

/// Lengths that do not go with their pointers.
#[test]
fn a_program_whose_lists_are_shorter_than_it_says() {
    require!(ROOT);
    // r0 = 0; exit
    let insns = [[0xb7, 0, 0, 0, 0, 0, 0, 0], [0x95, 0, 0, 0, 0, 0, 0, 0]];
    let parts = ProgLoadParts { insns: &insns, license: Some(c"GPL"), ..Default::default() };
    let short = [0u8; 8];
    let head = || attr::ProgLoad {
        prog_type: ProgType::SocketFilter,
        core_relos: Ptr::to(&short),
        core_relo_cnt: 1 << 20,
        core_relo_rec_size: 16,
        signature_size: 1 << 20,
        fd_array_cnt: 1 << 20,
        insn_cnt: 1 << 20,
        log_size: 1 << 20,
        func_info_cnt: 1 << 20,
        func_info_rec_size: 8,
        line_info_cnt: 1 << 20,
        line_info_rec_size: 16,
        ..Default::default()
    };
    let loaded = sys::prog_load(head(), parts, &mut []).fd;
    loaded.unwrap_or_else(|e| panic!("what the head says of lists counts for nothing: {e}"));
    // An instruction that names the 1000th descriptor of an array of one.
    let lddw = |at: i32| {
        let [a, b, c, d] = at.to_ne_bytes();
        let regs = if cfg!(target_endian = "big") { 0x15 } else { 0x51 };
        [[0x18, regs, 0, 0, a, b, c, d], [0; 8], insns[0], insns[1]]
    };
    let map = map(MapType::Array, 4, 8, 1);
    let fds = [map.as_fd().as_raw_fd()];
    for at in [1, 1000, i32::MAX, -1, i32::MIN] {
        let insns = lddw(at);
        let parts =
            ProgLoadParts { insns: &insns, fd_array: &fds, license: Some(c"GPL"), ..Default::default() };
        let head = attr::ProgLoad { prog_type: ProgType::SocketFilter, ..Default::default() };
        let refused = sys::prog_load(head, parts, &mut []).fd.map(drop).expect_err("there is no such entry");
        assert_eq!(refused.errno, Errno::EINVAL, "{at}: {refused}");
    }
}

#[test]
fn a_map_for_one_program_by_a_hash_of_any_length() {
    require!(ROOT);
    let hash = [[7u8; 32]];
    let mut attr = attr::MapCreate {
        map_type: MapType::Array,
        key_size: 4,
        value_size: 8,
        max_entries: 1,
        excl_prog_hash: Ptr::to(&hash),
        excl_prog_hash_size: 1 << 20,
        ..Default::default()
    };
    // Made, or the kernel does not know of it: it does not read a megabyte of 32 bytes.
    if let Err(e) = sys::map_create(&mut attr) {
        assert!([Errno::E2BIG, Errno::EINVAL].contains(&e.errno), "{e}");
    }
    assert_eq!(attr.excl_prog_hash_size, 32);
    let mut attr = attr::MapCreate {
        map_type: MapType::Array,
        key_size: 4,
        value_size: 8,
        max_entries: 1,
        excl_prog_hash_size: 1 << 20,
        ..Default::default()
    };
    sys::map_create(&mut attr).expect("no hash is no hash, however long");
}

/// A union of numbers is no union of addresses.
#[test]
fn numbers_that_a_hook_would_take_for_addresses() {
    require!(ROOT);
    let loaded = loaded("packet_count.o");
    let program = loaded.programs().next().expect("a program");
    let numbers = [
        LinkExtra::perf_event(u64::MAX),
        LinkExtra::tracing(u32::MAX, 0x1000),
        LinkExtra::netfilter(8, 8, 8, 8),
        LinkExtra::ordered(16, 0x1000),
    ];
    let hooks = [
        AttachType::TraceKprobeMulti,
        AttachType::TraceKprobeSession,
        AttachType::TraceUprobeMulti,
        AttachType::TraceUprobeSession,
        AttachType::TraceIter,
        AttachType::TraceFentryMulti,
    ];
    for attach_type in hooks {
        for extra in numbers {
            let link = LinkCreate { prog_fd: Fd::of(program), attach_type, extra, ..Default::default() };
            let refused = sys::link_create(&link).map(drop).expect_err("it does not fit");
            assert_eq!(refused.errno, Errno::EINVAL, "{attach_type:?}: {refused}");
        }
    }
    assert!(LinkExtra::kprobe_multi(0, KprobePlaces::Addresses(&[1, 2]), &[1]).is_none());
    assert!(LinkExtra::uprobe_multi(c"/bin/true", &[1, 2], &[1], &[], 0, 0).is_none());
    assert!(LinkExtra::uprobe_multi(c"/bin/true", &[1, 2], &[], &[1, 2, 3], 0, 0).is_none());
    assert!(LinkExtra::tracing_multi(&[1, 2], &[1]).is_none());
}

/// A place in a walk over one map, used for another; and batches that no memory holds.
#[test]
fn a_batch_of_another_map() {
    require!(ROOT);
    let (narrow, wide) = (map(MapType::Hash, 4, 8, 64), map(MapType::LpmTrie, 64, 4096, 64));
    drop(wide);
    let fd = |map: &Map| MapFd::new(own(map)).expect("it is a map").0;
    let large = Builder::new(MapType::Hash, "large").key_size(256).value_size(4096).max_entries(64);
    let large = large.create().expect("a map");
    for n in 0..64u32 {
        narrow.set(&n.to_ne_bytes(), &[1; 8], 0).expect("it is written");
        let mut key = vec![0; 256];
        key[..4].copy_from_slice(&n.to_ne_bytes());
        large.set(&key, &[2; 4096], 0).expect("it is written");
    }
    let (narrow, large) = (fd(&narrow), fd(&large));
    let mut batch = Batch::new(16);
    match narrow.lookup_batch(&mut batch, false) {
        // Linux 5.6.
        Err(e) => assert!([Errno::EINVAL, Errno::ENOTSUPP, Errno::EOPNOTSUPP].contains(&e.errno), "{e}"),
        Ok(_) => {
            let refused = large.lookup_batch(&mut batch, false).expect_err("a place in another map");
            assert_eq!(refused.errno, Errno::EINVAL, "{refused}");
        }
    }
    for max in [usize::MAX, u32::MAX as usize, 1 << 31] {
        let refused = large.lookup_batch(&mut Batch::new(max), false).expect_err("too many");
        assert!([Errno::EINVAL, Errno::ENOMEM, Errno::E2BIG].contains(&refused.errno), "{max}: {refused}");
    }
    for (keys, values) in [(4, 8), (256, 4095), (255, 4096), (512, 4096), (0, 4096), (256, 0)] {
        let done = large.update_batch(&vec![0; keys], &vec![0; values], 0);
        assert!(done.is_err() || keys == 0 && values == 0, "{keys} {values}");
    }
}

/// Buffers of another length than the kernel's.
#[test]
fn buffers_that_are_too_short() {
    require!(ROOT);
    let cpus = sys::possible_cpus().expect("it is known");
    let percpu = MapFd::new(own(map(MapType::PercpuArray, 4, 12, 4))).expect("it is a map").0;
    assert_eq!((percpu.slot_len(), percpu.value_len()), (16, 16 * cpus));
    let key = 0u32.to_ne_bytes();
    for len in [0, 1, 12, 16 * cpus - 1, 16 * cpus + 1, 12 * cpus].into_iter().filter(|l| *l != 16 * cpus) {
        let mut value = vec![0; len];
        assert!(percpu.lookup(&key, &mut value, 0).is_err(), "{len}");
        assert!(percpu.lookup_and_delete(&key, &mut value, 0).is_err(), "{len}");
        assert!(percpu.update(&key, &value, 0).is_err(), "{len}");
    }
    for key in [&[][..], &[0; 3], &[0; 5]] {
        assert!(percpu.lookup(key, &mut vec![0; 16 * cpus], 0).is_err() && percpu.delete(key).is_err());
        assert!(percpu.next_key(Some(key), &mut [0; 4]).is_err());
        assert!(percpu.next_key(None, &mut vec![0; key.len()]).is_err());
    }
    // With any flags: those that ask for one CPU's value make the kernel write less, never more.
    for flags in (0..64).chain([1 << 32 | 8, 1 << 63, u64::MAX]) {
        let _ = percpu.lookup(&0u32.to_ne_bytes(), &mut vec![0; 16 * cpus], flags);
        let _ = percpu.update(&0u32.to_ne_bytes(), &vec![0; 16 * cpus], flags);
    }
}

/// A test run gets back more than it was given: room for what XDP may add.
#[test]
fn a_run_that_grows_its_packet() {
    require!(HOST);
    require!(ROOT);
    let loaded = loaded("packet_count.o");
    let program = loaded.programs().next().expect("a program");
    for len in [0, 1, 13, 14, 60, 4000, 70_000] {
        for (ctx, repeat) in [(0, 0), (24, 1), (1, 1), (4096, 3)] {
            let (data, ctx) = (vec![0xff; len], vec![0; ctx]);
            let run = sys::TestRun { data, ctx, repeat, ..Default::default() };
            if let Ok(out) = program.test_run(&run) {
                assert!(out.data.len() <= len + 512, "{len}: {}", out.data.len());
            }
        }
    }
}
