//! Bad requests: each gets the right status and a problem document that helps, and nothing is guessed.

use crate::service::{request, service, with_header, with_json};
use axum::body::Body;
use axum::http::Method;
use serde_json::json;

#[tokio::test]
async fn malformed_json_is_400_with_its_place() {
    let service = service().await;
    let problem =
        service.post_text("/v1/uploads", "{\n  \"filename\": \"a\",,\n}").await.is_problem(400, "malformed_json");
    assert!(problem["detail"].as_str().expect("text").starts_with("line 2, column"), "{problem}");
    let nothing = service.post_text("/v1/uploads", "").await.is_problem(422, "invalid");
    assert_eq!(nothing["errors"][0]["message"], "give the name of the file", "no body leaves every field out");
    for bad in ["{", "[", "{} {}", "\u{feff}{}", "{\"filename\": \"\\ud800\"}"] {
        assert_eq!(service.post_text("/v1/uploads", bad).await.status, 400, "{bad}");
    }
    assert_eq!(service.post_text("/v1/uploads", vec![b'{', 0xff]).await.status, 400);
    let deep = "[".repeat(100_000);
    assert_eq!(service.post_text("/v1/uploads", format!("{{\"metadata\": {{\"a\": {deep}")).await.status, 400);
}

#[tokio::test]
async fn unknown_fields_are_named_with_the_known_ones() {
    let service = service().await;
    let answer = service.post("/v1/uploads", json!({"filename": "a", "file_name": "b"})).await;
    let problem = answer.is_problem(422, "invalid");
    assert_eq!(problem["errors"][0]["field"], "file_name");
    assert!(problem["errors"][0]["message"].as_str().expect("text").contains("`filename`"), "{problem}");
}

#[tokio::test]
async fn wrong_types_are_named_by_their_path() {
    let service = service().await;
    for (body, field) in [
        (json!({"filename": 7}), "filename"),
        (json!({"filename": "a", "size": "10"}), "size"),
        (json!({"filename": "a", "size": -1}), "size"),
        (json!({"filename": "a", "size": 1.5}), "size"),
        (json!({"filename": "a", "mode": "carrier pigeon"}), "mode"),
        (json!({"filename": "a", "mode": 7}), "mode"),
        (json!({"filename": "a", "metadata": [1]}), "metadata"),
        (json!({"filename": "a", "bucket": "No Bucket"}), "bucket"),
        (json!({"filename": "a", "key": ""}), "key"),
        (json!({"filename": "a", "rule": "a/b"}), "rule"),
    ] {
        let problem = service.post("/v1/uploads", body.clone()).await.is_problem(422, "invalid");
        assert_eq!(problem["errors"][0]["field"], field, "{body}: {problem}");
    }
    assert_eq!(service.post("/v1/uploads", json!([1])).await.status, 422);
    assert_eq!(service.post("/v1/uploads", json!(null)).await.status, 422);
}

#[tokio::test]
async fn doubled_fields_are_refused() {
    let answer = service().await.post_text("/v1/uploads", "{\"filename\": \"a\", \"filename\": \"b\"}").await;
    let problem = answer.is_problem(422, "invalid");
    assert!(problem["detail"].as_str().expect("text").contains("duplicate"), "{problem}");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_413_declared_or_not() {
    let service = service().await;
    let large = format!("{{\"filename\": \"{}\"}}", "x".repeat(filemill_core::limits::JSON_BODY_BYTES_MAX));
    service.post_text("/v1/uploads", large.clone()).await.is_problem(413, "body_too_large");
    let pieces = futures::stream::iter(
        large.into_bytes().chunks(4096).map(|p| Ok::<_, std::io::Error>(p.to_vec())).collect::<Vec<_>>(),
    );
    service.post_text("/v1/uploads", Body::from_stream(pieces)).await.is_problem(413, "body_too_large");
    let cancel = "/v1/jobs/job_00000000000000000000000000/cancel";
    service.post_text(cancel, " ".repeat(2 << 20)).await.is_problem(413, "body_too_large");
}

#[tokio::test]
async fn a_body_that_is_not_json_is_415() {
    let service = service().await;
    let body = || Body::from("{\"filename\": \"a\"}");
    service.send(request(Method::POST, "/v1/uploads", body())).await.is_problem(415, "unsupported_media_type");
    let form =
        with_header(request(Method::POST, "/v1/uploads", body()), "content-type", "application/x-www-form-urlencoded");
    service.send(form).await.is_problem(415, "unsupported_media_type");
    let charset =
        with_header(request(Method::POST, "/v1/uploads", body()), "content-type", "Application/JSON; charset=utf-8");
    assert_eq!(service.send(charset).await.status, 201);
}

#[tokio::test]
async fn requests_without_fields_take_none() {
    let service = service().await;
    let cancel = "/v1/jobs/job_00000000000000000000000000/cancel";
    service.post(cancel, json!({})).await.is_problem(404, "job_not_found");
    service.post(cancel, json!({"force": true})).await.is_problem(422, "invalid");
    service.send(with_json(request(Method::POST, cancel, Body::from("{")))).await.is_problem(400, "malformed_json");
}

#[tokio::test]
async fn unknown_parameters_are_named_with_the_known_ones() {
    let service = service().await;
    let problem = service.get("/v1/jobs?stat=failed").await.is_problem(400, "invalid_parameter");
    assert_eq!(problem["errors"][0]["field"], "stat");
    assert!(problem["detail"].as_str().expect("text").contains("`status`"), "{problem}");
    for path in ["/v1/rules?x=1", "/v1/files?key=a", "/v1/jobs/job_00000000000000000000000000?x=1", "/v1/events?x=1"] {
        service.get(path).await.is_problem(400, "invalid_parameter");
    }
}

#[tokio::test]
async fn wrong_parameters_are_named() {
    let service = service().await;
    for (query, name) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=-1", "limit"),
        ("limit=many", "limit"),
        ("limit=99999999999999999999", "limit"),
        ("status=done", "status"),
        ("status=failed&status=queued", "status"),
        ("bucket=No", "bucket"),
        ("rule=a%2Fb", "rule"),
        ("upload=job_00000000000000000000000000", "upload"),
    ] {
        let problem = service.get(&format!("/v1/jobs?{query}")).await.is_problem(400, "invalid_parameter");
        assert_eq!(problem["errors"][0]["field"], name, "{query}: {problem}");
    }
    assert_eq!(service.get("/v1/jobs?status=&rule=&bucket=&key=&upload=&cursor=&limit=").await.status, 200);
}

#[tokio::test]
async fn bad_cursors_are_400() {
    let service = service().await;
    for cursor in ["x", "%00", "am9iXzE", "AAAA", &"A".repeat(5000)] {
        service.get(&format!("/v1/jobs?cursor={cursor}")).await.is_problem(400, "bad_cursor");
        service.get(&format!("/v1/files?cursor={cursor}")).await.is_problem(400, "bad_cursor");
    }
}

#[tokio::test]
async fn unknown_and_ill_formed_ids_are_404() {
    let service = service().await;
    let long = "x".repeat(5000);
    for id in [
        "job_00000000000000000000000000",
        "fil_00000000000000000000000000",
        "1",
        "%2e%2e",
        "a%00b",
        "%ff",
        long.as_str(),
    ] {
        service.get(&format!("/v1/jobs/{id}")).await.is_problem(404, "job_not_found");
        service.get(&format!("/v1/jobs/{id}/result")).await.is_problem(404, "job_not_found");
        service.post(&format!("/v1/jobs/{id}/retry"), json!({})).await.is_problem(404, "job_not_found");
        service.get(&format!("/v1/files/{id}")).await.is_problem(404, "file_not_found");
        service.get(&format!("/v1/files/{id}/download")).await.is_problem(404, "file_not_found");
        service.delete(&format!("/v1/files/{id}")).await.is_problem(404, "file_not_found");
        service.get(&format!("/v1/uploads/{id}")).await.is_problem(404, "upload_not_found");
    }
}

#[tokio::test]
async fn unknown_routes_are_404_and_wrong_methods_405() {
    let service = service().await;
    for path in ["/v1", "/v1/", "/v1/job", "/v1/jobs/", "/v2/jobs", "/favicon.ico", "/%ff"] {
        service.get(path).await.is_problem(404, "route_not_found");
    }
    let answer = service.send(request(Method::PATCH, "/v1/files/fil_00000000000000000000000000", Body::empty())).await;
    answer.is_problem(405, "method_not_allowed");
    let mut allowed: Vec<&str> = answer.header("allow").split(',').collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["DELETE", "GET", "HEAD"]);
    service.get("/v1/uploads").await.is_problem(405, "method_not_allowed");
}
