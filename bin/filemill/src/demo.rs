//! What the demo shows: sample files and one large generated log go through a service as any client would send them.
//!
//! Everything here is a client's work, over HTTP and presigned links. Each result is compared, byte for byte, with what a
//! plain reference makes of the same input, or with one that was made before and checked with other tools.

mod generated;
mod reference;
mod report;
mod samples;
mod verdict;
mod watch;

use crate::client::Client;
use crate::client::source::Source;
use crate::client::upload::{self, Wish};
use crate::client::views::Job;
use crate::exit::Ending;
use crate::{credentials, output, progress};
use anyhow::Result;
use generated::Generated;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};
use samples::{Expected, Sample};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use verdict::Shown;
use watch::{News, Uploads};

const GENERATED_KEY: &str = "generated.log";

/// Where the service is.
pub struct Place {
    pub api: String,
    pub s3: String,
    pub data: PathBuf,
}

/// A file on its way.
struct Exhibit {
    bucket: &'static str,
    key: &'static str,
    source: Arc<dyn Source>,
    results: Vec<Expected>,
    after: &'static [&'static str],
    bar: ProgressBar,
}

/// Uploads, watches, verifies and prints. An error if a job failed or a result differs.
pub fn tour(place: &Place, generated_bytes: u64, as_json: bool, stays: bool) -> Result<()> {
    let token = credentials::read(&place.data)?.map(|c| c.admin_token);
    let client = Arc::new(Client::new(&place.api, token));
    let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(8));
    let exhibits = exhibits(&bars, generated_bytes);
    let ended = run_jobs(&client, &exhibits)?;
    let shown = judged(&client, &exhibits, ended);
    drop(bars);
    if as_json {
        output::json(&report::to_json(&shown))?;
    } else {
        report::print(&shown)?;
        report::print_findings(&client)?;
    }
    if stays && !as_json {
        report::print_what_next(place)?;
    }
    match shown.iter().filter(|s| s.fault.is_some()).count() {
        0 => Ok(()),
        bad => Err(Ending::failed(format!("{bad} of {} results are missing or wrong", shown.len()))),
    }
}

fn exhibits(bars: &MultiProgress, generated_bytes: u64) -> Vec<Exhibit> {
    let exhibit = |bucket, key, source: Arc<dyn Source>, results, after| {
        let bar = progress::bytes_among(bars, key, Some(source.size()));
        Exhibit { bucket, key, source, results, after, bar }
    };
    let samples = samples::all().into_iter().map(|Sample { bucket, key, content, results, after }| {
        exhibit(bucket, key, Arc::new(content) as Arc<dyn Source>, results, after)
    });
    let mut exhibits: Vec<Exhibit> = samples.collect();
    let generated = Arc::new(Generated { bytes: generated_bytes });
    exhibits.push(exhibit("uploads", GENERATED_KEY, generated, vec![samples::prefixed()], &[]));
    exhibits
}

/// How far each file is.
struct Board<'a> {
    exhibits: &'a [Exhibit],
    sent: Vec<bool>,
    /// Jobs that have ended, by rule.
    ended: Vec<BTreeMap<String, Job>>,
}

impl<'a> Board<'a> {
    fn new(exhibits: &'a [Exhibit]) -> Self {
        let ended = exhibits.iter().map(|_| BTreeMap::new()).collect();
        Board { exhibits, sent: vec![false; exhibits.len()], ended }
    }

    fn is_done(&self, index: usize) -> bool {
        self.exhibits[index].results.iter().all(|expected| self.ended[index].contains_key(expected.rule))
    }

    fn all_done(&self) -> bool {
        (0..self.exhibits.len()).all(|index| self.is_done(index))
    }

    fn end(&mut self, index: usize, job: Job) {
        let status = job.status.clone();
        self.ended[index].insert(job.rule.clone(), job);
        if self.is_done(index) {
            self.exhibits[index].bar.finish_with_message(status);
        }
    }

    /// Which files to send now. One that names others waits until they are there.
    fn due(&mut self) -> Vec<usize> {
        let is_there = |key: &&str| (0..self.exhibits.len()).any(|i| self.exhibits[i].key == *key && self.is_done(i));
        let is_due = |index: &usize| !self.sent[*index] && self.exhibits[*index].after.iter().all(is_there);
        let due: Vec<usize> = (0..self.exhibits.len()).filter(is_due).collect();
        due.iter().for_each(|index| self.sent[*index] = true);
        due
    }
}

/// Uploads the files side by side and waits for their jobs; the jobs of each file by rule.
fn run_jobs(client: &Arc<Client>, exhibits: &[Exhibit]) -> Result<Vec<BTreeMap<String, Job>>> {
    let (news, heard) = mpsc::channel();
    let uploads = Arc::new(Uploads::default());
    watch::listen(client.clone(), uploads.clone(), news.clone());
    let mut board = Board::new(exhibits);
    std::thread::scope(|scope| {
        while !board.all_done() {
            match heard.recv().map_err(|_| Ending::failed("the live feed ended"))? {
                News::Listening => {}
                News::Progress { index, read } => {
                    exhibits[index].bar.set_message("processing");
                    exhibits[index].bar.set_position(read);
                }
                News::Ended { index, job } => board.end(index, client.job(&job)?),
                News::Broken(e) => return Err(e),
            }
            for index in board.due() {
                let (uploads, news) = (&uploads, news.clone());
                scope.spawn(move || {
                    if let Err(e) = send(client, &exhibits[index], index, uploads) {
                        let _nobody_waits = news.send(News::Broken(e));
                    }
                });
            }
        }
        Ok(())
    })?;
    uploads.set_all_ended();
    Ok(board.ended)
}

fn send(client: &Client, exhibit: &Exhibit, index: usize, uploads: &Uploads) -> Result<()> {
    let (bucket, key) = (exhibit.bucket.to_owned(), exhibit.key.to_owned());
    let wish = Wish { filename: key.clone(), bucket: Some(bucket), key: Some(key), ..Wish::default() };
    let links = upload::begin(client, &wish, &*exhibit.source)?;
    uploads.register(&links.id, index);
    exhibit.bar.set_message("uploading");
    upload::send(client, &links, &*exhibit.source, &exhibit.bar)?;
    exhibit.bar.set_message("uploaded");
    Ok(())
}

/// In the order of the files and of their rules.
fn judged(client: &Client, exhibits: &[Exhibit], ended: Vec<BTreeMap<String, Job>>) -> Vec<Shown> {
    let mut shown = Vec::new();
    for (exhibit, mut jobs) in exhibits.iter().zip(ended) {
        for expected in &exhibit.results {
            let job = jobs.remove(expected.rule);
            shown.extend(job.map(|job| verdict::judged(client, &*exhibit.source, expected, job)));
        }
    }
    shown
}
