//! Which dead letters: the filter that `dead` and `redrive` share.

use serde_json::{Map, Value};

#[derive(clap::Args)]
pub struct Filter {
    #[arg(long)]
    queue: Option<String>,
    #[arg(long)]
    rule: Option<String>,
    /// Bucket of the file
    #[arg(long)]
    bucket: Option<String>,
    /// Key of the file; a * at its end makes it a prefix
    #[arg(long)]
    key: Option<String>,
    /// Code of the error
    #[arg(long, value_name = "CODE")]
    error: Option<String>,
    /// What went wrong, as `filemill dead --groups` tells it
    #[arg(long)]
    fingerprint: Option<String>,
    #[arg(long, value_name = "JOB_ID")]
    job: Option<String>,
    /// Died at this time or later, such as 2026-11-20T12:00:00Z, 2026-11-20 or 2h (ago)
    #[arg(long, value_name = "TIME", value_parser = crate::cli::moment)]
    since: Option<String>,
    /// Died before this time
    #[arg(long, value_name = "TIME", value_parser = crate::cli::moment)]
    until: Option<String>,
}

impl Filter {
    /// Only what was given.
    pub fn pairs(&self) -> Vec<(&'static str, &str)> {
        let all = [
            ("queue", &self.queue),
            ("rule", &self.rule),
            ("bucket", &self.bucket),
            ("key", &self.key),
            ("error", &self.error),
            ("fingerprint", &self.fingerprint),
            ("job", &self.job),
            ("since", &self.since),
            ("until", &self.until),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect()
    }

    pub fn to_json(&self) -> Value {
        self.pairs().into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect::<Map<_, _>>().into()
    }

    pub fn is_empty(&self) -> bool {
        self.pairs().is_empty()
    }
}
