//! A request's query, decoded once, strictly: a doubled name or invalid UTF-8 is refused.
//!
//! Names keep their case; S3's are case-sensitive. The query may hold a signature, so it is never logged or shown.

use percent_encoding::percent_decode_str;
use s3s::{S3Result, s3_error};

#[derive(Default)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    pub fn parse(text: Option<&str>) -> S3Result<Self> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name)?;
            if pairs.iter().any(|(earlier, _)| *earlier == name) {
                return Err(s3_error!(InvalidArgument, "A query parameter appears twice."));
            }
            pairs.push((name, decode(value)?));
        }
        Ok(Query { pairs })
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

fn decode(text: &str) -> S3Result<String> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded.map(|text| text.into_owned()).map_err(|_| s3_error!(InvalidURI, "The query is not valid UTF-8."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_decoded() {
        let query = Query::parse(Some("prefix=a%20b%2Bc+d&acl&x=1%3D2")).expect("a good query");
        assert_eq!(query.get("prefix"), Some("a b+c d"));
        assert_eq!(query.get("acl"), Some(""));
        assert_eq!(query.get("x"), Some("1=2"));
        assert!(!query.has("Prefix"));
    }

    #[test]
    fn a_doubled_name_is_refused_also_when_spelt_differently() {
        assert!(Query::parse(Some("a=1&a=1")).is_err());
        assert!(Query::parse(Some("a=1&%61=2")).is_err());
    }

    #[test]
    fn invalid_utf8_is_refused() {
        assert!(Query::parse(Some("prefix=%FF")).is_err());
    }
}
