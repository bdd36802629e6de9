//! SQS's query protocol, for SDKs and tools of before the end of 2023: a form in, XML out.
//!
//! Only a translation: a form becomes the JSON input of the same action, and the action's JSON output becomes XML. What an
//! action takes and does is decided nowhere in here.

mod form;
mod input;
mod xml;

pub use xml::{answer, refusal};

use super::actions::{self, Order};
use super::errors::Refusal;
use super::protocol;
use http::Uri;
use serde_json::Value;

const VERSION: &str = "2012-11-05";

/// Parameters stand in the body, in the URL, or some here and some there.
pub fn order(uri: &Uri, body: &[u8]) -> Result<Order, Refusal> {
    let mut given = form::parse(uri.query().unwrap_or_default().as_bytes(), body)?;
    let name = given.remove("Action").filter(|name| !name.is_empty()).ok_or_else(Refusal::missing_action)?;
    let action = actions::find(&name)?;
    if let Some(version) = given.remove("Version").filter(|version| version != VERSION) {
        let shown: String = version.chars().take(80).collect();
        return Err(Refusal::version(format!("Version {shown:?} is not spoken here; it is {VERSION}.")));
    }
    let mut input = input::read(action, given)?;
    // some SDKs take the QueueUrl out of the form and send it to that URL
    if let (None, Some(queue)) = (input.get("QueueUrl"), protocol::queue_in(uri.path())) {
        input.insert("QueueUrl".into(), format!("/{}/{queue}", super::ACCOUNT).into());
    }
    Ok(Order { action, input: Value::from(input).to_string().into() })
}
