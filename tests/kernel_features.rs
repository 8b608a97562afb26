//! The feature table of `src/kernel/feature.rs` against the kernel this runs on, and against docs/KERNELS.md.

use std::fmt::Write as _;
use std::path::Path;

use rawbpf::kernel::{Answer, Kernel, feature::TABLE};

use crate::gate::{self, GUEST, HOST, ROOT, require};

/// Each feature is there from the release on that the table names, and not before: Debian does not backport them.
/// Elsewhere (the developer's machine, a distribution of its own mind) the answers are only written down.
#[test]
fn each_probe_answers_as_the_table_says() {
    require!(ROOT);
    let release = Kernel::host().release();
    let mut wrong = String::new();
    for def in TABLE {
        let answer = def.ask();
        let word = match &answer {
            Answer::Yes => "yes",
            Answer::No(_) => "no",
            Answer::Unknown(_) => "unknown",
        };
        gate::answer(def.name, word);
        let wanted = if release >= def.since { "yes" } else { "no" };
        if word != wanted {
            let _ = writeln!(wrong, "{}: {answer}, but it came with Linux {}", def.name, def.since);
        }
    }
    require!(GUEST);
    assert!(wrong.is_empty(), "on {release}:\n{wrong}");
}

/// The page has the table between two marks; `RAWBPF_BLESS=1` writes it.
#[test]
fn the_page_about_kernels_has_the_table() {
    require!(HOST);
    const BEGIN: &str = "<!-- features -->\n";
    const END: &str = "<!-- features: end -->";
    let mut table = String::from(
        "| feature | first kernel | how the kernel is asked | without it |\n|---|---|---|---|\n",
    );
    for def in TABLE {
        let _ = writeln!(table, "| {} | {} | {} | {} |", def.name, def.since, def.asked_by, def.without);
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/KERNELS.md");
    let page = std::fs::read_to_string(&path).expect("docs/KERNELS.md");
    let (head, rest) = page.split_once(BEGIN).expect("the page has the mark");
    let (found, tail) = rest.split_once(END).expect("the page has the end mark");
    if std::env::var_os("RAWBPF_BLESS").is_some() {
        std::fs::write(&path, format!("{head}{BEGIN}{table}{END}{tail}")).expect("writing the page");
    } else {
        assert_eq!(
            found, table,
            "docs/KERNELS.md differs from src/kernel/feature.rs; RAWBPF_BLESS=1 accepts it"
        );
    }
}
