//! Names of C as names of Rust.

use std::collections::HashSet;

/// What Rust keeps for itself, and a C program may call a variable.
const KEYWORDS: &[&str] = &[
    "as", "async", "await", "box", "break", "const", "continue", "crate", "do", "dyn", "else", "enum",
    "extern", "false", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "match", "mod", "move", "mut",
    "pub", "ref", "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "unsafe",
    "use", "where", "while", "yield", "abstract", "become", "final", "macro", "override", "priv", "typeof",
    "unsized", "virtual",
];

/// A name as a field or function: letters, digits and underscores; a keyword gets an underscore behind it.
pub(super) fn ident(name: &str) -> String {
    let mut out: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if out.is_empty() || out.starts_with(|c: char| c.is_ascii_digit()) {
        out.insert(0, '_');
    }
    if KEYWORDS.contains(&out.as_str()) || out == "_" || out == "Self" {
        out.push('_');
    }
    out
}

/// A name as a type: `packet_count` is `PacketCount`.
pub(super) fn camel(name: &str) -> String {
    let mut out = String::new();
    for part in name.split(|c: char| !c.is_ascii_alphanumeric()) {
        let mut letters = part.chars();
        out.extend(letters.next().map(|c| c.to_ascii_uppercase()));
        out.push_str(letters.as_str());
    }
    ident(&out)
}

/// Names that are taken.
#[derive(Debug, Default)]
pub(super) struct Names(HashSet<String>);

impl Names {
    /// The name, or the name with the first number behind it that makes it a new one.
    pub(super) fn take(&mut self, name: String) -> String {
        let mut tried = name.clone();
        let mut n = 2u32;
        while !self.0.insert(tried.clone()) {
            tried = format!("{name}{n}");
            n = n.saturating_add(1);
        }
        tried
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_rusts() {
        for (c, field, ty) in [
            ("packet_count", "packet_count", "PacketCount"),
            ("type", "type_", "Type"),
            (".rodata.x", "_rodata_x", "RodataX"),
            ("9lives", "_9lives", "_9lives"),
            ("", "_", "_"),
            ("self", "self_", "Self_"),
        ] {
            let dash = |s: String| if s == "_" || s == "__" { "_".into() } else { s };
            assert_eq!((dash(ident(c)), dash(camel(c))), (field.to_string(), ty.to_string()), "{c}");
        }
        let mut names = Names::default();
        assert_eq!(
            [names.take("A".into()), names.take("A".into()), names.take("A2".into())],
            ["A", "A2", "A22"]
        );
    }
}
