//! Objects assembled in Rust, in the kernel: kernel functions, types of contexts, lines of Rust in the verifier's words.

use rawbpf::elf::{Object, Ty};
use rawbpf::insn::prelude::*;
use rawbpf::sys::TestRun;
use rawbpf::{Kernel, Loaded, Options};

use crate::gate::{DYNPTR_KFUNCS, GLOBAL_FUNCTIONS, ROOT, require};

fn load(object: &Object) -> Result<Loaded, rawbpf::Error> {
    Ok(object.plan(&Kernel::host(), &Options::default())?.run()?)
}

/// An error with its causes.
fn chain(e: &dyn std::error::Error) -> String {
    e.source().map_or(e.to_string(), |source| format!("{e}: {}", chain(source)))
}

/// What the verifier says of an object that it refuses.
fn refusal(object: &Object) -> String {
    match load(object) {
        Err(rawbpf::Error::Load(rawbpf::loader::LoadError::Program { log, .. })) => log.text,
        Err(e) => panic!("{}", chain(&e)),
        Ok(_) => panic!("it loads"),
    }
}

/// What a program returns for a packet of this length.
fn run(loaded: &Loaded, program: &str, bytes: usize) -> u32 {
    let run = TestRun { data: vec![0; bytes], ..TestRun::default() };
    loaded.program(program).expect("it is there").test_run(&run).expect("it runs").retval
}

/// How long a packet is, asked of the kernel: `bpf_dynptr_from_xdp(ctx, 0, &ptr); return bpf_dynptr_size(&ptr);`
fn dynptr() -> Object {
    let mut a = Asm::named("length");
    let ptr = a.stack(16);
    a.mov64(R2, 0)
        .lea(R3, ptr)
        .call(kfunc("bpf_dynptr_from_xdp"))
        .lea(R1, ptr)
        .call(kfunc("bpf_dynptr_size"))
        .exit();
    let dynptr = || Ty::pointer_to("bpf_dynptr");
    Object::builder("kfuncs")
        .license("GPL")
        .kfunc("bpf_dynptr_from_xdp", Ty::I32, &[Ty::pointer_to("xdp_md"), Ty::U64, dynptr()])
        .kfunc("bpf_dynptr_size", Ty::U32, &[dynptr()])
        .program("xdp", a.finish().expect("it assembles"))
        .finish()
        .expect("an object")
}

#[test]
fn a_kernel_function_is_called_by_its_name() {
    require!(ROOT);
    let loaded = require!(DYNPTR_KFUNCS, load(&dynptr()).map_err(|e| chain(&e)));
    for bytes in [14, 60, 1000] {
        assert_eq!(run(&loaded, "length", bytes), bytes as u32);
    }
    // The same as a file, and as text.
    let object = dynptr();
    let file = Object::parse("kfuncs", &object.to_elf().expect("bytes")).expect("an object");
    assert_eq!(run(&load(&file).expect("it loads"), "length", 77), 77);
    let text = object.to_text().expect("a text").to_string();
    let program = rawbpf::insn::text::assemble("kfuncs.s", &text).unwrap_or_else(|e| panic!("{e}"));
    let again = Object::from_text("kfuncs", &program).expect("an object");
    assert_eq!(run(&load(&again).expect("it loads"), "length", 78), 78);
}

/// A function with a prototype is verified by itself: it may take the context only if its type says so.
#[test]
fn a_global_function_takes_the_context_by_its_type() {
    require!(ROOT);
    let object = |takes: Ty| {
        let mut a = Asm::named("main");
        a.call(external("length")).exit();
        let main = a.finish().expect("it assembles");
        let mut a = Asm::named("length");
        a.load(W, R0, R1 + xdp_md::DATA_END).load(W, R1, R1 + xdp_md::DATA).sub64(R0, R1).exit();
        Object::builder("typed")
            .license("GPL")
            .program("xdp", main)
            .function(a.finish().expect("it assembles"))
            .prototype("length", Ty::I32, &[("ctx", takes)])
            .finish()
            .expect("an object")
    };
    let loaded = require!(GLOBAL_FUNCTIONS, load(&object(Ty::pointer_to("xdp_md"))).map_err(|e| chain(&e)));
    assert_eq!(run(&loaded, "main", 99), 99);
    let said = refusal(&object(Ty::U64));
    assert!(said.contains("R1"), "a number is no context: {said}");
}

/// What the verifier refuses is shown with the line of Rust that assembled it.
#[test]
fn a_refused_program_names_its_line_of_rust() {
    require!(ROOT);
    let mut a = Asm::named("careless");
    a.get(R2, R1 + xdp_md::DATA);
    let wrong = line!() + 1;
    a.load(B, R0, R2 + 12); // no comparison with the end
    a.exit();
    let object = Object::builder("careless").license("GPL").program("xdp", a.finish().expect("it assembles"));
    let said = refusal(&object.finish().expect("an object"));
    // Kernels before 6.9 print the text of the line alone; where there are no sources, that is its place.
    let named = [format!("live_asm.rs:{wrong}"), "// no comparison with the end".into()];
    assert!(named.iter().any(|n| said.contains(n)), "{said}");
}
