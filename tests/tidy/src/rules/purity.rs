//! Core has no IO; the wall clock is read in the binary alone and passed down; in the binary one file names adapters.

use crate::Tree;
use crate::text::{code, holds_word, is_test_path, product_lines};

struct Ban {
    /// Files whose path starts so.
    below: &'static str,
    except: &'static [&'static str],
    words: &'static [&'static str],
    why: &'static str,
}

const CLOCKS: &[&str] = &["SystemTime::now", "Instant::now"];
const WALL_CLOCK: &[&str] = &["SystemTime::now"];
const BANS: &[Ban] = &[
    Ban {
        below: "crates/core/",
        except: &[],
        words: &["std::fs", "std::thread", "TcpStream", "UdpSocket", "tokio", "OsRng"],
        why: "core is pure: no IO, no threads, no chance of its own",
    },
    Ban { below: "crates/core/", except: &[], words: CLOCKS, why: "whoever needs the time passes it in" },
    Ban { below: "crates/engine/", except: &[], words: CLOCKS, why: "ask the Clock port, so that simulation is exact" },
    Ban { below: "crates/engine/", except: &[], words: &["std::fs", "TcpStream"], why: "bytes come through a port" },
    Ban {
        below: "crates/processors/",
        // measures how long a hostile input takes
        except: &["crates/processors/src/suite.rs"],
        words: CLOCKS,
        why: "the same bytes give the same result at any time",
    },
    Ban { below: "crates/processors/", except: &[], words: &["std::fs", "TcpStream"], why: "bytes in, bytes out" },
    Ban { below: "crates/http/", except: &[], words: WALL_CLOCK, why: "ask the Clock port" },
    Ban { below: "adapters/", except: &[], words: WALL_CLOCK, why: "ask the Clock port" },
    Ban {
        below: "bin/filemill/",
        except: &["bin/filemill/src/backends.rs"],
        words: &["filemill_local", "filemill_memory"],
        why: "only backends.rs names adapters",
    },
];

pub fn complaints(tree: &Tree) -> Vec<String> {
    BANS.iter().flat_map(|ban| of_ban(tree, ban)).collect()
}

fn of_ban(tree: &Tree, ban: &Ban) -> Vec<String> {
    let files = tree.ending(".rs").filter(|(path, _)| path.starts_with(ban.below) && !is_test_path(path));
    let lines = files
        .filter(|(path, _)| !ban.except.contains(path))
        .flat_map(|(path, text)| product_lines(text).map(move |(n, line)| (path, n, code(line))));
    let broken = lines.filter_map(|(path, n, line)| {
        let word = ban.words.iter().find(|word| holds_word(line, word))?;
        Some(format!("{path}:{n}: `{word}`: {}", ban.why))
    });
    broken.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ban_can_be_broken() {
        for ban in BANS {
            for word in ban.words {
                let (path, text) = (format!("{}src/x.rs", ban.below), format!("//! x\nuse {word};\n"));
                assert_eq!(complaints(&Tree::of(&[(&path, &text)])).len(), 1, "{path} {word}");
            }
        }
    }

    #[test]
    fn the_one_file_that_names_adapters_may() {
        assert_eq!(complaints(&Tree::of(&[("bin/filemill/src/backends.rs", "use filemill_local::A;\n")])), [""; 0]);
    }
}
