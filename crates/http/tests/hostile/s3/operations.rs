//! What stands in queries and headers behind a right signature: names, numbers, ranges, dates, digests, tokens.

use super::{CONTENT, KEY, Raw, Site};
use crate::hearing::{Subject, hear};
use crate::s3_client::{BUCKET, Request};
use crate::spoiler::Spoiler;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

#[rustfmt::skip]
const WORDS: &[&str] = &[
    "bytes=", "-", ",", "=", "&", "%", "%00", "%2F", "../", "//", "\"", "W/\"x\"", "*", "18446744073709551615", "-1",
    "Thu, 99 Foo 1994", "\u{202e}", "é", "=?UTF-8?B?4oKs?=", "=?UTF-8?B?", "=?utf-8?q?=ff?=", "text/html", "/",
    "bkt/k", "no-such-bucket/k", "?versionId=x", "AAAA", "====", "+", ";",
];

#[test]
fn queries_and_headers_behind_a_signature() {
    hear::<Operations>("queries_and_headers_behind_a_signature");
}

struct Operations {
    site: Site,
    upload_id: String,
    /// Where a listing goes on.
    token: String,
}

/// A request that is spoilt in one of its values and signed afterwards.
type Wish = (&'static str, String, Vec<(String, String)>, Vec<(String, String)>, &'static [u8]);

impl Operations {
    fn good_ones(&self) -> Vec<Wish> {
        let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let bucket = format!("/{BUCKET}");
        let object = format!("/{BUCKET}/{KEY}");
        let part: &[(&str, &str)] = &[("partNumber", "2"), ("uploadId", &self.upload_id)];
        let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, CONTENT) as u32;
        let crc = STANDARD.encode(crc.to_be_bytes());
        let sha = STANDARD.encode(Sha256::digest(CONTENT));
        let md5 = STANDARD.encode(md5::Md5::digest(CONTENT));
        let list: &[(&str, &str)] = &[
            ("list-type", "2"),
            ("prefix", "l"),
            ("delimiter", "/"),
            ("max-keys", "1"),
            ("encoding-type", "url"),
            ("fetch-owner", "true"),
        ];
        let more = [list, &[("continuation-token", self.token.as_str())]].concat();
        let old: &[(&str, &str)] = &[("prefix", "l"), ("marker", "l1"), ("max-keys", "2"), ("delimiter", "/")];
        let links: &[(&str, &str)] = &[
            ("response-content-type", "text/plain"),
            ("response-content-disposition", "attachment"),
            ("response-expires", "Thu, 01 Dec 1994 16:00:00 GMT"),
        ];
        let uploads: &[(&str, &str)] =
            &[("uploads", ""), ("prefix", "j"), ("max-uploads", "10"), ("key-marker", "a"), ("upload-id-marker", "b")];
        let parts: &[(&str, &str)] = &[("uploadId", &self.upload_id), ("max-parts", "10"), ("part-number-marker", "0")];
        let conditions: &[(&str, &str)] = &[
            ("range", "bytes=0-3"),
            ("if-none-match", "\"a\""),
            ("if-modified-since", "Thu, 01 Dec 1994 16:00:00 GMT"),
        ];
        let described: &[(&str, &str)] = &[
            ("x-amz-tagging", "a=1&b=2"),
            ("x-amz-meta-colour", "blue"),
            ("content-type", "text/plain"),
            ("expires", "Thu, 01 Dec 1994 16:00:00 GMT"),
            ("x-amz-checksum-crc32", &crc),
        ];
        let digests: &[(&str, &str)] =
            &[("content-md5", &md5), ("x-amz-checksum-sha256", &sha), ("x-amz-sdk-checksum-algorithm", "SHA256")];
        let copy: &[(&str, &str)] = &[
            ("x-amz-copy-source", &object),
            ("x-amz-metadata-directive", "REPLACE"),
            ("x-amz-tagging-directive", "COPY"),
            ("x-amz-copy-source-if-none-match", "\"a\""),
        ];
        let range: &[(&str, &str)] = &[("x-amz-copy-source", &object), ("x-amz-copy-source-range", "bytes=0-3")];
        let attributes: &[(&str, &str)] =
            &[("x-amz-object-attributes", "ETag,ObjectSize,Checksum"), ("x-amz-max-parts", "3")];
        vec![
            ("GET", bucket.clone(), pairs(list), pairs(&[]), b""),
            ("GET", bucket.clone(), pairs(&more), pairs(&[]), b""),
            ("GET", bucket.clone(), pairs(old), pairs(&[]), b""),
            ("GET", bucket, pairs(uploads), pairs(&[]), b""),
            ("GET", format!("/{BUCKET}/joined"), pairs(parts), pairs(&[]), b""),
            ("GET", object.clone(), pairs(links), pairs(conditions), b""),
            ("GET", object.clone(), pairs(&[("attributes", "")]), pairs(attributes), b""),
            ("HEAD", object.clone(), pairs(&[("partNumber", "1")]), pairs(&[("if-match", "*")]), b""),
            ("PUT", object.clone(), pairs(&[]), pairs(described), CONTENT),
            ("PUT", object.clone(), pairs(&[]), pairs(digests), CONTENT),
            ("PUT", format!("/{BUCKET}/copy"), pairs(&[]), pairs(copy), b""),
            ("PUT", format!("/{BUCKET}/joined"), pairs(part), pairs(range), b""),
            ("PUT", format!("/{BUCKET}/joined"), pairs(part), pairs(&[]), CONTENT),
            (
                "POST",
                format!("/{BUCKET}/more"),
                pairs(&[("uploads", "")]),
                pairs(&[("x-amz-checksum-algorithm", "CRC32"), ("x-amz-checksum-type", "FULL_OBJECT")]),
                b"",
            ),
        ]
    }

    fn raw(&self, (method, path, query, headers, body): &Wish) -> Raw {
        let mut request = Request::new(self.site.door.address, method, path);
        for (name, value) in query {
            request = request.query(&[(name, value)]);
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let (head, _) = request.signed_head(Some(body.len() as u64));
        Raw { head: head.into_bytes(), body: body.to_vec() }
    }
}

impl Subject for Operations {
    type Request = Raw;

    async fn open() -> Self {
        let site = Site::open().await;
        for key in ["l1", "l2", "l3", "l/4"] {
            site.door.put(key, b"x").await;
        }
        let begun = site.door.request("POST", "joined").query(&[("uploads", "")]).send().await.expect_status(200);
        let page =
            site.door.bucket_request("GET", &[("list-type", "2"), ("prefix", "l"), ("max-keys", "1")]).send().await;
        let token = page.expect_status(200).element("NextContinuationToken").expect("a token");
        Operations { site, upload_id: begun.element("UploadId").expect("an id"), token }
    }

    fn hostile(&mut self, spoiler: &mut Spoiler) -> Raw {
        let mut all = self.good_ones();
        let mut wish = all.swap_remove(spoiler.below(all.len()));
        for _ in 0..=spoiler.below(2) {
            let (queries, headers) = (wish.2.len(), wish.3.len());
            let at = spoiler.below(queries + headers);
            if at < queries {
                // the query is percent-encoded, so that any text may stand there
                wish.2[at].1 = spoiler.text(&wish.2[at].1, WORDS, 4000);
            } else {
                wish.3[at - queries].1 = spoiler.line(&wish.3[at - queries].1, WORDS);
            }
        }
        self.raw(&wish)
    }

    async fn send(&mut self, raw: &Raw) -> Result<u16, String> {
        self.site.send(raw).await
    }

    async fn good(&mut self) -> Result<(), String> {
        for wish in self.good_ones() {
            let answer = self.site.exchange(&self.raw(&wish)).await?;
            if answer.status >= 300 {
                return Err(format!("{wish:?}: {} {}", answer.status, answer.text()));
            }
        }
        self.site.must(&self.site.door.request("PUT", KEY), CONTENT).await?;
        self.site.get().await
    }
}
