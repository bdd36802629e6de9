//! Relative links in the pages lead somewhere: to a file or folder of the repository, and to a heading that is there.

use crate::Tree;
use crate::text::is_fence;

pub fn complaints(tree: &Tree) -> Vec<String> {
    let pages = tree.ending(".md");
    let links = pages.flat_map(|(page, text)| links(text).into_iter().map(move |(line, target)| (page, line, target)));
    let broken = links.filter(|(page, _, target)| !leads_somewhere(tree, page, target));
    broken.map(|(page, line, target)| format!("{page}:{line}: the link {target} leads nowhere")).collect()
}

fn leads_somewhere(tree: &Tree, page: &str, target: &str) -> bool {
    if target.contains("://") || target.starts_with("mailto:") {
        return true;
    }
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
    let Some(path) = (if path.is_empty() { Some(page.to_owned()) } else { joined(folder, path) }) else {
        return false;
    };
    let has_heading = || tree.text(&path).is_some_and(|text| headings(text).any(|h| h == heading));
    tree.has(&path) && (heading.is_empty() || has_heading())
}

/// `None` if it leaves the repository.
fn joined(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|p| !p.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The targets of `[text](target)`, with their lines, outside of code.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut in_code = false;
    for (i, line) in text.lines().enumerate() {
        if is_fence(line) {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for piece in line.split('`').step_by(2) {
            let targets = piece.split("](").skip(1).filter_map(|rest| rest.split(')').next());
            found.extend(targets.map(|target| (i + 1, target)));
        }
    }
    found
}

/// As the usual renderers name them: lower case, spaces to dashes, other signs left out.
fn headings(text: &str) -> impl Iterator<Item = String> {
    text.lines().filter(|line| line.starts_with('#')).map(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_leads_nowhere_is_named() {
        let page = "[a](../README.md) [b](gone.md) `[c](code.md)` [d](https://x/y)\n```\n[e](e.md)\n```\n\
                    [f](#the-end) [g](#nowhere) [h](../README.md#start) [i](../../out.md) [j](..)\n# The end\n";
        let found = complaints(&Tree::of(&[("docs/a.md", page), ("README.md", "# Start!\n")]));
        let targets: Vec<&str> = found.iter().filter_map(|c| c.split_whitespace().nth(3)).collect();
        assert_eq!(targets, ["gone.md", "#nowhere", "../../out.md"]);
    }
}
