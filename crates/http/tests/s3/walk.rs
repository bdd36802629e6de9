//! Who may do what at this door: operations x roles x two tenants x what is one's own, a colleague's and another tenant's,
//! against a table written by hand.
//!
//! A new operation of the door fails the test until it has its line in [`TABLE`].

use crate::forms::Form;
use crate::support::{Request, Response, Signing, TestDoor, WallClock};
use bytes::Bytes;
use filemill_core::access::{Place, Principal, Role, TenantName};
use filemill_core::etag::Etag;
use filemill_core::ids::KeyId;
use filemill_core::object::{Attributes, BucketName, ObjectKey};
use filemill_core::ports::{
    BeginMultipart, BlobStore, Clock as _, Durability, MultipartRef, Precondition, PutObject, Staged,
};
use filemill_core::rule::RuleSet;
use filemill_engine::{
    BucketSettings, Chance, Compute, Engine, EngineConfig, KeyPair, KeyTicket, MasterKey, NewKey, Ports, Registry,
};
use filemill_http::Rates;
use filemill_memory::{MemoryOptions, MemoryStore};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

const TENANTS: [&str; 2] = ["acme", "beta"];
const ROLES: [Role; 4] = Role::ALL;
const WHOSE: [&str; 3] = ["own", "mate", "far"];

const NO: [u16; 3] = [403; 3];
const ALL: [u16; 3] = [200, 200, 404];
/// Of buckets: an uploader sees what it uploads to.
const SEEN: [u16; 3] = ALL;
/// Nobody has this setting.
const UNSET: [u16; 3] = [404; 3];

/// Of own, a colleague's, another tenant's.
type Each = [u16; 3];

/// Statuses by whose the object (or, of an operation on buckets, the bucket) is.
#[rustfmt::skip]
const TABLE: &[(&str, Each, Each, Each, Each)] = &[
    // operation                                uploader         viewer           operator         admin
    ("get_object",                             [200, 404, 404], ALL,             ALL,             ALL),
    ("head_object",                            [200, 404, 404], ALL,             ALL,             ALL),
    ("get_object_attributes",                  [200, 404, 404], ALL,             ALL,             ALL),
    ("get_object_acl",                         [200, 404, 404], ALL,             ALL,             ALL),
    ("get_object_legal_hold",                  UNSET,           UNSET,           UNSET,           UNSET),
    ("get_object_retention",                   UNSET,           UNSET,           UNSET,           UNSET),
    ("get_object_tagging",                     [200, 404, 404], ALL,             ALL,             ALL),
    ("put_object_tagging",                     [200, 404, 404], NO,              NO,              ALL),
    ("delete_object_tagging",                  [204, 404, 404], NO,              NO,              [204, 204, 404]),
    ("copy_object",                            [200, 404, 404], NO,              NO,              ALL),
    ("upload_part_copy",                       [200, 404, 404], NO,              NO,              ALL),
    ("put_object",                             [200, 403, 404], NO,              NO,              ALL),
    ("post_object",                            [204, 403, 404], NO,              NO,              [204, 204, 404]),
    ("create_multipart_upload",                SEEN,            NO,              NO,              ALL),
    ("list_parts",                             [200, 404, 404], ALL,             ALL,             ALL),
    ("upload_part",                            [200, 404, 404], NO,              NO,              ALL),
    ("complete_multipart_upload",              [200, 404, 404], NO,              NO,              ALL),
    ("abort_multipart_upload",                 [204, 404, 404], NO,              NO,              [204, 204, 404]),
    ("list_objects_v2",                        SEEN,            ALL,             ALL,             ALL),
    ("list_objects",                           SEEN,            ALL,             ALL,             ALL),
    ("list_multipart_uploads",                 SEEN,            ALL,             ALL,             ALL),
    ("head_bucket",                            SEEN,            ALL,             ALL,             ALL),
    ("get_bucket_location",                    SEEN,            ALL,             ALL,             ALL),
    ("get_bucket_versioning",                  SEEN,            ALL,             ALL,             ALL),
    ("get_bucket_acl",                         SEEN,            ALL,             ALL,             ALL),
    ("get_bucket_accelerate_configuration",    SEEN,            ALL,             ALL,             ALL),
    ("get_bucket_logging",                     SEEN,            ALL,             ALL,             ALL),
    ("get_bucket_notification_configuration",  SEEN,            ALL,             ALL,             ALL),
    ("get_bucket_request_payment",             SEEN,            ALL,             ALL,             ALL),
    ("get_bucket_cors",                        UNSET,           UNSET,           UNSET,           UNSET),
    ("get_bucket_encryption",                  UNSET,           UNSET,           UNSET,           UNSET),
    ("get_bucket_lifecycle_configuration",     UNSET,           UNSET,           UNSET,           UNSET),
    ("get_bucket_ownership_controls",          UNSET,           UNSET,           UNSET,           UNSET),
    ("get_bucket_policy",                      UNSET,           UNSET,           UNSET,           UNSET),
    ("get_bucket_replication",                 UNSET,           UNSET,           UNSET,           UNSET),
    ("get_bucket_tagging",                     UNSET,           UNSET,           UNSET,           UNSET),
    ("get_bucket_website",                     UNSET,           UNSET,           UNSET,           UNSET),
    ("get_object_lock_configuration",          UNSET,           UNSET,           UNSET,           UNSET),
    ("get_public_access_block",                UNSET,           UNSET,           UNSET,           UNSET),
    ("list_buckets",                           [200, 200, 200], [200, 200, 200], [200, 200, 200], [200, 200, 200]),
    ("create_bucket",                          NO,              NO,              NO,              NO),
    ("delete_bucket",                          NO,              NO,              NO,              NO),
    ("delete_objects",                         SEEN,            NO,              NO,              ALL),
    ("delete_object",                          [204, 204, 404], NO,              NO,              [204, 204, 404]),
];

/// What clients ask a bucket for, by its query.
#[rustfmt::skip]
const SETTINGS: [(&str, &str); 16] = [
    ("get_bucket_versioning", "versioning"),
    ("get_bucket_acl", "acl"),
    ("get_bucket_accelerate_configuration", "accelerate"),
    ("get_bucket_logging", "logging"),
    ("get_bucket_notification_configuration", "notification"),
    ("get_bucket_request_payment", "requestPayment"),
    ("get_bucket_cors", "cors"),
    ("get_bucket_encryption", "encryption"),
    ("get_bucket_lifecycle_configuration", "lifecycle"),
    ("get_bucket_ownership_controls", "ownershipControls"),
    ("get_bucket_policy", "policy"),
    ("get_bucket_replication", "replication"),
    ("get_bucket_tagging", "tagging"),
    ("get_bucket_website", "website"),
    ("get_object_lock_configuration", "object-lock"),
    ("get_public_access_block", "publicAccessBlock"),
];

struct World {
    door: TestDoor,
    engine: Engine,
    store: Arc<MemoryStore>,
    keys: BTreeMap<(&'static str, &'static str), KeyTicket>,
}

fn bucket(name: &str) -> BucketName {
    BucketName::parse(name).expect(name)
}

fn engine_over(store: &Arc<MemoryStore>) -> Engine {
    let mut config = EngineConfig::new("worker".into(), bucket("acme-in"), RuleSet::default());
    config.master_key = Some(MasterKey([7; 32]));
    for tenant in TENANTS {
        let settings = BucketSettings { tenant: TenantName::parse(tenant).ok(), ..BucketSettings::default() };
        config.buckets.insert(bucket(&format!("{tenant}-in")), settings);
    }
    let ports = Ports {
        blobs: store.clone(),
        state: store.clone(),
        queue: store.clone(),
        notifier: std::sync::Arc::new(filemill_core::ports::NoNotifier),
        messages: store.clone(),
        clock: Arc::new(WallClock),
        processors: Registry::new(filemill_processors::ALL.iter().copied()),
        compute: Compute::Threads,
        chance: Chance::from_seed(1),
    };
    Engine::new(ports, config).expect("config")
}

async fn world() -> World {
    world_with(Rates::default()).await
}

async fn world_with(rates: Rates) -> World {
    let store = Arc::new(MemoryStore::new(Arc::new(WallClock), MemoryOptions::default()));
    let engine = engine_over(&store);
    engine.prepare().await.expect("buckets");
    let known = engine.clone();
    let door = TestDoor::over(store.clone(), |config| {
        config.engine = Some(known);
        config.rates = rates;
    })
    .await;
    let mut world = World { door, engine, store, keys: BTreeMap::new() };
    for (nth, tenant) in TENANTS.into_iter().enumerate() {
        for role in ROLES {
            let key = world.make(role, Some(tenant), &[], [nth as u8, role as u8]).await;
            world.keys.insert((tenant, role.as_str()), key);
        }
        let mate = world.make(Role::Uploader, Some(tenant), &[], [nth as u8, 99]).await;
        world.keys.insert((tenant, "mate"), mate);
    }
    world
}

impl World {
    async fn make(&self, role: Role, tenant: Option<&str>, limits: &[&str], seed: [u8; 2]) -> KeyTicket {
        let limits = limits.iter().map(|place| Place::parse(place).expect(place)).collect();
        let tenant = tenant.map(|name| TenantName::parse(name).expect(name));
        let new = NewKey { name: "k".into(), role, tenant, limits, queues: [].into(), expires_at: None };
        let chance = std::array::from_fn(|n| seed[n % 2]);
        self.engine.create_key(&Principal::service(), new, chance).await.expect("a key")
    }

    async fn put(&self, owner: &KeyId, bucket_name: &str, key: &str) {
        let put = PutObject {
            bucket: bucket(bucket_name),
            key: ObjectKey::parse(key).expect(key),
            attributes: Attributes { owner: Some(owner.clone()), ..Attributes::default() },
            checksums: Default::default(),
            etag: None,
            condition: Precondition::None,
        };
        self.store.put(put, Staged::inline(Bytes::from_static(b"x")), Durability::Synced).await.expect("put");
    }

    async fn begin(&self, owner: &KeyId, bucket_name: &str, key: &str) -> String {
        let begin = BeginMultipart {
            bucket: bucket(bucket_name),
            key: ObjectKey::parse(key).expect(key),
            attributes: Attributes { owner: Some(owner.clone()), ..Attributes::default() },
        };
        self.store.begin_multipart(begin).await.expect("begun")
    }

    async fn put_part(&self, bucket_name: &str, key: &str, upload: &str) -> Etag {
        let key = ObjectKey::parse(key).expect(key);
        let upload = MultipartRef { bucket: bucket(bucket_name), key, id: upload.to_owned() };
        let content = Staged::inline(Bytes::from_static(b"part"));
        self.store.put_part(&upload, 1, content, None, Default::default()).await.expect("a part").etag
    }

    fn form(&self, key: &KeyTicket, bucket_name: &str, name: &str) -> Form {
        let KeyPair { access_key_id, secret_access_key } = key.s3.clone().expect("a pair");
        let signing = Signing { key_id: access_key_id, secret: secret_access_key, ..Signing::default() };
        let condition = format!(r#", ["eq", "$key", "{name}"]"#);
        Form::new(bucket_name, name, &condition, &signing, WallClock.now().plus(Duration::from_secs(60)))
    }

    fn request(&self, key: &KeyTicket, method: &str, path: &str) -> Request {
        let KeyPair { access_key_id, secret_access_key } = key.s3.clone().expect("a pair");
        Request::new(self.door.address, method, path).signed_by(|signing| {
            signing.key_id = access_key_id;
            signing.secret = secret_access_key;
        })
    }

    /// One operation of the table, about an object that was made for it.
    async fn ask(&self, operation: &str, tenant: &'static str, role: Role, whose: &str) -> Response {
        let home = if whose == "far" { other(tenant) } else { tenant };
        let asker = &self.keys[&(tenant, role.as_str())];
        let owner = if whose == "own" { &asker.key.id } else { &self.keys[&(home, "mate")].key.id };
        let place = format!("{home}-in");
        let name = format!("{home}.{}.{}.{whose}", operation.replace('_', "-"), role.as_str());
        self.put(owner, &place, &name).await;
        let (object, whole) = (format!("/{place}/{name}"), format!("/{place}"));
        let at = |method: &str| self.request(asker, method, &object);
        let on = |method: &str| self.request(asker, method, &whole);
        let upload = self.begin(owner, &place, &name).await;
        let here = format!("/{tenant}-in/copy-{}-{whose}", role.as_str());
        if operation == "post_object" {
            return self.form(asker, &place, &name).send_to(&self.door, &whole).await;
        }
        let request = match operation {
            "get_object" => at("GET"),
            "head_object" => at("HEAD"),
            "get_object_attributes" => at("GET").query(&[("attributes", "")]).header("x-amz-object-attributes", "ETag"),
            "get_object_tagging" => at("GET").query(&[("tagging", "")]),
            "put_object_tagging" => at("PUT").query(&[("tagging", "")]).body(b"<Tagging><TagSet></TagSet></Tagging>"),
            "copy_object" => self.request(asker, "PUT", &here).header("x-amz-copy-source", &object),
            "upload_part_copy" => {
                let own = self.begin(&asker.key.id, &format!("{tenant}-in"), &here[here.len() - 5..]).await;
                let part = self.request(asker, "PUT", &format!("/{tenant}-in/{}", &here[here.len() - 5..]));
                part.query(&[("partNumber", "1"), ("uploadId", &own)]).header("x-amz-copy-source", &object)
            }
            "put_object" => at("PUT").body(b"new"),
            "create_multipart_upload" => at("POST").query(&[("uploads", "")]),
            "list_parts" => at("GET").query(&[("uploadId", &upload)]),
            "upload_part" => at("PUT").query(&[("partNumber", "1"), ("uploadId", &upload)]).body(b"part"),
            "abort_multipart_upload" => at("DELETE").query(&[("uploadId", &upload)]),
            "complete_multipart_upload" => {
                let etag = self.put_part(&place, &name, &upload).await;
                let part = format!("<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>");
                let document = format!("<CompleteMultipartUpload>{part}</CompleteMultipartUpload>");
                at("POST").query(&[("uploadId", &upload)]).body(document.as_bytes())
            }
            "delete_object_tagging" => at("DELETE").query(&[("tagging", "")]),
            "get_object_acl" => at("GET").query(&[("acl", "")]),
            "get_object_legal_hold" => at("GET").query(&[("legal-hold", "")]),
            "get_object_retention" => at("GET").query(&[("retention", "")]),
            "list_objects_v2" => on("GET").query(&[("list-type", "2")]),
            "list_objects" => on("GET"),
            "list_multipart_uploads" => on("GET").query(&[("uploads", "")]),
            "head_bucket" => on("HEAD"),
            "get_bucket_location" => on("GET").query(&[("location", "")]),
            "list_buckets" => self.request(asker, "GET", "/"),
            "create_bucket" => self.request(asker, "PUT", &format!("/{whose}-new")),
            "delete_bucket" => on("DELETE"),
            "delete_objects" => {
                let document = format!("<Delete><Object><Key>{name}</Key></Object></Delete>");
                on("POST").query(&[("delete", "")]).body(document.as_bytes())
            }
            "delete_object" => at("DELETE"),
            setting => {
                let query = SETTINGS.iter().find(|(operation, _)| *operation == setting).expect(setting).1;
                on("GET").query(&[(query, "")])
            }
        };
        request.send().await
    }

    async fn is_there(&self, bucket_name: &str, key: &str) -> bool {
        self.store.head(&bucket(bucket_name), &ObjectKey::parse(key).expect(key)).await.is_ok()
    }
}

fn other(tenant: &str) -> &'static str {
    TENANTS.into_iter().find(|name| *name != tenant).expect("two tenants")
}

#[tokio::test]
async fn every_operation_answers_every_role_of_two_tenants_as_the_table_says() {
    let world = world().await;
    let mut wrong = Vec::new();
    for (operation, uploader, viewer, operator, admin) in TABLE {
        for tenant in TENANTS {
            for (role, expected) in ROLES.into_iter().zip([uploader, viewer, operator, admin]) {
                for (whose, status) in WHOSE.into_iter().zip(expected) {
                    let answer = world.ask(operation, tenant, role, whose).await;
                    let asked = format!("{operation} as {tenant} {}, {whose}", role.as_str());
                    let text = String::from_utf8_lossy(&answer.body).into_owned();
                    if answer.status != *status {
                        wrong.push(format!("{asked}: {}, not {status}: {text}", answer.status));
                    }
                    if is_of_another_operation(operation, &answer) && whose == "own" {
                        wrong.push(format!("{asked}: another operation answered: {text}"));
                    }
                    if text.contains(other(tenant)) && whose != "far" {
                        wrong.push(format!("{asked}: the answer names the other tenant: {text}"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} answers are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// What `s3s` does not know it takes for a list or an object; and what is one's own is there.
fn is_of_another_operation(operation: &str, answer: &Response) -> bool {
    let is_lost = answer.element("Code").is_some_and(|code| ["NoSuchBucket", "NoSuchKey"].contains(&code.as_str()));
    let is_list = answer.text().contains("<ListBucketResult");
    is_lost || is_list && !operation.starts_with("list_objects")
}

#[test]
fn the_table_has_every_operation_of_the_door() {
    let source = include_str!("../../src/s3/operations.rs");
    let (_, table) = source.rsplit_once("\noperations! {\n").expect("the door's own table");
    let named = table.lines().filter_map(|line| line.trim().split_once('(')).map(|(name, _)| name);
    // forms are told from the rest before the door looks at its table
    let operations: BTreeSet<&str> = named.chain(["post_object"]).collect();
    let listed: BTreeSet<&str> = TABLE.iter().map(|(operation, ..)| *operation).collect();
    assert_eq!(listed, operations, "give each operation its line in TABLE");
}

#[tokio::test]
async fn what_is_anothers_stays_where_it_is() {
    let world = world().await;
    world.ask("delete_object", "acme", Role::Uploader, "mate").await.expect_status(204);
    assert!(world.is_there("acme-in", "acme.delete-object.uploader.mate").await, "as if nothing were there");
    world.ask("delete_objects", "acme", Role::Uploader, "mate").await.expect_status(200);
    assert!(world.is_there("acme-in", "acme.delete-objects.uploader.mate").await);
    world.ask("put_object", "acme", Role::Uploader, "mate").await.expect_status(403);
    world.ask("delete_object", "acme", Role::Uploader, "own").await.expect_status(204);
    assert!(!world.is_there("acme-in", "acme.delete-object.uploader.own").await);
}

#[tokio::test]
async fn lists_show_what_is_ones_own() {
    let world = world().await;
    let (one, mate) = (&world.keys[&("acme", "uploader")], &world.keys[&("acme", "mate")]);
    for (key, owner) in [("d/mine", one), ("d/theirs", mate), ("e/theirs", mate)] {
        world.put(&owner.key.id, "acme-in", key).await;
        world.begin(&owner.key.id, "acme-in", key).await;
    }
    for query in [&[("list-type", "2")][..], &[("delimiter", "/")], &[("uploads", "")], &[("max-keys", "1")]] {
        let answer = world.request(one, "GET", "/acme-in").query(query).send().await.expect_status(200);
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(text.contains("d/") && !text.contains("theirs") && !text.contains("e/<"), "{query:?}: {text}");
        assert!(!text.contains("<IsTruncated>true"), "nothing else is there: {text}");
    }
    let answer = world.request(one, "GET", "/").send().await.expect_status(200);
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(text.contains("acme-in") && !text.contains("beta-in") && !text.contains("bkt"), "{text}");
}

#[tokio::test]
async fn a_limited_key_stays_within_its_prefix() {
    let world = world().await;
    let key = world.make(Role::Admin, Some("acme"), &["acme-in/a/"], [50, 51]).await;
    let mate = &world.keys[&("acme", "mate")].key.id;
    for name in ["a/x", "b/x"] {
        world.put(mate, "acme-in", name).await;
    }
    let status = async |method: &str, path: &str| world.request(&key, method, path).send().await.status;
    assert_eq!([status("GET", "/acme-in/a/x").await, status("GET", "/acme-in/b/x").await], [200, 404]);
    assert_eq!([status("PUT", "/acme-in/a/y").await, status("PUT", "/acme-in/b/y").await], [200, 403]);
    let list = async |prefix: &str| {
        let request = world.request(&key, "GET", "/acme-in").query(&[("list-type", "2"), ("prefix", prefix)]);
        request.send().await.status
    };
    assert_eq!([list("a/").await, list("a/x").await, list("").await, list("b/").await], [200, 200, 403, 403]);
    let copy = world.request(&key, "PUT", "/acme-in/a/z").header("x-amz-copy-source", "/acme-in/b/x");
    copy.send().await.expect_status(404);
    let document = b"<Delete><Object><Key>b/x</Key></Object></Delete>";
    let answer = world.request(&key, "POST", "/acme-in").query(&[("delete", "")]).body(document).send().await;
    let text = String::from_utf8_lossy(&answer.expect_status(200).body).into_owned();
    assert!(text.contains("AccessDenied") && world.is_there("acme-in", "b/x").await, "{text}");
}

#[tokio::test]
async fn what_is_sent_belongs_to_who_sent_it_and_a_revoked_pair_sends_nothing() {
    let world = world().await;
    let one = &world.keys[&("acme", "uploader")];
    let put = world.request(one, "PUT", "/acme-in/new").body(b"x");
    put.send().await.expect_status(200);
    let info = world.store.head(&bucket("acme-in"), &ObjectKey::parse("new").expect("key")).await.expect("there");
    assert_eq!(info.attributes.owner.as_ref(), Some(&one.key.id));
    world.engine.revoke_key(&Principal::service(), &one.key.id).await.expect("revoked");
    put.send().await.expect_error(403, "InvalidAccessKeyId");
}

/// The memory store signs no real links, so this one is made as the service makes them.
#[tokio::test]
async fn a_link_acts_for_the_key_that_it_was_made_for_and_dies_with_it() {
    let world = world().await;
    let one = &world.keys[&("acme", "uploader")];
    let link =
        Request::new(world.door.address, "PUT", "/acme-in/by-link").query(&[("x-filemill-key", one.key.id.as_str())]);
    let link = link.presign("60");
    link.send(b"x").await.expect_status(200);
    let info = world.store.head(&bucket("acme-in"), &ObjectKey::parse("by-link").expect("key")).await.expect("there");
    assert_eq!(info.attributes.owner.as_ref(), Some(&one.key.id), "what comes by it is the key's");
    let mate = &world.keys[&("acme", "mate")];
    link.clone().replace(one.key.id.as_str(), mate.key.id.as_str()).send(b"x").await.expect_status(403);
    world.engine.revoke_key(&Principal::service(), &one.key.id).await.expect("revoked");
    link.send(b"x").await.expect_error(403, "AccessDenied");

    let own_pair = world.request(mate, "PUT", "/acme-in/own-pair").query(&[("x-filemill-key", one.key.id.as_str())]);
    own_pair.presign("60").send(b"x").await.expect_status(200);
    let info = world.store.head(&bucket("acme-in"), &ObjectKey::parse("own-pair").expect("key")).await.expect("there");
    assert_eq!(info.attributes.owner.as_ref(), Some(&mate.key.id), "nobody else signs in another's name");
}

/// By its pair and by its links together; the service's own pair, and what is only said to be of a key, count for nobody.
#[tokio::test]
async fn beyond_its_rate_a_key_is_told_to_slow_down_and_others_are_not() {
    let one_a_second = NonZeroU32::MIN;
    let world = world_with(Rates { per_key: one_a_second, ..Rates::default() }).await;
    let (one, mate) = (&world.keys[&("acme", "uploader")], &world.keys[&("acme", "mate")]);
    world.put(&one.key.id, "acme-in", "a").await;
    let ask = async |who: &KeyTicket| world.request(who, "GET", "/acme-in/a").send().await;
    for _ in 0..20 {
        let said = world.request(one, "GET", "/acme-in/a").signed_by(|signing| signing.secret = "another".into());
        said.send().await.expect_status(403);
        world.door.request("GET", "none").send().await.expect_status(404);
    }
    ask(one).await.expect_status(200);
    let mut asked = 1;
    let refused = loop {
        let answer = ask(one).await;
        asked += 1;
        if answer.status != 200 {
            break answer.expect_error(503, "SlowDown");
        }
    };
    assert!((6..100).contains(&asked), "five at once: {asked}");
    assert_eq!(refused.header("retry-after"), Some("1"));
    ask(mate).await.expect_status(404);
}
