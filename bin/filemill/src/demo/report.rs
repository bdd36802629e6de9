//! What the demo prints: a row for each job, what was found in the notes, and what to try next.

use super::Place;
use super::verdict::Shown;
use crate::client::Client;
use crate::client::views::Listed;
use crate::output::{self, Table};
use anyhow::Result;
use filemill_core::size::ByteSize;
use serde_json::{Value, json};

const FINDINGS_MAX: u64 = 20;

pub fn print(shown: &[Shown]) -> Result<()> {
    let mut table = Table::new(&["INPUT", "RULE", "SIZE", "CHUNKS", "TIME", "RESULT", ""], &[2, 3, 4]);
    for Shown { job, link, fault } in shown {
        table.row([
            format!("{}/{}", job.input.bucket, job.input.key),
            job.rule.clone(),
            ByteSize(job.input.size).to_string(),
            job.chunks.total.to_string(),
            job.duration().map_or_else(|| "-".into(), output::duration),
            verdict(fault.as_deref(), job.rejects),
            link.clone().unwrap_or_default(),
        ]);
    }
    table.print()
}

fn verdict(fault: Option<&str>, rejects: u64) -> String {
    match (fault, rejects) {
        (Some(why), _) => format!("WRONG: {why}"),
        (None, 0) => "exact".into(),
        (None, 1) => "exact, 1 reject".into(),
        (None, n) => format!("exact, {n} rejects"),
    }
}

pub fn to_json(shown: &[Shown]) -> Value {
    let item = |Shown { job, link, fault }: &Shown| {
        json!({
            "job": job.id,
            "status": job.status,
            "rule": job.rule,
            "bucket": job.input.bucket,
            "key": job.input.key,
            "size": job.input.size,
            "chunks": job.chunks.total,
            "took_ms": job.duration().map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)),
            "rejects": job.rejects,
            "exact": fault.is_none(),
            "fault": fault,
            "result": link,
        })
    };
    json!({ "items": shown.iter().map(item).collect::<Vec<_>>() })
}

/// One line: which note has which tone.
pub fn print_findings(client: &Client) -> Result<()> {
    let found: Listed<Value> = client.list("/v1/findings", &[("processor", "text.sentiment")], FINDINGS_MAX)?;
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap_or_default().to_owned();
    let one = |finding: &Value| format!("{} is {}", text(finding, "key"), text(finding, "label"));
    let all: Vec<String> = found.views.iter().map(one).collect();
    output::line(format_args!("\nFindings: {}", output::printable(&all.join(", "))))
}

pub fn print_what_next(place: &Place) -> Result<()> {
    let (api, s3, data) = (&place.api, &place.s3, place.data.display());
    output::line(format_args!(
        r#"
The service stays up until Ctrl-C. In another terminal:

  export FILEMILL_URL={api} FILEMILL_DATA={data}
  filemill put README.md --wait                                     # a text before each line
  filemill put README.md --bucket inbox --wait                      # by its kind: a page, and its tone
  filemill archive --jobs rule=notes-to-html --wait -o pages.zip     # all pages so far in one file
  filemill jobs
  filemill findings

  secret() {{ grep -o "\"$1\": \"[^\"]*" {data}/credentials.json | cut -d'"' -f4; }}
  curl -H "authorization: Bearer $(secret admin_token)" {api}/v1/jobs

  export AWS_ACCESS_KEY_ID=$(secret s3_access_key_id) AWS_SECRET_ACCESS_KEY=$(secret s3_secret_access_key)
  aws --endpoint-url {s3} s3 cp README.md s3://uploads/
  aws --endpoint-url {s3} s3 ls --recursive s3://results/
"#
    ))
}
