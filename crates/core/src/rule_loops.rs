//! Rules that would go in circles: what they write could start them again.
//!
//! Checked before anything runs, for one rule and for circles over several, as far as `max_generation` lets them come.
//! Only buckets and keys are looked at: what a processor makes of a size or a content type is not known before.

mod key_automaton;
mod reach;

use crate::job::REJECT_ENDING;
use crate::limits;
use crate::rule::Rule;
use reach::{Reach, reach};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How one rule's output starts another.
#[derive(Clone, Debug)]
struct Link {
    reach: Reach,
    by_rejects: bool,
}

/// The error names the rules of a circle and how to break it. `may_reject`: does the rule's processor set records aside?
pub fn check(rules: &[Arc<Rule>], may_reject: impl Fn(&Rule) -> bool) -> Result<(), String> {
    let links = links(rules, may_reject);
    match (0..rules.len()).find_map(|start| circle_from(rules, &links, start)) {
        Some(circle) => Err(told(rules, &links, &circle)),
        None => Ok(()),
    }
}

/// By the rules' places, from and to.
fn links(rules: &[Arc<Rule>], may_reject: impl Fn(&Rule) -> bool) -> BTreeMap<(usize, usize), Link> {
    let mut links = BTreeMap::new();
    for (from, writer) in rules.iter().enumerate() {
        for (to, reader) in rules.iter().enumerate() {
            let is_open = writer.output.bucket == reader.from && reader.enabled && reader.max_generation > 1;
            if !is_open {
                continue;
            }
            let result = Link { reach: reach(writer, "", reader), by_rejects: false };
            let rejects = || Link { reach: reach(writer, REJECT_ENDING, reader), by_rejects: true };
            let link = match result.reach {
                Reach::No if may_reject(writer) => rejects(),
                _ => result,
            };
            if link.reach != Reach::No {
                links.insert((from, to), link);
            }
        }
    }
    links
}

/// The shortest way from this rule, started by an upload, back to it. Whoever is `n` steps away takes objects of
/// generation `n`, or the way ends there.
fn circle_from(rules: &[Arc<Rule>], links: &BTreeMap<(usize, usize), Link>, start: usize) -> Option<Vec<usize>> {
    let mut ways: BTreeMap<usize, Vec<usize>> = BTreeMap::from([(start, vec![start])]);
    for generation in 1..limits::GENERATIONS_MAX {
        let mut next = BTreeMap::new();
        for (at, way) in &ways {
            let onward = links.range((*at, 0)..=(*at, usize::MAX)).map(|((_, to), _)| *to);
            for to in onward.filter(|to| rules[*to].max_generation > generation) {
                let further = || way.iter().copied().chain([to]).collect::<Vec<_>>();
                if to == start {
                    return Some(further());
                }
                next.entry(to).or_insert_with(further);
            }
        }
        ways = next;
    }
    None
}

fn told(rules: &[Arc<Rule>], links: &BTreeMap<(usize, usize), Link>, circle: &[usize]) -> String {
    let ids: Vec<String> = circle.iter().map(|at| format!("{:?}", rules[*at].id.as_str())).collect();
    let mut text = match circle.len() {
        2 => format!("rule {}: what it writes can start it again", ids[0]),
        _ => format!("rules {}: what they write goes in a circle", ids.join(" -> ")),
    };
    for pair in circle.windows(2) {
        text.push_str("; ");
        text.push_str(&link_told(&rules[pair[0]], &rules[pair[1]], &links[&(pair[0], pair[1])]));
    }
    let of_one = if circle.len() == 2 { "" } else { " of one of them" };
    text + &format!(
        ". To break it, give the output{of_one} another bucket or a key that the match does not take (prefix, suffix, \
         not_prefix, not_suffix), or set max_generation = 1{of_one}, so that it takes uploads only"
    )
}

fn link_told(writer: &Rule, reader: &Rule, link: &Link) -> String {
    let what = if link.by_rejects { "rejects of " } else { "" };
    let (bucket, from, reader) = (&writer.output.bucket, &writer.from, reader.id.as_str());
    match &link.reach {
        Reach::Yes { input, output } => {
            format!("{what}{from}/{input} would go to {bucket}/{output}, which {reader:?} takes")
        }
        Reach::No | Reach::Perhaps => {
            let key = writer.output.key.as_str();
            format!("{reader:?} may take what goes to {bucket}/{key} (this key cannot be followed exactly)")
        }
    }
}

#[cfg(test)]
mod tests;
