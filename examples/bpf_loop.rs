//! How many steps from a number to 1? A loop of unknown length, by `bpf_loop` and a callback.
//!
//! ```text
//! cargo run --example bpf_loop -- 27
//! ```
//!
//! The verifier follows a loop turn by turn, and gives up on a long one. `bpf_loop` runs the loop inside of
//! the kernel: it calls a function of the program again and again, which is verified once. The function's
//! address is loaded as a constant (`BPF_PSEUDO_FUNC`), and what it is to know is passed by a pointer.
//! The numbers are those of Collatz: half of an even one, three times an odd one plus one.

use std::error::Error;

use rawbpf::elf::Object;
use rawbpf::insn::prelude::*;
use rawbpf::sys::TestRun;
use rawbpf::{Kernel, Options};

/// The context: `struct { u64 number; u64 steps; }`.
const NUMBER: Field = Field::new(0, DW);
const STEPS: Field = Field::new(8, DW);

/// The longest loop that the kernel runs (`BPF_MAX_LOOPS`).
const MAX_LOOPS: i32 = 8 * 1024 * 1024;

/// `ctx->steps = bpf_loop(MAX_LOOPS, step, &number, 0)`
pub(crate) fn program() -> Result<Object, Box<dyn Error>> {
    let mut a = Asm::named("collatz");
    let step = a.func("step");

    let number = a.slot(DW);
    a.mov64(R6, R1) // the context, kept over the call
        .get(R1, R6 + NUMBER)
        .put(number, R1) // u64 number = ctx->number;
        .mov64(R1, MAX_LOOPS)
        .lddw(R2, step)
        .lea(R3, number)
        .mov64(R4, 0)
        .call(Helper::Loop) // r0 = how often it was called
        .put(R6 + STEPS, R0)
        .mov64(R0, 0)
        .exit();

    // static long step(u64 turn, u64 *number): 0 goes on, 1 ends the loop
    a.begin(step);
    let (odd, store, more) = (a.label(), a.label(), a.label());
    a.load(DW, R1, R2)
        .jset(R1, 1, odd)
        .rsh64(R1, 1)
        .jump(store)
        .bind(odd)
        .mul64(R1, 3)
        .add64(R1, 1)
        .bind(store)
        .store(DW, R2, R1)
        .mov64(R0, 1)
        .jeq(R1, 1, more)
        .mov64(R0, 0)
        .bind(more)
        .exit();
    Ok(Object::builder("collatz").license("GPL").program("syscall", a.finish()?).finish()?)
}

/// The steps from a number above 1 to 1.
pub(crate) fn steps(number: u64) -> Result<u64, Box<dyn Error>> {
    let loaded = program()?.plan(&Kernel::host(), &Options::default())?.run()?;
    let collatz = loaded.program("collatz").ok_or("no program")?;
    let ctx = [number.to_ne_bytes(), [0; 8]].concat();
    let ran = collatz.test_run(&TestRun { ctx, ..TestRun::default() })?;
    let (_, steps) = ran.ctx.split_at_checked(8).ok_or("no context")?;
    Ok(u64::from_ne_bytes(steps.try_into()?))
}

fn main() -> Result<(), Box<dyn Error>> {
    let number = std::env::args().nth(1).map_or(Ok(27), |n| n.parse())?;
    println!("{number} is {} steps from 1", steps(number)?);
    Ok(())
}
