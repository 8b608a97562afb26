//! What the kernel has for the object's externs: values of its configuration, addresses, variables and
//! functions.
//!
//! A strong extern must be found, a weak one (`__weak`) may be missing: its value or address is then 0,
//! and a call of it is poisoned. Where libbpf treats a weak extern as fatal (an ambiguous symbol, a
//! configuration that cannot be read) it counts as missing here.

use super::relocate::types_are_compatible;
use crate::btf::{Btf, BtfKind, Kind, TypeId, essential_name};
use crate::bytes::Endian;
use crate::elf::{Extern, ExternKind, KconfigType, Object};
use crate::kernel::{Feature, Kernel, KernelError};

/// What an extern turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Resolved {
    /// A value at this offset of map `.kconfig`.
    Kconfig { offset: u32 },
    /// An address.
    Address(u64),
    /// A type of the kernel (`module` is none) or of a module, by the id of its BTF object.
    Btf { id: TypeId, module: Option<u32> },
    /// A weak extern that is not there.
    Missing,
}

/// Why an extern cannot be resolved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExternError {
    /// A configuration option that is not set, or whose value cannot be known.
    #[error("extern `{name}`: {why}; declare it __weak if the program can do without")]
    Kconfig {
        /// The option.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// A symbol that the kernel does not have.
    #[error("extern `{name}`: {why}; declare it __weak if the program can do without")]
    Symbol {
        /// The symbol.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// The kernel's types are needed and cannot be read.
    #[error("extern `{name}` needs the kernel's types")]
    NoBtf {
        /// The symbol.
        name: String,
        /// Why not.
        source: Box<KernelError>,
    },
}

/// Resolves all externs, and fills the contents of map `.kconfig`.
pub(super) fn resolve(object: &Object, kernel: &Kernel) -> Result<(Vec<Resolved>, Vec<u8>), ExternError> {
    let mut kconfig = Vec::new();
    let mut out = Vec::new();
    for ext in &object.externs {
        let resolved = match &ext.kind {
            ExternKind::Kconfig { ty, offset, size } => {
                let value = config_value(ext, *ty, *size, object.endian, kernel)?;
                put(&mut kconfig, *offset as usize, *size as usize, &value);
                Resolved::Kconfig { offset: *offset }
            }
            ExternKind::Address => address(ext, kernel)?,
            ExternKind::Variable(id) => typed(ext, *id, BtfKind::Var, object, kernel)?,
            ExternKind::Function(id) => typed(ext, *id, BtfKind::Func, object, kernel)?,
        };
        out.push(resolved);
    }
    Ok((out, kconfig))
}

fn put(image: &mut Vec<u8>, offset: usize, size: usize, value: &[u8]) {
    let end = offset.saturating_add(size);
    if image.len() < end {
        image.resize(end, 0);
    }
    for (to, from) in image.iter_mut().skip(offset).zip(value) {
        *to = *from;
    }
}

/// The bytes of a configuration value; empty (all zero) for a weak one that is not known.
fn config_value(
    ext: &Extern,
    ty: KconfigType,
    size: u32,
    endian: Endian,
    kernel: &Kernel,
) -> Result<Vec<u8>, ExternError> {
    let bad = |why: String| ExternError::Kconfig { name: ext.name.clone(), why };
    if let Some(value) = virtual_option(&ext.name, kernel) {
        return integer(i128::from(value), ty, size, endian)
            .ok_or_else(|| bad("its type cannot hold the value".into()));
    }
    if !ext.name.starts_with("CONFIG_") {
        return if ext.weak {
            Ok(Vec::new())
        } else {
            Err(bad("there is no such option; they begin with CONFIG_".into()))
        };
    }
    let config = kernel.kconfig();
    match config.get(&ext.name) {
        Some(text) => parse_value(text, ty, size, endian)
            .ok_or_else(|| bad(format!("its value {text} does not fit a {size}-byte {}", describe(ty)))),
        None if ext.weak => Ok(Vec::new()),
        None if config.is_known() => {
            Err(bad(format!("it is not set in {}", config.source().unwrap_or("this kernel's configuration"))))
        }
        None => Err(bad(
            "the configuration of this kernel is in none of /boot/config-*, /proc/config.gz, /lib/modules/*/config".into(),
        )),
    }
}

/// Values that look like options and are the loader's to give.
fn virtual_option(name: &str, kernel: &Kernel) -> Option<u64> {
    let feature = |f| u64::from(kernel.has(f).allows());
    match name {
        "LINUX_KERNEL_VERSION" => Some(kernel.release().code().into()),
        "LINUX_HAS_BPF_COOKIE" => Some(feature(Feature::AttachCookie)),
        "LINUX_HAS_SYSCALL_WRAPPER" => Some(feature(Feature::SyscallWrapper)),
        _ => None,
    }
}

fn describe(ty: KconfigType) -> &'static str {
    match ty {
        KconfigType::Bool => "bool (y or n)",
        KconfigType::Char => "char",
        KconfigType::Int { signed: true } => "signed integer",
        KconfigType::Int { signed: false } => "unsigned integer",
        KconfigType::Tristate => "enum libbpf_tristate",
        KconfigType::Text => "char array",
    }
}

fn parse_value(text: &str, ty: KconfigType, size: u32, endian: Endian) -> Option<Vec<u8>> {
    if let Some(quoted) = text.strip_prefix('"') {
        let inner = quoted.strip_suffix('"')?;
        if ty != KconfigType::Text {
            return None;
        }
        // A text that is too long is cut, and always ends with a NUL.
        let mut bytes: Vec<u8> = inner.bytes().take((size as usize).saturating_sub(1)).collect();
        bytes.push(0);
        return Some(bytes);
    }
    let letter = text.bytes().next()?;
    match (letter, ty) {
        (b'y', KconfigType::Bool) => integer(1, ty, size, endian),
        (b'n', KconfigType::Bool) => integer(0, ty, size, endian),
        (b'n', KconfigType::Tristate) => integer(0, ty, size, endian),
        (b'y', KconfigType::Tristate) => integer(1, ty, size, endian),
        (b'm', KconfigType::Tristate) => integer(2, ty, size, endian),
        (b'y' | b'n' | b'm', KconfigType::Char) => Some(vec![letter]),
        (_, KconfigType::Char | KconfigType::Int { .. }) => integer(number(text)?, ty, size, endian),
        _ => None,
    }
}

/// Reads a number as `strtoull` with base 0 does: decimal, `0x` hex, `0` octal, with a sign.
fn number(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let value = if let Some(hex) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        u64::from_str_radix(hex, 16).ok()?
    } else if digits.len() > 1 && digits.starts_with('0') {
        u64::from_str_radix(digits, 8).ok()?
    } else {
        digits.parse().ok()?
    };
    Some(if negative { -i128::from(value) } else { value.into() })
}

fn integer(value: i128, ty: KconfigType, size: u32, endian: Endian) -> Option<Vec<u8>> {
    let bits = size.checked_mul(8).filter(|b| *b <= 64)?;
    let (min, max) = match ty {
        KconfigType::Int { signed: true } => (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1),
        _ => (0, (1i128 << bits) - 1),
    };
    if value < min || value > max {
        return None;
    }
    let bytes = endian.put_u64(value as u64);
    let size = size as usize;
    Some(match endian {
        Endian::Little => bytes.get(..size)?.to_vec(),
        Endian::Big => bytes.get(8usize.checked_sub(size)?..)?.to_vec(),
    })
}

/// An address from `/proc/kallsyms`.
fn address(ext: &Extern, kernel: &Kernel) -> Result<Resolved, ExternError> {
    let bad = |why: &str| ExternError::Symbol { name: ext.name.clone(), why: why.into() };
    let symbols = kernel.symbols();
    let mut found: Vec<u64> = symbols.named(&ext.name).map(|s| s.address).collect();
    if found.is_empty() {
        // Static data that the compiler renamed: `name.llvm.1234`.
        let prefix = format!("{}.llvm.", ext.name);
        found = symbols
            .all()
            .filter(|s| s.kind == 'd' && s.name.starts_with(&prefix))
            .map(|s| s.address)
            .collect();
    }
    found.sort_unstable();
    found.dedup();
    match found.as_slice() {
        _ if ext.weak && (symbols.hidden() || found.len() > 1) => Ok(Resolved::Missing),
        [0] => Err(bad("the kernel hides addresses from this process (kernel.kptr_restrict)")),
        [one] => Ok(Resolved::Address(*one)),
        [] if ext.weak => Ok(Resolved::Missing),
        [] => Err(bad("the kernel has no symbol of this name (/proc/kallsyms)")),
        _ => Err(bad("the kernel has several symbols of this name")),
    }
}

/// A function may be declared in several flavours: `f___old`, `f___new`.
fn name_in_kernel(ext: &Extern, kind: BtfKind) -> &str {
    if kind == BtfKind::Func { essential_name(&ext.name) } else { &ext.name }
}

/// What the object's externs are called in the kernel's types, for those that are looked for there.
pub(super) fn typed_names(object: &Object) -> impl Iterator<Item = (String, BtfKind)> {
    object.externs.iter().filter_map(|ext| {
        let kind = match ext.kind {
            ExternKind::Variable(_) => BtfKind::Var,
            ExternKind::Function(_) => BtfKind::Func,
            _ => return None,
        };
        Some((name_in_kernel(ext, kind).to_string(), kind))
    })
}

/// A variable or function of the kernel or of a module, by its type.
fn typed(
    ext: &Extern,
    local: TypeId,
    kind: BtfKind,
    object: &Object,
    kernel: &Kernel,
) -> Result<Resolved, ExternError> {
    let bad = |why: String| ExternError::Symbol { name: ext.name.clone(), why };
    let Some(btf) = object.btf.as_deref() else { return Ok(Resolved::Missing) };
    let name = name_in_kernel(ext, kind);
    let vmlinux = match kernel.btf() {
        Ok(vmlinux) => vmlinux,
        Err(_) if ext.weak => return Ok(Resolved::Missing),
        Err(source) => return Err(ExternError::NoBtf { name: ext.name.clone(), source: Box::new(source) }),
    };
    let found = vmlinux.find(name, kind).ok().map(|id| (&**vmlinux, id, None)).or_else(|| {
        let modules = kernel.modules().iter();
        modules.filter_map(|m| m.btf.find_own(name, kind).map(|id| (&*m.btf, id, Some(m.btf_id)))).next()
    });
    let Some((target, id, module)) = found else {
        let what = if kind == BtfKind::Func { "function (kfunc)" } else { "variable" };
        return if ext.weak {
            Ok(Resolved::Missing)
        } else {
            Err(bad(format!("neither the kernel nor a module has a {what} of this name in its BTF")))
        };
    };
    let same = match (inner(btf, local), inner(target, id)) {
        (Some(a), Some(b)) => types_are_compatible(btf, a, target, b),
        _ => false,
    };
    match (same, ext.weak && kind == BtfKind::Func) {
        (true, _) => Ok(Resolved::Btf { id, module }),
        (false, true) => Ok(Resolved::Missing),
        (false, false) => {
            Err(bad("the kernel has it, but its type is another than the object declares".into()))
        }
    }
}

/// The type of a variable, whether it is declared `const` or by a typedef or not; the prototype of a function.
fn inner(btf: &Btf, id: TypeId) -> Option<TypeId> {
    match btf.ty(id).ok()?.kind {
        Kind::Var { ty, .. } => btf.skip_mods_and_typedefs(ty).ok().map(|t| t.id),
        Kind::Func { proto, .. } => Some(proto),
        _ => None,
    }
}
