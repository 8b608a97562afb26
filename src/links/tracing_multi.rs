//! fentry.multi: one fentry, fexit or fsession program at many functions, by one link. Linux 7.2.
//!
//! The functions are named to the kernel by their BTF types. Those that the program could not be attached to
//! one by one are left out: the kernel's trampolines take twelve arguments at most, none of them larger than
//! 16 bytes, and no variable number of them.

use std::fmt;

use super::hook_kind::{FromSection, HookKind, SectionName};
use super::{AttachError, Link, functions, refusal};
use crate::btf::{Btf, BtfKind, Kind, KindSet, TypeId};
use crate::kernel::Kernel;
use crate::progs::Program;
use crate::sys::attr::{Fd, LinkCreate, LinkExtra};
use crate::sys::{self, Errno, LinkFd, SysError};
use crate::uapi::{AttachType, ProgType, Release};

/// Functions of the kernel, or of one module, for one tracing program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracingMulti {
    /// `[MODULE:]PATTERN`, with `*` and `?`. A module has to be the one that the program was loaded for.
    pub pattern: String,
    /// What the program gets by `bpf_get_attach_cookie`, the same at all functions; 0 for none.
    pub cookie: u64,
}

impl fmt::Display for TracingMulti {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "multi/{}", self.pattern)
    }
}

impl HookKind for TracingMulti {
    fn words(&self) -> String {
        self.to_string()
    }

    fn attach(&self, kernel: &Kernel, program: &Program) -> Result<Link, AttachError> {
        attach(kernel, program, self)
    }

    fn set_cookie(&mut self, cookie: u64) -> bool {
        self.cookie = cookie;
        true
    }
}

impl FromSection for TracingMulti {
    const SYNTAX: &'static str = "write fentry.multi/[MODULE:]PATTERN, with * and ?";

    fn from_section(name: &SectionName<'_>) -> Result<TracingMulti, String> {
        Ok(TracingMulti { pattern: name.rest.into(), cookie: 0 })
    }
}

/// Attaches a program to many functions.
pub(super) fn attach(kernel: &Kernel, program: &Program, multi: &TracingMulti) -> Result<Link, AttachError> {
    refusal::check_type(program, "tracing multi", ProgType::Tracing)?;
    let hook = if program.section().is_empty() { multi.to_string() } else { program.section().into() };
    let (name, hook) = (program.name().to_string(), hook);
    let found = find(kernel, &multi.pattern).map_err(|why| AttachError::Unsupported {
        program: name.clone(),
        hook: hook.clone(),
        why,
        remedy: None,
    })?;
    if found.is_empty() {
        let (what, near) = ("traceable kernel function", String::new());
        return Err(AttachError::NotFound { program: name, hook, what, name: multi.pattern.clone(), near });
    }
    let attach = |some: &[(TypeId, String)]| create(program, multi, some);
    let made = functions::attach_most(&found, |(_, name)| name.clone(), attach);
    let (link, skipped) = made.map_err(|source| explain(kernel, program, &hook, source))?;
    Ok(Link::new(link).skipping(skipped))
}

/// The functions that match, and that a trampoline can be built for.
fn find(kernel: &Kernel, pattern: &str) -> Result<Vec<(TypeId, String)>, String> {
    let vmlinux = kernel.btf().map_err(|e| e.to_string())?;
    let (btf, pattern) = match pattern.split_once(':') {
        Some((name, pattern)) if name != "vmlinux" => {
            let module = kernel.modules().iter().find(|m| m.name == name);
            let module = module.ok_or_else(|| format!("module `{name}` is not loaded, or has no BTF"))?;
            (&module.btf, pattern)
        }
        Some((_, pattern)) => (vmlinux, pattern),
        None => (vmlinux, pattern),
    };
    // What the function tracer can patch, where that can be found out: BTF has more.
    let traceable = functions::traceable(kernel, pattern)
        .map(|all| all.into_iter().map(|f| f.name).collect::<std::collections::HashSet<String>>());
    let functions = KindSet::of(&[BtfKind::Func]);
    let own = (btf.first_id().0..btf.type_count()).map(TypeId);
    let mut out = Vec::new();
    for id in own {
        let Ok(ty) = btf.ty(id) else { continue };
        if !functions.contains(ty.tag()) || !functions::glob(pattern.as_bytes(), ty.name.as_bytes()) {
            continue;
        }
        let name = ty.name.to_str().into_owned();
        let patched = traceable.as_ref().is_none_or(|all| all.contains(&name));
        if patched && has_trampoline(btf, &ty.kind) {
            out.push((id, name));
        }
    }
    // The kernel has several functions of some names, and refuses to guess which is meant.
    out.sort_by(|a, b| a.1.cmp(&b.1));
    out.dedup_by(|a, b| a.1 == b.1);
    Ok(out)
}

fn has_trampoline(btf: &Btf, function: &Kind<'_>) -> bool {
    const MAX_ARGS: usize = 12;
    let Kind::Func { proto, .. } = function else { return false };
    let Ok(Kind::FuncProto(params)) = btf.ty(*proto).map(|ty| ty.kind) else { return false };
    let is_small = |id: TypeId| {
        let kind = btf.resolve(id).map(|ty| ty.kind);
        matches!(
            kind,
            Ok(Kind::Int(_)
                | Kind::Ptr(_)
                | Kind::Enum(_)
                | Kind::Enum64(_)
                | Kind::Struct(_)
                | Kind::Union(_))
        ) && btf.size_of(id).is_ok_and(|size| (1..=16).contains(&size))
    };
    let ret = params.ret();
    let returns = ret == TypeId::VOID
        || btf.resolve(ret).is_ok_and(|ty| !matches!(ty.kind, Kind::Struct(_) | Kind::Union(_)));
    returns && params.len() <= MAX_ARGS && params.iter().all(|p| is_small(p.ty))
}

fn create(program: &Program, multi: &TracingMulti, some: &[(TypeId, String)]) -> Result<LinkFd, SysError> {
    let ids: Vec<u32> = some.iter().map(|(id, _)| id.0).collect();
    let cookies = vec![multi.cookie; if multi.cookie == 0 { 0 } else { ids.len() }];
    let extra = LinkExtra::tracing_multi(&ids, &cookies);
    let extra = extra.ok_or(SysError::other("a cookie for each function", Errno::EINVAL))?;
    let (prog_fd, attach_type) = (Fd::of(program), program.attach_type());
    sys::link_create(&LinkCreate { prog_fd, attach_type, extra, ..Default::default() })
}

fn explain(kernel: &Kernel, program: &Program, hook: &str, source: SysError) -> AttachError {
    let loaded_for =
        [AttachType::TraceFentryMulti, AttachType::TraceFexitMulti, AttachType::TraceFsessionMulti];
    let guess = match source.errno {
        Errno::EINVAL if kernel.release() < Release(7, 2, 0) => "it came with Linux 7.2",
        Errno::EINVAL if !loaded_for.contains(&program.attach_type()) => {
            "the program was loaded for another hook; load it as `fentry.multi`, `fexit.multi` or `fsession.multi`"
        }
        _ => "",
    };
    refusal::refused_because(kernel, program, hook, source, &["BPF_EVENTS", "FUNCTION_TRACER"], guess)
}
