//! Bytes that come from outside, read without ever panicking.
//!
//! Every parser of this crate (ELF sections, BTF, `.BTF.ext`, netlink replies, perf records) reads
//! through [`Cursor`]: each read is checked against the end of the slice, and a read past the end is a
//! [`Truncated`] that says where it happened and how many bytes were missing. Nothing here indexes,
//! unwraps or does unchecked arithmetic.

use std::fmt;

/// The byte order of a file: a BPF object is built for one (`bpfel`, `bpfeb`) and only a machine of the
/// same order can load it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endian {
    /// Least significant byte first (x86-64, arm64, riscv64; clang's `-target bpfel`).
    Little,
    /// Most significant byte first (s390x; clang's `-target bpfeb`).
    Big,
}

impl Endian {
    /// The byte order of the machine this code runs on, which is the only one `bpf(2)` accepts.
    pub const NATIVE: Endian = if cfg!(target_endian = "big") { Endian::Big } else { Endian::Little };

    /// Reads a `u16` in this byte order.
    pub fn u16(self, b: [u8; 2]) -> u16 {
        match self {
            Endian::Little => u16::from_le_bytes(b),
            Endian::Big => u16::from_be_bytes(b),
        }
    }

    /// Reads a `u32` in this byte order.
    pub fn u32(self, b: [u8; 4]) -> u32 {
        match self {
            Endian::Little => u32::from_le_bytes(b),
            Endian::Big => u32::from_be_bytes(b),
        }
    }

    /// Reads a `u64` in this byte order.
    pub fn u64(self, b: [u8; 8]) -> u64 {
        match self {
            Endian::Little => u64::from_le_bytes(b),
            Endian::Big => u64::from_be_bytes(b),
        }
    }

    /// Writes a `u16` in this byte order.
    pub fn put_u16(self, v: u16) -> [u8; 2] {
        match self {
            Endian::Little => v.to_le_bytes(),
            Endian::Big => v.to_be_bytes(),
        }
    }

    /// Writes a `u32` in this byte order.
    pub fn put_u32(self, v: u32) -> [u8; 4] {
        match self {
            Endian::Little => v.to_le_bytes(),
            Endian::Big => v.to_be_bytes(),
        }
    }

    /// Writes a `u64` in this byte order.
    pub fn put_u64(self, v: u64) -> [u8; 8] {
        match self {
            Endian::Little => v.to_le_bytes(),
            Endian::Big => v.to_be_bytes(),
        }
    }
}

impl fmt::Display for Endian {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Endian::Little => "little-endian",
            Endian::Big => "big-endian",
        })
    }
}

/// A read went past the end of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("needs {need} byte(s) at offset {at}, but the data is {len} byte(s) long")]
pub struct Truncated {
    /// Offset of the read, in bytes from the start of the data.
    pub at: usize,
    /// How many bytes the read wanted.
    pub need: usize,
    /// How long the data is.
    pub len: usize,
}

/// A checked reader over a byte slice, in one byte order.
///
/// ```
/// use rawbpf::bytes::{Cursor, Endian};
/// let mut c = Cursor::new(&[0x9f, 0xeb, 1], Endian::Little);
/// assert_eq!(c.u16()?, 0xeb9f);
/// assert!(c.u32().is_err());      // only one byte is left
/// assert_eq!(c.u8()?, 1);         // a failed read does not move
/// # Ok::<(), rawbpf::bytes::Truncated>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    data: &'a [u8],
    pos: usize,
    endian: Endian,
}

impl<'a> Cursor<'a> {
    /// A reader at the start of `data`.
    pub fn new(data: &'a [u8], endian: Endian) -> Cursor<'a> {
        Cursor { data, pos: 0, endian }
    }

    /// The same data, read from offset `pos` on; a `pos` past the end fails at the next read.
    pub fn at(self, pos: usize) -> Cursor<'a> {
        Cursor { pos, ..self }
    }

    /// Offset of the next read, in bytes from the start.
    pub fn pos(&self) -> usize {
        self.pos
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        self.data.len().saturating_sub(self.pos)
    }

    /// Byte order of the reads.
    pub fn endian(&self) -> Endian {
        self.endian
    }

    /// The next `n` bytes, borrowed from the data.
    pub fn bytes(&mut self, n: usize) -> Result<&'a [u8], Truncated> {
        let short = Truncated { at: self.pos, need: n, len: self.data.len() };
        let end = self.pos.checked_add(n).ok_or(short)?;
        let out = self.data.get(self.pos..end).ok_or(short)?;
        self.pos = end;
        Ok(out)
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Truncated> {
        let mut out = [0; N];
        out.copy_from_slice(self.bytes(N)?);
        Ok(out)
    }

    /// The next byte.
    pub fn u8(&mut self) -> Result<u8, Truncated> {
        Ok(self.array::<1>()?[0])
    }

    /// The next two bytes as a number.
    pub fn u16(&mut self) -> Result<u16, Truncated> {
        Ok(self.endian.u16(self.array()?))
    }

    /// The next four bytes as a number.
    pub fn u32(&mut self) -> Result<u32, Truncated> {
        Ok(self.endian.u32(self.array()?))
    }

    /// The next eight bytes as a number.
    pub fn u64(&mut self) -> Result<u64, Truncated> {
        Ok(self.endian.u64(self.array()?))
    }
}

/// The NUL-terminated string that starts at `at`, without its NUL; `None` when `at` is outside the
/// data or no NUL follows.
pub fn c_str(data: &[u8], at: usize) -> Option<&[u8]> {
    let tail = data.get(at..)?;
    let end = tail.iter().position(|&b| b == 0)?;
    tail.get(..end)
}
