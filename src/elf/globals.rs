//! Global variables, set before the object is loaded.
//!
//! ```c
//! const volatile int target_pid = 0;           // .rodata: a constant for the verifier, which drops dead branches
//! struct { bool verbose; } cfg = {};           // .bss: nothing in the file but its length
//! ```
//!
//! A global lives at an offset of a data section, and the section becomes the first contents of a map. Setting
//! a global is writing those bytes, by the variable's BTF type:
//!
//! ```text
//!   "cfg.verbose" ──► variable `cfg` of DATASEC .bss, offset 8 ──► member at bit 0 ──► contents[8] = 1
//! ```

use std::fmt;
use std::sync::Arc;

use super::section::distance;
use super::{DataKind, MapDef, MapOrigin, Object};
use crate::btf::{
    Btf, BtfError, BtfKind, EncodeError, Kind, Literal, SyntaxError, TypeId, decode, encode_into,
};
use crate::uapi::MapType;

/// Why a global, or something else that is named, cannot be set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GlobalError {
    /// There is no such thing in the object.
    #[error("the object has no {what} `{name}`{near}")]
    Unknown {
        /// What was looked for.
        what: &'static str,
        /// Its name.
        name: String,
        /// The nearest names there are, as text that begins with `; `; empty if there are none.
        near: String,
    },
    /// A value of the kernel's configuration is not the object's to set.
    #[error("`{name}` is a value of the kernel's configuration")]
    Kconfig {
        /// The variable.
        name: String,
    },
    /// The object does not say of which type its globals are.
    #[error("the object has no BTF, so its globals have no names; compile with `clang -g`")]
    NoBtf,
    /// The text is no value.
    #[error("cannot set `{name}`")]
    Syntax {
        /// The variable, with the path in it.
        name: String,
        /// Where the text is wrong.
        source: SyntaxError,
    },
    /// The value does not fit the type.
    #[error("cannot set `{name}`")]
    Value {
        /// The variable, with the path in it.
        name: String,
        /// What does not fit, and what would.
        source: EncodeError,
    },
    /// The bytes are too many or too few.
    #[error("cannot set `{name}`: it has {expected} bytes, and the value has {found}")]
    Size {
        /// The variable.
        name: String,
        /// Its size in bytes.
        expected: usize,
        /// The size of the value.
        found: usize,
    },
    /// A loaded variable was asked for as a value of another size.
    #[error("`{name}` has {expected} bytes, and what it is to be read as has {found}")]
    As {
        /// The variable.
        name: String,
        /// Its size in bytes.
        expected: usize,
        /// The size of the type that was asked for.
        found: usize,
    },
    /// There is no such member, or the type is damaged.
    #[error("cannot set `{name}`")]
    Type {
        /// The variable, with the path in it.
        name: String,
        /// What is wrong.
        source: BtfError,
    },
}

impl GlobalError {
    /// There is nothing of this name, and nothing to name in its place.
    pub(crate) fn absent(what: &'static str, name: &str) -> GlobalError {
        GlobalError::Unknown { what, name: name.into(), near: String::new() }
    }

    /// Nothing is called so; the nearest of the `known` names are told.
    pub(crate) fn unknown(what: &'static str, name: &str, mut known: Vec<String>) -> GlobalError {
        known.sort_by_key(|k| (distance(k, name), k.clone()));
        let total = known.len();
        known.truncate(5);
        let near = match total {
            0 => "; it has none".to_string(),
            n if n <= 5 => format!("; it has: {}", known.join(", ")),
            n => format!("; nearest of its {n}: {}", known.join(", ")),
        };
        GlobalError::Unknown { what, name: name.into(), near }
    }
}

/// A global variable of an object, or a part of one, before the object is loaded.
#[derive(Debug)]
pub struct Global<'o> {
    map: &'o mut MapDef,
    btf: Arc<Btf>,
    /// As it was asked for: `cfg.limits[2]`.
    name: String,
    /// What follows the variable's own name: `.limits[2]`.
    path: String,
    ty: TypeId,
    offset: usize,
    size: usize,
}

/// A global variable as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GlobalVar {
    /// Its name.
    pub name: String,
    /// The data section it is in.
    pub section: String,
    /// Its declaration, as C writes it.
    pub declaration: String,
    /// Its BTF type.
    pub ty: TypeId,
    /// Bytes from the start of the section.
    pub offset: u32,
    /// Bytes.
    pub size: u32,
}

/// A variable, and the map that it is in.
struct Place {
    map: usize,
    ty: TypeId,
    offset: u32,
    size: u32,
}

/// The section whose variables a map holds.
fn section_of(map: &MapDef) -> Option<&str> {
    match &map.origin {
        MapOrigin::Data { section, .. } => Some(section),
        MapOrigin::Declared if map.map_type == MapType::Arena => Some(".addr_space.1"),
        _ => None,
    }
}

impl Object {
    /// The global variables of this object, section by section, those of `.kconfig` left out.
    pub fn globals(&self) -> Vec<GlobalVar> {
        let Some(btf) = self.btf.as_deref() else { return Vec::new() };
        let mut out = Vec::new();
        self.each_global(btf, |name, section, place| {
            if section != ".kconfig" {
                let declaration = btf.render_decl(place.ty, &name).unwrap_or_default();
                let Place { ty, offset, size, .. } = place;
                out.push(GlobalVar { name, section: section.into(), declaration, ty, offset, size });
            }
        });
        out
    }

    fn each_global(&self, btf: &Btf, mut each: impl FnMut(String, &str, Place)) {
        for (map, def) in self.maps.iter().enumerate() {
            let Some(section) = section_of(def) else { continue };
            let datasec = btf.find(section, BtfKind::Datasec).and_then(|id| btf.ty(id));
            let Ok(Kind::Datasec(vars)) = datasec.map(|d| d.kind) else { continue };
            for info in vars {
                let Ok(var) = btf.ty(info.ty) else { continue };
                let Kind::Var { ty, .. } = var.kind else { continue };
                each(var.name.to_string(), section, Place { map, ty, offset: info.offset, size: info.size });
            }
        }
    }

    /// A global variable, or a part of one (`cfg.verbose`, `table[3]`, `cfg.limits[2].max`), to be set before the
    /// object is loaded.
    ///
    /// ```
    /// use rawbpf::Object;
    /// use rawbpf::elf::Ty;
    /// let mut object = Object::builder("example").data(".data", &[], &[("target_pid", Ty::U32)]).finish()?;
    /// object.global("target_pid")?.set(1234)?;
    /// assert_eq!(object.global("target_pid")?.bytes(), 1234u32.to_ne_bytes());
    /// let e = object.global("target_pid")?.set(-1).unwrap_err();
    /// assert!(std::error::Error::source(&e).unwrap().to_string().contains("it takes 0 to 4294967295"));
    /// assert!(object.global("targetpid").unwrap_err().to_string().contains("target_pid"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`GlobalError`]: no such variable (with the nearest names), or one that is not the object's to set.
    pub fn global(&mut self, name: &str) -> Result<Global<'_>, GlobalError> {
        let btf = self.btf.clone().ok_or(GlobalError::NoBtf)?;
        let end = name.find(['.', '[']).unwrap_or(name.len());
        let (base, path) = name.split_at_checked(end).unwrap_or((name, ""));
        let mut found = None;
        let mut known = Vec::new();
        self.each_global(&btf, |var, _, place| {
            if var == base {
                found.get_or_insert(place);
            }
            known.push(var);
        });
        let Some(Place { map, ty, offset, size }) = found else {
            return Err(GlobalError::unknown("global variable", base, known));
        };
        let Some(def) = self.maps.get_mut(map) else {
            return Err(GlobalError::unknown("global variable", base, known));
        };
        if matches!(def.origin, MapOrigin::Data { kind: DataKind::Kconfig, .. }) {
            return Err(GlobalError::Kconfig { name: base.into() });
        }
        let (offset, size) = (offset as usize, size as usize);
        Ok(Global { map: def, btf, name: name.into(), path: path.into(), ty, offset, size })
    }
}

impl Global<'_> {
    /// Sets it to a value, which is anything that shows as one: a number, `true`, the name of an enumerator,
    /// `{verbose: true, limits: [1, 2]}`, text in double quotes; see [`Literal`].
    ///
    /// # Errors
    /// [`GlobalError`], with the range that the type takes.
    pub fn set(&mut self, value: impl fmt::Display) -> Result<(), GlobalError> {
        let literal = Literal::parse(&value.to_string())
            .map_err(|source| GlobalError::Syntax { name: self.name.clone(), source })?;
        self.set_literal(&literal)
    }

    /// As [`Global::set`], for a value that has been read already.
    ///
    /// # Errors
    /// [`GlobalError`], with the range that the type takes.
    pub fn set_literal(&mut self, value: &Literal) -> Result<(), GlobalError> {
        let name = self.name.clone();
        let wrong = |source| GlobalError::Type { name: name.clone(), source };
        let part = self.btf.field(self.ty, &self.path).map_err(wrong)?;
        // A bitfield has no bytes of its own: its whole variable is written, and keeps all else.
        let fields;
        let (ty, skip, value) = if part.bit_size == 0 {
            (part.ty, (part.bit_offset / 8) as usize, value)
        } else {
            let path = self.path.strip_prefix('.').unwrap_or(&self.path).to_string();
            fields = Literal::Fields(vec![(path, value.clone())]);
            (self.ty, 0, &fields)
        };
        let need = self.btf.size_of(ty).map_err(|source| GlobalError::Type { name: name.clone(), source })?;
        let btf = self.btf.clone();
        let bytes = self.bytes_mut();
        let bytes = bytes.get_mut(skip..skip.saturating_add(need as usize)).unwrap_or_default();
        encode_into(&btf, ty, value, bytes).map_err(|source| GlobalError::Value { name, source })
    }

    /// As [`Global::set`], for the bytes of a value of the whole variable, as a program has it in memory.
    ///
    /// # Errors
    /// [`GlobalError::Size`] if the variable has another size.
    pub fn set_bytes(&mut self, value: &[u8]) -> Result<(), GlobalError> {
        let (name, size) = (self.name.clone(), self.size);
        if value.len() != size {
            return Err(GlobalError::Size { name, expected: size, found: value.len() });
        }
        self.bytes_mut().copy_from_slice(value);
        Ok(())
    }

    /// The bytes of the whole variable; empty if they are still to be made of zeros.
    pub fn bytes(&self) -> &[u8] {
        let all = self.map.contents.as_deref().unwrap_or_default();
        all.get(self.offset..self.offset.saturating_add(self.size)).unwrap_or_default()
    }

    /// The bytes of the whole variable, to be changed. Those of `.bss` exist from now on.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let len = self.offset.saturating_add(self.size);
        let section = self.map.value_size as usize;
        let all = self.map.contents.get_or_insert_with(|| vec![0; section]);
        all.get_mut(self.offset..len).unwrap_or_default()
    }

    /// Its value as text: that of the whole variable, in the form in which it can be set.
    pub fn value(&self) -> String {
        let zeros = vec![0; if self.map.contents.is_none() { self.size } else { 0 }];
        let bytes = if zeros.is_empty() { self.bytes() } else { &zeros };
        decode(&self.btf, self.ty, bytes).map(|v| v.to_string()).unwrap_or_default()
    }

    /// Its declaration, as C writes it.
    pub fn declaration(&self) -> String {
        let var = self.name.split(['.', '[']).next().unwrap_or_default();
        self.btf.render_decl(self.ty, var).unwrap_or_default()
    }
}
