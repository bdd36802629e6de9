//! What exists in Filemill and what may happen to it.
//!
//! Types, the job life cycle, rule matching, back-off and the ports that adapters implement. Everything here is pure:
//! no IO, no tokio, no clock and no chance of its own. Whoever needs the time or a random number passes it in.

pub mod access;
pub mod alarm;
pub mod archive;
pub mod audit;
pub mod backfill;
pub mod checksum;
pub mod chunks;
pub mod cloud_event;
pub mod dead_letter;
pub mod delivery;
pub mod derived;
pub mod duration;
pub mod etag;
pub mod event;
pub mod file;
pub mod finding;
pub mod fingerprint;
pub mod ids;
pub mod job;
pub mod key;
pub mod key_template;
pub mod lane;
pub mod lifecycle;
pub mod limits;
pub mod line_survey;
pub mod matching;
pub mod message;
pub mod named;
pub mod notice;
pub mod notify;
pub mod object;
pub mod ports;
pub mod record;
pub mod redrive;
pub mod reject;
pub mod report;
pub mod retry;
pub mod rule;
pub mod rule_loops;
pub mod size;
pub mod task;
pub mod time;
pub mod upload;
