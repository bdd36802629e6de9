//! Every example does what its page says: the binary serves that config, the page's commands are run, and what comes out
//! is compared with plain references.

mod archiver;
mod csv_converter;
mod file_library;
mod interview_notes;
mod line_prefixer;
mod own_code;
mod zips;

use filemill_e2e::{Ran, example};

#[test]
fn every_example_has_a_page_and_a_config_that_is_in_order() {
    let folders = example::folders();
    assert!(folders.len() >= 6, "{folders:?}");
    for folder in folders {
        assert!(folder.join("README.md").is_file(), "no page in {}", folder.display());
        Ran::filemill(&folder, &["rules", "check", "filemill.toml"]).good();
    }
}
