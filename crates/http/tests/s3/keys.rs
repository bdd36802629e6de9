//! Keys are opaque: what goes in comes out, and nothing else happens.

use super::support::*;

#[tokio::test]
async fn any_key_round_trips_and_is_its_own_object() {
    let door = TestDoor::open().await;
    let long_segment = "s".repeat(300);
    let longest = "k".repeat(1024);
    let deep = "d/".repeat(400);
    let keys = [
        "..",
        "../x",
        "a/../b",
        "/",
        "//",
        "a//b",
        "a/",
        "a",
        "a/b",
        ".",
        ".tmp",
        ".uploads/x",
        ".metadata.json",
        "+",
        "a b",
        "%2F",
        "%2e%2e",
        "a%20b",
        "é",
        "e\u{301}",
        "A",
        "\u{1}\u{7f}",
        "\r\n",
        "\t",
        "日本/語",
        "q?x=1&y#z",
        "\\",
        "c:\\x",
        "'\"<>&;",
        "~*!()@:$,=",
        "\u{202e}x",
        long_segment.as_str(),
        longest.as_str(),
        deep.as_str(),
    ];
    for key in keys {
        door.put(key, key.as_bytes()).await;
    }
    for key in keys {
        assert_eq!(door.get(key).await, key.as_bytes(), "{key:?}");
    }
    let listing = door.bucket_request("GET", &[("list-type", "2"), ("encoding-type", "url")]).send().await;
    let mut expected = keys.map(encode_path);
    expected.sort_by_key(|key| percent_encoding::percent_decode_str(key).collect::<Vec<u8>>());
    assert_eq!(listing.expect_status(200).elements("Key"), expected);
    for key in keys {
        door.request("DELETE", key).send().await.expect_status(204);
        assert!(!door.exists(key).await, "{key:?}");
    }
    assert_eq!(door.store.usage().await.expect("usage").objects, 0);
}

#[tokio::test]
async fn a_key_has_at_most_1024_bytes() {
    let door = TestDoor::open().await;
    let request = door.request("PUT", &"k".repeat(1025)).body(b"x");
    request.send().await.expect_error(400, "KeyTooLongError");
    door.request("PUT", &"é".repeat(513)).body(b"x").send().await.expect_error(400, "KeyTooLongError");
}

#[tokio::test]
async fn a_key_is_utf8_without_nul() {
    let door = TestDoor::open().await;
    for path in ["/bkt/a%00b", "/bkt/a%FFb", "/bkt/%C3%28"] {
        let response = Request::new(door.address, "PUT", path).body(b"x").send().await;
        assert_eq!(response.status, 400, "{path}: {}", response.text());
    }
    assert_eq!(door.store.usage().await.expect("usage").objects, 0);
}

#[tokio::test]
async fn an_endless_url_or_head_is_refused() {
    let door = TestDoor::open().await;
    for (length, status) in [(20_000, 414), (70_000, 431)] {
        let prefix = "p".repeat(length);
        assert_eq!(door.bucket_request("GET", &[("prefix", &prefix)]).send().await.status, status);
    }
    let many: String = (0..2000).map(|i| format!("x-h{i}: v\r\n")).collect();
    let head = format!("GET / HTTP/1.1\r\nhost: a\r\n{many}\r\n");
    assert_eq!(exchange(door.address, head.as_bytes(), b"").await.status, 431);
}

#[tokio::test]
async fn control_characters_in_listings_are_references() {
    let door = TestDoor::open().await;
    door.put("a\r\u{1}b", b"").await;
    let listing = door.bucket_request("GET", &[]).send().await.expect_status(200);
    assert_eq!(listing.elements("Key"), ["a&#xD;&#x1;b"]);
}
