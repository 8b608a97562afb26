//! The directives that say what an object has besides code: maps, their first elements, and externs.

use super::cursor::{Cursor, Parse};
use super::error::{Fault, did_you_mean};
use super::lex::Kind;
use super::{Elem, TextExtern, TextMap, type_read};
use crate::uapi::MapType;

/// What `.map` knows.
const FIELDS: &[&str] =
    &["type", "key", "value", "max_entries", "flags", "numa_node", "extra", "pin", "inner"];

/// `.map NAME type=hash key=u32 value=struct stats max_entries=1024 flags=1 pin=by_name`.
pub(super) fn map(c: &mut Cursor<'_>, line: u32) -> Parse<TextMap> {
    c.form(".map name type=hash key=u32 value=u64 max_entries=1024");
    let mut map = TextMap::new(c.name()?, line);
    fields(c, &mut map, false)?;
    Ok(map)
}

fn fields(c: &mut Cursor<'_>, map: &mut TextMap, inner: bool) -> Parse<()> {
    let mut sized = false;
    while let Some(Kind::Word(field)) = c.peek() {
        let start = c.pos();
        c.skip();
        c.expect("=")?;
        match *field {
            "type" => map.kind = map_type(c)?,
            "key" => map.key = element(c)?,
            "value" => map.value = element(c)?,
            "max_entries" => (map.max_entries, sized) = (c.fit("32 bits")?, true),
            "flags" | "map_flags" => map.flags = c.fit("32 bits")?,
            "numa_node" => map.numa_node = c.fit("32 bits")?,
            "extra" | "map_extra" => map.extra = c.fit("64 bits without a sign")?,
            "pin" if !inner => match c.eat_word("by_name") {
                true => map.pinned = true,
                false => return c.expected("`by_name`"),
            },
            "inner" if !inner => {
                c.expect("{")?;
                let mut of = TextMap::new(String::new(), map.line);
                fields(c, &mut of, true)?;
                c.expect("}")?;
                map.inner = Some(Box::new(of));
            }
            other => {
                let help = did_you_mean(other, FIELDS.iter().copied());
                return Err(Fault::new(c.since(start), format!("a map has no `{other}`"), help));
            }
        }
    }
    let needs_entries = !matches!(
        map.kind,
        MapType::SkStorage
            | MapType::TaskStorage
            | MapType::InodeStorage
            | MapType::CgrpStorage
            | MapType::CgroupStorage
            | MapType::PercpuCgroupStorage
    );
    match map.kind {
        MapType(0) => c.expected("`type=`"),
        _ if needs_entries && !sized => c.expected("`max_entries=`"),
        _ => Ok(()),
    }
}

fn map_type(c: &mut Cursor<'_>) -> Parse<MapType> {
    let at = c.here();
    if let Some(Kind::Number(_)) = c.peek() {
        return Ok(MapType(c.fit("the number of a map type")?));
    }
    let name = c.name()?;
    MapType::from_name(&name).ok_or_else(|| {
        let help = did_you_mean(&name, MapType::ALL.iter().filter_map(|t| t.name()));
        Fault::new(at, format!("unknown map type `{name}`"), help)
    })
}

/// The type of keys or values, or how many bytes they have: a number, or the name of one.
fn element(c: &mut Cursor<'_>) -> Parse<Elem> {
    let start = c.pos();
    if c.number().is_ok() {
        c.back(start);
        return c.fit("a size in bytes").map(Elem::Bytes);
    }
    type_read::parse(c).map(Elem::Type)
}

/// `.slot MAP, 3, NAME`: the element 3 of a map of maps or programs is NAME from the start.
pub(super) fn slot(c: &mut Cursor<'_>, maps: &mut [TextMap]) -> Parse<()> {
    c.form(".slot MAP, 3, NAME");
    let at = c.here();
    let name = c.name()?;
    c.expect(",")?;
    let index = c.fit("an index, 32 bits")?;
    c.expect(",")?;
    let target = c.name()?;
    match maps.iter_mut().find(|map| map.name == name) {
        Some(map) => map.slots.push((index, target)),
        None => {
            let help = did_you_mean(&name, maps.iter().map(|m| m.name.as_str()));
            return Err(Fault::new(at, format!("there is no map `{name}` above"), help));
        }
    }
    Ok(())
}

/// `.ksym bpf_rcu_read_lock: fn() -> void` and `.kconfig CONFIG_HZ: int`, with ` weak` behind it.
pub(super) fn extern_(c: &mut Cursor<'_>, kconfig: bool) -> Parse<TextExtern> {
    c.form(if kconfig { ".kconfig CONFIG_HZ: int" } else { ".ksym bpf_rcu_read_lock: fn() -> void" });
    let name = c.name()?;
    c.expect(":")?;
    let ty = type_read::parse(c)?;
    Ok(TextExtern { name, ty, kconfig, weak: c.eat_word("weak") })
}
