//! The BTF of a module, moved from its distilled base to the kernel.

use super::vmlinux;
use rawbpf::btf::*;
use rawbpf::bytes::Endian;
use std::sync::Arc;

/// A distilled base and what a module has on top of it: `struct mine { struct sk_buff *skb; <held> in; }`.
fn module(held: &str, held_size: u32) -> Result<Btf, BtfError> {
    let mut base = BtfBuilder::with_endian(vmlinux().map_or(Endian::NATIVE, Btf::endian));
    let int = base.int("int", 4, IntEncoding::SIGNED);
    let skb = base.composite(false, "sk_buff", 1, &[]); // grown since: only pointed to
    let held = base.composite(false, held, held_size, &[]);
    let state = base.add("tcp_ca_state", Def::Enum(Values { size: 4, signed: false, values: vec![] }));
    let fwd = base.add("task_struct", Def::Fwd(FwdKind::Struct));
    let base = Arc::new(Btf::parse(base.to_bytes()?)?);
    let mut own = BtfBuilder::split(&base);
    let ptr = own.ptr(skb);
    let task = own.ptr(fwd);
    let list = own.array(held, int, 2);
    let members = [
        NewMember::at("skb", ptr, 0),
        NewMember::at("state", state, 64),
        NewMember::at("task", task, 128),
        NewMember::at("in", list, 192),
    ];
    own.composite(false, "mine", 24 + 2 * held_size, &members);
    // A name that only the distilled base's strings have.
    let name = base.ty(skb)?.name.offset();
    own.push(name, Def::Typedef(skb));
    Btf::parse_split(own.to_bytes()?, base)
}

fn on_vmlinux(module: &Btf) -> Option<Result<Btf, BtfError>> {
    let base = Arc::new(Btf::parse(vmlinux()?.bytes()).expect("the kernel's BTF parses"));
    Some(module.relocate(&base))
}

#[test]
fn references_lead_to_the_kernels_types() {
    let Some(vmlinux) = vmlinux() else { return };
    let size = |name: &str| {
        vmlinux.size_of(vmlinux.find(name, BtfKind::Struct).expect("it is there")).expect("sized")
    };
    let module = module("list_head", size("list_head")).expect("small");
    let Some(moved) = on_vmlinux(&module) else { return };
    let moved = moved.expect("every type has a counterpart");
    moved.check().expect("every reference leads somewhere");
    let mine = moved.find("mine", BtfKind::Struct).expect("it is there");
    assert_eq!(mine.0, vmlinux.type_count() + 3);
    let c = dump_c(&moved, &CDump { roots: vec![mine], ..CDump::default() }).expect("it can be written");
    let text = "struct mine {\n\tstruct sk_buff *skb;\n\tenum tcp_ca_state state;\n\tstruct task_struct *task;\n\tstruct list_head in[2];\n};";
    assert!(c.contains(text), "{c}");
    assert!(c.contains("TCP_CA_Open"), "the kernel's enumeration has names: {c}");
    let all = dump_c(&moved, &CDump::default()).expect("base and module can be written");
    assert!(all.contains(text) && all.contains("struct task_struct {"));
    assert_eq!(moved.field(mine, "in[1].prev").map(|f| f.bit_offset), Ok(192 + 128 + 64));
    assert!(moved.find_all("sk_buff", BtfKind::Typedef).is_ok_and(|found| found.len() == 1));
}

#[test]
fn a_struct_held_by_value_must_not_have_changed() {
    let grown = module("list_head", 8).expect("small");
    let Some(moved) = on_vmlinux(&grown) else { return };
    let e = moved.expect_err("it is 16 bytes long").to_string();
    assert_eq!(
        e,
        "type 3 (`list_head`) of the distilled base cannot be found in the kernel's BTF: the kernel's type of this name has another size or encoding"
    );
    let gone = module("no_such_struct", 8).expect("small");
    let e = on_vmlinux(&gone).expect("vmlinux is there").expect_err("it is not there").to_string();
    assert!(e.ends_with("the kernel has no type of this name and kind"), "{e}");
}

#[test]
fn what_is_not_split_cannot_be_moved() {
    let Some(vmlinux) = vmlinux() else { return };
    assert!(matches!(on_vmlinux(vmlinux), Some(Err(BtfError::Relocate { .. }))));
}
