//! What `load`, `plan` and `verify` let the user change in an object before it is loaded, and in the kernel that it
//! is planned for.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use rawbpf::uapi::Release;
use rawbpf::{Kernel, Object, Options};

use crate::ui::error::CliError;

#[derive(Debug, Default, ClapArgs)]
pub(crate) struct Overrides {
    /// Set a global variable before loading: target_pid=1234, cfg.verbose=true, table[3]='{a: 1}'
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub(crate) set: Vec<String>,
    /// Give a map another size: elements, bytes for ring buffers, pages for arenas
    #[arg(long, value_name = "MAP=N")]
    pub(crate) max_entries: Vec<String>,
    /// Use a map that is pinned already, instead of creating one
    #[arg(long = "map", value_name = "MAP=PATH")]
    pub(crate) maps: Vec<String>,
    /// Treat programs in unknown sections as if they were in section SECTION, or PROGRAM in SECTION
    #[arg(long = "type", value_name = "[PROGRAM=]SECTION")]
    pub(crate) types: Vec<String>,
    /// Relocate accesses to kernel fields (CO-RE) by the types in this file instead of /sys/kernel/btf/vmlinux
    #[arg(long, value_name = "FILE")]
    pub(crate) btf: Option<PathBuf>,
    /// Take the kernel's configuration (lines CONFIG_X=...) from this file first
    #[arg(long, value_name = "FILE")]
    pub(crate) kconfig: Option<PathBuf>,
    /// Use the BPF token of this bpffs, or none if DIR is empty [default: $LIBBPF_BPF_TOKEN_PATH, or /sys/fs/bpf if
    /// it delegates]
    #[arg(long, value_name = "DIR", value_parser = OsStringValueParser::new().map(PathBuf::from))]
    pub(crate) token: Option<PathBuf>,
}

impl Overrides {
    /// Reads the object and changes it as asked.
    pub(crate) fn object(&self, path: &std::path::Path) -> Result<Object, CliError> {
        let mut object = Object::open(path)?;
        set_types(&mut object, &self.types)?;
        for arg in &self.set {
            let (name, value) = pair("--set", arg, "NAME=VALUE")?;
            object.global(name)?.set(value)?;
        }
        for arg in &self.max_entries {
            let (name, value) = pair("--max-entries", arg, "MAP=N")?;
            let map = find_map(&mut object, "--max-entries", name, true)?;
            map.max_entries = number(value).ok_or_else(|| {
                CliError::Option(format!("--max-entries: `{value}` is not a number from 0 to {}", u32::MAX))
            })?;
        }
        for arg in &self.maps {
            let (name, path) = pair("--map", arg, "MAP=PATH")?;
            let map = find_map(&mut object, "--map", name, false)?;
            if let Err(source) = std::fs::metadata(path) {
                return Err(CliError::Io { doing: format!("use the map that is pinned at {path}"), source });
            }
            map.pin_path = Some(path.into());
        }
        Ok(object)
    }

    /// The kernel to load on: this machine's, with what was given by hand.
    pub(crate) fn kernel(&self) -> Result<Kernel, CliError> {
        self.tell(Kernel::host())
    }

    /// A kernel that is not here: all that is known of it is its release and its types.
    pub(crate) fn other_kernel(
        &self,
        btf: Option<&std::path::Path>,
        release: Release,
    ) -> Result<Kernel, CliError> {
        let kernel = Kernel::fixture(release);
        self.tell(match btf {
            Some(file) => kernel.with_btf_file(file)?,
            None => kernel,
        })
    }

    fn tell(&self, mut kernel: Kernel) -> Result<Kernel, CliError> {
        if let Some(file) = &self.btf {
            kernel = kernel.with_btf_file(file)?;
        }
        if let Some(file) = &self.kconfig {
            let doing = format!("read the configuration {}", file.display());
            let text = std::fs::read_to_string(file).map_err(CliError::io(doing))?;
            kernel = kernel.with_kconfig(&text);
        }
        Ok(kernel)
    }

    /// The options that follow from it.
    pub(crate) fn options(&self) -> Options {
        Options { token: self.token.clone(), ..Options::default() }
    }
}

fn pair<'a>(option: &str, arg: &'a str, form: &str) -> Result<(&'a str, &'a str), CliError> {
    let halves = arg.split_once('=').filter(|(name, _)| !name.is_empty());
    halves.ok_or_else(|| CliError::Option(format!("{option}: `{arg}` is not of the form {form}")))
}

/// Decimal, or hexadecimal with `0x`.
fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The map of this name; with `inner`, `OUTER.inner` is the map that shows what those in OUTER look like.
fn find_map<'o>(
    object: &'o mut Object,
    option: &str,
    name: &str,
    inner: bool,
) -> Result<&'o mut rawbpf::elf::MapDef, CliError> {
    let (mut known, mut found) = (Vec::new(), None);
    for map in &mut object.maps {
        known.push(map.name.clone());
        known.extend(map.inner.as_ref().filter(|_| inner).map(|inner| inner.name.clone()));
        if map.name == name {
            found = Some(map);
        } else if let Some(shown) = map.inner.as_deref_mut().filter(|shown| inner && shown.name == name) {
            found = Some(shown);
        }
    }
    found.ok_or_else(|| {
        CliError::Option(format!("{option}: the object has no map `{name}`; it has: {}", known.join(", ")))
    })
}

/// `--type SECTION` for programs whose section is unknown, `--type PROGRAM=SECTION` for one.
fn set_types(object: &mut Object, types: &[String]) -> Result<(), CliError> {
    let unknown = |section: &str| {
        let near = rawbpf::elf::section::nearest(section, 3).join(", ");
        CliError::Option(format!(
            "--type: `{section}` is not a section name that says a program type (nearest: {near})"
        ))
    };
    for arg in types {
        let (program, section) = match arg.split_once('=') {
            Some((program, section)) => (Some(program), section),
            None => (None, arg.as_str()),
        };
        if rawbpf::elf::section::find(section).is_none() {
            return Err(unknown(section));
        }
        let known: Vec<String> = object.programs.iter().map(|p| p.name().to_string()).collect();
        if let Some(name) = program.filter(|name| !known.iter().any(|k| k == name)) {
            let known = known.join(", ");
            return Err(CliError::Option(format!(
                "--type: the object has no program `{name}`; it has: {known}"
            )));
        }
        for def in &mut object.programs {
            let meant = program.map_or(def.prog_type.is_none(), |name| name == def.name());
            if meant {
                def.set_section(section);
            }
        }
    }
    Ok(())
}
