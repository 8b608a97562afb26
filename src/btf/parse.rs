//! From bytes to a [`Btf`]: the header, and one walk over the types.
//!
//! The records of the type section have no fixed length and carry no number: the type with number *n*
//! is the *n*-th record, and the only way to it is past all the others. So opening BTF takes one walk,
//! which notes where each type starts (4 bytes a type) and which also tells a whole file from a damaged
//! one. The walk looks at nothing but the head of each record, copies nothing, and makes no table of
//! names; the 126,000 types of a kernel take about half a millisecond.

use super::find::Answers;
use super::kind::{BtfKind, HEAD, KNOWN, Shapes};
use super::{BtfError, Data, Name, StrOff, TypeId};
use crate::bytes::{Cursor, Endian};
use std::ops::Range;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, OnceLock};

/// The magic number that BTF and `.BTF.ext` start with, in the byte order of the file.
pub(super) const MAGIC: u16 = 0xeb9f;

/// The length of the header of Linux 4.18; a header with the layout section is 8 bytes longer.
pub(super) const HEADER: usize = 24;

/// One set of BTF types: of a kernel, of a module on top of its kernel, or of a BPF object.
///
/// Reading is in place, and a `Btf` can be shared between threads. See the [module](super) for the
/// ways to ask it.
#[derive(Debug)]
pub struct Btf {
    data: Data,
    endian: Endian,
    types: Range<usize>,
    strings: Range<usize>,
    layout: Range<usize>,
    base: Option<Arc<Btf>>,
    first_id: u32,
    first_str: u32,
    /// Where each own type starts, in bytes from the start of the type section, and where the last ends.
    starts: Vec<u32>,
    /// What ended the walk early, when it did.
    stop: Option<BtfError>,
    pub(super) pointer_size: OnceLock<u8>,
    /// The first type with a name, when the types are sorted by name; empty until it is found out.
    pub(super) sorted: OnceLock<Option<u32>>,
    /// How many searches by name there were.
    pub(super) searches: AtomicU32,
    /// Answers to questions by name that were announced.
    pub(super) expected: Mutex<Answers>,
}

impl Btf {
    /// Reads BTF that stands alone, in either byte order.
    ///
    /// Names and references are checked when they are touched; [`check`](Btf::check) checks them all.
    ///
    /// # Errors
    /// The bytes are no BTF, the header or a record is damaged, or it is split BTF and needs
    /// [`parse_split`](Btf::parse_split).
    #[doc(alias = "btf__new")]
    pub fn parse(data: impl Into<Data>) -> Result<Btf, BtfError> {
        Btf::open(data.into(), None)
    }

    /// Reads BTF that continues `base`: its type numbers and string offsets go on where those of the
    /// base end. The BTF of every kernel module is split on that of vmlinux (Linux 5.11).
    ///
    /// # Errors
    /// As [`parse`](Btf::parse).
    #[doc(alias = "btf__new_split")]
    pub fn parse_split(data: impl Into<Data>, base: Arc<Btf>) -> Result<Btf, BtfError> {
        Btf::open(data.into(), Some(base))
    }

    fn open(data: Data, base: Option<Arc<Btf>>) -> Result<Btf, BtfError> {
        let head = Header::read(data.bytes())?;
        if let Some(base) = base.as_ref().filter(|b| b.endian != head.endian) {
            return Err(BtfError::BaseEndian { own: head.endian, base: base.endian });
        }
        head.check_strings(data.bytes(), base.is_some())?;
        let shapes = shapes(data.bytes(), &head, base.as_deref())?;
        let first_id = base.as_ref().map_or(1, |b| b.type_count());
        let first_str = base.as_ref().map_or(0, |b| b.string_end());
        let section = data.bytes().get(head.types.clone()).unwrap_or_default();
        let (starts, stop) = match head.endian {
            Endian::Little => walk::<true>(section, &shapes, first_id)?,
            Endian::Big => walk::<false>(section, &shapes, first_id)?,
        };
        Ok(Btf {
            endian: head.endian,
            types: head.types,
            strings: head.strings,
            layout: head.layout,
            data,
            base,
            first_id,
            first_str,
            starts,
            stop,
            pointer_size: OnceLock::new(),
            sorted: OnceLock::new(),
            searches: AtomicU32::new(0),
            expected: Mutex::default(),
        })
    }

    /// The bytes that were parsed, header included and base excluded.
    pub fn bytes(&self) -> &[u8] {
        self.data.bytes()
    }

    /// The byte order of the file; a kernel only takes its own.
    pub fn endian(&self) -> Endian {
        self.endian
    }

    /// The BTF that this one continues.
    pub fn base(&self) -> Option<&Arc<Btf>> {
        self.base.as_ref()
    }

    /// One more than the highest type number; type 0 is `void`.
    pub fn type_count(&self) -> u32 {
        self.first_id.saturating_add(self.starts().len() as u32)
    }

    /// The number of the first type that is not the base's: 1 without a base.
    pub fn first_id(&self) -> TypeId {
        TypeId(self.first_id)
    }

    /// The offset of the first string that is not the base's: 0 without a base.
    pub fn first_str(&self) -> StrOff {
        StrOff(self.first_str)
    }

    /// Why types from [`type_count`](Btf::type_count) on cannot be read, when there are some: a kind
    /// that is newer than this crate, in BTF without a layout section.
    pub fn stopped(&self) -> Option<&BtfError> {
        self.stop.as_ref().or_else(|| self.base.as_ref().and_then(|b| b.stopped()))
    }

    /// The name at an offset of the string section.
    ///
    /// # Errors
    /// The offset is past the end of the strings.
    #[doc(alias = "btf__name_by_offset")]
    pub fn name(&self, off: StrOff) -> Result<Name<'_>, BtfError> {
        self.lookup_name(off).ok_or_else(|| BtfError::NoString { off, len: self.string_end().into() })
    }

    /// As [`name`](Btf::name), with `None` for an offset past the end.
    #[inline]
    pub(super) fn lookup_name(&self, off: StrOff) -> Option<Name<'_>> {
        if off.0 == 0 {
            return Some(Name::EMPTY);
        }
        match (&self.base, off.0.checked_sub(self.first_str)) {
            (Some(base), None) => base.lookup_name(off),
            (_, own) => {
                let tail = self.own_strings().get(own? as usize..).filter(|t| !t.is_empty())?;
                Some(Name::new(tail, off))
            }
        }
    }

    /// The string section, base excluded; it ends with a NUL unless it is empty.
    pub(super) fn own_strings(&self) -> &[u8] {
        self.bytes().get(self.strings.clone()).unwrap_or_default()
    }

    /// The type section, base excluded.
    pub(super) fn own_types(&self) -> &[u8] {
        self.bytes().get(self.types.clone()).unwrap_or_default()
    }

    /// Whether it says itself how long the records of each kind are (Linux 7.2).
    pub fn has_layout(&self) -> bool {
        !self.layout.is_empty()
    }

    /// The layout section, base excluded; empty when there is none.
    pub(super) fn own_layout(&self) -> &[u8] {
        self.bytes().get(self.layout.clone()).unwrap_or_default()
    }

    /// Where each own type starts in the type section.
    pub(super) fn starts(&self) -> &[u32] {
        self.starts.split_last().map_or(&[], |(_, starts)| starts)
    }

    /// The offset after the last string, base included.
    pub(super) fn string_end(&self) -> u32 {
        self.first_str.saturating_add(self.strings.len() as u32)
    }

    /// The record of an own or base type, head included, and the `Btf` that has it.
    #[inline]
    pub(super) fn record(&self, id: TypeId) -> Option<&[u8]> {
        let Some(own) = id.0.checked_sub(self.first_id) else {
            return self.base.as_ref()?.record(id);
        };
        let own = own as usize;
        let start = *self.starts.get(own)? as usize;
        let end = *self.starts.get(own.checked_add(1)?)? as usize;
        self.own_types().get(start..end)
    }
}

impl Btf {
    /// Writes a word over another one in the record of an own type; nothing if the record ends before it.
    pub(super) fn overwrite(&mut self, id: TypeId, at: usize, value: u32) {
        let Some(own) = id.0.checked_sub(self.first_id).map(|own| own as usize) else { return };
        let place =
            |n: usize| self.starts.get(n).map(|start| self.types.start.saturating_add(*start as usize));
        let (Some(start), Some(end)) = (place(own), place(own.saturating_add(1))) else { return };
        let value = match self.endian {
            Endian::Little => value.to_le_bytes(),
            Endian::Big => value.to_be_bytes(),
        };
        let record = self.data.bytes_mut().get_mut(start..end);
        let word = record.and_then(|r| r.get_mut(at..at.saturating_add(value.len())));
        if let Some(word) = word {
            word.copy_from_slice(&value);
        }
    }
}

/// The sections of a BTF file, as ranges of its bytes.
struct Header {
    endian: Endian,
    types: Range<usize>,
    strings: Range<usize>,
    layout: Range<usize>,
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Header, BtfError> {
        let cut = BtfError::cut("BTF header");
        let endian = endian_of(bytes, "BTF")?;
        let mut c = Cursor::new(bytes, endian).at(2);
        let version = c.u8().map_err(&cut)?;
        if version != 1 {
            return Err(BtfError::Header { what: "its version is not 1", value: version.into() });
        }
        c.u8().map_err(&cut)?;
        let [len, type_off, type_len, str_off, str_len] = words(&mut c).map_err(&cut)?;
        // Linux 7.2 has two more fields; a header that ends before them has no layout section.
        let [layout_off, layout_len] =
            if len as usize >= HEADER + 8 { words(&mut c).map_err(&cut)? } else { [0; 2] };
        let wrong = |what, value: u32| Err(BtfError::Header { what, value: value.into() });
        if (len as usize) < HEADER {
            return wrong("its length is below 24", len);
        }
        let section = |off: u32, size: u32| -> Option<Range<usize>> {
            let start = (len as usize).checked_add(off as usize)?;
            let end = start.checked_add(size as usize)?;
            (end <= bytes.len()).then_some(start..end)
        };
        let Some(strings) = section(str_off, str_len) else {
            return wrong("the string section ends past the file", str_len);
        };
        let Some(types) = section(type_off, type_len).filter(|t| t.end <= strings.start) else {
            return wrong("the type section does not end before the strings", type_len);
        };
        if type_off % 4 != 0 {
            return wrong("the type section is not aligned to 4 bytes", type_off);
        }
        if layout_len == 0 {
            return Ok(Header { endian, types, strings, layout: 0..0 });
        }
        if layout_off % 4 != 0 || layout_len % 4 != 0 {
            return wrong("the layout section is not made of 4-byte records", layout_off | layout_len);
        }
        match section(layout_off, layout_len).filter(|l| types.end <= l.start && l.end <= strings.start) {
            Some(layout) => Ok(Header { endian, types, strings, layout }),
            None => wrong("the layout section is not between types and strings", layout_off),
        }
    }

    fn check_strings(&self, bytes: &[u8], split: bool) -> Result<(), BtfError> {
        let strings = bytes.get(self.strings.clone()).unwrap_or_default();
        match (strings.first(), strings.last()) {
            (None, _) if split => Ok(()),
            (None, _) => Err(BtfError::Header { what: "the string section is empty", value: 0 }),
            (Some(first), _) if !split && *first != 0 => Err(BtfError::NeedsBase),
            (_, Some(0)) => Ok(()),
            (_, last) => {
                let value = last.map_or(0, |&b| b.into());
                Err(BtfError::Header { what: "the last string has no NUL", value })
            }
        }
    }
}

/// Tells the byte order from the magic number.
pub(super) fn endian_of(bytes: &[u8], what: &'static str) -> Result<Endian, BtfError> {
    let found = Cursor::new(bytes, Endian::Little).u16().map_err(BtfError::cut("magic number"))?;
    match found {
        MAGIC => Ok(Endian::Little),
        m if m.swap_bytes() == MAGIC => Ok(Endian::Big),
        found => Err(BtfError::Magic { what, found }),
    }
}

/// The next `N` words.
pub(super) fn words<const N: usize>(c: &mut Cursor<'_>) -> Result<[u32; N], crate::bytes::Truncated> {
    let mut out = [0; N];
    for word in &mut out {
        *word = c.u32()?;
    }
    Ok(out)
}

/// The shapes of the known kinds, and of those that the layout section describes.
///
/// A row of the layout section is `{ u8 info_sz; u8 elem_sz; u16 flags }`, in the order of the kinds.
/// Only rows of kinds that this crate does not know are believed; a row with a size that is no multiple
/// of 4 says nothing. Split BTF without rows of its own uses its base's.
fn shapes(bytes: &[u8], head: &Header, base: Option<&Btf>) -> Result<Shapes, BtfError> {
    let own = bytes.get(head.layout.clone()).unwrap_or_default();
    let rows = if own.is_empty() { base.map_or(&[][..], |b| b.own_layout()) } else { own };
    let mut out = KNOWN;
    for (kind, row) in rows.chunks_exact(4).enumerate().take(128).skip(BtfKind::ALL.len()) {
        let (&[fixed, each, ..], true) = (row, kind < 128) else { continue };
        if fixed % 4 != 0 || each % 4 != 0 {
            continue;
        }
        for at in [kind, kind | 0x80] {
            if let Some(shape) = out.get_mut(at) {
                shape.fixed = HEAD as u16 + u16::from(fixed);
                shape.each = each.into();
            }
        }
    }
    Ok(out)
}

/// Where each type starts and the last one ends, and what ended the walk if it did not get to the end.
type Walk = (Vec<u32>, Option<BtfError>);

/// Steps over every record of the type section.
///
/// The length of each record must be known before the next one can be looked at, so this loop runs at
/// the speed of that chain: load, table, multiply, add. Runs of `FUNC`, nearly half of a kernel's
/// types, are stepped over by a branch that the processor predicts, which takes them off the chain.
fn walk<const LITTLE: bool>(section: &[u8], shapes: &Shapes, first_id: u32) -> Result<Walk, BtfError> {
    let mut starts = Vec::with_capacity(section.len() / (2 * HEAD));
    let mut at = 0usize;
    while let Some(head) = section.get(at..).and_then(|rest| rest.first_chunk::<HEAD>()) {
        starts.push(at as u32);
        let (kind, vlen) = kind_and_vlen::<LITTLE>(head);
        if kind == BtfKind::Func.0 {
            at = at.wrapping_add(HEAD); // `head` was there
            continue;
        }
        let shape = shapes[kind as usize]; // 256 shapes, one for each value of a byte
        if shape.fixed == 0 {
            let stop = BtfError::UnknownKind { id: number(first_id, &starts), kind: BtfKind(kind & 0x7f) };
            return Ok((starts, Some(stop)));
        }
        // At most 2^24 elements of 2^8 bytes.
        let end = at as u64 + u64::from(vlen) * u64::from(shape.each) + u64::from(shape.fixed);
        if end > section.len() as u64 {
            return Err(BtfError::Record { id: number(first_id, &starts), kind: BtfKind(kind & 0x7f) });
        }
        at = end as usize;
    }
    starts.push(at as u32);
    match section.len().saturating_sub(at) {
        0 => Ok((starts, None)),
        rest => Err(BtfError::Header { what: "bytes are left over after the last type", value: rest as u64 }),
    }
}

/// The number of the type that was pushed last.
fn number(first_id: u32, starts: &[u32]) -> TypeId {
    TypeId(first_id.saturating_add(starts.len() as u32).saturating_sub(1))
}

/// The byte with the kind and the kind flag, and the number of elements.
#[inline]
fn kind_and_vlen<const LITTLE: bool>(head: &[u8; HEAD]) -> (u8, u32) {
    match *head {
        [_, _, _, _, a, b, c, kind, ..] if LITTLE => (kind, u32::from_le_bytes([a, b, c, 0])),
        [_, _, _, _, kind, a, b, c, ..] => (kind, u32::from_be_bytes([0, a, b, c])),
    }
}
