//! How queues are named outside: URLs and ARNs.

use super::ACCOUNT;
use super::errors::Refusal;
use filemill_core::message::MessageQueueName;
use http::{HeaderMap, header};

/// As the client knows the door, unless the operator knows better.
pub fn base(public_url: &Option<String>, headers: &HeaderMap) -> Result<String, Refusal> {
    if let Some(url) = public_url {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    host.map(|host| format!("http://{host}")).ok_or_else(|| Refusal::malformed("The request has no Host header."))
}

pub fn url(base: &str, name: &MessageQueueName) -> String {
    format!("{base}/{ACCOUNT}/{name}")
}

/// The host is of no interest: it may be another name of this door.
pub fn queue_of(url: &str) -> Result<MessageQueueName, Refusal> {
    let wrong = || {
        let shown: String = url.chars().take(200).collect();
        Refusal::address(format!("{shown:?} is not the URL of a queue; GetQueueUrl answers it."))
    };
    let path = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (_, name) = path.split_once(&format!("/{ACCOUNT}/")).ok_or_else(wrong)?;
    MessageQueueName::parse(name).map_err(|_| wrong())
}

pub fn arn(region: &str, name: &MessageQueueName) -> String {
    format!("arn:aws:sqs:{region}:{ACCOUNT}:{name}")
}

/// Whatever the region says: there is one here.
pub fn queue_of_arn(arn: &str) -> Result<MessageQueueName, String> {
    let wrong = || format!("{arn:?} is not the ARN of a queue here: arn:aws:sqs:REGION:{ACCOUNT}:NAME");
    let fields: Vec<&str> = arn.split(':').collect();
    match fields.as_slice() {
        ["arn", "aws", "sqs", _, ACCOUNT, name] => MessageQueueName::parse(name).map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_arns_are_read_back() {
        let name = MessageQueueName::parse("a-b_C").expect("a name");
        assert_eq!(queue_of(&url("https://x.example:1", &name)).expect("ours"), name);
        assert_eq!(queue_of("/000000000000/a-b_C").expect("a path"), name);
        assert_eq!(queue_of_arn(&arn("local", &name)), Ok(name));
        for bad in ["", "a-b_C", "http://h/a", "http://h/1/a", "http://h/000000000000/", "http://h/000000000000/a/b"] {
            assert!(queue_of(bad).is_err(), "{bad}");
        }
        for bad in ["", "a", "arn:aws:sns:local:000000000000:a", "arn:aws:sqs:local:1:a", "arn:aws:sqs:l:000000000000:"]
        {
            assert!(queue_of_arn(bad).is_err(), "{bad}");
        }
    }
}
