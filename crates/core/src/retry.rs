//! When to try again: attempts and jittered back-off.

use crate::duration::{format_duration, parse_duration};
use crate::limits;
use crate::task::{ERROR_CODES, TaskError};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::time::Duration;

/// A task is tried `attempts` times; between two tries it waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryPolicy {
    /// Tries in all, the first one counted. 1 to 100.
    pub attempts: u32,
    /// Written `"FIRST..LARGEST"`, for example `"2s..5m"`: the wait doubles from the one to the other.
    pub backoff: Backoff,
    /// Error codes that are not tried again, although they would be by themselves.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub permanent: Vec<String>,
    /// Error codes that are tried again, although they would not be by themselves.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub transient: Vec<String>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        let backoff = Backoff { first: Duration::from_secs(1), largest: Duration::from_secs(60) };
        RetryPolicy { attempts: limits::ATTEMPTS_DEFAULT, backoff, permanent: Vec::new(), transient: Vec::new() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    pub first: Duration,
    pub largest: Duration,
}

impl RetryPolicy {
    /// Is there no use in trying again after this error?
    pub fn is_permanent(&self, error: &TaskError) -> bool {
        let named = |codes: &[String]| codes.contains(&error.code);
        (error.permanent && !named(&self.transient)) || named(&self.permanent)
    }

    /// The wait before the next try after `attempt` tries (1 = the first failed). `chance` is uniform over all of u64.
    /// Half of the wait is fixed and half is chance, so that many failures do not return at the same instant and none
    /// returns at once.
    pub fn wait_after(&self, attempt: u32, chance: u64) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        let full = self.backoff.first.saturating_mul(1 << doublings).min(self.backoff.largest);
        let half = full / 2;
        half + half.mul_f64(chance as f64 / u64::MAX as f64)
    }

    pub fn check(&self) -> Result<(), String> {
        if let Some(code) = self.permanent.iter().find(|code| self.transient.contains(code)) {
            return Err(format!("retry: {code:?} is named permanent and transient; it can be only one"));
        }
        for code in self.permanent.iter().chain(&self.transient) {
            if !ERROR_CODES.contains(&code.as_str()) {
                return Err(format!(
                    "retry: {code:?} is not what an attempt reports; name such codes of docs/api.md as \"http_unavailable\" \
                     (a worker that was lost reports nothing)"
                ));
            }
        }
        if self.permanent.len() + self.transient.len() > limits::RETRY_CODES_MAX {
            return Err(format!("retry names more than {} error codes", limits::RETRY_CODES_MAX));
        }
        if !(1..=limits::ATTEMPTS_MAX).contains(&self.attempts) {
            return Err(format!("retry.attempts is {}; use 1 to {}", self.attempts, limits::ATTEMPTS_MAX));
        }
        Ok(())
    }
}

impl Backoff {
    pub fn parse(text: &str) -> Result<Self, String> {
        let (first, largest) =
            text.split_once("..").ok_or_else(|| format!("{text:?} is not a back-off; write for example \"2s..5m\""))?;
        let backoff = Backoff { first: parse_duration(first)?, largest: parse_duration(largest)? };
        if backoff.first > backoff.largest {
            return Err(format!("back-off {text:?} starts above its end"));
        }
        if backoff.largest > limits::BACKOFF_MAX {
            return Err(format!("back-off {text:?} is longer than {}", format_duration(limits::BACKOFF_MAX)));
        }
        Ok(backoff)
    }
}

impl Serialize for Backoff {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&format_args!("{}..{}", format_duration(self.first), format_duration(self.largest)))
    }
}

impl<'de> Deserialize<'de> for Backoff {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(d)?;
        Backoff::parse(&text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_end_and_is_never_nothing() {
        let policy = RetryPolicy { backoff: Backoff::parse("2s..5m").expect("2s..5m"), ..RetryPolicy::default() };
        assert_eq!(policy.wait_after(1, 0), Duration::from_secs(1));
        assert_eq!(policy.wait_after(1, u64::MAX), Duration::from_secs(2));
        assert_eq!(policy.wait_after(2, u64::MAX), Duration::from_secs(4));
        assert_eq!(policy.wait_after(40, u64::MAX), Duration::from_secs(300));
    }

    #[test]
    fn a_policy_may_say_what_is_permanent() {
        let policy = RetryPolicy {
            permanent: vec!["http_throttled".into()],
            transient: vec!["input_invalid".into()],
            ..RetryPolicy::default()
        };
        let is_permanent = |error: &TaskError| policy.is_permanent(error);
        assert!(
            is_permanent(&TaskError::transient("http_throttled", "")) && is_permanent(&TaskError::permanent("bad", ""))
        );
        assert!(
            !is_permanent(&TaskError::permanent("input_invalid", ""))
                && !is_permanent(&TaskError::transient("slow", ""))
        );
        policy.check().expect("a policy");
        for codes in [vec!["input_invalid".to_owned()], vec![String::new()], vec!["worker_lost".into()]] {
            assert!(RetryPolicy { permanent: codes.clone(), ..policy.clone() }.check().is_err(), "{codes:?}");
        }
    }

    #[test]
    fn back_off_text_is_checked() {
        for bad in ["2s", "5m..2s", "1s..30d", "x..y"] {
            assert!(Backoff::parse(bad).is_err(), "{bad}");
        }
    }
}
