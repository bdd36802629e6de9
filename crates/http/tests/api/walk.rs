//! Who may do what, whole: every route of the document x every role x two tenants x what is one's own, a colleague's and
//! another tenant's, against a table written by hand. And no answer to one tenant holds a name of the other.
//!
//! A new route fails the test until it has its line in [`TABLE`].

use crate::service::{Service, bucket, key, request_by, service_of_tenants, with_json};
use axum::body::Body;
use axum::http::{Method, Request};
use filemill_core::ids::KeyId;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const TENANTS: [&str; 2] = ["acme", "beta"];
const ROLES: [&str; 4] = ["uploader", "viewer", "operator", "admin"];
/// What a request is about: what the asker brought, what another key of its tenant did, and what lies at another tenant.
const WHOSE: [&str; 3] = ["own", "mate", "far"];

/// Of each role.
type Each = [u16; 4];

enum Expected {
    /// About nothing in particular.
    Plain(Each),
    /// By whose it is: own, mate, far.
    Of([u16; 3], [u16; 3], [u16; 3], [u16; 3]),
}
use Expected::{Of, Plain};

const NO: [u16; 3] = [403; 3];
/// Sees all of its tenant.
const ALL: [u16; 3] = [200, 200, 404];
/// Sees its own.
const OWN: [u16; 3] = [200, 404, 404];

/// In this order; what removes comes last.
#[rustfmt::skip]
const TABLE: &[(&str, &str, Expected)] = &[
    // method, route                               uploader         viewer           operator         admin
    ("get",    "/v1/uploads/{id}",        Of(      OWN,             ALL,             ALL,             ALL)),
    ("post",   "/v1/uploads",             Plain([  201,             403,             403,             201])),
    ("get",    "/v1/jobs",                Plain([  200,             200,             200,             200])),
    ("get",    "/v1/jobs/{id}",           Of(      OWN,             ALL,             ALL,             ALL)),
    ("get",    "/v1/jobs/{id}/result",    Of(      [303, 404, 404], [303, 303, 404], [303, 303, 404], [303, 303, 404])),
    ("get",    "/v1/jobs/{id}/rejects",   Of(      [409, 404, 404], [409, 409, 404], [409, 409, 404], [409, 409, 404])),
    ("post",   "/v1/jobs/{id}/cancel",    Of(      [409, 404, 404], NO,              [409, 409, 404], [409, 409, 404])),
    ("post",   "/v1/jobs/{id}/retry",     Of(      NO,              NO,              [409, 409, 404], [409, 409, 404])),
    ("get",    "/v1/files",               Plain([  200,             200,             200,             200])),
    ("get",    "/v1/files/{id}",          Of(      OWN,             ALL,             ALL,             ALL)),
    ("get",    "/v1/files/{id}/download", Of(      [303, 404, 404], [303, 303, 404], [303, 303, 404], [303, 303, 404])),
    ("get",    "/v1/findings",            Plain([  200,             200,             200,             200])),
    ("get",    "/v1/findings/summary",    Plain([  200,             200,             200,             200])),
    ("post",   "/v1/archives",            Of(      [202, 422, 422], NO,              NO,              [202, 202, 422])),
    ("get",    "/v1/rules",               Plain([  403,             200,             200,             200])),
    ("get",    "/v1/processors",          Plain([  403,             200,             200,             200])),
    ("post",   "/v1/rules/explain",       Plain([  403,             200,             200,             200])),
    ("get",    "/v1/audit",               Plain([  403,             403,             403,             200])),
    ("post",   "/v1/tickets",             Plain([  201,             201,             201,             201])),
    ("get",    "/v1/events",              Plain([  200,             200,             200,             200])),
    ("get",    "/v1/live",                Plain([  400,             400,             400,             400])),
    ("get",    "/v1/dead",                Plain([  403,             200,             200,             200])),
    ("get",    "/v1/dead/groups",         Plain([  403,             200,             200,             200])),
    ("get",    "/v1/dead/{id}",           Of(      NO,              ALL,             ALL,             ALL)),
    ("get",    "/v1/queues",              Plain([  403,             403,             403,             403])),
    ("get",    "/v1/queues/{queue}/dead", Plain([  403,             200,             200,             200])),
    ("get",    "/v1/damage",              Plain([  403,             403,             403,             403])),
    ("get",    "/v1/redrives",            Plain([  403,             200,             200,             200])),
    ("get",    "/v1/redrives/{id}",       Of(      NO,              ALL,             ALL,             ALL)),
    ("post",   "/v1/redrives/{id}/cancel", Of(     NO,              NO,              [409, 409, 404], [409, 409, 404])),
    ("post",   "/v1/redrives",            Plain([  403,             403,             200,             200])),
    ("post",   "/v1/queues/{queue}/redrive", Plain([ 403,           403,             200,             200])),
    ("post",   "/v1/dead/{id}/redrive",   Of(      NO,              NO,              ALL,             ALL)),
    ("delete", "/v1/dead/{id}",           Of(      NO,              NO,              [409, 409, 404], [409, 409, 404])),
    ("post",   "/v1/dead/discard",        Plain([  403,             403,             200,             200])),
    ("get",    "/v1/deliveries",          Plain([  200,             200,             200,             200])),
    ("get",    "/v1/deliveries/{id}",     Of(      OWN,             ALL,             ALL,             ALL)),
    ("post",   "/v1/deliveries/{id}/resend", Of(   NO,              NO,              ALL,             ALL)),
    ("get",    "/v1/alarms",              Plain([  403,             403,             403,             403])),
    ("get",    "/v1/alarms/history",      Plain([  403,             403,             403,             403])),
    ("post",   "/v1/rules/{rule}/backfill", Plain([ 403,            403,             403,             403])),
    ("get",    "/v1/backfills",           Plain([  403,             403,             403,             403])),
    ("get",    "/v1/backfills/{id}",      Of(      NO,              NO,              NO,              NO)),
    ("post",   "/v1/backfills/{id}/cancel", Of(    NO,              NO,              NO,              NO)),
    ("post",   "/v1/reconcile",           Plain([  403,             403,             403,             403])),
    ("get",    "/v1/reconcile",           Plain([  403,             403,             403,             403])),
    ("get",    "/v1/checkup",             Plain([  403,             403,             403,             403])),
    ("post",   "/v1/backup",              Plain([  403,             403,             403,             403])),
    ("get",    "/metrics",                Plain([  403,             403,             403,             403])),
    ("get",    "/v1/keys",                Plain([  403,             403,             403,             200])),
    ("post",   "/v1/keys",                Plain([  403,             403,             403,             201])),
    ("get",    "/v1/keys/{id}",           Of(      NO,              NO,              NO,              ALL)),
    ("post",   "/v1/keys/{id}/rotate",    Of(      NO,              NO,              NO,              ALL)),
    ("delete", "/v1/keys/{id}",           Of(      NO,              NO,              NO,              ALL)),
    ("delete", "/v1/files/{id}",          Of(      [204, 404, 404], NO,              NO,              [204, 204, 404])),
];

/// Without a token.
const OPEN: [(&str, &str); 3] = [("get", "/healthz"), ("get", "/readyz"), ("get", "/openapi.json")];

fn other(tenant: &str) -> &'static str {
    TENANTS.into_iter().find(|name| *name != tenant).expect("two tenants")
}

/// A key as its maker is told of it.
pub struct Known {
    pub id: String,
    pub token: String,
}

impl Known {
    pub async fn make(service: &Service, name: &str, role: &str, tenant: &str) -> Known {
        let wish = json!({ "name": name, "role": role, "tenant": tenant });
        let made = service.post("/v1/keys", wish).await.ok();
        let text = |field: &str| made[field].as_str().expect(field).to_owned();
        Known { id: text("id"), token: text("token") }
    }
}

/// The ids of what one request may be about, by the noun of its route.
type Things = BTreeMap<&'static str, String>;

struct World {
    service: Service,
    keys: BTreeMap<(&'static str, &'static str), Known>,
    /// By tenant, role and whose.
    things: BTreeMap<(&'static str, &'static str, &'static str), Things>,
}

fn rules_of(tenant: &str) -> [Value; 3] {
    let named = |name: &str| format!("{tenant}-{name}");
    [
        json!({ "id": named("lines"), "from": named("in"), "match": { "key": [{ "not_suffix": ".json" }] },
            "process": { "kind": "lines.prefix", "text": "> " }, "output": { "bucket": named("out") } }),
        json!({ "id": named("fragile"), "from": named("frail"), "process": { "kind": "lines.prefix", "text": "> " },
            "output": { "bucket": named("out") }, "retry": { "attempts": 1, "backoff": "1s..1s" },
            "queue": named("frail") }),
        json!({ "id": named("zip"), "from": named("in"), "match": { "key": [{ "equals": "-" }] },
            "process": { "kind": "archive.zip" }, "output": { "bucket": named("out"), "key": "{stem}.zip" } }),
    ]
}

async fn world() -> World {
    let rules: Vec<Value> = TENANTS.into_iter().flat_map(rules_of).collect();
    let own = |tenant: &'static str| ["in", "out", "frail"].map(|name| (format!("{tenant}-{name}"), tenant));
    let named: Vec<(String, &str)> = TENANTS.into_iter().flat_map(own).collect();
    let buckets: Vec<(&str, &str)> = named.iter().map(|(name, tenant)| (name.as_str(), *tenant)).collect();
    let service = service_of_tenants(&rules, &buckets).await;
    let mut world = World { service, keys: BTreeMap::new(), things: BTreeMap::new() };
    for tenant in TENANTS {
        for role in ROLES {
            let key = Known::make(&world.service, &format!("{tenant} {role}"), role, tenant).await;
            world.keys.insert((tenant, role), key);
        }
        let mate = Known::make(&world.service, &format!("{tenant} mate"), "admin", tenant).await;
        world.keys.insert((tenant, "mate"), mate);
    }
    for tenant in TENANTS {
        for role in ROLES {
            for whose in WHOSE {
                let things = world.make_things(tenant, role, whose).await;
                world.things.insert((tenant, role, whose), things);
            }
        }
    }
    world
}

impl World {
    /// A file with its job, a promise and a key: what `role` of `tenant` is to ask about.
    async fn make_things(&self, tenant: &'static str, role: &'static str, whose: &'static str) -> Things {
        let home = if whose == "far" { other(tenant) } else { tenant };
        let owner = if whose == "own" { &self.keys[&(tenant, role)] } else { &self.keys[&(home, "mate")] };
        let for_whom = TENANTS.into_iter().position(|name| name == tenant).unwrap_or_default();
        let name = format!("{home}-{for_whom}-{role}-{whose}.txt");
        let bucket = format!("{home}-in");
        self.service.put_for(KeyId::parse(&owner.id), &bucket, &name, b"x").await;
        let job = self.service.job(&name, "completed").await;
        let files = self.service.get(&format!("/v1/files?bucket={bucket}&prefix={name}")).await.ok();
        let told = self.service.get(&format!("/v1/deliveries?job={}", job["id"].as_str().expect("an id"))).await.ok();
        let promised = self.promise(owner, home, role).await;
        let letter = self.letter(home, &name).await;
        let redrive = self.finished_redrive(home).await;
        let key = Known::make(&self.service, &format!("{home} spare"), "viewer", home).await;
        let id = |value: &Value| value["id"].as_str().expect("an id").to_owned();
        let source = format!("s3://{bucket}/{name}");
        [("jobs", id(&job)), ("files", id(&files["items"][0])), ("uploads", promised), ("keys", key.id)]
            .into_iter()
            .chain([("source", source), ("dead", letter), ("redrives", redrive)])
            .chain([("deliveries", id(&told["items"][0]))])
            .collect()
    }

    /// Of a file whose bytes rotted.
    async fn letter(&self, home: &str, name: &str) -> String {
        let (place, name) = (format!("{home}-frail"), format!("frail-{name}"));
        self.service.put_into(&place, &name, b"x").await;
        self.service.store.flip_bit(&bucket(&place), &key(&name));
        let job = self.service.job(&name, "failed").await;
        job["dead_letter"].as_str().expect("a letter").to_owned()
    }

    /// An order that finds nothing is done at once.
    async fn finished_redrive(&self, home: &str) -> String {
        let token = &self.keys[&(known(home), "mate")].token;
        let wish = Body::from(json!({ "filter": { "key": "none" } }).to_string());
        let ordered = self.service.send(with_json(request_by(token, Method::POST, "/v1/redrives", wish))).await.ok();
        let id = ordered["id"].as_str().expect("an id").to_owned();
        while self.service.get(&format!("/v1/redrives/{id}")).await.ok()["status"] == "running" {
            tokio::task::yield_now().await;
        }
        id
    }

    /// Only those who may upload have promises; for the others a colleague's stands.
    async fn promise(&self, owner: &Known, home: &str, role: &str) -> String {
        let may = matches!(role, "uploader" | "admin") || owner.id == self.keys[&(known(home), "mate")].id;
        let token = if may { &owner.token } else { &self.keys[&(known(home), "mate")].token };
        let wish = json!({ "filename": format!("{home}.txt"), "bucket": format!("{home}-in") });
        let request = request_by(token, Method::POST, "/v1/uploads", Body::from(wish.to_string()));
        self.service.send(with_json(request)).await.ok()["id"].as_str().expect("an id").to_owned()
    }

    fn request(
        &self,
        method: &str,
        route: &str,
        who: (&'static str, &'static str),
        whose: &'static str,
    ) -> Request<Body> {
        let (tenant, role) = who;
        let things = &self.things[&(tenant, role, whose)];
        let noun = route.split('/').nth(2).unwrap_or_default();
        let path = route.replace("{id}", things.get(noun).map_or("none", String::as_str)).replace("{queue}", "default");
        let body = match (method, route) {
            ("post", "/v1/uploads") => json!({ "filename": "a.txt", "bucket": format!("{tenant}-in") }),
            ("post", "/v1/archives") => json!({ "files": [{ "source": things["source"] }] }),
            ("post", "/v1/rules/explain") => json!({ "bucket": format!("{tenant}-in"), "key": "a" }),
            ("post", "/v1/redrives" | "/v1/queues/{queue}/redrive" | "/v1/dead/discard") => {
                json!({ "filter": {}, "dry_run": true })
            }
            ("post", "/v1/dead/{id}/redrive") => json!({}),
            ("post", "/v1/keys") => json!({ "name": format!("{tenant} more"), "role": "viewer" }),
            _ => Value::Null,
        };
        let method: Method = method.to_uppercase().parse().expect("a method");
        let token = &self.keys[&(tenant, role)].token;
        match body {
            Value::Null => request_by(token, method, &path, Body::empty()),
            body => with_json(request_by(token, method, &path, Body::from(body.to_string()))),
        }
    }
}

fn known(tenant: &str) -> &'static str {
    TENANTS.into_iter().find(|name| *name == tenant).expect("a tenant")
}

#[tokio::test]
async fn every_route_answers_every_role_of_two_tenants_as_the_table_says() {
    let world = world().await;
    let mut wrong = Vec::new();
    for (method, route, expected) in TABLE {
        for tenant in TENANTS {
            for (nth, role) in ROLES.into_iter().enumerate() {
                let statuses: Vec<(&str, u16)> = match expected {
                    Plain(each) => vec![("own", each[nth])],
                    Of(uploader, viewer, operator, admin) => {
                        WHOSE.into_iter().zip([uploader, viewer, operator, admin][nth].iter().copied()).collect()
                    }
                };
                for (whose, status) in statuses {
                    let asked = format!("{method} {route} as {tenant} {role}, {whose}");
                    let request = world.request(method, route, (tenant, role), whose);
                    if *route == "/v1/events" {
                        let given = world.service.open(request).await.status();
                        wrong.extend((given != status).then(|| format!("{asked}: {given}, not {status}")));
                        continue;
                    }
                    let answer = world.service.send(request).await;
                    let text = String::from_utf8_lossy(&answer.body);
                    if answer.status != status {
                        wrong.push(format!("{asked}: {}, not {status}: {text}", answer.status));
                    }
                    let named_by_asker = *route == "/v1/archives" && whose == "far";
                    let told = text.contains(other(tenant)) || answer.header("location").contains(other(tenant));
                    if told && !named_by_asker {
                        wrong.push(format!("{asked}: the answer names the other tenant: {text}"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} answers are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_table_has_every_route_of_the_document() {
    let document: Value =
        serde_json::from_str(&filemill_http::api::openapi_document(std::iter::empty())).expect("JSON");
    let mut routes = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        routes.extend(item.as_object().expect("operations").keys().map(|method| (method.clone(), path.clone())));
    }
    let owned = |(method, path): (&str, &str)| (method.to_owned(), path.to_owned());
    let listed: BTreeSet<_> =
        TABLE.iter().map(|(method, path, _)| owned((method, path))).chain(OPEN.map(owned)).collect();
    assert_eq!(listed, routes, "give each route its line in TABLE");
}

#[tokio::test]
async fn lists_hold_what_is_ones_own_or_ones_tenants_whatever_the_page() {
    let world = world().await;
    for tenant in TENANTS {
        for (role, expected) in [("uploader", 1), ("viewer", 2 * (4 * 2 + 4))] {
            let token = &world.keys[&(tenant, role)].token;
            let mut seen = 0;
            let mut path = "/v1/jobs?limit=1".to_owned();
            loop {
                let page = world.service.send(request_by(token, Method::GET, &path, Body::empty())).await.ok();
                for job in page["items"].as_array().expect("items") {
                    assert_eq!(job["tenant"], tenant);
                    seen += 1;
                }
                let Some(cursor) = page["next_cursor"].as_str() else { break };
                path = format!("/v1/jobs?limit=1&cursor={cursor}");
            }
            assert_eq!(seen, expected, "{tenant} {role}");
        }
        let token = &world.keys[&(tenant, "uploader")].token;
        let files = world.service.send(request_by(token, Method::GET, "/v1/files", Body::empty())).await.ok();
        let files = files["items"].as_array().expect("items").clone();
        assert_eq!(files.len(), 2, "its upload and the result of it: {files:?}");
    }
}

#[tokio::test]
async fn what_is_anothers_and_what_is_not_there_answer_alike() {
    let world = world().await;
    let token = &world.keys[&("acme", "admin")].token;
    let told = async |path: &str, body: Value, name: &str| {
        let request = with_json(request_by(token, Method::POST, path, Body::from(body.to_string())));
        let answer = world.service.send(request).await;
        (answer.status, String::from_utf8_lossy(&answer.body).replace(name, "NAME"))
    };
    for (foreign, missing) in [("beta-in", "nope-in"), ("beta-out", "nope-out")] {
        let ask = async |bucket: &str| {
            let upload = told("/v1/uploads", json!({ "filename": "a", "bucket": bucket }), bucket).await;
            let key = told("/v1/keys", json!({ "name": "k", "role": "viewer", "limits": [bucket] }), bucket).await;
            let source = format!("s3://{bucket}/x");
            let archive = told("/v1/archives", json!({ "files": [{ "source": source }] }), bucket).await;
            let explained = told("/v1/rules/explain", json!({ "bucket": bucket, "key": "x" }), bucket).await;
            [upload, key, archive, explained]
        };
        assert_eq!(ask(foreign).await, ask(missing).await);
    }
    let ask = async |rule: &str| {
        told("/v1/uploads", json!({ "filename": "a", "bucket": "acme-in", "rule": rule }), rule).await
    };
    assert_eq!(ask("beta-lines").await, ask("nope-lines").await);
    let ask = async |queue: &str| {
        let path = format!("/v1/queues/{queue}");
        let list = world.service.send(request_by(token, Method::GET, &format!("{path}/dead"), Body::empty())).await;
        let listed = (list.status, String::from_utf8_lossy(&list.body).replace(queue, "NAME"));
        let wish = json!({ "filter": {}, "dry_run": true });
        [listed, told(&format!("{path}/redrive"), wish, queue).await]
    };
    assert_eq!(ask("beta-frail").await, ask("nope-frail").await);
    assert_eq!(ask("acme-frail").await.map(|(status, _)| status.as_u16()), [200, 200]);
    let ask =
        async |tenant: &str| told("/v1/keys", json!({ "name": "k", "role": "viewer", "tenant": tenant }), tenant).await;
    assert_eq!(ask("beta").await, ask("nope").await);
}
