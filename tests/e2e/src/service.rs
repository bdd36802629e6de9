//! A running service and its doors.
//!
//! Ends by SIGTERM (which must exit 0) or SIGKILL, only by its own process id. Whenever it ends, its log is searched for
//! secrets.

use crate::feed::Feed;
use crate::http::{self, Reply};
use crate::job::Job;
use crate::logs::Logs;
use crate::reference::{assert_same, sed};
use crate::s3::S3;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use serde_json::Value;
use std::path::Path;
use std::process::Child;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

#[derive(Clone)]
pub struct Credentials {
    pub admin_token: String,
    pub s3_key: String,
    pub s3_secret: String,
}

impl Credentials {
    pub fn read(data: &Path) -> Credentials {
        let text = std::fs::read_to_string(data.join("credentials.json")).expect("credentials.json is there");
        let json: Value = serde_json::from_str(&text).expect("credentials.json is JSON");
        let field = |name: &str| json[name].as_str().unwrap_or_else(|| panic!("no {name}")).to_owned();
        Credentials {
            admin_token: field("admin_token"),
            s3_key: field("s3_access_key_id"),
            s3_secret: field("s3_secret_access_key"),
        }
    }
}

pub struct Service {
    child: Child,
    pub api: String,
    pub s3: String,
    pub credentials: Credentials,
    pub logs: Logs,
    pub feed: Feed,
    /// From the start of the process to its ready line.
    pub ready_in: Duration,
    /// Closes when the process is gone.
    ended: Mutex<Receiver<()>>,
    running: bool,
}

/// No job of any scenario takes longer, also on a busy machine.
pub const JOB_PATIENCE: Duration = Duration::from_secs(90);
/// What a drain may take, and a little.
const STOP_PATIENCE: Duration = Duration::from_secs(35);

impl Service {
    pub(crate) fn new(
        child: Child,
        api: String,
        s3: String,
        credentials: Credentials,
        logs: Logs,
        ended: Receiver<()>,
        ready_in: Duration,
    ) -> Service {
        let feed = Feed::open(&api, &credentials.admin_token);
        Service { child, api, s3, credentials, logs, feed, ready_in, ended: Mutex::new(ended), running: true }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn process(&self) -> Pid {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id")
    }

    /// From now on it may have so many files and sockets open.
    pub fn limit_descriptors(&self, count: u64) {
        let limit = Rlimit { current: Some(count), maximum: Some(count) };
        prlimit(Some(self.process()), Resource::Nofile, limit).expect("a child of ours takes limits");
    }

    /// SIGTERM; answers how long it took to end, with exit code 0.
    #[track_caller]
    pub fn stop(mut self) -> Duration {
        let began = Instant::now();
        self.terminate();
        self.expect_ended();
        began.elapsed()
    }

    /// Asks it to stop and returns at once.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// SIGSTOP: nothing of it runs until it goes on.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.process(), signal).expect("a child of ours takes signals");
    }

    #[track_caller]
    pub fn expect_ended(&mut self) {
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        let gone = ended.recv_timeout(STOP_PATIENCE);
        assert_eq!(gone, Err(RecvTimeoutError::Disconnected), "still there {STOP_PATIENCE:?} after SIGTERM");
        let status = self.child.wait().expect("a child of ours can be waited for");
        self.running = false;
        assert_eq!(status.code(), Some(0), "{}", self.logs.tail());
    }

    /// SIGKILL, and gone when this returns.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if std::mem::take(&mut self.running) {
            let _already_gone = self.child.kill();
            self.child.wait().expect("a child of ours can be waited for");
        }
    }

    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.credentials.admin_token)
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let bearer = self.bearer();
        let headers: Vec<_> = [("authorization", bearer.as_str())].into_iter().chain(headers.iter().copied()).collect();
        http::send(method, &format!("{}{path}", self.api), &headers, body)
    }

    pub fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], &[])
    }

    pub fn delete(&self, path: &str) -> Reply {
        self.send("DELETE", path, &[], &[])
    }

    pub fn post(&self, path: &str, body: &Value) -> Reply {
        self.send("POST", path, &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    #[track_caller]
    pub fn new_upload(&self, wish: &Value) -> Value {
        self.post("/v1/uploads", wish).expect(201).json()
    }

    /// By the upload's own link, with the headers that it wants.
    pub fn send_upload(&self, upload: &Value, content: &[u8]) -> Reply {
        let headers = upload["headers"].as_object().into_iter().flatten();
        // the client itself says how long the body is
        let headers = headers.filter(|(name, _)| !name.eq_ignore_ascii_case("content-length"));
        let headers: Vec<_> = headers.map(|(name, value)| (name.as_str(), value.as_str().expect("a header"))).collect();
        http::send("PUT", upload["url"].as_str().expect("a link"), &headers, content)
    }

    /// A client of one bucket at the S3 door.
    pub fn bucket(&self, name: &str) -> S3 {
        S3::new(&self.s3, name, &self.credentials)
    }

    /// Jobs of an input, newest first.
    pub fn jobs_of(&self, bucket: &str, key: &str) -> Vec<Job> {
        let query = http::query(&[("bucket", bucket), ("key", key), ("limit", "1000")]);
        self.jobs(&query)
    }

    pub fn jobs(&self, query: &str) -> Vec<Job> {
        let page = self.get(&format!("/v1/jobs?{query}")).expect(200).json();
        page["items"].as_array().expect("a list has items").iter().cloned().map(Job).collect()
    }

    /// The newest job of an input, once it has ended.
    #[track_caller]
    pub fn ended_job(&self, bucket: &str, key: &str) -> Job {
        self.feed.wait(&format!("the end of the job of {bucket}/{key:?}"), JOB_PATIENCE, || {
            self.jobs_of(bucket, key).into_iter().next().filter(Job::has_ended)
        })
    }

    #[track_caller]
    pub fn ended_job_of_upload(&self, upload: &Value) -> Job {
        let id = upload["id"].as_str().expect("an upload has an id");
        let query = http::query(&[("upload", id)]);
        let what = format!("the end of the job of upload {id}");
        self.feed.wait(&what, JOB_PATIENCE, || self.jobs(&query).into_iter().next().filter(Job::has_ended))
    }

    #[track_caller]
    pub fn ended_job_with_id(&self, id: &str) -> Job {
        self.feed.wait(&format!("the end of job {id}"), JOB_PATIENCE, || {
            Some(Job(self.get(&format!("/v1/jobs/{id}")).expect(200).json())).filter(Job::has_ended)
        })
    }

    /// The result by its link, as any client fetches it.
    #[track_caller]
    pub fn result(&self, job: &Job) -> Vec<u8> {
        let answer = self.get(&format!("/v1/jobs/{}/result", job.id())).expect(303);
        http::send("GET", answer.header("location"), &[], &[]).expect(200).body
    }

    /// The job of this input completes, and its result is what sed makes of these bytes.
    #[track_caller]
    pub fn expect_exact(&self, bucket: &str, key: &str, input: &[u8]) -> Job {
        let job = self.ended_job(bucket, key).expect_completed();
        assert_eq!(job.input_size(), input.len() as u64, "size of {key:?}");
        assert_same(&format!("result of {key:?}"), &self.result(&job), &sed(input));
        job
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.end();
        if std::thread::panicking() {
            eprintln!("the end of the service's log:\n{}", self.logs.tail());
        } else {
            self.logs.assert_no_secret(&self.credentials);
        }
    }
}
