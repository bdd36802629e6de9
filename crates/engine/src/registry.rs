//! The processors that this process knows, by kind.

use filemill_core::ports::{Processor, ProcessorSpec, Transform};
use filemill_core::rule::Process;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Clone, Default)]
pub struct Registry {
    by_kind: Arc<BTreeMap<&'static str, &'static dyn Processor>>,
}

impl Registry {
    pub fn new(processors: impl IntoIterator<Item = &'static dyn Processor>) -> Self {
        Registry { by_kind: Arc::new(processors.into_iter().map(|p| (p.spec().kind, p)).collect()) }
    }

    pub fn specs(&self) -> impl Iterator<Item = &'static ProcessorSpec> + '_ {
        self.by_kind.values().map(|p| p.spec())
    }

    /// The transform for a kind and its options. The error names what is wrong and what is known.
    pub fn prepare(&self, process: &Process) -> Result<Box<dyn Transform>, String> {
        let processor = self.by_kind.get(process.kind.as_str()).ok_or_else(|| {
            let known: Vec<&str> = self.by_kind.keys().copied().collect();
            format!("there is no processor {:?}; known are {}", process.kind, known.join(", "))
        })?;
        processor.prepare(&process.options).map_err(|e| format!("{}: {e}", process.kind))
    }
}
