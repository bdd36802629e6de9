//! The processors that this process knows, by kind.

use filemill_core::ports::{Processor, ProcessorSpec, Transform};
use filemill_core::rule::Process;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Clone, Default)]
pub struct Registry {
    by_kind: Arc<BTreeMap<String, Arc<dyn Processor>>>,
    /// Kinds that everybody's copy has; the others are an operator's own affair.
    built_in: Arc<BTreeSet<String>>,
}

impl Registry {
    /// The built-in ones.
    pub fn new(processors: impl IntoIterator<Item = &'static dyn Processor>) -> Self {
        let built_in = processors.into_iter().map(|p| Arc::new(p) as Arc<dyn Processor>);
        let by_kind: BTreeMap<_, _> = built_in.map(|p| (p.spec().kind.to_string(), p)).collect();
        Registry { built_in: Arc::new(by_kind.keys().cloned().collect()), by_kind: Arc::new(by_kind) }
    }

    /// And those that an operator defined. The error names a kind that is taken.
    pub fn with(self, defined: impl IntoIterator<Item = Arc<dyn Processor>>) -> Result<Self, String> {
        let mut by_kind = (*self.by_kind).clone();
        for processor in defined {
            let kind = processor.spec().kind.to_string();
            if by_kind.insert(kind.clone(), processor).is_some() {
                return Err(format!("there is a processor {kind:?} already; give yours another name"));
            }
        }
        Ok(Registry { by_kind: Arc::new(by_kind), built_in: self.built_in })
    }

    /// By kind.
    pub fn specs(&self) -> impl Iterator<Item = &ProcessorSpec> + '_ {
        self.by_kind.values().map(|p| p.spec())
    }

    /// Without those that an operator defined.
    pub fn built_in_specs(&self) -> impl Iterator<Item = &ProcessorSpec> + '_ {
        self.specs().filter(|spec| self.built_in.contains(&*spec.kind))
    }

    pub fn spec(&self, kind: &str) -> Option<&ProcessorSpec> {
        self.by_kind.get(kind).map(|p| p.spec())
    }

    /// The transform for a kind and its options. The error names what is wrong and what is known.
    pub fn prepare(&self, process: &Process) -> Result<Box<dyn Transform>, String> {
        let processor = self.by_kind.get(process.kind.as_str()).ok_or_else(|| {
            let known: Vec<&str> = self.by_kind.keys().map(String::as_str).collect();
            format!("there is no processor {:?}; known are {}", process.kind, known.join(", "))
        })?;
        processor.prepare(&process.options).map_err(|e| format!("{}: {e}", process.kind))
    }
}
