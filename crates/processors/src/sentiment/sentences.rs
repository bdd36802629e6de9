//! Where a sentence ends, by a rule that needs no more than a few KiB of the text and so no more of memory.
//!
//! A sentence ends behind a run of `.`, `!`, `?` or `…` with the quotes and brackets that close there, if white space
//! follows; not behind a single `.` after an abbreviation of [`ABBREVIATIONS`], a capital ("J. Smith"; "I" is a word) or
//! letters with stops between ("e.g."). It ends before a blank line and before a line that begins a list item (`- `, `* `,
//! `+ `, `• `); any other line end is a space. What is longer than [`SENTENCE_BYTES_MAX`] is cut at its last white space, or
//! without one between two characters.

/// Amazon Comprehend takes 5,000 bytes at a time: what is a sentence here fits every provider.
pub const SENTENCE_BYTES_MAX: usize = 4096;
/// How far behind that the rule looks: white space of a line that may be blank.
const LOOK_AHEAD: usize = 64;
/// With so much of the text, or all that is left, the rule can decide.
pub const WINDOW: usize = SENTENCE_BYTES_MAX + LOOK_AHEAD;

/// They stand before a name or a number, so a sentence hardly ends with them.
#[rustfmt::skip]
const ABBREVIATIONS: [&str; 42] = [
    "mr", "mrs", "ms", "mx", "dr", "prof", "rev", "hon", "st", "mt", "gen", "col", "maj", "capt", "lt", "sgt", "gov",
    "sen", "rep", "pres", "vs", "eg", "ie", "cf", "fig", "vol", "pp", "nos", "approx", "dept", "est", "jan", "feb",
    "apr", "aug", "sept", "sep", "oct", "nov", "dec", "ca", "al",
];

/// The length of the sentence at the start of `text`, which is not empty and holds at least [`WINDOW`] bytes or all that
/// is left.
pub fn sentence_bytes(text: &str) -> usize {
    let bytes = text.as_bytes();
    let limit = bytes.len().min(SENTENCE_BYTES_MAX);
    let mut at = 0;
    while let Some(step) = bytes[at..limit].iter().position(|byte| matches!(byte, b'.' | b'!' | b'?' | b'\n' | 0xe2)) {
        at += step;
        if bytes[at] == b'\n' {
            if at > 0 && next_line_is_apart(&text[at + 1..]) {
                return at;
            }
            at += 1;
            continue;
        }
        let run = terminator_bytes(&text[at..]);
        let end = at + run.bytes;
        if end > limit {
            break;
        }
        let is_over = run.terminates && text[end..].chars().next().is_none_or(char::is_whitespace);
        if is_over && !(run.is_single_dot && is_abbreviation(&bytes[..at])) {
            return end;
        }
        at = end;
    }
    if bytes.len() <= SENTENCE_BYTES_MAX { bytes.len() } else { cut(text) }
}

struct Run {
    bytes: usize,
    terminates: bool,
    is_single_dot: bool,
}

/// Terminators and what closes with them, at the start of `rest`. Any other character is a run by itself.
fn terminator_bytes(rest: &str) -> Run {
    let is_terminator = |c: char| matches!(c, '.' | '!' | '?' | '…');
    let closes = |c: char| matches!(c, '"' | '\'' | ')' | ']' | '”' | '’' | '»');
    let terminators: usize =
        rest.chars().take(SENTENCE_BYTES_MAX).take_while(|c| is_terminator(*c)).map(char::len_utf8).sum();
    if terminators == 0 {
        return Run { bytes: rest.chars().next().map_or(1, char::len_utf8), terminates: false, is_single_dot: false };
    }
    let behind = rest[terminators..].chars().take(SENTENCE_BYTES_MAX);
    let bytes = terminators + behind.take_while(|c| closes(*c) || is_terminator(*c)).map(char::len_utf8).sum::<usize>();
    Run { bytes, terminates: true, is_single_dot: bytes == 1 && rest.starts_with('.') }
}

/// Is the word before a full stop one that is shortened?
fn is_abbreviation(before: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'.' || !byte.is_ascii();
    let start = before.iter().rposition(|byte| !is_part(byte)).map_or(0, |space| space + 1);
    let word = &before[start..];
    let is_spaced = word.contains(&b'.') || word.first().is_some_and(u8::is_ascii_uppercase);
    let is_initials = is_spaced && word.split(|byte| *byte == b'.').all(|part| part.len() == 1) && word != b"I";
    let is_known = || ABBREVIATIONS.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(word));
    !word.is_empty() && (is_initials || is_known())
}

/// Behind a line end: a blank line, or the start of a list item?
fn next_line_is_apart(next: &str) -> bool {
    let line = next.trim_start_matches([' ', '\t', '\r']);
    if next.len() - line.len() >= LOOK_AHEAD - 8 {
        return false;
    }
    let mut chars = line.chars();
    match chars.next() {
        None | Some('\n') => true,
        Some('-' | '*' | '+' | '•') => chars.next() == Some(' '),
        Some(_) => false,
    }
}

fn cut(text: &str) -> usize {
    let longest = text.floor_char_boundary(SENTENCE_BYTES_MAX);
    text[..longest].rfind(char::is_whitespace).filter(|at| *at > 0).unwrap_or(longest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(text: &str) -> Vec<&str> {
        let mut rest = text.trim_start();
        let mut sentences = Vec::new();
        while !rest.is_empty() {
            let (sentence, behind) = rest.split_at(sentence_bytes(rest));
            sentences.push(sentence.trim_end());
            rest = behind.trim_start();
        }
        sentences
    }

    #[test]
    fn sentences_end_where_a_reader_ends_them() {
        for (text, expected) in [
            ("Good. Bad! Really?! Yes", &["Good.", "Bad!", "Really?!", "Yes"][..]),
            ("It costs 3.5 euros. Fine.", &["It costs 3.5 euros.", "Fine."]),
            ("Dr. No met Mr. Bond. They fought.", &["Dr. No met Mr. Bond.", "They fought."]),
            ("See e.g. J. R. Smith, i.e. him. Done.", &["See e.g. J. R. Smith, i.e. him.", "Done."]),
            ("He said \"No.\" She left. (Really.) OK", &["He said \"No.\"", "She left.", "(Really.)", "OK"]),
            ("Wait… what?", &["Wait…", "what?"]),
            ("So am I. Me too.", &["So am I.", "Me too."]),
            ("one\ntwo\n\nthree\r\n \t\r\nfour", &["one\ntwo", "three", "four"]),
            ("Pros:\n- good\n- cheap\nand small", &["Pros:", "- good", "- cheap\nand small"]),
            ("www.example.com is up. :) ok", &["www.example.com is up.", ":) ok"]),
            ("“Quoted.” Next", &["“Quoted.”", "Next"]),
            ("a — b – c. d", &["a — b – c.", "d"]),
            ("", &[]),
            (" \n ", &[]),
        ] {
            assert_eq!(split(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_too_long_is_cut_at_white_space() {
        let words = "word ".repeat(3000);
        let sentences = split(&words);
        assert!(sentences.iter().all(|s| s.len() <= SENTENCE_BYTES_MAX && s.split(' ').all(|w| w == "word")));
        let solid = "é".repeat(5000);
        assert_eq!(split(&solid).concat(), solid);
        let dots = ".".repeat(10_000);
        assert_eq!(split(&dots).concat(), dots);
        let spaces = format!("a\n{}\nb", " ".repeat(9000));
        assert_eq!(split(&spaces), ["a", "b"]);
    }

    proptest! {
        #[test]
        fn a_window_decides_as_the_whole_text_does(
            pieces in proptest::collection::vec(
                prop_oneof![Just(". "), Just("…"), Just("\n"), Just(" "), Just("Mr."), Just("wörd "), Just("!"), Just("- "),
                    Just("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
                    Just("                                                              ")],
                1..900,
            )
        ) {
            let text = pieces.concat();
            let window = &text[..text.ceil_char_boundary(WINDOW.min(text.len()))];
            let found = sentence_bytes(&text);
            prop_assert_eq!(sentence_bytes(window), found);
            prop_assert!(0 < found && found <= SENTENCE_BYTES_MAX && text.is_char_boundary(found));
        }
    }
}
