//! Strict reading of requests: bodies, query strings and ids. What is unknown, doubled or of the wrong type is refused
//! with its name and place, and nothing is guessed.

use super::cursor::{Place, from_cursor};
use super::problem::Problem;
use crate::serve::incoming::BodyError;
use axum::body::HttpBody;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use filemill_core::ids::{BackfillId, DeadLetterId, DeliveryId, FileId, JobId, KeyId, RedriveId, UploadId};
use filemill_core::limits;
use filemill_core::named::Named;
use filemill_core::time::Timestamp;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::{DeserializeOwned, IgnoredAny};
use std::error::Error;
use std::str::FromStr;
use url::form_urlencoded;

/// A JSON body, an object. Wrong syntax is 400 with line and column; wrong content is 422 with the path.
pub struct StrictJson<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for StrictJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        // no body at all leaves every field out
        if body.size_hint().exact() == Some(0) {
            return parse_json(b"{}").map(StrictJson);
        }
        require_json(&parts.headers)?;
        let bytes = read_body(body, body_bytes_max(parts.uri.path())).await?;
        parse_json(&bytes).map(StrictJson)
    }
}

/// A list of 100,000 files is longer than other requests.
pub fn body_bytes_max(path: &str) -> usize {
    match path {
        "/v1/archives" => usize::try_from(limits::ARCHIVE_MANIFEST_BYTES_MAX).unwrap_or(usize::MAX),
        _ => limits::JSON_BODY_BYTES_MAX,
    }
}

/// No body, or an empty object.
pub struct NoBody;

impl<S: Send + Sync> FromRequest<S> for NoBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let bytes = read_body(request.into_body(), limits::JSON_BODY_BYTES_MAX).await?;
        let empty = bytes.trim_ascii().is_empty() || parse_json::<serde_json::Map<_, _>>(&bytes)?.is_empty();
        if empty { Ok(NoBody) } else { Err(Problem::invalid_field("", "this request takes no fields")) }
    }
}

/// The whole body, if it is not larger than `max`.
pub async fn read_body(body: Body, max: usize) -> Result<Bytes, Problem> {
    if body.size_hint().lower() > max as u64 {
        return Err(body_too_large(max));
    }
    let collected = Limited::new(body, max).collect().await;
    collected.map(|body| body.to_bytes()).map_err(|e| body_problem(&*e, max))
}

fn body_problem(e: &(dyn Error + 'static), max: usize) -> Problem {
    let mut cause = Some(e);
    while let Some(e) = cause {
        if e.is::<LengthLimitError>() {
            return body_too_large(max);
        }
        if let Some(BodyError::Idle | BodyError::TooSlow) = e.downcast_ref() {
            return Problem::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", "the request body came too slowly");
        }
        cause = e.source();
    }
    Problem::bad_request("body_broken", "the request body ended early")
}

fn body_too_large(max: usize) -> Problem {
    let detail = format!("a request body has at most {max} bytes here");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
}

fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(header::CONTENT_TYPE).map(|v| v.to_str().unwrap_or_default());
    let essence = given.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let given = given.map_or("none".to_owned(), |g| format!("{:?}", g.chars().take(100).collect::<String>()));
    let detail = format!("send the body as content-type application/json (given: {given})");
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail))
}

fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let Named(value) = serde_path_to_error::deserialize::<_, Named<T>>(&mut reader).map_err(|e| {
        let (path, e) = (e.path().to_string(), e.inner());
        if let Err(malformed) = serde_json::from_slice::<IgnoredAny>(bytes) {
            return json_problem("", &malformed);
        }
        // a number where one of several names should be is a fault of syntax to serde_json alone
        if e.to_string().starts_with("expected value") {
            return Problem::invalid_field(path, "a value of another type is expected");
        }
        json_problem(path.trim_start_matches('.'), e)
    })?;
    reader.end().map_err(|e| json_problem("", &e))?;
    Ok(value)
}

fn json_problem(path: &str, e: &serde_json::Error) -> Problem {
    let place = format!(" at line {} column {}", e.line(), e.column());
    let text = e.to_string();
    let message = text.strip_suffix(&place).unwrap_or(&text);
    if e.is_data() {
        return Problem::invalid_field(field_at(path, named_in(message)), message);
    }
    Problem::bad_request("malformed_json", format!("line {}, column {}: {message}", e.line(), e.column()))
}

/// The name in serde's "unknown field `x`, expected …" and its like, which stands in no path.
fn named_in(message: &str) -> Option<&str> {
    let starts = ["unknown field `", "duplicate field `", "missing field `"];
    let rest = starts.iter().find_map(|start| message.strip_prefix(start))?;
    rest.split_once('`').map(|(name, _)| name)
}

/// The path with the name that it may lack.
fn field_at(path: &str, name: Option<&str>) -> String {
    match name {
        Some(name) if path.is_empty() => name.to_owned(),
        Some(name) if path != name && !path.ends_with(&format!(".{name}")) => format!("{path}.{name}"),
        _ => path.to_owned(),
    }
}

/// Typed query parameters. An empty value is the same as none, so that forms can send all their fields.
pub struct StrictQuery<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for StrictQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parse_query(parts.uri.query().unwrap_or_default()).map(StrictQuery)
    }
}

/// Typed query parameters of a list, and which page of it is wanted.
pub struct PagedQuery<T, P = PageParams> {
    pub filters: T,
    pub page: P,
}

#[derive(serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageParams {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Items on a page.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u32>,
}

impl PageParams {
    pub fn after<P: Place>(&self) -> Result<Option<P>, Problem> {
        from_cursor(self.cursor.clone())
    }

    pub fn limit(&self) -> Result<u32, Problem> {
        page_limit(self.limit)
    }
}

impl<S: Send + Sync, T: DeserializeOwned, P: DeserializeOwned> FromRequestParts<S> for PagedQuery<T, P> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let is_of_page = |name: &str| matches!(name, "cursor" | "limit");
        let filters = parse_pairs(query, |name| !is_of_page(name))?;
        Ok(PagedQuery { filters, page: parse_pairs(query, is_of_page)? })
    }
}

fn parse_query<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
    parse_pairs(query, |_| true)
}

/// Of the parameters with these names.
fn parse_pairs<T: DeserializeOwned>(query: &str, is_wanted: impl Fn(&str) -> bool) -> Result<T, Problem> {
    let given = form_urlencoded::parse(query.as_bytes());
    let given = given.filter(|(name, value)| !value.is_empty() && is_wanted(name));
    let given = form_urlencoded::Serializer::new(String::new()).extend_pairs(given).finish();
    let reader = serde_urlencoded::Deserializer::new(form_urlencoded::parse(given.as_bytes()));
    serde_path_to_error::deserialize(reader).map_err(|e| {
        let path = e.path().to_string();
        let message = e.inner().to_string();
        let name = named_in(&message).unwrap_or(path.trim_start_matches('.'));
        Problem::invalid_parameter(name, message.replace(" field ", " parameter "))
    })
}

/// For routes without parameters.
#[derive(serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct NoParams {}

/// An id in the path. One that is not well formed names nothing: 404, like one that is unknown.
pub struct IdInPath<T>(pub T);

/// An id that clients know.
pub trait PublicId: Sized + Send {
    const NOUN: &'static str;
    fn read(text: &str) -> Option<Self>;
}

macro_rules! public_id {
    ($id:ty, $noun:literal) => {
        impl PublicId for $id {
            const NOUN: &'static str = $noun;
            fn read(text: &str) -> Option<Self> {
                Self::parse(text)
            }
        }
    };
}

public_id!(JobId, "job");
public_id!(FileId, "file");
public_id!(KeyId, "key");
public_id!(UploadId, "upload");
public_id!(DeadLetterId, "dead letter");
public_id!(RedriveId, "redrive");
public_id!(DeliveryId, "delivery");
public_id!(BackfillId, "backfill");

impl<S: Send + Sync, T: PublicId> FromRequestParts<S> for IdInPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let text = Path::<String>::from_request_parts(parts, state).await.map(|p| p.0).unwrap_or_default();
        let shown = || text.chars().take(64).collect::<String>();
        T::read(&text).map(IdInPath).ok_or_else(|| Problem::not_found(T::NOUN, &shown()))
    }
}

/// Reads a parameter's text into its type, naming the parameter if it cannot.
pub fn read_parameter<T>(
    name: &str,
    text: Option<String>,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, Problem> {
    text.map(|text| read(&text).map_err(|message| Problem::invalid_parameter(name, message))).transpose()
}

/// An id given as a parameter: 400 if it is none.
pub fn read_id<T: PublicId>(text: &str) -> Result<T, String> {
    T::read(text).ok_or_else(|| {
        let article = if T::NOUN.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
        format!("{:?} is not the id of {article} {}", text.chars().take(64).collect::<String>(), T::NOUN)
    })
}

/// The page size: 1 to [`limits::PAGE_MAX`].
pub fn page_limit(limit: Option<u32>) -> Result<u32, Problem> {
    match limit.unwrap_or(limits::PAGE_DEFAULT) {
        limit @ 1..=limits::PAGE_MAX => Ok(limit),
        other => {
            let message = format!("{other} is not between 1 and {}", limits::PAGE_MAX);
            Err(Problem::invalid_parameter("limit", message))
        }
    }
}

/// A time in a query string.
pub fn read_time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "write a time such as 2026-11-20T12:00:00Z".to_owned())
}

/// A header that holds a number, if it is there.
pub fn number_header<T: FromStr>(headers: &HeaderMap, name: &str) -> Result<Option<T>, Problem> {
    let Some(value) = headers.get(name).filter(|v| !v.is_empty()) else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    number.map(Some).ok_or_else(|| Problem::bad_request("invalid_header", format!("{name} is not a number")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Wish {
        size: u64,
        tags: Option<Vec<u8>>,
        #[serde(default)]
        of: Vec<Part>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Part {
        name: String,
    }

    fn told(problem: Problem) -> (u16, String) {
        let text = format!("{problem:?}");
        (problem.into_response().status().as_u16(), text)
    }

    #[test]
    fn wrong_syntax_is_400_with_its_place() {
        for bad in ["", "{", "{\"size\": 1,}", "{\"size\": 1} x", "nul"] {
            let (status, text) = told(parse_json::<Wish>(bad.as_bytes()).expect_err(bad));
            assert_eq!(status, 400, "{bad}");
            assert!(text.contains("line 1, column"), "{text}");
        }
    }

    #[test]
    fn wrong_content_is_422_with_its_path() {
        for (bad, path) in [
            ("{\"size\": \"x\"}", "size"),
            ("{\"size\": -1}", "size"),
            ("{\"size\": 1, \"tags\": [1, 999]}", "tags[1]"),
            ("{\"size\": 1, \"sise\": 2}", "sise"),
            ("{}", "size"),
            ("[1]", "an object"),
            ("{\"size\": 1, \"of\": [{\"sise\": 2}]}", "of[0].sise"),
            ("{\"size\": 1, \"of\": [{}]}", "of[0].name"),
            ("{\"size\": 1, \"size\": 1}", "size"),
        ] {
            let (status, text) = told(parse_json::<Wish>(bad.as_bytes()).expect_err(bad));
            assert_eq!(status, 422, "{bad}");
            assert!(text.contains(path), "{bad}: {text}");
        }
    }

    #[test]
    fn query_strings_are_strict_and_empty_values_are_none() {
        assert_eq!(parse_query::<Wish>("size=1&tags=").expect("empty is none").size, 1);
        for (bad, name) in [("size=x", "size"), ("sise=1&size=1", "sise"), ("size=1&size=2", "size")] {
            let (status, text) = told(parse_query::<Wish>(bad).expect_err(bad));
            assert_eq!(status, 400, "{bad}");
            assert!(text.contains(name), "{bad}: {text}");
        }
    }
}
