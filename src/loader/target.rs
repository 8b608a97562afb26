//! What a program is bound to when it is loaded: a kernel function or type, found by BTF.
//!
//! ```text
//!   SEC("fentry/tcp_connect")    FUNC tcp_connect           of vmlinux or a module
//!   SEC("tp_btf/sched_switch")   TYPEDEF btf_trace_sched_switch
//!   SEC("lsm/file_open")         FUNC bpf_lsm_file_open
//!   SEC("iter/task")             FUNC bpf_iter_task
//!   SEC("fentry/nf_tables:f")    FUNC f of module nf_tables
//! ```

use std::collections::HashMap;

use super::options::ProgTarget;
use crate::btf::{BtfKind, Kind, TypeId};
use crate::elf::{Binding, FuncIx, Object, ProgDef};
use crate::kernel::{Feature, Kernel, KernelError};
use crate::progs::{Program, loaded_btf};
use crate::uapi::{AttachType, ProgType};

/// What a program is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachTarget {
    /// The name it was found by, prefix included.
    pub name: String,
    /// Its BTF type (`attach_btf_id`).
    pub btf_id: TypeId,
    /// The module it is in, by the id of its BTF object; `None` for the kernel itself.
    pub module: Option<u32>,
    /// The loaded program that it is a function of, by id; `None` for the kernel and its modules.
    pub program: Option<u32>,
}

/// Why what a program attaches to was not found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// The section names nothing.
    #[error(
        "program `{program}`: section `{section}` does not say what to attach to; write SEC(\"{section}/NAME\")"
    )]
    Unnamed {
        /// The program.
        program: String,
        /// Its section.
        section: String,
    },
    /// The kernel's types are needed.
    #[error("program `{program}` (section `{section}`) needs the kernel's types")]
    NoBtf {
        /// The program.
        program: String,
        /// Its section.
        section: String,
        /// Why there are none.
        source: Box<KernelError>,
    },
    /// Neither the kernel nor a module has it.
    #[error("program `{program}`: {what} `{name}` is not in this kernel's BTF{near}")]
    NotFound {
        /// The program.
        program: String,
        /// What was looked for.
        what: &'static str,
        /// Its name.
        name: String,
        /// Where else to look, or names that are close.
        near: String,
    },
    /// A program that replaces another needs to be told which.
    #[error("program `{program}` replaces a function of another program, and which one is not said")]
    NoProgram {
        /// The program.
        program: String,
    },
    /// Neither its section nor the options say which function it is to be bound to.
    #[error(
        "program `{program}`: no function is named, neither by its section nor beside the program that it is bound to"
    )]
    NoFunction {
        /// The program.
        program: String,
    },
    /// The program that it is to be bound to has no such function, or cannot be asked.
    #[error("program `{program}`: {why}")]
    Onto {
        /// The program.
        program: String,
        /// What is wrong.
        why: String,
    },
}

/// What the names of a hook look like in BTF: prefix, kind, and what to call it.
fn naming(attach_type: AttachType) -> (&'static str, BtfKind, &'static str) {
    match attach_type {
        AttachType::TraceRawTp => ("btf_trace_", BtfKind::Typedef, "tracepoint"),
        AttachType::LsmMac | AttachType::LsmCgroup => ("bpf_lsm_", BtfKind::Func, "LSM hook"),
        AttachType::TraceIter => ("bpf_iter_", BtfKind::Func, "iterator"),
        _ => ("", BtfKind::Func, "function"),
    }
}

/// What a program's target is called in BTF, if its section names one in the kernel.
pub(super) fn name(def: &ProgDef) -> Option<(String, BtfKind)> {
    def.def.filter(|row| row.needs_btf_target())?;
    let target = def.target().filter(|t| !t.is_empty() && def.prog_type != Some(ProgType::Ext))?;
    let (prefix, kind, _) = naming(def.attach_type);
    let bare = target.split_once(':').map_or(target, |(_, name)| name);
    Some((format!("{prefix}{bare}"), kind))
}

/// Finds the target of a program, if its section says that it has one.
pub(super) fn find(
    def: &ProgDef,
    kernel: &Kernel,
    onto: Option<&ProgTarget>,
) -> Result<Option<AttachTarget>, TargetError> {
    let Some(row) = def.def.filter(|row| row.needs_btf_target()) else { return Ok(None) };
    let program = || def.name().to_string();
    if let Some(onto) = onto {
        return find_in_program(def, onto).map(Some);
    }
    if def.prog_type == Some(ProgType::Ext) {
        return Err(TargetError::NoProgram { program: program() });
    }
    let Some(target) = def.target().filter(|t| !t.is_empty()) else {
        return Err(TargetError::Unnamed { program: program(), section: row.name().into() });
    };
    let (prefix, kind, what) = naming(def.attach_type);
    let (module, name) = match target.split_once(':') {
        Some((module, name)) => (Some(module), name),
        None => (None, target),
    };
    let wanted = format!("{prefix}{name}");
    let vmlinux = kernel.btf().map_err(|source| TargetError::NoBtf {
        program: program(),
        section: def.section.clone(),
        source: Box::new(source),
    })?;
    if module.is_none_or(|m| m == "vmlinux") {
        if let Ok(btf_id) = vmlinux.find(&wanted, kind) {
            return Ok(Some(AttachTarget { name: wanted, btf_id, module: None, program: None }));
        }
    }
    let modules = kernel.modules().iter().filter(|m| module.is_none_or(|name| m.name == name));
    for m in modules {
        if let Some(btf_id) = m.btf.find_own(&wanted, kind) {
            return Ok(Some(AttachTarget { name: wanted, btf_id, module: Some(m.btf_id), program: None }));
        }
    }
    let near = match module {
        Some(m) if m != "vmlinux" && !kernel.modules().iter().any(|k| k.name == m) => {
            format!("; module `{m}` is not loaded, or has no BTF")
        }
        _ => String::new(),
    };
    Err(TargetError::NotFound { program: program(), what, name: name.into(), near })
}

/// Finds a function of a loaded program by that program's types.
fn find_in_program(def: &ProgDef, onto: &ProgTarget) -> Result<AttachTarget, TargetError> {
    let fail = |why: String| TargetError::Onto { program: def.name().into(), why };
    let target = Program::open_id(onto.target).and_then(|target| target.info());
    let target = target.map_err(|e| fail(format!("program {} cannot be opened: {e}", onto.target)))?;
    let lost = |what: &str| fail(format!("program {} (`{}`) {what}", onto.target, target.name));
    let btf = loaded_btf(target.btf_id)
        .ok_or_else(|| lost("has no types (BTF), by which its functions would be found"))?;
    let Some(name) = onto.function.as_deref().or_else(|| def.target()) else {
        return Err(TargetError::NoFunction { program: def.name().into() });
    };
    match btf.find(name, BtfKind::Func) {
        Ok(btf_id) => {
            Ok(AttachTarget { name: name.into(), btf_id, module: None, program: Some(onto.target) })
        }
        Err(_) => {
            let functions = btf.iter().flatten().filter(|ty| ty.tag() == BtfKind::Func);
            let mut known: Vec<String> = functions.map(|ty| ty.name.to_string()).collect();
            known.sort();
            Err(lost(&format!("has no function `{name}`; it has: {}", known.join(", "))))
        }
    }
}

/// The functions that programs name as their exception callbacks, by a declaration tag: program to
/// function. Nothing calls such a function, and the kernel wants it behind the program all the same.
///
/// A program that names two gets none: the verifier will say so.
pub(super) fn exception_callbacks(object: &Object, kernel: &Kernel) -> HashMap<String, FuncIx> {
    let mut found: HashMap<String, Option<FuncIx>> = HashMap::new();
    let Some(btf) = object.btf.as_deref().filter(|_| !object.functions.is_empty()) else {
        return HashMap::new();
    };
    for ty in btf.iter().filter_map(Result::ok) {
        let Kind::DeclTag { ty: tagged, component: None, .. } = ty.kind else { continue };
        let text = ty.name.to_string();
        let Some(callback) = text.strip_prefix("exception_callback:") else { continue };
        let Ok(program) = btf.ty(tagged) else { continue };
        let function = object
            .functions
            .iter()
            .position(|f| f.name == callback && f.binding != Binding::Local && !f.hidden)
            .map(FuncIx);
        found.entry(program.name.to_string()).and_modify(|f| *f = None).or_insert(function);
    }
    if found.is_empty() || kernel.has(Feature::BtfDeclTag).is_no() {
        return HashMap::new();
    }
    found.into_iter().filter_map(|(program, function)| Some((program, function?))).collect()
}
