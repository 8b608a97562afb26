//! Which file uses which: read from `use` lines and paths, followed through re-exports to where a name is defined.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A module's path below the root of its crate.
type Module = Vec<String>;

/// A `use` of one name: whether others see it, the path, and the name that it has here.
struct Import {
    public: bool,
    path: Vec<String>,
    name: String,
}

/// What is known of a file.
struct Source {
    file: PathBuf,
    /// Its text without comments, strings, tests and imports.
    body: String,
    imports: Vec<Import>,
}

/// The files of a crate.
pub(super) struct Crate {
    sources: BTreeMap<Module, Source>,
}

impl Crate {
    /// Reads a crate from its root file on.
    pub(super) fn read(root: &Path) -> Crate {
        let mut sources = BTreeMap::new();
        add(&mut sources, Vec::new(), root, root.parent().expect("a directory"));
        Crate { sources }
    }

    /// Groups of files that use each other in a circle, as paths.
    pub(super) fn circles(&self) -> Vec<Vec<String>> {
        let edges: BTreeMap<&Module, BTreeSet<Module>> =
            self.sources.iter().map(|(module, source)| (module, self.used(module, source))).collect();
        let reach: BTreeMap<&Module, BTreeSet<&Module>> =
            edges.keys().map(|module| (*module, reachable(module, &edges))).collect();
        let mut done: BTreeSet<&Module> = BTreeSet::new();
        let mut out = Vec::new();
        for (module, there) in &reach {
            let back = |m: &&Module| reach.get(*m).is_some_and(|r| r.contains(*module));
            let circle: Vec<&Module> = there.iter().copied().filter(back).collect();
            if circle.len() > 1 && done.insert(module) {
                done.extend(circle.iter().copied());
                out.push(circle.iter().map(|m| self.sources[*m].file.display().to_string()).collect());
            }
        }
        out
    }

    /// The modules that a file uses, where their names are defined.
    fn used(&self, module: &Module, source: &Source) -> BTreeSet<Module> {
        let mut out = BTreeSet::new();
        let mut note = |path: &[String]| {
            let found = self.resolve(module, path, 0).filter(|(at, name)| at != module && name.is_some());
            out.extend(found.map(|(at, _)| at));
        };
        for import in &source.imports {
            let used_here = contains_word(&source.body, &import.name);
            match self.resolve(module, &import.path, 0) {
                // A module: what counts is what is taken from it.
                Some((_, None)) => paths(&source.body).iter().filter(|p| p[0] == import.name).for_each(|p| {
                    let whole: Vec<String> = import.path.iter().chain(&p[1..]).cloned().collect();
                    note(&whole);
                }),
                _ if import.public && !used_here => {}
                _ => note(&import.path),
            }
        }
        paths(&source.body).iter().for_each(|path| note(path));
        out
    }

    /// The module in which a path ends, and the name in it: `None` if the path is a module itself.
    fn resolve(&self, from: &Module, path: &[String], depth: u32) -> Option<(Module, Option<String>)> {
        let (mut at, mut rest) = match path.first()?.as_str() {
            "crate" => (Vec::new(), &path[1..]),
            "self" => (from.clone(), &path[1..]),
            "super" => {
                let ups = path.iter().take_while(|p| *p == "super").count();
                (from[..from.len().checked_sub(ups)?].to_vec(), &path[ups..])
            }
            first => {
                self.sources.get(&below(from, first))?;
                (from.clone(), path)
            }
        };
        while let Some(child) =
            rest.first().map(|name| below(&at, name)).filter(|m| self.sources.contains_key(m))
        {
            (at, rest) = (child, &rest[1..]);
        }
        let Some(name) = rest.first() else { return Some((at, None)) };
        for import in self.sources.get(&at)?.imports.iter().filter(|_| depth < 8) {
            let path: Vec<String> = match import.name.as_str() {
                "*" => import.path.iter().take(import.path.len() - 1).chain([name]).cloned().collect(),
                own if own == name => import.path.iter().chain(&rest[1..]).cloned().collect(),
                _ => continue,
            };
            match self.resolve(&at, &path, depth + 1) {
                Some((there, _)) if import.name == "*" && !self.defines(&there, name) => {}
                Some(found) if found.0 != at => return Some(found),
                _ => {}
            }
        }
        Some((at, Some(name.clone())))
    }

    fn defines(&self, module: &Module, name: &str) -> bool {
        let body = &self.sources[module].body;
        ["fn", "struct", "enum", "trait", "const", "type", "static", "union"].iter().any(|kind| {
            body.match_indices(&format!("{kind} {name}")).any(|(at, hit)| {
                !body[at + hit.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_')
            })
        })
    }
}

fn below(module: &Module, name: &str) -> Module {
    module.iter().cloned().chain([name.to_string()]).collect()
}

fn reachable<'m>(
    from: &'m Module,
    edges: &'m BTreeMap<&'m Module, BTreeSet<Module>>,
) -> BTreeSet<&'m Module> {
    let mut out = BTreeSet::new();
    let mut todo = vec![from];
    while let Some(module) = todo.pop() {
        todo.extend(edges.get(module).into_iter().flatten().filter(|next| out.insert(*next)));
    }
    out
}

/// Reads a file and those that it declares.
fn add(sources: &mut BTreeMap<Module, Source>, module: Module, file: &Path, dir: &Path) {
    let text = plain(&fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display())));
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or("").to_string();
    let (mut body, mut imports) = (String::new(), Vec::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let words = line.trim_start();
        let (public, words) = match words.strip_prefix("pub") {
            Some(rest) => (true, rest.split_once(' ').map_or("", |(_, rest)| rest)),
            None => (false, words),
        };
        if let Some(name) = words.strip_prefix("mod ").and_then(|w| w.strip_suffix(';')) {
            let places = [dir.join(format!("{name}.rs")), dir.join(name).join("mod.rs")];
            if let Some(place) = places.iter().find(|p| p.exists()) {
                add(sources, below(&module, name), place, &dir.join(name));
            }
        } else if let Some(rest) = words.strip_prefix("use ") {
            let mut tree = rest.to_string();
            while !tree.ends_with(';') {
                tree.push_str(lines.next().expect("a `use` ends"));
            }
            leaves(tree.trim_end_matches(';'), &mut Vec::new(), public, &mut imports);
        } else {
            body.push_str(line);
            body.push('\n');
        }
    }
    sources.insert(module, Source { file: file.into(), body, imports });
}

/// The names in the tree of a `use`.
fn leaves(tree: &str, above: &mut Vec<String>, public: bool, out: &mut Vec<Import>) {
    let tree = tree.trim();
    let before = above.len();
    if let Some((head, list)) = tree.split_once('{') {
        above.extend(head.split("::").map(str::trim).filter(|p| !p.is_empty()).map(String::from));
        let list = list.strip_suffix('}').unwrap_or(list);
        let (mut depth, mut start) = (0, 0);
        for (at, c) in list.char_indices().chain([(list.len(), ',')]) {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    leaves(list.get(start..at).unwrap_or(""), above, public, out);
                    start = at + 1;
                }
                _ => {}
            }
        }
    } else if !tree.is_empty() {
        let (path, alias) = tree.split_once(" as ").map_or((tree, None), |(path, alias)| (path, Some(alias)));
        above.extend(path.split("::").map(|p| p.trim().to_string()).filter(|p| p != "self" || before == 0));
        let name = alias.map(str::trim).or(above.last().map(String::as_str)).unwrap_or("").to_string();
        out.push(Import { public, path: above.clone(), name });
    }
    above.truncate(before);
}

/// Paths of at least two names: `super::a::b`, `module::function`.
fn paths(body: &str) -> Vec<Vec<String>> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    body.split(|c: char| !is_name(c))
        .map(|word| word.split("::").map(String::from).collect::<Vec<_>>())
        .filter(|path| path.len() > 1 && path.iter().all(|p| !p.is_empty() && !p.contains(':')))
        .collect()
}

fn contains_word(body: &str, word: &str) -> bool {
    body.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|w| w == word)
}

/// The text without comments, and with empty strings.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    tokens(text, |token, whole| {
        if !whole {
            out.push_str(token);
        }
    });
    out
}

/// The strings of a file outside of its tests, each with its line.
pub(super) fn strings(text: &str) -> Vec<(usize, String)> {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or("");
    let mut out = Vec::new();
    let mut line = 1;
    tokens(text, |token, skipped| {
        if skipped && token.starts_with(['"', 'r']) {
            out.push((line, token.to_string()));
        }
        line += token.matches('\n').count();
    });
    out
}

/// The functions of a formatted file: line, name, and lines from the signature to the closing brace. What is in a function
/// counts as part of it.
pub(super) fn functions(text: &str) -> Vec<(usize, String, usize)> {
    let mut out = Vec::new();
    let mut open: Option<(usize, String, usize)> = None;
    for (n, line) in text.lines().enumerate() {
        let words = line.trim_start();
        let indent = line.len() - words.len();
        match &open {
            None => open = name_of_function(words).map(|name| (n, name, indent)),
            Some((start, name, at)) if *at == indent && words.starts_with('}') => {
                out.push((start + 1, name.clone(), n - start + 1));
                open = None;
            }
            // A declaration, or a function in one line.
            Some((start, _, _)) if *start + 1 == n && text.lines().nth(*start).is_some_and(ends_at_once) => {
                open = name_of_function(words).map(|name| (n, name, indent));
            }
            _ => {}
        }
    }
    out
}

fn ends_at_once(line: &str) -> bool {
    line.ends_with(';') || line.ends_with('}')
}

fn name_of_function(line: &str) -> Option<String> {
    let mut words = line.split(' ').skip_while(|word| {
        word.starts_with("pub")
            || ["crate)", "const", "async", "unsafe", "in"].contains(word)
            || word.ends_with(')')
    });
    let name = words.next().filter(|word| *word == "fn").and_then(|_| words.next())?;
    Some(name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
}

/// Hands out a file's text piece by piece: comments, strings and characters whole (`true`), all else letter by letter.
fn tokens(text: &str, mut piece: impl FnMut(&str, bool)) {
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let whole = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            'r' if rest.starts_with("r#\"") => rest.find("\"#").map_or(rest.len(), |at| at + 2),
            '"' => 1 + string_len(&rest[1..]),
            // A character, not a lifetime.
            '\'' if rest.starts_with("'\\") => 2 + rest[2..].find('\'').map_or(0, |at| at.max(1) + 1),
            '\'' if rest.chars().nth(2) == Some('\'') => {
                2 + rest[1..].chars().next().map_or(0, char::len_utf8)
            }
            _ => 0,
        };
        let (token, after) = rest.split_at(if whole == 0 { c.len_utf8() } else { whole.min(rest.len()) });
        piece(token, whole != 0);
        rest = after;
    }
}

/// The bytes of a string up to and with its closing quote.
fn string_len(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}
