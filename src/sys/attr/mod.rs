//! One struct for each command of `bpf(2)`, laid out as the kernel reads it.
//!
//! `union bpf_attr` in `include/uapi/linux/bpf.h` is a union of about forty structs. Here each is a
//! type of its own, made by the macro `attr!`, which also
//! * asserts at compile time that the struct has no padding (the kernel would read rubbish there),
//! * makes the all-zero value (`Default`): zero is the kernel's "not given" everywhere,
//! * lists the fields that are set, by their UAPI names, for `rawbpf --explain`.
//!
//! The layouts are checked against the running kernel's own BTF by a test.
//!
//! ```text
//!   field      Ptr, Fd, ObjName: what a field may be
//!   object     pins, ids, infos: what is done with every kind of object
//!   map        making a map, reading and writing it
//!   program    loading a program and what goes with it, running it
//!   link       attaching: links, and the calls that are older than links
//! ```

mod field;
mod link;
mod map;
mod object;
mod program;

pub use field::{AttrField, Fd, ObjName, Ptr, PtrMut, TargetFd};
pub use link::*;
pub use map::*;
pub use object::*;
pub use program::*;

/// What a `bpf(2)` command takes.
///
/// # Safety
/// The type must be `#[repr(C)]`, without padding, and laid out as the kernel expects for the command that
/// it is passed with.
pub unsafe trait Attr {
    /// The fields that are set, as (UAPI name, value).
    fn fields(&self) -> Vec<(&'static str, String)>;
}

macro_rules! attr {
    ($(#[$meta:meta])* $name:ident $(<$lt:lifetime>)? {
        $($(#[$fmeta:meta])* $field:ident: $ty:ty,)*
    }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Default)]
        pub struct $name $(<$lt>)? { $($(#[$fmeta])* pub $field: $ty,)* }

        impl $(<$lt>)? $name $(<$lt>)? {
            /// The kernel would read padding, so there must be none.
            #[allow(dead_code, reason = "compilers before 1.90 do not see the use below")]
            const NO_PADDING: () = assert!(
                size_of::<Self>() == 0 $(+ size_of::<$ty>())*,
                concat!(stringify!($name), " has padding"),
            );
        }
        const _: () = $name::NO_PADDING;

        impl $(<$lt>)? fmt::Debug for $name $(<$lt>)? {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut s = f.debug_struct(stringify!($name));
                for (name, value) in self.fields() {
                    s.field(name, &format_args!("{value}"));
                }
                s.finish()
            }
        }

        // SAFETY: repr(C), no padding (asserted above), the kernel's layout (checked against BTF by a test). Test:
        // `attr::the_attributes_of_every_command`.
        unsafe impl $(<$lt>)? Attr for $name $(<$lt>)? {
            fn fields(&self) -> Vec<(&'static str, String)> {
                let mut out = Vec::new();
                $(if let Some(v) = self.$field.show() { out.push((stringify!($field), v)); })*
                out
            }
        }
    };
}

use attr;
