//! Port errors as reasons that an uploader understands, and whether trying again can help. Want of room is nobody's
//! failure: the step stops, and its task waits.

use filemill_core::ports::{BlobConflict, BlobError, Missing, ProcessError, StateError, is_full};
use filemill_core::task::TaskError;
use std::error::Error;
use std::io;

/// Why a step made nothing of its task.
pub(crate) enum Stopped {
    Failed(TaskError),
    /// The store takes nothing new. The task is given back, and its claim does not count.
    NoRoom,
}

impl From<TaskError> for Stopped {
    fn from(e: TaskError) -> Self {
        Stopped::Failed(e)
    }
}

pub(super) fn stopped_by_blobs(e: BlobError) -> Stopped {
    if is_full(&e) { Stopped::NoRoom } else { task_error_of_blob(e).into() }
}

pub(super) fn stopped_by_state(e: StateError) -> Stopped {
    if is_full(&e) { Stopped::NoRoom } else { task_error_of_state(e).into() }
}

pub(super) fn stopped_in_processor(e: ProcessError) -> Stopped {
    match e {
        ProcessError::Io(e) if is_full(&e) => Stopped::NoRoom,
        e => task_error_of_process(e).into(),
    }
}

/// Whose object it is is not the uploader's to know.
pub(crate) fn place_is_taken() -> TaskError {
    let message = "the result's name is taken: what lies there belongs to another key and is not replaced";
    TaskError::permanent("result_taken", message)
}

/// The input or the result's place, as the store answered.
pub(crate) fn task_error_of_blob(e: BlobError) -> TaskError {
    match e {
        BlobError::NotFound(Missing::Object) => {
            TaskError::permanent("input_gone", "the file was removed before it was processed")
        }
        BlobError::Conflict(BlobConflict::Precondition) => {
            TaskError::permanent("input_changed", "the file was replaced before it was processed")
        }
        BlobError::NotFound(what @ (Missing::Bucket | Missing::Upload)) => {
            TaskError::transient("store_changed", format!("the {what} for the result is gone"))
        }
        BlobError::Corrupt(detail) => corrupt(detail),
        BlobError::Unavailable(e) => {
            TaskError::transient("store_unavailable", "the object store did not answer").with_detail(chain(&*e))
        }
        e @ (BlobError::Conflict(_) | BlobError::Invalid(_)) => {
            TaskError::transient("store_refused", "the object store refused the result").with_detail(e)
        }
    }
}

fn task_error_of_state(e: StateError) -> TaskError {
    TaskError::transient("state_unavailable", "the state store did not answer").with_detail(chain(&e))
}

fn task_error_of_process(e: ProcessError) -> TaskError {
    match e {
        ProcessError::Failed(e) => e,
        ProcessError::Io(e) if e.kind() == io::ErrorKind::InvalidData => corrupt(e.to_string()),
        ProcessError::Io(e) => {
            TaskError::transient("io", "reading the file or writing the result failed").with_detail(chain(&e))
        }
    }
}

fn corrupt(detail: String) -> TaskError {
    TaskError::transient("input_corrupt", "the stored bytes fail their checksum").with_detail(detail)
}

fn chain(e: &dyn Error) -> String {
    let mut text = e.to_string();
    let mut cause = e.source();
    while let Some(e) = cause {
        text = format!("{text}: {e}");
        cause = e.source();
    }
    text
}
