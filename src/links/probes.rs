//! What can be traced here: the other side of a section name.
//!
//! ```text
//!   kallsyms                      every function of the kernel and its modules        kprobe
//!   available_filter_functions    those that many probes at once can be set on        kprobe.multi, fentry
//!   BTF                           their declarations                                  fentry
//!   tracefs/events                tracepoints, with the fields of their records       tracepoint, raw_tracepoint
//!   an executable's symbols       functions of user space                             uprobe
//!   its .note.stapsdt             probes that were put there                          usdt
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;

use super::exe::{CodeFile, Exe};
use super::functions::glob;
use super::{tracefs, usdt};
use crate::btf::{Btf, BtfKind, FindScope, Kind, TypeId, TypeQuery};
use crate::kernel::Kernel;

/// A function of the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelFunction {
    /// Its name.
    pub name: String,
    /// The module that it belongs to.
    pub module: Option<String>,
    /// Its declaration in C; `None` if the kernel's types do not have it.
    pub proto: Option<String>,
    /// Many probes at once can be set on it (`kprobe.multi`), and a trampoline (`fentry`, if it has a declaration).
    /// `None` if tracefs does not tell.
    pub traceable: Option<bool>,
    /// The kernel forbids to probe it. `None` if debugfs does not tell.
    pub forbidden: Option<bool>,
    /// How many functions have this name: more than one cannot be told apart by it.
    pub count: usize,
}

/// A tracepoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracepointEntry {
    /// The category, which is a directory of tracefs.
    pub category: String,
    /// Its name.
    pub name: String,
    /// The fields of its record as C declares them, without those that all records have.
    pub fields: Vec<String>,
    /// What a raw tracepoint of this name gets, as C declares it; `None` if the kernel's types do not tell.
    pub raw: Option<String>,
}

/// A function of an executable or library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserFunction {
    /// Its name.
    pub name: String,
    /// Where it begins, in bytes from the start of the file.
    pub offset: u64,
}

/// A USDT probe of an executable or library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserProbe {
    /// Who put it there.
    pub provider: String,
    /// Its name.
    pub name: String,
    /// How many places it has.
    pub places: usize,
    /// Its arguments, as the assembler wrote those of the first place.
    pub arguments: String,
    /// It is only reached while somebody counts up its semaphore, which attaching does.
    pub semaphore: bool,
}

/// The functions of the kernel whose names match `[MODULE:]PATTERN`, by name. Empty if `/proc/kallsyms` cannot be
/// read.
pub fn kernel_functions(kernel: &Kernel, pattern: &str) -> Vec<KernelFunction> {
    let (module, pattern) = match pattern.split_once(':') {
        Some((module, pattern)) => (Some(module), pattern),
        None => (None, pattern),
    };
    let matches = |name: &str| glob(pattern.as_bytes(), name.as_bytes());
    let (traceable, forbidden) = (traceable(), forbidden());
    let mut found: BTreeMap<(String, Option<String>), usize> = BTreeMap::new();
    for s in kernel.symbols().all().filter(|s| "tTwW".contains(s.kind) && matches(s.name)) {
        let here = module.is_none_or(|m| s.module.unwrap_or("vmlinux") == m);
        // What programs and trampolines are called is not for others to probe.
        if here && s.module != Some("bpf") {
            let count = found.entry((s.name.to_string(), s.module.map(String::from))).or_default();
            *count = count.saturating_add(1);
        }
    }
    let names: BTreeSet<&str> = found.keys().map(|(name, _)| name.as_str()).collect();
    let protos =
        if names.is_empty() { HashMap::new() } else { prototypes(kernel, &|name| names.contains(name)) };
    let function = |((name, module), count)| KernelFunction {
        proto: protos.get(&name).cloned(),
        traceable: traceable.as_ref().map(|set| set.contains(&name)),
        forbidden: forbidden.as_ref().map(|set| set.contains(&name)),
        name,
        module,
        count,
    };
    found.into_iter().map(function).collect()
}

/// The first words of the lines of a file of tracefs.
fn traceable() -> Option<BTreeSet<String>> {
    let file = fs::File::open(tracefs::root()?.join("available_filter_functions")).ok()?;
    let lines = BufReader::with_capacity(1 << 16, file).lines().map_while(Result::ok);
    Some(lines.filter_map(|line| line.split_ascii_whitespace().next().map(String::from)).collect())
}

/// Lines `0xSTART-0xEND <tab> NAME`.
fn forbidden() -> Option<BTreeSet<String>> {
    let text = fs::read_to_string("/sys/kernel/debug/kprobes/blacklist").ok()?;
    Some(text.lines().filter_map(|line| line.split_ascii_whitespace().nth(1).map(String::from)).collect())
}

/// The declarations of functions whose names match.
fn prototypes(kernel: &Kernel, matches: &dyn Fn(&str) -> bool) -> HashMap<String, String> {
    let mut out = HashMap::new();
    let mut collect = |btf: &Btf| {
        for ty in btf.iter_own().map_while(Result::ok).filter(|t| t.tag() == BtfKind::Func) {
            let name = ty.name.to_str();
            if matches(&name) {
                if let Ok(proto) = btf.render_decl(ty.id, "") {
                    out.insert(name.into_owned(), proto);
                }
            }
        }
    };
    if let Ok(btf) = kernel.btf() {
        collect(btf);
    }
    kernel.modules().iter().for_each(|m| collect(&m.btf));
    out
}

/// The tracepoints that match `PATTERN`, `CATEGORY:PATTERN` or `CATEGORY/PATTERN`, by category and name. `None` if
/// tracefs is not mounted or cannot be read.
pub fn tracepoints(kernel: &Kernel, pattern: &str) -> Option<Vec<TracepointEntry>> {
    let root = tracefs::root()?;
    let (category, pattern) = match pattern.split_once([':', '/']) {
        Some((category, pattern)) => (category, pattern),
        None => ("*", pattern),
    };
    let mut out = Vec::new();
    for group in tracefs::list(&root, "").into_iter().filter(|g| glob(category.as_bytes(), g.as_bytes())) {
        for name in tracefs::list(&root, &group) {
            let format = root.join("events").join(&group).join(&name).join("format");
            if !glob(pattern.as_bytes(), name.as_bytes()) {
                continue;
            }
            if let Ok(text) = fs::read_to_string(format) {
                out.push(TracepointEntry { category: group.clone(), fields: fields(&text), raw: None, name });
            }
        }
    }
    out.sort_by(|a, b| (&a.category, &a.name).cmp(&(&b.category, &b.name)));
    if let Ok(btf) = kernel.btf() {
        add_raw(btf, &mut out);
    }
    Some(out)
}

/// Says what raw tracepoints get: all of them are looked up in one pass over the types.
fn add_raw(btf: &Btf, list: &mut [TracepointEntry]) {
    let names: Vec<String> = list.iter().map(|t| format!("btf_trace_{}", t.name)).collect();
    let wanted: Vec<TypeQuery<'_>> =
        names.iter().map(|name| TypeQuery::named(name, BtfKind::Typedef)).collect();
    let found = btf.find_many(FindScope::All, &wanted).unwrap_or_default();
    for (entry, ids) in list.iter_mut().zip(found) {
        entry.raw = ids.first().and_then(|id| raw_arguments(btf, *id));
    }
}

/// The `field:` lines of a format; those of every record come before the first empty line.
fn fields(text: &str) -> Vec<String> {
    let own = text.split("\n\n").nth(1).unwrap_or_default();
    let field = |line: &str| {
        let declaration = line.trim().strip_prefix("field:")?.split(';').next()?;
        Some(declaration.to_string())
    };
    own.lines().filter_map(field).collect()
}

/// `btf_trace_NAME` is a pointer to a function whose first argument is the tracer's own.
fn raw_arguments(btf: &Btf, id: TypeId) -> Option<String> {
    let Kind::Ptr(to) = btf.resolve(id).ok()?.kind else { return None };
    let Kind::FuncProto(params) = btf.resolve(to).ok()?.kind else { return None };
    let one = |p: crate::btf::Param<'_>| btf.render_decl(p.ty, &p.name.to_str()).unwrap_or_default();
    Some(params.iter().skip(1).map(one).collect::<Vec<_>>().join(", "))
}

/// The file of a program or library: a path, a name in `$PATH`, or a library's name; also `ARCHIVE!/ENTRY`. `None` if
/// there is none.
pub fn find_executable(name: &str) -> Option<PathBuf> {
    CodeFile::find(name, None).filter(|code| code.path.exists()).map(|code| code.to_string().into())
}

/// The functions of an executable or library whose names match a pattern, and its USDT probes whose names or
/// `PROVIDER:NAME` do.
///
/// # Errors
/// The file is no executable, or damaged; in words.
pub fn user_probes(
    path: &std::path::Path,
    pattern: &str,
) -> Result<(Vec<UserFunction>, Vec<UserProbe>), String> {
    let code = path.to_str().filter(|_| !path.exists()).and_then(|name| CodeFile::find(name, None));
    let code = code.unwrap_or_else(|| CodeFile { path: path.into(), entry: None });
    let exe = Exe::open(&code).map_err(|e| e.to_string())?;
    let places = exe.matching(pattern).map_err(|e| e.to_string())?;
    let functions = places.into_iter().map(|p| UserFunction { name: p.name, offset: p.offset }).collect();
    let mut probes: BTreeMap<(String, String), UserProbe> = BTreeMap::new();
    for probe in usdt::all(&exe).map_err(|e| e.to_string())? {
        let whole = format!("{}:{}", probe.provider, probe.name);
        if !glob(pattern.as_bytes(), probe.name.as_bytes()) && !glob(pattern.as_bytes(), whole.as_bytes()) {
            continue;
        }
        let entry = probes.entry((probe.provider.clone(), probe.name.clone())).or_insert(UserProbe {
            provider: probe.provider,
            name: probe.name,
            places: 0,
            arguments: probe.arguments,
            semaphore: probe.semaphore != 0,
        });
        entry.places = entry.places.saturating_add(1);
    }
    Ok((functions, probes.into_values().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_read() {
        let text = "name: x\nID: 3\nformat:\n\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n\
                    \tfield:char comm[16];\toffset:8;\tsize:16;\tsigned:0;\n\tfield:pid_t pid;\toffset:24;\n\nprint fmt: \"\"\n";
        assert_eq!(fields(text), ["char comm[16]", "pid_t pid"]);
        assert!(fields("").is_empty());
    }
}
