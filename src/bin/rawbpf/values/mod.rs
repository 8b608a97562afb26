//! Keys and values as text and as JSON: by their BTF types, or as bytes in hex.

pub(crate) mod event_type;
pub(crate) mod input;
pub(crate) mod json;
pub(crate) mod printer;

use std::sync::Arc;

use rawbpf::Map;
use rawbpf::btf::{Btf, BtfBuilder, IntEncoding, TypeId};
use rawbpf::uapi::MapType;
use serde_json::Value as Json;

use crate::values::input::Shape;
use crate::values::json::read;
use crate::values::printer::Printer;

/// How the keys and values of one map are read and written.
pub(crate) struct Codec {
    key: Form,
    value: Form,
}

/// What a key or a value is: a type of some BTF, and its size. Without a type it is bytes.
struct Form {
    btf: Option<Arc<Btf>>,
    ty: TypeId,
    size: usize,
}

impl Form {
    fn shape(&self, what: &'static str) -> Shape<'_> {
        let ty = self.btf.as_deref().filter(|_| self.ty != TypeId(0)).map(|btf| (btf, self.ty));
        Shape { what, size: self.size, ty }
    }

    /// A number that no type describes: the index of an array, as of global variables, or the id of a map or program.
    fn number() -> Form {
        let mut b = BtfBuilder::new();
        let ty = b.int("unsigned int", 4, IntEncoding::UNSIGNED);
        let btf = b.to_bytes().ok().and_then(|bytes| Btf::parse(bytes).ok());
        Form { btf: btf.map(Arc::new), ty, size: 4 }
    }
}

impl Codec {
    pub(crate) fn of(map: &Map) -> Codec {
        let info = map.info();
        let form = |ty: TypeId, size: u32| Form { btf: map.btf().cloned(), ty, size: size as usize };
        let is_index = rawbpf::sys::map::is_indexed(info.map_type);
        let key = match info.key_type {
            TypeId(0) if is_index => Form::number(),
            ty => form(ty, info.key_size),
        };
        let value = match info.map_type {
            MapType::ArrayOfMaps | MapType::HashOfMaps | MapType::ProgArray => Form::number(),
            _ => form(info.value_type, info.value_size),
        };
        Codec { key, value }
    }

    /// A key, for people and for programs.
    pub(crate) fn key(&self, bytes: &[u8]) -> (String, Json) {
        read(self.key.btf.as_ref(), self.key.ty, bytes)
    }

    /// A value, for people and for programs.
    pub(crate) fn value(&self, bytes: &[u8]) -> (String, Json) {
        read(self.value.btf.as_ref(), self.value.ty, bytes)
    }

    /// How keys are written.
    pub(crate) fn key_shape(&self) -> Shape<'_> {
        self.key.shape("key")
    }

    /// How values are written.
    pub(crate) fn value_shape(&self) -> Shape<'_> {
        self.value.shape("value")
    }

    /// How many keys are printed.
    pub(crate) fn key_printer(&self) -> Printer {
        Printer::of(self.key.btf.as_ref(), self.key.ty)
    }

    /// How many values are printed.
    pub(crate) fn value_printer(&self) -> Printer {
        Printer::of(self.value.btf.as_ref(), self.value.ty)
    }
}
