//! Good configs load; bad ones say where and why, and never a secret.

use super::*;
use filemill_core::rule::RuleId;

fn load(text: &str) -> Result<Config> {
    let env = |name: &str| match name {
        "SECRET" => Some("hunter2".to_owned()),
        "HOOK_SECRET" => Some(KEY.to_owned()),
        _ => None,
    };
    let parsed = parse("test.toml", text, &Sources { env: &env, folder: Path::new("/etc/filemill") })?;
    assemble("test.toml".into(), Path::new("/etc/filemill"), parsed, &Overrides::default())
}

fn error_of(text: &str) -> String {
    let error = load(text).expect_err("a bad config");
    assert_eq!(crate::exit::exit_of(&error), crate::exit::Exit::Usage);
    format!("{error:#}")
}

/// A rule with the line `extra` in it, which is line 9 of the file.
fn with_rule(extra: &str) -> String {
    format!(
        "schema = 1\n\n[[rules]]\nid = \"r\"\nfrom = \"uploads\"\n\
         process = {{ kind = \"lines.prefix\", text = \"> \" }}\n\n\n{extra}\n[rules.output]\nbucket = \"results\"\n"
    )
}

#[test]
fn the_starter_config_is_good_and_prefixes_what_is_uploaded() {
    let config = load(STARTER).expect("the starter config");
    let rule = config.rules.all().first().expect("a rule");
    assert_eq!((rule.id.as_str(), rule.process.options["text"].as_str()), ("hello-lines", Some("Hello! ")));
    let engine = config.engine("w".into());
    assert_eq!(engine.default_bucket.as_str(), "uploads");
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
}

#[test]
fn nobodys_own_code_runs_unless_it_is_defined() {
    let config = load(STARTER).expect("the starter config");
    assert_eq!(config.processors.specs().count(), filemill_processors::ALL.len());
}

#[test]
fn every_setting_of_the_starter_config_that_is_commented_out_is_a_real_one() {
    let uncommented: String = STARTER
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(setting) if is_a_table(setting) || setting.split(" = ").next().is_some_and(is_a_key) => {
                format!("{setting}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect();
    assert!(uncommented.contains("\nlog_format = \"pretty\""), "the test found the settings");
    let config = load(&uncommented).expect("the starter config with everything on");
    assert_eq!(config.server.data, Path::new("/etc/filemill/filemill-data"));
    assert_eq!(config.engine("w".into()).chunks_max, 4);
    for (rule, kind) in [("shout", "upper"), ("tags", "tagger")] {
        let rule = config.rules.get(&RuleId::parse(rule).expect("an id")).expect(rule);
        assert_eq!(rule.process.kind, kind);
        assert!(config.processors.spec(kind).is_some(), "{kind}");
    }
}

fn is_a_table(text: &str) -> bool {
    text.starts_with('[') && text.ends_with(']')
}

fn is_a_key(text: &str) -> bool {
    text.len() > 1 && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

#[test]
fn a_setting_reaches_the_engine() {
    let text = format!(
        "{}[buckets.uploads]\nmax_size = \"1MiB\"\n[queues.slow]\nlease = \"90s\"\nmax_running = 2\n\
         retry = {{ attempts = 9, permanent = [\"http_refused\"] }}\n[worker]\ntasks = 7\nchunks = 3\nchunk_size = \"64KiB\"\n",
        with_rule("queue = \"slow\"")
    );
    let engine = load(&text).expect("config").engine("w".into());
    assert_eq!((engine.tasks_max, engine.chunks_max, engine.chunk_limits.chunk_bytes), (7, 3, 65536));
    let bucket = BucketName::parse("uploads").expect("name");
    assert_eq!(engine.max_size_of(&bucket), 1 << 20);
    let queue = QueueName::parse("slow").expect("name");
    let retry = RetryPolicy { attempts: 9, permanent: vec!["http_refused".into()], ..RetryPolicy::default() };
    let lease = Some(Duration::from_secs(90));
    let settings = QueueSettings { lease, retry: Some(retry.clone()), max_running: Some(2) };
    assert_eq!(engine.queues[&queue], settings);
    assert_eq!(engine.retry_of(&engine.rules.all()[0]), retry, "a rule without a policy has its queue's");
}

#[test]
fn an_unknown_key_is_named_with_its_place() {
    let error = error_of(&with_rule("quue = \"fast\""));
    assert!(error.contains("test.toml:9:1: rules[0]") && error.contains("unknown field `quue`"), "{error}");
}

#[test]
fn a_wrong_type_is_named_with_its_place() {
    let error = error_of("schema = 1\n[worker]\ntasks = \"many\"\n");
    assert!(error.starts_with("test.toml:3:9: worker.tasks: ") && error.contains("expected u32"), "{error}");
}

#[test]
fn broken_toml_is_named_with_its_place() {
    let error = error_of("schema = 1\n[worker\n");
    assert!(error.starts_with("test.toml:2:8: "), "{error}");
}

#[test]
fn a_missing_secret_is_named() {
    let error = error_of("schema = 1\n[server]\nlog = \"${env:NOT_THERE}\"\n");
    assert!(error.starts_with("test.toml:3:7: ") && error.contains("NOT_THERE"), "{error}");
}

#[test]
fn a_secret_reaches_its_place_and_no_message() {
    let config = load(&with_rule("").replace("\"> \"", "\"${env:SECRET}> \"")).expect("config");
    assert_eq!(config.rules.all()[0].process.options["text"], "hunter2> ");
    for bad in ["[buckets.uploads]\nmax_size = \"${env:SECRET}\"\n", "[queues.q]\nlease = \"a${env:SECRET}\"\n"] {
        let error = error_of(&format!("schema = 1\n{bad}"));
        assert!(!error.contains("hunter2") && error.contains("${env:SECRET}"), "{error}");
    }
    let error = error_of(&with_rule("").replace("lines.prefix", "${env:SECRET}"));
    assert!(!error.contains("hunter2") && error.contains("no processor"), "{error}");
    let shown = config.without_secrets(serde_json::json!({"a": ["x hunter2"]}));
    assert_eq!(shown, serde_json::json!({"a": ["x ${env:SECRET}"]}));
}

#[test]
fn the_schema_is_asked_for() {
    assert!(error_of("").contains("missing field `schema`"));
    assert!(error_of("schema = 2\n").contains("reads schema 1"));
}

/// A key that verifies nothing of anybody's.
const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[test]
fn receivers_that_cannot_be_told_are_refused_and_no_secret_is_shown() {
    let hook = format!(
        "[[notify]]\nid = \"h\"\non = [\"job.failed\"]\nkind = \"webhook\"\nurl = \"https://h/x\"\nsign = \"{KEY}\"\n"
    );
    let mail = "[[notify]]\non = [\"job.failed\"]\nkind = \"email\"\nto = \"a@b.org\"\n";
    let smtp = "[smtp]\nserver = \"mail.b.org:587\"\nfrom = \"f@b.org\"\n";
    let all = format!(
        "schema = 1\n{hook}{mail}{smtp}[server]\nupload_webhooks = [\"h:443\"]\nupload_webhook_sign = \"{KEY}\"\n"
    );
    assert_eq!(load(&all).expect("config").notify.all().len(), 2);
    for (from, to, word) in [
        ("https://h/x", "https://10.0.0.1/x", "private"),
        ("https://h/x", "https://h:8443/x", "list \"h:8443\""),
        ("https://h/x", "https://u:hunter2@h/x", "leave it out"),
        (KEY, "hunter2", "whsec_"),
        ("job.failed", "job.lost", "unknown variant"),
        ("\"webhook\"", "\"pigeon\"", "unknown variant"),
        ("a@b.org", "a@b.org\\r\\nBcc: c@b.org", "not an e-mail address"),
        ("from = \"f@b.org\"", "from = \"f\"", "smtp.from"),
        ("mail.b.org:587", "127.0.0.1:587", "loopback"),
        ("mail.b.org:587", "mail.b.org", "smtp.server"),
        ("from = \"f@b.org\"", "from = \"f@b.org\"\npassword = \"hunter2\"", "go together"),
        (smtp, "", "[smtp]"),
        ("h:443", "h", "upload_webhooks"),
        ("id = \"h\"", "id = \"h\"\nrule = \"nope\"", "no rule"),
        ("id = \"h\"", "id = \"h\"\nbucket = \"nope\"", "no bucket \"nope\""),
        ("on = [\"job.failed\"]", "", "webhook:h would be told nothing"),
        ("id = \"h\"", "id = \"h\"\nto = \"a@b.org\"", "is for mail"),
    ] {
        let changed = all.replacen(from, to, 1);
        assert_ne!(changed, all, "{from}");
        let error = error_of(&changed);
        assert!(error.contains(word) && !error.contains("hunter2"), "{to}: {error}");
    }
    let named = "[[alarms]]\nid = \"a\"\nmetric = \"dead.depth\"\nabove = 0\nnotify = [\"webhook:h\"]\n";
    load(&(all.replacen("on = [\"job.failed\"]", "", 1) + named)).expect("it waits for the alarm");
    let queue = "[[notify]]\non = [\"job.failed\"]\nkind = \"queue\"\nto = \"told\"\n";
    let queues = with_rule("from_queue = \"orders\"") + queue;
    assert_eq!(load(&queues).expect("config").notify.message_queues().count(), 1);
    for (from, to, word) in [
        ("\"told\"", "\"told.fifo\"", "FIFO"),
        ("\"told\"", "\"orders\"", "start rule \"r\""),
        ("to = \"told\"", "url = \"https://h/x\"", "for webhooks"),
        ("to = \"told\"", "", "needs `to`"),
    ] {
        let error = error_of(&queues.replacen(from, to, 1));
        assert!(error.contains(word), "{to}: {error}");
    }
    let twice = error_of(&format!("schema = 1\n{hook}{hook}"));
    assert!(twice.contains("taken"), "{twice}");
}

#[test]
fn alarms_that_mean_nothing_are_refused() {
    let alarm = "[[alarms]]\nid = \"a\"\nmetric = \"job.error_rate\"\nat_least = \"5%\"\nfor = \"1m\"\n";
    let base = format!("{}{alarm}", with_rule(""));
    assert_eq!(load(&base).expect("config").alarms[0].bound, filemill_core::alarm::Bound::AtLeast(5.0));
    for (from, to, word) in [
        ("job.error_rate", "job.luck", "known are"),
        ("at_least = \"5%\"", "", "give one of"),
        ("at_least = \"5%\"", "at_least = 5\nabove = 3", "give one of"),
        ("\"5%\"", "\"many\"", "\"many\" is no limit of job.error_rate, which is a percentage"),
        ("\"5%\"", "\"5m\"", "no limit"),
        ("\"5%\"", "101", "101 is no limit"),
        ("\"job.error_rate\"\nat_least = \"5%\"", "\"disk.free\"\nbelow = \"5%\"", "a size"),
        ("\"job.error_rate\"\nat_least = \"5%\"", "\"dead.depth\"\nabove = \"1GiB\"", "a count"),
        ("\"job.error_rate\"\nat_least = \"5%\"", "\"queue.oldest_age\"\nabove = \"1%\"", "a time"),
        ("\"job.error_rate\"\nat_least = \"5%\"", "\"dead.depth\"\nabove = 1\nqueue = \"zz\"", "no queue \"zz\""),
        ("\"job.error_rate\"\nat_least = \"5%\"", "\"dead.depth\"\nabove = 1\nwindow = \"1m\"", "as it is now"),
        ("\"5%\"", "nan", "finite"),
        ("at_least = \"5%\"", "above = \"100%\"", "job.error_rate is never above 100%"),
        ("\"job.error_rate\"\nat_least = \"5%\"", "\"dead.depth\"\nbelow = 0", "dead.depth is never below 0"),
        ("\"job.error_rate\"\nat_least = \"5%\"", "\"dead.depth\"\nabove = -1", "-1 is no limit of dead.depth"),
        ("for = \"1m\"", "repeat = \"0s\"", "repeat"),
        ("for = \"1m\"", "queue = \"q\"", "of no queue"),
        ("for = \"1m\"", "rule = \"nope\"", "no rule"),
        ("for = \"1m\"", "notify = [\"email:a@b.org\"]", "[smtp]"),
        ("for = \"1m\"", "notify = [\"webhook:x\"]", "neither"),
        ("for = \"1m\"", "window = \"2h\"", "window"),
    ] {
        let changed = base.replacen(from, to, 1);
        assert_ne!(changed, base, "{from}");
        let error = error_of(&changed);
        assert!(error.contains(word), "{to}: {error}");
    }
    let twice = error_of(&format!("{base}{alarm}"));
    assert!(twice.contains("given twice"), "{twice}");
}

#[test]
fn times_are_read_and_bounded() {
    let engine_of = |text: &str| load(text).expect("a good config").engine("w".into());
    let days = |n: u64| Some(Duration::from_secs(n * 86_400));
    let engine = engine_of(
        "schema = 1\n[buckets.results]\nexpire_after = \"30d\"\n[retention]\njobs = \"never\"\nevents = \"7d\"\n\
         [reconcile]\nevery = \"1h\"\n",
    );
    let results = BucketName::parse("results").expect("a name");
    assert_eq!(engine.buckets[&results].expire_after, days(30));
    assert_eq!((engine.retention.jobs, engine.retention.events, engine.retention.audit), (None, days(7), days(365)));
    assert_eq!(engine.reconcile.every, Some(Duration::from_secs(3600)));
    assert_eq!(engine_of("schema = 1\n[reconcile]\nenabled = false\n").reconcile.every, None);
    for (text, word) in [
        ("[buckets.results]\nexpire_after = \"1s\"\n", "buckets.results.expire_after is 1s; use \"1m\" to"),
        ("[retention]\njobs = \"9m\"\n", "retention.jobs is 9m; use \"10m\" to"),
        ("[retention]\ndead_letters = \"1h\"\n", "retention.dead_letters is 1h; use \"1d\" to"),
        (
            "[retention]\njobs = \"10m\"\n[[alarms]]\nid = \"a\"\nmetric = \"job.error_rate\"\nabove = 1\nwindow = \"20m\"\n",
            "window is 20m, but ended jobs are kept for 10m (retention.jobs)",
        ),
        ("[retention]\njobs = \"always\"\n", "or \"never\""),
        ("[retention]\njbos = \"9d\"\n", "jbos"),
        ("[reconcile]\nevery = \"1s\"\n", "reconcile.every"),
    ] {
        let error = error_of(&format!("schema = 1\n{text}"));
        assert!(error.contains(word), "{text}: {error}");
    }
}

#[test]
fn the_cap_on_what_is_made_of_an_upload_is_read_and_bounded() {
    let max_of = |text: &str| load(text).expect("a good config").engine("w".into()).derived_objects_max;
    assert_eq!((max_of("schema = 1\n"), max_of("schema = 1\nderived_objects_max = 7\n")), (1000, 7));
    for wrong in ["0", "10001"] {
        let error = error_of(&format!("schema = 1\nderived_objects_max = {wrong}\n"));
        assert!(error.contains("derived_objects_max") && error.contains("10000"), "{error}");
    }
}

#[test]
fn a_rule_that_cannot_work_is_refused() {
    let base = with_rule("");
    for (from, to, word) in [
        ("lines.prefix", "lines.nope", "no processor"),
        ("text =", "txt =", "txt"),
        ("bucket = \"results\"", "bucket = \"results\"\nkey = \"{nme}\"", "{nme}"),
        ("bucket = \"results\"", "bucket = \"uploads\"", "overwrite its own input"),
        ("bucket = \"results\"", "bucket = \"uploads\"\nkey = \"{dir}{stem}{ext}\"", "overwrite its own input"),
        ("from = \"uploads\"", "from = \"uploads\"\nqueue = \"fast\"", "[queues.fast]"),
        ("from = \"uploads\"", "from = \"uploads\"\nmax_generation = 0", "max_generation"),
        ("from = \"uploads\"", "from = \"Uploads\"", "not a bucket name"),
        (
            "bucket = \"results\"",
            "bucket = \"uploads\"\nkey = \"done/{key}\"\n[rules.retry]\n[[rules]]\nid = \"again\"\nfrom = \"uploads\"\n\
             process = { kind = \"gzip\" }\noutput = { bucket = \"uploads\", key = \"{key}.gz\" }\nmax_generation = 2",
            "\"again\": what it writes can start it again",
        ),
    ] {
        let changed = base.replace(from, to);
        assert_ne!(changed, base);
        let error = error_of(&changed);
        assert!(error.contains(word), "{to}: {error}");
    }
}

#[test]
fn flags_win_over_the_file() {
    let text = "schema = 1\n[server]\nlisten = \"127.0.0.1:1\"\ndata = \"d\"\n";
    let env = |_: &str| None;
    let (file, _) = parse("t", text, &Sources { env: &env, folder: Path::new("") }).expect("config");
    let overrides = Overrides { data: Some("mine".into()), ..Overrides::default() };
    let settings = server_settings(Path::new("/etc"), &file.server, &overrides).expect("settings");
    assert_eq!((settings.data, settings.listen.port()), (PathBuf::from("mine"), 1));
}

#[test]
fn a_public_url_is_an_address_without_a_path() {
    assert!(check_public_url("https://files.example.org").is_ok());
    for bad in ["files.example.org", "ftp://x", "https://x/path", "https://x/?a", "https://u@x/"] {
        assert!(check_public_url(bad).is_err(), "{bad}");
    }
}
