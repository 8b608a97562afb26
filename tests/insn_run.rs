//! What assembled programs compute, in the kernel: BPF_PROG_TEST_RUN against a model in Rust.
//!
//! The programs are of type `syscall`, whose context is a buffer that the program reads and writes: the
//! operands go in, and every result comes out. These tests need root; without it each says so and ends.
#![allow(unsafe_code)]

use crate::gate::{BPF_LOOP, CPU_V4, LOAD_ACQUIRE, MAY_GOTO, NARROW_JUMPS, ROOT, SYSCALL_PROGRAMS, require};
use rawbpf::bytes::Endian;
use rawbpf::insn::prelude::*;
use rawbpf::insn::{AtomicOp, Bits, SwapOp};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

const PROG_LOAD: libc::c_long = 5;
const PROG_TEST_RUN: libc::c_long = 10;
const MAP_CREATE: libc::c_long = 0;
const MAP_LOOKUP: libc::c_long = 1;
const BTF_LOAD: libc::c_long = 18;
const SCHED_CLS: u32 = 3;
const XDP: u32 = 6;
const SYSCALL: u32 = 31;

/// One bpf(2) call on an attribute of 64-bit words.
fn bpf(cmd: libc::c_long, attr: &mut [u64; 20]) -> std::io::Result<libc::c_long> {
    // SAFETY: the attribute is zeroed where a command does not use it, its pointers are of live buffers
    // of the lengths beside them, and the size is its own.
    let got = unsafe { libc::syscall(libc::SYS_bpf, cmd, attr.as_mut_ptr(), size_of_val(attr)) };
    if got < 0 { Err(std::io::Error::last_os_error()) } else { Ok(got) }
}

fn owned(fd: libc::c_long) -> OwnedFd {
    // SAFETY: the kernel has just handed out this fd, and nobody else has it.
    unsafe { OwnedFd::from_raw_fd(fd as RawFd) }
}

/// Two 32-bit fields of an attribute as the word they share.
fn pair(low: u32, high: u32) -> u64 {
    let bytes = [low.to_ne_bytes(), high.to_ne_bytes()].concat();
    u64::from_ne_bytes(bytes.try_into().unwrap())
}

/// Loads a program, with its functions and lines in BTF; the error is the verifier's log.
fn load(code: &Code, kind: u32) -> Result<OwnedFd, String> {
    load_bytes(code, &code.to_bytes(Endian::NATIVE), kind)
}

/// The verifier's log of a program, whether it loads or not.
fn verifier_log(code: &Code, kind: u32) -> String {
    let insns = code.to_bytes(Endian::NATIVE);
    let mut log = vec![0u8; 1 << 24];
    let mut attr = [0u64; 20];
    attr[0] = pair(kind, code.insns().len() as u32);
    attr[1] = insns.as_ptr() as u64;
    attr[2] = c"GPL".as_ptr() as u64;
    attr[3] = pair(2, log.len() as u32);
    attr[4] = log.as_mut_ptr() as u64;
    attr[5] = pair(0, if kind == SYSCALL { 1 << 4 } else { 0 });
    let _ = bpf(PROG_LOAD, &mut attr).map(owned);
    let end = log.iter().position(|&b| b == 0).unwrap_or(0);
    String::from_utf8_lossy(&log[..end]).into_owned()
}

fn load_bytes(code: &Code, insns: &[u8], kind: u32) -> Result<OwnedFd, String> {
    let info = Info::of(code);
    let mut log = vec![0u8; 1 << 24];
    let mut attr = [0u64; 20];
    attr[0] = pair(kind, code.insns().len() as u32);
    attr[1] = insns.as_ptr() as u64;
    attr[2] = c"GPL".as_ptr() as u64;
    attr[5] = pair(0, if kind == SYSCALL { 1 << 4 } else { 0 });
    attr[9] = pair(info.btf.as_raw_fd() as u32, 8);
    attr[10] = info.funcs.as_ptr() as u64;
    attr[11] = pair((info.funcs.len() / 2) as u32, 16);
    attr[12] = info.lines.as_ptr() as u64;
    attr[13] = pair((info.lines.len() / 4) as u32, 0);
    if let Ok(fd) = bpf(PROG_LOAD, &mut attr) {
        return Ok(owned(fd));
    }
    attr[3] = pair(1, log.len() as u32);
    attr[4] = log.as_mut_ptr() as u64;
    bpf(PROG_LOAD, &mut attr).map(owned).map_err(|e| {
        let end = log.iter().position(|&b| b == 0).unwrap_or(0);
        format!("{e}\n{}", String::from_utf8_lossy(&log[..end]))
    })
}

/// The BTF that a loader makes of a [`Code`]: what its functions and lines are.
struct Info {
    btf: OwnedFd,
    /// `struct bpf_func_info`: first slot and type.
    funcs: Vec<u32>,
    /// `struct bpf_line_info`: slot, file, text, line and column.
    lines: Vec<u32>,
}

impl Info {
    fn of(code: &Code) -> Info {
        let mut strings = vec![0u8];
        let mut string = |text: &str| {
            let at = strings.len() as u32;
            strings.extend(text.bytes().chain([0]));
            at
        };
        let (int, static_func, proto, kind) = (string("int"), 0, 2, |kind: u32| kind << 24);
        // 1: int; 2: int (*)(); then a static function each.
        let mut types = vec![int, kind(1), 4, 1 << 24 | 32, 0, kind(13), 1];
        let mut funcs = Vec::new();
        for (ix, func) in code.funcs().iter().enumerate() {
            types.extend([string(&func.name), kind(12) | static_func, proto]);
            funcs.extend([func.start.0, 3 + ix as u32]);
        }
        let file = string(file!());
        let lines = code.lines().flat_map(|l| [l.at.0, file, file, l.line << 10 | l.col]).collect();
        let (types_len, strings_len) = (types.len() as u32 * 4, strings.len() as u32);
        let mut blob = [0xeb9fu16.to_ne_bytes(), [1, 0]].concat();
        for word in [24, 0, types_len, types_len, strings_len].iter().chain(&types) {
            blob.extend(word.to_ne_bytes());
        }
        blob.extend(&strings);
        let mut attr = [0u64; 20];
        attr[0] = blob.as_ptr() as u64;
        attr[2] = pair(blob.len() as u32, 0);
        let btf = owned(bpf(BTF_LOAD, &mut attr).expect("the BTF loads"));
        Info { btf, funcs, lines }
    }
}

/// Skips a test without root, and on kernels before a feature's first.
macro_rules! needs {
    ($feature:expr) => {
        require!(ROOT);
        require!($feature, kernel() >= $feature.since);
    };
}

/// The running kernel's release, major and minor.
fn kernel() -> (u32, u32) {
    let text = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let release = rawbpf::uapi::Release::parse(&text).unwrap();
    (release.0.into(), release.1.into())
}

/// Loads and runs a `syscall` program on a context, which comes back as the program left it.
fn run(code: &Code, context: &mut [u64]) -> u32 {
    let prog = load(code, SYSCALL).unwrap_or_else(|log| panic!("{log}"));
    run_loaded(&prog, context)
}

fn run_loaded(prog: &OwnedFd, context: &mut [u64]) -> u32 {
    let mut attr = [0u64; 20];
    attr[0] = pair(prog.as_raw_fd() as u32, 0);
    attr[5] = pair(size_of_val(context) as u32, 0);
    attr[6] = context.as_mut_ptr() as u64;
    bpf(PROG_TEST_RUN, &mut attr).expect("the program runs");
    attr[0].to_ne_bytes()[4..].try_into().map(u32::from_ne_bytes).unwrap()
}

/// Runs a network program on a packet and gives its result.
fn run_packet(prog: &OwnedFd, packet: &[u8]) -> u32 {
    let mut out = vec![0u8; packet.len() + 256];
    let mut attr = [0u64; 20];
    attr[0] = pair(prog.as_raw_fd() as u32, 0);
    attr[1] = pair(packet.len() as u32, out.len() as u32);
    attr[2] = packet.as_ptr() as u64;
    attr[3] = out.as_mut_ptr() as u64;
    bpf(PROG_TEST_RUN, &mut attr).expect("the program runs");
    attr[0].to_ne_bytes()[4..].try_into().map(u32::from_ne_bytes).unwrap()
}

/// Pairs of operands at the edges of signs and widths.
fn operands() -> Vec<(u64, u64)> {
    let edges = [
        0,
        1,
        2,
        7,
        31,
        32,
        63,
        64,
        0x7f,
        0x80,
        0xff,
        0x7fff,
        0x8000,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_ffff,
        0x1_0000_0000,
        i64::MAX as u64,
        i64::MIN as u64,
        u64::MAX,
        0x0123_4567_89ab_cdef,
    ];
    edges.iter().flat_map(|&a| edges.iter().map(move |&b| (a, b))).collect()
}

/// What RFC 9669 says that arithmetic gives, on 64 bits.
fn alu64(op: AluOp, a: u64, b: u64) -> u64 {
    let (sa, sb) = (a as i64, b as i64);
    match op {
        AluOp::Add => a.wrapping_add(b),
        AluOp::Sub => a.wrapping_sub(b),
        AluOp::Mul => a.wrapping_mul(b),
        AluOp::Div => a.checked_div(b).unwrap_or(0),
        AluOp::Sdiv => {
            if b == 0 {
                0
            } else {
                sa.wrapping_div(sb) as u64
            }
        }
        AluOp::Or => a | b,
        AluOp::And => a & b,
        AluOp::Lsh => a << (b & 63),
        AluOp::Rsh => a >> (b & 63),
        AluOp::Mod => a.checked_rem(b).unwrap_or(a),
        AluOp::Smod => {
            if b == 0 {
                a
            } else {
                sa.wrapping_rem(sb) as u64
            }
        }
        AluOp::Xor => a ^ b,
        AluOp::Mov => b,
        AluOp::Arsh => (sa >> (b & 63)) as u64,
    }
}

/// The same on 32 bits, the upper half zero.
fn alu32(op: AluOp, a: u64, b: u64) -> u64 {
    let (a, b) = (a as u32, b as u32);
    let (sa, sb) = (a as i32, b as i32);
    u64::from(match op {
        AluOp::Add => a.wrapping_add(b),
        AluOp::Sub => a.wrapping_sub(b),
        AluOp::Mul => a.wrapping_mul(b),
        AluOp::Div => a.checked_div(b).unwrap_or(0),
        AluOp::Sdiv => {
            if b == 0 {
                0
            } else {
                sa.wrapping_div(sb) as u32
            }
        }
        AluOp::Or => a | b,
        AluOp::And => a & b,
        AluOp::Lsh => a << (b & 31),
        AluOp::Rsh => a >> (b & 31),
        AluOp::Mod => a.checked_rem(b).unwrap_or(a),
        AluOp::Smod => {
            if b == 0 {
                a
            } else {
                sa.wrapping_rem(sb) as u32
            }
        }
        AluOp::Xor => a ^ b,
        AluOp::Mov => b,
        AluOp::Arsh => (sa >> (b & 31)) as u32,
    })
}

/// Some instructions that turn `r1` and `r2` into a result in `r1`.
type Step = Box<dyn Fn(&mut Asm)>;

/// A program that puts `steps` results behind the two operands of its context.
fn each_result(steps: &[Step]) -> OwnedFd {
    let mut a = Asm::new();
    a.mov64(R6, R1);
    for (ix, step) in steps.iter().enumerate() {
        a.load(DW, R1, R6).load(DW, R2, R6 + 8);
        step(&mut a);
        a.store(DW, R6 + (16 + 8 * ix as i16), R1);
    }
    a.mov64(R0, 0).exit();
    load(&a.finish().unwrap(), SYSCALL).unwrap_or_else(|log| panic!("{log}"))
}

#[test]
fn arithmetic_computes_what_the_rfc_says() {
    needs!(CPU_V4);
    let ops: Vec<(AluOp, Width)> = AluOp::ALL.iter().flat_map(|&op| [(op, W32), (op, W64)]).collect();
    let steps: Vec<Step> = ops
        .iter()
        .map(|&(op, width)| {
            let step = move |a: &mut Asm| {
                a.insn(Insn::Alu { width, op, dst: R1, src: Source::Reg(R2) });
            };
            Box::new(step) as Step
        })
        .collect();
    let prog = each_result(&steps);
    for (a, b) in operands() {
        let mut context = vec![0u64; 2 + steps.len()];
        (context[0], context[1]) = (a, b);
        run_loaded(&prog, &mut context);
        for (&(op, width), &got) in ops.iter().zip(&context[2..]) {
            let expected = if width == W64 { alu64(op, a, b) } else { alu32(op, a, b) };
            assert_eq!(got, expected, "{op:?} {width:?} of {a:#x} and {b:#x}");
        }
    }
}

#[test]
fn constants_extend_their_sign() {
    needs!(CPU_V4);
    for (op, imm) in AluOp::ALL.iter().flat_map(|&op| [1, 5, 31, -1, -128, i32::MIN].map(|i| (op, i))) {
        let shift = matches!(op, AluOp::Lsh | AluOp::Rsh | AluOp::Arsh);
        if shift && imm < 0 {
            continue;
        }
        let wide = move |a: &mut Asm| {
            a.insn(Insn::Alu { width: W64, op, dst: R1, src: Source::Imm(imm) });
        };
        let low = move |a: &mut Asm| {
            a.insn(Insn::Alu { width: W32, op, dst: R1, src: Source::Imm(imm) });
        };
        let prog = each_result(&[Box::new(wide), Box::new(low)]);
        for a in [0, 1, u64::MAX, 0x8000_0000, 0x0123_4567_89ab_cdef, i64::MIN as u64] {
            let mut context = [a, 0, 0, 0];
            run_loaded(&prog, &mut context);
            let b = i64::from(imm) as u64;
            assert_eq!(context[2..], [alu64(op, a, b), alu32(op, a, b)], "{op:?} of {a:#x} and {imm}");
        }
    }
}

#[test]
fn moves_swaps_and_negations() {
    needs!(CPU_V4);
    type Model = fn(u64) -> u64;
    let mut cases: Vec<(Insn, Model)> = vec![
        (Insn::Neg { width: W64, dst: R1 }, |a| a.wrapping_neg()),
        (Insn::Neg { width: W32, dst: R1 }, |a| u64::from((a as u32).wrapping_neg())),
    ];
    let sx = |kind| Insn::MovSx { kind, dst: R1, src: R1 };
    cases.extend([
        (sx(SignExtend::S8To64), (|a| a as i8 as u64) as Model),
        (sx(SignExtend::S16To64), |a| a as i16 as u64),
        (sx(SignExtend::S32To64), |a| a as i32 as u64),
        (sx(SignExtend::S8To32), |a| u64::from(a as i8 as u32)),
        (sx(SignExtend::S16To32), |a| u64::from(a as i16 as u32)),
    ]);
    let swap = |op, bits| Insn::Swap { op, bits, dst: R1 };
    cases.extend([
        (swap(SwapOp::Be, Bits::B16), (|a| u64::from((a as u16).to_be())) as Model),
        (swap(SwapOp::Be, Bits::B32), |a| u64::from((a as u32).to_be())),
        (swap(SwapOp::Be, Bits::B64), u64::to_be),
        (swap(SwapOp::Le, Bits::B16), |a| u64::from((a as u16).to_le())),
        (swap(SwapOp::Le, Bits::B32), |a| u64::from((a as u32).to_le())),
        (swap(SwapOp::Le, Bits::B64), u64::to_le),
        (swap(SwapOp::Swap, Bits::B16), |a| u64::from((a as u16).swap_bytes())),
        (swap(SwapOp::Swap, Bits::B32), |a| u64::from((a as u32).swap_bytes())),
        (swap(SwapOp::Swap, Bits::B64), u64::swap_bytes),
    ]);
    let steps: Vec<Step> = cases
        .iter()
        .map(|&(insn, _)| {
            Box::new(move |a: &mut Asm| {
                a.insn(insn);
            }) as _
        })
        .collect();
    let prog = each_result(&steps);
    for (a, _) in operands() {
        let mut context = vec![0u64; 2 + steps.len()];
        context[0] = a;
        run_loaded(&prog, &mut context);
        for ((insn, model), got) in cases.iter().zip(&context[2..]) {
            assert_eq!(*got, model(a), "{insn} of {a:#x}");
        }
    }
}

#[test]
fn conditions_compare_as_they_say() {
    needs!(SYSCALL_PROGRAMS);
    fn holds(op: JmpOp, a: u64, b: u64, sa: i64, sb: i64) -> bool {
        match op {
            JmpOp::Eq => a == b,
            JmpOp::Ne => a != b,
            JmpOp::Gt => a > b,
            JmpOp::Ge => a >= b,
            JmpOp::Lt => a < b,
            JmpOp::Le => a <= b,
            JmpOp::Sgt => sa > sb,
            JmpOp::Sge => sa >= sb,
            JmpOp::Slt => sa < sb,
            JmpOp::Sle => sa <= sb,
            JmpOp::Set => a & b != 0,
        }
    }
    let ops: Vec<(JmpOp, Width)> = JmpOp::ALL.iter().flat_map(|&op| [(op, W32), (op, W64)]).collect();
    let steps: Vec<Step> = ops
        .iter()
        .map(|&(op, width)| {
            let step = move |a: &mut Asm| {
                let yes = a.label();
                a.mov64(R3, 1).jump_if(width, R1, op, R2, yes).mov64(R3, 0).bind(yes).mov64(R1, R3);
            };
            Box::new(step) as Step
        })
        .collect();
    let prog = each_result(&steps);
    for (a, b) in operands() {
        let mut context = vec![0u64; 2 + steps.len()];
        (context[0], context[1]) = (a, b);
        run_loaded(&prog, &mut context);
        for (&(op, width), &got) in ops.iter().zip(&context[2..]) {
            let expected = match width {
                W64 => holds(op, a, b, a as i64, b as i64),
                W32 => holds(op, a & 0xffff_ffff, b & 0xffff_ffff, i64::from(a as i32), i64::from(b as i32)),
            };
            assert_eq!(got == 1, expected, "{a:#x} {} {b:#x}, {width:?}", op.sign());
        }
    }
}

#[test]
fn atomic_operations_change_memory_and_give_the_old_value() {
    needs!(SYSCALL_PROGRAMS);
    let ops: Vec<(AtomicOp, Width)> = AtomicOp::ALL.iter().flat_map(|&op| [(op, W32), (op, W64)]).collect();
    // Memory starts as the first operand, r0 too; the source register as the second. Three results each:
    // memory, source register, r0.
    let mut a = Asm::new();
    let memory = a.slot(DW);
    a.mov64(R6, R1);
    for (ix, &(op, width)) in ops.iter().enumerate() {
        let out = R6 + (16 + 24 * ix as i16);
        a.load(DW, R0, R6).load(DW, R2, R6 + 8).put(memory, R0);
        a.atomic(op, width, memory, R2).get(R1, memory);
        a.store(DW, out, R1).store(DW, out + 8, R2).store(DW, out + 16, R0);
    }
    a.mov64(R0, 0).exit();
    let prog = load(&a.finish().unwrap(), SYSCALL).unwrap_or_else(|log| panic!("{log}"));
    for (a, b) in operands() {
        let mut context = vec![0u64; 2 + 3 * ops.len()];
        (context[0], context[1]) = (a, b);
        run_loaded(&prog, &mut context);
        for (&(op, width), got) in ops.iter().zip(context[2..].chunks(3)) {
            assert_eq!(got, atomic_model(op, width, a, b), "{op:?} {width:?} of {a:#x} and {b:#x}");
        }
    }
}

/// Memory, the source register and r0 after an operation on memory that holds `a`, with `b` in the source
/// register and `a` in r0.
fn atomic_model(op: AtomicOp, width: Width, a: u64, b: u64) -> [u64; 3] {
    // 32 bits change the first four bytes of memory: the lower half or the upper one.
    let shift = if width == W32 && Endian::NATIVE == Endian::Big { 32 } else { 0 };
    let mask = if width == W64 { u64::MAX } else { 0xffff_ffff };
    let old = a >> shift & mask;
    let new = match op {
        AtomicOp::Add | AtomicOp::FetchAdd => old.wrapping_add(b),
        AtomicOp::Or | AtomicOp::FetchOr => old | b,
        AtomicOp::And | AtomicOp::FetchAnd => old & b,
        AtomicOp::Xor | AtomicOp::FetchXor => old ^ b,
        AtomicOp::CmpXchg if old != a & mask => old,
        AtomicOp::Xchg | AtomicOp::CmpXchg => b,
    };
    let memory = a & !(mask << shift) | (new & mask) << shift;
    match op {
        AtomicOp::Add | AtomicOp::Or | AtomicOp::And | AtomicOp::Xor => [memory, b, a],
        AtomicOp::CmpXchg => [memory, b, old],
        _ => [memory, old, a],
    }
}

/// The number in the first bytes of `v` in memory.
fn first_bytes(v: u64, bytes: usize) -> u64 {
    let memory = v.to_ne_bytes();
    let mut part = [0; 8];
    match Endian::NATIVE {
        Endian::Little => part[..bytes].copy_from_slice(&memory[..bytes]),
        Endian::Big => part[8 - bytes..].copy_from_slice(&memory[..bytes]),
    }
    u64::from_ne_bytes(part)
}

#[test]
fn loads_extend_and_order() {
    needs!(CPU_V4);
    let mut a = Asm::new();
    let memory = a.slot(DW);
    a.load(DW, R2, R1).put(memory, R2);
    let mut out = 8;
    for size in Size::ALL {
        a.load(size, R2, memory).store(DW, R1 + out, R2);
        out += 8;
    }
    for size in Narrow::ALL {
        a.load_sx(size, R2, memory).store(DW, R1 + out, R2);
        out += 8;
    }
    a.mov64(R0, 0).exit();
    let code = a.finish().unwrap();
    let v: u64 = 0xf123_4567_89ab_cdef;
    let mut context = [v, 0, 0, 0, 0, 0, 0, 0];
    run(&code, &mut context);
    let [b, h, w, dw] = [1, 2, 4, 8].map(|n| first_bytes(v, n));
    assert_eq!(context, [v, b, h, w, dw, b as i8 as u64, h as i16 as u64, w as i32 as u64]);
}

#[test]
fn acquire_and_release_of_every_size() {
    needs!(LOAD_ACQUIRE);
    let mut a = Asm::new();
    let (from, to) = (a.slot(DW), a.slot(DW));
    a.load(DW, R2, R1).put(from, R2);
    let mut out = 8;
    for size in Size::ALL {
        a.load_acquire(size, R2, from).put(to, 0).store_release(size, to, R2);
        a.get(R3, to).store(DW, R1 + out, R3);
        out += 8;
    }
    a.mov64(R0, 0).exit();
    let prog = load(&a.finish().unwrap(), SYSCALL).unwrap_or_else(|log| panic!("{log}"));
    let v: u64 = 0xf123_4567_89ab_cdef;
    let mut context = [v, 0, 0, 0, 0];
    run_loaded(&prog, &mut context);
    // What was stored went to the same first bytes, and the rest of them is zero.
    let places = [1, 2, 4, 8].map(|n| match Endian::NATIVE {
        Endian::Little => first_bytes(v, n),
        Endian::Big => first_bytes(v, n) << (64 - 8 * n),
    });
    assert_eq!(context[1..], places);
}

#[test]
fn functions_callbacks_and_loops() {
    needs!(BPF_LOOP);
    // r0 = sum of 0..n, by a callback that bpf_loop calls; then doubled by a function.
    let mut a = Asm::named("sum");
    let (add, double) = (a.func("add"), a.func("double"));
    let sum = a.slot(DW);
    a.put(sum, 0)
        .load(DW, R1, R1)
        .lddw(R2, add)
        .lea(R3, sum)
        .mov64(R4, 0)
        .call(Helper::Loop)
        .get(R1, sum)
        .call(double)
        .exit();
    a.begin(add).load(DW, R3, R2).add64(R3, R1).store(DW, R2, R3).mov64(R0, 0).exit();
    a.begin(double).mov64(R0, R1).lsh64(R0, 1).exit();
    let code = a.finish().unwrap();
    assert_eq!(code.funcs().len(), 3);
    match load(&code, SYSCALL) {
        Ok(prog) => assert_eq!(run_loaded(&prog, &mut [100]), 9900),
        // The interpreter calls no callbacks, and some kernels have the JIT compiler off.
        Err(log) => {
            assert!(log.contains("non-JITed"), "{log}");
            crate::gate::skip(&BPF_LOOP, log.lines().nth(1).unwrap_or_default());
        }
    }
}

#[test]
fn the_verifier_names_the_line_of_rust() {
    needs!(MAY_GOTO);
    let wrong = line!() + 2;
    let mut a = Asm::new();
    a.load(DW, R2, R3 + 8) // r3 was never written
        .mov64(R0, 0)
        .exit();
    let log = load(&a.finish().unwrap(), SYSCALL).unwrap_err();
    assert!(log.contains("R3 !read_ok"), "{log}");
    assert!(log.contains(&format!("@ insn_run.rs:{wrong}")), "{log}");
}

/// What the kernel itself prints for each instruction assembles to the same slots.
#[test]
fn the_verifiers_own_text_assembles_here() {
    needs!(LOAD_ACQUIRE);
    let mut a = Asm::new();
    let (m, out, double) = (a.slot(DW), a.label(), a.func("double"));
    a.mov64(R6, R1).load(DW, R1, R6).load(DW, R2, R6 + 8).put(m, R1);
    for (&op, width) in AluOp::ALL.iter().flat_map(|op| [(op, W32), (op, W64)]) {
        a.insn(Insn::Alu { width, op, dst: R1, src: Source::Reg(R2) });
        a.insn(Insn::Alu { width, op, dst: R1, src: Source::Imm(7) });
    }
    for (&op, &bits) in SwapOp::ALL.iter().flat_map(|op| Bits::ALL.iter().map(move |bits| (op, bits))) {
        a.insn(Insn::Swap { op, bits, dst: R1 });
    }
    for &kind in SignExtend::ALL {
        a.movsx(kind, R1, R2);
    }
    a.neg32(R1).neg64(R1).lddw(R3, 0xfedc_ba98_7654_3210);
    for (&op, width) in AtomicOp::ALL.iter().flat_map(|op| [(op, W32), (op, W64)]) {
        a.mov64(R0, 1).atomic(op, width, m, R2);
    }
    for size in Size::ALL {
        a.load_acquire(size, R1, m).store_release(size, m, R1).load(size, R1, m).store(size, m, -3);
    }
    for size in Narrow::ALL {
        a.load_sx(size, R1, m);
    }
    // Both ways of each jump lead on, so that the verifier walks the program once, in order.
    for (&op, width) in JmpOp::ALL.iter().flat_map(|op| [(op, W32), (op, W64)]) {
        let (one, two) = (a.label(), a.label());
        a.load(DW, R1, R6).jump_if(width, R1, op, R2, one).bind(one);
        a.jump_if(width, R1, op, -9, two).bind(two);
    }
    let (near, far) = (a.label(), a.label());
    a.jump(near).bind(near).jump_far(far).bind(far).call(Helper::KtimeGetNs).mov64(R1, 3).call(double);
    a.may_goto(out).bind(out).mov64(R0, 0).exit();
    a.begin(double).mov64(R0, R1).exit();
    let code = a.finish().unwrap();
    let log = verifier_log(&code, SYSCALL);
    let mut lines = std::collections::BTreeMap::new();
    for line in log.lines() {
        // `12: (b7) r1 = 5    ; R1_w=5`
        let place = line.split(": (").next().and_then(|at| at.parse::<usize>().ok());
        if let Some(at) = place {
            lines.entry(at).or_insert_with(|| line.replace("; frame1:", ";"));
        }
    }
    assert!(lines.len() > 190, "{log}");
    for (&at, line) in &lines {
        let program =
            rawbpf::insn::text::assemble("log", &format!("{line}\nexit\n")).unwrap_or_else(|e| panic!("{e}"));
        let slots = program.functions[0].code.insns();
        assert_eq!(slots[..slots.len() - 1], code.insns()[at..at + slots.len() - 1], "{line}");
    }
    println!("{} lines of the verifier", lines.len());
}

#[test]
fn may_goto_ends_an_endless_loop() {
    needs!(MAY_GOTO);
    let mut a = Asm::new();
    let out = a.label();
    a.mov64(R0, 0);
    let again = a.here();
    a.may_goto(out).mov64(R0, 1).jump(again).bind(out).exit();
    assert_eq!(run(&a.finish().unwrap(), &mut [0]), 1);
}

#[test]
fn jumps_far_and_near_reach_their_labels() {
    needs!(CPU_V4);
    // r0 = 1 if the context's word is 5, through a condition that has to be lengthened; else 2.
    for (word, expected) in [(5, 1), (6, 2)] {
        let mut a = Asm::new();
        let five = a.label();
        a.long_jumps(true).load(DW, R1, R1).mov64(R0, 0).jeq(R1, 5, five);
        for _ in 0..40_000 {
            a.mov64(R3, 1);
        }
        a.mov64(R0, 2).exit().bind(five).mov64(R0, 1).exit();
        let code = a.finish().unwrap();
        assert!(code.insns().len() > 40_000);
        assert_eq!(run(&code, &mut [word]), expected);
    }
}

#[test]
fn map_values_by_reference() {
    needs!(SYSCALL_PROGRAMS);
    let mut attr = [0u64; 20];
    attr[0] = pair(2, 4);
    attr[1] = pair(16, 1);
    let map = owned(bpf(MAP_CREATE, &mut attr).expect("an array"));
    let mut a = Asm::new();
    a.lddw(R2, map_value("v", 8)).load(DW, R1, R1).atomic(AtomicOp::Add, W64, R2, R1).mov64(R0, 0).exit();
    let code = a.finish().unwrap();
    // What a loader does with a reference.
    let mut bytes = code.to_bytes(Endian::NATIVE);
    let at = code.refs()[0].at.bytes() as usize;
    bytes[at + 4..at + 8].copy_from_slice(&map.as_raw_fd().to_ne_bytes());
    let prog = load_bytes(&code, &bytes, SYSCALL).unwrap_or_else(|log| panic!("{log}"));
    run_loaded(&prog, &mut [40]);
    run_loaded(&prog, &mut [2]);
    let (key, mut value) = (0u32, [0u64; 2]);
    let mut attr = [0u64; 20];
    attr[0] = pair(map.as_raw_fd() as u32, 0);
    attr[1] = &raw const key as u64;
    attr[2] = value.as_mut_ptr() as u64;
    bpf(MAP_LOOKUP, &mut attr).unwrap();
    assert_eq!(value, [0, 42]);
}

/// An Ethernet, IPv4 (with `options` words of options) and UDP packet.
fn udp_packet(options: u8, port: u16) -> Vec<u8> {
    let mut p = vec![2; 12];
    p.extend([0x08, 0x00, 0x45 + options, 0, 0, 40, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 198, 51, 100, 7]);
    p.extend(std::iter::repeat_n(1, usize::from(options) * 4));
    p.extend([0x12, 0x34]);
    p.extend(port.to_be_bytes());
    p.extend([0, 8, 0, 0]);
    p.extend([0; 18]);
    p
}

#[test]
fn a_packet_is_parsed_within_its_bounds() {
    needs!(NARROW_JUMPS);
    let mut a = Asm::named("no_dns");
    let pass = a.label();
    let packet = Bounds { end: R3, scratch: R0, short: pass };
    a.get(R2, R1 + xdp_md::DATA)
        .get(R3, R1 + xdp_md::DATA_END)
        .need(R2, eth::BYTES, packet)
        .get(R4, R2 + eth::PROTO)
        .jne(R4, ETH_P_IP, pass)
        .add64(R2, i32::from(eth::BYTES))
        .need(R2, ipv4::BYTES, packet)
        .get(R4, R2 + ipv4::SADDR)
        .jne32(R4, ipv4_addr(192, 0, 2, 1), pass)
        .get(R4, R2 + ipv4::PROTOCOL)
        .jne(R4, IPPROTO_UDP, pass)
        .ipv4_header_len(R4, R2)
        .add64(R2, R4)
        .need(R2, udp::BYTES, packet)
        .get(R4, R2 + udp::DEST)
        .jne(R4, 53, pass)
        .mov64(R0, XDP_DROP)
        .exit()
        .bind(pass)
        .mov64(R0, XDP_PASS)
        .exit();
    let prog = load(&a.finish().unwrap(), XDP).unwrap_or_else(|log| panic!("{log}"));
    let (drop, pass) = (XDP_DROP as u32, XDP_PASS as u32);
    assert_eq!(run_packet(&prog, &udp_packet(0, 53)), drop);
    assert_eq!(run_packet(&prog, &udp_packet(3, 53)), drop);
    assert_eq!(run_packet(&prog, &udp_packet(0, 54)), pass);
    assert_eq!(run_packet(&prog, &udp_packet(0, 53)[..36]), pass, "too short for UDP");
    let mut other = udp_packet(0, 53);
    other[29] = 9;
    assert_eq!(run_packet(&prog, &other), pass, "from another address");
}

#[test]
fn classic_packet_loads_are_in_machine_order() {
    require!(ROOT);
    // r0 = EtherType + byte 23 (the protocol), one by a fixed offset and one by a register.
    let mut a = Asm::new();
    a.mov64(R6, R1)
        .load_packet(Narrow::H, 12)
        .mov64(R7, R0)
        .mov64(R8, 14)
        .load_packet_at(Narrow::B, R8, 9)
        .add64(R0, R7)
        .exit();
    let prog = load(&a.finish().unwrap(), SCHED_CLS).unwrap_or_else(|log| panic!("{log}"));
    assert_eq!(run_packet(&prog, &udp_packet(0, 53)), 0x0800 + 17);
}
