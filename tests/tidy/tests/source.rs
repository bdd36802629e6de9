//! The repository, held against every rule. A failure lists the places and what to do.

use filemill_tidy::{Tree, rules};

fn hold(rule: fn(&Tree) -> Vec<String>) {
    let complaints = rule(&Tree::of_repository());
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn every_file_opens_with_what_it_is() {
    hold(rules::headers::complaints);
}

#[test]
fn arrows_between_the_rooms_point_down() {
    hold(rules::arrows::complaints);
}

#[test]
fn no_module_has_a_name_that_says_nothing() {
    hold(rules::names::complaints);
}

#[test]
fn no_file_grows_too_large() {
    hold(rules::growth::complaints);
}

#[test]
fn nothing_is_left_for_later() {
    hold(rules::markers::complaints);
}

#[test]
fn syncs_and_renames_stand_in_one_place() {
    hold(rules::durable::complaints);
}

#[test]
fn every_dependency_has_its_reason() {
    hold(rules::dependencies::complaints);
}

#[test]
fn links_in_the_pages_lead_somewhere() {
    hold(rules::links::complaints);
}

#[test]
fn only_the_binary_prints() {
    hold(rules::printing::complaints);
}

#[test]
fn no_log_line_says_message_twice() {
    hold(rules::log_fields::complaints);
}

#[test]
fn the_repository_names_no_machine() {
    hold(rules::places::complaints);
}

#[test]
fn the_rooms_below_the_binary_ask_for_time_and_bytes() {
    hold(rules::purity::complaints);
}

#[test]
fn the_pages_show_only_commands_that_exist() {
    hold(rules::commands::complaints);
}

#[test]
fn the_tests_that_prove_reliability_exist() {
    hold(rules::proofs::complaints);
}

#[test]
fn every_key_command_and_metric_stands_on_its_page() {
    hold(rules::pages::complaints);
}
