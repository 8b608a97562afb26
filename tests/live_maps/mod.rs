//! Every map type and every event channel, on the kernel that the tests run on.

mod cli;
mod events;
mod follow;
mod iterate;
mod kinds;
mod rules;
mod stress;
mod symbols;
mod trace;

use rawbpf::bytes::Endian;
use rawbpf::insn::Asm;
use rawbpf::maps::{Builder, Map, MapError};
use rawbpf::sys::attr::ProgLoad;
use rawbpf::sys::{self, Errno, ProgLoadParts, SysError, TestRun};
use rawbpf::uapi::{MapType, ProgType};
use rawbpf::{Kernel, Loaded, Object, Options, Program};

/// Loads an object of bpf/.
fn load(name: &str) -> Loaded {
    load_with(name, |_| {})
}

/// The same, after a change.
fn load_with(name: &str, change: impl FnOnce(&mut Object)) -> Loaded {
    let path = format!("{}/bpf/{name}.o", env!("CARGO_MANIFEST_DIR"));
    let mut object = Object::open(&path).unwrap_or_else(|e| panic!("{path}: {e:?}"));
    change(&mut object);
    let plan = object.plan(&Kernel::host(), &Options::default()).expect("it can be planned");
    plan.run().unwrap_or_else(|e| panic!("{name}: {e:?}"))
}

/// An XDP program that was assembled here.
fn assembled(asm: &mut Asm) -> Result<Program, SysError> {
    let code = asm.finish().expect("it can be assembled");
    let insns: Vec<[u8; 8]> =
        code.to_bytes(Endian::NATIVE).chunks_exact(8).map(|c| c.try_into().expect("8 bytes")).collect();
    let head = ProgLoad { prog_type: ProgType::Xdp, ..Default::default() };
    let parts = ProgLoadParts { insns: &insns, license: Some(c"GPL"), ..Default::default() };
    Program::from_fd(sys::prog_load(head, parts, &mut []).fd?)
}

/// One of its maps.
fn map(loaded: &Loaded, name: &str) -> Map {
    loaded.map(name).unwrap_or_else(|| panic!("no map {name}")).clone()
}

/// Runs an XDP program so many times on the CPU of this thread; its last answer.
fn run(program: &Program, repeat: u32) -> u32 {
    let run = TestRun { data: vec![0; 64], repeat, ..Default::default() };
    program.test_run(&run).expect("it runs").retval
}

/// A map, if this kernel has its type; else the error.
fn make(builder: &Builder<'_>) -> Result<Map, MapError> {
    builder.create()
}

fn hash(name: &str, max: u32) -> Builder<'static> {
    Builder::new(MapType::Hash, name).keys::<u32>().values::<u64>().max_entries(max)
}

/// The error number in a map's failure.
fn errno(e: &MapError) -> Option<Errno> {
    match e {
        MapError::Sys { source, .. } | MapError::Create { source, .. } | MapError::Partly { source, .. } => {
            Some(source.errno)
        }
        _ => None,
    }
}
