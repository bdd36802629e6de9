//! Options of a rule or an upload, read into a type. The error names the option and what to do.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// `T` denies unknown fields; `kind` of a wrong value, a missing one and an unknown one each say so.
pub fn read<T: DeserializeOwned>(options: &Map<String, Value>) -> Result<T, String> {
    serde_path_to_error::deserialize(Value::Object(options.clone())).map_err(|e| {
        let message = e.inner().to_string().replace(" field ", " option ");
        match e.path().to_string().as_str() {
            "." => message,
            path => format!("option {path:?}: {message}"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Some {
        text: String,
        count: std::option::Option<u8>,
    }

    #[test]
    fn wrong_options_are_named() {
        for (options, says) in [
            (json!({}), "missing option `text`"),
            (json!({ "text": 5 }), "option \"text\": invalid type"),
            (json!({ "text": "a", "count": 999 }), "option \"count\": invalid value"),
            (json!({ "text": "a", "txt": "b" }), "unknown option `txt`, expected `text` or `count`"),
        ] {
            let error = read::<Some>(options.as_object().expect("an object")).expect_err("refused");
            assert!(error.contains(says), "{error}");
        }
    }
}
