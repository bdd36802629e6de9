//! What each route needs, as its own `security` in the OpenAPI document says: `("token" = ["read"])` a scope,
//! `("ticket" = ["read"])` beside it that a ticket does too, `()` nothing at all. What says nothing is for nobody.

use axum::http::Method;
use filemill_core::access::Scope;
use serde_json::Value;
use std::collections::HashMap;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Open to all.
    Nothing,
    Scope {
        scope: Scope,
        /// A one-use ticket does instead of a token.
        by_ticket: bool,
    },
}

/// By method and path.
pub struct Needs(HashMap<(String, String), Need>);

impl Needs {
    pub fn read(document: &str) -> Self {
        let document: Value = serde_json::from_str(document).expect("the document is JSON of our own");
        let paths = document["paths"].as_object().into_iter().flatten();
        let operations = paths.flat_map(|(path, item)| {
            let operations = item.as_object().into_iter().flatten();
            operations.filter_map(move |(method, operation)| {
                let need = need_of(operation.get("security")?.as_array()?)?;
                Some(((method.to_uppercase(), path.clone()), need))
            })
        });
        Needs(operations.collect())
    }

    pub fn of(&self, method: &Method, path: &str) -> Option<Need> {
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        self.0.get(&(method.to_string(), path.to_owned())).copied()
    }
}

/// A scope that does not exist is none.
fn need_of(alternatives: &[Value]) -> Option<Need> {
    if alternatives.len() == 1 && alternatives[0].as_object().is_some_and(|none| none.is_empty()) {
        return Some(Need::Nothing);
    }
    let scopes = alternatives.iter().find_map(|way| way.get("token"))?.as_array()?;
    let [scope] = scopes.as_slice() else { return None };
    let by_ticket = alternatives.iter().any(|way| way.get("ticket").is_some());
    Some(Need::Scope { scope: Scope::parse(scope.as_str()?)?, by_ticket })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_declares_nothing_or_something_odd_is_for_nobody() {
        let operations = json!({ "paths": {
            "/open": { "get": { "security": [{}] } },
            "/read": { "get": { "security": [{ "token": ["read"] }] } },
            "/feed": { "get": { "security": [{ "token": ["read"] }, { "ticket": ["read"] }] } },
            "/silent": { "get": {} },
            "/empty": { "get": { "security": [] } },
            "/bare": { "get": { "security": [{ "token": [] }] } },
            "/odd": { "get": { "security": [{ "token": ["rule the world"] }] } },
            "/half": { "get": { "security": [{}, { "token": ["read"] }] } },
        }});
        let needs = Needs::read(&operations.to_string());
        let read = |by_ticket| Some(Need::Scope { scope: Scope::Read, by_ticket });
        for (path, expected) in [
            ("/open", Some(Need::Nothing)),
            ("/read", read(false)),
            ("/feed", read(true)),
            ("/half", read(false)),
            ("/silent", None),
            ("/empty", None),
            ("/bare", None),
            ("/odd", None),
        ] {
            assert_eq!(needs.of(&Method::GET, path), expected, "{path}");
            assert_eq!(needs.of(&Method::HEAD, path), expected, "{path}");
        }
        assert_eq!(needs.of(&Method::POST, "/open"), None);
    }

    #[test]
    fn every_route_of_the_document_declares_what_it_needs() {
        let document = super::super::openapi::document(std::iter::empty());
        let (needs, document) = (Needs::read(&document), serde_json::from_str::<Value>(&document).expect("JSON"));
        for (path, item) in document["paths"].as_object().expect("paths") {
            for method in item.as_object().expect("operations").keys() {
                let method: Method = method.to_uppercase().parse().expect("a method");
                let need = needs.of(&method, path);
                assert!(need.is_some(), "{method} {path} says no scope: add security((\"token\" = [\"...\"])) to it");
            }
        }
    }
}
