//! The pages are complete: every config key, command and metric of the source stands on its page.
//!
//! What a page says about them is for people to keep true; that nothing is missing is checked here.

use crate::Tree;
use crate::text::{is_test_path, product_lines};

/// Where names are declared, how a line declares one, and the page that must show it.
struct Reference {
    source: &'static str,
    name_in: fn(&str) -> Option<&str>,
    page: &'static str,
    shown_as: fn(&str) -> String,
}

const REFERENCES: &[Reference] = &[
    Reference {
        source: "bin/filemill/src/config/file.rs",
        name_in: public_field,
        page: "docs/configuration.md",
        shown_as: |name| name.to_owned(),
    },
    Reference {
        source: "crates/core/src/matching.rs",
        name_in: public_field,
        page: "docs/configuration.md",
        shown_as: |name| format!("`{name}`"),
    },
    Reference {
        source: "bin/filemill/src/cli.rs",
        name_in: command,
        page: "docs/cli.md",
        shown_as: |name| format!("`filemill {}", name.to_lowercase()),
    },
    Reference {
        source: "crates/http/src/metrics.rs",
        name_in: described_metric,
        page: "docs/operations.md",
        shown_as: |name| name.to_owned(),
    },
];

pub fn complaints(tree: &Tree) -> Vec<String> {
    let failures = unexplained_failures(tree);
    let metrics = undescribed_metrics(tree);
    REFERENCES.iter().flat_map(|reference| missing(tree, reference)).chain(failures).chain(metrics).collect()
}

const DESCRIPTIONS: &str = "crates/http/src/metrics.rs";

/// What is counted anywhere is described in one place, for the HELP lines of `/metrics`.
fn undescribed_metrics(tree: &Tree) -> Vec<String> {
    let described: Vec<&str> =
        tree.text(DESCRIPTIONS).unwrap_or_default().lines().filter_map(described_metric).collect();
    let product = tree.ending(".rs").filter(|(path, _)| !is_test_path(path));
    let counted = product
        .flat_map(|(path, text)| product_lines(text).filter_map(move |(_, line)| Some((path, counted_metric(line)?))));
    let absent = counted.filter(|(_, name)| !described.contains(name));
    absent.map(|(path, name)| format!("{DESCRIPTIONS}: does not describe `{name}` ({path})")).collect()
}

const FAILURES_PAGE: &str = "docs/api.md";
/// Where a config's `retry` finds which codes a try may fail of.
const CODES_SOURCE: &str = "crates/core/src/task.rs";

/// Codes of failures are given wherever something fails; clients read them, and configs name those of tries.
fn unexplained_failures(tree: &Tree) -> Vec<String> {
    let page = tree.text(FAILURES_PAGE).unwrap_or_default();
    let source = tree.text(CODES_SOURCE).unwrap_or_default();
    let listed = source.split("ERROR_CODES").nth(1).and_then(|list| list.split("];").next()).unwrap_or_default();
    let product = tree.ending(".rs").filter(|(path, _)| path.starts_with("crates/") && !is_test_path(path));
    let codes = product.flat_map(|(path, text)| {
        product_lines(text).filter_map(move |(_, line)| Some((path, failure_code(line)?, is_of_a_try(line))))
    });
    let complaints = codes.flat_map(|(path, code, is_of_a_try)| {
        let is_explained = page.contains(&format!("`{code}`"));
        let is_listed = !is_of_a_try || listed.contains(&format!("\"{code}\""));
        let unexplained = || format!("{FAILURES_PAGE}: does not explain the failure `{code}` ({path})");
        let unlisted = || format!("{CODES_SOURCE}: ERROR_CODES does not list `{code}` ({path})");
        [(!is_explained).then(unexplained), (!is_listed).then(unlisted)]
    });
    complaints.flatten().collect()
}

fn missing(tree: &Tree, reference: &Reference) -> Vec<String> {
    let Reference { source, name_in, page, shown_as } = reference;
    let names: Vec<&str> = tree.text(source).unwrap_or_default().lines().filter_map(name_in).collect();
    if names.is_empty() {
        return vec![format!("{source}: nothing is declared in the way that rules/pages.rs looks for")];
    }
    let text = tree.text(page).unwrap_or_default();
    let absent = names.into_iter().filter(|name| !text.contains(&shown_as(name)));
    absent.map(|name| format!("{page}: says nothing of `{name}` ({source})")).collect()
}

/// `max_size` of `    pub max_size: Option<ByteSize>,`.
fn public_field(line: &str) -> Option<&str> {
    let (name, _) = line.strip_prefix("    pub ")?.split_once(':')?;
    name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit()).then_some(name)
}

/// `Serve` of `    Serve(serve::Args),`.
fn command(line: &str) -> Option<&str> {
    let (name, rest) = line.trim().split_once('(')?;
    rest.ends_with("::Args),").then_some(name)
}

/// The name in `describe_gauge!("name", ...)`.
fn described_metric(line: &str) -> Option<&str> {
    line.trim().strip_prefix("describe_")?.split('"').nth(1)
}

/// The name in `metrics::counter!("name", ...)`.
fn counted_metric(line: &str) -> Option<&str> {
    let marks = ["counter!(\"", "gauge!(\"", "histogram!(\""];
    let is_description = line.contains("describe_");
    marks.iter().find_map(|mark| line.split_once(mark)?.1.split('"').next()).filter(|_| !is_description)
}

/// `io` of `TaskError::transient("io", ...)` and of `Failure { code: "io".into(), ... }`.
fn failure_code(line: &str) -> Option<&str> {
    let marks = ["ProcessError::input(\"", "TaskError::permanent(\"", "TaskError::transient(\"", "Failure { code: \""];
    marks.iter().find_map(|mark| line.split_once(mark)?.1.split('"').next())
}

/// `worker_lost` is what a lost try is counted as.
fn is_of_a_try(line: &str) -> bool {
    !line.contains("Failure {") && !line.contains("\"worker_lost\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(source: &'static str) -> &'static str {
        match source {
            "bin/filemill/src/cli.rs" => "    Sing(sing::Args),\n    Command::Sing(args) => args.run(),\n",
            "crates/http/src/metrics.rs" => "    describe_gauge!(\"songs\", \"sung\");\n",
            _ => "    pub song: Option<u32>,\n    pub fn sing(&self) {}\n",
        }
    }

    #[test]
    fn what_a_page_leaves_out_is_named() {
        for reference in REFERENCES {
            let found = missing(&Tree::of(&[(reference.source, declared(reference.source))]), reference);
            assert_eq!(found.len(), 1, "{} {found:?}", reference.source);
            assert!(found[0].starts_with(reference.page), "{found:?}");
        }
    }

    #[test]
    fn what_a_page_shows_is_fine() {
        for reference in REFERENCES {
            let page = "`song` songs `filemill sing`";
            let tree = Tree::of(&[(reference.source, declared(reference.source)), (reference.page, page)]);
            assert_eq!(missing(&tree, reference), [""; 0]);
        }
    }

    #[test]
    fn a_metric_that_is_not_described_is_named() {
        let source = "fn a() {\n    metrics::counter!(\"songs\", \"of\" => who).increment(1);\n}\n";
        let described = |text| undescribed_metrics(&Tree::of(&[("crates/a/src/lib.rs", source), (DESCRIPTIONS, text)]));
        assert_eq!(described("    describe_counter!(\"songs\", \"sung\");\n"), [""; 0]);
        assert!(described("    describe_counter!(\"tunes\", \"sung\");\n")[0].contains("`songs`"));
    }

    #[test]
    fn a_failure_that_no_page_explains_is_named() {
        let source = "fn a() {\n    TaskError::transient(\"tired\", message)\n}\n#[cfg(test)]\nmod tests {\n    Failure { code: \"x\" }\n}\n";
        let found = unexplained_failures(&Tree::of(&[("crates/a/src/lib.rs", source), (FAILURES_PAGE, "`other`")]));
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found.iter().all(|complaint| complaint.contains("`tired`")), "{found:?}");
        let (page, list) =
            ((FAILURES_PAGE, "it was `tired`"), (CODES_SOURCE, "pub const ERROR_CODES: &[&str] = &[\"tired\"];"));
        assert_eq!(unexplained_failures(&Tree::of(&[("crates/a/src/lib.rs", source), page, list])), [""; 0]);
    }

    #[test]
    fn a_source_that_is_not_understood_is_no_pass() {
        assert_eq!(complaints(&Tree::of(&[])).len(), REFERENCES.len());
    }
}
