//! Keys as people use them: made by the command line, used by boto3 and by client commands, of two tenants.

use filemill_e2e::tools::{python_with, succeed};
use filemill_e2e::{Ran, Stage};
use serde_json::Value;

const TENANTS: &str = r#"
schema = 1

[buckets.acme-in]
tenant = "acme"
[buckets.acme-out]
tenant = "acme"
[buckets.beta-in]
tenant = "beta"
[buckets.beta-out]
tenant = "beta"

[[rules]]
id = "acme-lines"
from = "acme-in"
process = { kind = "lines.prefix", text = "Hello! " }
output = { bucket = "acme-out" }

[[rules]]
id = "beta-lines"
from = "beta-in"
process = { kind = "lines.prefix", text = "Hello! " }
output = { bucket = "beta-out" }
"#;

fn key(stage: &Stage, name: &str, args: &[&str]) -> Value {
    let create = [&["keys", "create", name, "--json", "--role"], args].concat();
    let made = stage.filemill(&create).good().json();
    for secret in ["token", "secret_access_key"] {
        stage.service.logs.keep_secret(text(&made, secret));
    }
    made
}

fn text<'a>(json: &'a Value, field: &str) -> &'a str {
    json[field].as_str().unwrap_or_else(|| panic!("no {field} in {json}"))
}

#[test]
fn boto3_of_two_tenants_sees_its_own_tenant_only() {
    let Some(tool) = python_with("boto3") else { return };
    let stage = Stage::with_config(TENANTS);
    let mut command = tool.command();
    command.args(["-c", include_str!("access/tenants.py"), &stage.service.s3]);
    for tenant in ["acme", "beta"] {
        for role in ["uploader", "viewer", "admin"] {
            let made = key(&stage, &format!("{tenant} {role}"), &[role, "--tenant", tenant]);
            command.arg(format!("{}:{}", text(&made, "access_key_id"), text(&made, "secret_access_key")));
        }
    }
    command.env("AWS_EC2_METADATA_DISABLED", "true").env("AWS_CONFIG_FILE", "/dev/null");
    succeed(command);
    stage.service.expect_exact("acme-in", "mine.txt", b"of acme\n");
    stage.service.expect_exact("beta-in", "mine.txt", b"of beta\n");
    stage.service.stop();
}

#[test]
fn an_uploader_sends_by_link_follows_its_job_and_fetches_its_result() {
    let stage = Stage::with_config(TENANTS);
    let made = key(&stage, "scanner", &["uploader", "--tenant", "acme", "--bucket", "acme-in/scans/"]);
    let other = key(&stage, "other", &["uploader", "--tenant", "acme"]);
    let (token, others) = (text(&made, "token"), text(&other, "token"));
    stage.file("page.txt", b"one\n");
    let put = ["put", "page.txt", "--wait", "--json", "--token", token];
    stage.filemill(&put).good();
    let jobs = stage.filemill(&["jobs", "--json", "--token", token]).good().json();
    let job = &jobs["items"][0];
    assert_eq!((job["tenant"].as_str(), job["status"].as_str()), (Some("acme"), Some("completed")), "{job}");
    assert!(text(&job["input"], "key").starts_with("scans/upl_"), "{job}");
    let id = text(job, "id");
    stage.filemill(&["get", id, "-o", "result.txt", "--token", token]).good();
    assert_eq!(std::fs::read(stage.path("result.txt")).expect("a result"), b"Hello! one\n");
    stage.filemill(&["get", id, "-o", "theirs.txt", "--token", others]).bad(4, &["there is no job"]);
    stage.filemill(&["job", id, "--retry", "--token", token]).bad(1, &["role is uploader"]);

    let listed = stage.filemill(&["keys", "list"]).good().text();
    for words in ["scanner", "uploader", "acme-in/scans/", text(&made, "id")] {
        assert!(listed.contains(words), "{words}: {listed}");
    }
    assert!(!listed.contains(token), "a secret is told once");
    stage.filemill(&["keys", "revoke", text(&made, "id")]).good();
    stage.filemill(&["jobs", "--token", token]).bad(1, &["token is not valid"]);
    stage.service.stop();
}

#[test]
fn a_rule_from_one_tenant_to_another_is_refused_before_anything_starts() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = TENANTS.replacen(r#"output = { bucket = "acme-out" }"#, r#"output = { bucket = "beta-out" }"#, 1);
    std::fs::write(folder.path().join("bad.toml"), config).expect("a config");
    let checked = Ran::filemill(folder.path(), &["rules", "check", "bad.toml"]);
    checked.bad(2, &["acme-lines", "acme-in belongs to tenant acme", "beta-out to tenant beta"]);
}
