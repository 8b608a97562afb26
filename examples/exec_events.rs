//! Which commands start? A tracepoint that writes a record to a ring buffer for each.
//!
//! ```text
//! cargo run --example exec_events
//! ```
//!
//! A ring buffer carries records from programs to user space, in order and without copies: the program
//! reserves room in it, fills the room in place, and submits it. The verifier sees to it that what was
//! reserved is submitted or discarded on every path.

use std::error::Error;

use rawbpf::elf::{MapDecl, Object};
use rawbpf::events::RingBuf;
use rawbpf::insn::prelude::*;
use rawbpf::links::auto;
use rawbpf::uapi::MapType;
use rawbpf::{Kernel, Link, Options};

/// `struct event { u32 pid; char comm[16]; }`
mod event {
    use super::{Field, W};
    pub(crate) const PID: Field = Field::new(0, W);
    pub(crate) const COMM: i16 = 4;
    pub(crate) const BYTES: i16 = 20;
}

/// Writes who it is at each `execve` that succeeds.
pub(crate) fn program() -> Result<Object, Box<dyn Error>> {
    let mut a = Asm::named("on_exec");
    let full = a.label();
    a.lddw(R1, map("events"))
        .mov64(R2, event::BYTES)
        .mov64(R3, 0)
        .call(Helper::RingbufReserve) // struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
        .jeq(R0, 0, full) // if (!e) return 0;
        .mov64(R6, R0) // r6 to r9 keep their values over calls
        .call(Helper::GetCurrentPidTgid)
        .rsh64(R0, 32)
        .put(R6 + event::PID, R0) // e->pid = bpf_get_current_pid_tgid() >> 32;
        .lea(R1, R6 + event::COMM)
        .mov64(R2, 16)
        .call(Helper::GetCurrentComm) // bpf_get_current_comm(e->comm, sizeof(e->comm));
        .mov64(R1, R6)
        .mov64(R2, 0)
        .call(Helper::RingbufSubmit) // bpf_ringbuf_submit(e, 0);
        .bind(full)
        .mov64(R0, 0)
        .exit();
    Ok(Object::builder("exec_events")
        .license("GPL")
        .map(MapDecl::new("events", MapType::Ringbuf, 1 << 16))
        .program("tracepoint/sched/sched_process_exec", a.finish()?)
        .finish()?)
}

/// A command that started.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) pid: u32,
    pub(crate) comm: String,
}

/// Loads and attaches the program; it reports as long as the link lives.
pub(crate) fn start() -> Result<(Link, RingBuf), Box<dyn Error>> {
    let kernel = Kernel::host();
    let (mut maps, programs) = program()?.plan(&kernel, &Options::default())?.run()?.into_parts();
    // The name of its section says where it is to be attached.
    let link = auto(&kernel, &programs[0])?.ok_or("no hook in the section's name")?;
    Ok((link, RingBuf::new(maps.swap_remove(0))?))
}

/// Waits for the next command.
pub(crate) fn next(events: &mut RingBuf) -> Result<Event, Box<dyn Error>> {
    loop {
        if let Some(record) = events.next() {
            let (pid, comm) = record.split_at_checked(4).ok_or("a short record")?;
            let comm = comm.split(|&b| b == 0).next().unwrap_or_default();
            let comm = String::from_utf8_lossy(comm).into_owned();
            return Ok(Event { pid: u32::from_ne_bytes(pid.try_into()?), comm });
        }
        events.poll(None)?;
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (_link, mut events) = start()?;
    println!("     PID COMMAND");
    loop {
        let Event { pid, comm } = next(&mut events)?;
        println!("{pid:8} {comm}");
    }
}
