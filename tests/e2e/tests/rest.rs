//! Wrong requests to every operation that the document names: each is refused at once, by the right status, in words
//! that help, and harms nobody.

use filemill_e2e::inputs::text;
use filemill_e2e::{Reply, Stage, http};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const AT_ONCE: Duration = Duration::from_secs(1);
const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
/// What a WebSocket client opens with.
const SOCKET: &[(&str, &str)] = &[
    ("connection", "upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// A service and its document.
struct Walk {
    stage: Stage,
    document: Value,
}

struct Operation<'a> {
    method: String,
    path: &'a str,
    told: &'a Value,
}

impl Walk {
    fn begin() -> Walk {
        Walk::on(Stage::open())
    }

    fn on(stage: Stage) -> Walk {
        let document = stage.service.get("/openapi.json").expect(200).json();
        Walk { stage, document }
    }

    /// All that was refused has left no trace, and the service does what it is there for.
    fn end(self) {
        let service = self.stage.service;
        assert_eq!(service.jobs("").len(), 0, "a wrong request started a job");
        let content = text(1, 100_000);
        service.bucket("uploads").put("after.txt", &content);
        service.expect_exact("uploads", "after.txt", &content);
        service.stop();
    }

    fn operations(&self) -> Vec<Operation<'_>> {
        let paths = self.document["paths"].as_object().expect("paths").iter();
        let all = paths.flat_map(|(path, item)| {
            let methods = item.as_object().expect("operations").iter();
            methods.map(move |(method, told)| Operation { method: method.to_uppercase(), path, told })
        });
        let all: Vec<_> = all.collect();
        assert!(all.len() >= 20, "the document lost operations: {}", all.len());
        all
    }

    /// What a `$ref` stands for, also of something that may be null.
    fn schema<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let schema = schema.pointer("/oneOf/0").unwrap_or(schema);
        let reference = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
        reference.map_or(schema, |pointer| self.document.pointer(pointer).expect("a schema"))
    }

    /// Sends it with the token, expects this problem, and no later than at once.
    #[track_caller]
    fn refused(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8], code: (u16, &str)) -> Value {
        at_once(method, target, || self.stage.service.send(method, target, headers, body))
            .expect_problem(code.0, code.1)
    }
}

#[track_caller]
fn at_once(method: &str, target: &str, send: impl FnOnce() -> Reply) -> Reply {
    // shown when the test fails
    println!("{method} {target:.200}");
    let began = Instant::now();
    let reply = send();
    assert!(began.elapsed() < AT_ONCE, "{method} {target:.200} took {:?}", began.elapsed());
    reply
}

impl Operation<'_> {
    /// The path with an id that is well formed and names nothing.
    fn target(&self) -> String {
        let id = format!("{}00000000000000000000000000", self.noun().map_or("", |(_, prefix)| prefix));
        self.path.replace("{id}", &id).replace("{queue}", "default").replace("{rule}", "hello-lines")
    }

    /// Of the id in its path: what it names, and how such ids begin.
    fn noun(&self) -> Option<(&'static str, &'static str)> {
        let nouns = [
            ("jobs", ("job", "job_")),
            ("files", ("file", "fil_")),
            ("uploads", ("upload", "upl_")),
            ("dead", ("dead_letter", "dead_")),
            ("redrives", ("redrive", "red_")),
            ("backfills", ("backfill", "bkf_")),
            ("deliveries", ("delivery", "dlv_")),
            ("keys", ("key", "key_")),
        ];
        let of_path = nouns.into_iter().find(|(plural, _)| self.path.starts_with(&format!("/v1/{plural}/{{id}}")));
        of_path.map(|(_, noun)| noun)
    }

    fn is_open(&self) -> bool {
        self.told["security"] == json!([{}])
    }

    fn parameters(&self, place: &str) -> impl Iterator<Item = (&str, &Value)> {
        let all = self.told["parameters"].as_array().into_iter().flatten();
        all.filter(move |p| p["in"] == place).map(|p| (p["name"].as_str().expect("a name"), &p["schema"]))
    }

    /// A field of its body and a value that it takes.
    fn good_field(&self) -> (&'static str, &'static str) {
        match self.path {
            "/v1/archives" => ("name", "\"a\""),
            // both must be there
            "/v1/keys" => ("name", "\"a\", \"role\": \"viewer\""),
            "/v1/rules/explain" => ("key", "\"a\""),
            "/v1/uploads" => ("filename", "\"a\""),
            "/v1/dead/{id}/redrive" => ("from_start", "true"),
            "/v1/dead/discard" => ("filter", "{}"),
            _ => ("dry_run", "true"),
        }
    }

    /// The headers and the body of a request that can be read.
    fn good_request(&self) -> (&'static [(&'static str, &'static str)], String) {
        let (field, value) = self.good_field();
        if self.body_schema().is_some() { (JSON, format!("{{\"{field}\": {value}}}")) } else { (&[], String::new()) }
    }

    fn body_bytes_max(&self) -> usize {
        if self.path == "/v1/archives" { 16 << 20 } else { 1 << 20 }
    }

    fn body_schema(&self) -> Option<&Value> {
        self.told.pointer("/requestBody/content/application~1json/schema")
    }
}

fn is_of_type(schema: &Value, name: &str) -> bool {
    schema["type"] == name || schema["type"].as_array().is_some_and(|types| types.contains(&json!(name)))
}

#[test]
fn without_a_valid_token_nothing_is_told() {
    // more refusals than an address is told of by default
    let starter = include_str!("../../../filemill.toml");
    let config = starter.replace("[server]\n", "[server]\nrefusals_per_address = 100000\n");
    let walk = Walk::on(Stage::with_config(&config));
    let service = &walk.stage.service;
    for operation in walk.operations() {
        let (method, target) = (operation.method.as_str(), operation.target());
        let url = format!("{}{target}", service.api);
        let almost = service.bearer();
        let almost = &almost[..almost.len() - 1];
        let basic = format!("Basic {}", service.credentials.admin_token);
        for given in [None, Some("Bearer wrong"), Some("Bearer "), Some(""), Some(almost), Some(&basic)] {
            let headers: Vec<_> = given.map(|given| ("authorization", given)).into_iter().collect();
            let reply = at_once(method, &target, || http::send(method, &url, &headers, &[]));
            if operation.is_open() {
                reply.expect(200);
                continue;
            }
            assert!(reply.header("www-authenticate").starts_with("Bearer"), "{}", reply.text());
            reply.expect_problem(401, "unauthorized");
        }
    }
    walk.end();
}

#[test]
fn other_methods_are_405_and_other_paths_404() {
    let walk = Walk::begin();
    for operation in walk.operations() {
        let item = &walk.document["paths"][operation.path];
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
            if item[method.to_lowercase()].is_null() {
                let target = operation.target();
                let reply = at_once(method, &target, || walk.stage.service.send(method, &target, &[], &[]));
                let allowed = reply.header("allow").to_owned();
                assert!(allowed.split(',').any(|allowed| allowed == operation.method), "{allowed:?}");
                reply.expect_problem(405, "method_not_allowed");
            }
        }
        walk.refused("GET", &format!("{}/surprise/surprise", operation.path), &[], &[], (404, "route_not_found"));
    }
    for path in ["/v1", "/v1/", "/v1/jobs/", "/v2/jobs", "/V1/jobs", "//v1/jobs", "/console", "/%ff", "/..%2f..%2fetc"]
    {
        walk.refused("GET", path, &[], &[], (404, "route_not_found"));
    }
    walk.end();
}

#[test]
fn unknown_and_doubled_parameters_are_named() {
    let walk = Walk::begin();
    for operation in walk.operations().iter().filter(|operation| !operation.is_open()) {
        let (method, target) = (operation.method.as_str(), operation.target());
        let (headers, body) = operation.good_request();
        let body = body.as_bytes();
        for query in ["surprise=1", "a%00b=1", "%ff=1"] {
            let problem = walk.refused(method, &format!("{target}?{query}"), headers, body, (400, "invalid_parameter"));
            assert!(problem["detail"].as_str().expect("words").contains("unknown parameter"), "{problem}");
        }
        for (name, _) in operation.parameters("query").filter(|(name, _)| *name != "ticket") {
            let doubled = format!("{target}?{name}=1&{name}=1");
            let problem = walk.refused(method, &doubled, headers, body, (400, "invalid_parameter"));
            assert_eq!(problem["errors"][0]["field"], name, "{problem}");
        }
    }
    walk.end();
}

#[test]
fn parameters_with_wrong_values_are_named() {
    let walk = Walk::begin();
    for operation in walk.operations() {
        for (name, schema) in operation.parameters("query") {
            let schema = walk.schema(schema);
            let wrong: &[&str] = match name {
                "ticket" | "prefix" | "key" | "processor" | "label" | "action" | "actor" | "target" => &[],
                "error" | "fingerprint" => &[],
                "since" | "until" => &["yesterday", "1", "2026-13-01T00:00:00Z"],
                "cursor" => &["x", "%00", "AAAA"],
                "bucket" => &["No", "a/b", "x"],
                "rule" | "queue" | "alarm" => &["a/b", "%20"],
                "status" | "event" if !schema["enum"].is_array() => &["surprise", "%00"],
                "job" | "upload" | "kind" => &["surprise", "%00", "fil_00000000000000000000000000"],
                _ if is_of_type(schema, "integer") => &["many", "-1", "1.5", "0x10", "99999999999999999999"],
                _ if is_of_type(schema, "boolean") => &["perhaps", "2"],
                _ if schema["enum"].is_array() => &["surprise", "QUEUED"],
                _ => panic!("no wrong value is known for {name} of {}", operation.path),
            };
            let code = if name == "cursor" { "bad_cursor" } else { "invalid_parameter" };
            for value in wrong {
                let target = format!("{}?{name}={value}", operation.target());
                let headers = if operation.path == "/v1/live" { SOCKET } else { &[] };
                let problem = walk.refused(&operation.method, &target, headers, &[], (400, code));
                let field = &problem["errors"][0]["field"];
                assert!(name == "cursor" || field == name, "{problem}");
            }
        }
    }
    let used = walk.stage.service.post("/v1/tickets", &json!({})).expect(201).json();
    for ticket in ["surprise", "%00", used["ticket"].as_str().expect("a ticket")] {
        let target = format!("/v1/events?ticket={ticket}&after=surprise");
        let code = if ticket.len() > 10 { (400, "invalid_parameter") } else { (401, "unauthorized") };
        walk.refused("GET", &target, &[], &[], code);
    }
    walk.refused("GET", "/v1/events", &[("last-event-id", "surprise")], &[], (400, "invalid_header"));
    walk.refused("GET", "/v1/live", &[], &[], (400, "websocket_expected"));
    walk.end();
}

#[test]
fn unknown_ids_are_404_whatever_they_look_like() {
    let walk = Walk::begin();
    let long = "x".repeat(5000);
    for operation in walk.operations() {
        let Some((noun, prefix)) = operation.noun() else { continue };
        let (upper, unknown) = ("0".repeat(26), format!("{prefix}00000000000000000000000000"));
        for id in [&unknown, &upper, &long, "1", "..%2f..%2fetc%2fpasswd", "%2e%2e", "a%00b", "%ff", "%F0%9F%A6%80"] {
            let target = operation.path.replace("{id}", id);
            let (headers, body) = operation.good_request();
            walk.refused(&operation.method, &target, headers, body.as_bytes(), (404, &format!("{noun}_not_found")));
        }
    }
    walk.end();
}

#[test]
fn bodies_that_are_not_what_was_agreed_are_refused_with_their_place() {
    let walk = Walk::begin();
    let (deep, number) = (format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)), "9".repeat(100_000));
    let malformed = ["{", "nul", "{\"FIELD\": GOOD,}", "{\"FIELD\": GOOD} x", "{FIELD: 1}", "\u{feff}{}"];
    for operation in walk.operations() {
        let Some(schema) = operation.body_schema() else { continue };
        let (method, target) = (operation.method.as_str(), operation.target());
        let refused = |body: &[u8], code| walk.refused(method, &target, JSON, body, code);
        let (field, good) = operation.good_field();
        let not_utf8 = [format!("{{\"{field}\": \"").as_bytes(), b"\xff\"}"].concat();
        let not_utf8 = good.starts_with('"').then_some(not_utf8);
        let malformed = malformed.iter().map(|body| body.replace("FIELD", field).replace("GOOD", good).into_bytes());
        for body in malformed.chain(not_utf8) {
            let problem = refused(&body, (400, "malformed_json"));
            assert!(problem["detail"].as_str().expect("words").starts_with("line 1, column "), "{problem}");
        }
        let properties = walk.schema(schema)["properties"].as_object().expect("properties");
        if properties.contains_key("metadata") {
            refused(format!("{{\"metadata\": {{\"m\": {deep}}}}}").as_bytes(), (400, "malformed_json"));
        }
        for body in ["[1]", "null", "7", "\"text\""] {
            refused(body.as_bytes(), (422, "invalid"));
        }
        for (name, property) in properties {
            let property = walk.schema(property);
            let wrong = match () {
                () if is_of_type(property, "object") => ["7", "[1]", "\"x\""],
                () if is_of_type(property, "integer") => ["\"ten\"", "-1", "1.5"],
                () if is_of_type(property, "array") => ["7", "\"x\"", "{\"x\": 1}"],
                () if property["enum"].is_array() => ["\"surprise\"", "7", "{}"],
                () => ["7", "[\"x\"]", "{\"x\": 1}"],
            };
            for value in wrong {
                let problem = refused(format!("{{\"{name}\": {value}}}").as_bytes(), (422, "invalid"));
                let field = problem["errors"][0]["field"].as_str().expect("a field");
                assert_eq!(field.split('[').next(), Some(name.as_str()), "{problem}");
            }
            let doubled = format!("{{\"{name}\": null, \"{name}\": null}}");
            assert_eq!(walk.stage.service.send(method, &target, JSON, doubled.as_bytes()).status, 422, "{doubled}");
        }
        for (name, value) in [("surprise", "1"), ("Filename", "\"a\""), ("size", &number)] {
            let reply = walk.stage.service.send(method, &target, JSON, format!("{{\"{name}\": {value}}}").as_bytes());
            assert!(matches!(reply.status, 400 | 422) && reply.text().contains("detail"), "{name}: {}", reply.text());
        }
        let problem = refused(format!("{{\"{field}\": {good}, \"surprise\": 1}}").as_bytes(), (422, "invalid"));
        assert_eq!(problem["errors"][0]["field"], "surprise");
    }
    walk.end();
}

#[test]
fn a_body_of_another_type_or_too_large_is_refused_before_it_is_read() {
    let walk = Walk::begin();
    for operation in walk.operations().iter().filter(|operation| operation.method == "POST") {
        let target = operation.target();
        let large = vec![b' '; operation.body_bytes_max() + 1];
        walk.refused("POST", &target, JSON, &large, (413, "body_too_large"));
        if operation.body_schema().is_none() {
            walk.refused("POST", &target, JSON, b"{\"surprise\": 1}", (422, "invalid"));
            walk.refused("POST", &target, JSON, b"{", (400, "malformed_json"));
            continue;
        }
        for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "json", ""] {
            let headers = [("content-type", kind)];
            let problem = walk.refused("POST", &target, &headers, b"{}", (415, "unsupported_media_type"));
            assert!(problem["detail"].as_str().expect("words").contains("application/json"), "{problem}");
        }
    }
    walk.end();
}

#[test]
fn what_a_wish_names_must_exist() {
    let walk = Walk::begin();
    for (wish, field) in [
        (json!({ "filename": "a", "bucket": "not-ours" }), "bucket"),
        (json!({ "filename": "a", "rule": "no-rule" }), "rule"),
        (json!({ "filename": "a", "rule": "hello-lines", "options": { "txt": 1 } }), "options"),
        (json!({ "filename": "a", "options": { "text": "x" } }), "options"),
        (json!({ "filename": "a", "mode": "multipart" }), "size"),
        (json!({ "filename": "a", "size": 1_u64 << 60 }), "size"),
        (json!({ "filename": "a", "metadata": { "m": "x".repeat(20_000) } }), "metadata"),
        (json!({}), "filename"),
    ] {
        let body = wish.to_string();
        let problem = walk.refused("POST", "/v1/uploads", JSON, body.as_bytes(), (422, "invalid"));
        assert_eq!(problem["errors"][0]["field"], field, "{body:.200}: {problem}");
    }
    let long = "k".repeat(256);
    let headers = [JSON[0], ("idempotency-key", &long)];
    walk.refused("POST", "/v1/uploads", &headers, b"{\"filename\": \"a\"}", (400, "bad_idempotency_key"));
    let foreign = walk.stage.service.bucket("not-ours");
    let reply = at_once("PUT", "not-ours", || http::send("PUT", &foreign.put_url("a"), &[], b"x"));
    assert!(reply.expect(404).text().contains("<Code>NoSuchBucket</Code>"));
    walk.end();
}

#[test]
fn the_agreed_size_of_a_multipart_upload_holds_for_each_part_and_the_whole() {
    let stage = Stage::open();
    let content = text(3, 8 * 1024 * 1024 + 17);
    let wish = json!({ "filename": "parts.txt", "mode": "multipart", "size": content.len() });
    let upload = stage.service.new_upload(&wish);
    let part_size = usize::try_from(upload["part_size"].as_u64().expect("a part size")).expect("fits");
    let link = |link: &Value| link.as_str().expect("a link").to_owned();
    let mut parts = Vec::new();
    for ((number, part), url) in
        (1..).zip(content.chunks(part_size)).zip(upload["part_urls"].as_array().expect("links"))
    {
        let longer = [part, b"x"].concat();
        let refused = http::send("PUT", &link(url), &[], &longer).expect(403).text();
        assert!(refused.contains("<Code>SignatureDoesNotMatch</Code>"), "{refused}");
        let tag = http::send("PUT", &link(url), &[], part).expect(200).header("etag").to_owned();
        parts.push(format!("<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>"));
    }
    let complete = |parts: &[String]| {
        let document = format!("<CompleteMultipartUpload>{}</CompleteMultipartUpload>", parts.concat());
        http::send("POST", &link(&upload["complete_url"]), &[], document.as_bytes())
    };
    let refused = complete(&parts[..1]).expect(400).text();
    assert!(refused.contains("x-amz-mp-object-size"), "{refused}");
    complete(&parts).expect(200);
    stage.service.expect_exact("uploads", upload["key"].as_str().expect("a key"), &content);
    stage.service.stop();
}

/// What was promised to one upload is no way to replace it later, nor to put something else in its place.
#[test]
fn a_promised_link_takes_one_upload() {
    let stage = Stage::open();
    let upload = stage.service.new_upload(&json!({ "filename": "once.txt", "size": 5 }));
    let told = upload["headers"].as_object().expect("headers").iter();
    let told: Vec<(&str, &str)> = told.map(|(name, value)| (name.as_str(), value.as_str().expect("text"))).collect();
    let of = |named: &[&str]| -> Vec<(&str, &str)> {
        let is_left_out = |name: &str| named.iter().any(|n| n.eq_ignore_ascii_case(name));
        told.iter().copied().filter(|(name, _)| !is_left_out(name)).collect()
    };
    // the client sends the length by itself
    let headers = of(&["content-length"]);
    let url = upload["url"].as_str().expect("a link");
    http::send("PUT", url, &of(&["content-length", "if-none-match"]), b"first").expect(403);
    http::send("PUT", url, &headers, b"longer").expect(403);
    http::send("PUT", url, &headers, b"first").expect(200);
    http::send("PUT", url, &headers, b"again").expect(412);
    stage.service.expect_exact("uploads", upload["key"].as_str().expect("a key"), b"first");
    stage.service.stop();
}
