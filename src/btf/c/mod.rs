//! BTF as C: a `vmlinux.h`, or the few types that somebody wants to see.
//!
//! C wants a type declared before it is used. For most uses a *declaration* is enough (`struct sock;`
//! before `struct sock *`), and where a value is stored or an array is made, the *definition* must be
//! there. So for each type there are two demands, and each follows from the shape of the type:
//!
//! ```text
//!   to define          needs
//!   struct, union      each member's type defined
//!   typedef            its target defined          (to declare it: its target declared)
//!   array              its element defined         (even when only declared: C has no arrays of unknowns)
//!   pointer            its target declared
//!   prototype          arguments and result declared
//! ```
//!
//! An anonymous struct is written out where it is used, so its members count as its user's. Whatever
//! a type needs is written before it; a struct that is met again while its own definition waits, which
//! happens with every linked list, is declared. One recursive function does all of it ([`Printer::need`]).
//!
//! Names: a kernel has several types of the same name, and C must not. The second gets a flavour,
//! `name___2`, which CO-RE ignores.
//!
//! Layout: BTF tells where each member lies, but not which attributes put it there. [`layout`] plays the
//! compiler, and where the compiler would put a member somewhere else, unnamed bitfields fill the gap, or
//! the struct is packed.

mod body;
mod decl;
mod layout;
mod order;

use super::types::Kind;
use super::{Btf, BtfError, BtfKind, Name, TypeId};
use layout::Layouts;
use std::collections::HashMap;
use std::fmt::Write;

/// What [`dump_c`] writes.
#[derive(Clone, Debug, Default)]
pub struct CDump {
    /// The types to write, with all that they need; all types of the BTF when empty.
    pub roots: Vec<TypeId>,
    /// Write it as a header file: include guard, `preserve_access_index` for CO-RE, `__ksym`.
    pub header: bool,
    /// Declare the kernel functions that BPF programs may call (tagged `bpf_kfunc`, Linux 6.8).
    pub kfuncs: bool,
}

impl CDump {
    /// A whole `vmlinux.h`.
    pub fn vmlinux_h() -> CDump {
        CDump { roots: vec![], header: true, kfuncs: true }
    }
}

/// Writes types as C that gives them the sizes and offsets that BTF has.
///
/// A type that C cannot express (it holds itself) becomes a comment that says so.
///
/// ```
/// use rawbpf::btf::{Btf, BtfBuilder, CDump, IntEncoding, NewMember, dump_c};
/// let mut b = BtfBuilder::new();
/// let int = b.int("int", 4, IntEncoding::SIGNED);
/// let node = b.next_id().0 + 1;
/// let ptr = b.ptr(rawbpf::btf::TypeId(node));
/// b.composite(false, "node", 16, &[NewMember::at("next", ptr, 0), NewMember::at("value", int, 64)]);
/// let btf = Btf::parse(b.to_bytes()?)?;
/// let c = dump_c(&btf, &CDump::default())?;
/// assert_eq!(c, "struct node {\n\tstruct node *next;\n\tint value;\n};\n\n");
/// # Ok::<(), rawbpf::btf::BtfError>(())
/// ```
///
/// # Errors
/// A broken reference, or more output than BTF of this size can honestly ask for.
#[doc(alias = "btf_dump__dump_type")]
pub fn dump_c(btf: &Btf, what: &CDump) -> Result<String, BtfError> {
    let mut p = Printer::new(btf);
    if what.header {
        p.out.push_str(HEADER);
    }
    if what.roots.is_empty() {
        p.out.reserve(btf.bytes().len() / 2);
        p.every_type()?;
    }
    for root in &what.roots {
        p.root(*root)?;
    }
    if what.kfuncs {
        p.kfuncs()?;
    }
    if what.header {
        p.out.push_str(FOOTER);
    }
    Ok(p.out)
}

impl Btf {
    /// A declaration as C writes it: `int tcp_connect(struct sock *sk)` for a function, its prototype or
    /// a variable; `struct sock *name` for a type. Anonymous structs are shown as `struct {...}`.
    ///
    /// # Errors
    /// A broken reference, or a chain without an end.
    #[doc(alias = "btf_dump__emit_type_decl")]
    pub fn render_decl(&self, id: TypeId, name: &str) -> Result<String, BtfError> {
        let mut p = Printer::new(self);
        p.inline = false;
        let ty = self.ty(id)?;
        match ty.kind {
            Kind::Func { proto: inner, .. } | Kind::Var { ty: inner, .. } => {
                let own = ty.name.to_str();
                p.decl(inner, if name.is_empty() { &own } else { name }, 0)?;
            }
            _ => p.decl(id, name, 0)?,
        }
        Ok(p.out)
    }
}

const HEADER: &str = r#"#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)
#endif

#ifndef __ksym
#define __ksym __attribute__((section(".ksyms")))
#endif

#ifndef __weak
#define __weak __attribute__((weak))
#endif

#ifndef __bpf_fastcall
#if __has_attribute(bpf_fastcall)
#define __bpf_fastcall __attribute__((bpf_fastcall))
#else
#define __bpf_fastcall
#endif
#endif

"#;

const FOOTER: &str = "#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif

#endif /* __VMLINUX_H__ */
";

/// What has been written of a type.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct State {
    /// Its definition waits for what it needs.
    busy: bool,
    /// Its name can be used behind a pointer.
    declared: bool,
    /// It is complete.
    defined: bool,
    /// The number that its name got, from 1 on; 0 until it is written for the first time.
    number: u32,
}

impl State {
    fn finish(&mut self, defined: bool) {
        *self = State { busy: false, declared: true, defined, number: self.number };
    }
}

/// How often each name was used. C keeps the names of types (tags) and of everything else apart.
#[derive(Default)]
struct Names<'a>(HashMap<&'a [u8], u32>);

impl<'a> Names<'a> {
    /// How often the name was used before, this use included.
    fn count(&mut self, name: &'a [u8]) -> u32 {
        let n = self.0.entry(name).or_insert(0);
        *n = n.saturating_add(1);
        *n
    }
}

/// How deep types may nest in one another, and how long a chain of declarations may be.
const MAX_DEPTH: u32 = 256;

struct Printer<'a> {
    btf: &'a Btf,
    out: String,
    state: Vec<State>,
    tags: Names<'a>,
    idents: Names<'a>,
    layouts: Layouts<'a>,
    /// Write anonymous structs and enumerations out where they are used.
    inline: bool,
    depth: u32,
    /// How many more steps are taken: hostile BTF can ask for output without end.
    left: u64,
}

impl<'a> Printer<'a> {
    fn new(btf: &'a Btf) -> Printer<'a> {
        let bytes = std::iter::successors(Some(btf), |btf| btf.base().map(|base| &**base))
            .map(|btf| btf.bytes().len());
        Printer {
            btf,
            out: String::new(),
            state: Vec::new(),
            tags: Names::default(),
            idents: Names::default(),
            layouts: Layouts::new(btf),
            inline: true,
            depth: 0,
            left: bytes.fold(4096u64, |all, bytes| all.saturating_add(bytes as u64 * 4)),
        }
    }

    /// The typedef `__builtin_va_list`. Every compiler brings its own, and that of BPF is shorter than
    /// that of most kernels; so its target is written in its place.
    fn is_va_list(&self, id: TypeId) -> bool {
        let head = self.btf.head(id).filter(|head| head.kind() == BtfKind::Typedef);
        head.and_then(|head| self.btf.lookup_name(head.name)).is_some_and(|name| name == "__builtin_va_list")
    }

    fn state(&mut self, id: TypeId) -> &mut State {
        let at = id.0 as usize;
        if self.state.len() <= at {
            // Only numbers of types that exist come here.
            self.state.resize((self.btf.type_count() as usize).max(at.saturating_add(1)), State::default());
        }
        &mut self.state[at]
    }

    /// Goes one level deeper; `leave` goes back.
    fn enter(&mut self, id: TypeId) -> Result<(), BtfError> {
        self.depth = self.depth.saturating_add(1);
        self.left = self.left.saturating_sub(1);
        if self.depth > MAX_DEPTH {
            return Err(BtfError::TooDeep { id, limit: MAX_DEPTH });
        }
        if self.left == 0 {
            let value = self.out.len() as u64;
            return Err(BtfError::TooLarge { id, what: "the C text up to and with the definition", value });
        }
        Ok(())
    }

    fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// `extern int f(struct sock *sk) __weak __ksym;`
    fn extern_decl(
        &mut self,
        name: &Name<'_>,
        ty: TypeId,
        before: &str,
        after: &str,
    ) -> Result<(), BtfError> {
        self.out.push_str("extern ");
        self.out.push_str(before);
        self.decl(ty, &name.to_str(), 0)?;
        self.out.push_str(after);
        self.out.push_str(";\n");
        Ok(())
    }

    fn kfuncs(&mut self) -> Result<(), BtfError> {
        let mut tagged: [Vec<TypeId>; 2] = Default::default();
        let ids = (1..self.btf.type_count()).map(TypeId);
        for id in ids.filter(|id| self.btf.head(*id).is_some_and(|h| h.kind() == BtfKind::DeclTag)) {
            let tag = self.btf.ty(id)?;
            let Kind::DeclTag { ty, component: None, .. } = tag.kind else { continue };
            for (list, name) in tagged.iter_mut().zip(["bpf_kfunc", "bpf_fastcall"]) {
                if tag.name == name && matches!(self.btf.ty(ty)?.kind, Kind::Func { .. }) {
                    list.push(ty);
                }
            }
        }
        let [mut kfuncs, fast] = tagged;
        kfuncs.sort_by_key(|id| self.btf.ty(*id).map(|t| t.name.as_bytes()).unwrap_or_default());
        self.out.push_str("\n/* BPF kfuncs */\n#ifndef BPF_NO_KFUNC_PROTOTYPES\n");
        for id in kfuncs {
            let func = self.btf.ty(id)?;
            if let Kind::Func { proto, .. } = func.kind {
                self.need(proto, false, TypeId::VOID)?;
                let before = if fast.contains(&id) { "__bpf_fastcall " } else { "" };
                self.extern_decl(&func.name, proto, before, " __weak __ksym")?;
            }
        }
        self.out.push_str("#endif\n\n");
        Ok(())
    }

    /// The end of a definition.
    fn end(&mut self) {
        self.out.push_str(";\n\n");
    }

    /// `struct name` of a struct, union, enumeration or forward declaration.
    fn tag(&mut self, id: TypeId) -> Result<(), BtfError> {
        let Some(head) = self.btf.head(id) else { return self.btf.ty(id).map(drop) };
        let (word, own) = match (head.kind(), head.flag()) {
            (BtfKind::Fwd, true) => ("union", false),
            (BtfKind::Fwd, false) => ("struct", false),
            (BtfKind::Union, _) => ("union", true),
            (BtfKind::Struct, _) => ("struct", true),
            _ => ("enum", head.vlen() > 0),
        };
        self.out.push_str(word);
        if head.name.0 == 0 {
            return Ok(());
        }
        self.out.push(' ');
        let name = self.btf.name(head.name)?;
        // A forward declaration means the type of that name, and so has no number of its own.
        let mut number = if own { self.state(id).number } else { 1 };
        if number == 0 {
            number = self.tags.count(name.as_bytes());
            self.state(id).number = number;
        }
        self.name(name, number);
        Ok(())
    }

    /// The name of a typedef.
    fn ident(&mut self, id: TypeId) -> Result<(), BtfError> {
        let Some(head) = self.btf.head(id) else { return self.btf.ty(id).map(drop) };
        let name = self.btf.name(head.name)?;
        let mut number = self.state(id).number;
        if number == 0 {
            number = self.idents.count(name.as_bytes());
            self.state(id).number = number;
        }
        self.name(name, number);
        Ok(())
    }

    /// A name that C takes, with a flavour if it is not the first of its kind.
    fn name(&mut self, name: Name<'_>, number: u32) {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
        match name.to_str() {
            name if name.chars().all(fits) => self.out.push_str(&name),
            name => self.out.extend(name.chars().map(|c| if fits(c) { c } else { '_' })),
        }
        if number > 1 {
            let _ = write!(self.out, "___{number}"); // a String takes everything
        }
    }
}
