//! The kernel that a program is planned for: this machine's, asked lazily, or a fixture.
//!
//! Whether an object can be loaded, and how, depends on the kernel: which features it has, where the
//! members of its structs are, which functions it offers. All of these questions go through one type, so
//! that planning is a function of an object and a [`Kernel`], and gives the same plan in a test, for a
//! fixture, as on a machine that looks like it.
//!
//! ```text
//!   question                     this machine                           a fixture
//!   ──────────────────────────   ────────────────────────────────────   ──────────────────────────
//!   has it feature F?            a probe by behaviour, at most once     by its release number
//!   where is field f of type T?  /sys/kernel/btf/vmlinux and modules    a BTF file
//!   at which address is S?       /proc/kallsyms                         a given table
//!   what is CONFIG_X?            /proc/config.gz, /boot/config-*  ...   a given text
//!   which release is it?         uname(2) and distributions' notes      given
//! ```
//!
//! Nothing is asked that nobody wants to know: loading a packet counter reads no BTF and probes nothing
//! but what it uses.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::btf::{Btf, BtfError};
use crate::bytes::Endian;
use crate::sys::{self, BtfFd, Errno, Mapping, ObjectKind, SysError};
use crate::uapi::Release;

mod answer;
pub mod feature;
mod kconfig;
mod ksyms;
pub mod policy;
mod probe;
mod release;
pub mod survey;

pub use answer::Answer;
pub use feature::Feature;
pub use kconfig::Kconfig;
pub use ksyms::{Symbol, Symbols};
pub use release::release_text;

/// Why something about the kernel could not be found out.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum KernelError {
    /// No BTF was found for this kernel.
    #[error(
        "this kernel has no BTF: /sys/kernel/btf/vmlinux does not exist (the kernel was built without CONFIG_DEBUG_INFO_BTF) and none of {searched} has any; accesses to fields (CO-RE) need it"
    )]
    NoBtf {
        /// Where it was looked for.
        searched: String,
    },
    /// There is BTF, but it could not be read.
    #[error("cannot read the BTF in {path}: {errno}")]
    BtfUnreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        errno: Errno,
    },
    /// There is BTF, but it is damaged.
    #[error("the BTF in {path} is damaged")]
    BtfDamaged {
        /// The file.
        path: PathBuf,
        /// How.
        source: BtfError,
    },
    /// A question to the kernel failed.
    #[error("cannot ask the kernel about its {what}")]
    Ask {
        /// About what.
        what: &'static str,
        /// How it failed.
        source: SysError,
    },
}

/// A kernel to plan for.
#[derive(Debug)]
pub struct Kernel {
    host: bool,
    release: Release,
    endian: Endian,
    page_size: u32,
    possible_cpus: OnceLock<u32>,
    btf: OnceLock<Result<Arc<Btf>, KernelError>>,
    core_btf: Option<Arc<Btf>>,
    modules: OnceLock<Vec<Module>>,
    symbols: OnceLock<Symbols>,
    kconfig: OnceLock<Kconfig>,
}

/// A kernel module that has BTF.
#[derive(Debug, Clone)]
pub struct Module {
    /// Its name.
    pub name: String,
    /// Id of its BTF object, to open it with `BPF_BTF_GET_FD_BY_ID`.
    pub btf_id: u32,
    /// Its types, split on those of vmlinux.
    pub btf: Arc<Btf>,
}

impl Kernel {
    /// The kernel of this machine.
    pub fn host() -> Kernel {
        Kernel {
            host: true,
            release: release::running(),
            endian: Endian::NATIVE,
            page_size: release::page_size(),
            possible_cpus: OnceLock::new(),
            btf: OnceLock::new(),
            core_btf: None,
            modules: OnceLock::new(),
            symbols: OnceLock::new(),
            kconfig: OnceLock::new(),
        }
    }

    /// A kernel of this release that is not here: it has every feature that the release brought, 4 KiB
    /// pages, one CPU, and no BTF, symbols or configuration until they are given.
    pub fn fixture(release: Release) -> Kernel {
        let none = KernelError::NoBtf { searched: "the fixture".into() };
        Kernel {
            host: false,
            release,
            page_size: 4096,
            possible_cpus: OnceLock::from(1),
            btf: OnceLock::from(Err(none)),
            modules: OnceLock::from(Vec::new()),
            symbols: OnceLock::from(Symbols::default()),
            kconfig: OnceLock::from(Kconfig::default()),
            ..Kernel::host()
        }
    }

    /// As [`Kernel::with_btf`], with the types in this file: raw BTF, or an ELF file with a `.BTF` section.
    ///
    /// # Errors
    /// [`KernelError`]: the file cannot be read, or holds no BTF.
    pub fn with_btf_file(self, path: impl AsRef<Path>) -> Result<Kernel, KernelError> {
        Ok(self.with_btf(read_btf(path.as_ref())?))
    }

    /// Takes these types. A kernel that is not here has no others. For this machine's kernel they are those that
    /// field accesses are relocated by (CO-RE), and modules are not looked at for that; what a program is attached to
    /// and calls is found in the types that the kernel itself has, as it is the kernel that will look it up.
    pub fn with_btf(mut self, btf: Arc<Btf>) -> Kernel {
        if self.host {
            self.core_btf = Some(btf);
            return self;
        }
        self.endian = btf.endian();
        self.btf = OnceLock::from(Ok(btf));
        self.modules = OnceLock::from(Vec::new());
        self
    }

    /// Takes this configuration text (lines `CONFIG_X=...`), which wins over what the machine says.
    pub fn with_kconfig(mut self, text: &str) -> Kernel {
        let base = if self.host { Kconfig::read(self.release_text()) } else { Kconfig::default() };
        self.kconfig = OnceLock::from(base.overridden_by(text));
        self
    }

    /// Takes these symbols, in the format of `/proc/kallsyms`.
    pub fn with_symbols(mut self, text: &str) -> Kernel {
        self.symbols = OnceLock::from(Symbols::parse(text));
        self
    }

    /// True for the kernel of this machine.
    pub fn is_host(&self) -> bool {
        self.host
    }

    /// Its release.
    pub fn release(&self) -> Release {
        self.release
    }

    fn release_text(&self) -> Option<String> {
        nix::sys::utsname::uname().ok().map(|u| u.release().to_string_lossy().into_owned())
    }

    /// Its byte order.
    pub fn endian(&self) -> Endian {
        self.endian
    }

    /// Bytes of a page.
    pub fn page_size(&self) -> u32 {
        self.page_size
    }

    /// How many CPUs it can ever have.
    ///
    /// # Errors
    /// The running kernel does not say ([`sys::possible_cpus`]).
    pub fn possible_cpus(&self) -> Result<u32, SysError> {
        if let Some(known) = self.possible_cpus.get() {
            return Ok(*known);
        }
        let cpus = sys::possible_cpus()? as u32;
        Ok(*self.possible_cpus.get_or_init(|| cpus))
    }

    /// Whether it has a feature.
    pub fn has(&self, feature: Feature) -> Answer {
        feature::ask(self, feature)
    }

    /// Its types. Read at most once by a process; mapped, not copied, where the kernel allows that (since 6.16).
    pub fn btf(&self) -> Result<&Arc<Btf>, KernelError> {
        self.btf.get_or_init(running_btf).as_ref().map_err(Clone::clone)
    }

    /// The types that field accesses are relocated by: those given by hand, or the kernel's.
    pub(crate) fn core_btf(&self) -> Result<&Arc<Btf>, KernelError> {
        self.core_btf.as_ref().map_or_else(|| self.btf(), Ok)
    }

    /// The modules whose types count for that.
    pub(crate) fn core_modules(&self) -> &[Module] {
        if self.core_btf.is_some() { &[] } else { self.modules() }
    }

    /// The modules that have types. Empty when the caller may not list BTF objects (`CAP_SYS_ADMIN`).
    /// A module whose BTF cannot be read is left out.
    pub fn modules(&self) -> &[Module] {
        self.modules.get_or_init(|| self.btf().map(read_modules).unwrap_or_default())
    }

    /// The name of a type of the kernel's or a module's, by the id of its BTF object. `None` if it cannot be found.
    pub fn type_name(&self, btf_obj_id: u32, type_id: u32) -> Option<String> {
        let module = self.modules().iter().find(|m| m.btf_id == btf_obj_id);
        let btf = module.map_or_else(|| self.btf().ok(), |m| Some(&m.btf))?;
        btf.ty(crate::btf::TypeId(type_id)).ok().map(|ty| ty.name.to_string()).filter(|name| !name.is_empty())
    }

    /// Its symbols.
    pub fn symbols(&self) -> &Symbols {
        self.symbols.get_or_init(Symbols::host)
    }

    /// Its configuration.
    pub fn kconfig(&self) -> &Kconfig {
        self.kconfig.get_or_init(|| Kconfig::read(self.release_text()))
    }
}

/// Where a kernel's types may lie when [`SYSFS`] does not exist.
const BTF_PATHS: &[&str] = &[
    "/boot/vmlinux-%",
    "/lib/modules/%/vmlinux-%",
    "/lib/modules/%/build/vmlinux",
    "/usr/lib/modules/%/kernel/vmlinux",
    "/usr/lib/debug/boot/vmlinux-%",
    "/usr/lib/debug/boot/vmlinux-%.debug",
    "/usr/lib/debug/lib/modules/%/vmlinux",
];

/// The types of the running kernel, which stay the same as long as it runs: all objects of a process share them.
fn running_btf() -> Result<Arc<Btf>, KernelError> {
    static FOUND: OnceLock<Arc<Btf>> = OnceLock::new();
    match FOUND.get() {
        Some(btf) => Ok(btf.clone()),
        None => find_btf().map(|btf| FOUND.get_or_init(|| btf).clone()),
    }
}

fn find_btf() -> Result<Arc<Btf>, KernelError> {
    let sysfs = Path::new(SYSFS);
    if sysfs.exists() {
        return read_btf(sysfs);
    }
    let release =
        nix::sys::utsname::uname().map(|u| u.release().to_string_lossy().into_owned()).unwrap_or_default();
    let paths: Vec<String> = BTF_PATHS.iter().map(|p| p.replace('%', &release)).collect();
    let found = paths.iter().find_map(|path| read_btf(Path::new(path)).ok());
    found.ok_or_else(|| KernelError::NoBtf { searched: paths.join(", ") })
}

/// Reads the types in a file: raw BTF, or the `.BTF` section of an ELF file. Those of a module are read on top of the
/// kernel's, or of another `base`.
pub fn read_types(path: impl AsRef<Path>, base: Option<&Arc<Btf>>) -> Result<Arc<Btf>, KernelError> {
    let path = path.as_ref();
    let Some(base) = base else { return read_btf(path) };
    let unreadable = |e: std::io::Error| KernelError::BtfUnreadable { path: path.into(), errno: e.into() };
    let bytes = std::fs::read(path).map_err(unreadable)?;
    let bytes =
        if bytes.starts_with(b"\x7fELF") { elf_section(&bytes, ".BTF").unwrap_or(bytes) } else { bytes };
    let damaged = |source| KernelError::BtfDamaged { path: path.into(), source };
    Btf::parse_split(bytes, base.clone()).map(Arc::new).map_err(damaged)
}

/// Where the kernel shows its types (since 5.4).
const SYSFS: &str = "/sys/kernel/btf/vmlinux";

/// Reads raw BTF, or the `.BTF` section of an ELF file.
fn read_btf(path: &Path) -> Result<Arc<Btf>, KernelError> {
    let unreadable = |e: std::io::Error| KernelError::BtfUnreadable { path: path.into(), errno: e.into() };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let damaged = |source| KernelError::BtfDamaged { path: path.into(), source };
    // The kernel's own types can be mapped since 6.16; other files may change under a mapping, so they are read.
    if let Ok(mapping) = Mapping::of_kernel_types(&file) {
        let shared: Arc<dyn AsRef<[u8]> + Send + Sync> = Arc::new(mapping);
        return Btf::parse(shared).map(Arc::new).map_err(damaged);
    }
    let at_once = (path == Path::new(SYSFS)).then(vmlinux_object).flatten();
    let bytes = at_once.map_or_else(|| std::fs::read(path).map_err(unreadable), Ok)?;
    let bytes =
        if bytes.starts_with(b"\x7fELF") { elf_section(&bytes, ".BTF").unwrap_or(bytes) } else { bytes };
    Btf::parse(bytes).map(Arc::new).map_err(damaged)
}

/// The bytes of the BTF object `vmlinux`, which is the first of most kernels (since 5.11, with `CAP_SYS_ADMIN`): one
/// call, where sysfs gives a page at a time.
fn vmlinux_object() -> Option<Vec<u8>> {
    let fd = BtfFd::by_id(1).ok()?;
    let info = sys::btf_info(&fd).ok()?;
    (info.kernel && info.name == "vmlinux").then(|| sys::btf_bytes(&fd).ok()).flatten()
}

fn elf_section(bytes: &[u8], name: &str) -> Option<Vec<u8>> {
    use object::{Object as _, ObjectSection as _};
    let file = object::File::parse(bytes).ok()?;
    Some(file.section_by_name(name)?.data().ok()?.to_vec())
}

/// Asks the kernel for the BTF of its modules.
fn read_modules(base: &Arc<Btf>) -> Vec<Module> {
    let mut out = Vec::new();
    let mut id = 0;
    while let Ok(Some(next)) = sys::next_id(ObjectKind::Btf, id) {
        id = next;
        // The object may be gone by now, or be unreadable: neither is a reason to do without the others.
        let Ok(fd) = BtfFd::by_id(id) else { continue };
        let Ok(info) = sys::btf_info(&fd) else { continue };
        if !info.kernel || info.name == "vmlinux" || info.name.is_empty() {
            continue;
        }
        let Ok(bytes) = sys::btf_bytes(&fd) else { continue };
        if let Ok(btf) = Btf::parse_split(bytes, base.clone()) {
            out.push(Module { name: info.name, btf_id: id, btf: Arc::new(btf) });
        }
    }
    out
}
