//! CORS for pages that upload and download with signatures.

use super::support::*;

#[tokio::test]
async fn a_preflight_is_answered_without_a_signature() {
    let door = TestDoor::open().await;
    for method in ["PUT", "GET", "POST", "HEAD", "DELETE"] {
        let head = format!(
            "OPTIONS /bkt/k?X-Amz-Signature=x HTTP/1.1\r\nhost: a\r\norigin: https://app.example\r\naccess-control-request-method: {method}\r\naccess-control-request-headers: content-type,x-amz-meta-a\r\n\r\n"
        );
        let response = exchange(door.address, head.as_bytes(), b"").await.expect_status(200);
        assert_eq!(response.header("access-control-allow-origin"), Some("*"));
        assert!(response.header("access-control-allow-methods").is_some_and(|methods| methods.contains(method)));
        assert_eq!(response.header("access-control-allow-headers"), Some("content-type,x-amz-meta-a"));
    }
    for head in [
        "OPTIONS /bkt HTTP/1.1\r\nhost: a\r\n\r\n",
        "OPTIONS /bkt HTTP/1.1\r\nhost: a\r\norigin: https://x\r\naccess-control-request-method: TRACE\r\n\r\n",
    ] {
        exchange(door.address, head.as_bytes(), b"").await.expect_status(403);
    }
}

#[tokio::test]
async fn a_page_may_read_the_answer_and_its_etag() {
    let door = TestDoor::open().await;
    let link = door.request("PUT", "k").presign("60").with_header("origin", "https://app.example");
    let put = link.send(b"x").await.expect_status(200);
    assert_eq!(put.header("access-control-allow-origin"), Some("*"));
    assert!(put.header("access-control-expose-headers").is_some_and(|names| names.contains("ETag")));
    assert_eq!(put.header("access-control-allow-credentials"), None);
    let refused = link.replace("/bkt/k", "/bkt/other").send(b"x").await;
    assert_eq!(refused.expect_status(403).header("access-control-allow-origin"), Some("*"), "a page sees why");
    let plain = door.request("GET", "k").send().await.expect_status(200);
    assert_eq!(plain.header("access-control-allow-origin"), None);
}
