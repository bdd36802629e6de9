//! Markdown as in a README: headings, emphasis, links, lists, quotes, fenced code, tables.
//!
//! Only what every engine reads alike: blank lines around blocks, a paragraph behind each list and quote, no raw HTML.

use super::Chance;

const TOPICS: [&str; 5] = ["Installing", "Known limits", "Upgrading from 2.x", "How it works", "Contributing"];
const SENTENCES: [&str; 6] = [
    "The **queue** keeps *every* message until it was acknowledged.",
    "See [the guide](https://example.org/guide) for what `retry.attempts` means.",
    "Most installations never change this value.",
    "A lease that ran out is taken up by another worker, which is *safe* & cheap.",
    "Use `--verbose` when something looks wrong, and read the log.",
    "Paths such as `a/b` are relative to the [configuration](config.md) file.",
];
const ITEMS: [&str; 4] =
    ["one binary and no daemon", "a **stable** file format", "see `LICENSE`", "[examples](examples/)"];
const CODE: [&str; 3] = [
    "let total = items.iter().map(|i| i.size).sum::<u64>();",
    "if (a < b && b > 0) { return \"x\"; }",
    "cargo build --release",
];

/// A note of at least `bytes` bytes, another one for each `seed`.
pub fn note(seed: u64, bytes: usize) -> String {
    let mut chance = Chance(seed);
    let mut text = format!("# Notes {seed}\n\n");
    while text.len() < bytes {
        block(&mut chance, &mut text);
    }
    text
}

fn block(chance: &mut Chance, text: &mut String) {
    match chance.next() % 8 {
        0 => text.push_str(&format!("## {}\n\n", chance.one_of(&TOPICS))),
        1 => {
            for _ in 0..3 {
                text.push_str(&format!("* {}\n", chance.one_of(&ITEMS)));
            }
            text.push_str(&format!("\n{}\n\n", chance.one_of(&SENTENCES)));
        }
        2 => text.push_str(&format!("> {0}\n\n{0}\n\n", chance.one_of(&SENTENCES))),
        3 => text.push_str(&format!("```rust\n{}\n{}\n```\n\n", chance.one_of(&CODE), chance.one_of(&CODE))),
        4 => {
            text.push_str("| key | default | meaning |\n|---|---|---|\n");
            for _ in 0..3 {
                text.push_str(&format!(
                    "| `k{}` | {} | {} |\n",
                    chance.next() % 50,
                    chance.next() % 9,
                    chance.one_of(&ITEMS)
                ));
            }
            text.push('\n');
        }
        _ => {
            let sentences: Vec<&str> = (0..3).map(|_| chance.one_of(&SENTENCES)).collect();
            text.push_str(&sentences.join("\n"));
            text.push_str("\n\n");
        }
    }
}
