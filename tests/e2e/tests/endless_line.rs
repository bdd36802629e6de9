//! A file that is one line without an end, larger than anything that holds it: up by the command line from a pipe, cut into
//! chunks, prefixed once, put together, and down again into a pipe; byte for byte, in little memory.

use filemill_e2e::{Service, Stage, binary};
use filemill_trials::trials;
use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

const MIB: u64 = 1 << 20;
const BLOCK: usize = 1 << 20;
const PREFIX: &[u8] = b"Hello! ";
/// Of the whole process: for each worker 64 MiB, and the parts of the upload that are on their way.
const MEMORY_MAX: u64 = 256 * MIB;

fn size() -> u64 {
    trials(256 * MIB + 12_345, 10 * 1024 * MIB + 12_345)
}

/// What stands at this offset: no two blocks are alike, and no byte ends a line.
fn block(number: u64) -> Vec<u8> {
    let mut block = vec![b'x'; BLOCK];
    let number = format!("block {number} \0\r");
    block[..number.len()].copy_from_slice(number.as_bytes());
    block
}

fn command(stage: &Stage, args: &[&str]) -> Command {
    let mut command = binary::command();
    command.args(args).env("FILEMILL_URL", &stage.service.api).env("FILEMILL_DATA", stage.data());
    command
}

fn send_line(stage: &Stage, bytes: u64) {
    let mut put = command(stage, &["put", "-", "--key", "line.txt", "--wait"]);
    let mut put = put.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("the program runs");
    let mut pipe = put.stdin.take().expect("stdin is piped");
    let mut left = bytes;
    for number in 0.. {
        let block = block(number);
        let part = &block[..usize::try_from(left).map_or(BLOCK, |left| left.min(BLOCK))];
        pipe.write_all(part).expect("the command reads to the end");
        left -= part.len() as u64;
        if left == 0 {
            break;
        }
    }
    drop(pipe);
    expect_success(put);
}

fn expect_line(stage: &Stage, bytes: u64) {
    let mut get = command(stage, &["get", "results/line.txt", "-o", "-"]);
    let mut get = get.stdout(Stdio::piped()).spawn().expect("the program runs");
    let mut pipe = get.stdout.take().expect("stdout is piped");
    let mut prefix = vec![0; PREFIX.len()];
    pipe.read_exact(&mut prefix).expect("a result");
    assert_eq!(prefix, PREFIX);
    let (mut left, mut read) = (bytes, vec![0; BLOCK]);
    for number in 0.. {
        let length = usize::try_from(left).map_or(BLOCK, |left| left.min(BLOCK));
        if length == 0 {
            break;
        }
        pipe.read_exact(&mut read[..length]).unwrap_or_else(|e| panic!("{left} bytes are missing: {e}"));
        assert!(read[..length] == block(number)[..length], "block {number} differs");
        left -= length as u64;
    }
    assert_eq!(pipe.read(&mut read).expect("an end"), 0, "more than was sent");
    expect_success(get);
}

fn expect_success(mut child: Child) {
    let status = child.wait().expect("a child of ours can be waited for");
    assert!(status.success(), "{status}");
}

/// The most that it ever held in memory, in bytes.
fn memory_peak(service: &Service) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", service.pid())).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it tells its peak");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib * 1024
}

#[test]
fn one_line_larger_than_memory_is_prefixed_once() {
    let (stage, bytes, began) = (Stage::open(), size(), Instant::now());
    send_line(&stage, bytes);
    let job = stage.service.ended_job("uploads", "line.txt").expect_completed();
    assert!(job.chunks() > 1, "it was not cut: {}", job.0);
    expect_line(&stage, bytes);
    let peak = memory_peak(&stage.service);
    eprintln!(
        "a line of {bytes} bytes, {} chunks, exact, {:?}; peak {} MiB",
        job.chunks(),
        began.elapsed(),
        peak / MIB
    );
    assert!(peak < MEMORY_MAX, "{} MiB", peak / MIB);
    stage.service.stop();
}
