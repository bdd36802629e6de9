//! The JSON processors against others' readers: serde_json says what JSON is, the csv crate reads what was written.
//!
//! Also their hostile inputs: deep, long, twice, half.

mod lines;
mod rows;
mod strict;

use crate::suite::{self, Ran};
use filemill_core::ports::{ProcessError, Processor};
use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;
use serde_json::{Map, Value};

/// The result of the whole input, or the code and words of its failure.
fn run(processor: &dyn Processor, options: Value, input: &[u8]) -> Result<Ran, (String, String)> {
    suite::whole(&*suite::prepared(processor, &options), input).map_err(|e| match e {
        ProcessError::Failed(e) => (e.code, e.message),
        ProcessError::Io(e) => panic!("memory does not fail: {e}"),
    })
}

/// Values of every kind, nested, with few different keys.
fn any_value() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i32>().prop_map(|n| Value::from(f64::from(n) / 8.0)),
        any_text().prop_map(Value::from),
    ];
    let nested = |inner: BoxedStrategy<Value>| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            any_object(inner).prop_map(Value::from),
        ]
        .boxed()
    };
    leaf.prop_recursive(4, 24, 4, move |inner| nested(inner.boxed())).boxed()
}

fn any_object(value: BoxedStrategy<Value>) -> BoxedStrategy<Map<String, Value>> {
    let key = prop_oneof![3 => "[a-d]", 1 => any_text()];
    prop::collection::vec((key, value), 0..6).prop_map(|pairs| pairs.into_iter().collect()).boxed()
}

fn any_text() -> BoxedStrategy<String> {
    prop_oneof![
        "[a-z]{0,12}",
        "\\PC{0,20}",
        prop::collection::vec(
            prop::sample::select(vec![
                "\"", "\\", "\n", "\r", "\t", "\0", ",", ";", "é", "😀", "\u{feff}", "=", "-", "x"
            ]),
            0..6,
        )
        .prop_map(|parts| parts.concat()),
    ]
    .boxed()
}

/// With blanks between tokens, and every character of a text escaped that may be, as `style` says.
fn written(value: &Value, style: u8) -> String {
    match style % 3 {
        0 => value.to_string(),
        1 => serde_json::to_string_pretty(value).expect("JSON").replace('\n', "\r\n\t "),
        _ => escaped(&value.to_string()),
    }
}

/// `\uXXXX` for all that is not ASCII.
fn escaped(json: &str) -> String {
    let mut out = String::new();
    for char in json.chars() {
        match char.is_ascii() {
            true => out.push(char),
            false => char.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04X}"))),
        }
    }
    out
}
