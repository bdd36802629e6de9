//! A job as the REST door shows it.

use serde_json::Value;

#[derive(Clone, Debug)]
pub struct Job(pub Value);

impl Job {
    pub fn id(&self) -> &str {
        self.0["id"].as_str().expect("a job has an id")
    }

    pub fn status(&self) -> &str {
        self.0["status"].as_str().expect("a job has a status")
    }

    pub fn has_ended(&self) -> bool {
        matches!(self.status(), "completed" | "failed" | "cancelled")
    }

    pub fn input_etag(&self) -> &str {
        self.0["input"]["etag"].as_str().expect("an input has an etag")
    }

    pub fn input_size(&self) -> u64 {
        self.0["input"]["size"].as_u64().expect("an input has a size")
    }

    pub fn chunks(&self) -> u64 {
        self.0["chunks"]["total"].as_u64().expect("a job has chunks")
    }

    #[track_caller]
    pub fn expect_completed(self) -> Job {
        assert_eq!(self.status(), "completed", "{}", self.0);
        self
    }
}
