//! Operands that only a program as a whole gives a meaning: labels, functions, names.

use crate::insn::{Callee, Helper, Imm64};

/// A place in a program to jump to: a number, made by [`Asm::label`](super::Asm::label).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Label {
    pub(super) owner: u32,
    pub(super) ix: u32,
}

/// A function of a program, to call or to hand to a helper: a number, made by
/// [`Asm::func`](super::Asm::func).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Func {
    pub(super) owner: u32,
    pub(super) ix: u32,
}

/// What [`Asm::lddw`](super::Asm::lddw) loads: a `u64`, or what [`map`], [`map_value`], [`ksym`],
/// [`external`] and a [`Func`] stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wide(pub(super) WideKind);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum WideKind {
    Imm(Imm64),
    Map(String),
    MapValue(String, u32),
    Ksym(String),
    Func(Func),
    External(String),
}

/// A map by its name; the loader puts its fd there.
#[doc(alias = "BPF_LD_MAP_FD")]
pub fn map(name: impl Into<String>) -> Wide {
    Wide(WideKind::Map(name.into()))
}

/// An address in the only value of an array map, `off` bytes from its start: a global variable. Since
/// Linux 5.2.
#[doc(alias = "BPF_LD_MAP_VALUE")]
pub fn map_value(name: impl Into<String>, off: u32) -> Wide {
    Wide(WideKind::MapValue(name.into(), off))
}

/// The address of a kernel variable, by its name in the kernel's BTF. Since Linux 5.10.
#[doc(alias = "BPF_PSEUDO_BTF_ID")]
pub fn ksym(name: impl Into<String>) -> Wide {
    Wide(WideKind::Ksym(name.into()))
}

impl From<u64> for Wide {
    fn from(value: u64) -> Wide {
        Wide(WideKind::Imm(Imm64::Value(value)))
    }
}

impl From<Imm64> for Wide {
    fn from(imm: Imm64) -> Wide {
        Wide(WideKind::Imm(imm))
    }
}

impl From<Func> for Wide {
    fn from(func: Func) -> Wide {
        Wide(WideKind::Func(func))
    }
}

impl From<External> for Wide {
    fn from(function: External) -> Wide {
        Wide(WideKind::External(function.0))
    }
}

/// What [`Asm::call`](super::Asm::call) calls: a [`Helper`], a [`Func`], a [`kfunc`], or an
/// [`external`] function.
#[derive(Clone, Debug, PartialEq, Eq)]
#[doc(alias = "Target")]
pub struct CallTarget(pub(super) TargetKind);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TargetKind {
    Callee(Callee),
    Func(Func),
    Kfunc(String),
    External(String),
}

/// A function of the kernel, by its name in the kernel's BTF. Since Linux 5.13.
#[doc(alias = "BPF_PSEUDO_KFUNC_CALL")]
pub fn kfunc(name: impl Into<String>) -> CallTarget {
    CallTarget(TargetKind::Kfunc(name.into()))
}

/// A function that another part of the object brings: the loader appends it and sets the distance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct External(String);

/// Names a function that is not part of this `Asm`, to call it or to load its address.
pub fn external(name: impl Into<String>) -> External {
    External(name.into())
}

impl From<Helper> for CallTarget {
    fn from(helper: Helper) -> CallTarget {
        CallTarget(TargetKind::Callee(Callee::Helper(helper)))
    }
}

impl From<Callee> for CallTarget {
    fn from(callee: Callee) -> CallTarget {
        CallTarget(TargetKind::Callee(callee))
    }
}

impl From<Func> for CallTarget {
    fn from(func: Func) -> CallTarget {
        CallTarget(TargetKind::Func(func))
    }
}

impl From<External> for CallTarget {
    fn from(function: External) -> CallTarget {
        CallTarget(TargetKind::External(function.0))
    }
}
