//! An error as clients see it.

use serde::Serialize;
use utoipa::ToSchema;

/// An error (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemView {
    /// Names the kind of problem; the same for the same `code`.
    #[serde(rename = "type")]
    #[schema(example = "urn:filemill:problem:job_not_found")]
    pub kind: String,
    #[schema(example = "Not Found")]
    pub title: String,
    #[schema(example = 404)]
    pub status: u16,
    /// For people.
    #[schema(example = "there is no job \"job_01h455vb4pex5vsknk084sn02q\"")]
    pub detail: String,
    /// For programs; stable.
    #[schema(example = "job_not_found")]
    pub code: String,
    /// The fields or parameters that are wrong, where that is the problem.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct FieldError {
    /// Path of the field, for example `metadata.order` or `parts[2]`; empty for the whole.
    pub field: String,
    pub message: String,
}
