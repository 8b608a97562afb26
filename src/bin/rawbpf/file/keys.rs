//! The options of `load` as keys of a file: one table, for reading and for writing.

use std::path::PathBuf;
use std::str::FromStr;

use clap::ValueEnum;
use rawbpf::links::{Anchor, NetNs, Netfilter, Route};
use toml::Value;

use crate::options::LoadOptions;
use crate::options::XdpModeArg;
use crate::options::net::{ShareArg, TcHookArg};
use crate::select;

macro_rules! keys {
    ($($key:literal => $($field:ident).+;)*) => {
        /// All keys.
        pub(crate) const KEYS: &[&str] = &[$($key),*];

        /// Sets the option of this key.
        pub(crate) fn set(how: &mut LoadOptions, key: &str, value: &Value) -> Result<(), String> {
            match key {
                $($key => how.$($field).+ = Key::read(value)?,)*
                _ => return Err(format!("there is no option `{key}`{}", select::near(key, KEYS.iter().copied()))),
            }
            Ok(())
        }

        /// The options that are set, as keys.
        pub(crate) fn all(how: &LoadOptions) -> Vec<(&'static str, Value)> {
            let mut out = Vec::new();
            $(out.extend(how.$($field).+.write().map(|value| ($key, value)));)*
            out
        }
    };
}

keys! {
    "xdp" => xdp;
    "xdp-mode" => xdp_mode;
    "tc" => net.tc;
    "tc-hook" => net.tc_hook;
    "netkit" => net.netkit;
    "netfilter" => net.netfilter;
    "cgroup" => net.cgroup;
    "cgroup-share" => net.cgroup_share;
    "sockmap" => net.sockmap;
    "route" => net.route;
    "lirc" => net.lirc;
    "netns" => net.netns;
    "first" => net.first;
    "last" => net.last;
    "before" => net.before;
    "after" => net.after;
    "revision" => net.revision;
    "instead-of" => net.instead_of;
    "no-link" => net.no_link;
    "attach" => attach;
    "no-attach" => no_attach;
    "strict" => strict;
    "wait" => wait;
    "keep-maps" => keep_maps;
    "migrate" => migrate;
    "fresh-maps" => fresh_maps;
    "pid" => pid;
    "cookie" => cookie;
    "onto" => onto;
    "program" => programs;
    "set" => overrides.set;
    "max-entries" => overrides.max_entries;
    "map" => overrides.maps;
    "type" => overrides.types;
    "btf" => overrides.btf;
    "kconfig" => overrides.kconfig;
    "token" => overrides.token;
}

/// The keys that say where programs are attached and what becomes of the rest: they may change while programs and maps
/// stay.
const HOOKS: &[&str] = &[
    "xdp",
    "xdp-mode",
    "tc",
    "tc-hook",
    "netkit",
    "netfilter",
    "cgroup",
    "cgroup-share",
    "sockmap",
    "route",
    "lirc",
    "netns",
    "first",
    "last",
    "before",
    "after",
    "revision",
    "no-link",
    "no-attach",
    "strict",
    "wait",
    "keep-maps",
    "migrate",
    "fresh-maps",
];

/// The options that decide how programs are loaded, as text.
pub(crate) fn of_loading(how: &LoadOptions) -> String {
    let own = all(how).into_iter().filter(|(key, _)| !HOOKS.contains(key));
    own.map(|(key, value)| format!("{key} = {value}\n")).collect()
}

/// These options, with the hooks of others.
pub(crate) fn with_hooks_of(how: &LoadOptions, hooks: &LoadOptions) -> LoadOptions {
    let mut out = LoadOptions::default();
    let own = all(how).into_iter().filter(|(key, _)| !HOOKS.contains(key));
    let theirs = all(hooks).into_iter().filter(|(key, _)| HOOKS.contains(key));
    for (key, value) in own.chain(theirs) {
        // What was written is read again: a test holds it.
        let _ = set(&mut out, key, &value);
    }
    out
}

/// Options that exclude or need each other: the key, and what is wrong.
pub(crate) fn check(how: &LoadOptions) -> Result<(), (&'static str, &'static str)> {
    let net = &how.net;
    let places = [net.first, net.last, net.before.is_some(), net.after.is_some(), net.instead_of.is_some()];
    let set = |is: bool| usize::from(is);
    if places.into_iter().map(set).sum::<usize>() > 1 {
        return Err(("first", "`first`, `last`, `before`, `after` and `instead-of` exclude each other"));
    }
    if [how.keep_maps, how.migrate, how.fresh_maps].into_iter().map(set).sum::<usize>() > 1 {
        return Err(("migrate", "`keep-maps`, `migrate` and `fresh-maps` exclude each other"));
    }
    if how.strict && how.no_attach {
        return Err(("strict", "`strict` and `no-attach` exclude each other"));
    }
    if how.cookie.is_some() && how.attach.is_empty() {
        return Err(("cookie", "`cookie` goes with `attach`"));
    }
    Ok(())
}

/// What can be the value of a key.
trait Key: Sized {
    fn read(value: &Value) -> Result<Self, String>;
    /// `None` for what is not set.
    fn write(&self) -> Option<Value>;
}

fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(n) => Ok(n.to_string()),
        Value::Float(n) => Ok(n.to_string()),
        Value::Boolean(b) => Ok(b.to_string()),
        other => Err(format!("{} is not a value of an option", other.type_str())),
    }
}

impl Key for bool {
    fn read(value: &Value) -> Result<bool, String> {
        value.as_bool().ok_or_else(|| format!("`true` or `false` is wanted, and not {}", value.type_str()))
    }

    fn write(&self) -> Option<Value> {
        self.then_some(Value::Boolean(true))
    }
}

/// `"a,b"`, `["a", "b"]`, and `{ name = value }` for pairs.
impl Key for Vec<String> {
    fn read(value: &Value) -> Result<Vec<String>, String> {
        match value {
            Value::Array(items) => items.iter().map(text).collect(),
            Value::Table(pairs) => pairs.iter().map(|(name, v)| Ok(format!("{name}={}", text(v)?))).collect(),
            Value::String(list) if !list.contains('=') => Ok(list.split(',').map(String::from).collect()),
            one => Ok(vec![text(one)?]),
        }
    }

    fn write(&self) -> Option<Value> {
        let items: Vec<Value> = self.iter().cloned().map(Value::String).collect();
        match items.as_slice() {
            [] => None,
            [one] => Some(one.clone()),
            _ => Some(Value::Array(items)),
        }
    }
}

/// A value that is written as text.
trait Word: Sized {
    fn read_word(text: &str) -> Result<Self, String>;
    fn write_word(&self) -> String;
}

macro_rules! words {
    ($($t:ty: $read:expr, $write:expr;)*) => { $(impl Word for $t {
        fn read_word(text: &str) -> Result<$t, String> {
            #[allow(clippy::redundant_closure_call, reason = "each type has a closure of its own")]
            ($read)(text)
        }

        fn write_word(&self) -> String {
            #[allow(clippy::redundant_closure_call, reason = "each type has a closure of its own")]
            ($write)(self)
        }
    })* };
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is not a number that fits"))
}

words! {
    String: |t: &str| Ok(t.to_string()), |s: &String| s.clone();
    PathBuf: |t: &str| Ok(PathBuf::from(t)), |p: &PathBuf| p.display().to_string();
    u32: number, |n: &u32| n.to_string();
    u64: number, |n: &u64| n.to_string();
    NetNs: |t: &str| t.parse(), |n: &NetNs| n.to_string();
    Netfilter: |t: &str| t.parse::<Netfilter>().map_err(|e| e.to_string()), netfilter;
    Route: |t: &str| t.parse(), route;
    Anchor: |t: &str| t.parse(), anchor;
}

fn netfilter(spot: &Netfilter) -> String {
    let defrag = if spot.defragment { ":defrag" } else { "" };
    format!("{}:{}:{}{defrag}", spot.family.name(), spot.hook.name(), spot.priority)
}

fn route(route: &Route) -> String {
    let via = route.gateway.map(|g| format!(",via={g}")).unwrap_or_default();
    let headroom = if route.headroom == 0 { String::new() } else { format!(",headroom={}", route.headroom) };
    format!("{}/{}{via},dev={}{headroom}", route.destination, route.prefix, route.interface)
}

fn anchor(anchor: &Anchor) -> String {
    match anchor {
        Anchor::Any(text) if text.bytes().all(|b| b.is_ascii_digit()) => format!("id:{text}"),
        Anchor::Any(text) => text.clone(),
        Anchor::Program(id) => format!("id:{id}"),
        Anchor::Link(id) => format!("link:{id}"),
    }
}

impl<T: Word> Key for Option<T> {
    fn read(value: &Value) -> Result<Option<T>, String> {
        T::read_word(&text(value)?).map(Some)
    }

    fn write(&self) -> Option<Value> {
        self.as_ref().map(|word| Value::String(word.write_word()))
    }
}

macro_rules! lists {
    ($($t:ty),*) => { $(impl Key for Vec<$t> {
        fn read(value: &Value) -> Result<Vec<$t>, String> {
            match value {
                Value::Array(items) => items.iter().map(|item| <$t>::read_word(&text(item)?)).collect(),
                one => Ok(vec![<$t>::read_word(&text(one)?)?]),
            }
        }

        fn write(&self) -> Option<Value> {
            self.iter().map(Word::write_word).collect::<Vec<String>>().write()
        }
    })* };
}
lists!(PathBuf, Netfilter, Route);

macro_rules! choices {
    ($($t:ty),*) => { $(impl Key for $t {
        fn read(value: &Value) -> Result<$t, String> {
            let word = text(value)?;
            <$t as ValueEnum>::from_str(&word, false).map_err(|_| {
                let all = <$t>::value_variants().iter().filter_map(ValueEnum::to_possible_value);
                let names: Vec<String> = all.map(|v| v.get_name().to_string()).collect();
                format!("`{word}` is none of {}", names.join(", "))
            })
        }

        fn write(&self) -> Option<Value> {
            let name = self.to_possible_value()?.get_name().to_string();
            let default = <$t>::default().to_possible_value()?.get_name().to_string();
            (name != default).then_some(Value::String(name))
        }
    })* };
}
choices!(XdpModeArg, TcHookArg, ShareArg);

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Words {
        #[command(flatten)]
        how: LoadOptions,
    }

    #[test]
    fn every_option_is_a_key() {
        let command = Words::command();
        let mut options: Vec<&str> = command.get_arguments().filter_map(|a| a.get_long()).collect();
        options.retain(|o| *o != "help");
        let mut keys = KEYS.to_vec();
        options.sort_unstable();
        keys.sort_unstable();
        assert_eq!(options, keys);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let words = "x --xdp a --xdp b* --xdp-mode generic --tc c:egress --tc-hook clsact --netns blue --before id:7 \
            --route 10.9.0.0/16,via=10.8.0.1,dev=d,headroom=8 --netfilter ipv4:input:-5 --set n=7 \
            --cgroup /a --cgroup-share override --pid 7 --wait --migrate --btf /b --attach p=kprobe/f --cookie 9";
        let how = Words::parse_from(words.split_whitespace().chain(["--set", "m=\"x, y\""])).how;
        let mut again = LoadOptions::default();
        let first = all(&how);
        for (key, value) in &first {
            let text = format!("x = {value}");
            let table: toml::Table = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            set(&mut again, key, &table["x"]).unwrap_or_else(|e| panic!("{key}: {e}"));
        }
        let again = all(&again);
        assert_eq!(first.len(), 17, "{first:?}");
        assert_eq!(first, again);
    }
}
