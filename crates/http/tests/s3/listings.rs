//! ListObjects, both versions, and buckets.

use super::support::*;

async fn filled(keys: &[&str]) -> TestDoor {
    let door = TestDoor::open().await;
    for key in keys {
        door.put(key, b"x").await;
    }
    door
}

/// Keys and prefixes of all pages, in order, and the number of pages.
async fn walk_v2(door: &TestDoor, query: &[(&str, &str)]) -> (Vec<String>, usize) {
    let mut token: Option<String> = None;
    let (mut found, mut pages) = (Vec::new(), 0);
    loop {
        let mut request = door.bucket_request("GET", &[("list-type", "2")]).query(query);
        if let Some(token) = &token {
            request = request.query(&[("continuation-token", token)]);
        }
        let page = request.send().await.expect_status(200);
        let entries = entries(&page);
        assert_eq!(page.element("KeyCount"), Some(entries.len().to_string()));
        found.extend(entries);
        pages += 1;
        token = page.element("NextContinuationToken");
        assert_eq!(page.element("IsTruncated").as_deref(), Some(if token.is_some() { "true" } else { "false" }));
        if token.is_none() {
            return (found, pages);
        }
    }
}

fn entries(page: &Response) -> Vec<String> {
    let mut entries = page.elements("Key");
    for prefixes in page.elements("CommonPrefixes") {
        let end = prefixes.find("</Prefix>").expect("a prefix");
        entries.push(prefixes["<Prefix>".len()..end].to_owned());
    }
    entries.sort();
    entries
}

#[tokio::test]
async fn pages_give_every_entry_once() {
    let door = filled(&["a", "b/1", "b/2", "b/3", "c", "d/e/1", "d/e/2", "e"]).await;
    let whole = ["a", "b/1", "b/2", "b/3", "c", "d/e/1", "d/e/2", "e"];
    let folded = ["a", "b/", "c", "d/", "e"];
    for size in ["1", "2", "3", "1000"] {
        assert_eq!(walk_v2(&door, &[("max-keys", size)]).await.0, whole);
        assert_eq!(walk_v2(&door, &[("max-keys", size), ("delimiter", "/")]).await.0, folded);
    }
    assert_eq!(walk_v2(&door, &[("max-keys", "1")]).await.1, 8);
    assert_eq!(walk_v2(&door, &[("prefix", "d/"), ("delimiter", "/")]).await.0, ["d/e/"]);
    assert_eq!(walk_v2(&door, &[("prefix", "b")]).await.0, ["b/1", "b/2", "b/3"]);
    assert_eq!(walk_v2(&door, &[("start-after", "b/2")]).await.0, ["b/3", "c", "d/e/1", "d/e/2", "e"]);
    assert_eq!(walk_v2(&door, &[("prefix", "zz")]).await.0, Vec::<String>::new());
    assert_eq!(walk_v2(&door, &[("max-keys", "0")]).await, (Vec::new(), 1));
}

#[tokio::test]
async fn version_1_goes_on_from_its_marker() {
    let door = filled(&["a", "b/1", "b/2", "c"]).await;
    let first = door.bucket_request("GET", &[("max-keys", "2"), ("delimiter", "/")]).send().await.expect_status(200);
    assert_eq!(entries(&first), ["a", "b/"]);
    let marker = first.element("NextMarker").expect("more");
    let second = door.bucket_request("GET", &[("marker", &marker), ("delimiter", "/")]).send().await.expect_status(200);
    assert_eq!(entries(&second), ["c"]);
    assert_eq!(second.element("IsTruncated").as_deref(), Some("false"));
    let plain = door.bucket_request("GET", &[("marker", "b/1")]).send().await.expect_status(200);
    assert_eq!(entries(&plain), ["b/2", "c"]);
}

#[tokio::test]
async fn url_encoding_covers_every_text() {
    let door = filled(&["a b+c%/d", "a b+c%/ü"]).await;
    let query = [("encoding-type", "url"), ("prefix", "a b+"), ("delimiter", "/")];
    let listing = door.bucket_request("GET", &[("list-type", "2"), ("start-after", "a ")]).query(&query).send().await;
    let listing = listing.expect_status(200);
    assert_eq!(entries(&listing), ["a%20b%2Bc%25/"]);
    assert!(listing.text().contains("<Prefix>a%20b%2B</Prefix>"));
    assert_eq!(listing.element("StartAfter").as_deref(), Some("a%20"));
    let bad = door.bucket_request("GET", &[("encoding-type", "rot13")]).send().await;
    bad.expect_error(400, "InvalidArgument");
}

#[tokio::test]
async fn an_owner_is_told_when_asked() {
    let door = filled(&["a"]).await;
    let asked = door.bucket_request("GET", &[("list-type", "2"), ("fetch-owner", "true")]).send().await;
    assert!(asked.element("Owner").is_some());
    let unasked = door.bucket_request("GET", &[("list-type", "2")]).send().await;
    assert!(unasked.element("Owner").is_none());
}

#[tokio::test]
async fn a_page_that_cannot_be_is_refused() {
    let door = TestDoor::open().await;
    for query in [("max-keys", "-1"), ("max-keys", "many"), ("continuation-token", "!!")] {
        let request = door.bucket_request("GET", &[("list-type", "2"), query]);
        request.send().await.expect_error(400, "InvalidArgument");
    }
    let missing = Request::new(door.address, "GET", "/missing").query(&[("max-keys", "0")]);
    missing.send().await.expect_error(404, "NoSuchBucket");
}

#[tokio::test]
async fn buckets_are_made_listed_and_removed() {
    let door = TestDoor::open().await;
    let bucket = |method: &str, name: &str| Request::new(door.address, method, &format!("/{name}"));
    bucket("PUT", "new-bucket").send().await.expect_status(200);
    bucket("PUT", "new-bucket").send().await.expect_error(409, "BucketAlreadyOwnedByYou");
    bucket("PUT", "No").send().await.expect_error(400, "InvalidBucketName");
    let elsewhere =
        "<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>";
    bucket("PUT", "far").body(elsewhere.as_bytes()).send().await.expect_error(400, "InvalidLocationConstraint");
    let usual = elsewhere.replace("eu-west-1", "us-east-1");
    bucket("PUT", "near").body(usual.as_bytes()).send().await.expect_status(200);
    bucket("DELETE", "near").send().await.expect_status(204);
    let public = bucket("PUT", "open").header("x-amz-acl", "public-read").send().await;
    public.expect_error(400, "AccessControlListNotSupported");
    let head = bucket("HEAD", "new-bucket").send().await.expect_status(200);
    assert_eq!(head.header("x-amz-bucket-region"), Some("local"));
    let list = Request::new(door.address, "GET", "/").send().await.expect_status(200);
    assert_eq!(list.elements("Name"), [BUCKET, "new-bucket"]);
    door.put("k", b"x").await;
    bucket("DELETE", BUCKET).send().await.expect_error(409, "BucketNotEmpty");
    bucket("DELETE", "new-bucket").send().await.expect_status(204);
    bucket("DELETE", "new-bucket").send().await.expect_error(404, "NoSuchBucket");
}

#[tokio::test]
async fn settings_that_clients_ask_for_are_answered() {
    let door = TestDoor::open().await;
    let setting = |name: &str| door.bucket_request("GET", &[(name, "")]);
    let location = setting("location").send().await.expect_status(200);
    assert!(location.text().contains(">local</LocationConstraint>"));
    assert!(setting("versioning").send().await.expect_status(200).element("Status").is_none());
    assert_eq!(setting("acl").send().await.expect_status(200).element("Permission").as_deref(), Some("FULL_CONTROL"));
    for (name, code) in [
        ("policy", "NoSuchBucketPolicy"),
        ("lifecycle", "NoSuchLifecycleConfiguration"),
        ("cors", "NoSuchCORSConfiguration"),
        ("tagging", "NoSuchTagSet"),
        ("encryption", "ServerSideEncryptionConfigurationNotFoundError"),
        ("object-lock", "ObjectLockConfigurationNotFoundError"),
        ("website", "NoSuchWebsiteConfiguration"),
        ("publicAccessBlock", "NoSuchPublicAccessBlockConfiguration"),
    ] {
        setting(name).send().await.expect_error(404, code);
    }
    for name in ["logging", "notification", "accelerate"] {
        setting(name).send().await.expect_status(200);
    }
    setting("inventory").query(&[("id", "x")]).send().await.expect_error(501, "NotImplemented");
    let put = door.bucket_request("PUT", &[("versioning", "")]).body(b"<VersioningConfiguration/>");
    put.send().await.expect_error(501, "NotImplemented");
}
