//! Drops everything that an interface receives, until Ctrl-C, and says how much it was.
//!
//! ```text
//! cargo run --example xdp_drop -- eth1
//! cargo run --release --example xdp_drop -- --bench
//! ```
//!
//! The smallest useful XDP program, `bpf/xdp_drop.bpf.c`, and its whole life: read the object, load it, attach it,
//! read its map, detach it. `--bench` measures it beside other places where a packet can be dropped.

use std::error::Error;
use std::time::Duration;

use rawbpf::maps::PerCpuArray;
use rawbpf::{Kernel, Loaded, Object, Options, Program, Target, Xdp, XdpMode};

mod bench;
mod network;
#[path = "../tool/mod.rs"]
mod tool;

const OBJECT: &[u8] = include_bytes!("../../bpf/xdp_drop.o");

const USAGE: &str = "usage: xdp_drop INTERFACE, or xdp_drop --bench";

rawbpf::plain! {
    /// `struct dropped` of the C source.
    #[derive(Debug, Default)]
    struct Dropped {
        packets: u64,
        bytes: u64,
    }
}

/// The loaded object.
struct Dropper(Loaded);

impl Dropper {
    fn load() -> Result<Dropper, rawbpf::Error> {
        let plan = Object::parse("xdp_drop", OBJECT)?.plan(&Kernel::host(), &Options::default())?;
        Ok(Dropper(plan.run()?))
    }

    /// The program in the section `xdp`, whatever it is called.
    fn program(&self) -> Option<&Program> {
        self.0.programs().find(|program| program.section() == "xdp")
    }

    /// What was dropped so far, on all CPUs.
    fn dropped(&self) -> Result<Dropped, Box<dyn Error>> {
        let map = self.0.map("dropped").ok_or("the object has no map `dropped`")?;
        let counts = PerCpuArray::<Dropped>::try_from(map)?.get(0)?.ok_or("an empty array")?;
        let sum = |field: fn(&Dropped) -> u64| counts.iter().map(field).sum();
        Ok(Dropped { packets: sum(|d| d.packets), bytes: sum(|d| d.bytes) })
    }

    fn attach(&self, interface: &str, mode: XdpMode) -> Result<rawbpf::Link, Box<dyn Error>> {
        let program = self.program().ok_or("the object has no program for XDP")?;
        Ok(rawbpf::attach(program, &Target::Xdp(Xdp { interface: interface.into(), mode }))?)
    }
}

fn main() -> std::process::ExitCode {
    tool::run(|| match std::env::args().nth(1).as_deref() {
        Some("--bench") => bench::run(),
        Some(interface) if !interface.starts_with('-') => drop_all(interface),
        _ => Err(USAGE.into()),
    })
}

fn drop_all(interface: &str) -> Result<(), Box<dyn Error>> {
    let stop = tool::Stop::new()?;
    let dropper = Dropper::load()?;
    // In the driver where it can do that, else in the stack.
    let link = dropper.attach(interface, XdpMode::Auto)?;
    println!("dropping everything that {interface} receives; Ctrl-C ends it");
    link.note().inspect(|note| println!("{note}"));
    let mut before = 0;
    while !stop.wait(None, Duration::from_secs(1))? {
        let Dropped { packets, .. } = dropper.dropped()?;
        if packets != before {
            println!("{packets} packets, {} in the last second", packets - before);
        }
        before = packets;
    }
    // Before the last count, so that it is the last.
    link.detach()?;
    let Dropped { packets, bytes } = dropper.dropped()?;
    println!("dropped {packets} packets, {bytes} bytes");
    Ok(())
}
