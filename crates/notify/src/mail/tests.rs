//! Mail to a server on this machine that notes all it is told.

use super::*;
use filemill_core::ids::NoticeId;
use filemill_core::notice::{Notice, NoticeKind, Receiver};
use filemill_core::time::Timestamp;
use serde_json::json;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver as Hears};
use std::thread;

const TO: &str = "ops@example.org";

/// What was said to it in one conversation, line by line: commands, then the message.
fn server() -> (SocketAddr, Hears<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let (told, hears) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            if told.send(converse(stream)).is_err() {
                return;
            }
        }
    });
    (address, hears)
}

fn converse(stream: TcpStream) -> Vec<String> {
    converse_slowly(stream, Duration::ZERO)
}

/// Answers a mail's content after so long.
fn converse_slowly(mut stream: TcpStream, answers_after: Duration) -> Vec<String> {
    let lines = BufReader::new(stream.try_clone().expect("a second handle")).lines();
    let (mut said, mut in_message) = (Vec::new(), false);
    stream.write_all(b"220 mail.example.org\r\n").expect("a greeting");
    for line in lines.map_while(Result::ok) {
        let answer = match (in_message, line.as_str()) {
            (true, ".") => "250 taken\r\n",
            (true, _) => "",
            (false, "DATA") => "354 go on\r\n",
            (false, "QUIT") => "221 bye\r\n",
            (false, _) => "250 fine\r\n",
        };
        if in_message && !answer.is_empty() {
            thread::sleep(answers_after);
        }
        in_message = answer.starts_with("354") || in_message && answer.is_empty();
        said.push(line);
        // who did not wait is gone
        if stream.write_all(answer.as_bytes()).is_err() {
            return said;
        }
    }
    said
}

fn mailer(server: SocketAddr) -> Mailer {
    let settings = MailSettings {
        server: server.to_string().parse().expect("an endpoint"),
        tls: MailTls::None,
        from: EmailAddress::parse("filemill@example.org").expect("an address"),
        user: None,
        password: None,
        ca: None,
    };
    let guard = Guard::allowing([server.to_string().as_str()]).expect("a list");
    Mailer::new(settings, guard).expect("settings")
}

fn failed(key: &str) -> Notice {
    let at = Timestamp::from_millis(1_700_000_000_000);
    let failure = json!({ "message": format!("{key} was no good"), "detail": key });
    let data = json!({ "bucket": "uploads", "key": key, "rejects": 0, "failure": failure });
    let (id, about) = (NoticeId::of(key, "job.failed", 0, at), "j".into());
    Notice { id, kind: NoticeKind::JobFailed, at, about, job: None, upload: None, rule: None, of: None, data }
}

fn parcel(notices: Vec<Notice>) -> Parcel {
    let to = EmailAddress::parse(TO).expect("an address");
    let at = Timestamp::from_millis(1_700_000_000_000);
    Parcel { receiver: Receiver::Email { to }, idempotency_key: "dlv_1".into(), notices, at }
}

fn names_of_headers(said: &[String]) -> Vec<&str> {
    let message = said.iter().skip_while(|line| *line != "DATA").skip(1);
    let head = message.take_while(|line| !line.is_empty()).filter(|line| !line.starts_with([' ', '\t']));
    head.map(|line| line.split_once(':').expect("a header").0).collect()
}

/// Keys are an uploader's: neither the conversation nor the message has a line that one of them began.
#[test]
fn no_key_speaks_to_the_mail_server() {
    let (address, hears) = server();
    let mailer = mailer(address);
    let to = EmailAddress::parse(TO).expect("an address");
    mailer.send(&to, &parcel(vec![failed("a.csv")])).expect("taken");
    let plain = hears.recv().expect("a conversation");
    for key in [
        "a\r\nBcc: all@example.org",
        "a\nBcc: all@example.org\n\nbody",
        "a\r\n.\r\nMAIL FROM:<evil@example.org>\r\nRCPT TO:<all@example.org>\r\nDATA",
        "a\u{2028}Bcc: all@example.org",
        "\r\n.\r\nQUIT",
    ] {
        mailer.send(&to, &parcel(vec![failed(key), failed(key)])).expect("taken");
        let said = hears.recv().expect("a conversation");
        assert_eq!(names_of_headers(&said), names_of_headers(&plain), "{key:?}: {said:#?}");
        let commands = |said: &[String]| -> Vec<String> {
            let is_command = |line: &&String| ["MAIL", "RCPT", "DATA", "QUIT"].iter().any(|c| line.starts_with(c));
            said.iter().filter(is_command).cloned().collect()
        };
        assert_eq!(commands(&said), commands(&plain), "{key:?}: {said:#?}");
        assert!(commands(&said).contains(&format!("RCPT TO:<{TO}>")), "{said:#?}");
    }
}

#[test]
fn a_repeat_has_the_id_of_the_first_try() {
    let (address, hears) = server();
    let mailer = mailer(address);
    let to = EmailAddress::parse(TO).expect("an address");
    let ids = [(); 2].map(|()| {
        mailer.send(&to, &parcel(vec![failed("a.csv")])).expect("taken");
        let said = hears.recv().expect("a conversation");
        said.into_iter().find(|line| line.starts_with("Message-ID:")).expect("an id")
    });
    assert_eq!(ids, [(); 2].map(|()| "Message-ID: <dlv_1@example.org>".to_owned()));
}

#[test]
fn a_mail_server_within_is_reached_only_if_it_is_listed() {
    let (address, hears) = server();
    let open = mailer(address);
    let settings =
        MailSettings { server: format!("localhost:{}", address.port()).parse().expect("one"), ..open.settings };
    let refused = Mailer::new(settings, open.guard).err().expect("refused");
    assert!(refused.contains("list"), "{refused}");
    assert!(hears.try_recv().is_err(), "it was reached");
}

/// Its content is looked through first. Whoever does not wait sends it again.
#[test]
fn a_server_that_takes_its_time_to_take_a_mail_is_waited_for() {
    assert!(ANSWER_TIMEOUT >= Duration::from_secs(180));
    let steps = 9;
    assert!(ANSWER_TIMEOUT + steps * STEP_TIMEOUT < filemill_core::limits::MAIL_TIMEOUT);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut mailer = mailer(listener.local_addr().expect("its address"));
    let served = thread::spawn(move || {
        let mut conversations = listener.incoming().map_while(Result::ok);
        [(); 2].map(|()| converse_slowly(conversations.next().expect("a connection"), Duration::from_millis(400)))
    });
    let to = EmailAddress::parse(TO).expect("an address");
    mailer.step_timeout = Duration::from_millis(100);
    mailer.send(&to, &parcel(vec![failed("a.csv")])).expect("taken");
    mailer.answer_timeout = Duration::from_millis(100);
    let late = mailer.send(&to, &parcel(vec![failed("a.csv")])).expect_err("it took too long");
    assert_eq!(late, NotifyError::transient("the mail server took too long"));
    served.join().expect("a server");
}
