//! Jobs: looking at them, stopping them, running them again, and getting their results.

use super::ApiState;
use super::auth::Caller;
use super::cursor::{from_cursor, to_cursor};
use super::extract::{IdInPath, NoBody, NoParams, StrictQuery, page_limit, read_id, read_parameter};
use super::links::{LinkParams, link_answer};
use super::problem::Problem;
use super::views::{JobStatusView, JobView, LinkView, ListView, ProblemView};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use filemill_core::ids::JobId;
use filemill_core::job::JobStatus;
use filemill_core::object::BucketName;
use filemill_core::ports::{JobQuery, Page};
use filemill_core::rule::RuleId;
use serde::Deserialize;
use utoipa::IntoParams;

/// Filters are ANDed.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct JobsParams {
    #[param(value_type = Option<JobStatusView>)]
    status: Option<JobStatus>,
    rule: Option<String>,
    /// The input's bucket.
    bucket: Option<String>,
    /// The input's key; with a trailing `*` a prefix.
    key: Option<String>,
    /// The upload that brought the input.
    upload: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Items on a page.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u32>,
}

impl JobsParams {
    /// For a selection, which has no pages; only completed jobs have a result.
    pub(super) fn selection(self) -> Result<JobQuery, Problem> {
        let is_completed = self.status.is_none_or(|status| status == JobStatus::Completed);
        if !is_completed || self.cursor.is_some() || self.limit.is_some() {
            let message = "select by rule, bucket, key and upload; of the jobs found, the completed ones count";
            return Err(Problem::invalid_field("jobs", message));
        }
        self.query().map_err(|problem| Problem::invalid_field("jobs", problem.detail()))
    }

    fn query(self) -> Result<JobQuery, Problem> {
        Ok(JobQuery {
            status: self.status,
            rule: read_parameter("rule", self.rule, RuleId::parse)?,
            bucket: read_parameter("bucket", self.bucket, |text| BucketName::parse(text).map_err(|e| e.to_string()))?,
            key: self.key,
            upload: read_parameter("upload", self.upload, read_id)?,
            after: from_cursor(self.cursor)?,
            limit: page_limit(self.limit)?,
            ..JobQuery::default()
        })
    }
}

/// List jobs, newest first
#[utoipa::path(
    get, path = "/v1/jobs", tag = "jobs", security(("token" = ["read"])),
    params(JobsParams),
    responses(
        (status = 200, description = "A page of jobs", body = ListView<JobView>),
        (status = 400, description = "A parameter is unknown or wrong", body = ProblemView),
    ),
)]
pub async fn list_jobs(
    State(state): State<ApiState>,
    Caller(who): Caller,
    StrictQuery(params): StrictQuery<JobsParams>,
) -> Result<Json<ListView<JobView>>, Problem> {
    let Page { items, more } = state.engine.jobs(&who, params.query()?).await?;
    let next_cursor = items.last().filter(|_| more).map(|job| to_cursor(&job.id));
    let items = items.into_iter().map(|job| JobView::of(job, &state.engine)).collect();
    Ok(Json(ListView { items, next_cursor }))
}

/// See a job
#[utoipa::path(
    get, path = "/v1/jobs/{id}", tag = "jobs", security(("token" = ["read"])),
    params(("id" = String, Path, description = "The job's id")),
    responses(
        (status = 200, description = "The job", body = JobView),
        (status = 404, description = "No such job", body = ProblemView),
    ),
)]
pub async fn get_job(
    State(state): State<ApiState>,
    Caller(who): Caller,
    IdInPath(id): IdInPath<JobId>,
    StrictQuery(NoParams {}): StrictQuery<NoParams>,
) -> Result<Json<JobView>, Problem> {
    Ok(Json(JobView::of(state.engine.job(&who, &id).await?, &state.engine)))
}

/// Cancel a job
///
/// A cancelled job starts nothing more; what runs for it stops soon.
#[utoipa::path(
    post, path = "/v1/jobs/{id}/cancel", tag = "jobs", security(("token" = ["cancel"])),
    params(
        ("id" = String, Path, description = "The job's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request harmless"),
    ),
    responses(
        (status = 200, description = "The cancelled job", body = JobView),
        (status = 404, description = "No such job", body = ProblemView),
        (status = 409, description = "The job is already over", body = ProblemView),
        (status = 422, description = "The Idempotency-Key was used with another request", body = ProblemView),
    ),
)]
pub async fn cancel_job(
    State(state): State<ApiState>,
    Caller(who): Caller,
    IdInPath(id): IdInPath<JobId>,
    StrictQuery(NoParams {}): StrictQuery<NoParams>,
    NoBody: NoBody,
) -> Result<Json<JobView>, Problem> {
    Ok(Json(JobView::of(state.engine.cancel_job(&who, &id).await?, &state.engine)))
}

/// Run a failed or cancelled job again, from its start
#[utoipa::path(
    post, path = "/v1/jobs/{id}/retry", tag = "jobs", security(("token" = ["operate"])),
    params(
        ("id" = String, Path, description = "The job's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request harmless"),
    ),
    responses(
        (status = 200, description = "The job, queued again", body = JobView),
        (status = 404, description = "No such job", body = ProblemView),
        (status = 409, description = "The job has not failed and was not cancelled", body = ProblemView),
        (status = 422, description = "The Idempotency-Key was used with another request", body = ProblemView),
    ),
)]
pub async fn retry_job(
    State(state): State<ApiState>,
    Caller(who): Caller,
    IdInPath(id): IdInPath<JobId>,
    StrictQuery(NoParams {}): StrictQuery<NoParams>,
    NoBody: NoBody,
) -> Result<Json<JobView>, Problem> {
    Ok(Json(JobView::of(state.engine.retry_job(&who, &id).await?, &state.engine)))
}

/// Download a job's result
#[utoipa::path(
    get, path = "/v1/jobs/{id}/result", tag = "jobs", security(("token" = ["read"])),
    params(("id" = String, Path, description = "The job's id"), LinkParams),
    responses(
        (status = 200, description = "The link, with `redirect=false`", body = LinkView),
        (status = 303, description = "To a signed link",
            headers(("location" = String, description = "The signed link"))),
        (status = 404, description = "No such job, or its result was deleted", body = ProblemView),
        (status = 409, description = "The job is not completed", body = ProblemView),
    ),
)]
pub async fn get_result(
    State(state): State<ApiState>,
    Caller(who): Caller,
    IdInPath(id): IdInPath<JobId>,
    StrictQuery(params): StrictQuery<LinkParams>,
) -> Result<Response, Problem> {
    link_answer(state.engine.result_link(&who, &id).await?, &params)
}

/// Download the records that a job set aside
///
/// JSON Lines: `line`, `byte`, `column`, `reason` and the `record` itself.
#[utoipa::path(
    get, path = "/v1/jobs/{id}/rejects", tag = "jobs", security(("token" = ["read"])),
    params(("id" = String, Path, description = "The job's id"), LinkParams),
    responses(
        (status = 200, description = "The link, with `redirect=false`", body = LinkView),
        (status = 303, description = "To a signed link",
            headers(("location" = String, description = "The signed link"))),
        (status = 404, description = "No such job", body = ProblemView),
        (status = 409, description = "The job has not ended or set nothing aside", body = ProblemView),
    ),
)]
pub async fn get_rejects(
    State(state): State<ApiState>,
    Caller(who): Caller,
    IdInPath(id): IdInPath<JobId>,
    StrictQuery(params): StrictQuery<LinkParams>,
) -> Result<Response, Problem> {
    link_answer(state.engine.rejects_link(&who, &id).await?, &params)
}
