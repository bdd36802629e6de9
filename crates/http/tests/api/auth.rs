//! Who may pass: every route that the document guards, and how tokens may be wrong.

use crate::service::{TOKEN, request, service, with_header, without_token};
use axum::body::Body;
use axum::http::{HeaderValue, Method, header};

#[tokio::test]
async fn every_route_but_the_open_ones_asks_for_the_token() {
    let service = service().await;
    let document: serde_json::Value =
        serde_json::from_str(&filemill_http::api::openapi_document(std::iter::empty())).expect("JSON");
    let mut guarded = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for method in item.as_object().expect("operations").keys() {
            let method: Method = method.to_uppercase().parse().expect("a method");
            let path = path.replace("{id}", "job_00000000000000000000000000");
            let answer = service.send(without_token(request(method.clone(), &path, Body::empty()))).await;
            if answer.status == 401 {
                answer.is_problem(401, "unauthorized");
                assert!(answer.header("www-authenticate").starts_with("Bearer"), "{path}");
                guarded.push(format!("{method} {path}"));
            } else {
                let open = ["/healthz", "/readyz", "/openapi.json"];
                assert!(open.contains(&path.as_str()), "{method} {path} answered {}", answer.status);
            }
        }
    }
    assert!(guarded.len() > 20, "{guarded:?}");
}

#[tokio::test]
async fn a_wrong_token_is_no_token() {
    let service = service().await;
    for wrong in
        ["Bearer wrong", "Bearer ", "Bearer", "Basic YWRtaW46eA==", TOKEN, &format!("Bearer {TOKEN}x"), "\u{7f}"]
    {
        let mut request = request(Method::GET, "/v1/rules", Body::empty());
        let value = HeaderValue::from_bytes(wrong.replace('\u{7f}', "Bearer x").as_bytes()).expect("a header");
        request.headers_mut().insert(header::AUTHORIZATION, value);
        service.send(request).await.is_problem(401, "unauthorized");
    }
    let shouted =
        with_header(request(Method::GET, "/v1/rules", Body::empty()), "authorization", &format!("BEARER {TOKEN}"));
    assert_eq!(service.send(shouted).await.status, 200);
}

#[tokio::test]
async fn every_answer_carries_the_security_headers_and_a_request_id() {
    let service = service().await;
    for path in ["/", "/v1/rules", "/v1/nothing", "/healthz", "/v1/jobs?limit=0"] {
        let answer = service.get(path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert!(answer.header("content-security-policy").contains("default-src 'none'"), "{path}");
        assert!(!answer.header("x-request-id").is_empty(), "{path}");
    }
    let named = with_header(request(Method::GET, "/healthz", Body::empty()), "x-request-id", "mine-1");
    assert_eq!(service.send(named).await.header("x-request-id"), "mine-1");
    let odd = with_header(request(Method::GET, "/healthz", Body::empty()), "x-request-id", "a b\t{}");
    assert_ne!(service.send(odd).await.header("x-request-id"), "a b\t{}");
}

#[tokio::test]
async fn pages_of_allowed_origins_may_call_and_others_may_not() {
    let service = service().await;
    for (origin, allowed) in [("https://console.example", true), ("https://evil.example", false)] {
        let preflight = with_header(request(Method::OPTIONS, "/v1/jobs", Body::empty()), "origin", origin);
        let preflight = with_header(preflight, "access-control-request-method", "GET");
        let answer = service.send(without_token(preflight)).await;
        assert_eq!(answer.headers.contains_key("access-control-allow-origin"), allowed, "{origin}");
        for path in ["/v1/rules", "/v1/jobs?limit=0", "/v1/jobs/none", "/v1/nothing"] {
            let by_page = || with_header(request(Method::GET, path, Body::empty()), "origin", origin);
            for request in [by_page(), without_token(by_page())] {
                let answer = service.send(request).await;
                let told = answer.headers.contains_key("access-control-allow-origin");
                assert_eq!(told, allowed, "a page sees why it was refused: {path} {}", answer.status);
            }
        }
    }
}
