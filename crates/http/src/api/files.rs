//! Files: the records of objects that exist, uploaded ones and results alike.

use super::ApiState;
use super::auth::Caller;
use super::cursor::{from_cursor, to_cursor};
use super::extract::{IdInPath, NoBody, NoParams, StrictQuery, page_limit, read_parameter};
use super::links::{LinkParams, link_answer};
use super::problem::Problem;
use super::views::{FileView, LinkView, ListView, ProblemView};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use filemill_core::ids::FileId;
use filemill_core::object::BucketName;
use filemill_core::ports::{FileQuery, Page};
use serde::Deserialize;
use utoipa::IntoParams;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FilesParams {
    bucket: Option<String>,
    /// What the keys start with.
    prefix: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Items on a page.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u32>,
}

impl FilesParams {
    fn query(self) -> Result<FileQuery, Problem> {
        Ok(FileQuery {
            bucket: read_parameter("bucket", self.bucket, |text| BucketName::parse(text).map_err(|e| e.to_string()))?,
            prefix: self.prefix,
            after: from_cursor(self.cursor)?,
            limit: page_limit(self.limit)?,
            ..FileQuery::default()
        })
    }
}

/// List files by bucket and key
#[utoipa::path(
    get, path = "/v1/files", tag = "files", security(("token" = ["read"])),
    params(FilesParams),
    responses(
        (status = 200, description = "A page of files", body = ListView<FileView>),
        (status = 400, description = "A parameter is unknown or wrong", body = ProblemView),
    ),
)]
pub async fn list_files(
    State(state): State<ApiState>,
    Caller(who): Caller,
    StrictQuery(params): StrictQuery<FilesParams>,
) -> Result<Json<ListView<FileView>>, Problem> {
    let Page { items, more } = state.engine.files(&who, params.query()?).await?;
    let place = items.last().filter(|_| more).map(|file| (file.bucket.clone(), file.key.clone()));
    let items = items.into_iter().map(|file| FileView::of(file, &state.engine)).collect();
    Ok(Json(ListView { items, next_cursor: place.as_ref().map(to_cursor) }))
}

/// See a file
#[utoipa::path(
    get, path = "/v1/files/{id}", tag = "files", security(("token" = ["read"])),
    params(("id" = String, Path, description = "The file's id")),
    responses(
        (status = 200, description = "The file", body = FileView),
        (status = 404, description = "No such file", body = ProblemView),
    ),
)]
pub async fn get_file(
    State(state): State<ApiState>,
    Caller(who): Caller,
    IdInPath(id): IdInPath<FileId>,
    StrictQuery(NoParams {}): StrictQuery<NoParams>,
) -> Result<Json<FileView>, Problem> {
    Ok(Json(FileView::of(state.engine.file(&who, &id).await?, &state.engine)))
}

/// Download a file
#[utoipa::path(
    get, path = "/v1/files/{id}/download", tag = "files", security(("token" = ["read"])),
    params(("id" = String, Path, description = "The file's id"), LinkParams),
    responses(
        (status = 200, description = "The link, with `redirect=false`", body = LinkView),
        (status = 303, description = "To a signed link",
            headers(("location" = String, description = "The signed link"))),
        (status = 404, description = "No such file", body = ProblemView),
    ),
)]
pub async fn download_file(
    State(state): State<ApiState>,
    Caller(who): Caller,
    IdInPath(id): IdInPath<FileId>,
    StrictQuery(params): StrictQuery<LinkParams>,
) -> Result<Response, Problem> {
    link_answer(state.engine.download_link(&who, &id).await?, &params)
}

/// Delete a file, its bytes too
#[utoipa::path(
    delete, path = "/v1/files/{id}", tag = "files", security(("token" = ["remove"])),
    params(("id" = String, Path, description = "The file's id")),
    responses(
        (status = 204, description = "Gone"),
        (status = 404, description = "No such file", body = ProblemView),
    ),
)]
pub async fn delete_file(
    State(state): State<ApiState>,
    Caller(who): Caller,
    IdInPath(id): IdInPath<FileId>,
    StrictQuery(NoParams {}): StrictQuery<NoParams>,
    NoBody: NoBody,
) -> Result<StatusCode, Problem> {
    state.engine.delete_file(&who, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
