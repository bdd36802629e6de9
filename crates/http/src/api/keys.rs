//! Keys: made, listed, exchanged, revoked. Their secrets are answered once.

use super::ApiState;
use super::auth::Caller;
use super::chance::unguessable;
use super::cursor::{from_cursor, to_cursor};
use super::extract::{IdInPath, NoBody, NoParams, StrictJson, StrictQuery, page_limit};
use super::problem::Problem;
use super::views::{KeySecretsView, KeyView, ListView, ProblemView, RoleView};
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use filemill_core::access::{Place, Role, TenantName};
use filemill_core::ids::KeyId;
use filemill_core::message::MessageQueueName;
use filemill_core::ports::Page;
use filemill_core::time::Timestamp;
use filemill_engine::{KeysQuery, NewKey};
use serde::Deserialize;
use std::collections::BTreeSet;
use utoipa::{IntoParams, ToSchema};

/// A wish for a key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewKey, example = json!({
    "name": "scanner in the mail room", "role": "uploader", "tenant": "acme", "limits": ["acme-in/scans/"],
    "expires_at": "2027-06-01T00:00:00Z",
}))]
pub struct NewKeyBody {
    /// For people, and for the audit log.
    name: String,
    #[schema(value_type = RoleView)]
    role: Role,
    /// Only this tenant's buckets; the one of the key that asks if not given.
    #[schema(value_type = Option<String>)]
    tenant: Option<TenantName>,
    /// Only these buckets (`bucket`), or these parts of them (`bucket/prefix`).
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    limits: Vec<Place>,
    /// The message queues that its pair may use, by the SQS protocol. None unless given; an admin of the whole service has all.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    queues: BTreeSet<MessageQueueName>,
    /// It opens nothing from then on.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

impl From<NewKeyBody> for NewKey {
    fn from(body: NewKeyBody) -> Self {
        let NewKeyBody { name, role, tenant, limits, queues, expires_at } = body;
        NewKey { name, role, tenant, limits, queues, expires_at }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct KeysParams {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Items on a page.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u32>,
}

/// Make a key
///
/// The answer holds its secrets, which are told this once.
#[utoipa::path(
    post, path = "/v1/keys", tag = "keys", security(("token" = ["keys"])),
    request_body = NewKeyBody,
    responses(
        (status = 201, description = "The key with its secrets", body = KeySecretsView,
            headers(("location" = String, description = "Where the key can be read, without its secrets"))),
        (status = 400, description = "Malformed JSON", body = ProblemView),
        (status = 409, description = "There are too many keys", body = ProblemView),
        (status = 413, description = "The body is too large", body = ProblemView),
        (status = 415, description = "The body is not JSON", body = ProblemView),
        (status = 422, description = "A field is wrong", body = ProblemView),
    ),
)]
pub async fn create_key(
    State(state): State<ApiState>,
    Caller(who): Caller,
    StrictQuery(NoParams {}): StrictQuery<NoParams>,
    StrictJson(body): StrictJson<NewKeyBody>,
) -> Result<impl IntoResponse, Problem> {
    let ticket = state.engine.create_key(&who, body.into(), unguessable()?).await?;
    let location = format!("/v1/keys/{}", ticket.key.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(KeySecretsView::from(ticket))))
}

/// List keys, newest first
#[utoipa::path(
    get, path = "/v1/keys", tag = "keys", security(("token" = ["keys"])),
    params(KeysParams),
    responses(
        (status = 200, description = "A page of keys", body = ListView<KeyView>),
        (status = 400, description = "A parameter is unknown or wrong", body = ProblemView),
    ),
)]
pub async fn list_keys(
    State(state): State<ApiState>,
    Caller(who): Caller,
    StrictQuery(params): StrictQuery<KeysParams>,
) -> Result<Json<ListView<KeyView>>, Problem> {
    let query = KeysQuery { after: from_cursor(params.cursor)?, limit: page_limit(params.limit)? };
    let Page { items, more } = state.engine.keys(&who, &query).await?;
    let next_cursor = items.last().filter(|_| more).map(|key| to_cursor(&key.id));
    Ok(Json(ListView { items: items.into_iter().map(KeyView::from).collect(), next_cursor }))
}

/// See a key
#[utoipa::path(
    get, path = "/v1/keys/{id}", tag = "keys", security(("token" = ["keys"])),
    params(("id" = String, Path, description = "The key's id")),
    responses(
        (status = 200, description = "The key", body = KeyView),
        (status = 404, description = "No such key", body = ProblemView),
    ),
)]
pub async fn get_key(
    State(state): State<ApiState>,
    Caller(who): Caller,
    IdInPath(id): IdInPath<KeyId>,
    StrictQuery(NoParams {}): StrictQuery<NoParams>,
) -> Result<Json<KeyView>, Problem> {
    Ok(Json(state.engine.key(&who, &id).await?.into()))
}

/// Revoke a key
///
/// It opens nothing from now on, and the feeds that it has open are closed. It stays in the list for 90 days.
#[utoipa::path(
    delete, path = "/v1/keys/{id}", tag = "keys", security(("token" = ["keys"])),
    params(("id" = String, Path, description = "The key's id")),
    responses(
        (status = 200, description = "The revoked key", body = KeyView),
        (status = 404, description = "No such key", body = ProblemView),
    ),
)]
pub async fn revoke_key(
    State(state): State<ApiState>,
    Caller(who): Caller,
    IdInPath(id): IdInPath<KeyId>,
    StrictQuery(NoParams {}): StrictQuery<NoParams>,
    NoBody: NoBody,
) -> Result<Json<KeyView>, Problem> {
    Ok(Json(state.engine.revoke_key(&who, &id).await?.into()))
}

/// Exchange a key's secrets for new ones
///
/// The old ones open nothing from now on. Name, role and limits stay.
#[utoipa::path(
    post, path = "/v1/keys/{id}/rotate", tag = "keys", security(("token" = ["keys"])),
    params(("id" = String, Path, description = "The key's id")),
    responses(
        (status = 200, description = "The key with its new secrets", body = KeySecretsView),
        (status = 404, description = "No such key", body = ProblemView),
        (status = 409, description = "The key is revoked", body = ProblemView),
    ),
)]
pub async fn rotate_key(
    State(state): State<ApiState>,
    Caller(who): Caller,
    IdInPath(id): IdInPath<KeyId>,
    StrictQuery(NoParams {}): StrictQuery<NoParams>,
    NoBody: NoBody,
) -> Result<Json<KeySecretsView>, Problem> {
    Ok(Json(state.engine.rotate_key(&who, &id, unguessable()?).await?.into()))
}
