//! Durations as people write them: `500ms`, `30s`, `5m`, `12h`, `30d`.

use std::time::Duration;

/// Reads `500ms`, `30s`, `5m`, `12h`, `30d`. The number is a whole number.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| not_a_duration(text))?;
    let millis_per_unit = match unit.trim() {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(not_a_duration(text)),
    };
    number.checked_mul(millis_per_unit).map(Duration::from_millis).ok_or_else(|| not_a_duration(text))
}

fn not_a_duration(text: &str) -> String {
    format!("{text:?} is not a duration; write for example \"500ms\", \"30s\", \"5m\", \"12h\" or \"30d\"")
}

/// The shortest text that [`parse_duration`] reads back.
pub fn format_duration(d: Duration) -> String {
    let millis = d.as_millis();
    if millis == 0 {
        return "0s".to_owned();
    }
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)] {
        if millis.is_multiple_of(size) {
            return format!("{}{unit}", millis / size);
        }
    }
    format!("{millis}ms")
}

/// For `#[serde(with = "filemill_core::duration::text")]`.
pub mod text {
    use super::*;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub fn serialize<S: Serializer>(d: &Duration, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&format_duration(*d))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(d)?;
        parse_duration(&text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_write() {
        for text in ["0s", "500ms", "30s", "5m", "12h", "30d"] {
            assert_eq!(format_duration(parse_duration(text).expect(text)), text);
        }
        assert_eq!(parse_duration("90s").expect("90s"), Duration::from_secs(90));
        for bad in ["", "5", "s", "-1s", "1.5s", "5 minutes", "99999999999999999999s", "18446744073709551615d"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
