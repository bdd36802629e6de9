//! A check-up as clients see it.

use filemill_core::ports::{Checkup, CheckupFinding};
use serde::Serialize;
use utoipa::ToSchema;

/// What a check-up found.
#[derive(Serialize, ToSchema)]
#[schema(as = Checkup, example = json!({
    "checks": 23,
    "findings": [{"code": "file_without_row", "what": "a blob file that no row names", "count": 1,
        "examples": ["0000010000000007"]}],
}))]
pub struct CheckupView {
    /// Kinds of things that were looked for.
    pub checks: u64,
    pub findings: Vec<CheckupFindingView>,
}

/// Things that should not be.
#[derive(Serialize, ToSchema)]
#[schema(as = CheckupFinding)]
pub struct CheckupFindingView {
    /// Stable, for programs.
    pub code: String,
    pub what: String,
    pub count: u64,
    /// At most ten.
    pub examples: Vec<String>,
}

impl From<Checkup> for CheckupView {
    fn from(checkup: Checkup) -> Self {
        let findings = checkup.findings.into_iter().map(CheckupFindingView::from).collect();
        CheckupView { checks: checkup.checks, findings }
    }
}

impl From<CheckupFinding> for CheckupFindingView {
    fn from(finding: CheckupFinding) -> Self {
        let CheckupFinding { code, what, count, examples } = finding;
        CheckupFindingView { code, what, count, examples }
    }
}
