//! One test for each map type: made from Rust, written, read, and refused where it must be.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::sync::atomic::Ordering;

use super::{errno, hash, load, make, run};
use crate::gate::{
    ALL_CPUS, ARENA, BLOOM_FILTER, CGRP_STORAGE, INODE_STORAGE, INSN_ARRAY, MAP_BTF, RHASH, ROOT,
    TASK_STORAGE, USER_RINGBUF, require,
};
use rawbpf::maps::{
    Arena, Array, ArrayOfMaps, BloomFilter, Builder, CgroupArray, CgroupStorage, CpuMap, DevMap, DevMapHash,
    ElemFlags, HashMap, HashOfMaps, InodeStorage, Ip4, LpmTrie, Map, MapError, MappedArray, Mismatch, PerCpu,
    PerCpuArray, PerCpuHash, Plain as _, Prefix, ProgArray, Queue, RULES, ReuseportSockArray, SockHash,
    SockMap, SocketStorage, Stack, TaskStorage,
};
use rawbpf::sys::map::flags;
use rawbpf::sys::{self, Errno};
use rawbpf::uapi::MapType;

rawbpf::plain! {
    #[derive(Debug, Default, PartialEq)]
    struct Stats { packets: u64, bytes: u32, last: u32 }
}

fn new(map_type: MapType) -> Builder<'static> {
    Builder::new(map_type, "test_map").max_entries(8)
}

fn typed<T: TryFrom<Map, Error = MapError>>(builder: &Builder<'_>) -> T {
    T::try_from(make(builder).expect("this type of map is as old as our kernels")).expect("of this type")
}

#[test]
fn hashes_hold_what_was_put_in() {
    require!(ROOT);
    for map_type in [MapType::Hash, MapType::LruHash] {
        let map: HashMap<u32, Stats> = typed(&new(map_type).keys::<u32>().values::<Stats>());
        let stats = Stats { packets: 7, bytes: 9, last: 1 };
        assert_eq!(map.get(&1).expect("get"), None);
        map.set(&1, &stats).expect("set");
        assert_eq!(map.get(&1).expect("get"), Some(stats));
        let e = map.set_with(&1, &stats, ElemFlags::NOEXIST).expect_err("it is there");
        assert_eq!(errno(&e), Some(Errno::EEXIST));
        assert_eq!(e.to_string(), "cannot write an element of map `test_map`");
        let e = map.set_with(&2, &stats, ElemFlags::EXIST).expect_err("it is not there");
        assert_eq!(errno(&e), Some(Errno::ENOENT));
        // In one step since 5.14, in two before.
        assert_eq!(map.take(&1).expect("take"), Some(stats));
        assert_eq!(map.take(&1).expect("take"), None);
        assert!(!map.delete(&1).expect("delete"));
    }
}

#[test]
fn a_hash_is_written_and_read_in_batches() {
    require!(ROOT);
    let map: HashMap<u32, u64> = typed(&hash("batches", 1000));
    let keys: Vec<u32> = (0..1000).collect();
    let values: Vec<u64> = (0..1000).map(|n| n * n).collect();
    map.set_many(&keys, &values).expect("all");
    let mut found: Vec<(u32, u64)> = map.iter().collect::<Result<_, _>>().expect("read");
    found.sort();
    assert_eq!(found, keys.iter().copied().zip(values).collect::<Vec<_>>());
    // The first and the last are not there; that does no harm.
    let some: Vec<u32> = [5000].into_iter().chain(0..500).chain([6000]).collect();
    assert_eq!(map.delete_many(&some).expect("delete"), 500);
    assert_eq!(map.iter().count(), 500);
    let e = map.set_many(&(0..1001).collect::<Vec<u32>>(), &vec![0; 1001]).expect_err("one too many");
    let MapError::Partly { done, of, source, .. } = e else { panic!("{e:?}") };
    assert_eq!((done, of, source.errno), (1000, 1001, Errno::E2BIG));
}

#[test]
fn a_map_of_another_kind_is_refused_by_name() {
    require!(ROOT);
    let map = make(&hash("mine", 4)).expect("hash");
    let wrong = |e: MapError| e.to_string();
    assert_eq!(
        wrong(Array::<u64>::try_from(&map).expect_err("a hash")),
        "map `mine` is of type hash; expected array"
    );
    assert_eq!(
        wrong(HashMap::<u64, u64>::try_from(&map).expect_err("the key")),
        "map `mine` has keys of 4 bytes; the Rust type has 8"
    );
    assert_eq!(
        wrong(HashMap::<u32, Stats>::try_from(&map).expect_err("the value")),
        "map `mine` has values of 8 bytes; the Rust type has 16"
    );
    assert!(HashMap::<u32, u64>::try_from(&map).is_ok());
}

#[test]
fn an_rhash_grows() {
    require!(ROOT);
    let builder = new(MapType::Rhash).keys::<u32>().values::<u64>().max_entries(10_000);
    let map = HashMap::<u32, u64>::try_from(require!(RHASH, make(&builder))).expect("its type");
    for n in 0..1000 {
        map.set(&n, &u64::from(n)).expect("set");
    }
    let mut keys: Vec<u32> = map.iter().map(|e| e.expect("read").0).collect();
    keys.sort();
    assert_eq!(keys, (0..1000).collect::<Vec<u32>>());
    assert_eq!(map.take(&7).expect("take"), Some(7));
}

#[test]
fn arrays_are_all_there_from_the_start() {
    require!(ROOT);
    let map: Array<Stats> = typed(&new(MapType::Array).values::<Stats>());
    assert_eq!(
        (map.len(), map.get(7).expect("get"), map.get(8).expect("get")),
        (8, Some(Stats::default()), None)
    );
    let values: Vec<Stats> = (0..8).map(|n| Stats { packets: n, ..Stats::default() }).collect();
    map.set_first(&values).expect("set");
    let found: Vec<(u32, Stats)> = map.iter().collect::<Result<_, _>>().expect("read");
    assert_eq!(found, (0..8).zip(values).collect::<Vec<_>>());
    assert_eq!(errno(&map.set(8, &Stats::default()).expect_err("beyond the end")), Some(Errno::E2BIG));
}

#[test]
fn per_cpu_values_are_one_for_each_cpu() {
    require!(ROOT);
    let array: PerCpuArray<u32> = typed(&new(MapType::PercpuArray).values::<u32>());
    let cpus = sys::possible_cpus().expect("sysfs tells");
    let mine = PerCpu::new((0..cpus as u32).map(|n| n + 1).collect()).expect("as many as CPUs");
    array.set(3, &mine).expect("set");
    assert_eq!(array.get(3).expect("get").as_ref(), Some(&mine));
    let sum: u32 = array.get(3).expect("get").expect("there").sum();
    assert_eq!(sum as usize, cpus * (cpus + 1) / 2);
    let last = sys::possible_cpu_list().expect("sysfs tells").last().copied().expect("a CPU");
    assert_eq!(array.get_cpu(3, last).expect("get"), Some(cpus as u32));
    array.set_all(3, &9).expect("set");
    assert_eq!(array.get(3).expect("get"), Some(PerCpu::all(9).expect("the CPUs are known")));
    assert_eq!(array.read_all().expect("read").len(), 8);

    for map_type in [MapType::PercpuHash, MapType::LruPercpuHash] {
        let hash: PerCpuHash<u16, Stats> = typed(&new(map_type).keys::<u16>().values::<Stats>());
        let values = PerCpu::all(Stats { packets: 1, bytes: 2, last: 3 }).expect("the CPUs are known");
        hash.set_many(&[1, 2, 3], &[values.clone(), values.clone(), values.clone()]).expect("set");
        let mut seen = Vec::new();
        let walk = hash.for_each(|key, value| seen.push((key, value))).expect("read");
        seen.sort_by_key(|(key, _)| *key);
        assert_eq!(seen, [(1, values.clone()), (2, values.clone()), (3, values.clone())]);
        assert!(walk.complete);
        assert_eq!(hash.take(&2).expect("take"), Some(values));
        assert_eq!(hash.get(&2).expect("get"), None);
    }
}

#[test]
fn one_cpus_value_is_written_alone() {
    require!(ROOT);
    let array: PerCpuArray<u32> = typed(&new(MapType::PercpuArray).values::<u32>());
    let last = sys::possible_cpu_list().expect("sysfs tells").last().copied().expect("a CPU");
    require!(ALL_CPUS, array.set_cpu(0, last, &5));
    assert_eq!(array.get_cpu(0, last).expect("get"), Some(5));
    let sum: u32 = array.get(0).expect("get").expect("there").sum();
    assert_eq!(sum, 5);
}

#[test]
fn tries_find_the_longest_prefix() {
    require!(ROOT);
    let builder = new(MapType::LpmTrie).key_size(8).values::<u32>();
    let map: LpmTrie<Ip4, u32> = typed(&builder);
    let net = |text: &str| text.parse::<Prefix<Ip4>>().expect("a prefix");
    for (prefix, value) in [("10.0.0.0/8", 8), ("10.1.0.0/16", 16), ("0.0.0.0/0", 0)] {
        map.set(&net(prefix), &value).expect("set");
    }
    for (addr, value) in [([10, 1, 2, 3], 16), ([10, 2, 0, 0], 8), ([9, 0, 0, 0], 0)] {
        let found = map.get(&Prefix::whole(Ipv4Addr::from(addr))).expect("get");
        assert_eq!(found, Some(value), "{addr:?}");
    }
    let mut seen = Vec::new();
    let walk = map.for_each(|prefix, value| seen.push((prefix.to_string(), value))).expect("read");
    seen.sort();
    assert_eq!(seen, [("0.0.0.0/0".into(), 0), ("10.0.0.0/8".into(), 8), ("10.1.0.0/16".into(), 16)]);
    assert!(walk.complete);
    assert!(map.delete(&net("10.0.0.0/8")).expect("delete"));
    assert_eq!(map.get(&Prefix::whole(Ipv4Addr::new(10, 9, 9, 9))).expect("get"), Some(0));
}

#[test]
fn queues_and_stacks_have_their_orders() {
    require!(ROOT);
    let queue: Queue<u32> = typed(&new(MapType::Queue).values::<u32>().max_entries(2));
    let stack: Stack<u32> = typed(&new(MapType::Stack).values::<u32>().max_entries(2));
    for n in [1, 2] {
        queue.push(&n).expect("push");
        stack.push(&n).expect("push");
    }
    assert_eq!(errno(&queue.push(&3).expect_err("full")), Some(Errno::E2BIG));
    queue.push_over(&3).expect("push");
    assert_eq!((queue.peek().expect("peek"), stack.peek().expect("peek")), (Some(2), Some(2)));
    let popped: Vec<_> = (0..3).map(|_| queue.pop().expect("pop")).collect();
    assert_eq!(popped, [Some(2), Some(3), None]);
    let popped: Vec<_> = (0..3).map(|_| stack.pop().expect("pop")).collect();
    assert_eq!(popped, [Some(2), Some(1), None]);
}

#[test]
fn bloom_filters_never_forget() {
    require!(ROOT);
    let map =
        require!(BLOOM_FILTER, make(&new(MapType::BloomFilter).values::<u32>().max_entries(1000).extra(3)));
    let filter = BloomFilter::<u32>::try_from(map).expect("its type");
    for n in 0..100 {
        filter.add(&n).expect("add");
    }
    assert!((0..100).all(|n| filter.may_contain(&n).expect("ask")));
    let wrong = (1000..2000).filter(|n| filter.may_contain(n).expect("ask")).count();
    assert!(wrong < 100, "{wrong} of 1000 that were never added");
}

#[test]
fn maps_hold_maps() {
    require!(ROOT);
    let inner = make(&hash("inner", 4)).expect("hash");
    let array: ArrayOfMaps = typed(&new(MapType::ArrayOfMaps).inner(&inner));
    array.set(2, &inner).expect("set");
    assert_eq!(array.get(2).expect("get"), Some(inner.info().id));
    assert_eq!(array.open(2).expect("open").map(|m| m.info().id), Some(inner.info().id));
    assert_eq!(array.get(1).expect("get"), None);
    let seen: Vec<(u32, u32)> = array.iter().collect::<Result<_, _>>().expect("read");
    assert_eq!(seen, [(2, inner.info().id)]);
    assert!(array.clear(2).expect("clear"));

    let outer: HashOfMaps<u64> = typed(&new(MapType::HashOfMaps).keys::<u64>().inner(&inner));
    outer.set(&5, &inner).expect("set");
    let seen: Vec<(u64, u32)> = outer.iter().collect::<Result<_, _>>().expect("read");
    assert_eq!(seen, [(5, inner.info().id)]);
    let other = make(&new(MapType::Hash).keys::<u64>().values::<u64>()).expect("hash");
    assert_eq!(errno(&outer.set(&6, &other).expect_err("not like the others")), Some(Errno::EINVAL));
    assert!(outer.delete(&5).expect("delete"));
}

#[test]
fn program_arrays_hold_programs() {
    require!(ROOT);
    let loaded = load("print");
    let program = loaded.program("print_hello").expect("it is in the object");
    let array: ProgArray = typed(&new(MapType::ProgArray));
    array.set(1, program).expect("set");
    let id = program.info().expect("info").id;
    assert_eq!((array.get(1).expect("get"), array.get(0).expect("get")), (Some(id), None));
    let seen: Vec<(u32, u32)> = array.iter().collect::<Result<_, _>>().expect("read");
    assert_eq!(seen, [(1, id)]);
    assert!(array.clear(1).expect("clear"));
    assert!(!array.clear(1).expect("clear"));
}

#[test]
fn device_maps_hold_interfaces() {
    require!(ROOT);
    let lo = nix::net::if_::if_nametoindex("lo").expect("every machine has it");
    let array: DevMap = typed(&new(MapType::Devmap));
    array.set(0, lo, None).expect("set");
    assert_eq!(array.get(0).expect("get").map(|d| d.ifindex), Some(lo));
    assert_eq!(array.get(1).expect("get"), None);
    array.delete(0).expect("delete");
    assert_eq!(array.get(0).expect("get"), None);
    let hash: DevMapHash = typed(&new(MapType::DevmapHash).value_size(8));
    hash.set(700, lo, None).expect("set");
    assert_eq!(hash.get(700).expect("get").map(|d| (d.ifindex, d.program)), Some((lo, 0)));
    assert!(hash.delete(700).expect("delete"));
}

#[test]
fn cpu_maps_give_cpus_a_queue() {
    require!(ROOT);
    let map: CpuMap = typed(&Builder::new(MapType::Cpumap, "cpus"));
    map.set(0, 64, None).expect("set");
    assert_eq!(map.get(0).expect("get").map(|q| q.queue), Some(64));
    assert!(map.delete(0).expect("delete"));
}

#[test]
fn an_xskmap_takes_only_its_sockets() {
    require!(ROOT);
    let map: rawbpf::maps::XskMap = typed(&new(MapType::Xskmap));
    let socket = TcpListener::bind("127.0.0.1:0").expect("a socket");
    // An AF_XDP socket needs an interface with a ring; that any other is refused shows that the kernel looked.
    let e = map.set(0, &socket).expect_err("no AF_XDP socket");
    assert_eq!(errno(&e), Some(Errno::EOPNOTSUPP), "{e:?}");
}

fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let client = TcpStream::connect(listener.local_addr().expect("an address")).expect("connect");
    (client, listener.accept().expect("accept").0)
}

#[test]
fn socket_maps_hold_sockets() {
    require!(ROOT);
    let (client, server) = connection();
    let map: SockMap = typed(&new(MapType::Sockmap).value_size(8));
    map.set(1, &client).expect("set");
    assert!(map.cookie(1).expect("cookie").is_some_and(|cookie| cookie != 0));
    assert_eq!(map.cookie(0).expect("cookie"), None);
    assert!(map.delete(1).expect("delete"));
    assert!(!map.delete(1).expect("delete"));
    let hash: SockHash<u64> = typed(&new(MapType::Sockhash).keys::<u64>().value_size(8));
    hash.set(&77, &server).expect("set");
    assert!(hash.cookie(&77).expect("cookie").is_some());
    assert!(hash.delete(&77).expect("delete"));
}

#[test]
fn reuseport_arrays_hold_listeners() {
    require!(ROOT);
    use nix::sys::socket::{
        AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, listen, setsockopt, socket, sockopt,
    };
    use std::os::fd::AsRawFd as _;
    let fd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty(), None).expect("a socket");
    setsockopt(&fd, sockopt::ReusePort, &true).expect("SO_REUSEPORT");
    bind(fd.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).expect("bind");
    listen(&fd, Backlog::new(1).expect("a backlog")).expect("listen");
    let map: ReuseportSockArray = typed(&new(MapType::ReuseportSockarray));
    map.set(0, &fd).expect("set");
    assert!(map.cookie(0).expect("cookie").is_some());
    assert!(map.delete(0).expect("delete"));
}

#[test]
fn cgroup_arrays_hold_cgroups() {
    require!(ROOT);
    let map: CgroupArray = typed(&new(MapType::CgroupArray));
    let Ok(cgroup) = File::open("/sys/fs/cgroup") else { panic!("no cgroup file system") };
    match map.set(0, &cgroup) {
        Ok(()) => assert!(map.clear(0).expect("clear")),
        // A machine with the old cgroups at that place.
        Err(e) => assert_eq!(errno(&e), Some(Errno::EBADF), "{e:?}"),
    }
}

#[test]
fn sockets_keep_values() {
    require!(ROOT);
    let storage = SocketStorage::<u64>::try_from(require!(
        MAP_BTF,
        make(&new(MapType::SkStorage).values::<u64>().max_entries(0))
    ));
    let storage = storage.expect("its type");
    let (client, server) = connection();
    storage.set(&client, &5).expect("set");
    assert_eq!((storage.get(&client).expect("get"), storage.get(&server).expect("get")), (Some(5), None));
    let e = storage.set_with(&client, &6, ElemFlags::NOEXIST).expect_err("it is there");
    assert_eq!(errno(&e), Some(Errno::EEXIST));
    assert!(storage.delete(&client).expect("delete"));
}

#[test]
fn inodes_keep_values() {
    require!(ROOT);
    let map = require!(INODE_STORAGE, make(&new(MapType::InodeStorage).values::<u64>().max_entries(0)));
    let storage = InodeStorage::<u64>::try_from(map).expect("its type");
    let file = File::open("/proc/self/exe").expect("our own file");
    require!(INODE_STORAGE, storage.set(&file, &5));
    assert_eq!(storage.get(&file).expect("get"), Some(5));
    assert!(storage.delete(&file).expect("delete"));
}

#[test]
fn processes_keep_values() {
    require!(ROOT);
    let map = require!(TASK_STORAGE, make(&new(MapType::TaskStorage).values::<u64>().max_entries(0)));
    let storage = TaskStorage::<u64>::try_from(map).expect("its type");
    let me = std::process::id();
    require!(TASK_STORAGE, storage.set_pid(me, &5));
    assert_eq!(storage.get_pid(me).expect("get"), Some(5));
    let pidfd = sys::pidfd_open(me).expect("a pidfd");
    assert!(storage.delete(&pidfd).expect("delete"));
    assert_eq!(storage.get(&pidfd).expect("get"), None);
}

#[test]
fn cgroups_keep_values() {
    require!(ROOT);
    let map = require!(CGRP_STORAGE, make(&new(MapType::CgrpStorage).values::<u64>().max_entries(0)));
    let storage = CgroupStorage::<u64>::try_from(map).expect("its type");
    let cgroup = File::open("/sys/fs/cgroup").expect("a cgroup file system");
    require!(CGRP_STORAGE, storage.set(&cgroup, &5));
    assert_eq!(storage.get(&cgroup).expect("get"), Some(5));
    assert!(storage.delete(&cgroup).expect("delete"));
}

#[test]
fn an_array_is_mapped_and_shared_with_a_program() {
    require!(ROOT);
    let loaded = load("ring_events");
    // A global variable's map: the loader made it mappable.
    let map = super::map(&loaded, ".bss");
    let bss = MappedArray::<u64>::new(map).expect("mapped");
    assert_eq!(bss.load(0), Some(0));
    assert!(bss.store(0, &7));
    assert_eq!(
        bss.map().get(0u32.bytes()).expect("get").as_deref(),
        Some(7u64.bytes()),
        "a system call sees it"
    );

    let map: Map = make(&new(MapType::Array).values::<u64>().flags(flags::MMAPABLE)).expect("array");
    let mapped = MappedArray::<u64>::new(map).expect("mapped");
    mapped.atomic_u64(3).expect("inside").fetch_add(2, Ordering::Relaxed);
    assert_eq!((mapped.load(3), mapped.load(8)), (Some(2), None));
    let e = MappedArray::<u64>::new(make(&new(MapType::Array).values::<u64>()).expect("array"));
    let Err(MapError::Mismatch { mismatch: Mismatch::Flag(flag), .. }) = e else { panic!("{e:?}") };
    assert_eq!(flag, "BPF_F_MMAPABLE");
}

#[test]
fn an_arena_is_memory() {
    require!(ROOT);
    let map = require!(ARENA, make(&new(MapType::Arena).max_entries(4)));
    let arena = Arena::new(map).expect("mapped");
    assert_eq!(arena.load::<u64>(4096), Some(0), "a new page is zero");
    assert!(arena.store(4096, &7u64));
    assert_eq!(arena.load::<u64>(4096), Some(7));
    assert_eq!(arena.offset_of(arena.address() as u64 + 4096), Some(4096));
    assert_eq!(arena.load::<u64>(arena.memory().len()), None);
}

#[test]
fn an_instruction_array_is_filled_before_its_program_is_loaded() {
    require!(ROOT);
    let map = require!(INSN_ARRAY, make(&new(MapType::InsnArray)));
    let slot = map.get(0u32.bytes()).expect("get").expect("there");
    assert_eq!(slot, [0; 16]);
}

#[test]
fn a_user_ring_buffer_can_be_made() {
    require!(ROOT);
    let map = require!(USER_RINGBUF, make(&new(MapType::UserRingbuf)));
    assert_eq!(map.info().max_entries as usize, rawbpf::sys::ring::page_size());
}

#[test]
fn every_map_type_has_a_rule() {
    let named: Vec<MapType> = RULES.iter().map(|rule| rule.map_type).collect();
    assert_eq!(named, MapType::ALL);
}

#[test]
fn frozen_maps_take_no_more_writes() {
    require!(ROOT);
    let map = make(&hash("frozen", 4)).expect("hash");
    map.set(1u32.bytes(), 1u64.bytes(), 0).expect("set");
    assert_eq!(map.fd_info().frozen, Some(false));
    map.freeze().expect("freeze");
    assert_eq!(map.fd_info().frozen, Some(true));
    assert_eq!(map.set(1u32.bytes(), 2u64.bytes(), 0).expect_err("frozen").errno, Errno::EPERM);
    assert!(map.fd_info().memlock.is_some());
}

#[test]
fn a_pinned_map_is_used_again_if_it_is_the_same() {
    require!(ROOT);
    if !std::path::Path::new("/sys/fs/bpf").exists() {
        panic!("no /sys/fs/bpf");
    }
    let path = format!("/sys/fs/bpf/rawbpf_test_{}", std::process::id());
    let builder = hash("a_long_name_of_a_map", 4);
    let first = require!(crate::gate::BPFFS, builder.open_or_create(&path));
    let second = builder.open_or_create(&path).expect("again");
    let other = hash("a_long_name_of_a_map", 5).open_or_create(&path);
    let read_only = Map::open_pin_read_only(&path).expect("open");
    std::fs::remove_file(&path).expect("unpin");
    assert_eq!((first.info().id, second.name()), (second.info().id, "a_long_name_of_a_map"));
    assert_eq!(
        other.expect_err("another size").to_string(),
        "map `a_long_name_of_a_map` is pinned with max_entries 4; expected 5"
    );
    assert_eq!(read_only.set(1u32.bytes(), 1u64.bytes(), 0).expect_err("read only").errno, Errno::EPERM);
    assert!(first.as_fd().try_clone_to_owned().is_ok());
}

#[test]
fn a_map_that_cannot_be_made_says_what_it_would_take() {
    require!(ROOT);
    let e = hash("huge", 0).create().expect_err("no elements");
    assert!(
        e.to_string().starts_with("cannot create map `huge` (hash, key 4, value 8, max_entries 0"),
        "{e}"
    );
}

#[test]
fn what_a_program_writes_is_read_by_type() {
    require!(ROOT);
    let loaded = load("packet_count");
    let counts = Array::<u64>::try_from(loaded.map("packet_count_map").expect("it is there")).expect("array");
    run(loaded.program("count_packets").expect("it is there"), 5);
    assert_eq!(counts.get(0).expect("get"), Some(5));
}
