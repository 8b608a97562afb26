//! Why a file cannot be read as a BPF object.

use super::Site;
use crate::btf::BtfError;

/// Why a file is not a BPF object that can be loaded, in terms of that file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file could not be read.
    #[error("cannot read {path}")]
    Io {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is some other kind of file.
    #[error(
        "not a BPF object: {what}; a BPF object is made by `clang -g -O2 -target bpf -c prog.bpf.c -o prog.o`"
    )]
    NotBpf {
        /// What it is instead.
        what: String,
    },
    /// An ELF table is damaged.
    #[error("damaged ELF file: {what}")]
    Elf {
        /// Which, and how.
        what: String,
    },
    /// There is no symbol table, so nothing in it has a name.
    #[error(
        "the object has no symbol table: it was stripped; use `llvm-strip -g`, which removes only debug info, or none"
    )]
    NoSymbols,
    /// Maps defined the way libbpf stopped to support in 1.0.
    #[error(
        "section `maps` holds legacy map definitions (struct bpf_map_def); define maps in `SEC(\".maps\")` with __uint(type, ...), __type(key, ...)"
    )]
    LegacyMaps,
    /// Something needs type information that is not there.
    #[error("{site} needs BTF, and the object has none; compile with `clang -g`")]
    NoBtf {
        /// What needs it.
        site: Box<Site>,
    },
    /// The type information is damaged.
    #[error("section `{section}` is damaged")]
    Btf {
        /// `.BTF` or `.BTF.ext`.
        section: &'static str,
        /// How.
        source: BtfError,
    },
    /// A function symbol is wrong.
    #[error("function {site}: {why}")]
    Function {
        /// Which.
        site: Box<Site>,
        /// How.
        why: String,
    },
    /// A map definition is wrong.
    #[error("map `{map}`: {why}")]
    Map {
        /// Which.
        map: String,
        /// How.
        why: String,
    },
    /// An extern declaration is wrong.
    #[error("extern `{name}`: {why}")]
    Extern {
        /// Which.
        name: String,
        /// How.
        why: String,
    },
    /// A relocation cannot be understood.
    #[error("relocation in {site}: {why}")]
    Reloc {
        /// Where.
        site: Box<Site>,
        /// Why.
        why: String,
    },
}

impl From<object::read::Error> for ReadError {
    fn from(e: object::read::Error) -> ReadError {
        ReadError::Elf { what: e.to_string() }
    }
}
