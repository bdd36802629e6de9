//! Jobs done on several threads, their results taken in the order in which the jobs came.
//!
//! Promises: results do not depend on the number of threads; a panic in a job reaches the caller; no thread outlives the
//! call. What it does not do: bound what is under way. The caller does, by what it knows of the jobs' sizes.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// More do not help: one reader and one writer feed them.
const THREADS_MAX: usize = 8;

pub fn threads_here() -> usize {
    thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX)
}

/// Calls `drive` with a lane to give jobs to. `worker` makes each thread's own way to do a job (its buffers, its
/// compressor). With one thread the jobs are done where they are given.
pub fn in_order<J, R, W, T>(
    threads: usize,
    worker: impl Fn() -> W + Sync,
    drive: impl FnOnce(&mut Lane<'_, J, R>) -> T,
) -> T
where
    J: Send,
    R: Send,
    W: FnMut(J) -> R,
{
    if threads <= 1 {
        return drive(&mut Lane { place: Place::Here(Box::new(worker())), waiting: VecDeque::new(), taken: 0 });
    }
    let (jobs, queue) = channel::<(u64, J)>();
    let (done, results) = channel();
    let queue = Mutex::new(queue);
    thread::scope(|scope| {
        for _ in 0..threads {
            let (worker, queue, done) = (&worker, &queue, done.clone());
            scope.spawn(move || work(worker(), queue, &done));
        }
        drop(done);
        // dropped at the end of `drive`, also when it fails: the threads then find their queue closed
        let place = Place::Threads { jobs, results };
        drive(&mut Lane { place, waiting: VecDeque::new(), taken: 0 })
    })
}

fn work<J, R>(
    mut worker: impl FnMut(J) -> R,
    queue: &Mutex<Receiver<(u64, J)>>,
    done: &Sender<(u64, thread::Result<R>)>,
) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((number, job)) = next else { return };
        let result = catch_unwind(AssertUnwindSafe(|| worker(job)));
        let broken = result.is_err();
        if done.send((number, result)).is_err() || broken {
            return;
        }
    }
}

pub struct Lane<'w, J, R> {
    place: Place<'w, J, R>,
    /// Results from the oldest job on that was not taken yet, as far as they are there.
    waiting: VecDeque<Option<R>>,
    taken: u64,
}

enum Place<'w, J, R> {
    Here(Box<dyn FnMut(J) -> R + 'w>),
    Threads { jobs: Sender<(u64, J)>, results: Receiver<(u64, thread::Result<R>)> },
}

impl<J, R> Lane<'_, J, R> {
    pub fn give(&mut self, job: J) {
        let number = self.taken + self.waiting.len() as u64;
        let result = match &mut self.place {
            Place::Here(worker) => Some(worker(job)),
            Place::Threads { jobs, .. } => {
                // the queue is closed only when the lane is gone
                drop(jobs.send((number, job)));
                None
            }
        };
        self.waiting.push_back(result);
    }

    /// Jobs whose results were not taken.
    pub fn under_way(&self) -> usize {
        self.waiting.len()
    }

    /// The result of the oldest job, waited for; `None` if there is no job.
    pub fn take(&mut self) -> Option<R> {
        while self.waiting.front()?.is_none() {
            let Place::Threads { results, .. } = &self.place else { unreachable!("done where it was given") };
            let (number, result) = results.recv().expect("a thread ends only after its last result was sent");
            let result = result.unwrap_or_else(|panic| resume_unwind(panic));
            let at = usize::try_from(number - self.taken).expect("it is in the queue");
            self.waiting[at] = Some(result);
        }
        self.taken += 1;
        self.waiting.pop_front().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn squares(threads: usize) -> Vec<u64> {
        in_order(
            threads,
            || |n: u64| if n.is_multiple_of(7) { (0..100 * n).sum::<u64>() } else { n * n },
            |lane| {
                let mut out = Vec::new();
                for n in 0..500 {
                    lane.give(n);
                    if lane.under_way() > 20 {
                        out.extend(lane.take());
                    }
                }
                out.extend(std::iter::from_fn(|| lane.take()));
                out
            },
        )
    }

    #[test]
    fn results_come_in_the_order_of_the_jobs_on_any_number_of_threads() {
        for threads in [2, 3, 8] {
            assert_eq!(squares(threads), squares(1), "{threads} threads");
        }
    }

    #[test]
    fn a_panic_in_a_job_reaches_the_caller() {
        for threads in [1, 2, 8] {
            let run = || {
                in_order(
                    threads,
                    || |n: u8| assert!(n != 5, "five"),
                    |lane| {
                        (0..50).for_each(|n| lane.give(n));
                        while lane.take().is_some() {}
                    },
                )
            };
            assert!(catch_unwind(run).is_err(), "{threads} threads");
        }
    }

    #[test]
    fn leaving_early_leaves_no_thread_behind() {
        let first = in_order(
            4,
            || |n: u64| n,
            |lane| {
                (0..1000).for_each(|n| lane.give(n));
                lane.take()
            },
        );
        assert_eq!(first, Some(0));
    }
}
