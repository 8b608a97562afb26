//! How the kernel was configured: `CONFIG_X=value` lines, from wherever they can be found.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

/// Where a kernel's configuration may lie; `%` stands for the release.
const PATHS: &[&str] = &[
    "/boot/config-%",
    "/proc/config.gz",
    "/lib/modules/%/config",
    "/lib/modules/%/build/.config",
    "/usr/lib/modules/%/config",
    "/usr/lib/kernel/config-%",
    "/usr/lib/ostree-boot/config-%",
];

/// A kernel's configuration, or nothing if it is nowhere to be found.
#[derive(Debug, Default, Clone)]
pub struct Kconfig {
    values: HashMap<String, String>,
    source: Option<String>,
}

impl Kconfig {
    /// Reads this machine's, for the kernel of this release.
    pub(super) fn read(release: Option<String>) -> Kconfig {
        let release = release.unwrap_or_default();
        for path in PATHS.iter().map(|p| p.replace('%', &release)) {
            if let Some(text) = read_maybe_gz(Path::new(&path)) {
                return Kconfig { source: Some(path), ..Kconfig::parse(&text) };
            }
        }
        Kconfig::default()
    }

    /// Reads `CONFIG_X=value` lines.
    pub fn parse(text: &str) -> Kconfig {
        let lines = text.lines().filter_map(|line| line.trim_end().split_once('='));
        // The first value wins, as in libbpf.
        let mut values = HashMap::new();
        for (name, value) in lines.filter(|(name, _)| name.starts_with("CONFIG_")) {
            values.entry(name.to_string()).or_insert_with(|| value.to_string());
        }
        Kconfig { values, source: None }
    }

    pub(super) fn overridden_by(mut self, text: &str) -> Kconfig {
        self.values.extend(Kconfig::parse(text).values);
        self
    }

    /// The value of an option as it is written: `y`, `m`, `250`, `"text"`. `None` if it is not set, or if
    /// nothing is known ([`Kconfig::is_known`]).
    pub fn get(&self, option: &str) -> Option<&str> {
        self.values.get(option).map(String::as_str)
    }

    /// True if the kernel is known to be without this option (`CONFIG_X`): neither built in nor a module.
    pub fn lacks(&self, option: &str) -> bool {
        self.is_known() && !matches!(self.get(option), Some("y" | "m"))
    }

    /// False if no configuration was found at all.
    pub fn is_known(&self) -> bool {
        !self.values.is_empty()
    }

    /// The file that it was read from.
    pub fn source(&self) -> Option<&str> {
        self.source.as_deref()
    }
}

fn read_maybe_gz(path: &Path) -> Option<String> {
    let bytes = std::fs::read(path).ok()?;
    let mut text = String::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        /// A configuration is about 200 KiB; this bounds what a hostile file can unpack to.
        const MAX: u64 = 16 << 20;
        flate2::read::GzDecoder::new(bytes.as_slice()).take(MAX).read_to_string(&mut text).ok()?;
        return Some(text);
    }
    text.push_str(&String::from_utf8_lossy(&bytes));
    Some(text)
}
