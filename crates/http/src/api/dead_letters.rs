//! Dead letters: looked through without hiding them, grouped by what went wrong, put back to work, discarded.

use super::ApiState;
use super::auth::Caller;
use super::cursor::to_cursor;
use super::extract::{IdInPath, NoBody, NoParams, PageParams, PagedQuery, StrictJson, StrictQuery};
use super::extract::{page_limit, read_id, read_parameter, read_time};
use super::problem::Problem;
use super::views::{
    CountView, DeadLetterGroupView, DeadLetterStatusView, DeadLetterView, JobView, ListView, ProblemView,
};
use axum::Json;
use axum::extract::State;
use filemill_core::access::Principal;
use filemill_core::dead_letter::{DeadLetterFilter, DeadLetterStatus};
use filemill_core::ids::DeadLetterId;
use filemill_core::named;
use filemill_core::object::BucketName;
use filemill_core::ports::Page;
use filemill_core::redrive::RedriveManner;
use filemill_core::rule::Name;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

/// Filters are ANDed; in a query string and in a body alike.
#[derive(Clone, Default, Deserialize, IntoParams, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
#[schema(as = DeadLetterFilter)]
pub struct DeadLetterFilters {
    /// `dead` unless given.
    #[param(value_type = Option<DeadLetterStatusView>)]
    #[schema(value_type = Option<DeadLetterStatusView>)]
    status: Option<DeadLetterStatus>,
    queue: Option<String>,
    rule: Option<String>,
    /// The input's bucket.
    bucket: Option<String>,
    /// The input's key; with a trailing `*` a prefix.
    key: Option<String>,
    /// The error's code.
    error: Option<String>,
    /// The same for errors that probably have one cause.
    fingerprint: Option<String>,
    job: Option<String>,
    /// Died at this time or later (RFC 3339).
    since: Option<String>,
    /// Died before this time (RFC 3339).
    until: Option<String>,
}

impl DeadLetterFilters {
    pub fn filter(self) -> Result<DeadLetterFilter, Problem> {
        Ok(DeadLetterFilter {
            ids: Vec::new(),
            status: Some(self.status.unwrap_or(DeadLetterStatus::Dead)),
            queue: read_parameter("queue", self.queue, Name::parse)?,
            rule: read_parameter("rule", self.rule, Name::parse)?,
            bucket: read_parameter("bucket", self.bucket, |text| BucketName::parse(text).map_err(|e| e.to_string()))?,
            key: self.key,
            error: self.error,
            fingerprint: self.fingerprint,
            job: read_parameter("job", self.job, read_id)?,
            since: read_parameter("since", self.since, read_time)?,
            until: read_parameter("until", self.until, read_time)?,
        })
    }
}

/// How a letter's job goes on.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = RedriveManner)]
pub struct MannerBody {
    /// Laid over the job's own options; the job then runs from its start.
    options: Map<String, Value>,
    /// Do again also the chunks that were done and are still there.
    from_start: bool,
}

impl From<MannerBody> for RedriveManner {
    fn from(body: MannerBody) -> Self {
        RedriveManner { options: body.options, from_start: body.from_start }
    }
}

/// List dead letters, newest first
///
/// Looking hides nothing. Letters that were redriven or discarded are kept for a while: give a `status` to see them.
#[utoipa::path(
    get, path = "/v1/dead", tag = "dead letters", security(("token" = ["inspect"])),
    params(DeadLetterFilters, PageParams),
    responses(
        (status = 200, description = "A page of dead letters", body = ListView<DeadLetterView>),
        (status = 400, description = "A parameter is unknown or wrong", body = ProblemView),
    ),
)]
pub async fn list_dead_letters(
    State(state): State<ApiState>,
    Caller(who): Caller,
    PagedQuery { filters, page }: PagedQuery<DeadLetterFilters>,
) -> Result<Json<ListView<DeadLetterView>>, Problem> {
    list(&state, &who, filters.filter()?, page).await
}

pub async fn list(
    state: &ApiState,
    who: &Principal,
    filter: DeadLetterFilter,
    page: PageParams,
) -> Result<Json<ListView<DeadLetterView>>, Problem> {
    let after = page.after()?;
    let Page { items, more } = state.engine.dead_letters(who, &filter, after.as_ref(), page.limit()?).await?;
    let next_cursor = items.last().filter(|_| more).map(|letter| to_cursor(&letter.id));
    Ok(Json(ListView {
        items: items.into_iter().map(|letter| DeadLetterView::of(letter, &state.engine)).collect(),
        next_cursor,
    }))
}

/// Dead letters by what went wrong, the largest groups first
#[utoipa::path(
    get, path = "/v1/dead/groups", tag = "dead letters", security(("token" = ["inspect"])),
    params(DeadLetterFilters, GroupParams),
    responses(
        (status = 200, description = "Groups of letters that probably have one cause", body = ListView<DeadLetterGroupView>),
        (status = 400, description = "A parameter is unknown or wrong", body = ProblemView),
    ),
)]
pub async fn group_dead_letters(
    State(state): State<ApiState>,
    Caller(who): Caller,
    PagedQuery { filters, page }: PagedQuery<DeadLetterFilters, GroupParams>,
) -> Result<Json<ListView<DeadLetterGroupView>>, Problem> {
    let groups = state.engine.dead_letter_groups(&who, &filters.filter()?, page_limit(page.limit)?).await?;
    Ok(Json(ListView::whole(groups.into_iter().map(DeadLetterGroupView::from).collect())))
}

/// All of one answer: the largest groups, and who has more causes than that filters them.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct GroupParams {
    /// Groups at most.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u32>,
}

/// See a dead letter with all its attempts
#[utoipa::path(
    get, path = "/v1/dead/{id}", tag = "dead letters", security(("token" = ["inspect"])),
    params(("id" = String, Path, description = "The letter's id")),
    responses(
        (status = 200, description = "The letter", body = DeadLetterView),
        (status = 404, description = "No such letter", body = ProblemView),
    ),
)]
pub async fn get_dead_letter(
    State(state): State<ApiState>,
    Caller(who): Caller,
    IdInPath(id): IdInPath<DeadLetterId>,
    StrictQuery(NoParams {}): StrictQuery<NoParams>,
) -> Result<Json<DeadLetterView>, Problem> {
    let letter = state.engine.dead_letter(&who, &id).await?;
    Ok(Json(DeadLetterView::of(letter, &state.engine)))
}

/// Put a dead letter back to work
///
/// Of a file that was cut into chunks only those run again that were not done, as long as the done ones are kept
/// (`resumable_until`) and neither options nor `from_start` say otherwise.
#[utoipa::path(
    post, path = "/v1/dead/{id}/redrive", tag = "dead letters", security(("token" = ["operate"])),
    params(
        ("id" = String, Path, description = "The letter's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request harmless"),
    ),
    request_body = MannerBody,
    responses(
        (status = 200, description = "The job, at work again", body = JobView),
        (status = 404, description = "No such letter", body = ProblemView),
        (status = 409, description = "It is no longer dead, or its file was removed or replaced", body = ProblemView),
        (status = 422, description = "The options are wrong", body = ProblemView),
    ),
)]
pub async fn redrive_dead_letter(
    State(state): State<ApiState>,
    Caller(who): Caller,
    IdInPath(id): IdInPath<DeadLetterId>,
    StrictQuery(NoParams {}): StrictQuery<NoParams>,
    StrictJson(manner): StrictJson<MannerBody>,
) -> Result<Json<JobView>, Problem> {
    let job = state.engine.redrive_dead_letter(&who, &id, &manner.into()).await.map_err(Problem::in_body)?;
    Ok(Json(JobView::of(job, &state.engine)))
}

/// Discard a dead letter
///
/// Its job stays failed and the original stays where it is; what was kept of the work goes.
#[utoipa::path(
    delete, path = "/v1/dead/{id}", tag = "dead letters", security(("token" = ["operate"])),
    params(("id" = String, Path, description = "The letter's id")),
    responses(
        (status = 200, description = "The letter, discarded", body = DeadLetterView),
        (status = 404, description = "No such letter", body = ProblemView),
        (status = 409, description = "It is no longer dead", body = ProblemView),
    ),
)]
pub async fn discard_dead_letter(
    State(state): State<ApiState>,
    Caller(who): Caller,
    IdInPath(id): IdInPath<DeadLetterId>,
    StrictQuery(NoParams {}): StrictQuery<NoParams>,
    NoBody: NoBody,
) -> Result<Json<DeadLetterView>, Problem> {
    let letter = state.engine.discard_dead_letter(&who, &id).await?;
    Ok(Json(DeadLetterView::of(letter, &state.engine)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewDiscard, example = json!({"filter": {"fingerprint": "1f0c2a7b9d3e"}, "dry_run": true}))]
pub struct DiscardBody {
    /// Which letters. An empty filter means all that are dead.
    #[serde(deserialize_with = "named::one")]
    filter: DeadLetterFilters,
    /// Only count them.
    #[serde(default)]
    dry_run: bool,
}

/// Discard many dead letters, or count them first
#[utoipa::path(
    post, path = "/v1/dead/discard", tag = "dead letters", security(("token" = ["operate"])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request harmless")),
    request_body = DiscardBody,
    responses(
        (status = 200, description = "How many were discarded, or would be", body = CountView),
        (status = 422, description = "A field is unknown or wrong", body = ProblemView),
    ),
)]
pub async fn discard_dead_letters(
    State(state): State<ApiState>,
    Caller(who): Caller,
    StrictQuery(NoParams {}): StrictQuery<NoParams>,
    StrictJson(body): StrictJson<DiscardBody>,
) -> Result<Json<CountView>, Problem> {
    let filter = body.filter.filter().map_err(|problem| Problem::invalid_field("filter", problem.detail()))?;
    let count = match body.dry_run {
        true => state.engine.count_redrive(&who, &filter, &RedriveManner::default()).await.map_err(Problem::in_body)?,
        false => state.engine.discard_dead_letters(&who, &filter).await.map_err(Problem::in_body)?,
    };
    Ok(Json(CountView { count }))
}
