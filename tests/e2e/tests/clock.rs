//! The wall clock is set while work runs: no lease ends early, nothing runs twice or hangs, and links hold by the clock on
//! the wall, as they say.

use filemill_e2e::tools::skip;
use filemill_e2e::{Launch, Service};
use filemill_trials::trials;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

const HOUR: i64 = 3600;
const STEPS: [i64; 4] = [HOUR, -HOUR, HOUR / 4, -HOUR / 4];
const PATIENCE: Duration = Duration::from_secs(30);

/// What the service's process is told by libfaketime; its monotonic clock stays the system's.
struct FakeClock {
    library: PathBuf,
    file: PathBuf,
    seconds: i64,
}

impl FakeClock {
    fn in_folder(folder: &Path) -> Option<FakeClock> {
        let folders = std::fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
        let library = folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).find(|file| file.is_file());
        let Some(library) = library else {
            skip("libfaketime is not installed");
            return None;
        };
        let mut clock = FakeClock { library, file: folder.join("clock"), seconds: 0 };
        clock.set(0);
        Some(clock)
    }

    fn set(&mut self, by_seconds: i64) {
        self.seconds += by_seconds;
        let draft = self.file.with_extension("draft");
        std::fs::write(&draft, format!("{:+}\n", self.seconds)).expect("a file");
        std::fs::rename(&draft, &self.file).expect("its name");
    }

    fn given_to(&self, launch: Launch) -> Launch {
        let text = |path: &Path| path.to_str().expect("plain text").to_owned();
        launch
            .env("LD_PRELOAD", &text(&self.library))
            .env("FAKETIME_TIMESTAMP_FILE", &text(&self.file))
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    }
}

/// A processor that has its work in hand until the test lets it go.
struct Held {
    body: Vec<u8>,
    stream: TcpStream,
}

impl Held {
    fn listen(listener: TcpListener) -> Receiver<Held> {
        let (sender, received) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let sender = sender.clone();
                std::thread::spawn(move || sender.send(Held::read(stream)));
            }
        });
        received
    }

    fn read(stream: TcpStream) -> Held {
        let mut request = BufReader::new(stream.try_clone().expect("a second handle"));
        let lines = request.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty());
        let length = lines.filter_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.last().expect("a length")];
        request.read_exact(&mut body).expect("the whole body");
        Held { body, stream }
    }

    fn let_go(mut self) {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", self.body.len());
        self.stream.write_all(&[head.as_bytes(), &self.body].concat()).expect("an answer");
    }
}

fn config(processor: &str) -> String {
    format!(
        r#"
        schema = 1

        [processors.held.http]
        url = "http://{processor}/"
        allow = ["{processor}"]
        timeout = "5m"

        [[rules]]
        id = "held"
        from = "held"
        process = {{ kind = "held" }}
        output = {{ bucket = "results", key = "held/{{key}}" }}

        [[rules]]
        id = "quick"
        from = "quick"
        process = {{ kind = "lines.prefix", text = "> " }}
        output = {{ bucket = "results", key = "quick/{{key}}" }}
        "#
    )
}

fn promised(service: &Service, bucket: &str) -> Value {
    service.new_upload(&json!({ "filename": "a.txt", "bucket": bucket }))
}

#[test]
fn a_clock_that_is_set_ends_no_lease_and_starts_nothing_twice() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(mut clock) = FakeClock::in_folder(folder.path()) else { return };
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let config_file = folder.path().join("filemill.toml");
    std::fs::write(&config_file, config(&listener.local_addr().expect("an address").to_string())).expect("a config");
    let held = Held::listen(listener);
    let launch = Launch::on(&folder.path().join("data")).arg("--config").arg(&config_file);
    let service = clock.given_to(launch).start();

    let steps: Vec<i64> = STEPS.into_iter().cycle().take(trials(4, 40)).collect();
    for (number, step) in steps.iter().enumerate() {
        let content = format!("work {number}\n");
        let upload = promised(&service, "held");
        service.send_upload(&upload, content.as_bytes()).expect(200);
        let work = held.recv_timeout(PATIENCE).expect("the processor is asked");
        assert_eq!(work.body, content.as_bytes());
        let older_link = promised(&service, "quick");

        clock.set(*step);

        // whoever takes this task would have taken the other too, if its lease were over
        let quick = promised(&service, "quick");
        service.send_upload(&quick, b"quick\n").expect(200);
        service.ended_job_of_upload(&quick).expect_completed();
        assert!(held.try_recv().is_err(), "a second worker has the task after a step of {step} s");
        if step.abs() == HOUR {
            // its time is over, or has not come
            assert_eq!(service.send_upload(&older_link, b"too late\n").status, 403, "after a step of {step} s");
        }

        work.let_go();
        let job = service.ended_job_of_upload(&upload).expect_completed();
        assert_eq!(service.result(&job), content.as_bytes());
    }
    assert!(held.try_recv().is_err(), "something ran twice");
    assert_eq!(service.jobs("bucket=held&limit=1000").len(), steps.len());
    eprintln!("{} steps of the clock, none moved a lease", steps.len());
    service.stop();
}
