//! `.BTF.ext`: what ties the instructions of an object to its types and to its source.
//!
//! ```text
//!   header ──┬─► func_info   rec_size ┬ section ".text"   n records ┐
//!            │                        └ section "xdp"     n records │  each record starts with
//!            ├─► line_info   rec_size ┬ ...                         │  insn_off: bytes from the start
//!            └─► core_relo   rec_size ┬ ...                         ┘  of that ELF section
//! ```
//!
//! A record may be longer than this crate knows: what follows the known fields is kept, so that it can
//! be handed to the kernel as it came. Section names are offsets into the strings of the object's `.BTF`.

use super::parse::{MAGIC, endian_of, words};
use super::{BtfError, Data, StrOff, TypeId};
use crate::bytes::{Cursor, Endian};
use crate::uapi::{Release, open_enum};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

open_enum! {
    /// What a CO-RE relocation asks of the kernel's types (`enum bpf_core_relo_kind`). `since` is the
    /// kernel that can apply it itself; a loader can for every kernel that has BTF.
    CoreReloKind: u32, "CO-RE relocation";
    FieldByteOffset = 0, "byte_off", "BPF_CORE_FIELD_BYTE_OFFSET", 5 . 17;
    FieldByteSize = 1, "byte_sz", "BPF_CORE_FIELD_BYTE_SIZE", 5 . 17;
    FieldExists = 2, "field_exists", "BPF_CORE_FIELD_EXISTS", 5 . 17;
    FieldSigned = 3, "signed", "BPF_CORE_FIELD_SIGNED", 5 . 17;
    FieldLshiftU64 = 4, "lshift_u64", "BPF_CORE_FIELD_LSHIFT_U64", 5 . 17;
    FieldRshiftU64 = 5, "rshift_u64", "BPF_CORE_FIELD_RSHIFT_U64", 5 . 17;
    TypeIdLocal = 6, "local_type_id", "BPF_CORE_TYPE_ID_LOCAL", 5 . 17;
    TypeIdTarget = 7, "target_type_id", "BPF_CORE_TYPE_ID_TARGET", 5 . 17;
    TypeExists = 8, "type_exists", "BPF_CORE_TYPE_EXISTS", 5 . 17;
    TypeSize = 9, "type_size", "BPF_CORE_TYPE_SIZE", 5 . 17;
    EnumvalExists = 10, "enumval_exists", "BPF_CORE_ENUMVAL_EXISTS", 5 . 17;
    EnumvalValue = 11, "enumval_value", "BPF_CORE_ENUMVAL_VALUE", 5 . 17;
    TypeMatches = 12, "type_matches", "BPF_CORE_TYPE_MATCHES", 6 . 1;
}

/// Which function starts at an instruction (`struct bpf_func_info`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FuncInfo {
    /// Where it starts, in bytes from the start of its ELF section.
    pub insn_off: u32,
    /// The `Func`.
    pub type_id: TypeId,
}

/// Which source line an instruction came from (`struct bpf_line_info`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineInfo {
    /// The first instruction of the line, in bytes from the start of its ELF section.
    pub insn_off: u32,
    /// The name of the file.
    pub file_name: StrOff,
    /// The text of the line.
    pub line: StrOff,
    /// Line (22 bits) and column (10 bits) in one word.
    pub line_col: u32,
}

impl LineInfo {
    /// The number of the line, from 1.
    #[doc(alias = "BPF_LINE_INFO_LINE_NUM")]
    pub fn line_number(&self) -> u32 {
        self.line_col >> 10
    }

    /// The column, from 1; 0 when it is not known.
    #[doc(alias = "BPF_LINE_INFO_LINE_COL")]
    pub fn column(&self) -> u32 {
        self.line_col & 0x3ff
    }
}

/// A question about the kernel's types whose answer goes into an instruction (`struct bpf_core_relo`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoreRelo {
    /// The instruction, in bytes from the start of its ELF section.
    pub insn_off: u32,
    /// The type of the object that the question starts from.
    pub type_id: TypeId,
    /// The path from it, as text: `0:1:2`.
    pub access_str: StrOff,
    /// What is asked.
    pub kind: CoreReloKind,
}

/// A record of `.BTF.ext`.
pub trait ExtRecord: Sized {
    /// The name of the section that has such records.
    const SECTION: &'static str;
    /// How many bytes this crate knows of a record.
    const SIZE: usize;
    /// Reads a record from its first `SIZE` bytes.
    fn from_words(words: [u32; 4]) -> Self;
    /// The words of the record; the first `SIZE / 4` count.
    fn to_words(&self) -> [u32; 4];
}

impl ExtRecord for FuncInfo {
    const SECTION: &'static str = "func_info";
    const SIZE: usize = 8;

    fn from_words([insn_off, type_id, ..]: [u32; 4]) -> FuncInfo {
        FuncInfo { insn_off, type_id: TypeId(type_id) }
    }

    fn to_words(&self) -> [u32; 4] {
        [self.insn_off, self.type_id.0, 0, 0]
    }
}

impl ExtRecord for LineInfo {
    const SECTION: &'static str = "line_info";
    const SIZE: usize = 16;

    fn from_words([insn_off, file_name, line, line_col]: [u32; 4]) -> LineInfo {
        LineInfo { insn_off, file_name: StrOff(file_name), line: StrOff(line), line_col }
    }

    fn to_words(&self) -> [u32; 4] {
        [self.insn_off, self.file_name.0, self.line.0, self.line_col]
    }
}

impl ExtRecord for CoreRelo {
    const SECTION: &'static str = "core_relo";
    const SIZE: usize = 16;

    fn from_words([insn_off, type_id, access_str, kind]: [u32; 4]) -> CoreRelo {
        CoreRelo {
            insn_off,
            type_id: TypeId(type_id),
            access_str: StrOff(access_str),
            kind: CoreReloKind(kind),
        }
    }

    fn to_words(&self) -> [u32; 4] {
        [self.insn_off, self.type_id.0, self.access_str.0, self.kind.0]
    }
}

/// A parsed `.BTF.ext`.
#[derive(Clone, Debug)]
pub struct BtfExt {
    data: Data,
    endian: Endian,
    func_info: Part,
    line_info: Part,
    core_relo: Part,
}

/// One of the three lists: where its sections are, and how long its records.
#[derive(Clone, Debug, Default)]
struct Part {
    rec_size: usize,
    bytes: Range<usize>,
}

impl BtfExt {
    /// Reads a `.BTF.ext`, in either byte order. Every list is walked once, so that reading it later
    /// cannot fail.
    ///
    /// # Errors
    /// The header or a list is damaged.
    #[doc(alias = "btf_ext__new")]
    pub fn parse(data: impl Into<Data>) -> Result<BtfExt, BtfError> {
        let data = data.into();
        let bytes = data.bytes();
        let cut = BtfError::cut("header of .BTF.ext");
        let endian = endian_of(bytes, ".BTF.ext")?;
        let mut c = Cursor::new(bytes, endian).at(2);
        let (version, flags) = (c.u8().map_err(&cut)?, c.u8().map_err(&cut)?);
        if version != 1 || flags != 0 {
            let value = u64::from(version) << 8 | u64::from(flags);
            return Err(BtfError::Ext {
                section: "header",
                what: "its version is not 1, or it has flags",
                value,
            });
        }
        let [len, func_off, func_len, line_off, line_len] = words(&mut c).map_err(&cut)?;
        if (len as usize) < 24 || len as usize > bytes.len() {
            return Err(BtfError::Ext { section: "header", what: "its length is wrong", value: len.into() });
        }
        let [core_off, core_len] = if len >= 32 { words(&mut c).map_err(&cut)? } else { [0; 2] };
        let file = File { bytes, endian, header: len };
        Ok(BtfExt {
            func_info: file.part::<FuncInfo>(func_off, func_len)?,
            line_info: file.part::<LineInfo>(line_off, line_len)?,
            core_relo: file.part::<CoreRelo>(core_off, core_len)?,
            endian,
            data,
        })
    }

    /// The byte order of the file.
    pub fn endian(&self) -> Endian {
        self.endian
    }

    /// The bytes that were parsed.
    pub fn bytes(&self) -> &[u8] {
        self.data.bytes()
    }

    /// Where functions start, by ELF section.
    pub fn func_info(&self) -> ExtSections<'_, FuncInfo> {
        self.sections(&self.func_info)
    }

    /// Source lines, by ELF section.
    pub fn line_info(&self) -> ExtSections<'_, LineInfo> {
        self.sections(&self.line_info)
    }

    /// CO-RE relocations, by ELF section.
    pub fn core_relo(&self) -> ExtSections<'_, CoreRelo> {
        self.sections(&self.core_relo)
    }

    fn sections<R>(&self, part: &Part) -> ExtSections<'_, R> {
        let bytes = self.data.bytes().get(part.bytes.clone()).unwrap_or_default();
        ExtSections { bytes, rec_size: part.rec_size, endian: self.endian, record: PhantomData }
    }
}

/// The bytes of a file, with what is needed to find a list in them.
struct File<'a> {
    bytes: &'a [u8],
    endian: Endian,
    header: u32,
}

impl File<'_> {
    fn part<R: ExtRecord>(&self, off: u32, len: u32) -> Result<Part, BtfError> {
        let wrong = |what, value: u64| BtfError::Ext { section: R::SECTION, what, value };
        if len == 0 {
            return Ok(Part::default());
        }
        if off % 4 != 0 {
            return Err(wrong("its offset is no multiple of 4", off.into()));
        }
        let start = (self.header as usize).saturating_add(off as usize);
        let end = start.saturating_add(len as usize);
        let list = self.bytes.get(start..end).ok_or_else(|| wrong("it ends past the file", end as u64))?;
        let short = |_| wrong("it is cut short", len.into());
        let mut c = Cursor::new(list, self.endian);
        let rec_size = c.u32().map_err(short)? as usize;
        if rec_size < R::SIZE || rec_size % 4 != 0 {
            return Err(wrong("its record size is too small, or no multiple of 4", rec_size as u64));
        }
        while c.left() > 0 {
            let [_, count] = words(&mut c).map_err(short)?;
            if count == 0 {
                return Err(wrong("it has a section without records", 0));
            }
            c.bytes((count as usize).saturating_mul(rec_size)).map_err(short)?;
        }
        Ok(Part { rec_size, bytes: start.saturating_add(4)..end })
    }
}

/// A list of `.BTF.ext`, one ELF section after the other.
pub struct ExtSections<'a, R> {
    bytes: &'a [u8],
    rec_size: usize,
    endian: Endian,
    record: PhantomData<fn() -> R>,
}

/// The records for one ELF section.
pub struct ExtSection<'a, R> {
    /// The name of the ELF section, in the strings of `.BTF`.
    pub name: StrOff,
    bytes: &'a [u8],
    rec_size: usize,
    endian: Endian,
    record: PhantomData<fn() -> R>,
}

impl<R> ExtSections<'_, R> {
    /// How long a record is in bytes; 0 when there are none.
    pub fn rec_size(&self) -> usize {
        self.rec_size
    }
}

impl<R> Clone for ExtSections<'_, R> {
    fn clone(&self) -> Self {
        ExtSections { ..*self }
    }
}

impl<'a, R> Iterator for ExtSections<'a, R> {
    type Item = ExtSection<'a, R>;

    fn next(&mut self) -> Option<ExtSection<'a, R>> {
        let mut c = Cursor::new(self.bytes, self.endian);
        let name = StrOff(c.u32().ok()?);
        let count = c.u32().ok()? as usize;
        let bytes = c.bytes(count.checked_mul(self.rec_size)?).ok()?;
        self.bytes = self.bytes.get(c.pos()..).unwrap_or_default();
        Some(ExtSection { name, bytes, rec_size: self.rec_size, endian: self.endian, record: PhantomData })
    }
}

impl<'a, R: ExtRecord> ExtSection<'a, R> {
    /// How many records there are.
    pub fn len(&self) -> usize {
        self.bytes.len().checked_div(self.rec_size).unwrap_or(0)
    }

    /// Whether there are none; never so in a file that parses.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The records, in the order of the file (which is that of `insn_off`).
    pub fn records(&self) -> impl ExactSizeIterator<Item = R> + Clone + use<'a, R> {
        self.with_tails().map(|(record, _)| record)
    }

    /// The records, each with the bytes that follow what this crate knows of it.
    pub fn with_tails(&self) -> impl ExactSizeIterator<Item = (R, &'a [u8])> + Clone + use<'a, R> {
        let endian = self.endian;
        self.bytes.chunks_exact(self.rec_size.max(1)).map(move |bytes| {
            let mut c = Cursor::new(bytes, endian);
            let mut out = [0; 4];
            for word in out.iter_mut().take(R::SIZE / 4) {
                *word = c.u32().unwrap_or(0);
            }
            (R::from_words(out), bytes.get(R::SIZE..).unwrap_or_default())
        })
    }

    /// The records as they are in the file, [`rec_size`](ExtSections::rec_size) bytes each.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

impl<R> fmt::Debug for ExtSections<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExtSections({} bytes, records of {})", self.bytes.len(), self.rec_size)
    }
}

impl<R: ExtRecord + fmt::Debug> fmt::Debug for ExtSection<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.records()).finish()
    }
}

/// A `.BTF.ext` that is being made.
///
/// ```
/// use rawbpf::btf::{BtfExt, BtfExtBuilder, FuncInfo, StrOff, TypeId};
/// use rawbpf::bytes::Endian;
/// let mut b = BtfExtBuilder::default();
/// b.func_info.push((StrOff(1), vec![FuncInfo { insn_off: 0, type_id: TypeId(3) }]));
/// let ext = BtfExt::parse(b.to_bytes(Endian::NATIVE))?;
/// let section = ext.func_info().next().expect("one section");
/// assert_eq!(section.records().next().map(|r| r.type_id), Some(TypeId(3)));
/// # Ok::<(), rawbpf::btf::BtfError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct BtfExtBuilder {
    /// Where functions start: the name of an ELF section, and its records in rising order.
    pub func_info: Vec<(StrOff, Vec<FuncInfo>)>,
    /// Source lines, likewise.
    pub line_info: Vec<(StrOff, Vec<LineInfo>)>,
    /// CO-RE relocations, likewise.
    pub core_relo: Vec<(StrOff, Vec<CoreRelo>)>,
}

impl BtfExtBuilder {
    /// The `.BTF.ext` as bytes; sections without records are left out.
    pub fn to_bytes(&self, endian: Endian) -> Vec<u8> {
        let parts =
            [list(&self.func_info, endian), list(&self.line_info, endian), list(&self.core_relo, endian)];
        let mut out = Vec::new();
        out.extend(endian.put_u16(MAGIC));
        out.extend([1, 0]);
        out.extend(endian.put_u32(32));
        let mut at = 0u32;
        for part in &parts {
            out.extend(endian.put_u32(at));
            out.extend(endian.put_u32(part.len() as u32));
            at = at.saturating_add(part.len() as u32);
        }
        out.extend(parts.into_iter().flatten());
        out
    }
}

fn list<R: ExtRecord>(sections: &[(StrOff, Vec<R>)], endian: Endian) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, records) in sections.iter().filter(|(_, records)| !records.is_empty()) {
        if out.is_empty() {
            out.extend(endian.put_u32(R::SIZE as u32));
        }
        out.extend(endian.put_u32(name.0));
        out.extend(endian.put_u32(records.len() as u32));
        for record in records {
            let words = record.to_words();
            out.extend(words.iter().take(R::SIZE / 4).flat_map(|word| endian.put_u32(*word)));
        }
    }
    out
}
