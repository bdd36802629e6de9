//! Every command as people and as programs use it: what it prints, what `--json` says, and how it ends.

use filemill_e2e::inputs::{self, text};
use filemill_e2e::reference::{assert_same, sed};
use filemill_e2e::service::JOB_PATIENCE;
use filemill_e2e::stage::MANY_CHUNKS;
use filemill_e2e::{Job, Ran, Stage};
use serde_json::{Value, json};
use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use tempfile::TempDir;

const TEXT: &[u8] = b"one\n\ntwo\r\nlast";
const NO_JOB: &str = "job_00000000000000000000000000";
const NO_FILE: &str = "fil_00000000000000000000000000";
/// Several seconds of work with [`MANY_CHUNKS`].
const LARGE: usize = 32 << 20;

fn folder_with(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).expect("an input");
    }
    folder
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> =
        entries.map(|e| e.expect("an entry").file_name().into_string().expect("test names are UTF-8")).collect();
    names.sort();
    names
}

fn field<'a>(json: &'a Value, name: &str) -> &'a str {
    json[name].as_str().unwrap_or_else(|| panic!("no {name} in {json}"))
}

/// With two files put: `a/one.txt` and, by a long way, `b/two.txt`.
fn stage_with_two() -> Stage {
    let stage = Stage::open();
    stage.file("one.txt", TEXT);
    stage.file("two.txt", b"2\n");
    stage.filemill(&["put", "one.txt", "--prefix", "a/", "--wait"]).good();
    stage.filemill(&["put", "two.txt", "--key", "b/two.txt", "--wait"]).good();
    stage
}

/// With a job that goes on for seconds.
fn stage_with_a_long_job() -> (Stage, Job) {
    let stage = Stage::with_config(MANY_CHUNKS);
    stage.service.bucket("uploads").put("large.txt", &text(1, LARGE));
    let job = stage.service.feed.wait("a running job", JOB_PATIENCE, || {
        stage.service.jobs_of("uploads", "large.txt").into_iter().find(|job| job.status() == "running")
    });
    (stage, job)
}

#[test]
fn run_makes_of_any_content_what_sed_makes_of_it() {
    let inputs = inputs::peculiar();
    let inputs: Vec<(&str, &[u8])> = inputs.iter().map(|(name, content)| (*name, content.as_slice())).collect();
    let folder = folder_with(&inputs);
    std::fs::create_dir(folder.path().join("out")).expect("a folder");
    let names = inputs.iter().map(|(name, _)| *name);
    let args: Vec<&str> = ["run", "hello-lines", "-o", "out"].into_iter().chain(names).collect();
    assert_eq!(Ran::filemill(folder.path(), &args).good().text(), "");
    for (name, content) in inputs {
        let result = std::fs::read(folder.path().join("out").join(name)).expect(name);
        assert_same(name, &result, &sed(content));
    }
}

#[test]
fn run_is_a_filter() {
    let content = text(1, 3_000_000);
    let folder = folder_with(&[("in.txt", &content)]);
    let run = |args: &[&str]| {
        let input = File::open(folder.path().join("in.txt")).expect("the input");
        Ran::with(folder.path(), args, |command| {
            command.stdin(input);
        })
    };
    assert_same("by name", &run(&["run", "hello-lines", "in.txt"]).good().stdout, &sed(&content));
    assert_same("by standard input", &run(&["run", "hello-lines", "-"]).good().stdout, &sed(&content));
    assert_same("to -", &run(&["run", "hello-lines", "-", "-o", "-"]).good().stdout, &sed(&content));
    let by_kind = run(&["run", "lines.prefix", "--set", "text=Hello! ", "-"]).good();
    assert_same("by the processor's kind", &by_kind.stdout, &sed(&content));
}

#[test]
fn run_says_in_json_what_it_did() {
    let folder = folder_with(&[("in.txt", TEXT)]);
    let ran = Ran::filemill(folder.path(), &["run", "hello-lines", "in.txt", "-o", "out.txt", "--json"]).good().json();
    let bytes = json!({ "in": TEXT.len(), "out": sed(TEXT).len() });
    let item = &ran["items"][0];
    assert_eq!((&item["input"], &item["output"], &item["bytes"]), (&json!("in.txt"), &json!("out.txt"), &bytes));
    assert_same("the output", &std::fs::read(folder.path().join("out.txt")).expect("a result"), &sed(TEXT));
}

#[test]
fn run_says_what_it_cannot_do_and_leaves_nothing_behind() {
    let config: &[u8] = b"schema = 1\nserver = { listn = \"127.0.0.1:1\" }\n";
    let folder = folder_with(&[("in.txt", TEXT), ("bad.toml", config)]);
    let run = |args: &[&str]| Ran::filemill(folder.path(), &[&["run"], args].concat());
    run(&["no-rule", "in.txt"]).bad(4, &["no-rule", "hello-lines", "lines.prefix"]);
    run(&["hello-lines", "no-file"]).bad(4, &["no-file", "no such file"]);
    run(&["hello-lines", "no-file", "-o", "out.txt"]).bad(4, &["no such file"]);
    run(&["hello-lines", "."]).bad(2, &["a folder"]);
    run(&["hello-lines", "in.txt", "-o", "no-folder/out.txt"]).bad(1, &["no-folder"]);
    run(&["hello-lines", "in.txt", "-o", "in.txt"]).bad(2, &["would overwrite", "input"]);
    run(&["hello-lines", "in.txt", "in.txt"]).bad(2, &["-o with a folder"]);
    run(&["hello-lines", "in.txt", "--json"]).bad(2, &["--output"]);
    run(&["lines.prefix", "in.txt"]).bad(2, &["missing option `text`", "--set"]);
    run(&["lines.prefix", "--set", "txt=a", "in.txt"]).bad(2, &["txt"]);
    run(&["hello-lines", "in.txt", "--config", "bad.toml"]).bad(2, &["bad.toml:2", "listn"]);
    assert_eq!(names_in(folder.path()), ["bad.toml", "in.txt"]);
}

#[test]
fn put_uploads_and_waits_for_the_result() {
    let stage = Stage::open();
    stage.file("one.txt", TEXT);
    stage.file("two.txt", b"");
    let said = stage.filemill(&["put", "one.txt", "--key", "a/k.txt", "--wait"]).good().text();
    for words in ["uploads/a/k.txt  14 B  upl_", "hello-lines  completed", "results/a/k.txt"] {
        assert!(said.contains(words), "{said}");
    }
    stage.service.expect_exact("uploads", "a/k.txt", TEXT);

    let said = stage.filemill(&["put", "one.txt", "two.txt", "--prefix", "p/", "--wait", "--json"]).good().json();
    for (item, (key, content)) in said["items"].as_array().expect("items").iter().zip([("one", TEXT), ("two", b"")]) {
        assert_eq!((field(item, "key"), &item["size"]), (&*format!("p/{key}.txt"), &json!(content.len())));
        assert_eq!(item["jobs"][0]["status"], "completed");
        let job = stage.service.expect_exact("uploads", field(item, "key"), content);
        assert_eq!((&item["jobs"][0]["id"], &item["upload"]), (&job.0["id"], &job.0["upload"]));
    }
}

#[test]
fn put_takes_standard_input_and_options_for_the_rule() {
    let stage = Stage::open();
    let input = stage.file("in.txt", TEXT);
    let args = ["put", "-", "--key", "piped.txt", "--rule", "hello-lines", "--option", "text=> ", "--wait", "--json"];
    let ran = Ran::with(stage.folder.path(), &args, |command| {
        command.env("FILEMILL_URL", &stage.service.api).env("FILEMILL_DATA", stage.data());
        command.stdin(File::open(input).expect("the input"));
    });
    let item = &ran.good().json()["items"][0];
    assert_eq!((field(item, "key"), &item["size"]), ("piped.txt", &json!(TEXT.len())));
    let result = stage.filemill(&["get", field(&item["jobs"][0], "id"), "-o", "-"]).good();
    assert_eq!(result.text(), "> one\n> \n> two\r\n> last");
}

#[test]
fn put_says_what_it_cannot_do() {
    let stage = Stage::open();
    stage.file("in.txt", TEXT);
    let put = |args: &[&str]| stage.filemill(&[&["put"], args].concat());
    put(&["no-file"]).bad(4, &["no-file", "no such file"]);
    put(&["."]).bad(2, &["a folder"]);
    put(&["in.txt", "--rule", "no-rule"]).bad(2, &["in.txt", "no rule", "no-rule"]);
    put(&["in.txt", "--rule", "hello-lines", "--option", "txt=1"]).bad(2, &["unknown option `txt`", "`text`"]);
    put(&["in.txt", "--bucket", "no-bucket"]).bad(2, &["no bucket", "no-bucket"]);
    put(&["in.txt", "--key", &"k".repeat(1025)]).bad(2, &["key", "1024"]);
    put(&["in.txt", "in.txt", "--key", "k"]).bad(2, &["--prefix"]);
    put(&["in.txt", "--option", "text=a"]).bad(2, &["--rule"]);
    assert_eq!(stage.filemill(&["ls"]).good().text(), "", "something was stored");
}

#[test]
fn get_fetches_results_files_and_objects() {
    let stage = stage_with_two();
    let job = stage.service.ended_job("uploads", "a/one.txt");
    let by_job = stage.filemill(&["get", job.id(), "-o", "-"]).good();
    assert_same("by the job's id", &by_job.stdout, &sed(TEXT));

    let said = stage.filemill(&["get", "results/a/one.txt", "-o", "out.txt"]).good().text();
    assert!(said.starts_with("out.txt  "), "{said}");
    assert_same("by bucket and key", &std::fs::read(stage.path("out.txt")).expect("a result"), &sed(TEXT));

    let file = stage.filemill(&["ls", "uploads/b/", "--json"]).good().json()["items"][0].clone();
    stage.filemill(&["get", field(&file, "id"), "--force"]).good();
    assert_same("by the file's id", &std::fs::read(stage.path("two.txt")).expect("a file"), b"2\n");

    let said = stage.filemill(&["get", "uploads/a/one.txt", "-o", "one.out", "--json"]).good().json();
    assert_eq!(said, json!({ "path": "one.out", "size": TEXT.len() }));
}

#[test]
fn get_says_what_it_cannot_do_and_overwrites_nothing() {
    let stage = stage_with_two();
    stage.file("one.txt", b"mine");
    let get = |args: &[&str]| stage.filemill(&[&["get"], args].concat());
    get(&["uploads/a/one.txt"]).bad(2, &["one.txt exists", "--force"]);
    get(&[NO_JOB]).bad(4, &["no job", NO_JOB]);
    get(&[NO_FILE]).bad(4, &["no file", NO_FILE]);
    get(&["uploads/no-key"]).bad(4, &["no object", "uploads/no-key"]);
    get(&["no-bucket/a/one.txt"]).bad(4, &["no object"]);
    get(&["anything"]).bad(2, &["BUCKET/KEY"]);
    get(&["uploads/a/one.txt", "-o", "no-folder/out"]).bad(1, &["no-folder"]);
    assert_eq!(std::fs::read(stage.path("one.txt")).expect("mine"), b"mine");
    assert_eq!(names_in(stage.folder.path()), ["data", "one.txt", "two.txt"]);
}

#[test]
fn ls_and_files_list_what_is_there() {
    let stage = stage_with_two();
    let all = ["results/a/one.txt", "results/b/two.txt", "uploads/a/one.txt", "uploads/b/two.txt"];
    for (args, expected) in [
        (&["ls"][..], &all[..]),
        (&["ls", "uploads"], &all[2..]),
        (&["ls", "uploads/a"], &all[2..3]),
        (&["files"], &all),
        (&["files", "--bucket", "results", "--prefix", "b/"], &all[1..2]),
    ] {
        let said = stage.filemill(args).good().text();
        let objects: Vec<&str> = said.lines().skip(1).filter_map(|line| line.split_whitespace().last()).collect();
        assert_eq!(objects, expected, "{args:?}: {said}");
        let said = stage.filemill(&[args, &["--json"]].concat()).good().json();
        let items = said["items"].as_array().expect("items").iter();
        let objects: Vec<String> = items.map(|i| format!("{}/{}", field(i, "bucket"), field(i, "key"))).collect();
        assert_eq!(objects, expected, "{args:?}: {said}");
    }
    let first = stage.filemill(&["files", "--limit", "1"]).good();
    assert!(first.text().lines().count() == 2 && first.stderr.contains("--limit"), "{first:?}");
    stage.filemill(&["ls", "No Bucket"]).bad(2, &["bucket"]);
    stage.filemill(&["files", "--limit", "0"]).bad(2, &["--limit"]);
    stage.filemill(&["files", "--remove"]).bad(2, &["FILE_ID"]);
}

#[test]
fn files_shows_and_removes_one() {
    let stage = stage_with_two();
    let listed = stage.filemill(&["ls", "uploads", "--json"]).good().json();
    let (one, two) = (field(&listed["items"][0], "id"), field(&listed["items"][1], "id"));
    assert_eq!(stage.filemill(&["files", one, "--json"]).good().json()["items"][0], listed["items"][0]);
    assert!(stage.filemill(&["files", one]).good().text().contains("uploads/a/one.txt"));
    assert_eq!(stage.filemill(&["files", one, "--remove"]).good().text(), format!("removed {one}\n"));
    assert_eq!(stage.filemill(&["files", two, "--remove", "--json"]).good().json(), json!({ "removed": [two] }));
    stage.filemill(&["get", one]).bad(4, &["no file", one]);
    stage.filemill(&["files", one, "--remove"]).bad(4, &["no file", one]);
    stage.filemill(&["files", NO_FILE]).bad(4, &["no file"]);
    assert_eq!(stage.service.bucket("uploads").list(10), []);
}

#[test]
fn jobs_lists_the_newest_first() {
    let stage = stage_with_two();
    let ids = |args: &[&str]| {
        let said = stage.filemill(&[&["jobs"], args].concat()).good().text();
        let lines = said.lines().skip(1);
        lines.map(|line| line.split_whitespace().next().expect("an id").to_owned()).collect::<Vec<_>>()
    };
    let [one, two] = ["a/one.txt", "b/two.txt"].map(|key| stage.service.ended_job("uploads", key));
    assert_eq!(ids(&[]), [two.id(), one.id()]);
    assert_eq!(ids(&["--status", "completed", "--rule", "hello-lines", "--key", "a/*"]), [one.id()]);
    assert_eq!(ids(&["--status", "failed"]), [""; 0]);
    let said = stage.filemill(&["jobs", "--bucket", "uploads", "--key", "b/two.txt", "--json"]).good().json();
    assert_eq!(said["items"], json!([two.0]));
    stage.filemill(&["jobs", "--status", "done"]).bad(2, &["status", "completed"]);
    stage.filemill(&["jobs", "--upload", NO_JOB]).bad(2, &["upload", NO_JOB]);
}

#[test]
fn job_shows_one() {
    let stage = stage_with_two();
    let job = stage.service.ended_job("uploads", "a/one.txt");
    let said = stage.filemill(&["job", job.id()]).good().text();
    for words in [job.id(), "completed", "hello-lines (lines.prefix)", "uploads/a/one.txt  14 B", "results/a/one.txt"] {
        assert!(said.contains(words), "{words} is not in {said}");
    }
    assert_eq!(stage.filemill(&["job", job.id(), "--json"]).good().json(), job.0);
    assert_eq!(stage.filemill(&["job", job.id(), "--follow", "--json"]).good().json(), job.0);
    stage.filemill(&["job", job.id(), "--retry"]).bad(1, &["completed"]);
    stage.filemill(&["job", job.id(), "--cancel"]).bad(1, &["completed"]);
    stage.filemill(&["job", job.id(), "--cancel", "--retry"]).bad(2, &["--retry"]);
    for verb in [&[][..], &["--follow"], &["--cancel"], &["--retry"]] {
        stage.filemill(&[&["job", NO_JOB], verb].concat()).bad(4, &["no job", NO_JOB]);
    }
}

#[test]
fn job_cancels_and_retries() {
    let (stage, job) = stage_with_a_long_job();
    let cancelled = stage.filemill(&["job", job.id(), "--cancel", "--json"]).good().json();
    assert_eq!(field(&cancelled, "status"), "cancelled");
    let followed = stage.filemill(&["job", job.id(), "--follow"]);
    assert_eq!(followed.code, Some(1), "{}", followed.stderr);
    assert!(followed.text().contains("cancelled") && followed.stderr.contains("cancelled"), "{followed:?}");
    stage.filemill(&["get", job.id()]).bad(1, &["no result", "cancelled"]);
    let again = stage.filemill(&["job", job.id(), "--retry", "--follow", "--json"]).good().json();
    assert_eq!(field(&again, "status"), "completed");
    stage.service.expect_exact("uploads", "large.txt", &text(1, LARGE));
}

#[test]
fn put_that_waits_says_when_a_job_did_not_complete() {
    let stage = Stage::with_config(MANY_CHUNKS);
    stage.file("large.txt", &text(1, LARGE));
    std::thread::scope(|scope| {
        let put = scope.spawn(|| stage.filemill(&["put", "large.txt", "--key", "large.txt", "--wait"]));
        let job = stage
            .service
            .feed
            .wait("the job", JOB_PATIENCE, || stage.service.jobs_of("uploads", "large.txt").into_iter().next());
        stage.filemill(&["job", job.id(), "--cancel"]).good();
        let put = put.join().expect("the command ends");
        assert_eq!(put.code, Some(1), "{}", put.stderr);
        assert!(put.stderr.contains(job.id()) && put.stderr.contains("cancelled"), "{}", put.stderr);
    });
}

#[test]
fn rules_are_listed_and_checked() {
    let stage = Stage::open();
    let said = stage.filemill(&["rules"]).good().text();
    let row = said.lines().find(|line| line.starts_with("hello-lines ")).unwrap_or_else(|| panic!("{said}"));
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert!(cells[1..3] == ["uploads", "all"] && cells.contains(&"results/{key}"), "{said}");
    let listed = stage.filemill(&["rules", "--json"]).good().json();
    assert_eq!(listed["items"], stage.service.get("/v1/rules").expect(200).json()["items"]);

    let starter = concat!(env!("CARGO_MANIFEST_DIR"), "/../../filemill.toml");
    for args in [&["rules", "check"][..], &["rules", "check", starter]] {
        let said = stage.filemill(args).good().text();
        assert!(said.contains("hello-lines") && said.trim_end().ends_with("is good"), "{said}");
        let checked = stage.filemill(&[args, &["--json"]].concat()).good().json();
        assert_eq!(checked["items"][0]["id"], "hello-lines");
    }
}

#[test]
fn rules_and_processors_are_explained_without_a_service() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let explain = |args: &[&str]| Ran::filemill(folder.path(), &[&["rules", "explain"], args].concat());
    let said = explain(&["inbox/may/note.md"]).good().text();
    let starting: Vec<&str> = said.lines().skip(1).take(2).collect();
    assert!(starting[0].starts_with("notes-to-html ") && starting[0].ends_with("results/may/note.html"), "{said}");
    assert!(starting[1].starts_with("notes-sentiment ") && starting[1].ends_with(".sentiment.json"), "{said}");
    assert!(said.lines().skip(3).all(|line| line.contains(" no ")), "{said}");
    let said = explain(&["csv-to-jsonl"]).good().text();
    for words in ["objects of inbox: key suffix=\".csv\"", "ragged  string, default \"error\", here \"reject\""] {
        assert!(said.contains(words), "{words}: {said}");
    }
    for target in ["csv.transform", "json.to_csv", "archive.zip"] {
        let said = explain(&[target]).good().text();
        let widest = said.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        assert!(said.starts_with(&format!("{target}: ")) && widest <= 120, "{widest}: {said}");
    }
    assert!(explain(&[]).good().text().contains("text.sentiment"));
    explain(&["neither"]).bad(4, &["neither", "no rule"]);
}

#[test]
fn a_bad_config_is_refused_at_its_line() {
    let rule = |more: &str| {
        format!(
            "schema = 1\n\n[[rules]]\nid = \"r\"\nfrom = \"uploads\"\noutput = {{ bucket = \"results\", key = \"{{key}}\" }}\n{more}\n"
        )
    };
    let prefix = "process = { kind = \"lines.prefix\", text = \"x\" }\n";
    for (config, words) in [
        (rule(&format!("{prefix}frm = \"x\"")), &["bad.toml:8:1", "`frm`", "`from`"][..]),
        (rule(""), &["bad.toml:3", "process"]),
        (rule("process = { kind = \"lines.prefx\" }"), &["lines.prefx", "lines.prefix"]),
        (rule("process = { kind = \"lines.prefix\" }"), &["text"]),
        (rule(&format!("{prefix}queue = \"No Queue\"")), &["queue"]),
        (rule("process = { kind = \"lines.prefix\", text = \"${env:NO_SUCH_VARIABLE}\" }"), &["NO_SUCH_VARIABLE"]),
        (rule(&format!("{prefix}[server]\nlisten = \"everywhere\"")), &["bad.toml:9:10", "listen"]),
        ("schema = \n".to_owned(), &["bad.toml:1:10"]),
        ("schema = 99\n".to_owned(), &["schema", "99"]),
    ] {
        let folder = folder_with(&[("bad.toml", config.as_bytes())]);
        Ran::filemill(folder.path(), &["rules", "check", "bad.toml"]).bad(2, words);
        Ran::filemill(folder.path(), &["serve", "--config", "bad.toml", "--data", "data"]).bad(2, words);
        assert_eq!(names_in(folder.path()), ["bad.toml"]);
    }
    let folder = folder_with(&[]);
    Ran::filemill(folder.path(), &["rules", "check", "no.toml"]).bad(2, &["no.toml"]);
}

/// One line of each command that speaks to a service.
const CLIENTS: &[&[&str]] = &[
    &["put", "in.txt"],
    &["put", "in.txt", "--wait"],
    &["get", "uploads/in.txt"],
    &["get", NO_JOB, "-o", "-"],
    &["ls"],
    &["files"],
    &["files", NO_FILE, "--remove"],
    &["jobs"],
    &["job", NO_JOB],
    &["job", NO_JOB, "--follow"],
    &["rules"],
];

#[test]
fn a_service_that_does_not_run_is_3_and_says_how_to_run_it() {
    let folder = folder_with(&[("in.txt", TEXT)]);
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let url = format!("http://{free}");
    for args in CLIENTS {
        let ran = Ran::filemill(folder.path(), &[args, &["--url", &url, "--token", "any"][..]].concat());
        ran.bad(3, &[&url, "filemill serve", "--url"]);
        Ran::filemill(folder.path(), &[args, &["--url", "nowhere"][..]].concat()).bad(2, &["nowhere", "--url"]);
    }
}

#[test]
fn wrong_credentials_are_1_and_it_says_where_they_come_from() {
    let stage = Stage::open();
    stage.file("in.txt", TEXT);
    for args in CLIENTS {
        stage.filemill(&[args, &["--token", "wrong-token"][..]].concat()).bad(1, &["not valid", "--token", "--data"]);
        let ran = stage.filemill(&[args, &["--data", "elsewhere"][..]].concat());
        ran.bad(1, &["No token was found", "--token", "--data"]);
        stage.file("broken/credentials.json", b"{");
        stage.filemill(&[args, &["--data", "broken"][..]].concat()).bad(1, &["credentials.json"]);
    }
}

#[test]
fn a_wrong_command_line_is_2_and_help_is_at_hand() {
    let folder = folder_with(&[]);
    let filemill = |args: &[&str]| Ran::filemill(folder.path(), args);
    filemill(&[]).bad(2, &["Usage", "put"]);
    filemill(&["no-command"]).bad(2, &["no-command", "--help"]);
    let help = filemill(&["--help"]).good().text();
    for command in ["serve", "demo", "run", "put", "get", "ls", "files", "jobs", "job", "rules"] {
        assert!(help.contains(&format!("\n  {command} ")), "{command} is not in {help}");
        filemill(&[command, "--no-flag"]).bad(2, &["--no-flag", "--help"]);
        let help = filemill(&[command, "--help"]).good().text();
        assert!(help.contains("Usage") && help.contains("Exit codes"), "{help}");
    }
    for command in ["run", "put", "get", "job"] {
        filemill(&[command]).bad(2, &["required", "Usage"]);
    }
    assert!(filemill(&["--version"]).good().text().starts_with("filemill "));
}
