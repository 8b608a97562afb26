//! `rawbpf --json-schema`: what `--json` prints, as JSON Schema. It is made of `schema.txt`, where each type is a few
//! lines that a person can read; the tests hold every document that a command prints to it.

use serde_json::{Map, Value as Json, json};

use crate::ui::output::SCHEMA;

const TEXT: &str = include_str!("schema.txt");

/// The types and commands of the text.
#[derive(Default)]
struct Schema {
    defs: Map<String, Json>,
    /// Command, how it prints, and the types of what it prints.
    commands: Vec<(String, &'static str, Vec<String>)>,
}

/// The whole schema: one of the documents, or one of the lines.
pub(crate) fn schema(grammar: &clap::Command) -> Json {
    let mut read = Schema::default();
    read.text(TEXT);
    let (mut forms, mut all) = (Map::new(), Vec::new());
    for (command, form, types) in &read.commands {
        forms.insert(command.clone(), json!({"form": form, "types": types}));
        match *form {
            "document" => all.extend(types.iter().map(|ty| read.document(command, ty))),
            "lines" => all.extend(types.iter().map(|ty| reference(ty))),
            _ => {}
        }
    }
    let error = json!({
        "type": "object",
        "description": "a failure, of any command",
        "properties": {"schema": {"const": SCHEMA}, "command": {"type": "string"}, "error": reference("Error")},
        "required": ["schema", "command", "error"],
        "additionalProperties": false,
    });
    all.push(error);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What rawbpf --json prints",
        "version": SCHEMA,
        "tool": env!("CARGO_PKG_VERSION"),
        "commands": forms,
        "verbs": verbs(grammar, ""),
        "anyOf": all,
        "$defs": read.defs,
    })
}

/// Every command that can be typed, so that none is forgotten here.
fn verbs(command: &clap::Command, above: &str) -> Vec<String> {
    let below: Vec<_> = command.get_subcommands().filter(|c| c.get_name() != "help").collect();
    let path = |c: &clap::Command| format!("{above} {}", c.get_name()).trim().to_string();
    below
        .into_iter()
        .flat_map(|c| match c.has_subcommands() {
            true => verbs(c, &path(c)),
            false => vec![path(c)],
        })
        .collect()
}

fn reference(name: &str) -> Json {
    json!({"$ref": format!("#/$defs/{name}")})
}

impl Schema {
    fn text(&mut self, text: &str) {
        let mut open: Option<String> = None;
        for line in text.lines().filter(|l| !l.starts_with('#') && !l.trim().is_empty()) {
            let words: Vec<&str> = line.split_whitespace().collect();
            // Fields are indented; a field may be called `type`.
            let indented = line.starts_with(' ');
            match words.as_slice() {
                [field, ty @ ..] if indented => {
                    let def = open.as_ref().and_then(|name| self.defs.get_mut(name));
                    if let Some(def) = def {
                        let name = field.trim_end_matches('?');
                        def["properties"][name] = field_type(&ty.join(" "));
                        if name == *field {
                            if let Json::Array(required) = &mut def["required"] {
                                required.push(name.into());
                            }
                        }
                    }
                }
                [form @ ("document" | "lines" | "plain"), rest @ ..] => {
                    let form = if *form == "document" {
                        "document"
                    } else if *form == "lines" {
                        "lines"
                    } else {
                        "plain"
                    };
                    // Types begin with a capital letter, commands do not.
                    let at =
                        rest.iter().position(|w| w.starts_with(char::is_uppercase)).unwrap_or(rest.len());
                    let (command, types) = rest.split_at(at);
                    self.commands.push((
                        command.join(" "),
                        form,
                        types.iter().map(|t| t.to_string()).collect(),
                    ));
                }
                ["type", name, rest @ ..] => {
                    let base = rest.get(1).and_then(|base| self.defs.get(*base)).cloned();
                    let empty = json!({
                        "type": "object", "properties": {}, "required": [], "additionalProperties": false,
                    });
                    self.defs.insert(name.to_string(), base.unwrap_or(empty));
                    open = Some(name.to_string());
                }
                _ => {}
            }
        }
    }

    /// A document of a command: the fields of the type, and those that every document has.
    fn document(&self, command: &str, ty: &str) -> Json {
        let mut def = self.defs.get(ty).cloned().unwrap_or_default();
        def["properties"]["schema"] = json!({"const": SCHEMA});
        def["properties"]["command"] = json!({"const": command});
        if let Json::Array(required) = &mut def["required"] {
            required.extend(["schema".into(), "command".into()]);
        }
        def
    }
}

fn field_type(text: &str) -> Json {
    if let Some(inner) = text.strip_suffix('?') {
        return json!({"anyOf": [field_type(inner), {"type": "null"}]});
    }
    if let Some(inner) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        return json!({"type": "array", "items": field_type(inner)});
    }
    if let Some(inner) = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')) {
        return json!({"type": "object", "additionalProperties": field_type(inner)});
    }
    if text.starts_with('"') {
        let words: Vec<&str> = text.split('|').map(|w| w.trim_matches('"')).collect();
        return json!({"enum": words});
    }
    match text {
        "text" => json!({"type": "string"}),
        "bool" => json!({"type": "boolean"}),
        "uint" => json!({"type": "integer", "minimum": 0}),
        "int" => json!({"type": "integer"}),
        "number" => json!({"type": "number"}),
        "any" => json!({}),
        name => reference(name),
    }
}
