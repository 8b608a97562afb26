//! Lists for people: aligned columns.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write};
use std::sync::OnceLock;

/// A table with aligned columns, in the manner of `ip` and `docker ps`: no lines, two spaces between.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    /// It is a list, of which people want to see the columns; else it is a page, and nothing of it is cut.
    has_head: bool,
}

impl Table {
    /// With a head line, or without if `head` is empty.
    pub(crate) fn new(head: &[&str]) -> Table {
        let head: Vec<String> = head.iter().map(|h| h.to_string()).collect();
        Table { has_head: !head.is_empty(), rows: if head.is_empty() { Vec::new() } else { vec![head] } }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub(crate) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let widths = self.widths();
        let width = if self.has_head { terminal_width() } else { None };
        self.rows.iter().try_for_each(|row| writeln!(out, "{}", clip(&Table::line(row, &widths), width)))
    }

    /// How wide each column is.
    pub(crate) fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut widths = vec![0; columns];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        widths
    }

    /// Writes one row in columns of these widths: for lists that are printed while they are made. At a terminal a
    /// line ends at its edge; what is read by programs or kept in a file is never cut.
    pub(crate) fn write_row(out: &mut dyn Write, row: &[String], widths: &[usize]) -> io::Result<()> {
        writeln!(out, "{}", clip(&Table::line(row, widths), terminal_width()))
    }

    fn line(row: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// How many columns the terminal has that standard output goes to; `None` if it goes elsewhere.
fn terminal_width() -> Option<usize> {
    static WIDTH: OnceLock<Option<usize>> = OnceLock::new();
    *WIDTH.get_or_init(|| {
        let stdout = io::stdout();
        let size = stdout.is_terminal().then(|| terminal_size::terminal_size_of(&stdout)).flatten();
        size.map(|(columns, _)| usize::from(columns.0)).filter(|columns| *columns >= 20)
    })
}

/// The line, or as much of it as fits, with a mark that there is more.
fn clip(line: &str, width: Option<usize>) -> Cow<'_, str> {
    match width.and_then(|width| line.char_indices().nth(width).map(|_| width)) {
        None => line.into(),
        Some(width) => {
            let end = line.char_indices().nth(width.saturating_sub(1)).map_or(line.len(), |(at, _)| at);
            format!("{}…", line.get(..end).unwrap_or(line)).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::clip;

    #[test]
    fn a_line_ends_at_the_edge_of_the_terminal() {
        assert_eq!(clip("abcdef", None), "abcdef");
        assert_eq!(clip("abcdef", Some(6)), "abcdef");
        assert_eq!(clip("abcdef", Some(5)), "abcd…");
        assert_eq!(clip("äöüß", Some(3)), "äö…");
    }
}
