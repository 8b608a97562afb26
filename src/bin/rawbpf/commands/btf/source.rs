//! Whose types are meant.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use rawbpf::btf::{Btf, TypeId};
use rawbpf::sys::{self, BtfFd, Errno};
use rawbpf::{Kernel, kernel};

use crate::select::{self, map as map_select};
use crate::ui::error::CliError;

/// Types, and the first of them to show; all, if none is named.
pub(super) struct Types {
    pub(super) btf: Arc<Btf>,
    pub(super) roots: Vec<TypeId>,
    /// They are a kernel's: as C they become a whole header.
    pub(super) kernel: bool,
}

impl Types {
    fn all(btf: Arc<Btf>, kernel: bool) -> Types {
        Types { btf, roots: Vec::new(), kernel }
    }
}

/// Finds what the command line names.
pub(super) fn find(words: &[String], base: Option<&Path>) -> Result<Types, CliError> {
    let first = words.first().map(String::as_str);
    match (first, words) {
        (None, _) | (Some("vmlinux"), [_]) => match base {
            None => Ok(Types::all(Arc::clone(Kernel::host().btf()?), true)),
            Some(path) => Ok(Types::all(kernel::read_types(path, None)?, true)),
        },
        (Some("id"), [_, n]) => {
            let bad = || CliError::BadSelector { what: "BTF object", words: words.join(" ") };
            by_id(n.parse().map_err(|_| bad())?)
        }
        (Some("prog"), [_, rest @ ..]) if !rest.is_empty() => {
            let info = select::program(rest)?.info;
            match info.btf_id {
                0 => Err(none(&format!("program `{}`", info.name))),
                id => by_id(id),
            }
        }
        (Some("map"), [_, rest @ ..]) if !rest.is_empty() => {
            let map = map_select::find(rest)?;
            let btf = map.btf().cloned().ok_or_else(|| none(&format!("map `{}`", map.name())))?;
            let roots = [map.info().key_type, map.info().value_type];
            Ok(Types {
                btf,
                roots: roots.into_iter().filter(|id| *id != TypeId::VOID).collect(),
                kernel: false,
            })
        }
        (Some("file"), [_, path]) => file(path, base),
        (Some(name), [_]) => match Kernel::host().modules().iter().find(|m| m.name == name) {
            Some(module) if !Path::new(name).exists() => Ok(Types::all(Arc::clone(&module.btf), true)),
            _ => file(name, base),
        },
        _ => Err(CliError::BadSelector { what: "types", words: words.join(" ") }),
    }
}

fn none(of: &str) -> CliError {
    CliError::NoSuch { what: "BTF", wanted: format!("of {of}"), near: ": it was loaded without types".into() }
}

/// A file; one of a module's on top of the kernel's types, which it cannot be read without.
fn file(path: &str, base: Option<&Path>) -> Result<Types, CliError> {
    if !Path::new(path).exists() {
        let near = ": there is neither a module nor a file of this name".into();
        return Err(CliError::NoSuch { what: "source of types", wanted: format!("`{path}`"), near });
    }
    let in_sysfs = Path::new(path).parent() == Some(Path::new("/sys/kernel/btf"));
    let is_kernel = in_sysfs || path.ends_with("vmlinux") || is_bare(path);
    if let Some(base) = base {
        let base = kernel::read_types(base, None)?;
        return Ok(Types::all(kernel::read_types(path, Some(&base))?, is_kernel));
    }
    if in_sysfs && !path.ends_with("/vmlinux") {
        let host = Kernel::host();
        return Ok(Types::all(kernel::read_types(path, Some(host.btf()?))?, true));
    }
    Ok(Types::all(kernel::read_types(path, None)?, is_kernel))
}

/// Whether a file is BTF and nothing else, as kernels give theirs away, and not the section of an object.
fn is_bare(path: &str) -> bool {
    // Only a file can be read twice.
    if !Path::new(path).is_file() {
        return false;
    }
    let mut magic = [0; 2];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    read.is_ok() && [0xeb9f, 0x9feb].contains(&u16::from_le_bytes(magic))
}

fn by_id(id: u32) -> Result<Types, CliError> {
    let fd = BtfFd::by_id(id).map_err(|e| match e.errno {
        Errno::ENOENT => {
            CliError::NoSuch { what: "BTF object", wanted: format!("with id {id}"), near: String::new() }
        }
        _ => CliError::sys(format!("open the BTF object with id {id}"))(e),
    })?;
    let asking = || CliError::sys(format!("read the BTF object with id {id}"));
    let info = sys::btf_info(&fd).map_err(asking())?;
    if info.kernel && info.name == "vmlinux" {
        return Ok(Types::all(Arc::clone(Kernel::host().btf()?), true));
    }
    let bytes = sys::btf_bytes(&fd).map_err(asking())?;
    let btf = match info.kernel {
        true => Btf::parse_split(bytes, Arc::clone(Kernel::host().btf()?))?,
        false => Btf::parse(bytes)?,
    };
    Ok(Types::all(Arc::new(btf), info.kernel))
}
