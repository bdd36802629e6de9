//! The arrows between the rooms, read from the manifests: bin -> http -> engine -> core, bin -> adapters -> core,
//! bin -> processors -> core, bin -> custom and notify -> outbound. Engine, adapters and processors never see one another.
//!
//! Tests may see what they test: `dev-dependencies` are not looked at, nor are `tests/*` and `bench`.

use crate::Tree;
use std::collections::BTreeMap;
use toml::{Table, Value};

/// Rooms (a folder, or all folders below one) and the rooms that they may see.
const ALLOWED: &[(&str, &[&str])] = &[
    ("crates/core", &[]),
    ("crates/engine", &["crates/core"]),
    ("crates/processors", &["crates/core"]),
    ("crates/http", &["crates/engine", "crates/core"]),
    ("crates/outbound", &[]),
    ("crates/custom", &["crates/core", "crates/outbound"]),
    ("crates/notify", &["crates/core", "crates/outbound"]),
    ("adapters/*", &["crates/core"]),
    ("bin/*", &["crates/*", "adapters/*"]),
    ("tests/*", &["crates/*", "adapters/*", "tests/*"]),
    ("bench", &["crates/*", "adapters/*", "tests/*"]),
];

pub fn complaints(tree: &Tree) -> Vec<String> {
    let manifests: Vec<(&str, Table)> = tree
        .ending("Cargo.toml")
        .filter_map(|(path, text)| Some((path.strip_suffix("/Cargo.toml")?, text.parse().ok()?)))
        .collect();
    let rooms: BTreeMap<&str, &str> = manifests.iter().filter_map(|(room, m)| Some((name_of(m)?, *room))).collect();
    manifests.iter().flat_map(|(room, manifest)| of_room(room, manifest, &rooms)).collect()
}

fn of_room(room: &str, manifest: &Table, rooms: &BTreeMap<&str, &str>) -> Vec<String> {
    let place = format!("{room}/Cargo.toml");
    let Some((_, allowed)) = ALLOWED.iter().find(|(pattern, _)| covers(pattern, room)) else {
        return vec![format!("{place}: no arrow is drawn for this room; add it to tests/tidy/src/rules/arrows.rs")];
    };
    let seen = dependencies(manifest).into_iter().filter_map(|name| rooms.get(name.as_str()));
    seen.filter(|other| !allowed.iter().any(|pattern| covers(pattern, other)))
        .map(|other| format!("{place}: {room} must not see {other}"))
        .collect()
}

fn covers(pattern: &str, room: &str) -> bool {
    match pattern.strip_suffix("/*") {
        Some(folder) => room.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')),
        None => pattern == room,
    }
}

fn name_of(manifest: &Table) -> Option<&str> {
    manifest.get("package")?.get("name")?.as_str()
}

/// The packages of `dependencies` and `build-dependencies`, also those for one target only.
fn dependencies(manifest: &Table) -> Vec<String> {
    let table = |t: &Table, key: &str| t.get(key).and_then(Value::as_table).cloned().unwrap_or_default();
    let targets = table(manifest, "target");
    let places = std::iter::once(manifest).chain(targets.values().filter_map(Value::as_table));
    let listed = places.flat_map(|t| [table(t, "dependencies"), table(t, "build-dependencies")]).flatten();
    listed.map(|(key, value)| value.get("package").and_then(Value::as_str).unwrap_or(&key).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(manifests: &[(&str, &str)]) -> Vec<String> {
        let core = ("crates/core/Cargo.toml", "[package]\nname = \"x-core\"\n");
        let local =
            ("adapters/local/Cargo.toml", "[package]\nname = \"x-local\"\n[dependencies]\nx-core.workspace = true\n");
        complaints(&Tree::of(&[&[core, local], manifests].concat()))
    }

    #[test]
    fn arrows_that_point_down_are_fine() {
        let bin = "[package]\nname = \"x\"\n[dependencies]\nx-core.workspace = true\nx-local.workspace = true\n";
        let engine = "[package]\nname = \"x-engine\"\n[dependencies]\nx-core.workspace = true\nother = \"1\"\n\
                      [dev-dependencies]\nx-local.workspace = true\n";
        assert_eq!(with(&[("bin/x/Cargo.toml", bin), ("crates/engine/Cargo.toml", engine)]), [""; 0]);
    }

    #[test]
    fn an_engine_that_sees_an_adapter_is_named() {
        let engine = "[package]\nname = \"x-engine\"\n[dependencies]\nx-local.workspace = true\n";
        let found = with(&[("crates/engine/Cargo.toml", engine)]);
        assert_eq!(found, ["crates/engine/Cargo.toml: crates/engine must not see adapters/local"]);
    }

    #[test]
    fn another_name_or_target_hides_no_arrow() {
        let engine = "[package]\nname = \"x-engine\"\n[target.'cfg(unix)'.dependencies]\n\
                      store = { package = \"x-local\", path = \"../../adapters/local\" }\n";
        assert_eq!(with(&[("crates/engine/Cargo.toml", engine)]).len(), 1);
    }

    #[test]
    fn a_room_without_arrows_is_named() {
        let found = with(&[("crates/new/Cargo.toml", "[package]\nname = \"x-new\"\n")]);
        assert!(found[0].contains("no arrow is drawn"), "{found:?}");
    }
}
