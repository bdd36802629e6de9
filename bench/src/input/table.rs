//! A CSV file as exports are: ten columns, values that look like numbers and are not, one field in twenty quoted, with
//! commas, doubled quotes, LF and CRLF inside.

use super::Chance;
use anyhow::{Context, Result};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

const HEADER: &str = "id,name,email,city,ordered,amount,quantity,paid,code,comment\n";
const NAMES: [&str; 5] = ["Ada Moreau", "Jürgen Groß", "Li Wei", "Olu Adeyemi", "Maria da Silva"];
const CITIES: [&str; 5] = ["Lyon", "Zürich", "Chengdu", "Lagos", "São Paulo"];
const PAID: [&str; 3] = ["yes", "no", "pending"];
const COMMENTS: [&str; 4] =
    ["deliver to the back door", "", "second reminder was sent", "customer asked for an invoice"];
/// As they stand in the file.
const QUOTED: [&str; 4] = [
    "\"left, then right\"",
    "\"the \"\"blue\"\" one\"",
    "\"first line\nsecond line\"",
    "\"first line\r\nsecond, with a \"\"quote\"\"\"",
];

/// Whole records, until there are at least `bytes` bytes.
pub fn write(path: &Path, bytes: u64) -> Result<()> {
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    out.write_all(HEADER.as_bytes())?;
    let (mut chance, mut written, mut number) = (Chance(11), HEADER.len() as u64, 0);
    while written < bytes {
        let record = record(&mut chance, number);
        out.write_all(record.as_bytes())?;
        written += record.len() as u64;
        number += 1;
    }
    out.flush()?;
    Ok(())
}

/// One in six of three columns of ten: a field in twenty is quoted.
fn record(chance: &mut Chance, number: u64) -> String {
    let [name, city, comment] = [&NAMES[..], &CITIES, &COMMENTS].map(|plain| {
        let quoted = chance.next().is_multiple_of(6);
        chance.one_of(if quoted { &QUOTED } else { plain })
    });
    let (account, cents) = (chance.next() % 100_000, chance.next() % 100);
    let (amount, quantity, code) = (chance.next() % 10_000, chance.next() % 40, chance.next() % 1_000_000);
    format!(
        "{number:08},{name},user{account}@example.org,{city},2026-{:02}-{:02},{amount}.{cents:02},{quantity},{},{code:07},{comment}\n",
        number % 12 + 1,
        number % 28 + 1,
        chance.one_of(&PAID),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_in_twenty_is_quoted() {
        let mut chance = Chance(1);
        let records = 20_000;
        let text: String = (0..records).map(|number| record(&mut chance, number)).collect();
        let share = text.matches(",\"").count() as f64 / (records * 10) as f64;
        assert!((share - 0.05).abs() < 0.003, "{share}");
    }
}
