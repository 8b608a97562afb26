//! Rust values that are their bytes: what the kernel copies in and out of maps.
//!
//! A key or value crosses the system call as bytes. A Rust type may cross as it is when every byte of it is
//! initialised (no padding) and any bytes make a valid value of it (no `bool`, no references). Such a type is
//! [`Plain`]. Integers and arrays are; a struct becomes so by [`plain!`](crate::plain), which checks both at
//! compile time, so that programs need no `unsafe` of their own.

use std::mem::MaybeUninit;

/// A type that is its bytes. Implement it with [`plain!`](crate::plain).
///
/// # Safety
/// No padding, no references, no interior mutability; any bytes are a valid value.
pub unsafe trait Plain: Copy + Send + Sync + 'static {
    /// The value whose bytes are all zero.
    fn zeroed() -> Self {
        // SAFETY: any bytes are a valid value of a Plain type, zeros too. Test:
        // `compile_fail::what_must_not_compile`.
        unsafe { MaybeUninit::zeroed().assume_init() }
    }

    /// Its bytes.
    fn bytes(&self) -> &[u8] {
        Self::slice_bytes(std::slice::from_ref(self))
    }

    /// Its bytes, to be written.
    fn bytes_mut(&mut self) -> &mut [u8] {
        Self::slice_bytes_mut(std::slice::from_mut(self))
    }

    /// The bytes of many, one after the other.
    fn slice_bytes(many: &[Self]) -> &[u8] {
        // SAFETY: the memory of the slice, all of it initialised because there is no padding. Test:
        // `compile_fail::what_must_not_compile`.
        unsafe { std::slice::from_raw_parts(many.as_ptr().cast(), size_of_val(many)) }
    }

    /// The bytes of many, to be written.
    fn slice_bytes_mut(many: &mut [Self]) -> &mut [u8] {
        // SAFETY: as above, borrowed exclusively; whatever is written is a valid value. Test:
        // `compile_fail::what_must_not_compile`.
        unsafe { std::slice::from_raw_parts_mut(many.as_mut_ptr().cast(), size_of_val(many)) }
    }

    /// The value at the start of some bytes, at any address; `None` if they are too few.
    fn read(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..size_of::<Self>())?;
        let mut out = Self::zeroed();
        out.bytes_mut().copy_from_slice(bytes);
        Some(out)
    }

    /// The value at the start of some bytes, where it lies; `None` if they are too few, or if their address is
    /// no multiple of the type's alignment.
    fn cast(bytes: &[u8]) -> Option<&Self> {
        let bytes = bytes.get(..size_of::<Self>())?;
        let at = bytes.as_ptr().cast::<Self>();
        // SAFETY: long enough, aligned (checked here), and any bytes are a valid value. Test:
        // `sound_attacks::places_outside_of_an_arena`.
        at.is_aligned().then(|| unsafe { &*at })
    }
}

macro_rules! plain_numbers {
    ($($t:ty),*) => { $(
        // SAFETY: a number has no padding, and any bytes make one. Test: `compile_fail::what_must_not_compile`.
        unsafe impl Plain for $t {}
    )* };
}
plain_numbers!(u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64);

// SAFETY: no bytes at all. Test: `compile_fail::what_must_not_compile`.
unsafe impl Plain for () {}

// SAFETY: the elements lie side by side, without padding between them. Test: `compile_fail::what_must_not_compile`.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {}

/// Defines structs that are their bytes, for keys, values and events: `#[repr(C)]`, `Copy` and
/// [`Plain`](crate::maps::Plain).
///
/// It does not compile if a field is not `Plain` itself, or if there is padding between the fields or after
/// them. C has the same padding; give it a name (`pad: [u8; 3]`), as the kernel compares and hashes it.
///
/// ```
/// use rawbpf::maps::Plain;
/// rawbpf::plain! {
///     /// What a program counts.
///     #[derive(Debug, PartialEq)]
///     pub struct Stats {
///         /// How many.
///         pub packets: u64,
///         pub bytes: u32,
///         pub verdict: [u8; 4],
///     }
/// }
/// let stats = Stats { packets: 1, bytes: 64, verdict: *b"pass" };
/// assert_eq!(stats.bytes().len(), 16);
/// assert_eq!(Stats::read(stats.bytes()), Some(stats));
/// ```
///
/// ```compile_fail
/// rawbpf::plain! { pub struct Holes { pub small: u8, pub large: u64 } }
/// ```
///
/// ```compile_fail
/// rawbpf::plain! { pub struct NotPlain { pub truth: bool } }
/// ```
#[macro_export]
macro_rules! plain {
    ($(
        $(#[$meta:meta])* $vis:vis struct $name:ident {
            $($(#[$fmeta:meta])* $fvis:vis $field:ident: $ty:ty),* $(,)?
        }
    )*) => { $(
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy)]
        $vis struct $name { $($(#[$fmeta])* $fvis $field: $ty,)* }

        const _: () = {
            const fn plain<T: $crate::sys::Plain>() {}
            // Field by field, each where the one before it ends: a field that an attribute takes away, or the
            // alignment that one adds, is padding like any other. No field is counted that the struct does not have.
            #[allow(unused_mut)]
            let mut end = 0;
            $(
                plain::<$ty>();
                assert!(
                    ::core::mem::offset_of!($name, $field) == end,
                    concat!(stringify!($name), " has padding before `", stringify!($field), "`; give it a name, as in `pad: [u8; 3]`"),
                );
                end += ::core::mem::size_of::<$ty>();
            )*
            assert!(
                ::core::mem::size_of::<$name>() == end,
                concat!(stringify!($name), " has padding at its end; give it a name, as in `pad: [u8; 3]`"),
            );
        };

        // SAFETY: repr(C); all fields are Plain, each begins where the one before it ends, and nothing comes after
        // the last: all checked above (tests/compile_fail/plain_*.rs). Test: `compile_fail::what_must_not_compile`.
        unsafe impl $crate::sys::Plain for $name {}
    )* };
}
