//! What an object is made of, as its author says it: types, and maps of them.

use crate::btf::TypeId;
use crate::insn::Layout;
use crate::sys::map::flags;
use crate::uapi::MapType;

/// A type of keys, values, variables and arguments.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Ty {
    Void,
    U8,
    U16,
    U32,
    U64,
    I8,
    I16,
    I32,
    I64,
    Bool,
    /// A pointer; 8 bytes.
    Ptr(Box<Ty>),
    /// So many elements of a type, one after the other.
    Array(Box<Ty>, u32),
    /// A struct: its name and its members. Members are aligned as in C.
    Struct(String, Vec<(String, Ty)>),
    /// A struct of the kernel: see [`insn::layout`](crate::insn::layout).
    Kernel(&'static Layout),
}

impl Ty {
    /// An array.
    pub fn array(elem: Ty, len: u32) -> Ty {
        Ty::Array(Box::new(elem), len)
    }

    /// A struct.
    pub fn structure(name: &str, members: &[(&str, Ty)]) -> Ty {
        Ty::Struct(name.into(), members.iter().map(|(n, t)| (n.to_string(), t.clone())).collect())
    }

    /// A pointer to a struct of the kernel by its C name, such as a program's context: `xdp_md`, `__sk_buff`.
    /// One that [`insn::layout`](crate::insn::layout) does not know has no members.
    ///
    /// ```
    /// use rawbpf::elf::Ty;
    /// assert_eq!(Ty::pointer_to("xdp_md"), Ty::Ptr(Box::new(Ty::Kernel(rawbpf::insn::layout("xdp_md").unwrap()))));
    /// assert_eq!(Ty::pointer_to("bpf_dynptr"), Ty::Ptr(Box::new(Ty::structure("bpf_dynptr", &[]))));
    /// ```
    pub fn pointer_to(name: &str) -> Ty {
        let known = crate::insn::layout(name).map(Ty::Kernel);
        Ty::Ptr(Box::new(known.unwrap_or_else(|| Ty::structure(name, &[]))))
    }

    /// Bytes of a value.
    pub fn size(&self) -> u32 {
        match self {
            Ty::Void => 0,
            Ty::U8 | Ty::I8 | Ty::Bool => 1,
            Ty::U16 | Ty::I16 => 2,
            Ty::U32 | Ty::I32 => 4,
            Ty::U64 | Ty::I64 | Ty::Ptr(_) => 8,
            Ty::Array(elem, len) => elem.size().saturating_mul(*len),
            Ty::Struct(_, members) => layout(members).1,
            Ty::Kernel(layout) => u32::try_from(layout.bytes).unwrap_or(0),
        }
    }

    fn align(&self) -> u32 {
        match self {
            Ty::Array(elem, _) => elem.align(),
            Ty::Struct(_, members) => members.iter().map(|(_, ty)| ty.align()).max().unwrap_or(1),
            Ty::Kernel(_) => 8,
            other => other.size().max(1),
        }
    }
}

/// Where C puts the members of a struct, and how long it makes the struct, in bytes.
pub(super) fn layout(members: &[(String, Ty)]) -> (Vec<u32>, u32) {
    let mut end = 0u32;
    let mut offsets = Vec::new();
    for (_, ty) in members {
        let at = end.next_multiple_of(ty.align());
        offsets.push(at);
        end = at.saturating_add(ty.size());
    }
    let align = members.iter().map(|(_, ty)| ty.align()).max().unwrap_or(1);
    (offsets, end.next_multiple_of(align))
}

/// A type of keys or values: one to be made, or one that is there.
#[derive(Debug, Clone)]
pub(super) enum Elem {
    New(Ty),
    Known(TypeId),
}

/// A map of an object that is being built.
#[derive(Debug, Clone)]
pub struct MapDecl {
    pub(super) name: String,
    pub(super) map_type: MapType,
    pub(super) max_entries: u32,
    pub(super) key: Option<Elem>,
    pub(super) value: Option<Elem>,
    pub(super) sizes: (u32, u32),
    pub(super) flags: u32,
    pub(super) numa_node: u32,
    pub(super) extra: u64,
    pub(super) pinned: bool,
    pub(super) inner: Option<Box<MapDecl>>,
    pub(super) slots: Vec<(u32, String)>,
}

impl MapDecl {
    /// A map of this type, for at most so many elements (bytes, for a ring buffer).
    pub fn new(name: &str, map_type: MapType, max_entries: u32) -> MapDecl {
        MapDecl {
            name: name.into(),
            map_type,
            max_entries,
            key: None,
            value: None,
            sizes: (0, 0),
            flags: 0,
            numa_node: 0,
            extra: 0,
            pinned: false,
            inner: None,
            slots: Vec::new(),
        }
    }

    /// The type of its keys.
    pub fn key(mut self, ty: Ty) -> MapDecl {
        self.sizes.0 = ty.size();
        self.key = Some(Elem::New(ty));
        self
    }

    /// The type of its values.
    pub fn value(mut self, ty: Ty) -> MapDecl {
        self.sizes.1 = ty.size();
        self.value = Some(Elem::New(ty));
        self
    }

    /// Bytes of its keys and values, for maps whose elements have no type.
    pub fn sizes(mut self, key: u32, value: u32) -> MapDecl {
        self.sizes = (key, value);
        self
    }

    /// `BPF_F_*`, see [`sys::map::flags`](crate::sys::map::flags).
    pub fn flags(mut self, flags: u32) -> MapDecl {
        self.flags = flags;
        self
    }

    /// The NUMA node of its memory; also sets `BPF_F_NUMA_NODE`.
    pub fn numa_node(mut self, node: u32) -> MapDecl {
        self.numa_node = node;
        self.flags |= flags::NUMA_NODE;
        self
    }

    /// `map_extra`: hash functions of a bloom filter, address of an arena.
    pub fn extra(mut self, extra: u64) -> MapDecl {
        self.extra = extra;
        self
    }

    /// Pins it under its name and shares what is pinned there (`LIBBPF_PIN_BY_NAME`).
    pub fn pin_by_name(mut self) -> MapDecl {
        self.pinned = true;
        self
    }

    /// For a map of maps: what its maps look like.
    pub fn inner(mut self, inner: MapDecl) -> MapDecl {
        self.sizes.1 = 4;
        self.inner = Some(Box::new(inner));
        self
    }

    /// For a program array or a map of maps: the program or map of this name is at this index from the
    /// start.
    pub fn slot(mut self, index: u32, target: &str) -> MapDecl {
        self.slots.push((index, target.into()));
        self
    }
}
