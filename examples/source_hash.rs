//! Who sends packets? A hash table from source addresses to counts, for IPv4 and IPv6.
//!
//! ```text
//! cargo run --example source_hash -- eth0
//! ```
//!
//! The lesson is how a packet is read. The program gets two pointers, to the packet's start and to its end,
//! and the verifier refuses every load that no comparison with the end has allowed. [`Asm::need`] writes
//! that comparison. IPv4 addresses are kept as IPv6 writes them (`::ffff:192.0.2.1`), so that one table
//! holds both.

use std::error::Error;
use std::net::Ipv6Addr;

use rawbpf::elf::{MapDecl, Object, Ty};
use rawbpf::insn::prelude::*;
use rawbpf::maps::{HashMap, MapError};
use rawbpf::uapi::MapType;
use rawbpf::{Kernel, Options, Program, Target, Xdp, XdpMode};

/// Counts each packet at `sources[source address]`, and lets it pass.
pub(crate) fn program() -> Result<Object, Box<dyn Error>> {
    let mut a = Asm::named("count_sources");
    let (is_ipv6, count, found, pass) = (a.label(), a.label(), a.label(), a.label());
    let key = a.stack(16); // struct in6_addr key;
    let one = a.slot(DW); // u64 one;
    let (packet, end) = (R2, R3);
    let inside = Bounds { end, scratch: R0, short: pass };

    a.get(packet, R1 + xdp_md::DATA)
        .get(end, R1 + xdp_md::DATA_END)
        .need(packet, eth::BYTES, inside)
        .get(R4, packet + eth::PROTO)
        .jeq(R4, ETH_P_IPV6, is_ipv6)
        .jne(R4, ETH_P_IP, pass);

    a.need(packet, eth::BYTES + ipv4::BYTES, inside)
        .store(DW, key, 0) //                                           ::
        .store(H, key + 8, 0)
        .store(H, key + 10, -1) //                                      ::ffff:
        .copy(key + 12, packet + eth::BYTES + ipv4::SADDR, 4, R4) //    ::ffff:192.0.2.1
        .jump(count);

    a.bind(is_ipv6).need(packet, eth::BYTES + ipv6::BYTES, inside).copy(
        key,
        packet + eth::BYTES + ipv6::SADDR,
        16,
        R4,
    );

    a.bind(count)
        .lddw(R1, map("sources"))
        .lea(R2, key)
        .call(Helper::MapLookupElem) // u64 *seen = bpf_map_lookup_elem(&sources, &key);
        .jne(R0, 0, found)
        .put(one, 1)
        .lddw(R1, map("sources"))
        .lea(R2, key)
        .lea(R3, one)
        .mov64(R4, BPF_NOEXIST)
        .call(Helper::MapUpdateElem) // else bpf_map_update_elem(&sources, &key, &one, BPF_NOEXIST);
        .jump(pass)
        .bind(found)
        .mov64(R1, 1)
        .atomic(AtomicOp::Add, W64, R0, R1) // if (seen) __sync_fetch_and_add(seen, 1);
        .bind(pass)
        .mov64(R0, XDP_PASS)
        .exit();

    let address = Ty::array(Ty::U8, 16);
    Ok(Object::builder("source_hash")
        .license("GPL")
        .map(MapDecl::new("sources", MapType::LruHash, 1024).key(address).value(Ty::U64))
        .program("xdp", a.finish()?)
        .finish()?)
}

/// How many packets came from each address.
pub(crate) type Counts = HashMap<[u8; 16], u64>;

/// The table of a loaded program, the most frequent sender first.
pub(crate) fn sources(map: &Counts) -> Result<Vec<(Ipv6Addr, u64)>, MapError> {
    let mut all = Vec::new();
    for entry in map.iter() {
        let (address, count) = entry?;
        all.push((Ipv6Addr::from(address), count));
    }
    all.sort_by_key(|&(address, count)| (u64::MAX - count, address));
    Ok(all)
}

/// Loads it: the program and its table.
pub(crate) fn load() -> Result<(Program, Counts), Box<dyn Error>> {
    let loaded = program()?.plan(&Kernel::host(), &Options::default())?.run()?;
    let (mut maps, mut programs) = loaded.into_parts();
    Ok((programs.swap_remove(0), HashMap::try_from(maps.swap_remove(0))?))
}

fn main() -> Result<(), Box<dyn Error>> {
    let interface = std::env::args().nth(1).ok_or("usage: source_hash INTERFACE")?;
    let (program, map) = load()?;
    let _link = rawbpf::attach(&program, &Target::Xdp(Xdp { interface, mode: XdpMode::Auto }))?;
    println!("counting; Enter shows what was counted, and ends");
    std::io::stdin().read_line(&mut String::new())?;
    for (address, count) in sources(&map)? {
        println!("{count:8} {}", address.to_canonical());
    }
    Ok(())
}
