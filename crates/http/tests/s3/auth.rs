//! Signatures: who gets in, and that nobody else does.

use super::support::*;
use filemill_core::ports::Clock as _;
use std::time::Duration;

#[tokio::test]
async fn a_wrong_secret_is_refused_and_learns_nothing() {
    let door = TestDoor::open().await;
    let request = door.request("PUT", "k").body(b"x").signed_by(|signing| signing.secret = "wrong".to_owned());
    let response = request.send().await.expect_error(403, "SignatureDoesNotMatch");
    let right = door.request("PUT", "k").body(b"x").signed_head(Some(1)).1;
    assert!(!response.text().contains(SECRET) && !response.text().contains(&right));
    assert!(!door.exists("k").await);
}

#[tokio::test]
async fn an_unknown_key_is_refused() {
    let door = TestDoor::open().await;
    let request = door.request("GET", "k").signed_by(|signing| signing.key_id = "AKOTHER".to_owned());
    request.send().await.expect_error(403, "InvalidAccessKeyId");
}

#[tokio::test]
async fn an_unknown_key_is_refused_before_its_document_is_read() {
    let door = TestDoor::open().await;
    let request = door.bucket_request("POST", &[("delete", "")]).signed_by(|s| s.key_id = "AKOTHER".into());
    let mut stream = request.send_head(Some(1000)).await;
    read_response(&mut stream).await.expect_error(403, "InvalidAccessKeyId");
}

#[tokio::test]
async fn anonymous_requests_are_refused() {
    let door = TestDoor::open().await;
    door.put("k", b"x").await;
    for (method, target) in
        [("GET", "/bkt/k"), ("GET", "/"), ("PUT", "/bkt/new"), ("DELETE", "/bkt/k"), ("POST", "/bkt?delete")]
    {
        let head = format!("{method} {target} HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
        exchange(door.address, head.as_bytes(), b"").await.expect_error(403, "AccessDenied");
    }
    assert!(door.exists("k").await && !door.exists("new").await);
}

#[tokio::test]
async fn a_link_does_what_was_signed() {
    let door = TestDoor::open().await;
    door.request("PUT", "a b+ü").presign("60").send(b"by link").await.expect_status(200);
    let response = door.request("GET", "a b+ü").presign("604800").send(b"").await.expect_status(200);
    assert_eq!(response.body, "by link");
}

/// 403 where the signature covers what was changed, 400 where it is no link any more; and the answer helps nobody to mend it.
#[tokio::test]
async fn any_change_of_a_link_is_refused() {
    let door = TestDoor::open().await;
    for key in ["key-1", "key-2"] {
        door.put(key, b"what only the link shows").await;
    }
    let link = door.request("GET", "key-1").presign("600");
    let date = Signing::default().date();
    let (day, hour) = (&date[..8], &date[9..11]);
    let later = format!("T{:02}", (hour.parse::<u32>().expect("an hour") + 1) % 24);
    let changes = [
        ("key-1", "key-2", 403),
        ("key-1", "key-1/", 403),
        ("/bkt/", "/other/", 403),
        ("X-Amz-Expires=600", "X-Amz-Expires=601", 403),
        ("X-Amz-Expires=600", "X-Amz-Expires=0600", 403),
        ("X-Amz-Expires=600", "X-Amz-Expires=-600", 400),
        (&format!("T{hour}"), &later, 403),
        (day, "20200101", 403),
        (day, "today", 400),
        ("%2Flocal%2F", "%2Fus-east-1%2F", 403),
        ("%2Flocal%2F", "%2Flocal2%2F", 400),
        ("%2Fs3%2F", "%2Fsqs%2F", 400),
        ("AKTEST", "AKTES", 403),
        ("SignedHeaders=host", "SignedHeaders=host%3Brange", 403),
        ("SignedHeaders=host", "SignedHeaders=range", 403),
        ("X-Amz-Signature=", "X-Amz-Signature=0", 400),
        (&link.parameter("X-Amz-Signature").expect("a signature"), &"0".repeat(64), 403),
        ("X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Algorithm=none", 400),
        ("X-Amz-Signature", "x-amz-signature", 400),
        ("X-Amz-Signature", "X-Amz-Other", 400),
        ("?", "?other=1&", 403),
        ("?", "?versionId=null&", 403),
        ("?", "?tagging&", 403),
        ("?", "?acl&", 403),
        ("?", "?uploads&", 403),
        ("?", "?X-Amz-Expires=600&", 400),
        ("?", "?response-content-type=text%2Fhtml&", 403),
    ];
    let refused = async |changed: Link, what: &str| {
        let response = changed.send(b"").await;
        let text = response.text();
        for secret in [SECRET, &changed.right_signature(), "what only the link shows"] {
            assert!(!text.contains(secret), "{what} is answered with {secret}: {text}");
        }
        assert_eq!(response.header("set-cookie"), None);
        response
    };
    for (from, to, status) in changes {
        let changed = link.clone().replace(from, to);
        assert_ne!(changed.target, link.target, "{from} is not in the link");
        let response = refused(changed, to).await;
        assert_eq!(response.status, status, "{from} -> {to}: {}", response.text());
    }
    for method in ["HEAD", "PUT", "DELETE", "POST"] {
        let mut changed = link.clone();
        changed.method = method.to_owned();
        assert_eq!(refused(changed, method).await.status, 403, "{method}");
    }
    assert_eq!(door.get("key-1").await, "what only the link shows");
    assert_eq!(link.right_signature(), link.parameter("X-Amz-Signature").expect("a signature"), "the test signs right");
    link.send(b"").await.expect_status(200);
}

#[tokio::test]
async fn a_link_for_a_size_and_type_takes_no_other() {
    let door = TestDoor::open().await;
    let agreed = door.request("PUT", "k").header("content-length", "5").header("content-type", "text/plain");
    let link = agreed.presign("60");
    let sent_as = |length: usize, kind: &str| {
        let mut link = link.clone();
        link.headers.retain(|(name, _)| name == "host");
        let head = format!(
            "PUT {} HTTP/1.1\r\nhost: {}\r\ncontent-length: {length}\r\ncontent-type: {kind}\r\n\r\n",
            link.target, door.address
        );
        async move { exchange(door.address, head.as_bytes(), &content(length)).await }
    };
    for (length, kind) in [(4, "text/plain"), (6, "text/plain"), (0, "text/plain"), (5, "text/html")] {
        sent_as(length, kind).await.expect_error(403, "SignatureDoesNotMatch");
    }
    assert!(!door.exists("k").await);
    sent_as(5, "text/plain").await.expect_status(200);
}

#[tokio::test]
async fn a_link_ends_when_it_says() {
    let door = TestDoor::open().await;
    door.put("k", b"x").await;
    let link = |age: u64| {
        let at = WallClock.now().minus(Duration::from_secs(age));
        door.request("GET", "k").signed_by(|signing| signing.at = at).presign("3600")
    };
    link(3540).send(b"").await.expect_status(200);
    let response = link(3660).send(b"").await.expect_error(403, "AccessDenied");
    assert_eq!(response.element("Message").as_deref(), Some("Request has expired"));
    assert!(response.element("ServerTime").is_some());
}

#[tokio::test]
async fn a_link_lives_for_one_second_to_seven_days() {
    let door = TestDoor::open().await;
    door.put("k", b"x").await;
    for expires in ["604801", "0", "-1", "abc", "", "1e3", "99999999999999999999999"] {
        let response = door.request("GET", "k").presign(expires).send(b"").await;
        response.expect_error(400, "AuthorizationQueryParametersError");
    }
}

#[tokio::test]
async fn a_clock_more_than_fifteen_minutes_off_is_refused() {
    let door = TestDoor::open().await;
    door.put("k", b"x").await;
    let (now, far, near) = (WallClock.now(), Duration::from_secs(16 * 60), Duration::from_secs(14 * 60));
    for at in [now.plus(far), now.minus(far)] {
        let response = door.request("GET", "k").signed_by(|signing| signing.at = at).send().await;
        assert!(response.expect_error(403, "RequestTimeTooSkewed").element("ServerTime").is_some());
    }
    for at in [now.plus(near), now.minus(near)] {
        door.request("GET", "k").signed_by(|signing| signing.at = at).send().await.expect_status(200);
    }
    let future = door.request("GET", "k").signed_by(|signing| signing.at = now.plus(far)).presign("3600");
    future.send(b"").await.expect_error(403, "RequestTimeTooSkewed");
}

#[tokio::test]
async fn signature_version_2_is_refused() {
    let door = TestDoor::open().await;
    door.put("k", b"x").await;
    let by_header = "GET /bkt/k HTTP/1.1\r\nhost: a\r\nauthorization: AWS AKTEST:c2lnbmF0dXJl\r\n\r\n";
    let by_query = "GET /bkt/k?AWSAccessKeyId=AKTEST&Signature=x&Expires=9999999999 HTTP/1.1\r\nhost: a\r\n\r\n";
    for head in [by_header, by_query] {
        exchange(door.address, head.as_bytes(), b"").await.expect_error(400, "InvalidRequest");
    }
}

#[tokio::test]
async fn a_foreign_region_is_refused_and_told_the_right_one() {
    let door = TestDoor::open().await;
    door.put("k", b"x").await;
    for region in ["eu-west-1", "us-east-2", "LOCAL", ""] {
        let request = door.request("GET", "k").signed_by(|signing| signing.region = region.to_owned());
        for response in [request.send().await, request.presign("60").send(b"").await] {
            let response = response.expect_error(400, "AuthorizationHeaderMalformed");
            assert_eq!(response.element("Region").as_deref(), Some("local"), "{region}");
        }
    }
}

#[tokio::test]
async fn the_usual_region_is_as_good_as_our_own() {
    for own in ["local", "eu-west-1"] {
        let door = TestDoor::with(|config| config.region = own.to_owned()).await;
        let request = |method, region: &str| door.request(method, "k").signed_by(|s| s.region = region.to_owned());
        for region in [own, "us-east-1"] {
            request("PUT", region).body(region.as_bytes()).send().await.expect_status(200);
            let by_link = request("GET", region).presign("60").send(b"").await.expect_status(200);
            assert_eq!(by_link.body, region);
        }
        request("GET", "us-west-2").send().await.expect_error(400, "AuthorizationHeaderMalformed");
    }
}

#[tokio::test]
async fn an_unsigned_amz_header_is_refused() {
    let door = TestDoor::open().await;
    let link = door.request("PUT", "k").presign("60");
    for name in ["x-amz-meta-a", "x-amz-acl", "x-amz-tagging", "x-amz-storage-class", "x-amz-copy-source"] {
        let response = link.clone().with_header(name, "bkt/k").send(b"x").await.expect_error(403, "AccessDenied");
        assert_eq!(response.element("HeadersNotSigned").as_deref(), Some(name));
    }
    let signed = door.request("PUT", "k").body(b"x").unsigned_header("x-amz-meta-a", "b");
    signed.send().await.expect_error(403, "AccessDenied");
    assert!(!door.exists("k").await);
}

#[tokio::test]
async fn a_signed_header_cannot_be_doubled() {
    let door = TestDoor::open().await;
    for (name, signed, added) in [
        ("x-amz-meta-a", "blue", "red"),
        ("content-type", "text/plain", "text/html"),
        ("if-none-match", "*", "\"x\""),
        ("x-amz-tagging", "a=1", "a=2"),
    ] {
        let request = door.request("PUT", "k").header(name, signed).body(b"x");
        let by_link = request.presign("60").with_header(name, added).send(b"x").await;
        let by_header = request.unsigned_header(name, added).send().await;
        for response in [by_link, by_header] {
            assert!(matches!(response.status, 400 | 403), "{name}: {} {}", response.status, response.text());
        }
    }
    let by_host = door.request("PUT", "k").presign("60").with_header("host", "other").send(b"x").await;
    assert!(matches!(by_host.status, 400 | 403), "{}", by_host.status);
    assert!(!door.exists("k").await);
}

#[tokio::test]
async fn a_doubled_parameter_is_refused() {
    let door = TestDoor::open().await;
    let listing = door.bucket_request("GET", &[("prefix", "a"), ("prefix", "b")]);
    listing.send().await.expect_error(400, "InvalidArgument");
}

#[tokio::test]
async fn amz_headers_in_a_signed_query_mean_the_same() {
    let door = TestDoor::open().await;
    let link = door.request("PUT", "k").query(&[("x-amz-meta-colour", "blue")]).presign("60");
    link.send(b"x").await.expect_status(200);
    let response = door.request("HEAD", "k").send().await.expect_status(200);
    assert_eq!(response.header("x-amz-meta-colour"), Some("blue"));
    let lying = door.request("PUT", "k").query(&[("x-amz-checksum-crc32", "AAAAAA==")]).presign("60");
    lying.send(b"other").await.expect_error(400, "BadDigest");
    assert_eq!(door.get("k").await, "x");
}

#[tokio::test]
async fn one_request_is_signed_one_way() {
    let door = TestDoor::open().await;
    let link = door.request("GET", "k").presign("60").with_header("authorization", "AWS4-HMAC-SHA256 x");
    link.send(b"").await.expect_error(400, "InvalidArgument");
}

#[tokio::test]
async fn malformed_authorization_is_refused() {
    let door = TestDoor::open().await;
    for value in
        ["AWS4-HMAC-SHA256", "Basic YTpi", "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host, Signature=b", "\u{e9}"]
    {
        let head =
            format!("GET /bkt HTTP/1.1\r\nhost: a\r\nx-amz-date: 20260101T000000Z\r\nauthorization: {value}\r\n\r\n");
        let response = exchange(door.address, head.as_bytes(), b"").await;
        assert!(matches!(response.status, 400 | 403), "{value}: {}", response.status);
    }
}
