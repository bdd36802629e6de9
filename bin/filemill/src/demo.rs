//! What the demo shows: sample files and one large generated log go through a service as any client would send them.
//!
//! Everything here is a client's work, over HTTP and presigned links. Each result is compared, byte for byte, with what a
//! plain reference makes of the same input.

mod generated;
mod reference;
mod samples;
mod watch;

use crate::client::source::Source;
use crate::client::upload::{self, Wish};
use crate::client::views::Job;
use crate::client::{Client, download, segment};
use crate::exit::Ending;
use crate::output::{self, Table};
use crate::{credentials, progress};
use anyhow::Result;
use filemill_core::size::ByteSize;
use generated::Generated;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};
use reference::Prefixed;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use watch::{News, Uploads};

/// The starter rule's text.
const PREFIX: &[u8] = b"Hello! ";
const GENERATED_KEY: &str = "generated.log";

/// Where the service is.
pub struct Place {
    pub api: String,
    pub s3: String,
    pub data: PathBuf,
}

/// A file on its way.
struct Exhibit {
    key: String,
    source: Arc<dyn Source>,
    bar: ProgressBar,
}

/// A job that has ended, and whether its result is the right one.
struct Shown {
    job: Job,
    link: Option<String>,
    /// What is wrong.
    fault: Option<String>,
}

/// Uploads, watches, verifies and prints. An error if a job failed or a result differs.
pub fn tour(place: &Place, generated_bytes: u64, as_json: bool, stays: bool) -> Result<()> {
    let token = credentials::read(&place.data)?.map(|c| c.admin_token);
    let client = Arc::new(Client::new(&place.api, token));
    let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(8));
    let exhibits = exhibits(&bars, generated_bytes);
    let ended = run_jobs(&client, &exhibits)?;
    let shown: Vec<Shown> = exhibits.iter().zip(ended).map(|(exhibit, job)| verify(&client, exhibit, job)).collect();
    drop(bars);
    if as_json {
        output::json(&to_json(&shown))?
    } else {
        print(&shown)?
    }
    if stays && !as_json {
        print_what_next(place)?;
    }
    match shown.iter().filter(|s| s.fault.is_some()).count() {
        0 => Ok(()),
        bad => Err(Ending::failed(format!("{bad} of {} results are missing or wrong", shown.len()))),
    }
}

fn exhibits(bars: &MultiProgress, generated_bytes: u64) -> Vec<Exhibit> {
    let generated = (GENERATED_KEY, Arc::new(Generated { bytes: generated_bytes }) as Arc<dyn Source>);
    let samples = samples::ALL.iter().map(|(key, bytes)| (*key, Arc::new(*bytes) as Arc<dyn Source>));
    let exhibit = |(key, source): (&str, Arc<dyn Source>)| {
        let bar = progress::bytes_among(bars, key, Some(source.size()));
        Exhibit { key: key.to_owned(), source, bar }
    };
    samples.chain([generated]).map(exhibit).collect()
}

/// Uploads all files side by side and waits for their jobs; the jobs in the order of the files.
fn run_jobs(client: &Arc<Client>, exhibits: &[Exhibit]) -> Result<Vec<Job>> {
    let (news, heard) = mpsc::channel();
    let uploads = Arc::new(Uploads::default());
    watch::listen(client.clone(), uploads.clone(), news.clone());
    let mut ended: Vec<Option<Job>> = exhibits.iter().map(|_| None).collect();
    std::thread::scope(|scope| {
        while ended.iter().any(Option::is_none) {
            match heard.recv().map_err(|_| Ending::failed("the live feed ended"))? {
                News::Listening => {
                    for (index, exhibit) in exhibits.iter().enumerate() {
                        let (uploads, news) = (&uploads, news.clone());
                        scope.spawn(move || {
                            if let Err(e) = send(client, exhibit, index, uploads) {
                                let _nobody_waits = news.send(News::Broken(e));
                            }
                        });
                    }
                }
                News::Progress { index, read } => {
                    exhibits[index].bar.set_message("processing");
                    exhibits[index].bar.set_position(read);
                }
                News::Ended { index, job } => {
                    let job = client.job(&job)?;
                    exhibits[index].bar.finish_with_message(job.status.clone());
                    ended[index] = Some(job);
                }
                News::Broken(e) => return Err(e),
            }
        }
        Ok(())
    })?;
    uploads.set_all_ended();
    Ok(ended.into_iter().flatten().collect())
}

fn send(client: &Client, exhibit: &Exhibit, index: usize, uploads: &Uploads) -> Result<()> {
    let wish = Wish { filename: exhibit.key.clone(), key: Some(exhibit.key.clone()), ..Wish::default() };
    let links = upload::begin(client, &wish, &*exhibit.source)?;
    uploads.register(&links.id, index);
    exhibit.bar.set_message("uploading");
    upload::send(client, &links, &*exhibit.source, &exhibit.bar)?;
    exhibit.bar.set_message("uploaded");
    Ok(())
}

fn verify(client: &Client, exhibit: &Exhibit, job: Job) -> Shown {
    if !job.is_completed() {
        let fault = Some(job.reason());
        return Shown { job, link: None, fault };
    }
    let check = || {
        let link = client.link(&format!("/v1/jobs/{}/result", segment(&job.id)))?;
        let (result, _) = download::open(client, &link)?;
        let source = exhibit.source.open(0..exhibit.source.size());
        reference::compare(&mut Prefixed::new(source, PREFIX), result)?;
        Ok::<_, anyhow::Error>(link)
    };
    match check() {
        Ok(link) => Shown { job, link: Some(link), fault: None },
        Err(e) => Shown { job, link: None, fault: Some(format!("{e:#}")) },
    }
}

fn print(shown: &[Shown]) -> Result<()> {
    let mut table = Table::new(&["INPUT", "SIZE", "CHUNKS", "TIME", "RESULT", ""], &[1, 2, 3]);
    for Shown { job, link, fault } in shown {
        let verdict = fault.as_ref().map_or_else(|| "exact".into(), |why| format!("WRONG: {why}"));
        table.row([
            job.input.key.clone(),
            ByteSize(job.input.size).to_string(),
            job.chunks.total.to_string(),
            job.duration().map_or_else(|| "-".into(), output::duration),
            verdict,
            link.clone().unwrap_or_default(),
        ]);
    }
    table.print()
}

fn to_json(shown: &[Shown]) -> Value {
    let item = |Shown { job, link, fault }: &Shown| {
        json!({
            "job": job.id,
            "status": job.status,
            "key": job.input.key,
            "size": job.input.size,
            "chunks": job.chunks.total,
            "took_ms": job.duration().map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)),
            "exact": fault.is_none(),
            "fault": fault,
            "result": link,
        })
    };
    json!({ "items": shown.iter().map(item).collect::<Vec<_>>() })
}

fn print_what_next(place: &Place) -> Result<()> {
    let (api, s3, data) = (&place.api, &place.s3, place.data.display());
    output::line(format_args!(
        r#"
The service stays up until Ctrl-C. In another terminal:

  filemill put README.md --wait --url {api} --data {data}
  filemill jobs --url {api} --data {data}

  secret() {{ grep -o "\"$1\": \"[^\"]*" {data}/credentials.json | cut -d'"' -f4; }}
  curl -H "authorization: Bearer $(secret admin_token)" {api}/v1/jobs

  export AWS_ACCESS_KEY_ID=$(secret s3_access_key_id) AWS_SECRET_ACCESS_KEY=$(secret s3_secret_access_key)
  aws --endpoint-url {s3} s3 cp README.md s3://uploads/
  aws --endpoint-url {s3} s3 ls --recursive s3://results/
"#
    ))
}
