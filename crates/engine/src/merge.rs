//! An upload's own options laid over its rule's.

use crate::registry::Registry;
use filemill_core::rule::{Process, Rule};
use serde_json::{Map, Value};

/// The rule's process with `options` over its own; the error names the option that the processor refuses.
pub fn process_for(rule: &Rule, options: &Map<String, Value>, processors: &Registry) -> Result<Process, String> {
    let mut process = rule.process.clone();
    for (name, value) in options {
        process.options.insert(name.clone(), value.clone());
    }
    processors.prepare(&process)?;
    Ok(process)
}
