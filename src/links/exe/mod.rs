//! User-space executables and libraries: where in the file a function lies.
//!
//! A uprobe is set at an offset *in a file*, and every process that maps the file runs into it. A person
//! names a function instead. The way from one to the other:
//!
//! ```text
//!   name ──symbol tables──► address as linked ──segments (PT_LOAD)──► offset in the file
//!
//!   .dynsym          what a library exports, with versions (`memcpy@@GLIBC_2.14`)
//!   .symtab          all functions, unless the file was stripped
//!   .gnu_debugdata   a small ELF file, compressed with xz, with the symbols that stripping took away
//!   /usr/lib/debug/.build-id/ab/cdef.debug     a file of symbols for the build with this id
//! ```
//!
//! The file may also be part of another one, stored in an archive as it is (module `archive`): `app.apk!/lib/libapp.so`.
//!
//! Only the tables are read, never the whole file. The file may be anybody's: sizes are checked against its
//! length before anything is read.

use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use goblin::container::Ctx;
use goblin::elf::header::{EI_CLASS, ELFCLASS64, ET_DYN};
use goblin::elf::program_header::{PF_X, PT_LOAD};
use goblin::elf::section_header::{SHT_DYNSYM, SHT_NOBITS, SHT_SYMTAB};
use goblin::elf::{Header, ProgramHeader, SectionHeader};

use crate::bytes::Endian;

mod archive;
mod library;
mod symbols;

pub(super) use symbols::Place;

/// Why a file is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct ExeError(String);

/// Symbols that were compressed or kept in another file are at most this long.
const MAX_EXTRA: u64 = 256 << 20;

/// The file of a program or library: the one that the kernel is told, and what of it is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CodeFile {
    /// The file.
    pub(super) path: PathBuf,
    /// If that is an archive, the entry that is meant.
    pub(super) entry: Option<String>,
}

impl CodeFile {
    /// Finds what a person calls `name`, for a process or for anyone.
    pub(super) fn find(name: &str, pid: Option<u32>) -> Option<CodeFile> {
        let parts = name.split_once("!/").filter(|_| !Path::new(name).exists());
        let (file, entry) = parts.map_or((name, None), |(file, entry)| (file, Some(entry.into())));
        Some(CodeFile { path: library::find(file, pid)?, entry })
    }
}

impl fmt::Display for CodeFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        self.entry.as_ref().map_or(Ok(()), |entry| write!(f, "!/{entry}"))
    }
}

/// An executable or a library.
#[derive(Debug)]
pub(super) struct Exe {
    source: Source,
    /// Where in the file it begins: not at 0 if the file is an archive.
    start: u64,
    header: Header,
    ctx: Ctx,
    segments: Vec<ProgramHeader>,
    sections: Vec<SectionHeader>,
    section_names: Vec<u8>,
}

/// Where the bytes are.
#[derive(Debug)]
enum Source {
    /// So many bytes of a file, from the first number on.
    File(File, u64, u64),
    Bytes(Vec<u8>),
}

impl Source {
    fn len(&self) -> u64 {
        match self {
            Source::File(_, _, len) => *len,
            Source::Bytes(bytes) => bytes.len() as u64,
        }
    }

    /// Bytes that are there in full; nothing is allocated for those that are not.
    fn read(&self, at: u64, len: u64) -> Result<Vec<u8>, ExeError> {
        let mut out = Vec::new();
        self.read_into(at, len, &mut out)?;
        Ok(out)
    }

    /// The same, into a buffer that is used again.
    fn read_into(&self, at: u64, len: u64, out: &mut Vec<u8>) -> Result<(), ExeError> {
        let end = at.checked_add(len).filter(|end| *end <= self.len());
        let Some(end) = end else {
            return Err(ExeError(format!(
                "is damaged: it refers to byte {at} and {len} more, and ends before"
            )));
        };
        match self {
            Source::File(file, start, _) => {
                out.resize(len as usize, 0);
                file.read_exact_at(out, start.saturating_add(at))
                    .map_err(|e| ExeError(format!("cannot be read: {e}")))
            }
            Source::Bytes(bytes) => {
                out.clear();
                out.extend_from_slice(bytes.get(at as usize..end as usize).unwrap_or_default());
                Ok(())
            }
        }
    }
}

impl Exe {
    /// Opens a file and reads its headers.
    pub(super) fn open(code: &CodeFile) -> Result<Exe, ExeError> {
        let unreadable = |e: std::io::Error| ExeError(format!("cannot be opened: {e}"));
        let file = File::open(&code.path).map_err(unreadable)?;
        let about = file.metadata().map_err(unreadable)?;
        if !about.is_file() {
            return Err(ExeError("is not a regular file".into()));
        }
        let (start, len) = match &code.entry {
            Some(entry) => archive::locate(&file, about.len(), entry)?,
            None => (0, about.len()),
        };
        Exe::read(Source::File(file, start, len), start)
    }

    fn read(source: Source, start: u64) -> Result<Exe, ExeError> {
        let damaged =
            |what: &'static str| move |e: goblin::error::Error| ExeError(format!("is damaged: {what}: {e}"));
        let head = source.read(0, 64.min(source.len()))?;
        if !head.starts_with(b"\x7fELF") {
            return Err(ExeError("is no ELF file, so it has no functions to probe".into()));
        }
        let header = goblin::elf::Elf::parse_header(&head).map_err(damaged("its header"))?;
        let container = header.container().map_err(damaged("its class"))?;
        let ctx = Ctx::new(container, header.endianness().map_err(damaged("its byte order"))?);
        let table = |at: u64, each: u16, count: u64| source.read(at, u64::from(each).saturating_mul(count));
        let bytes = table(header.e_phoff, header.e_phentsize, header.e_phnum.into())?;
        let segments =
            ProgramHeader::parse(&bytes, 0, header.e_phnum.into(), ctx).map_err(damaged("its segments"))?;
        let bytes = table(header.e_shoff, header.e_shentsize, header.e_shnum.into())?;
        let count = if header.e_shoff == 0 { 0 } else { usize::from(header.e_shnum) };
        let sections = match count {
            0 => Vec::new(),
            _ => parse_sections(&bytes, count, header.e_shentsize, ctx).map_err(damaged("its sections"))?,
        };
        let mut exe = Exe { source, start, header, ctx, segments, sections, section_names: Vec::new() };
        if let Some(names) = exe.sections.get(usize::from(header.e_shstrndx)) {
            exe.section_names = exe.contents(names)?;
        }
        Ok(exe)
    }

    /// The bytes of a section; none for one that takes no room in the file.
    fn contents(&self, section: &SectionHeader) -> Result<Vec<u8>, ExeError> {
        if section.sh_type == SHT_NOBITS {
            return Ok(Vec::new());
        }
        self.source.read(section.sh_offset, section.sh_size)
    }

    /// The section of this name: its header and its bytes.
    pub(super) fn section(&self, name: &str) -> Result<Option<(&SectionHeader, Vec<u8>)>, ExeError> {
        let is_named = |s: &&SectionHeader| {
            let at = self.section_names.get(s.sh_name..).unwrap_or_default();
            at.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
        };
        let found = self.sections.iter().find(is_named);
        found.map(|s| Ok((s, self.contents(s)?))).transpose()
    }

    /// True for libraries and position-independent programs: their addresses are not those at run time.
    pub(super) fn is_dynamic(&self) -> bool {
        self.header.e_type == ET_DYN
    }

    /// True if it was built for 64-bit machines.
    pub(super) fn is_64(&self) -> bool {
        self.header.e_ident.get(EI_CLASS) == Some(&ELFCLASS64)
    }

    /// Its byte order.
    pub(super) fn endian(&self) -> Endian {
        if self.ctx.le == goblin::container::Endian::Big { Endian::Big } else { Endian::Little }
    }

    /// Where in the file it begins.
    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// Where in the file the byte with this address is, if a segment has it; and if that is code.
    pub(super) fn offset_of(&self, address: u64) -> Option<(u64, bool)> {
        let inside = |s: &&ProgramHeader| {
            let offset = address.checked_sub(s.p_vaddr);
            s.p_type == PT_LOAD && offset.is_some_and(|offset| offset < s.p_filesz)
        };
        let segment = self.segments.iter().find(inside)?;
        let offset = address.wrapping_sub(segment.p_vaddr).checked_add(segment.p_offset)?;
        let offset = offset.checked_add(self.start)?;
        Some((offset, segment.p_flags & PF_X != 0))
    }

    /// The sections that are symbol tables: what is exported first.
    fn tables(&self) -> impl Iterator<Item = &SectionHeader> {
        let of = |kind| self.sections.iter().filter(move |s| s.sh_type == kind);
        of(SHT_DYNSYM).chain(of(SHT_SYMTAB))
    }

    /// The symbols that stripping took away: inside of the file, compressed, or in a file of their own. `None`
    /// if there are none.
    fn stripped(&self) -> Option<Exe> {
        self.debug_data().or_else(|| self.debug_file())
    }

    fn debug_data(&self) -> Option<Exe> {
        use std::io::Read as _;
        let (_, packed) = self.section(".gnu_debugdata").ok()??;
        let mut bytes = Vec::new();
        let unpacked = lzma_rust2::XzReader::new(packed.as_slice(), false);
        unpacked.take(MAX_EXTRA).read_to_end(&mut bytes).ok()?;
        Exe::read(Source::Bytes(bytes), 0).ok()
    }

    fn debug_file(&self) -> Option<Exe> {
        let (_, note) = self.section(".note.gnu.build-id").ok()??;
        // Three words (length of the name, length of the id, type), the name "GNU", and the id.
        let id: String = note.get(16..)?.iter().map(|b| format!("{b:02x}")).collect();
        let (first, rest) = id.split_at_checked(2)?;
        let path = PathBuf::from(format!("/usr/lib/debug/.build-id/{first}/{rest}.debug"));
        Exe::open(&CodeFile { path, entry: None }).ok()
    }
}

/// The section headers. A file may have more than the 65,535 that its header can count; no executable has.
fn parse_sections(
    bytes: &[u8],
    count: usize,
    each: u16,
    ctx: Ctx,
) -> Result<Vec<SectionHeader>, goblin::error::Error> {
    let wanted = SectionHeader::size(ctx);
    if usize::from(each) != wanted {
        return Err(goblin::error::Error::Malformed(format!("headers of {each} bytes")));
    }
    SectionHeader::parse_from(bytes, 0, count, ctx)
}
