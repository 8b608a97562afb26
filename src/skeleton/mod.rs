//! Rust code for one object file: its programs, maps, variables and links as fields of one struct.
//!
//! Loading an object by hand means finding each map and program by its name, at run time, and saying again in Rust
//! how its keys and values are laid out. The object knows all of that. A *skeleton* is that knowledge as source code,
//! made when the program is built, so that a map that was renamed is a compile error and not a failure at a customer's:
//!
//! ```text
//!   rewrite.o ──rust()──► rewrite.rs
//!                           types       a struct for each key, value and variable, its layout asserted
//!                           Builder     the object before it is loaded: set_answer_with(&XDP_DROP)
//!                             │ load()
//!                             ▼
//!                           Rewrite { programs, maps, variables, links }
//!                                     owned, without lifetimes: it can be kept in any struct
//! ```
//!
//! ```no_run
//! // build.rs
//! rawbpf::skeleton::build("src/rewrite.o", &format!("{}/rewrite.rs", std::env::var("OUT_DIR")?))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ```ignore
//! // src/main.rs
//! mod rewrite { include!(concat!(env!("OUT_DIR"), "/rewrite.rs")); }
//! let mut rewrite = rewrite::Builder::open()?.load()?;
//! rewrite.attach()?;
//! println!("{} frames", rewrite.variables.frames_seen.get()?);
//! ```
//!
//! `rawbpf gen rust FILE` prints the same.

mod error;
mod names;
mod parts;
mod types;

pub use error::SkeletonError;

use std::fmt::Write as _;
use std::path::Path;

use crate::elf::{GlobalError, Object};
use crate::error::Error;
use crate::loader::Loaded;
use crate::maps::Map;
use crate::progs::Program;
use names::{Names, camel, ident};
use types::Types;

/// Where the generated code has the object from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Embed {
    /// The bytes stand in the code.
    Literal,
    /// `include_bytes!` of this path, which is relative to the generated file unless it is absolute.
    Include(String),
}

/// Writes the code for the object in these bytes. `name` is what the struct is called, in the manner of a file:
/// `packet_count` becomes `PacketCount`.
///
/// # Errors
/// The bytes are no BPF object, or one of its types is damaged.
pub fn rust(bytes: &[u8], name: &str, embed: &Embed) -> Result<String, SkeletonError> {
    let object = Object::parse(name, bytes).map_err(SkeletonError::Read)?;
    let mut types = Types::new(object.btf.as_deref());
    let maps = parts::maps(&object, &mut types)?;
    let variables = parts::variables(&object, &mut types)?;
    let programs = parts::programs(&object);
    let mut out = String::new();
    let _ = write!(
        out,
        "// Made by rawbpf {} of {name}.o. Do not change it: make it again.\n\n",
        env!("CARGO_PKG_VERSION")
    );
    header(&mut out, name, bytes, embed);
    parts::write(&mut out, name, &maps, &variables, &programs);
    types.write(&mut out);
    Ok(out)
}

/// For `build.rs`: reads an object, writes its code to `out`, and tells cargo to look at the object again when it
/// changes. The object is included by its path.
///
/// # Errors
/// As for [`rust`], and those of both files.
pub fn build(object: impl AsRef<Path>, out: impl AsRef<Path>) -> Result<(), SkeletonError> {
    let (object, out) = (object.as_ref(), out.as_ref());
    let file = |doing, path: &Path| {
        let path = path.display().to_string();
        move |source| SkeletonError::File { doing, path, source }
    };
    let whole = std::fs::canonicalize(object).map_err(file("find", object))?;
    let bytes = std::fs::read(&whole).map_err(file("read", object))?;
    let stem = object.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let name = stem.strip_suffix(".bpf").unwrap_or(&stem);
    let code = rust(&bytes, name, &Embed::Include(whole.display().to_string()))?;
    // Cargo reads these lines from the output of a build script.
    #[allow(clippy::print_stdout, reason = "this is how a build script talks to cargo")]
    {
        println!("cargo::rerun-if-changed={}", whole.display());
    }
    std::fs::write(out, code).map_err(file("write", out))
}

fn header(out: &mut String, name: &str, bytes: &[u8], embed: &Embed) {
    out.push_str("/// The object file.\n");
    match embed {
        Embed::Include(path) => {
            let _ = writeln!(out, "pub static OBJECT: &[u8] = include_bytes!({path:?});");
        }
        Embed::Literal => {
            out.push_str("pub static OBJECT: &[u8] = b\"");
            for byte in bytes {
                let _ = write!(out, "{}", byte.escape_ascii());
            }
            out.push_str("\";\n");
        }
    }
    let _ = writeln!(out, "\n/// What the object is called.\npub const NAME: &str = {name:?};\n");
}

/// For generated code: a map of what was loaded.
///
/// # Errors
/// There is none of this name: the object was changed before it was loaded.
#[doc(hidden)]
pub fn map<'l>(loaded: &'l Loaded, name: &str) -> Result<&'l Map, Error> {
    loaded.map(name).ok_or_else(|| gone("map", name))
}

/// For generated code: takes a program out of a list.
///
/// # Errors
/// There is none of this name: it was not loaded.
#[doc(hidden)]
pub fn program(list: &mut Vec<Program>, name: &str) -> Result<Program, Error> {
    let at = list.iter().position(|p| p.name() == name).ok_or_else(|| gone("program", name))?;
    Ok(list.swap_remove(at))
}

fn gone(what: &'static str, name: &str) -> Error {
    Error::Global(GlobalError::absent(what, name))
}
