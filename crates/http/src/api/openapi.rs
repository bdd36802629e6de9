//! The OpenAPI document, made from the handlers themselves. `docs/openapi.json` is its golden copy.
//!
//! What every operation shares is added here: the token, and the answers that any request can get.

use super::ApiState;
use super::extract::{NoParams, StrictQuery};
use super::views::ProblemView;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use filemill_core::ports::{OptionSpec, ProcessorSpec};
use serde_json::Value;
use utoipa::openapi::path::Operation;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Content, OpenApi as Document, Ref, RefOr};
use utoipa::{Modify, OpenApi};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Filemill",
        description = "Self-hosted, event-driven file processing: upload by presigned URL, watch the job, download the result.\n\nErrors are problem documents (RFC 9457) with a stable `code`. Lists answer `{items, next_cursor}`. Unknown fields and unknown parameters are refused by name.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "uploads", description = "Links to send files by"),
        (name = "jobs", description = "One file x one rule"),
        (name = "files", description = "Objects that exist"),
        (name = "archives", description = "Many files in one"),
        (name = "dead letters", description = "Tasks that gave up, and how they are put back to work"),
        (name = "queues", description = "What waits and runs"),
        (name = "keys", description = "Who may do what"),
        (name = "alarms", description = "Figures beyond their limits"),
        (name = "deliveries", description = "Who was told what, and what became of it"),
        (name = "audit", description = "Who ordered what"),
        (name = "findings", description = "What processors found in files"),
        (name = "rules", description = "What is configured, and what could be"),
        (name = "live", description = "What happens, as it happens"),
        (name = "operation", description = "Health, metrics, this document"),
    ),
    components(schemas(ProblemView)),
    security(("token" = [])),
)]
struct Skeleton;

/// The document before its paths.
pub fn skeleton() -> Document {
    Skeleton::openapi()
}

/// The whole document, as text, with the options of these processors.
pub fn document<'a>(processors: impl Iterator<Item = &'a ProcessorSpec>) -> String {
    let mut document = super::routes().into_openapi();
    Shared.modify(&mut document);
    describe_options(&mut document, processors);
    document.to_pretty_json().expect("the document is plain data") + "\n"
}

/// One schema for the options of each processor, as a rule or an upload gives them.
fn describe_options<'a>(document: &mut Document, processors: impl Iterator<Item = &'a ProcessorSpec>) {
    let schemas = &mut document.components.get_or_insert_default().schemas;
    for spec in processors {
        let mut object = ObjectBuilder::new().description(Some(spec.summary.to_string()));
        for option in spec.options {
            object = object.property(option.name, option_schema(option));
            if option.required {
                object = object.required(option.name);
            }
        }
        schemas.insert(format!("Options.{}", spec.kind), RefOr::T(object.build().into()));
    }
}

fn option_schema(option: &OptionSpec) -> ObjectBuilder {
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_else(|_| text.into());
    let types: Vec<Type> = option.kind.split(" or ").filter_map(json_type).collect();
    let schema = ObjectBuilder::new().description(Some(option.summary)).examples([json(option.example)]);
    let schema = match types.as_slice() {
        [one] => schema.schema_type(one.clone()),
        _ => schema.schema_type(SchemaType::Array(types)),
    };
    let schema = if option.default.is_empty() { schema } else { schema.default(Some(json(option.default))) };
    if option.choices.is_empty() {
        return schema;
    }
    schema.enum_values(Some(option.choices.iter().map(|choice| json(choice))))
}

fn json_type(name: &str) -> Option<Type> {
    Some(match name {
        "string" => Type::String,
        "boolean" => Type::Boolean,
        "integer" => Type::Integer,
        "number" => Type::Number,
        "array" => Type::Array,
        "object" => Type::Object,
        _ => return None,
    })
}

/// This document
#[utoipa::path(
    get, path = "/openapi.json", tag = "operation", security(()),
    responses((status = 200, description = "OpenAPI 3.1", body = Object)),
)]
pub async fn get_document(
    State(state): State<ApiState>,
    StrictQuery(NoParams {}): StrictQuery<NoParams>,
) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], state.document.clone())
}

struct Shared;

impl Modify for Shared {
    fn modify(&self, document: &mut Document) {
        let described = "The admin token, or a key's. Each operation names the scope that the key's role must have.";
        let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(described)).build();
        let ticket = ApiKeyValue::with_description("ticket", "A one-use ticket from `POST /v1/tickets`.");
        let components = document.components.get_or_insert_default();
        let schemes =
            [("token", SecurityScheme::Http(token)), ("ticket", SecurityScheme::ApiKey(ApiKey::Query(ticket)))];
        components.security_schemes.extend(schemes.map(|(name, scheme)| (name.to_owned(), RefOr::T(scheme))));
        for item in document.paths.paths.values_mut() {
            for operation in [&mut item.get, &mut item.post, &mut item.delete].into_iter().flatten() {
                complete(operation);
            }
        }
    }
}

/// Adds the answers that any request can get, and says that errors are problem documents.
fn complete(operation: &mut Operation) {
    let open = operation.security.as_deref().is_some_and(|ways| ways == [SecurityRequirement::default()]);
    let anywhere = [
        ("400", "A parameter is unknown or wrong"),
        ("401", "No valid token"),
        ("403", "The key's role or tenant may not do this"),
        ("429", "Too many requests, or too many refused tokens; wait as `Retry-After` says"),
        ("500", "An error of the service"),
        ("503", "A store does not answer"),
    ];
    for (status, description) in anywhere.into_iter().filter(|_| !open) {
        let response = ResponseBuilder::new().description(description).content("application/json", problem());
        operation.responses.responses.entry(status.to_owned()).or_insert_with(|| RefOr::T(response.build()));
    }
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && status.as_str() >= "400"
            && let Some(content) = response.content.shift_remove("application/json")
        {
            response.content.insert("application/problem+json".to_owned(), content);
        }
    }
}

fn problem() -> Content {
    Content::new(Some(RefOr::<utoipa::openapi::Schema>::Ref(Ref::from_schema_name("Problem"))))
}
