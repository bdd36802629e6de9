//! CORS: any web page may use the door with a signature; no cookie or other ambient right exists here.
//!
//! A preflight carries no signature, so it is answered without one. It says what may be sent, nothing about what is there.

use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use s3s::Body;

const METHODS: [Method; 5] = [Method::GET, Method::HEAD, Method::PUT, Method::POST, Method::DELETE];
const EXPOSED: &str = "ETag, Location, Content-Range, Accept-Ranges, x-amz-request-id, x-amz-version-id, \
                       x-amz-checksum-crc32, x-amz-checksum-crc32c, x-amz-checksum-crc64nvme, x-amz-checksum-sha1, \
                       x-amz-checksum-sha256, x-amz-checksum-type, x-amz-mp-parts-count, x-amz-missing-meta";
/// Ten minutes; browsers cap it themselves.
const PREFLIGHT_KEPT_SECS: &str = "600";

/// The answer to OPTIONS.
pub fn preflight(request: &HeaderMap) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let asked = request.get(header::ACCESS_CONTROL_REQUEST_METHOD);
    let allowed =
        asked.is_some_and(|method| METHODS.iter().any(|known| known.as_str().as_bytes() == method.as_bytes()));
    if !request.contains_key(header::ORIGIN) || !allowed {
        *response.status_mut() = StatusCode::FORBIDDEN;
        return response;
    }
    let headers = response.headers_mut();
    set(headers, header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    set(headers, header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, PUT, POST, DELETE");
    if let Some(names) = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    set(headers, header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_KEPT_SECS);
    set(headers, header::VARY, "Origin, Access-Control-Request-Method, Access-Control-Request-Headers");
    response
}

/// For every other answer to a request that names its origin.
pub fn allow(response: &mut HeaderMap) {
    set(response, header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    set(response, header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    response.append(header::VARY, HeaderValue::from_static("Origin"));
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}
