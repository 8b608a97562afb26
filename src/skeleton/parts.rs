//! The structs of the generated code: what comes before loading, and what there is afterwards.

use std::fmt::Write as _;

use super::types::{Rust, Types};
use super::{Names, SkeletonError, camel, ident};
use crate::elf::{DataKind, MapOrigin, Object};
use crate::uapi::MapType;

/// A map of the object.
pub(super) struct MapPart {
    field: String,
    name: String,
    ty: String,
    /// It is wrapped in a typed map.
    typed: bool,
}

/// A global variable.
pub(super) struct VariablePart {
    field: String,
    name: String,
    section: String,
    offset: u32,
    ty: String,
    declaration: String,
    /// It can change while programs run.
    live: bool,
}

/// A program.
pub(super) struct ProgPart {
    field: String,
    name: String,
    section: String,
}

pub(super) fn programs(object: &Object) -> Vec<ProgPart> {
    let mut taken = Names::default();
    let part = |p: &crate::elf::ProgDef| ProgPart {
        field: taken.take(ident(p.name())),
        name: p.name().into(),
        section: p.func.section.clone(),
    };
    object.programs.iter().filter(|p| p.autoload).map(part).collect()
}

/// The maps that were declared as such; those of variables are reached variable by variable.
pub(super) fn maps(object: &Object, types: &mut Types<'_>) -> Result<Vec<MapPart>, SkeletonError> {
    let (mut out, mut taken) = (Vec::new(), Names::default());
    for map in object.maps.iter().filter(|m| m.origin == MapOrigin::Declared && m.autocreate) {
        let fail = |source| SkeletonError::Type { what: format!("map `{}`", map.name), source };
        let mut of = |id, size| types.of(id, size).map(|ty: Rust| ty.name).map_err(fail);
        let (key, value) = (of(map.key_type, map.key_size)?, of(map.value_type, map.value_size)?);
        let typed = match map.map_type {
            MapType::Hash | MapType::LruHash => Some(format!("HashMap<{key}, {value}>")),
            MapType::Array => Some(format!("Array<{value}>")),
            MapType::PercpuHash | MapType::LruPercpuHash => Some(format!("PerCpuHash<{key}, {value}>")),
            MapType::PercpuArray => Some(format!("PerCpuArray<{value}>")),
            MapType::Queue => Some(format!("Queue<{value}>")),
            MapType::Stack => Some(format!("Stack<{value}>")),
            MapType::BloomFilter => Some(format!("BloomFilter<{value}>")),
            MapType::SkStorage => Some(format!("SocketStorage<{value}>")),
            MapType::InodeStorage => Some(format!("InodeStorage<{value}>")),
            MapType::TaskStorage => Some(format!("TaskStorage<{value}>")),
            MapType::CgrpStorage => Some(format!("CgroupStorage<{value}>")),
            MapType::ProgArray => Some("ProgArray".into()),
            MapType::CgroupArray => Some("CgroupArray".into()),
            MapType::ArrayOfMaps => Some("ArrayOfMaps".into()),
            MapType::HashOfMaps => Some(format!("HashOfMaps<{key}>")),
            MapType::Devmap => Some("DevMap".into()),
            MapType::DevmapHash => Some("DevMapHash".into()),
            MapType::Cpumap => Some("CpuMap".into()),
            MapType::Xskmap => Some("XskMap".into()),
            MapType::Sockmap => Some("SockMap".into()),
            MapType::Sockhash => Some(format!("SockHash<{key}>")),
            MapType::StackTrace => Some("StackTraces".into()),
            // Ring buffers, arenas and the rest are opened by those who use them.
            _ => None,
        };
        let ty = format!("rawbpf::maps::{}", typed.as_deref().unwrap_or("Map"));
        out.push(MapPart {
            field: taken.take(ident(&map.name)),
            name: map.name.clone(),
            ty,
            typed: typed.is_some(),
        });
    }
    Ok(out)
}

pub(super) fn variables(object: &Object, types: &mut Types<'_>) -> Result<Vec<VariablePart>, SkeletonError> {
    let (mut out, mut taken) = (Vec::new(), Names::default());
    for global in object.globals() {
        // Those of an arena lie in the arena.
        let kind = object.maps.iter().find_map(|m| match &m.origin {
            MapOrigin::Data { section, kind } if *section == global.section => Some(*kind),
            _ => None,
        });
        let Some(kind) = kind else { continue };
        let fail = |source| SkeletonError::Type { what: format!("variable `{}`", global.name), source };
        let ty = types.of(Some(global.ty), global.size).map_err(fail)?;
        out.push(VariablePart {
            field: taken.take(ident(&global.name)),
            name: global.name,
            section: global.section,
            offset: global.offset,
            ty: ty.name,
            declaration: global.declaration,
            live: matches!(kind, DataKind::Data | DataKind::Bss),
        });
    }
    Ok(out)
}

/// Names of the code itself.
const OURS: &[&str] = &["Builder", "Programs", "Maps", "Variables", "Links", "Self_"];

/// Writes the builder and the struct.
pub(super) fn write(
    out: &mut String,
    name: &str,
    maps: &[MapPart],
    variables: &[VariablePart],
    programs: &[ProgPart],
) {
    let whole = match camel(name) {
        // The other structs of the code are called so.
        taken if OURS.contains(&taken.as_str()) => format!("{taken}Object"),
        free => free,
    };
    builder(out, &whole, variables);
    let _ = write!(
        out,
        "/// The object, loaded. Dropping it detaches what it attached.\n#[derive(Debug)]\n#[allow(dead_code)]\npub struct {whole} {{\n    \
         /// What is attached; first, so that it is detached before anything else goes.\n    pub links: Links,\n    \
         /// The programs.\n    pub programs: Programs,\n    /// The maps.\n    pub maps: Maps,\n    \
         /// The variables that change while programs run.\n    pub variables: Variables,\n}}\n\n"
    );
    fields(
        out,
        "Programs",
        "The programs.",
        programs.iter().map(|p| (&p.field, format!("`SEC(\"{}\")`", p.section), "rawbpf::Program".into())),
    );
    fields(out, "Maps", "The maps.", maps.iter().map(|m| (&m.field, format!("`{}`", m.name), m.ty.clone())));
    let live = || variables.iter().filter(|v| v.live);
    fields(
        out,
        "Variables",
        "The variables that change while programs run.",
        live()
            .map(|v| (&v.field, format!("`{}`", v.declaration), format!("rawbpf::maps::Variable<{}>", v.ty))),
    );
    let _ = write!(
        out,
        "/// What is attached, by program.\n#[derive(Debug, Default)]\n#[allow(dead_code)]\npub struct Links {{\n"
    );
    for p in programs {
        let _ =
            writeln!(out, "    /// The link of `{}`.\n    pub {}: Option<rawbpf::Link>,", p.name, p.field);
    }
    let _ = write!(out, "}}\n\n#[allow(dead_code)]\nimpl {whole} {{\n");
    loaded(out, maps, variables, programs);
    attach(out, programs);
    out.push_str("}\n\n");
}

/// A struct of named fields.
fn fields<'n>(
    out: &mut String,
    name: &str,
    comment: &str,
    list: impl Iterator<Item = (&'n String, String, String)>,
) {
    let _ = write!(out, "/// {comment}\n#[derive(Debug)]\n#[allow(dead_code)]\npub struct {name} {{\n");
    for (field, comment, ty) in list {
        let _ = writeln!(out, "    /// {}\n    pub {field}: {ty},", comment.replace('\n', " "));
    }
    out.push_str("}\n\n");
}

fn builder(out: &mut String, whole: &str, variables: &[VariablePart]) {
    let _ = write!(
        out,
        "/// The object before it is loaded: variables can be set, and everything else of it changed.\n\
         #[derive(Debug)]\n#[allow(dead_code)]\npub struct Builder {{\n    /// As it was read.\n    pub object: rawbpf::Object,\n    \
         /// How it is loaded.\n    pub options: rawbpf::Options,\n}}\n\n#[allow(dead_code)]\nimpl Builder {{\n    /// Reads the object.\n    \
         pub fn open() -> Result<Builder, rawbpf::Error> {{\n        \
         Ok(Builder {{ object: rawbpf::Object::parse(NAME, OBJECT)?, options: rawbpf::Options::default() }})\n    }}\n"
    );
    for v in variables {
        let _ = write!(
            out,
            "\n    /// Sets `{}` ({}).\n    pub fn set_{}(&mut self, value: &{}) -> Result<&mut Builder, rawbpf::Error> {{\n        \
             self.object.global({:?})?.set_bytes(rawbpf::maps::Plain::bytes(value))?;\n        Ok(self)\n    }}\n",
            v.declaration.replace('\n', " "),
            v.section,
            v.field.trim_start_matches("r#"),
            v.ty,
            v.name
        );
    }
    let _ = write!(
        out,
        "\n    /// Loads it on this machine's kernel.\n    pub fn load(self) -> Result<{whole}, rawbpf::Error> {{\n        \
         self.load_on(&rawbpf::Kernel::host())\n    }}\n\n    /// Loads it, with what is known of the kernel already.\n    \
         pub fn load_on(self, kernel: &rawbpf::Kernel) -> Result<{whole}, rawbpf::Error> {{\n        \
         {whole}::take(self.object.plan(kernel, &self.options)?.run()?)\n    }}\n}}\n\n"
    );
}

fn loaded(out: &mut String, maps: &[MapPart], variables: &[VariablePart], programs: &[ProgPart]) {
    out.push_str(
        "    /// Takes what was loaded apart.\n    fn take(loaded: rawbpf::Loaded) -> Result<Self, rawbpf::Error> {\n",
    );
    let mut sections: Vec<&str> = variables.iter().filter(|v| v.live).map(|v| v.section.as_str()).collect();
    sections.dedup();
    for section in &sections {
        let _ = writeln!(
            out,
            "        let section{} = rawbpf::maps::Section::new(rawbpf::skeleton::map(&loaded, {section:?})?);",
            ident(section)
        );
    }
    out.push_str("        let maps = Maps {\n");
    for m in maps {
        let of = format!("rawbpf::skeleton::map(&loaded, {:?})?", m.name);
        let of = if m.typed { format!("{of}.try_into()?") } else { format!("{of}.clone()") };
        let _ = writeln!(out, "            {}: {of},", m.field);
    }
    out.push_str("        };\n        let variables = Variables {\n");
    for v in variables.iter().filter(|v| v.live) {
        let _ =
            writeln!(out, "            {}: section{}.variable({})?,", v.field, ident(&v.section), v.offset);
    }
    out.push_str(
        "        };\n        let mut list = loaded.into_parts().1;\n        let programs = Programs {\n",
    );
    for p in programs {
        let _ =
            writeln!(out, "            {}: rawbpf::skeleton::program(&mut list, {:?})?,", p.field, p.name);
    }
    out.push_str(
        "        };\n        Ok(Self { links: Links::default(), programs, maps, variables })\n    }\n",
    );
}

fn attach(out: &mut String, programs: &[ProgPart]) {
    out.push_str(
        "\n    /// Attaches the programs whose sections say to what. The others keep an empty link: attach them with\n    \
         /// [`rawbpf::attach`].\n    pub fn attach(&mut self) -> Result<(), rawbpf::Error> {\n        \
         let kernel = rawbpf::Kernel::host();\n",
    );
    for p in programs {
        let _ = writeln!(
            out,
            "        if self.links.{0}.is_none() {{\n            self.links.{0} = rawbpf::links::auto(&kernel, &self.programs.{0})?;\n        }}",
            p.field
        );
    }
    out.push_str("        Ok(())\n    }\n");
}
