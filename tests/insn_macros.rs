//! docs/INSN.md: every macro of the kernel that makes an instruction, and our method for it.
//!
//! The rows are code here: each method is called, and what it wrote is disassembled. The document has to
//! have exactly these rows.

use rawbpf::insn::prelude::*;

/// The macros of `include/linux/filter.h` and `tools/include/linux/filter.h` up to Linux 7.3 that make
/// instructions, in their order there.
const MACROS: &[&str] = &[
    "BPF_ALU64_REG_OFF",
    "BPF_ALU64_REG",
    "BPF_ALU32_REG_OFF",
    "BPF_ALU32_REG",
    "BPF_ALU64_IMM_OFF",
    "BPF_ALU64_IMM",
    "BPF_ALU32_IMM_OFF",
    "BPF_ALU32_IMM",
    "BPF_ENDIAN",
    "BPF_BSWAP",
    "BPF_MOV64_REG",
    "BPF_MOV32_REG",
    "BPF_MOV64_PERCPU_REG",
    "BPF_MOV64_IMM",
    "BPF_MOV32_IMM",
    "BPF_MOVSX64_REG",
    "BPF_MOVSX32_REG",
    "BPF_ZEXT_REG",
    "BPF_LD_IMM64",
    "BPF_LD_IMM64_RAW",
    "BPF_LD_IMM64_RAW_FULL",
    "BPF_LD_MAP_FD",
    "BPF_LD_MAP_VALUE",
    "BPF_MOV64_RAW",
    "BPF_MOV32_RAW",
    "BPF_LD_ABS",
    "BPF_LD_IND",
    "BPF_LDX_MEM",
    "BPF_LDX_MEMSX",
    "BPF_STX_MEM",
    "BPF_ATOMIC_OP",
    "BPF_STX_XADD",
    "BPF_ST_MEM",
    "BPF_JMP_REG",
    "BPF_JMP_IMM",
    "BPF_JMP32_REG",
    "BPF_JMP32_IMM",
    "BPF_JMP_A",
    "BPF_JMP32_A",
    "BPF_CALL_REL",
    "BPF_CALL_KFUNC",
    "BPF_CALL_FUNC",
    "BPF_EMIT_CALL",
    "BPF_RAW_REG",
    "BPF_RAW_INSN",
    "BPF_EXIT_INSN",
    "BPF_ST_NOSPEC",
];

/// Those that only the kernel itself may use; the document says so of them.
const INTERNAL: &[&str] = &["BPF_MOV64_PERCPU_REG", "BPF_ZEXT_REG", "BPF_ST_NOSPEC"];

/// The rows of the document, by calling what they show: macro, method, text.
fn rows() -> Vec<(&'static str, String, String)> {
    let mut rows = Vec::new();
    macro_rules! row {
        ($c:literal, |$a:ident, $out:ident, $f:ident| $call:expr) => {
            let mut $a = Asm::new();
            let ($out, $f) = ($a.label(), $a.func("f"));
            let _ = ($out, $f, $call);
            $a.bind($out).exit().begin($f).exit();
            let code = $a.finish().unwrap_or_else(|e| panic!("{}: {e}", $c));
            let (insn, _) = Insn::decode(code.insns()).unwrap();
            rows.push(($c, stringify!($call).to_string(), insn.to_string()));
        };
    }
    row!("BPF_MOV64_REG(R1, R2)", |a, out, f| a.mov64(R1, R2));
    row!("BPF_MOV64_IMM(R1, 5)", |a, out, f| a.mov64(R1, 5));
    row!("BPF_MOV32_REG(R1, R2)", |a, out, f| a.mov32(R1, R2));
    row!("BPF_MOV32_IMM(R1, 5)", |a, out, f| a.mov32(R1, 5));
    row!("BPF_MOV64_RAW(BPF_X, R1, R2, 0)", |a, out, f| a.mov64(R1, R2));
    row!("BPF_MOV32_RAW(BPF_K, R1, 0, 5)", |a, out, f| a.mov32(R1, 5));
    row!("BPF_MOVSX64_REG(R1, R2, 8)", |a, out, f| a.movsx(SignExtend::S8To64, R1, R2));
    row!("BPF_MOVSX32_REG(R1, R2, 16)", |a, out, f| a.movsx(SignExtend::S16To32, R1, R2));
    row!("BPF_ALU64_REG(BPF_ADD, R1, R2)", |a, out, f| a.add64(R1, R2));
    row!("BPF_ALU64_IMM(BPF_LSH, R1, 3)", |a, out, f| a.lsh64(R1, 3));
    row!("BPF_ALU32_REG(BPF_XOR, R1, R2)", |a, out, f| a.xor32(R1, R2));
    row!("BPF_ALU32_IMM(BPF_AND, R1, 0xff)", |a, out, f| a.and32(R1, 0xff));
    row!("BPF_ALU64_REG_OFF(BPF_DIV, R1, R2, 1)", |a, out, f| a.sdiv64(R1, R2));
    row!("BPF_ALU64_IMM_OFF(BPF_MOD, R1, 7, 1)", |a, out, f| a.smod64(R1, 7));
    row!("BPF_ALU32_REG_OFF(BPF_DIV, R1, R2, 1)", |a, out, f| a.sdiv32(R1, R2));
    row!("BPF_ALU32_IMM_OFF(BPF_MOD, R1, 7, 1)", |a, out, f| a.smod32(R1, 7));
    row!("BPF_ALU64_IMM(BPF_NEG, R1, 0)", |a, out, f| a.neg64(R1));
    row!("BPF_ENDIAN(BPF_TO_BE, R1, 16)", |a, out, f| a.be16(R1));
    row!("BPF_ENDIAN(BPF_TO_LE, R1, 64)", |a, out, f| a.le64(R1));
    row!("BPF_BSWAP(R1, 32)", |a, out, f| a.bswap32(R1));
    row!("BPF_RAW_INSN(.., R1, R2, BPF_ADDR_SPACE_CAST, 1)", |a, out, f| a.addr_space_cast(
        Cast::ToKernel,
        R1,
        R2
    ));
    row!("BPF_LDX_MEM(BPF_W, R1, R2, 4)", |a, out, f| a.load(W, R1, R2 + 4));
    row!("BPF_LDX_MEMSX(BPF_B, R1, R2, 4)", |a, out, f| a.load_sx(Narrow::B, R1, R2 + 4));
    row!("BPF_STX_MEM(BPF_DW, R10, R1, -8)", |a, out, f| a.store(DW, R10 - 8, R1));
    row!("BPF_ST_MEM(BPF_W, R10, -4, 0)", |a, out, f| a.store(W, R10 - 4, 0));
    row!("BPF_STX_XADD(BPF_DW, R1, R2, 0)", |a, out, f| a.atomic(AtomicOp::Add, W64, R1, R2));
    row!("BPF_ATOMIC_OP(BPF_W, BPF_ADD | BPF_FETCH, R1, R2, 0)", |a, out, f| a.atomic(FetchAdd, W32, R1, R2));
    row!("BPF_ATOMIC_OP(BPF_DW, BPF_XCHG, R1, R2, 8)", |a, out, f| a.atomic(Xchg, W64, R1 + 8, R2));
    row!("BPF_ATOMIC_OP(BPF_DW, BPF_CMPXCHG, R1, R2, 8)", |a, out, f| a.atomic(CmpXchg, W64, R1 + 8, R2));
    row!("BPF_ATOMIC_OP(BPF_H, BPF_LOAD_ACQ, R1, R2, 0)", |a, out, f| a.load_acquire(H, R1, R2));
    row!("BPF_ATOMIC_OP(BPF_B, BPF_STORE_REL, R1, R2, 0)", |a, out, f| a.store_release(B, R1, R2));
    row!("BPF_LD_ABS(BPF_H, 12)", |a, out, f| a.load_packet(Narrow::H, 12));
    row!("BPF_LD_IND(BPF_B, R3, 9)", |a, out, f| a.load_packet_at(Narrow::B, R3, 9));
    row!("BPF_LD_IMM64(R1, 0x123456789a)", |a, out, f| a.lddw(R1, 0x123456789a));
    row!("BPF_LD_MAP_FD(R1, fd)", |a, out, f| a.lddw(R1, map("hits")));
    row!("BPF_LD_MAP_VALUE(R1, fd, 16)", |a, out, f| a.lddw(R1, map_value("data", 16)));
    row!("BPF_LD_IMM64_RAW(R1, BPF_PSEUDO_MAP_FD, 5)", |a, out, f| a.lddw(R1, Imm64::MapFd(5)));
    row!("BPF_LD_IMM64_RAW(R1, BPF_PSEUDO_MAP_IDX, 0)", |a, out, f| a.lddw(R1, Imm64::MapIdx(0)));
    row!("BPF_LD_IMM64_RAW_FULL(R1, BPF_PSEUDO_MAP_IDX_VALUE, 0, 0, 2, 8)", |a, out, f| a
        .lddw(R1, Imm64::MapIdxValue { ix: 2, off: 8 }));
    row!("BPF_LD_IMM64_RAW(R1, BPF_PSEUDO_BTF_ID, id)", |a, out, f| a.lddw(R1, ksym("bpf_prog_active")));
    row!("BPF_LD_IMM64_RAW(R1, BPF_PSEUDO_FUNC, off)", |a, out, f| a.lddw(R1, f));
    row!("BPF_JMP_A(off)", |a, out, f| a.jump(out));
    row!("BPF_JMP32_A(off)", |a, out, f| a.jump_far(out));
    row!("BPF_JMP_REG(BPF_JEQ, R1, R2, off)", |a, out, f| a.jeq(R1, R2, out));
    row!("BPF_JMP_IMM(BPF_JSGT, R1, 5, off)", |a, out, f| a.jsgt(R1, 5, out));
    row!("BPF_JMP32_REG(BPF_JLT, R1, R2, off)", |a, out, f| a.jlt32(R1, R2, out));
    row!("BPF_JMP32_IMM(BPF_JSET, R1, 8, off)", |a, out, f| a.jset32(R1, 8, out));
    row!("BPF_RAW_INSN(BPF_JMP | BPF_JCOND, 0, BPF_MAY_GOTO, off, 0)", |a, out, f| a.may_goto(out));
    row!("BPF_RAW_INSN(BPF_JMP | BPF_JA | BPF_X, R1, 0, 0, 0)", |a, out, f| a.jump_reg(R1));
    row!("BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem)", |a, out, f| a.call(Helper::MapLookupElem));
    row!("BPF_CALL_FUNC(BPF_FUNC_ktime_get_ns)", |a, out, f| a.call(Helper::KtimeGetNs));
    row!("BPF_CALL_REL(off)", |a, out, f| a.call(f));
    row!("BPF_CALL_KFUNC(0, id)", |a, out, f| a.call(kfunc("bpf_rcu_read_lock")));
    row!("BPF_RAW_INSN(BPF_JMP | BPF_CALL | BPF_X, R1, 0, 0, 0)", |a, out, f| a.call_reg(R1));
    row!("BPF_EXIT_INSN()", |a, out, f| a.exit());
    row!("BPF_RAW_INSN(0xb7, 1, 0, 0, 5)", |a, out, f| a.raw(RawInsn {
        opcode: 0xb7,
        dst: 1,
        src: 0,
        off: 0,
        imm: 5
    }));
    let insn = Insn::Alu { width: W64, op: AluOp::Add, dst: R1, src: R2.into() }.encode()[0];
    row!("BPF_RAW_REG(insn, R3, R4)", |a, out, f| a.raw(RawInsn { dst: 3, src: 4, ..insn }));
    rows
}

/// The table of the document.
fn table() -> String {
    let mut table = String::from("| kernel macro | method | instruction |\n| --- | --- | --- |\n");
    for (c, method, text) in rows() {
        // Line breaks of the source are none of the table's.
        let method = method.split_whitespace().collect::<Vec<_>>().join(" ").replace("a .", "a.");
        let method = method.strip_prefix("a.").unwrap_or(&method);
        table.push_str(&format!("| `{}` | `{}` | `{text}` |\n", c.replace('|', "\\|"), method));
    }
    table
}

#[test]
fn the_document_has_every_macro_and_says_the_truth() {
    let document = include_str!("../docs/INSN.md");
    let table = table();
    assert!(document.contains(&table), "docs/INSN.md should have this table:\n{table}");
    for name in MACROS {
        let row = |line: &&str| line.contains(&format!("`{name}("));
        assert!(document.lines().any(|l| row(&l)), "docs/INSN.md does not mention {name}");
        let shown = rows().iter().any(|(c, ..)| c.starts_with(&format!("{name}(")));
        assert!(shown != INTERNAL.contains(name), "{name}");
    }
}

/// Searching the documentation for a macro's name finds a method.
#[test]
fn every_macro_is_an_alias_in_the_documentation() {
    crate::gate::require!(crate::gate::HOST);
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/insn");
    let mut sources = String::new();
    for dir in [root.clone(), root.join("asm")] {
        let entries = std::fs::read_dir(dir).expect("the sources are here");
        for entry in entries.flatten().filter(|e| e.path().is_file()) {
            sources.push_str(&std::fs::read_to_string(entry.path()).unwrap());
        }
    }
    let missing: Vec<_> =
        MACROS.iter().filter(|m| !INTERNAL.contains(m) && !sources.contains(&format!("\"{m}\""))).collect();
    assert!(missing.is_empty(), "no doc(alias) for {missing:?}");
}
