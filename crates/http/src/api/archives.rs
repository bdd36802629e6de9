//! Orders for archives: of named objects, or of the results of a selection of jobs.

use super::ApiState;
use super::auth::Caller;
use super::extract::{NoParams, StrictJson, StrictQuery};
use super::jobs::JobsParams;
use super::problem::Problem;
use super::views::{JobStatusView, JobView, ProblemView};
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use filemill_core::archive::{ArchiveFile, bounded_files, bounded_metadata};
use filemill_core::named;
use filemill_core::rule::RuleId;
use filemill_engine::{ArchiveContent, NewArchive};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Which files go into an archive: `files` or `jobs`, one of them.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewArchive, example = json!({
    "files": [{"source": "notes/a.md", "destination": "notes/"}, {"source": "s3://results/a.html"}],
    "name": "notes.zip", "metadata": {"order": 17},
}))]
pub struct NewArchiveBody {
    #[serde(default, deserialize_with = "some_files")]
    #[schema(value_type = Option<Vec<ArchiveFileBody>>)]
    files: Option<Vec<ArchiveFile>>,
    /// The results of all completed jobs that these filters find, each under its key.
    #[serde(default, deserialize_with = "named::option")]
    #[schema(value_type = Option<JobSelection>)]
    jobs: Option<JobsParams>,
    /// What a browser should call the archive.
    name: Option<String>,
    /// Given back with the job and its events.
    #[serde(default, deserialize_with = "bounded_metadata")]
    #[schema(value_type = Object)]
    metadata: Map<String, Value>,
    /// A rule that makes archives; the first such if not given.
    #[schema(value_type = Option<String>)]
    rule: Option<RuleId>,
}

/// One file of an archive.
#[derive(ToSchema)]
#[schema(as = ArchiveFile)]
#[allow(dead_code, reason = "describes filemill_core's type in the OpenAPI document")]
pub struct ArchiveFileBody {
    /// A key of the default bucket, or `s3://bucket/key`.
    source: String,
    /// Its path in the archive; with a slash at its end a folder. The last segment of the key if not given.
    destination: Option<String>,
    /// The version that is meant; the one that is there now if not given.
    etag: Option<String>,
}

/// Filters are ANDed; `{}` selects all completed jobs.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the filters of the jobs list in the OpenAPI document")]
pub struct JobSelection {
    rule: Option<String>,
    /// Only `completed` jobs have results.
    #[schema(value_type = Option<JobStatusView>)]
    status: Option<String>,
    /// The input's bucket.
    bucket: Option<String>,
    /// The input's key; with a trailing `*` a prefix.
    key: Option<String>,
    /// The upload that brought the input.
    upload: Option<String>,
}

fn some_files<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<ArchiveFile>>, D::Error> {
    bounded_files(from).map(Some)
}

impl NewArchiveBody {
    fn wish(self) -> Result<NewArchive, Problem> {
        let files = match (self.files, self.jobs) {
            (Some(files), None) => ArchiveContent::Files(files),
            (None, Some(selection)) => ArchiveContent::ResultsOf(selection.selection()?),
            _ => return Err(Problem::invalid_field("files", "give either files or jobs")),
        };
        Ok(NewArchive { files, name: self.name, metadata: self.metadata, rule: self.rule })
    }
}

/// Put files into a zip archive
///
/// Answers the job that makes it, at once. Sources are pinned to the versions that are there now.
#[utoipa::path(
    post, path = "/v1/archives", tag = "archives", security(("token" = ["archive"])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request harmless")),
    request_body = NewArchiveBody,
    responses(
        (status = 202, description = "The job that makes the archive", body = JobView,
            headers(("location" = String, description = "Where the job can be read"))),
        (status = 400, description = "Malformed JSON", body = ProblemView),
        (status = 409, description = "The first request with this Idempotency-Key still runs", body = ProblemView),
        (status = 413, description = "The body is too large", body = ProblemView),
        (status = 415, description = "The body is not JSON", body = ProblemView),
        (status = 422, description = "A field is wrong, a file is not there, or no rule makes archives", body = ProblemView),
    ),
)]
pub async fn create_archive(
    State(state): State<ApiState>,
    Caller(who): Caller,
    StrictQuery(NoParams {}): StrictQuery<NoParams>,
    StrictJson(body): StrictJson<NewArchiveBody>,
) -> Result<impl IntoResponse, Problem> {
    let job = state.engine.create_archive(&who, body.wish()?).await.map_err(Problem::in_body)?;
    let location = format!("/v1/jobs/{}", job.id);
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(JobView::of(job, &state.engine))))
}
