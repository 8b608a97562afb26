//! Encoding and decoding are exact inverses, over the whole operand space; and what the assembler says.

use crate::insn_forms::{COUNT, IMMS, OFFS, each, thin};
use rawbpf::bytes::Endian;
use rawbpf::insn::prelude::*;
use rawbpf::insn::{DecodeError, Part, raw};
use std::collections::HashSet;

#[test]
fn every_instruction_decodes_from_its_encoding() {
    let mut seen = HashSet::new();
    each(|insn| {
        let slots = insn.encode();
        assert_eq!(Insn::decode(&slots), Ok((insn, slots.len())), "{insn}");
        assert_eq!(slots.len() as u32, slots[0].slots());
        assert!(seen.insert(slots.to_vec()), "{insn}: two instructions have these slots");
        for endian in [Endian::Little, Endian::Big] {
            for &slot in slots.iter() {
                assert_eq!(RawInsn::from_bytes(slot.to_bytes(endian), endian), slot);
            }
        }
    });
    assert_eq!(seen.len(), COUNT.div_ceil(thin()));
}

#[test]
fn what_decodes_encodes_to_the_same_slots() {
    let next_imms = [0, 1, -1, i32::MIN];
    let (mut good, mut bad) = (HashSet::new(), 0u64);
    for opcode in 0..=u8::MAX {
        let registers = (0..16u8).flat_map(|d| (0..16u8).map(move |s| (d, s)));
        for (dst, src) in registers.step_by(thin()) {
            for (off, imm) in OFFS.into_iter().flat_map(|o| EVERY_IMM.iter().map(move |&i| (o, i))) {
                let first = RawInsn { opcode, dst, src, off, imm };
                let nexts: &[i32] = if first.is_lddw() { &next_imms } else { &[0] };
                for &imm in nexts {
                    let slots = [first, RawInsn { imm, ..RawInsn::default() }];
                    match Insn::decode(&slots) {
                        Ok((insn, n)) => {
                            assert_eq!(*insn.encode(), slots[..n], "{insn}");
                            good.insert(opcode);
                        }
                        Err(error) => {
                            // Not all of the millions, for the time it takes.
                            assert!(bad % 1009 != 0 || error.to_string().contains("opcode"), "{error}");
                            bad += 1;
                        }
                    }
                }
            }
        }
    }
    assert!(bad > 1_000_000 / thin() as u64);
    // 12 operations by 2 widths by 2 sources, 2 negations, 3 swaps; 11 conditions by 2 by 2, goto, gotol,
    // gotox, may_goto, call, callx, exit; 4 loads, 3 signed, 6 of packets, lddw; 8 stores, 4 atomic.
    assert_eq!(good.len(), 12 * 4 + 2 + 3 + 11 * 4 + 7 + 4 + 3 + 6 + 1 + 8 + 4);
}

/// The edges of the field, and every atomic operation, byte order and cast.
const EVERY_IMM: &[i32] = &[
    0,
    1,
    -1,
    5,
    16,
    32,
    64,
    0x40,
    0x41,
    0x50,
    0x51,
    0xa0,
    0xa1,
    0xe0,
    0xe1,
    0xf0,
    0xf1,
    0x100,
    0x110,
    0x1_0000,
    0xffff,
    i32::MIN,
    i32::MAX,
];

#[test]
fn each_reserved_field_is_named() {
    let cases: &[(RawInsn, DecodeError)] = &[
        (
            RawInsn { opcode: 0xb7, src: 1, ..RawInsn::default() },
            DecodeError::Reserved { opcode: 0xb7, field: Part::Src, value: 1 },
        ),
        (
            RawInsn { opcode: 0xbf, dst: 11, ..RawInsn::default() },
            DecodeError::Register { opcode: 0xbf, field: Part::Dst, number: 11 },
        ),
        (
            RawInsn { opcode: 0x37, off: 2, imm: 1, ..RawInsn::default() },
            DecodeError::Variant { opcode: 0x37, field: Part::Off, value: 2 },
        ),
        (
            RawInsn { opcode: 0xdc, imm: 8, ..RawInsn::default() },
            DecodeError::Variant { opcode: 0xdc, field: Part::Imm, value: 8 },
        ),
        (RawInsn { opcode: 0x8f, ..RawInsn::default() }, DecodeError::Opcode(0x8f)),
        (RawInsn { opcode: 0x18, ..RawInsn::default() }, DecodeError::Cut),
    ];
    for (slot, error) in cases {
        assert_eq!(Insn::decode(&[*slot]), Err(*error), "{slot:?}");
    }
    assert_eq!(Insn::decode(&[]), Err(DecodeError::Empty));
    let cut = [RawInsn { opcode: 0x18, ..RawInsn::default() }, RawInsn { opcode: 1, ..RawInsn::default() }];
    assert_eq!(
        Insn::decode(&cut),
        Err(DecodeError::Reserved { opcode: 0x18, field: Part::NextOpcode, value: 1 })
    );
}

#[test]
fn a_raw_slot_answers_as_its_instruction_does() {
    each(|insn| {
        let slot = insn.encode()[0];
        let jump = match insn {
            Insn::Jump { off } | Insn::MayGoto { off } | Insn::JumpIf { off, .. } => Some(i32::from(off)),
            Insn::JumpFar { off } => Some(off),
            _ => None,
        };
        assert_eq!(slot.jump_offset(), jump, "{insn}");
        let ends =
            matches!(insn, Insn::Exit | Insn::Jump { .. } | Insn::JumpFar { .. } | Insn::JumpReg { .. });
        assert_eq!(slot.falls_through(), !ends, "{insn}");
        assert_eq!(slot.is_lddw(), matches!(insn, Insn::LoadImm64 { .. }), "{insn}");
        assert_eq!(slot.is_call(), matches!(insn, Insn::Call(_)), "{insn}");
        assert_eq!(slot.is_helper_call(), matches!(insn, Insn::Call(Callee::Helper(_))), "{insn}");
        assert_eq!(slot.is_local_call(), matches!(insn, Insn::Call(Callee::Local { .. })), "{insn}");
        assert_eq!(slot.is_kfunc_call(), matches!(insn, Insn::Call(Callee::Kfunc { .. })), "{insn}");
    });
    assert_eq!(raw::pseudo::MAP_IDX_VALUE, 6);
}

/// Each method of the builder writes the instruction of its name.
#[test]
fn the_builder_writes_what_it_says() {
    type Write = for<'a> fn(&'a mut Asm, Label) -> &'a mut Asm;
    let text = |write: Write| {
        let mut a = Asm::new();
        let out = a.label();
        write(&mut a, out);
        a.bind(out).exit();
        let code = a.finish().expect("assembles");
        Insn::decode(code.insns()).expect("decodes").0.to_string()
    };
    let cases: &[(Write, &str)] = &[
        (|a, _| a.mov64(R1, R2), "r1 = r2"),
        (|a, _| a.mov32(R1, -7), "w1 = -7"),
        (|a, _| a.sdiv32(R3, R4), "w3 s/= w4"),
        (|a, _| a.smod64(R3, 9), "r3 s%= 9"),
        (|a, _| a.arsh64(R3, 63), "r3 s>>= 63"),
        (|a, _| a.neg32(R9), "w9 = -w9"),
        (|a, _| a.movsx(SignExtend::S16To64, R1, R2), "r1 = (s16)r2"),
        (|a, _| a.be32(R5), "r5 = be32 r5"),
        (|a, _| a.bswap64(R5), "r5 = bswap64 r5"),
        (|a, _| a.addr_space_cast(Cast::ToUser, R1, R2), "r1 = addr_space_cast(r2, 1, 0)"),
        (|a, _| a.load(H, R1, R2 - 3), "r1 = *(u16 *)(r2 - 3)"),
        (|a, _| a.load_sx(Narrow::B, R1, R2), "r1 = *(s8 *)(r2 + 0)"),
        (|a, _| a.store(B, R10 - 1, 255), "*(u8 *)(r10 - 1) = 255"),
        (|a, _| a.store(DW, R10 - 8, R6), "*(u64 *)(r10 - 8) = r6"),
        (|a, _| a.load_packet(Narrow::H, 12), "r0 = *(u16 *)skb[12]"),
        (|a, _| a.load_packet_at(Narrow::W, R7, 9), "r0 = *(u32 *)skb[r7 + 9]"),
        (|a, _| a.atomic(AtomicOp::Add, W32, R1, R2), "lock *(u32 *)(r1 + 0) += w2"),
        (|a, _| a.atomic(FetchAdd, W64, R1, R2), "r2 = atomic_fetch_add((u64 *)(r1 + 0), r2)"),
        (|a, _| a.atomic(FetchXor, W64, R1 + 8, R2), "r2 = atomic_fetch_xor((u64 *)(r1 + 8), r2)"),
        (|a, _| a.atomic(Xchg, W64, R1, R2), "r2 = xchg_64(r1 + 0, r2)"),
        (|a, _| a.atomic(CmpXchg, W32, R1, R2), "w0 = cmpxchg32_32(r1 + 0, w0, w2)"),
        (|a, _| a.load_acquire(W, R1, R2 + 4), "r1 = load_acquire((u32 *)(r2 + 4))"),
        (|a, _| a.store_release(DW, R1 + 8, R2), "store_release((u64 *)(r1 + 8), r2)"),
        (|a, o| a.jump(o), "goto +0"),
        (|a, o| a.jump_far(o), "gotol +0"),
        (|a, o| a.may_goto(o), "may_goto +0"),
        (|a, o| a.jsle32(R1, R2, o), "if w1 s<= w2 goto +0"),
        (|a, o| a.jset(R1, 8, o), "if r1 & 8 goto +0"),
        (|a, _| a.jump_reg(R3), "gotox r3"),
        (|a, _| a.call_reg(R3), "callx r3"),
        (|a, _| a.call(Helper::RingbufReserve), "call 131"),
        (|a, _| a.lddw(R1, 0xdead_beef_0000_0001), "r1 = -2401053092612145151 ll"),
        (|a, _| a.lddw(R1, map("m")), "r1 = map_by_fd(0) ll"),
        (|a, _| a.lddw(R1, map_value("m", 16)), "r1 = map_val(map_by_fd(0)) + 16 ll"),
        (|a, _| a.lddw(R1, ksym("jiffies")), "r1 = var_addr(0) ll"),
    ];
    for (write, expected) in cases {
        assert_eq!(text(*write), *expected);
    }
}

#[test]
fn mistakes_name_their_line_of_rust() {
    /// The line of the caller.
    #[track_caller]
    fn line() -> u32 {
        std::panic::Location::caller().line()
    }
    let mut a = Asm::new();
    let (l, wrong) = (a.label(), line() + 1);
    a.mov64(R0, 0).jeq(R0, 0, l).exit();
    let error = a.finish().unwrap_err();
    assert!(matches!(error, AsmError::Unbound { at } if at.line() == wrong && at.file() == file!()));

    let mut a = Asm::new();
    let l = a.here();
    a.mov64(R0, 0).bind(l).exit();
    assert!(matches!(a.finish(), Err(AsmError::Rebound { at, first }) if at.line() == first.line() + 1));

    let other = Asm::new().label();
    let mut a = Asm::new();
    assert!(matches!(a.jump(other).exit().finish(), Err(AsmError::Foreign { .. })));
    assert!(matches!(Asm::new().bind(other).exit().finish(), Err(AsmError::Foreign { .. })));
    assert!(matches!(Asm::new().finish(), Err(AsmError::Empty)));
    assert!(matches!(Asm::new().mov64(R0, 0).finish(), Err(AsmError::FallsOff { .. })));
    assert!(matches!(Asm::new().mov64(R10, 0).exit().finish(), Err(AsmError::FramePointer { .. })));
    assert!(matches!(Asm::new().lsh32(R1, 32).exit().finish(), Err(AsmError::Shift { width: 32, .. })));
    assert!(matches!(Asm::new().sdiv64(R1, 0).exit().finish(), Err(AsmError::DivisionByZero { .. })));

    let mut a = Asm::new();
    let end = a.label();
    assert!(matches!(a.jeq(R0, 0, end).exit().bind(end).finish(), Err(AsmError::Dangling { .. })));

    let mut a = Asm::named("main");
    let (f, l) = (a.func("f"), a.label());
    a.jeq(R1, 0, l).call(f).exit().begin(f).bind(l).exit();
    let error = a.finish().unwrap_err();
    assert!(matches!(&error, AsmError::JumpsOut { from, to, .. } if from == "main" && to == "f"), "{error}");

    let mut a = Asm::new();
    let f = a.func("f");
    assert!(matches!(a.call(f).exit().finish(), Err(AsmError::NoBody { function, .. }) if function == "f"));
    let mut a = Asm::new();
    a.func("main");
    assert!(matches!(a.exit().finish(), Err(AsmError::Duplicate { .. })));

    let mut a = Asm::new();
    let short = a.label();
    let bounds = Bounds { end: R3, scratch: R2, short };
    let error = a.need(R2, 14, bounds).bind(short).exit().finish().unwrap_err();
    assert!(matches!(error, AsmError::Scratch { scratch: R2, .. }), "{error}");
    let error = Asm::new().put(R2 + udp::DEST, 70_000).exit().finish().unwrap_err();
    assert!(matches!(error, AsmError::FieldTooSmall { imm: 70_000, bytes: 2, .. }), "{error}");

    let mut a = Asm::new();
    a.stack(500);
    a.slot(DW);
    a.slot(DW);
    assert!(matches!(a.exit().finish(), Err(AsmError::Stack { bytes: 520, .. })));
}

#[test]
fn a_jump_too_far_is_refused_or_lengthened() {
    let far = |long: bool, conditional: bool, padding: usize| {
        let mut a = Asm::new();
        let out = a.label();
        a.long_jumps(long);
        match conditional {
            true => a.jeq(R1, 5, out),
            false => a.jump(out),
        };
        for _ in 0..padding {
            a.mov64(R0, 1);
        }
        a.bind(out).exit();
        a.finish()
    };
    assert!(far(false, true, 32767).is_ok());
    assert!(matches!(far(false, true, 32768), Err(AsmError::TooFar { delta: 32768, .. })));
    assert!(matches!(far(false, false, 40_000), Err(AsmError::TooFar { delta: 40_000, .. })));
    let code = far(true, false, 40_000).unwrap();
    assert_eq!(Insn::decode(code.insns()).unwrap().0, Insn::JumpFar { off: 40_000 });
    let code = far(true, true, 40_000).unwrap();
    let text: Vec<String> = (0..3).map(|i| Insn::decode(&code.insns()[i..]).unwrap().0.to_string()).collect();
    assert_eq!(text, ["if r1 == 5 goto +1", "goto +1", "gotol +40000"]);
    assert_eq!(code.insns().len(), 40_004);
    assert_eq!(code.lines().next().unwrap().at, InsnIx(0));
}

/// Two jumps, each in reach until the other one grows.
#[test]
fn growing_jumps_push_others_out_of_reach() {
    let mut a = Asm::new();
    a.long_jumps(true);
    let (one, two) = (a.label(), a.label());
    a.jeq(R1, 0, one).jeq(R2, 0, two);
    for _ in 0..32766 {
        a.mov64(R0, 1);
    }
    a.bind(one).mov64(R0, 0).mov64(R0, 0);
    a.bind(two).exit();
    let f = a.func("f");
    a.begin(f).lddw(R1, map("m")).call(f).exit();
    let code = a.finish().unwrap();
    let insns: Vec<_> = [0, 1, 2, 3, 4, 5].map(|i| Insn::decode(&code.insns()[i..]).unwrap().0).to_vec();
    let show: Vec<String> = insns.iter().map(Insn::to_string).collect();
    assert_eq!(show[3..], ["if r2 == 0 goto +1", "goto +1", "gotol +32768"]);
    assert_eq!(show[..3], ["if r1 == 0 goto +1", "goto +1", "gotol +32769"]);
    let at = code.refs()[0].at.index();
    assert!(code.insns()[at].is_lddw());
    assert_eq!(code.funcs()[1].start.index(), at);
    assert_eq!(code.insns()[at + 2].imm, -3, "a call of itself");
}

#[test]
fn code_knows_functions_lines_and_references() {
    let mut a = Asm::named("prog");
    let (f, g) = (a.func("f"), a.func("g"));
    let first = line!() + 1;
    a.lddw(R2, g).call(f).call(kfunc("bpf_foo")).call(external("elsewhere")).exit();
    a.begin(f).lddw(R1, map_value(".rodata", 8)).exit();
    a.begin(g).lddw(R1, external("there")).exit();
    let code = a.finish().unwrap();
    let starts: Vec<_> = code.funcs().iter().map(|f| (f.name.as_str(), f.start.0)).collect();
    assert_eq!(starts, [("prog", 0), ("f", 6), ("g", 9)]);
    assert_eq!(code.func_range(1), Some(6..9));
    assert_eq!(code.func_range(2), Some(9..12));
    assert_eq!(code.func_range(3), None);
    assert_eq!(code.insns()[0].imm, 8, "lddw at 0 to g at 9");
    assert_eq!(code.insns()[2].imm, 3, "call at 2 to f at 6");
    let refs: Vec<_> = code.refs().iter().map(|r| (r.at.0, r.kind.clone())).collect();
    assert_eq!(
        refs,
        [
            (3, RefKind::Kfunc { name: "bpf_foo".into() }),
            (4, RefKind::Func { name: "elsewhere".into() }),
            (6, RefKind::MapValue { name: ".rodata".into(), off: 8 }),
            (9, RefKind::FuncAddr { name: "there".into() }),
        ]
    );
    let lines: Vec<_> = code.lines().map(|l| (l.at.0, l.line)).collect();
    assert_eq!(
        lines,
        [
            (0, first),
            (2, first),
            (3, first),
            (4, first),
            (5, first),
            (6, first + 1),
            (8, first + 1),
            (9, first + 2),
            (11, first + 2)
        ]
    );
    assert_eq!(code.line_at(InsnIx(7)).unwrap().line, first + 1);
    assert_eq!(code.line_at(InsnIx(99)), None);
    assert_eq!(code.to_bytes(Endian::Little).len(), 12 * 8);
    assert_eq!(IMMS.len(), 10);
}

/// Fields in network order read as numbers, on machines of both orders.
#[test]
fn fields_know_their_size_and_order() {
    let mut a = Asm::new();
    a.endian(Endian::Little)
        .get(R3, R2 + eth::BYTES + ipv4::PROTOCOL)
        .get(R3, R2 + ipv4::SADDR)
        .load(W, R3, R2 + ipv4::SADDR)
        .put(R2 + tcp::DEST, 80)
        .put(R2 + tcp::DEST, R5)
        .get(R1, R1 + sk_buff::PROTOCOL)
        .lea(R1, R2 + ipv6::SADDR)
        .exit();
    let code = a.finish().unwrap();
    let mut texts = Vec::new();
    let mut at = 0;
    while at < code.insns().len() {
        let (insn, n) = Insn::decode(&code.insns()[at..]).unwrap();
        texts.push(insn.to_string());
        at += n;
    }
    assert_eq!(
        texts,
        [
            "r3 = *(u8 *)(r2 + 23)",
            "r3 = *(u32 *)(r2 + 12)",
            "r3 = be32 r3",
            "r3 = *(u32 *)(r2 + 12)",
            "*(u16 *)(r2 + 2) = 20480",
            "r5 = be16 r5",
            "*(u16 *)(r2 + 2) = r5",
            "r1 = *(u32 *)(r1 + 16)",
            "r1 = be16 r1",
            "r1 = r2",
            "r1 += 8",
            "exit"
        ]
    );
    assert_eq!(Asm::new().endian(Endian::Big).htons(80), 80);
}

/// All helpers, by the numbers and names of the UAPI.
#[test]
fn helpers_are_complete() {
    assert_eq!(Helper::ALL.len(), 211);
    for (ix, helper) in Helper::ALL.iter().enumerate() {
        assert_eq!(helper.0 as usize, ix + 1);
        let (name, uapi) = (helper.name().unwrap(), helper.uapi().unwrap());
        assert_eq!(name.strip_prefix("bpf_"), uapi.strip_prefix("BPF_FUNC_"));
        assert_eq!(Helper::from_name(name), Some(*helper));
    }
    let releases: Vec<_> = Helper::ALL.iter().map(|h| h.since().unwrap()).collect();
    assert!(releases.is_sorted(), "numbers were given in the order of the releases");
}
