//! The text assembler and the listing are inverses; its errors say where and what.

use crate::insn_forms::{COUNT, each, thin};
use rawbpf::insn::prelude::*;
use rawbpf::insn::text::{self, Elem, TextProgram, TextType};
use rawbpf::insn::{Bits, Listing, SwapOp};
use rawbpf::uapi::MapType;

/// Every instruction, each in a line of one text.
fn assemble_each(write: impl Fn(Insn) -> Option<String>) -> usize {
    let (mut source, mut slots, mut count) = (String::new(), Vec::new(), 0);
    each(|insn| {
        if let Some(line) = write(insn) {
            source.push_str(&line);
            source.push('\n');
            slots.extend_from_slice(&insn.encode());
            count += 1;
        }
    });
    source.push_str("exit\n");
    slots.extend_from_slice(&Insn::Exit.encode());
    let program = text::assemble("all.s", &source).unwrap_or_else(|e| panic!("{}", e.0[0]));
    let code = &program.functions[0].code;
    if code.insns() != slots {
        let at = code.insns().iter().zip(&slots).position(|(a, b)| a != b).unwrap();
        panic!("{:?}: {:?} is not {:?}", code.line_at(InsnIx(at as u32)), code.insns()[at], slots[at]);
    }
    count
}

#[test]
fn every_instruction_assembles_from_its_text() {
    assert_eq!(assemble_each(|insn| Some(insn.to_string())), COUNT.div_ceil(thin()));
}

#[test]
fn every_instruction_assembles_from_the_verifiers_text() {
    assert!(assemble_each(verifier) > 80_000 / thin());
}

/// What the kernel prints for an instruction (kernel/bpf/disasm.c), behind its opcode.
fn verifier(insn: Insn) -> Option<String> {
    let mem = |m: Mem| format!("({} {:+})", m.base, m.off);
    let u = |size: Size| ["u8", "u16", "u32", "u64"][size as usize];
    let wide = |w: Width| if w == W64 { ("u64", "64") } else { ("u32", "") };
    let text = match insn {
        Insn::Load { size, dst, src } => format!("{dst} = *({} *){}", u(size), mem(src)),
        Insn::LoadSx { size, dst, src } => {
            format!("{dst} = *({} *){}", u(size.size()).replace('u', "s"), mem(src))
        }
        Insn::Store { size, dst, src: Source::Reg(src) } => format!("*({} *){} = {src}", u(size), mem(dst)),
        Insn::Store { size, dst, src: Source::Imm(imm) } => format!("*({} *){} = {imm}", u(size), mem(dst)),
        Insn::LoadPacket { size, index: Some(reg), off } => {
            format!("r0 = *({} *)skb[{reg} + {off}]", u(size.size()))
        }
        Insn::Atomic { op, width, dst, src } => {
            let (ty, bits) = wide(width);
            match op {
                AtomicOp::Add | AtomicOp::Or | AtomicOp::And | AtomicOp::Xor => {
                    format!("lock *({ty} *){} {} {src}", mem(dst), op.sign())
                }
                Xchg => format!("{src} = atomic{bits}_xchg(({ty} *){}, {src})", mem(dst)),
                CmpXchg => format!("r0 = atomic{bits}_cmpxchg(({ty} *){}, r0, {src})", mem(dst)),
                _ => {
                    let name = op.sign().replace("atomic", &format!("atomic{bits}"));
                    format!("{src} = {name}(({ty} *){}, {src})", mem(dst))
                }
            }
        }
        Insn::Jump { off } => format!("goto pc{off:+}"),
        Insn::JumpFar { off } => format!("gotol pc{off:+}"),
        Insn::MayGoto { off } => format!("may_goto pc{off:+}"),
        Insn::JumpIf { width, op, dst, src, off } => {
            let part = |r: Reg| if width == W64 { r.to_string() } else { r.to_string().replace('r', "w") };
            let src = match src {
                Source::Reg(reg) => part(reg),
                Source::Imm(imm) => format!("{imm:#x}"),
            };
            format!("if {} {} {src} goto pc{off:+}", part(dst), op.sign())
        }
        Insn::Call(Callee::Local { off }) => format!("call pc{off:+}"),
        Insn::Call(Callee::Helper(helper)) => {
            format!("call {}#{}", helper.name().unwrap_or("unknown"), helper.0)
        }
        Insn::Call(Callee::Kfunc { btf_id, fd_ix: 0 }) => format!("call kernel-function#{btf_id}"),
        Insn::LoadImm64 { dst, imm } => match imm {
            Imm64::Value(v) => format!("{dst} = {v:#x}"),
            Imm64::MapFd(fd) if fd >= 0 => format!("{dst} = map[id:{fd}]"),
            Imm64::MapValue { fd, off } if fd >= 0 => format!("{dst} = map[id:{fd}][0]+{off}"),
            Imm64::Func { off } => format!("{dst} = subprog[{off:+}]"),
            _ => return None,
        },
        Insn::Call(_) => return None,
        other => other.to_string(),
    };
    Some(format!("{:4}: ({:02x}) {text}    ; R1_w=ctx()", 7, insn.encode()[0].opcode))
}

/// A program with everything that has a name.
fn named() -> Code {
    let mut a = Asm::named("main");
    let (cb, unused, out) = (a.func("callback"), a.func("unused"), a.label());
    let again = a.here();
    a.lddw(R1, map("packet_count_map"))
        .lddw(R2, map_value(".rodata", 16))
        .lddw(R3, ksym("bpf_prog_active"))
        .lddw(R4, cb)
        .lddw(R5, external("far away"))
        .call(cb)
        .call(Helper::MapLookupElem)
        .call(kfunc("bpf_rcu_read_lock"))
        .call(external("elsewhere"))
        .jeq(R0, 0, out)
        .may_goto(out)
        .jump(again)
        .bind(out)
        .jump_far(again);
    a.begin(cb).lddw(R0, 0x1234_5678_9abc_def0).call(Helper(999)).exit();
    a.begin(unused).mov64(R0, 0).exit();
    a.finish().unwrap()
}

#[test]
fn a_listing_assembles_to_the_same_code() {
    let code = named();
    let listing = Listing::of(&code).to_string();
    assert_eq!(
        listing,
        "\
main:
L0:
    r1 = packet_count_map ll
    r2 = map_val(.rodata) + 16 ll
    r3 = var_addr(bpf_prog_active) ll
    r4 = code_addr(callback) ll
    r5 = code_addr(extern(\"far away\")) ll
    call callback
    call bpf_map_lookup_elem
    call kfunc(bpf_rcu_read_lock)
    call extern(elsewhere)
    if r0 == 0 goto L17
    may_goto L17
    goto L0
L17:
    gotol L0

callback:
    r0 = 1311768467463790320 ll
    call 999
    exit

.globl unused
unused:
    r0 = 0
    exit
"
    );
    let program = text::assemble("listing.s", &listing).unwrap();
    let names: Vec<_> = program.functions.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names, ["main", "callback", "unused"]);
    let linked = program.link("main").unwrap();
    let used = code.func_range(2).unwrap().start;
    assert_eq!(linked.insns(), &code.insns()[..used], "the unused function is not linked");
    assert_eq!(linked.refs(), code.refs());
    let again = Listing::of(&linked).to_string();
    assert!(listing.starts_with(&again));
    for part in &program.functions {
        let text = Listing::of(&part.code).to_string();
        let program = text::assemble("part.s", &text).unwrap();
        assert_eq!(program.functions[0].code.insns(), part.code.insns());
        assert_eq!(program.functions[0].code.refs(), part.code.refs());
    }
}

#[test]
fn a_listing_without_names_makes_some_up() {
    let code = named();
    let listing = Listing::new(code.insns()).to_string();
    assert!(listing.contains("    r4 = code_addr(func_18) ll\n"), "{listing}");
    assert!(listing.contains("\nfunc_18:\n"), "{listing}");
    let program = text::assemble("listing.s", &listing).unwrap();
    let linked = program.link("func_0").unwrap();
    assert_eq!(linked.insns(), code.insns());
}

#[test]
fn what_is_no_instruction_is_listed_and_assembled_as_a_number() {
    let bad = RawInsn { opcode: 0x8f, dst: 12, src: 3, off: -2, imm: 7 };
    let slots = [Insn::Exit.encode()[0], bad, RawInsn { opcode: 0x18, ..bad }, Insn::Exit.encode()[0]];
    let listing = Listing::new(&slots).to_string();
    assert_eq!(
        listing,
        "    exit\n    .8byte 0x00000007fffe3c8f ; opcode 0x8f is no instruction\n    \
         .8byte 0x00000007fffe3c18 ; opcode 0x18: the destination register is 12; registers are 0 to 10\n    exit\n"
    );
    assert_eq!(text::assemble("bad.s", &listing).unwrap().functions[0].code.insns(), slots);
    assert_eq!(Listing::new(&[]).to_string(), "");
    let translated = [
        RawInsn { opcode: 0xbf, dst: 1, src: 2, off: -1, imm: 0 },
        RawInsn { opcode: 0xbc, dst: 3, src: 3, off: 0, imm: 1 },
        RawInsn { opcode: 0xc2, ..RawInsn::default() },
    ];
    let listing = Listing::new(&translated).to_string();
    let comments: Vec<_> = listing.lines().filter_map(|l| l.split_once("; ")).map(|(_, c)| c).collect();
    assert_eq!(
        comments,
        ["r1 = &(void __percpu *)(r2)", "w3 = w3", "nospec"]
            .map(|c| format!("{c}, which only the kernel writes"))
    );
    // Jumps out of the program and into the middle of an instruction have no label.
    let mut slots = Insn::Jump { off: 1 }.encode().to_vec();
    slots.extend_from_slice(&Insn::LoadImm64 { dst: R1, imm: Imm64::Value(1) }.encode());
    slots.extend_from_slice(&Insn::Jump { off: -32768 }.encode());
    assert_eq!(Listing::new(&slots).to_string(), "    goto +1\n    r1 = 1 ll\n    goto -32768\n");
}

#[test]
fn a_listing_with_places_bytes_and_lines_still_assembles() {
    let source = "f:\n  r0 = 1 // one\n\n  r1 = hits ll ; the map\n  exit\n";
    let program = text::assemble("f.s", source).unwrap();
    let code = &program.functions[0].code;
    let listing =
        Listing::of(code).numbers(true).bytes(Some(rawbpf::bytes::Endian::Little)).lines(true).to_string();
    assert_eq!(
        listing,
        "\
f:
    ; r0 = 1 @ f.s:2:3
       0: (b7 00 00 00 01 00 00 00) r0 = 1
    ; r1 = hits ll @ f.s:4:3
       1: (18 11 00 00 00 00 00 00 00 00 00 00 00 00 00 00) r1 = hits ll
    ; exit @ f.s:5:3
       3: (95 00 00 00 00 00 00 00) exit
"
    );
    assert_eq!(text::assemble("g.s", &listing).unwrap().functions[0].code.insns(), code.insns());
}

#[test]
fn directives_say_what_an_object_has() {
    let source = r#"
        .license "Dual MIT/GPL"
        .equ KEY, 4
        .map hits type=percpu_array key=KEY value=u64 max_entries=1
        .map "odd name" type=ringbuf max_entries=0x1000 flags=1 pin=by_name
        .map per_task type=task_storage key=4 value=8 flags=1

        .section tracepoint/syscalls/sys_enter_openat
        first:  r0 = 0 ; exit comes next
                exit
        .globl second
        second: r1 = "odd name" ll
                r2 = *(u32 *)(r1 + xdp_md.data_end)
                r2 += iphdr.sizeof
                if r2 == ETH_P_IP goto done
                call shared
        done:   exit
        .section ".text", "ax", @progbits
        .type shared, @function
        shared: r0 = -1
                exit
    "#;
    let TextProgram { license, maps, functions, .. } = text::assemble("d.s", source).unwrap();
    assert_eq!(license.as_deref(), Some("Dual MIT/GPL"));
    let hits = &maps[0];
    assert_eq!(
        (hits.kind, hits.key.clone(), hits.value.clone(), hits.max_entries),
        (MapType::PercpuArray, Elem::Bytes(4), Elem::Type(TextType::Named("u64".into())), 1)
    );
    assert_eq!((maps[1].kind, maps[1].flags, maps[1].pinned), (MapType::Ringbuf, 1, true));
    assert_eq!((maps[2].max_entries, maps[2].line), (0, 6));
    let show: Vec<_> = functions.iter().map(|f| (f.name.as_str(), f.section.as_str())).collect();
    let tp = "tracepoint/syscalls/sys_enter_openat";
    assert_eq!(show, [("first", tp), ("second", tp), ("shared", ".text")]);
    assert_eq!(functions.iter().map(|f| f.global).collect::<Vec<_>>(), [false, true, false]);
    assert_eq!(
        Listing::of(&functions[1].code).to_string(),
        "second:\n    r1 = \"odd name\" ll\n    r2 = *(u32 *)(r1 + 4)\n    r2 += 20\n    \
         if r2 == 2048 goto L6\n    call extern(shared)\nL6:\n    exit\n"
    );
}

/// Text, program, text, program: the second two are the first two.
#[test]
fn a_program_prints_as_the_text_it_came_from() {
    let source = r#".license "Dual MIT/GPL"
.map hits type=percpu_array key=4 value=8 max_entries=1
.map "odd name" type=ringbuf max_entries=4096 flags=0x1 pin=by_name

.section "tracepoint/syscalls/sys_enter_openat"
first:
    r2 = code_addr(callback) ll
    r1 = map_val(hits) + 4 ll
    call extern(elsewhere)
    call kfunc(bpf_rcu_read_lock)
L6:
    may_goto L8
    goto L6
L8:
    exit

.globl second
second:
    r1 = "odd name" ll
    call callback
    .8byte 0x00000007fffe3c8f ; opcode 0x8f is no instruction
    exit

.text
callback:
    r0 = *(s16 *)(r1 - 2)
    exit

.section "xdp"
third:
    r0 = 1311768467463790320 ll
    exit
"#;
    let program = text::assemble("p.s", source).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(program.to_string(), source);
    let again = text::assemble("p.s", &program.to_string()).unwrap();
    assert_eq!(again, program);
}

#[test]
fn both_spellings_of_32_bit_registers() {
    let pairs = [
        ("w1 = *(u32 *)(r2 + 8)", "r1 = *(u32 *)(r2 + 8)"),
        ("*(u16 *)(r2 + 8) = w3", "*(u16 *)(r2 + 8) = r3"),
        ("lock *(u32 *)(r1 + 0) += w2", "lock *(u32 *)(r1 +0) += r2"),
        ("w2 = xchg32_32(r1 + 0, w2)", "r2 = atomic_xchg((u32 *)(r1 +0), r2)"),
        ("w1 = load_acquire((u8 *)(r2 + 0))", "r1 = load_acquire((u8 *)(r2 +0))"),
        ("goto +3 <main+0x20>", "goto pc+3"),
        ("r0 = *(u16 *)skb[0xc]", "r0 = *(u16 *)skb[12]"),
        ("r0 = *(u16 *)skb[r1 - 5]", "r0 = *(u16 *)skb[r1 + -5]"),
        ("r1 = 0xffffffffffffffff ll", "r1 = -1 ll"),
        ("nop", "goto +0"),
        ("w1 = 0xffffffff", "w1 = -1"),
    ];
    for (one, other) in pairs {
        let insns = |line: &str| {
            let program = text::assemble("a.s", &format!("{line}\nexit\n")).unwrap_or_else(|e| panic!("{e}"));
            program.functions[0].code.insns().to_vec()
        };
        assert_eq!(insns(one), insns(other), "{one}");
    }
    assert_eq!((SwapOp::ALL.len(), Bits::ALL.len()), (3, 3));
}

/// Each mistake with the place that the arrow points at, and what it says.
#[test]
fn errors_point_at_their_place() {
    let cases = [
        ("r11 = 5", "r11", "there is no register `r11`"),
        ("r1 += w2", "w2", "both registers have to be of one width"),
        ("r1 = 0x1ffffffff", "0x1ffffffff", "8589934591 does not fit a signed 32-bit immediate"),
        ("r1 = *(u32 *)(r2 + 40000)", "+ 40000", "40000 does not fit here"),
        ("r1 = *(u128 *)(r2 + 0)", "u128", "one of u8, u16, u32, u64, s8, s16, s32 is expected here"),
        ("r1 = *(u32 *)(r2 + 0", "", "`)` is expected here, but the line ends"),
        ("r1 = r2 r3", "r3", "the instruction is complete before this"),
        ("if r1 => 5 goto out", "=", "`=` is no condition"),
        ("if r1 > 5 out", "out", "`goto` is expected here"),
        ("goto otu", "otu", "this function has no label `otu`"),
        ("goto +40000", "+40000", "40000 does not fit here"),
        ("w1 = be16 w1", "w1 =", "this instruction writes a whole register"),
        ("r1 = be16 r2", "r2", "this operation works on one register"),
        ("lock *(u8 *)(r1 + 0) += r2", "(u8 *)(r1 + 0)", "atomic operations are of u32 or u64"),
        ("r3 = atomic_fetch_add((u64 *)(r1 + 0), r2)", "r2", "the old value comes back in the same register"),
        ("r1 = cmpxchg_64(r1 + 0, r1, r2)", "r1", "the old value is compared with r0"),
        ("r1 = (s64)r2", "(s64)", "no move extends a sign from `(s64)` to this width"),
        ("r1 = *(s64 *)(r2 + 0)", "s64", "one of u8"),
        ("r1 = addr_space_cast(r2, 1, 2)", "1, 2", "the only casts are from 1 to 0 and from 0 to 1"),
        ("r1 = hits", "", "`ll` is expected here, but the line ends"),
        ("r1 = hits & 5", "&", "`ll` is expected here"),
        ("call \"unfinished", "\"unfinished", "this text has no closing quote"),
        ("r1 = `", "`", "unexpected character ```"),
        ("jeq r1, 0", "jeq", "unknown instruction `jeq`"),
        (".setcion \"xdp\"", ".setcion", "unknown directive `.setcion`"),
        (".map m type=hsh max_entries=1", "hsh", "unknown map type `hsh`"),
        (".map m type=hash keys=4", "keys=", "a map has no `keys`"),
        (".map m type=hash key=4 value=4", "", "`max_entries=` is expected here, but the line ends"),
        ("r2 = 99999999999999999999", "99999999999999999999", "`99999999999999999999` is no 64-bit number"),
        ("out:", "out", "label `out` is already bound in this function"),
        ("*(u64 *)(r1 + 0) = w2", "w2", "both registers have to be of one width"),
        ("r1 = code_addr(nobody) ll", "code_addr(nobody)", "there is no function `nobody`"),
    ];
    for (line, wrong, what) in cases {
        let source = format!("main:\nout:\n\t{line}\n r0 = 0\n exit\n");
        let Err(errors) = text::assemble("prog.s", &source) else { panic!("{line} assembles") };
        let error = &errors.0[0];
        assert!(error.what.starts_with(what), "{line}: {error}");
        assert_eq!(error.line, 3, "{error}");
        let start = error.col as usize - 1;
        let marked: String = error.source.chars().skip(start).take(error.width as usize).collect();
        assert!(marked.starts_with(wrong), "{line}: `{marked}` is marked, not `{wrong}`\n{error}");
        assert!(error.to_string().lines().nth(3).unwrap().contains('^'));
    }
}

#[test]
fn errors_come_all_at_once_and_propose() {
    let source = "\
.map hits type=array key=4 value=8 max_entries=1
main:
    r1 = hit ll
    goto uot
out:
    exti
";
    let errors = text::assemble("prog.s", source).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "\
prog.s:3:10: there is no map or function `hit`
  |
3 |     r1 = hit ll
  |          ^^^ did you mean `hits`?
prog.s:4:10: this function has no label `uot`
  |
4 |     goto uot
  |          ^^^ did you mean `out`?
prog.s:6:5: unknown instruction `exti`
  |
6 |     exti
  |     ^^^^ did you mean `exit`?
"
    );
    let past = text::assemble("prog.s", "r0 = 0\n r1 = 0\n").unwrap_err();
    assert_eq!(
        past.to_string(),
        "prog.s:2:2: function `main` runs past its last instruction\n  |\n2 |  r1 = 0\n  |  ^^^^^^ \
         end it with `exit` or a jump\n"
    );
    let none = text::assemble("prog.s", "; nothing\n").unwrap_err();
    assert_eq!(none.0[0].what, "the text has no instruction");
    let twice = text::assemble("prog.s", ".globl f\nf:\nexit\n.section x\nf:\nexit\n").unwrap_err();
    assert_eq!((twice.0[0].line, twice.0[0].what.as_str()), (5, "there is a function `f` already"));
}

/// Any bytes at all: an answer, no panic.
#[test]
fn no_text_makes_it_panic() {
    let words = [
        "r1",
        "w2",
        "r99",
        "=",
        "+=",
        "s",
        ">>=",
        "(",
        ")",
        "[",
        "]",
        "*",
        "u32",
        "s8",
        "skb",
        "ll",
        "goto",
        "if",
        "call",
        "lock",
        "+",
        "-",
        "5",
        "0xffffffffffffffff",
        ",",
        "#",
        ":",
        "\"x\"",
        "\"",
        "map_val",
        "map_by_fd",
        "code_addr",
        "var_addr",
        "kfunc",
        "extern",
        "pc",
        "exit",
        ".map",
        "type",
        ".section",
        ".8byte",
        ".equ",
        "é",
        "map",
        "id",
        "be16",
        "xchg_64",
        "atomic_fetch_add",
        "addr_space_cast",
        "subprog",
        "unknown",
        "kernel",
    ];
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for _ in 0..30_000 / thin() {
        let mut source = String::new();
        for _ in 0..next() % 12 {
            source.push_str(words[next() as usize % words.len()]);
            source.push_str(["", " ", "\n"][next() as usize % 3]);
        }
        if let Err(errors) = text::assemble("x.s", &source) {
            assert!(!errors.to_string().is_empty());
        }
    }
}

/// Any slots at all: a listing, and the same slots back from it.
#[test]
fn random_slots_are_listed_and_assemble_to_themselves() {
    let mut seed = 0x0123_4567_89ab_cdefu64;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let small = [0i64, 1, 2, 5, -1, -3, 8, 16, 32, 64, 0x10_0000, i64::from(i32::MIN)];
    for _ in 0..3_000 / thin() {
        let mut slots: Vec<RawInsn> = (0..next() % 40)
            .map(|_| RawInsn {
                opcode: next() as u8,
                dst: (next() % 12) as u8,
                src: if next() % 2 == 0 { 0 } else { (next() % 12) as u8 },
                off: if next() % 2 == 0 { 0 } else { small[next() as usize % small.len()] as i16 },
                imm: if next() % 2 == 0 { 0 } else { small[next() as usize % small.len()] as i32 },
            })
            .collect();
        slots.extend_from_slice(&Insn::Exit.encode());
        let listing = Listing::new(&slots).to_string();
        // Calls of made-up functions can cut the listing where nothing ends; then the text is refused.
        if let Ok(program) = text::assemble("random.s", &listing) {
            let first = program.functions[0].name.clone();
            if program.functions.len() == 1 {
                assert_eq!(program.link(&first).unwrap().insns(), slots, "{listing}");
            }
        } else {
            assert!(listing.contains("func_"), "{listing}");
        }
    }
}
