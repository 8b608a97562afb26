//! What a plan becomes when its calls are made.

use std::path::PathBuf;

use super::load_error::VerifierLog;
use crate::btf::{BtfKind, Kind};
use crate::elf::GlobalError;
use crate::maps::{Map, Plain, Section, Variable};
use crate::progs::Program;
use crate::sys::SharedMapping;

/// A loaded object: its maps and programs, each an open descriptor. Dropping it unloads what nothing else
/// holds: no pin, no link, no other process.
#[derive(Debug)]
pub struct Loaded {
    pub(super) name: String,
    pub(super) maps: Vec<Option<Map>>,
    pub(super) programs: Vec<Program>,
    pub(super) new_pins: Vec<PathBuf>,
    pub(super) logs: Vec<VerifierLog>,
    pub(super) callbacks: Vec<(String, Vec<u8>)>,
    pub(super) arenas: Vec<(String, SharedMapping)>,
}

impl Loaded {
    /// The object's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The map of this name.
    pub fn map(&self, name: &str) -> Option<&Map> {
        self.maps().find(|m| m.name() == name)
    }

    /// The global variable of this name, while its programs run: the counterpart of
    /// [`Object::global`](crate::Object::global), which sets it before they are loaded.
    ///
    /// ```no_run
    /// # fn count(loaded: &rawbpf::Loaded) -> Result<(), Box<dyn std::error::Error>> {
    /// let lost = loaded.variable::<u64>("lost")?;
    /// println!("{} were lost", lost.get()?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`GlobalError`]: no such variable (with the nearest names), or one that does not have the size of `V`.
    pub fn variable<V: Plain>(&self, name: &str) -> Result<Variable<V>, GlobalError> {
        let mut known = Vec::new();
        for map in self.maps() {
            let Some(btf) = map.btf() else { continue };
            let section = btf.find(map.name(), BtfKind::Datasec).ok().and_then(|id| btf.ty(id).ok());
            let Some(Kind::Datasec(vars)) = section.map(|s| s.kind) else { continue };
            for var in vars {
                let Ok(found) = btf.ty(var.ty) else { continue };
                if found.name != name {
                    known.push(found.name.to_string());
                    continue;
                }
                let (expected, found) = (var.size as usize, size_of::<V>());
                let wrong = || GlobalError::As { name: name.into(), expected, found };
                let variable = (expected == found).then(|| Section::new(map).variable(var.offset));
                return variable.and_then(Result::ok).ok_or_else(wrong);
            }
        }
        Err(GlobalError::unknown("global variable", name, known))
    }

    /// The program of this name.
    pub fn program(&self, name: &str) -> Option<&Program> {
        self.programs.iter().find(|p| p.name() == name)
    }

    /// All maps, in the object's order.
    pub fn maps(&self) -> impl Iterator<Item = &Map> {
        self.maps.iter().flatten()
    }

    /// All programs, in the object's order.
    pub fn programs(&self) -> impl Iterator<Item = &Program> {
        self.programs.iter()
    }

    /// Takes the maps and programs out, for types that own them one by one.
    pub fn into_parts(self) -> (Vec<Map>, Vec<Program>) {
        (self.maps.into_iter().flatten().collect(), self.programs)
    }

    /// Verifier logs of programs that were loaded with a log level.
    pub fn logs(&self) -> &[VerifierLog] {
        &self.logs
    }

    /// The value of a struct_ops map, with the descriptors of its programs: what
    /// [`struct_ops::register`](crate::links::struct_ops::register) takes.
    #[doc(alias = "bpf_map__attach_struct_ops")]
    pub fn struct_ops_value(&self, map: &str) -> Option<&[u8]> {
        self.callbacks.iter().find(|(name, _)| name == map).map(|(_, value)| value.as_slice())
    }

    /// The memory of an arena map, mapped where its programs expect it.
    pub fn arena(&self, map: &str) -> Option<&SharedMapping> {
        self.arenas.iter().find(|(name, _)| name == map).map(|(_, arena)| arena)
    }

    /// The pins that loading made (maps with `LIBBPF_PIN_BY_NAME`).
    pub fn new_pins(&self) -> &[PathBuf] {
        &self.new_pins
    }
}
