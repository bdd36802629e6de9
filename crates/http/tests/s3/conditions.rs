//! Conditional writes and reads.

use super::support::*;

#[tokio::test]
async fn of_sixteen_creators_exactly_one_wins() {
    let door = TestDoor::open().await;
    for size in [100, 100_000] {
        let key = format!("k{size}");
        let puts = (0..16).map(|i| {
            let bytes = content(size + i);
            let request = door.request("PUT", &key).header("if-none-match", "*").body(&bytes);
            async move { request.send().await.status }
        });
        let mut statuses = futures::future::join_all(puts).await;
        statuses.sort_unstable();
        assert_eq!(statuses[0], 200);
        assert!(statuses[1..].iter().all(|status| *status == 412), "{statuses:?}");
    }
}

#[tokio::test]
async fn of_sixteen_completions_as_creators_exactly_one_wins() {
    let door = TestDoor::open().await;
    let mut completions = Vec::new();
    for n in 0..16 {
        let begun = door.request("POST", "k").query(&[("uploads", "")]).send().await.expect_status(200);
        let id = begun.element("UploadId").expect("an id");
        let part = door.request("PUT", "k").query(&[("uploadId", &id), ("partNumber", "1")]).body(&[n]);
        let part = part.send().await.expect_status(200);
        let etag = part.header("etag").expect("an etag");
        let document = format!(
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
        );
        let request = door.request("POST", "k").query(&[("uploadId", &id)]).header("if-none-match", "*");
        completions.push(request.body(document.as_bytes()));
    }
    let answers = futures::future::join_all(completions.iter().map(Request::send)).await;
    let (won, lost): (Vec<&Response>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!(won.len(), 1);
    assert!(lost.iter().all(|answer| answer.status == 412));
    let etag = door.request("HEAD", "k").send().await.header("etag").map(str::to_owned);
    assert_eq!(won[0].element("ETag"), etag, "the winner's object is there");
}

#[tokio::test]
async fn if_match_replaces_only_what_was_seen() {
    let door = TestDoor::open().await;
    let put = |etag: &str, content: &[u8]| door.request("PUT", "k").header("if-match", etag).body(content);
    put("\"x\"", b"1").send().await.expect_error(404, "NoSuchKey");
    let etag = door.put("k", b"1").await.header("etag").expect("an etag").to_owned();
    put(&etag, b"2").send().await.expect_status(200);
    put(&etag, b"3").send().await.expect_error(412, "PreconditionFailed");
    assert_eq!(door.get("k").await, "2");
}

#[tokio::test]
async fn a_once_link_works_once() {
    let door = TestDoor::open().await;
    let link = door.request("PUT", "k").header("if-none-match", "*").presign("60");
    link.send(b"first").await.expect_status(200);
    link.send(b"second").await.expect_error(412, "PreconditionFailed");
    let mut without = link.clone();
    without.headers.retain(|(name, _)| name != "if-none-match");
    without.send(b"third").await.expect_error(403, "SignatureDoesNotMatch");
    assert_eq!(door.get("k").await, "first");
}

#[tokio::test]
async fn reads_are_conditional_on_tag_and_date() {
    let door = TestDoor::open().await;
    let etag = door.put("k", b"x").await.header("etag").expect("an etag").to_owned();
    let (past, future) = ("Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2065 07:28:00 GMT");
    let cases: [(&[(&str, &str)], u16); 12] = [
        (&[("if-match", &etag)], 200),
        (&[("if-match", "*")], 200),
        (&[("if-match", "\"other\"")], 412),
        (&[("if-none-match", &etag)], 304),
        (&[("if-none-match", "\"other\"")], 200),
        (&[("if-modified-since", past)], 200),
        (&[("if-modified-since", future)], 304),
        (&[("if-unmodified-since", past)], 412),
        (&[("if-unmodified-since", future)], 200),
        // the tag wins over the date
        (&[("if-match", &etag), ("if-unmodified-since", past)], 200),
        (&[("if-none-match", "\"other\""), ("if-modified-since", future)], 200),
        (&[("if-none-match", &etag), ("if-modified-since", past)], 304),
    ];
    for (headers, status) in cases {
        for method in ["GET", "HEAD"] {
            let request = headers.iter().fold(door.request(method, "k"), |request, (n, v)| request.header(n, v));
            let response = request.send().await;
            assert_eq!(response.status, status, "{method} {headers:?}");
            if status == 304 {
                assert!(response.body.is_empty() && response.header("etag") == Some(etag.as_str()));
            }
        }
    }
}

#[tokio::test]
async fn a_delete_may_be_conditional() {
    let door = TestDoor::open().await;
    let etag = door.put("k", b"x").await.header("etag").expect("an etag").to_owned();
    door.request("DELETE", "k").header("if-match", "\"other\"").send().await.expect_error(412, "PreconditionFailed");
    for (name, value) in
        [("x-amz-if-match-size", "5"), ("x-amz-if-match-last-modified-time", "Wed, 21 Oct 2015 07:28:00 GMT")]
    {
        door.request("DELETE", "k").header(name, value).send().await.expect_error(501, "NotImplemented");
    }
    assert!(door.exists("k").await);
    door.request("DELETE", "k").header("if-match", &etag).send().await.expect_status(204);
    assert!(!door.exists("k").await);
    door.request("DELETE", "k").send().await.expect_status(204);
}
