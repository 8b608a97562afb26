//! What all typed maps share: a map that was checked once, and access to its elements as Rust values.

use super::{ElemFlags, Map, MapError, Mismatch, Plain};
use crate::uapi::MapType;

/// What a Rust type expects of a key or a value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Size {
    /// So many bytes.
    Exactly(usize),
    /// Whatever the map has.
    Any,
}

/// Checks that a map is what a typed map takes it for.
pub(super) fn check(map: &Map, types: &'static [MapType], key: Size, value: Size) -> Result<(), MapError> {
    let info = map.info();
    let fail = |mismatch| Err(MapError::Mismatch { map: map.name().into(), mismatch });
    if !types.contains(&info.map_type) {
        return fail(Mismatch::Type { expected: types, found: info.map_type });
    }
    let differs = |size, found: u32| match size {
        Size::Exactly(expected) if expected != found as usize => Some((expected, found as usize)),
        _ => None,
    };
    if let Some((expected, found)) = differs(key, info.key_size) {
        return fail(Mismatch::Key { expected, found });
    }
    if let Some((expected, found)) = differs(value, info.value_size) {
        return fail(Mismatch::Value { expected, found });
    }
    Ok(())
}

/// Declares a typed map: a struct around a [`Map`], made by `try_from`, which checks the type and the sizes.
macro_rules! typed_map {
    (
        $(#[$meta:meta])*
        $name:ident<$($g:ident),*>: [$($map_type:ident),+], key: $key:expr, value: $value:expr
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone)]
        pub struct $name<$($g),*> {
            map: $crate::maps::Map,
            types: std::marker::PhantomData<fn() -> ($($g,)*)>,
        }

        impl<$($g: $crate::maps::Plain),*> $name<$($g),*> {
            /// The map itself.
            pub fn map(&self) -> &$crate::maps::Map {
                &self.map
            }
        }

        impl<$($g: $crate::maps::Plain),*> TryFrom<$crate::maps::Map> for $name<$($g),*> {
            type Error = $crate::maps::MapError;
            /// Takes a map, if its type and sizes are these.
            fn try_from(map: $crate::maps::Map) -> Result<Self, Self::Error> {
                const TYPES: &[$crate::uapi::MapType] = &[$($crate::uapi::MapType::$map_type),+];
                #[allow(unused_imports, reason = "not every map uses both")]
                use $crate::maps::typed::Size::{Any, Exactly};
                $crate::maps::typed::check(&map, TYPES, $key, $value)?;
                Ok($name { map, types: std::marker::PhantomData })
            }
        }

        impl<$($g: $crate::maps::Plain),*> TryFrom<&$crate::maps::Map> for $name<$($g),*> {
            type Error = $crate::maps::MapError;
            /// Shares a map, if its type and sizes are these.
            fn try_from(map: &$crate::maps::Map) -> Result<Self, Self::Error> {
                Self::try_from(map.clone())
            }
        }

        impl<$($g: $crate::maps::Plain),*> std::os::fd::AsFd for $name<$($g),*> {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                self.map.as_fd()
            }
        }
    };
}
pub(super) use typed_map;

/// Reads a value; `None` if there is no such element.
pub(super) fn get<V: Plain>(map: &Map, key: &[u8], flags: ElemFlags) -> Result<Option<V>, MapError> {
    let mut value = V::zeroed();
    let found = map.get_into(key, value.bytes_mut(), flags);
    Ok(found.map_err(MapError::sys(map, "read an element of"))?.then_some(value))
}

/// Writes a value.
pub(super) fn set(map: &Map, key: &[u8], value: &[u8], flags: ElemFlags) -> Result<(), MapError> {
    map.set(key, value, flags.0).map_err(MapError::sys(map, "write an element of"))
}

/// Removes an element; false if there was none.
pub(super) fn delete(map: &Map, key: &[u8]) -> Result<bool, MapError> {
    map.delete(key).map_err(MapError::sys(map, "delete an element of"))
}

/// Removes an element and returns its value.
pub(super) fn take<V: Plain>(map: &Map, key: &[u8]) -> Result<Option<V>, MapError> {
    let bytes = map.take(key).map_err(MapError::sys(map, "take an element out of"))?;
    Ok(bytes.as_deref().and_then(V::read))
}
