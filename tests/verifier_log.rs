//! Logs of real kernels, read without the program that they speak of: as somebody might paste them.

use std::fs;
use std::path::PathBuf;

use rawbpf::verifier::{CodeLines, Diagnosis, Line, Path, RegValue, StateSlot};

fn logs() -> Vec<(String, String)> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/logs");
    let mut out: Vec<(String, String)> = fs::read_dir(dir)
        .expect("tests/logs is there")
        .map(|f| f.expect("an entry").path())
        .map(|p| {
            let name = p.file_name().expect("a name").to_string_lossy().into_owned();
            (name, fs::read_to_string(&p).expect("the log is read"))
        })
        .collect();
    out.sort();
    out
}

fn rule(log: &str) -> Option<&'static str> {
    Diagnosis::new(&CodeLines::default(), log, None, None).rule.map(|r| r.id)
}

#[test]
fn the_rule_is_told_by_the_log_alone() {
    for (name, log) in logs() {
        let wanted = match name.split(['-', '.']).find(|w| w.starts_with(|c: char| c.is_alphabetic())) {
            Some("null_spilled" | "null_lookup") => "null-pointer",
            Some("resource_ringbuf" | "kfunc_leak") => "not-released",
            Some("packet_short") => "packet-bounds",
            Some("call_stack_pointer") => "returns-stack",
            Some("issue_bcc_2391") => "size-negative",
            Some("map_index" | "map_index_negative") => "offset-unbounded",
            Some("loop_endless") => "loop-endless",
            Some("helper_callback_value") => "callback-result",
            Some("asm_unreachable") => "unreachable",
            other => panic!("{name}: {other:?} is not in the list"),
        };
        assert_eq!(rule(&log), Some(wanted), "{name}");
    }
}

/// Old kernels fill their buffer and stop: what is there is read as far as it goes. Nothing panics.
#[test]
fn every_beginning_of_every_log_is_read() {
    for (_, log) in logs() {
        for end in (0..log.len()).filter(|i| log.is_char_boundary(*i)) {
            let cut = &log[..end];
            let _ = Diagnosis::new(&CodeLines::default(), cut, Some(cut), None).to_string();
        }
    }
}

#[test]
fn hostile_lines_are_messages() {
    let lines = [
        "",
        ":",
        "; ",
        "; @",
        "; @ :",
        "from",
        "from to",
        "from 1 to :",
        "from 99999999999 to 3: R0=1",
        "7:",
        "7: (",
        "7: ()",
        "7: (61",
        "7: (61)",
        "7: (61) ",
        "7: (61) ;",
        "99999999999999: (61) r0 = 1",
        "R",
        "R=",
        "R99=scalar()",
        "R1=",
        "R1=(",
        "R1=scalar(smin=,smax==,=,umax=0xfffffffffffffffff)",
        "R1=fp-99999999999999999999",
        "fp-=0",
        "frame:",
        "frame99999999999: R1=1",
        "R2=scalar(smin=9223372036854775807,smax=-9223372036854775808)",
        "processed ",
        "processed x insns",
        "\u{1b}[31m\u{0}é💥: (61) r0 = 1",
        "R0 invalid mem access '",
        "invalid access to map value, value_size=-1 off=9223372036854775807 size=9223372036854775807",
        "invalid func unknown#-1",
        "Unreleased reference id=1 alloc_insn=4294967295",
        "unreachable insn 4294967295",
        "back-edge from insn 4294967295 to 0",
        "R255 !read_ok",
        "R11 invalid mem access 'scalar'",
        "cannot pass map_type 4294967296 into func x",
    ];
    for line in lines {
        let _ = format!("{:?}", Line::parse(line));
        for log in [
            line.to_string(),
            format!("0: (95) exit\n{line}"),
            format!("{line}\n0: (95) exit\n{line}\n{line}"),
        ] {
            let _ = Diagnosis::new(&CodeLines::default(), &log, Some(&log), Some(line)).to_string();
        }
    }
}

#[test]
fn values_of_all_kernels_read_the_same() {
    let same = [
        (
            "a number from 0 to 255",
            [
                "inv(id=0,umax_value=255,var_off=(0x0; 0xff))",
                "scalar(smin=smin32=0,smax=umax=smax32=umax32=255,var_off=(0x0; 0xff))",
            ],
        ),
        ("any number", ["inv(id=0)", "scalar()"]),
        ("the number -4", ["inv-4", "-4"]),
        (
            "a map's value of 8 bytes or NULL",
            ["map_value_or_null(id=1,off=0,ks=4,vs=8,imm=0)", "map_value_or_null(id=1,map=counts,ks=4,vs=8)"],
        ),
        ("the packet + 14", ["pkt(id=0,off=14,r=14,imm=0)", "pkt(r=14,imm=14)"]),
        ("the stack - 16", ["fp-16", "fp-16"]),
        ("a number up to 15, maybe negative", ["inv(id=0,smax_value=15)", "scalar(smax=15)"]),
        (
            "a pointer to struct task_struct",
            ["ptr_task_struct(id=0,off=0,imm=0)", "trusted_ptr_task_struct()"],
        ),
    ];
    for (words, texts) in same {
        for text in texts {
            assert_eq!(RegValue::new(text).to_string(), words, "{text}");
        }
    }
}

/// At level 2 the log keeps what the verifier took back; the way to the fault is the same.
#[test]
fn a_log_of_level_2_says_what_level_1_does_not() {
    let read = |name: &str| logs().into_iter().find(|(n, _)| n == name).expect("it is there").1;
    let (brief, full) = (read("5.10-resource_ringbuf.log"), read("5.10-resource_ringbuf.level2.log"));
    let mut path = Path::parse(&brief);
    assert!(path.is_terse());
    let before: Vec<u32> = path.steps.iter().map(|s| s.at).collect();
    assert_eq!(before, [0, 1, 3, 4, 5, 6, 7, 8, 13, 14]);
    assert_eq!(path.value_before(2, StateSlot::Reg(1)).map(|v| v.kind().to_string()), None);
    let full = Path::parse(&full);
    path.enrich(full);
    assert_eq!(path.value_before(2, StateSlot::Reg(1)).map(|v| v.kind().to_string()), Some("map_ptr".into()));
    assert_eq!(path.value_before(5, StateSlot::Reg(0)).map(|v| v.to_string()), Some("memory or NULL".into()));
}
