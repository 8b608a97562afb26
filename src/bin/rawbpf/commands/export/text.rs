//! The two formats in which metrics are read.
//!
//! ```text
//!                    OpenMetrics 1.0                       text format 0.0.4
//!   a counter        # TYPE packets counter                # TYPE packets_total counter
//!                    packets_total{if="eth0"} 7            packets_total{if="eth0"} 7
//!   a histogram      _count only if there is a _sum        _count always
//!   the end          # EOF                                 nothing
//! ```
//!
//! Prometheus asks for the first; promtool, and what is older, read the second.

use std::fmt::{self, Write as _};

use super::amount::float;
use super::config::Kind;
use super::page::{Family, Number, Point};

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    OpenMetrics,
    Classic,
}

impl Dialect {
    /// What an `Accept` header asks for.
    pub(super) fn asked(accept: Option<&str>) -> Dialect {
        let open = accept.is_some_and(|a| a.contains("application/openmetrics-text"));
        if open { Dialect::OpenMetrics } else { Dialect::Classic }
    }

    /// For `Content-Type`.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Dialect::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Dialect::Classic => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Writes the whole page.
pub(super) fn write(families: &[Family], dialect: Dialect) -> String {
    let mut out = String::new();
    for family in families {
        let _ = write_family(&mut out, family, dialect);
    }
    if dialect == Dialect::OpenMetrics {
        out.push_str("# EOF\n");
    }
    out
}

fn write_family(out: &mut String, family: &Family, dialect: Dialect) -> fmt::Result {
    let total = if family.kind == Kind::Counter { "_total" } else { "" };
    let head = if dialect == Dialect::Classic { total } else { "" };
    let name = &family.name;
    writeln!(out, "# HELP {name}{head} {}", Escaped(&family.help, dialect == Dialect::OpenMetrics))?;
    writeln!(out, "# TYPE {name}{head} {}", family.kind.name())?;
    for point in &family.points {
        match &point.number {
            Number::One(amount) => {
                sample(out, name, total, point, None)?;
                writeln!(out, " {amount}")?;
            }
            Number::Histogram { bounds, counts, sum } => {
                let mut so_far = 0u128;
                for (n, count) in counts.iter().enumerate() {
                    so_far = so_far.saturating_add(*count);
                    let bound = bounds.get(n).map_or_else(|| "+Inf".into(), |bound| float(*bound));
                    sample(out, name, "_bucket", point, Some(&bound))?;
                    writeln!(out, " {so_far}")?;
                }
                if sum.is_some() || dialect == Dialect::Classic {
                    sample(out, name, "_count", point, None)?;
                    writeln!(out, " {so_far}")?;
                }
                if let Some(sum) = sum {
                    sample(out, name, "_sum", point, None)?;
                    writeln!(out, " {sum}")?;
                }
            }
        }
    }
    Ok(())
}

/// The name of a sample and its labels.
fn sample(out: &mut String, name: &str, end: &str, point: &Point, le: Option<&str>) -> fmt::Result {
    write!(out, "{name}{end}")?;
    let labels = point.labels.iter().map(|(name, value)| (name.as_ref(), value.as_str()));
    let mut open = '{';
    for (name, value) in labels.chain(le.map(|le| ("le", le))) {
        write!(out, "{open}{name}=\"{}\"", Escaped(value, true))?;
        open = ',';
    }
    if open == ',' { out.write_char('}') } else { Ok(()) }
}

/// Text in which nothing ends a line, or a word in quotes.
struct Escaped<'a>(&'a str, bool);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '"' if self.1 => f.write_str("\\\"")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::export::amount::Amount;

    #[test]
    fn both_formats() {
        let mut packets = Family::new(Kind::Counter, "packets", "In \"all\".\n");
        packets.add(&[("if", "a\"b\\c\nd")], Amount::Whole(7));
        let mut sizes = Family::new(Kind::Histogram, "sizes", "Sizes.");
        let number = Number::Histogram { bounds: vec![1.0, 3.0], counts: vec![2, 0, 3], sum: None };
        sizes.points.push(Point { labels: Vec::new(), number });
        let page = [packets, sizes];
        let open = "# HELP packets In \\\"all\\\".\\n\n# TYPE packets counter\npackets_total{if=\"a\\\"b\\\\c\\nd\"} 7\n\
            # HELP sizes Sizes.\n# TYPE sizes histogram\nsizes_bucket{le=\"1.0\"} 2\nsizes_bucket{le=\"3.0\"} 2\n\
            sizes_bucket{le=\"+Inf\"} 5\n# EOF\n";
        assert_eq!(write(&page, Dialect::OpenMetrics), open);
        let classic = "# HELP packets_total In \"all\".\\n\n# TYPE packets_total counter\n\
            packets_total{if=\"a\\\"b\\\\c\\nd\"} 7\n# HELP sizes Sizes.\n# TYPE sizes histogram\n\
            sizes_bucket{le=\"1.0\"} 2\nsizes_bucket{le=\"3.0\"} 2\nsizes_bucket{le=\"+Inf\"} 5\nsizes_count 5\n";
        assert_eq!(write(&page, Dialect::Classic), classic);
    }
}
