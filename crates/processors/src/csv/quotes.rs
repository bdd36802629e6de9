//! Which separators of a block end fields and records: those outside of quoted fields.
//!
//! Exact, as the `csv` crate reads: a quote opens only as the first byte of a field, a doubled one inside is content, and
//! what follows a closing quote is literal up to the next separator. Works on bits, 64 bytes at a time, and carries its
//! state from block to block.

use super::marks::Marks;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Outside,
    Inside,
    /// The block ended with a quote inside of a quoted field: the next byte says whether it closed the field.
    AtQuote,
}

#[derive(Clone, Copy, Debug)]
pub struct Quotes {
    state: State,
    /// 1 if the next byte is the first of a field.
    field_starts: u64,
}

/// The separators of a block that count.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ends {
    /// Delimiters and newlines.
    pub fields: u64,
    /// Newlines among them.
    pub newlines: u64,
}

impl Quotes {
    /// At the first byte of a record.
    pub fn at_record_start() -> Self {
        Quotes { state: State::Outside, field_starts: 1 }
    }

    /// Inside a quoted field, at the end of the input?
    pub fn is_open(&self) -> bool {
        self.state == State::Inside
    }

    #[inline]
    pub fn block(&mut self, marks: Marks) -> Ends {
        let separators = marks.delimiter | marks.newline;
        let outside = if marks.quote == 0 && self.state == State::Outside {
            u64::MAX
        } else {
            !self.inside(marks.quote, separators)
        };
        let fields = separators & outside;
        self.field_starts = fields >> 63;
        Ends { fields, newlines: marks.newline & outside }
    }

    /// The bytes of the block that are in quoted fields, their quotes included.
    fn inside(&mut self, quotes: u64, separators: u64) -> u64 {
        // in the unquoted stretches that are looked at, every separator counts, so this needs no correction
        let opening = quotes & (separators << 1 | self.field_starts);
        let (mut inside, mut at) = (0, 0);
        if self.state == State::AtQuote {
            if quotes & 1 == 1 {
                (self.state, inside, at) = (State::Inside, 1, 1);
            } else {
                self.state = State::Outside;
            }
        }
        loop {
            if self.state == State::Outside {
                let Some(open) = next(opening, at) else { return inside };
                (self.state, at) = (State::Inside, open + 1);
                inside |= 1 << open;
            }
            let Some(quote) = next(quotes, at) else { return inside | from(at) };
            inside |= from(at) & !from(quote + 1);
            if quote == 63 {
                self.state = State::AtQuote;
                return inside;
            }
            if quotes >> (quote + 1) & 1 == 1 {
                inside |= 1 << (quote + 1);
                at = quote + 2;
            } else {
                self.state = State::Outside;
                at = quote + 1;
            }
        }
    }
}

/// All bits from `at` on; none from 64.
fn from(at: u32) -> u64 {
    u64::MAX.checked_shl(at).unwrap_or(0)
}

fn next(bits: u64, at: u32) -> Option<u32> {
    let rest = bits & from(at);
    (rest != 0).then(|| rest.trailing_zeros())
}
