//! Why a relocation cannot be applied.

use super::fault::{CoreFault, Side};
use super::spec::{Spec, kind_word};
use super::work::Work;
use crate::btf::{Btf, BtfError, CoreRelo};
use crate::elf::{Function, Object, Site};
use crate::insn::InsnIx;

/// A CO-RE relocation that cannot be applied: where it is, what it is, and why not.
///
/// What the kernel does not have is no such error; it becomes
/// [`Poison::Core`](super::super::Poison::Core).
#[derive(Clone, Debug, thiserror::Error)]
#[error("{site}: CO-RE relocation {relocation} cannot be applied")]
pub struct CoreError {
    /// The instruction.
    pub site: Box<Site>,
    /// The relocation as libbpf writes it: `<byte_off> [7] struct task_struct.pid (0:3 @ offset 24)`.
    pub relocation: String,
    /// Why not.
    #[source]
    pub fault: Box<CoreFault>,
}

impl Side {
    /// What a fault in these types is called.
    pub(super) fn fault(self) -> impl Fn(BtfError) -> CoreFault {
        let whose = match self {
            Side::Program => "object",
            Side::Kernel => "kernel",
        };
        move |source| CoreFault::Types { whose, source }
    }
}

impl CoreError {
    pub(super) fn new(
        btf: &Btf,
        func: &Function,
        at: InsnIx,
        relo: &CoreRelo,
        fault: CoreFault,
    ) -> CoreError {
        let site = Site {
            section: Some(func.section.clone()),
            symbol: Some(func.name.clone()),
            insn: Some(at),
            line: None,
        };
        CoreError { site: Box::new(site), relocation: render(btf, relo), fault: Box::new(fault) }
    }

    /// The same error with the source line, for which the whole object is needed.
    pub(in crate::loader) fn in_source(mut self, object: &Object, func: &Function) -> CoreError {
        self.site.line = self.site.insn.and_then(|at| object.source_line(func, at));
        self
    }
}

/// A relocation, also one whose path leads nowhere.
fn render(btf: &Btf, relo: &CoreRelo) -> String {
    if let Ok(spec) = Spec::parse(btf, relo, &mut Work::default()) {
        return spec.to_string();
    }
    let path = btf.name(relo.access_str).map(|name| name.to_string()).unwrap_or_default();
    match btf.ty(relo.type_id) {
        Ok(ty) => {
            let name = if ty.name.is_empty() { "<anon>".into() } else { ty.name.to_str() };
            format!("<{}> [{}] {} {name} + {path}", relo.kind, relo.type_id, kind_word(ty.tag()))
        }
        Err(_) => format!("<{}> [{}] + {path}", relo.kind, relo.type_id),
    }
}
