//! What a column's values are: text, or what JSON has besides. The text of a number is kept, so no digit is lost.

use serde::Deserialize;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    #[default]
    Text,
    Integer,
    Number,
    Boolean,
    /// Whatever the text is: a number, `true`, `false`, else text. Never null.
    #[serde(skip)]
    Infer,
}

impl Kind {
    /// Are all its values written as JSON strings?
    pub fn is_text(self) -> bool {
        self == Kind::Text
    }

    /// Can a value be bad?
    pub fn is_strict(self) -> bool {
        matches!(self, Kind::Integer | Kind::Number | Kind::Boolean)
    }

    /// With its article.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Text | Kind::Infer => "a text",
            Kind::Integer => "an integer",
            Kind::Number => "a number",
            Kind::Boolean => "true or false",
        }
    }

    /// May `text` stand in JSON as it is? An empty text may not.
    pub fn is_bare(self, text: &[u8]) -> bool {
        match self {
            Kind::Text => false,
            Kind::Integer => is_number(text) && !text.iter().any(|b| matches!(b, b'.' | b'e' | b'E')),
            Kind::Number => is_number(text),
            Kind::Boolean => is_boolean(text),
            Kind::Infer => match text.first() {
                Some(b't' | b'f') => is_boolean(text),
                Some(b'-' | b'0'..=b'9') => is_number(text),
                _ => false,
            },
        }
    }

    /// Does `text` fit? An empty one does, as null.
    pub fn fits(self, text: &[u8]) -> bool {
        !self.is_strict() || text.is_empty() || self.is_bare(text)
    }
}

fn is_boolean(text: &[u8]) -> bool {
    matches!(text, b"true" | b"false")
}

/// A number as JSON writes them, within what a double can hold: readers refuse 1e999, and make 1e-999 zero.
fn is_number(text: &[u8]) -> bool {
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(unsigned);
    if whole == 0 || (whole > 1 && unsigned[0] == b'0') {
        return false;
    }
    let mut rest = &unsigned[whole..];
    let is_short_integer = rest.is_empty() && whole <= 300;
    if let Some(fraction) = rest.strip_prefix(b".") {
        let count = digits(fraction);
        if count == 0 {
            return false;
        }
        rest = &fraction[count..];
    }
    let has_exponent = matches!(rest, [b'e' | b'E', ..]);
    if has_exponent {
        let exponent = match rest {
            [_, b'+' | b'-', exponent @ ..] | [_, exponent @ ..] => exponent,
            [] => rest,
        };
        rest = &exponent[digits(exponent)..];
        if exponent.is_empty() {
            return false;
        }
    }
    let is_harmless = is_short_integer || (!has_exponent && unsigned.len() <= 300);
    rest.is_empty() && (is_harmless || fits_double(unsigned))
}

fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|b| b.is_ascii_digit()).count()
}

/// Neither infinite nor zero for want of range.
fn fits_double(number: &[u8]) -> bool {
    let value = std::str::from_utf8(number).ok().and_then(|text| text.parse::<f64>().ok());
    let mantissa = number.split(|b| matches!(b, b'e' | b'E')).next().unwrap_or(number);
    let is_zero = !mantissa.iter().any(|b| (b'1'..=b'9').contains(b));
    value.is_some_and(|value| value.is_finite() && (value != 0.0 || is_zero))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_json_that_every_reader_takes() {
        let many = "1".repeat(300);
        let good = [
            "0",
            "-0",
            "7",
            "-12",
            "1.50",
            "0.001",
            "1e5",
            "1E+5",
            "-1.5e-7",
            "12345678901234567890",
            "0e0",
            "0.0e-999",
            &many,
        ];
        for text in good {
            assert!(Kind::Number.is_bare(text.as_bytes()) && Kind::Infer.is_bare(text.as_bytes()), "{text}");
            serde_json::from_str::<serde_json::Number>(text).expect(text);
        }
        let too_many = "1".repeat(400);
        let bad = [
            "", "-", "01", "-01", "00", "+1", ".5", "5.", "1.e5", "1e", "1e+", "1e5x", " 1", "1 ", "1,5", "0x1", "NaN",
            "Infinity", "1_000", "--1", "1e999", "-1e999", "1e-999", "1.0.0", "1e5e5", "1e5.5", "é", &too_many,
        ];
        for text in bad {
            assert!(!Kind::Number.is_bare(text.as_bytes()) && !Kind::Infer.is_bare(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn each_kind_takes_its_own_values_and_nothing_else() {
        for (kind, good, bad) in [
            (Kind::Integer, &["0", "-5", "12345678901234567890", ""][..], &["1.0", "1e2", "007", "x", "true"][..]),
            (Kind::Number, &["1.50", "1e2", ""], &["1,5", "true", " 1"]),
            (Kind::Boolean, &["true", "false", ""], &["True", "1", "yes", "null"]),
            (Kind::Text, &["anything", ""], &[]),
            (Kind::Infer, &["anything", "1", ""], &[]),
        ] {
            for text in good {
                assert!(kind.fits(text.as_bytes()), "{kind:?} {text}");
            }
            for text in bad {
                assert!(!kind.fits(text.as_bytes()), "{kind:?} {text}");
            }
        }
    }
}
