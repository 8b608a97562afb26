//! Names: the NUL-terminated strings of the string section, and CO-RE's flavours of them.

use super::StrOff;
use std::borrow::Cow;
use std::fmt;

/// A name in the string section.
///
/// It is not a `&str`: nothing promises that a name is UTF-8 (though every compiler writes ASCII), and
/// most names are only ever compared with one other. So a `Name` remembers where it starts, and looks
/// for its end only when asked. Compare it with text directly; `Display` shows what is not UTF-8 as
/// `U+FFFD`.
#[derive(Clone, Copy)]
pub struct Name<'a> {
    /// From the first byte of the name to the end of the string section.
    tail: &'a [u8],
    offset: StrOff,
}

impl<'a> Name<'a> {
    /// The name at the start of `tail`, up to its first NUL.
    pub(super) fn new(tail: &'a [u8], offset: StrOff) -> Name<'a> {
        Name { tail, offset }
    }

    /// The name of something anonymous.
    pub(super) const EMPTY: Name<'static> = Name { tail: &[], offset: StrOff::NONE };

    /// From the first byte of the name to the end of the string section.
    pub(super) fn tail(self) -> &'a [u8] {
        self.tail
    }

    /// Where the name is in the string section.
    pub fn offset(self) -> StrOff {
        self.offset
    }

    /// Whether there is no name: an anonymous struct, a pointer, an unnamed parameter.
    #[inline]
    pub fn is_empty(self) -> bool {
        matches!(self.tail.first(), None | Some(0))
    }

    /// The bytes of the name, without the NUL.
    pub fn as_bytes(self) -> &'a [u8] {
        until_nul(self.tail)
    }

    /// The name as text; bytes that are not UTF-8 become `U+FFFD`.
    pub fn to_str(self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.as_bytes())
    }

    /// Whether the name is exactly `bytes`.
    #[inline]
    pub fn is(self, bytes: &[u8]) -> bool {
        match self.tail.strip_prefix(bytes) {
            Some(rest) => matches!(rest.first(), None | Some(0)) && !bytes.contains(&0),
            None => false,
        }
    }

    /// The name without its flavour, as in [`essential_name`].
    pub fn essential(self) -> &'a [u8] {
        essential(self.as_bytes())
    }
}

impl PartialEq<str> for Name<'_> {
    fn eq(&self, other: &str) -> bool {
        self.is(other.as_bytes())
    }
}

impl PartialEq<&str> for Name<'_> {
    fn eq(&self, other: &&str) -> bool {
        self.is(other.as_bytes())
    }
}

impl PartialEq for Name<'_> {
    fn eq(&self, other: &Name<'_>) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Name<'_> {}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.to_str())
    }
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_str())
    }
}

/// A type name without its *flavour*, the suffix from `___` on.
///
/// A BPF program that must read `task_struct` of two kernels defines it twice, as `task_struct` and as
/// `task_struct___old`; CO-RE looks both up as `task_struct`. The cut is at the last `___` that has
/// a character other than `_` on both sides, as libbpf does it.
///
/// ```
/// use rawbpf::btf::essential_name;
/// assert_eq!(essential_name("task_struct___old"), "task_struct");
/// assert_eq!(essential_name("a___b___c"), "a___b");
/// assert_eq!(essential_name("task_struct"), "task_struct");
/// assert_eq!(essential_name("a____b"), "a____b");     // four underscores are no separator
/// assert_eq!(essential_name("___b"), "___b");         // nothing would be left
/// ```
pub fn essential_name(name: &str) -> &str {
    name.get(..essential(name.as_bytes()).len()).unwrap_or(name)
}

/// The bytes before the first NUL.
pub(super) fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|&b| b == 0).next().unwrap_or_default()
}

/// As [`essential_name`], of bytes.
pub(super) fn essential(name: &[u8]) -> &[u8] {
    let separator = |w: &[u8]| matches!(w, [a, b'_', b'_', b'_', z] if *a != b'_' && *z != b'_');
    let cut = name.windows(5).rposition(separator);
    cut.and_then(|at| name.get(..at.saturating_add(1))).unwrap_or(name)
}
