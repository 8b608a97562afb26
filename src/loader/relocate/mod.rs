//! CO-RE, *compile once, run everywhere*: accesses to kernel structs, fitted to the kernel at hand.
//!
//! # The problem
//!
//! `task->pid` is compiled to "load 4 bytes at offset 24", and the offset is that of the `task_struct` in
//! the header the compiler saw. The kernel that runs the program has its own `task_struct`, with other
//! members before `pid`; the load would read something else, silently. Compiling on every machine solves
//! it, at the price of a compiler and kernel headers on every machine.
//!
//! # The kernel's view
//!
//! The kernel need not know of all this. It publishes its types as BTF, and takes programs with plain
//! numbers in them. Everything between is the loader's work.
//!
//! # What the compiler leaves
//!
//! For a type marked `preserve_access_index`, clang writes down what each offset *means*: a relocation
//! names an instruction, a type of the object, a path into that type, and what is asked about the place
//! where the path ends.
//!
//! ```text
//!   struct task_struct { struct thread_info i; struct { long a; int tgid, pid; }; };    the program's
//!
//!   r1 = *(u32 *)(r1 + 28)  ◄──  byte_off  [7] struct task_struct  "0:1:2"
//!                    │                                              │ │ └ third member: pid
//!                    │                                              │ └── second member (anonymous)
//!                    │              this kernel's task_struct       └──── the struct itself, not the next
//!                    │              pid: at 2460
//!                    ▼
//!   r1 = *(u32 *)(r1 + 2460)
//! ```
//!
//! The path is turned into what a C programmer would say (`.pid`), and that is looked for in the kernel's
//! type of the same name. So members may move, may enter or leave anonymous structs, and may change their
//! size; only their names count, and that the types are of one sort.
//!
//! What is asked is one of thirteen questions about three sorts of things:
//!
//! ```text
//!   a field    byte_off  byte_sz  signed  lshift_u64  rshift_u64     no such field: poison
//!              field_exists                                          no such field: 0
//!   a type     local_type_id                                         never missing
//!              target_type_id  type_size  type_exists  type_matches  no such type: 0
//!   an enum's  enumval_value                                         no such value: poison
//!   value      enumval_exists                                        no such value: 0
//! ```
//!
//! *Poison* is a call of a helper that does not exist, in place of the instruction. A program may ask
//! `bpf_core_field_exists()` first, and then the verifier never gets to the poisoned branch; if it does
//! get there, it refuses the program, and the text kept beside the poison says what is missing. So a field
//! that this kernel lacks is no error here. A relocation that makes no sense is one.
//!
//! # One relocation, file by file
//!
//! | step | file |
//! |---|---|
//! | follow the path through the program's types | `spec` |
//! | find the kernel's types of the same name, in vmlinux or else in modules | `candidates` |
//! | look for the same place in each of them | `matching`, and for whole types `compat`, `types_match` |
//! | compute the number for the program's type and for the kernel's | `value` |
//! | put it into the instruction, if the old number is the expected one | `patch` |
//! | or say why there is none | `explain` |
//!
//! Several candidates are fine as long as all that match give the same number. The rules are libbpf's, to
//! the letter: objects are written against them.

mod candidates;
mod compat;
mod error;
mod explain;
mod fault;
mod matching;
mod minimal;
mod patch;
mod spec;
mod types_match;
mod value;
mod work;

pub use error::CoreError;
pub use fault::CoreFault;
pub use minimal::{MinimalBtf, MinimalError, minimal_btf};

use self::candidates::{Candidate, Candidates};
use self::matching::{Match, Mismatch};
use self::patch::Patched;
use self::spec::Spec;
use self::value::{Answer, Change};
use self::work::Work;
use super::poison::Poison;
use crate::btf::{Btf, CoreRelo, CoreReloKind, TypeId};
use crate::elf::Function;
use crate::insn::{InsnIx, RawInsn};
use crate::kernel::Kernel;

/// Whether a type of an object and one of a kernel are of the same sort, as for a variable or a function
/// of the kernel that the object declares. The names of the two are not compared, nor are sizes.
#[doc(alias = "bpf_core_types_are_compat")]
pub(super) fn types_are_compatible(local: &Btf, local_id: TypeId, target: &Btf, target_id: TypeId) -> bool {
    compat::compatible((local, local_id), (target, target_id), &mut Work::default()).unwrap_or(false)
}

/// Applies the CO-RE relocations of one object for one kernel.
///
/// It remembers the candidates of each type of the object, so one `Relocator` is for all of its functions.
/// The kernel's BTF is not read before a relocation needs it, and that of modules not before vmlinux turns
/// out to lack a type.
pub(super) struct Relocator<'a> {
    btf: &'a Btf,
    candidates: Candidates<'a>,
    work: Work,
}

/// What a relocation comes to.
enum Outcome<'a> {
    Change(Change<'a>),
    /// No candidate has it; each, and why not.
    Missing(Vec<(Candidate<'a>, Mismatch<'a>)>),
}

impl<'a> Relocator<'a> {
    /// A relocator for an object with these types, for `kernel`.
    pub(super) fn new(object_btf: &'a Btf, kernel: &'a Kernel) -> Relocator<'a> {
        Relocator { btf: object_btf, candidates: Candidates::new(object_btf, kernel), work: Work::default() }
    }

    /// Looks up, in one pass over the kernel's types, all types that these relocations start from.
    ///
    /// Without it, `apply` finds the same, with one pass for each type. What goes wrong here is left to
    /// `apply`, which can name the relocation.
    pub(super) fn prefetch<'r>(&mut self, relos: impl Iterator<Item = &'r CoreRelo>) {
        let needed = relos.filter(|relo| relo.kind != CoreReloKind::TypeIdLocal).map(|relo| relo.type_id);
        self.candidates.prefetch(needed);
    }

    /// Applies relocations to the instructions of `func`; those that are not its own are passed over.
    ///
    /// # Errors
    /// A relocation that makes no sense, that contradicts its instruction, or that needs BTF which cannot
    /// be had. What this kernel does not have is no error: the instruction is poisoned, and `poisons` gets
    /// the reason.
    pub(super) fn apply(
        &mut self,
        func: &Function,
        insns: &mut [RawInsn],
        relos: impl Iterator<Item = CoreRelo>,
        poisons: &mut Vec<(InsnIx, Poison)>,
    ) -> Result<(), CoreError> {
        for relo in relos {
            let Some(at) = slot(func, insns.len(), &relo) else { continue };
            let done = match relo.insn_off % 8 {
                0 => self.one(insns, at, &relo),
                _ => Err(CoreFault::Misaligned { offset: relo.insn_off }),
            };
            match done {
                Ok(None) => {}
                Ok(Some(why)) => poisons.push((at, Poison::Core(why))),
                Err(fault) => return Err(CoreError::new(self.btf, func, at, &relo, fault)),
            }
        }
        Ok(())
    }

    /// Applies one; if the instruction had to be poisoned, the text says why.
    fn one(
        &mut self,
        insns: &mut [RawInsn],
        at: InsnIx,
        relo: &CoreRelo,
    ) -> Result<Option<String>, CoreFault> {
        let local = Spec::parse(self.btf, relo, &mut self.work)?;
        match self.resolve(&local)? {
            Outcome::Change(change) => match patch::apply(insns, at.index(), &change)? {
                Patched::Done => Ok(None),
                Patched::Unsafe => {
                    patch::poison(insns, at.index());
                    Ok(Some(explain::resized(&local, &change)))
                }
            },
            Outcome::Missing(tried) => {
                patch::poison(insns, at.index());
                Ok(Some(explain::missing(&local, &tried, self.candidates.namesakes(local.root))))
            }
        }
    }

    fn resolve(&mut self, local: &Spec<'a>) -> Result<Outcome<'a>, CoreFault> {
        if local.kind == CoreReloKind::TypeIdLocal {
            return Ok(Outcome::Change(Change::unchecked(local.root.0.into())));
        }
        let expected = value::of(local)?;
        let mut first: Option<(Spec<'a>, Answer<'a>)> = None;
        let (mut matched, mut tried) = (Vec::new(), Vec::new());
        for candidate in self.candidates.of(local.root)? {
            let spec = match matching::find(local, candidate.btf, candidate.id, &mut self.work)? {
                Match::Yes(spec) => spec,
                Match::No(why) => {
                    tried.push((*candidate, why));
                    continue;
                }
            };
            let answer = value::of(&spec)?;
            matched.push(*candidate);
            match &first {
                None => first = Some((spec, answer)),
                Some((other, same)) => value::agree((other, same), (&spec, &answer))?,
            }
        }
        let number = match first {
            Some((_, answer)) => Some(answer),
            None => value::when_missing(local.kind),
        };
        if !matched.is_empty() {
            self.candidates.keep(local.root, matched);
        }
        Ok(match number {
            Some(answer) => Outcome::Change(Change::between(&expected, &answer)),
            None => Outcome::Missing(tried),
        })
    }
}

/// The instruction of a relocation, counted from the start of its function; `None` if it is not of this one.
fn slot(func: &Function, len: usize, relo: &CoreRelo) -> Option<InsnIx> {
    let at = (relo.insn_off / 8).checked_sub(func.offset.0)?;
    ((at as usize) < len).then_some(InsnIx(at))
}
