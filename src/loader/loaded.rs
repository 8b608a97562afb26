//! What a plan becomes when its calls are made.

use std::path::PathBuf;

use super::run::VerifierLog;
use crate::maps::Map;
use crate::progs::Program;
use crate::sys::ArenaMapping;

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
    pub(super) arenas: Vec<(String, ArenaMapping)>,
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
    pub fn arena(&self, map: &str) -> Option<&ArenaMapping> {
        self.arenas.iter().find(|(name, _)| name == map).map(|(_, arena)| arena)
    }

    /// The pins that loading made (maps with `LIBBPF_PIN_BY_NAME`).
    pub fn new_pins(&self) -> &[PathBuf] {
        &self.new_pins
    }
}
