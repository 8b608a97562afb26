//! What is wanted: an object under a name, its programs at hooks.
//!
//! A command line and a file both become one [`Request`]. It says targets as a user says them; which places those are is
//! looked up when it is needed ([`resolve`]), for an interface may come, go and come again while the request stays.
//!
//! ```text
//!   eth0   eth*   @default   ifindex:7        Wish: program, target as it was said
//!        └──── resolve, now ────┘
//!   XDP on eth0 = interface 2 of namespace 4026531840     Wanted: program, target with one name, HookKey
//! ```

use std::path::PathBuf;

use super::error::{DeployError, Result};
use super::hook::{Here, HookKey, ProgramFacts};
use super::record::LoadRecord;
use super::target;
use crate::elf::{MapOrigin, Object, ProgDef};
use crate::kernel::Kernel;
use crate::links::{AttachError, Interface, NetNs, Target};
use crate::loader::{Options, Plan};

/// What is wanted under one name.
#[derive(Debug, Clone)]
pub struct Request {
    /// The name.
    pub name: String,
    /// Which program is to run where.
    pub wishes: Vec<Wish>,
    /// Put struct_ops tables to use.
    pub tables: bool,
    /// The network namespace to be in for all of it; that of the caller if not given.
    pub netns: Option<NetNs>,
    /// What becomes of the maps of what is replaced.
    pub maps: Maps,
    /// What becomes of hooks that are not wished for.
    pub rest: Rest,
    /// Fail if a program cannot be attached where its section says.
    pub strict: bool,
    /// A place that does not exist yet is waited for, not refused.
    pub wait: bool,
    /// What was wished for before, for hooks that stay and whose place is gone.
    pub before: Vec<Wish>,
    /// What to write down beside the pins.
    pub record: LoadRecord,
}

impl Request {
    /// An object under this name, its programs nowhere yet; struct_ops tables are put to use.
    pub fn new(name: impl Into<String>) -> Request {
        Request {
            name: name.into(),
            wishes: Vec::new(),
            tables: true,
            netns: None,
            maps: Maps::default(),
            rest: Rest::default(),
            strict: false,
            wait: false,
            before: Vec::new(),
            record: LoadRecord::default(),
        }
    }

    /// This program there, too.
    pub fn wish(mut self, program: impl Into<String>, target: Target) -> Request {
        self.wishes.push(Wish { program: program.into(), target, by_section: false });
        self
    }
}

/// A program, and where it is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The program.
    pub program: String,
    /// Where, as it was said.
    pub target: Target,
    /// Only the program's section says so: if it fails, it is reported, and the rest goes on.
    pub by_section: bool,
}

/// What becomes of the maps of what is replaced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Maps {
    /// All are made anew.
    #[default]
    Fresh,
    /// Those of the same name and shape are kept, with what is in them.
    Keep,
    /// As `Keep`; of those of another shape, elements are copied field by field.
    Migrate,
}

/// What becomes of hooks that are not wished for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rest {
    /// They are let go of.
    #[default]
    Go,
    /// They get the new program of the old one's name.
    Stay,
}

/// A wish whose place was looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedHook {
    /// The program.
    pub program: String,
    /// Where, with one name of one interface.
    pub target: Target,
    /// The place; `None` if it is not there now.
    pub key: Option<HookKey>,
    /// Why it is not there.
    pub absent: Option<String>,
    /// Only the program's section says so.
    pub by_section: bool,
}

impl WantedHook {
    /// The hook, for people.
    pub fn place(&self) -> String {
        target::words(&self.program, &self.target)
    }

    /// What to call its pin.
    pub fn pin(&self) -> String {
        target::pin_name(&self.program, &self.target)
    }
}

/// An object, and how it is loaded if it has to be.
#[derive(Debug)]
pub struct Loading {
    /// The object, with globals, sizes and types set.
    pub object: Object,
    /// The kernel.
    pub kernel: Kernel,
    /// What a caller decides about loading.
    pub options: Options,
}

impl Loading {
    /// An object, on this machine's kernel.
    pub fn new(object: Object) -> Loading {
        Loading { object, kernel: Kernel::host(), options: Options::default() }
    }

    /// Decides how it is loaded.
    pub(super) fn plan(&self) -> Result<Plan> {
        Ok(self.object.plan(&self.kernel, &self.options)?)
    }

    /// The programs that will be loaded, as far as hooks depend on them.
    pub fn programs(&self) -> Vec<ProgramFacts> {
        let only = &self.options.only;
        let is_wanted = |p: &&ProgDef| match only.as_slice() {
            [] => p.autoload,
            only => only.iter().any(|name| name == p.name()),
        };
        let one = |p: &ProgDef| {
            let (name, section) = (p.name().to_string(), p.hook());
            Some(ProgramFacts { name, prog_type: p.prog_type?, attach_type: p.attach_type, section })
        };
        self.object.programs.iter().filter(is_wanted).filter_map(one).collect()
    }

    /// The struct_ops tables that it has.
    pub fn tables(&self) -> Vec<String> {
        let maps = self.object.maps.iter().filter(|m| m.autocreate);
        maps.filter(|m| matches!(m.origin, MapOrigin::StructOps(_))).map(|m| m.name.clone()).collect()
    }
}

/// Looks up the places of wishes, for the calling thread. With `wait`, one that is not there is no error.
///
/// # Errors
/// A place is not there, or it is none.
pub fn resolve(wishes: &[Wish], programs: &[ProgramFacts], wait: bool) -> Result<Vec<WantedHook>> {
    if wishes.is_empty() {
        return Ok(Vec::new());
    }
    let here = Here::look()?;
    let mut out: Vec<WantedHook> = Vec::new();
    for wish in wishes {
        let Some(program) = programs.iter().find(|p| p.name == wish.program) else { continue };
        let with = |target, key, absent| WantedHook {
            program: wish.program.clone(),
            target,
            key,
            absent,
            by_section: wish.by_section,
        };
        let targets = match expand(&wish.target, here.interfaces()) {
            Err(e) if e.may_come() && wait => {
                out.push(with(wish.target.clone(), None, Some(e.to_string())));
                continue;
            }
            other => other?,
        };
        for target in targets {
            let one = match HookKey::of_target(&target, program, &here) {
                Ok(key) => with(target, Some(key), None),
                Err(e) if wish.by_section || e.may_come() && wait => with(target, None, Some(e.to_string())),
                Err(e) => return Err(e),
            };
            let is_there = |w: &WantedHook| w.program == one.program && w.key.is_some() && w.key == one.key;
            if one.key.as_ref().is_some_and(HookKey::is_traced) || !out.iter().any(is_there) {
                out.push(one);
            }
        }
    }
    Ok(out)
}

/// The targets that a target stands for: a pattern of interfaces is all that fit.
fn expand(wanted: &Target, interfaces: &[Interface]) -> Result<Vec<Target>> {
    let Some(word) = target::interface(wanted) else { return Ok(vec![wanted.clone()]) };
    let names = names(word, interfaces)?;
    Ok(names.iter().map(|name| target::on_interface(wanted, name)).collect())
}

/// The names of the interfaces that a word means: a name, a pattern with `*` and `?`, `ifindex:N`, or `@default`, through
/// which packets go that no other route knows.
pub fn names(word: &str, interfaces: &[Interface]) -> Result<Vec<String>> {
    let missing = || {
        let known = interfaces.iter().map(|i| i.name.as_str()).collect::<Vec<_>>().join(", ");
        DeployError::from(AttachError::NoInterface { name: word.into(), known })
    };
    let by_index = |index: u32| interfaces.iter().find(|i| i.index == index).map(|i| vec![i.name.clone()]);
    if let Some(number) = word.strip_prefix("ifindex:") {
        let index = number.parse().map_err(|_| {
            DeployError::wish("interface", format!("`{word}` does not end in the number of an interface"))
        })?;
        return by_index(index).ok_or_else(missing);
    }
    if word == "@default" {
        return default_route()
            .filter(|name| interfaces.iter().any(|i| i.is_called(name)))
            .map(|name| vec![name])
            .ok_or_else(missing);
    }
    if !word.contains(['*', '?']) {
        // Whether it is there is seen by its number.
        return Ok(vec![word.into()]);
    }
    let fits = |i: &&Interface| std::iter::once(&i.name).chain(&i.alternatives).any(|name| glob(word, name));
    let found: Vec<String> = interfaces.iter().filter(fits).map(|i| i.name.clone()).collect();
    if found.is_empty() { Err(missing()) } else { Ok(found) }
}

/// `*` stands for any letters, `?` for one.
pub(super) fn glob(pattern: &str, name: &str) -> bool {
    let (mut pattern, mut name) = (pattern.chars(), name.chars());
    let mut back: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        let (rest_of_pattern, rest_of_name) = (pattern.clone(), name.clone());
        match (pattern.next(), name.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                back = Some((pattern.clone(), rest_of_name.clone()));
                name = rest_of_name;
            }
            (Some(p), Some(n)) if p == '?' || p == n => {}
            _ => {
                drop(rest_of_pattern);
                let Some((after, from)) = &mut back else { return false };
                if from.next().is_none() {
                    return false;
                }
                (pattern, name) = (after.clone(), from.clone());
            }
        }
    }
}

/// The interface of the default route with the lowest metric: of IPv4, else of IPv6.
fn default_route() -> Option<String> {
    let net = PathBuf::from("/proc/thread-self/net");
    let v4 = std::fs::read_to_string(net.join("route")).unwrap_or_default();
    let of_v4 = v4.lines().skip(1).filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_default = words.get(1) == Some(&"00000000") && words.get(7) == Some(&"00000000");
        is_default.then(|| Some((words.get(6)?.parse::<u32>().ok()?, words.first()?.to_string()))).flatten()
    });
    if let Some((_, name)) = of_v4.min() {
        return Some(name);
    }
    let v6 = std::fs::read_to_string(net.join("ipv6_route")).unwrap_or_default();
    let of_v6 = v6.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let all_zero = words.first()?.bytes().all(|b| b == b'0') && words.get(1) == Some(&"00");
        let (metric, name) = (u32::from_str_radix(words.get(5)?, 16).ok()?, words.get(9)?.to_string());
        (all_zero && name != "lo").then_some((metric, name))
    });
    of_v6.min().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_whole_names() {
        for (pattern, name, fits) in [
            ("eth*", "eth0", true),
            ("eth*", "eth", true),
            ("eth?", "eth10", false),
            ("e*0", "eth0", true),
            ("*", "", true),
            ("veth*a", "vethaab", false),
            ("*a*b", "xaxbxb", true),
        ] {
            assert_eq!(glob(pattern, name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn a_word_means_interfaces() {
        let interface = |index, name: &str, other: &str| Interface {
            index,
            name: name.into(),
            alternatives: vec![other.into()],
            ..Interface::default()
        };
        let all = [interface(1, "lo", ""), interface(2, "eth0", "enp1s0"), interface(3, "eth1", "enp2s0")];
        assert_eq!(names("eth*", &all).ok(), Some(vec!["eth0".into(), "eth1".into()]));
        assert_eq!(names("enp2*", &all).ok(), Some(vec!["eth1".to_string()]));
        assert_eq!(names("ifindex:2", &all).ok(), Some(vec!["eth0".to_string()]));
        assert!(names("ifindex:9", &all).is_err_and(|e| e.may_come()));
        assert!(names("ifindex:x", &all).is_err_and(|e| !e.may_come()));
        assert!(names("wlan*", &all).is_err_and(|e| e.to_string().contains("lo, eth0, eth1")));
    }
}
