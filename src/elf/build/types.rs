//! The types of an object that is being built, as BTF.

use std::collections::HashMap;

use super::decl::{Elem, MapDecl, Ty, layout};
use super::{Lines, Object};
use crate::btf::{
    BtfBuilder, BtfExtBuilder, FuncInfo, FuncLinkage, IntEncoding, LineInfo, NewMember, StrOff, TypeId,
};
use crate::bytes::Endian;
use crate::elf::{Binding, MapDef, MapOrigin};
use crate::insn::Layout;
use crate::uapi::{MapType, ProgType};

/// The BTF of the object, and the types that are in it already.
pub(super) struct Types {
    pub(super) btf: BtfBuilder,
    known: HashMap<Ty, TypeId>,
    pointers: HashMap<TypeId, TypeId>,
    /// The prototypes of functions that have one of their own, by name.
    pub(super) protos: HashMap<String, TypeId>,
    /// Whether programs take the contexts of their types; else they take a `void *`.
    pub(super) contexts: bool,
}

/// The struct that a type of program has as its context, by its name in C.
fn context_of(prog_type: ProgType) -> Option<&'static str> {
    Some(match prog_type {
        ProgType::Xdp => "xdp_md",
        ProgType::SocketFilter
        | ProgType::SchedCls
        | ProgType::SchedAct
        | ProgType::CgroupSkb
        | ProgType::LwtIn
        | ProgType::LwtOut
        | ProgType::LwtXmit
        | ProgType::LwtSeg6local
        | ProgType::SkSkb
        | ProgType::FlowDissector => "__sk_buff",
        ProgType::CgroupSock => "bpf_sock",
        ProgType::CgroupSockAddr => "bpf_sock_addr",
        ProgType::SockOps => "bpf_sock_ops",
        ProgType::SkMsg => "sk_msg_md",
        ProgType::SkLookup => "bpf_sk_lookup",
        ProgType::SkReuseport => "sk_reuseport_md",
        ProgType::CgroupDevice => "bpf_cgroup_dev_ctx",
        ProgType::CgroupSysctl => "bpf_sysctl",
        ProgType::CgroupSockopt => "bpf_sockopt",
        ProgType::Kprobe => "pt_regs",
        ProgType::PerfEvent => "bpf_perf_event_data",
        _ => return None,
    })
}

impl Types {
    pub(super) fn new(endian: Endian) -> Types {
        Types {
            btf: BtfBuilder::with_endian(endian),
            known: HashMap::new(),
            pointers: HashMap::new(),
            protos: HashMap::new(),
            contexts: false,
        }
    }

    /// A pointer to a type; the same one each time.
    pub(super) fn pointer(&mut self, to: TypeId) -> TypeId {
        if let Some(id) = self.pointers.get(&to) {
            return *id;
        }
        let id = self.btf.ptr(to);
        self.pointers.insert(to, id);
        id
    }

    fn elem(&mut self, elem: &Elem) -> TypeId {
        match elem {
            Elem::New(ty) => self.id(ty),
            Elem::Known(id) => *id,
        }
    }

    pub(super) fn id(&mut self, ty: &Ty) -> TypeId {
        if let Some(id) = self.known.get(ty) {
            return *id;
        }
        let id = match ty {
            Ty::Void => return TypeId(0),
            Ty::U8 => self.btf.int("unsigned char", 1, IntEncoding::UNSIGNED),
            Ty::U16 => self.btf.int("unsigned short", 2, IntEncoding::UNSIGNED),
            Ty::U32 => self.btf.int("unsigned int", 4, IntEncoding::UNSIGNED),
            Ty::U64 => self.btf.int("unsigned long long", 8, IntEncoding::UNSIGNED),
            Ty::I8 => self.btf.int("signed char", 1, IntEncoding::SIGNED),
            Ty::I16 => self.btf.int("short", 2, IntEncoding::SIGNED),
            Ty::I32 => self.btf.int("int", 4, IntEncoding::SIGNED),
            Ty::I64 => self.btf.int("long long", 8, IntEncoding::SIGNED),
            Ty::Bool => self.btf.int("_Bool", 1, IntEncoding::BOOL),
            Ty::Ptr(to) => {
                let to = self.id(to);
                self.pointer(to)
            }
            Ty::Array(elem, len) => self.array(elem, *len),
            Ty::Struct(name, members) => {
                let (offsets, size) = layout(members);
                let ids: Vec<TypeId> = members.iter().map(|(_, ty)| self.id(ty)).collect();
                let list: Vec<NewMember> = members
                    .iter()
                    .zip(ids)
                    .zip(offsets)
                    .map(|(((name, _), id), at)| NewMember::at(name, id, at * 8))
                    .collect();
                self.btf.composite(false, name, size, &list)
            }
            Ty::Kernel(layout) => self.kernel(layout),
        };
        self.known.insert(ty.clone(), id);
        id
    }

    /// A struct of the kernel: its fields are integers, and what is longer arrays of them.
    fn kernel(&mut self, layout: &Layout) -> TypeId {
        let mut fields = layout.fields.to_vec();
        fields.sort_by_key(|&(_, off, _)| off);
        let mut list = Vec::new();
        for (name, off, bytes) in fields {
            let ty = match bytes {
                1 => Ty::U8,
                2 => Ty::U16,
                4 => Ty::U32,
                8 => Ty::U64,
                n if n % 4 == 0 => Ty::array(Ty::U32, (n / 4) as u32),
                n => Ty::array(Ty::U8, n as u32),
            };
            let id = self.id(&ty);
            list.push(NewMember::at(name, id, u32::try_from(off).unwrap_or(0) * 8));
        }
        self.btf.composite(false, layout.name, u32::try_from(layout.bytes).unwrap_or(0), &list)
    }

    /// What a program of a type takes and returns: a pointer to its context, and an `int`.
    fn entry(&mut self, prog_type: Option<ProgType>) -> TypeId {
        let context = prog_type.filter(|_| self.contexts).and_then(context_of);
        let context = context.map_or_else(|| Ty::Ptr(Box::new(Ty::Void)), Ty::pointer_to);
        let (int, context) = (self.id(&Ty::I32), self.id(&context));
        self.btf.func_proto(int, &[("ctx", context)])
    }

    fn array(&mut self, elem: &Ty, len: u32) -> TypeId {
        let (elem, index) = (self.id(elem), self.id(&Ty::U32));
        self.btf.array(elem, index, len)
    }

    /// `__uint(name, n)`: `int (*name)[n]`.
    fn number(&mut self, n: u32) -> TypeId {
        self.id(&Ty::Ptr(Box::new(Ty::array(Ty::I32, n))))
    }

    /// The struct that declares a map, and its size in bytes.
    pub(super) fn declaration(&mut self, decl: &MapDecl) -> (TypeId, u32) {
        let mut members: Vec<(&str, TypeId)> = vec![("type", self.number(decl.map_type.0))];
        if decl.max_entries > 0 {
            members.push(("max_entries", self.number(decl.max_entries)));
        }
        if decl.flags > 0 {
            members.push(("map_flags", self.number(decl.flags)));
        }
        if decl.numa_node > 0 {
            members.push(("numa_node", self.number(decl.numa_node)));
        }
        if decl.pinned {
            members.push(("pinning", self.number(1)));
        }
        if decl.extra > 0 {
            let value = [("value", i128::from(decl.extra))];
            let id = match decl.extra <= u64::from(u32::MAX) {
                true => self.btf.enumeration("", 4, &value),
                false => self.btf.enumeration("", 8, &value),
            };
            members.push(("map_extra", id));
        }
        for (field, size_field, ty, size) in
            [("key", "key_size", &decl.key, decl.sizes.0), ("value", "value_size", &decl.value, decl.sizes.1)]
        {
            match ty {
                Some(ty) => {
                    let to = self.elem(ty);
                    members.push((field, self.pointer(to)));
                }
                None if size > 0 => members.push((size_field, self.number(size))),
                None => {}
            }
        }
        if let Some(last) = self.values(decl) {
            members.push(("values", last));
        }
        // Each member is a pointer, but for `values`, an array of them whose length the slots say.
        let slots = decl.slots.iter().map(|(index, _)| index + 1).max().unwrap_or(0);
        let plain = members.iter().filter(|(name, _)| *name != "values").count() as u32 * 8;
        let list: Vec<NewMember> = members
            .iter()
            .enumerate()
            .map(|(i, (name, id))| NewMember::at(name, *id, i as u32 * 64))
            .collect();
        let ty = self.btf.composite(false, "", plain, &list);
        (ty, plain + slots * 8)
    }

    /// `__array(values, T)`: `T *values[]`.
    fn values(&mut self, decl: &MapDecl) -> Option<TypeId> {
        let pointee = match (&decl.inner, decl.map_type) {
            (Some(inner), _) => self.declaration(inner).0,
            (None, MapType::ProgArray) if !decl.slots.is_empty() => self.btf.func_proto(TypeId(0), &[]),
            _ => return None,
        };
        let pointer = self.btf.ptr(pointee);
        let index = self.id(&Ty::U32);
        Some(self.btf.array(pointer, index, 0))
    }

    pub(super) fn definition(&mut self, decl: &MapDecl) -> MapDef {
        let mut def = MapDef::new(&decl.name, MapOrigin::Declared);
        def.map_type = decl.map_type;
        (def.key_size, def.value_size) = decl.sizes;
        def.max_entries = decl.max_entries;
        def.flags = decl.flags;
        def.numa_node = decl.numa_node;
        def.extra = decl.extra;
        def.pin_by_name = decl.pinned;
        def.key_type = decl.key.as_ref().map(|ty| self.elem(ty));
        def.value_type = decl.value.as_ref().map(|ty| self.elem(ty));
        def.inner = decl.inner.as_ref().map(|inner| {
            let mut inner = self.definition(inner);
            inner.name = format!("{}.inner", decl.name);
            Box::new(inner)
        });
        def
    }

    /// A type for each function, and the records that tie instructions to functions and lines.
    pub(super) fn functions(&mut self, object: &Object, lines: &[Lines]) -> BtfExtBuilder {
        let mut ext = BtfExtBuilder::default();
        let long = self.id(&Ty::U64);
        // What an assembled function takes is not known; five numbers are the most that it can.
        let params: Vec<(String, TypeId)> = (1..=5).map(|n| (format!("arg{n}"), long)).collect();
        let params: Vec<(&str, TypeId)> = params.iter().map(|(n, t)| (n.as_str(), *t)).collect();
        let callee = self.btf.func_proto(long, &params);
        let mut entries: HashMap<Option<ProgType>, TypeId> = HashMap::new();
        let mut programs = Vec::new();
        for p in &object.programs {
            let entry = match entries.get(&p.prog_type) {
                Some(entry) => *entry,
                None => self.entry(p.prog_type),
            };
            entries.insert(p.prog_type, entry);
            programs.push((&p.func, entry, true));
        }
        let others = object.functions.iter().map(|f| (f, callee, false));
        for (func, default, entry) in programs.into_iter().chain(others) {
            let own = self.protos.get(&func.name).copied();
            // Only of a function with types of its own can the verifier make sense by itself.
            let visible = func.binding != Binding::Local && !func.hidden;
            let global = entry || (own.is_some() && visible);
            let linkage = if global { FuncLinkage::Global } else { FuncLinkage::Static };
            let type_id = self.btf.func(&func.name, own.unwrap_or(default), linkage);
            let info = FuncInfo { insn_off: func.offset.0 * 8, type_id };
            push(&mut ext.func_info, self.btf.string(&func.section), info);
        }
        let mut lines: Vec<&Lines> = lines.iter().collect();
        lines.sort_by_key(|l| l.start);
        for piece in lines {
            let section = self.btf.string(&piece.section);
            for (insn_off, file, text, line_col) in &piece.lines {
                let (file_name, line) = (self.btf.string(file), self.btf.string(text));
                let info = LineInfo { insn_off: *insn_off, file_name, line, line_col: *line_col };
                push(&mut ext.line_info, section, info);
            }
        }
        ext
    }
}

/// Appends a record to the list of its section.
pub(super) fn push<R>(list: &mut Vec<(StrOff, Vec<R>)>, section: StrOff, record: R) {
    match list.iter_mut().find(|(name, _)| *name == section) {
        Some((_, records)) => records.push(record),
        None => list.push((section, vec![record])),
    }
}
