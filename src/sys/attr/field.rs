//! What the fields of `bpf_attr` are: numbers, pointers that borrow, descriptors that borrow, names of 16 bytes.

use std::ffi::CStr;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use crate::uapi::{AttachType, MapType, ProgType};

/// A pointer that the kernel reads through, as the u64 that `bpf_attr` holds. It borrows what it points
/// to, so the call cannot come after the memory is gone.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ptr<'a, T>(pub(in crate::sys) u64, PhantomData<&'a [T]>);

impl<'a, T> Ptr<'a, T> {
    /// "Not given".
    pub const NULL: Self = Ptr(0, PhantomData);

    /// Points to the elements of a slice; an empty slice is "not given".
    pub fn to(slice: &'a [T]) -> Self {
        if slice.is_empty() { Self::NULL } else { Ptr(slice.as_ptr() as u64, PhantomData) }
    }
}

impl<'a> Ptr<'a, u8> {
    /// Points to a NUL-terminated string.
    pub fn to_str(s: &'a CStr) -> Self {
        Ptr(s.as_ptr() as u64, PhantomData)
    }

    /// The address, for structs that hold pointers as plain numbers.
    pub(in crate::sys) fn address(&self) -> u64 {
        self.0
    }
}

/// A pointer that the kernel writes through. It borrows its target exclusively.
#[repr(transparent)]
pub struct PtrMut<'a, T>(pub(in crate::sys) u64, PhantomData<&'a mut [T]>);

impl<'a, T> PtrMut<'a, T> {
    /// "Not given".
    pub const NULL: Self = PtrMut(0, PhantomData);

    /// Points to the elements of a slice; an empty slice is "not given".
    pub fn to(slice: &'a mut [T]) -> Self {
        if slice.is_empty() { Self::NULL } else { PtrMut(slice.as_mut_ptr() as u64, PhantomData) }
    }

    /// The address, for structs that hold pointers as plain numbers.
    pub(in crate::sys) fn address(&self) -> u64 {
        self.0
    }

    /// Points to memory that the command at hand only reads, though others write through the same field.
    pub(in crate::sys) fn to_const(slice: &'a [T]) -> Self {
        if slice.is_empty() { Self::NULL } else { PtrMut(slice.as_ptr() as u64, PhantomData) }
    }
}

/// A file descriptor argument, 0 for "not given".
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fd<'a>(pub(in crate::sys) i32, PhantomData<BorrowedFd<'a>>);

impl<'a> Fd<'a> {
    /// "Not given".
    pub const NONE: Self = Fd(0, PhantomData);

    /// Borrows an open descriptor for the call.
    pub fn of(fd: &'a (impl AsFd + ?Sized)) -> Self {
        Fd(fd.as_fd().as_raw_fd(), PhantomData)
    }

    /// A borrowed descriptor, or "not given".
    pub fn borrow(fd: Option<BorrowedFd<'a>>) -> Self {
        fd.map_or(Fd::NONE, |fd| Fd(fd.as_raw_fd(), PhantomData))
    }

    /// Any number, for questions in which the kernel is to find no descriptor.
    pub(in crate::sys) fn number(number: i32) -> Self {
        Fd(number, PhantomData)
    }

    /// The number as the kernel sees it.
    pub fn raw(self) -> i32 {
        self.0
    }
}

/// What a hook belongs to: a descriptor of a cgroup, a map or a perf event, or the index of an interface, in the fields
/// that the kernel reads as either.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct TargetFd<'a>(i32, PhantomData<BorrowedFd<'a>>);

impl<'a> TargetFd<'a> {
    /// "Not given", or the network namespace of the calling thread.
    pub const NONE: Self = TargetFd(0, PhantomData);

    /// Borrows an open descriptor for the call.
    pub fn of(fd: &'a (impl AsFd + ?Sized)) -> Self {
        TargetFd(fd.as_fd().as_raw_fd(), PhantomData)
    }

    /// An interface index.
    pub fn ifindex(index: u32) -> Self {
        TargetFd(index as i32, PhantomData)
    }
}

impl Default for Fd<'_> {
    fn default() -> Self {
        Fd::NONE
    }
}

impl<T> Default for Ptr<'_, T> {
    fn default() -> Self {
        Ptr::NULL
    }
}

impl<T> Default for PtrMut<'_, T> {
    fn default() -> Self {
        PtrMut::NULL
    }
}

/// A program, map or BTF name as the kernel keeps it: at most 15 bytes and a NUL.
#[repr(transparent)]
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct ObjName(pub [u8; 16]);

impl ObjName {
    /// Cuts `name` to its first 15 bytes. The kernel accepts letters, digits, `_` and `.` (`.` since 5.2)
    /// and refuses anything else with `EINVAL`.
    #[doc(alias = "BPF_OBJ_NAME_LEN")]
    pub fn cut(name: &str) -> ObjName {
        let mut out = [0; 16];
        for (to, from) in out.iter_mut().take(15).zip(name.bytes()) {
            *to = from;
        }
        ObjName(out)
    }

    /// The name up to its NUL.
    pub fn text(&self) -> String {
        let bytes = self.0.split(|&b| b == 0).next().unwrap_or_default();
        String::from_utf8_lossy(bytes).into_owned()
    }
}

/// How a field shows in `rawbpf --explain`: nothing when it is zero.
#[doc(alias = "Field")]
pub trait AttrField {
    /// The value as text, `None` when it is the kernel's "not given".
    fn show(&self) -> Option<String>;
}

macro_rules! show_numbers {
    ($($t:ty),*) => { $(impl AttrField for $t {
        fn show(&self) -> Option<String> { (*self != 0).then(|| self.to_string()) }
    })* };
}
show_numbers!(u32, i32, u64);

macro_rules! show_enums {
    ($($t:ty),*) => { $(impl AttrField for $t {
        fn show(&self) -> Option<String> { (self.0 != 0).then(|| format!("{self:?}")) }
    })* };
}
show_enums!(MapType, ProgType);

impl AttrField for AttachType {
    fn show(&self) -> Option<String> {
        Some(format!("{self:?}"))
    }
}

impl<T> AttrField for Ptr<'_, T> {
    fn show(&self) -> Option<String> {
        (self.0 != 0).then(|| format!("{:#x}", self.0))
    }
}

impl<T> AttrField for PtrMut<'_, T> {
    fn show(&self) -> Option<String> {
        (self.0 != 0).then(|| format!("{:#x}", self.0))
    }
}

impl AttrField for Fd<'_> {
    fn show(&self) -> Option<String> {
        (self.0 != 0).then(|| self.0.to_string())
    }
}

impl AttrField for TargetFd<'_> {
    fn show(&self) -> Option<String> {
        (self.0 != 0).then(|| self.0.to_string())
    }
}

impl AttrField for ObjName {
    fn show(&self) -> Option<String> {
        (self.0[0] != 0).then(|| format!("\"{}\"", self.text()))
    }
}
