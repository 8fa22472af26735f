//! A few threads that work through numbered tasks together, over and over, without allocation.
//!
//! A training step of a small network is a hundred parallel sections of some tens of microseconds, so between sections
//! workers spin for a moment, then offer their processor to others for a while, before they sleep: being woken takes long.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Spins before a thread that waits offers its processor to others.
const SPINS: usize = 2_000;
/// Offers before it goes to sleep.
const OFFERS: usize = 2_000;

type Task = dyn Fn(usize, usize) + Sync;

/// What the threads share.
struct Shared {
    /// Number of the section, and the section; `None` ends the threads.
    section: Mutex<(usize, Option<&'static Task>, usize)>,
    wake: Condvar,
    /// Number of the section, to spin on.
    announced: AtomicUsize,
    next: AtomicUsize,
    /// Workers still in the section.
    busy: AtomicUsize,
    panicked: AtomicBool,
}

/// The threads; the caller of [`Gang::run`] is one of them.
pub(crate) struct Gang {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

impl Gang {
    /// A gang of `threads` threads, at least one.
    pub(crate) fn new(threads: usize) -> Self {
        let shared = Arc::new(Shared {
            section: Mutex::new((0, None, 0)),
            wake: Condvar::new(),
            announced: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
            busy: AtomicUsize::new(0),
            panicked: AtomicBool::new(false),
        });
        let workers = (1..threads.max(1))
            .map(|worker| {
                let shared = shared.clone();
                std::thread::spawn(move || work(&shared, worker))
            })
            .collect();
        Gang { shared, workers }
    }

    /// Threads, the caller's included.
    pub(crate) fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `task(number, worker)` for every number below `tasks`; returns when all are done. Which worker (below
    /// [`threads`](Self::threads)) runs a task is not fixed; one worker runs one task at a time.
    pub(crate) fn run(&mut self, tasks: usize, task: &(dyn Fn(usize, usize) + Sync)) {
        if self.workers.is_empty() || tasks <= 1 {
            return (0..tasks).for_each(|number| task(number, 0));
        }
        // SAFETY: the reference is used by the workers only while `busy` is above zero, and this function returns (or
        // unwinds) only after it is zero again, so the borrow outlives every use.
        let task: &'static Task = unsafe { std::mem::transmute::<&(dyn Fn(usize, usize) + Sync), &'static Task>(task) };
        let shared = &*self.shared;
        shared.next.store(0, Ordering::Relaxed);
        shared.busy.store(self.workers.len(), Ordering::Relaxed);
        {
            let mut section = shared.section.lock().unwrap_or_else(PoisonError::into_inner);
            *section = (section.0 + 1, Some(task), tasks);
            shared.announced.store(section.0, Ordering::Release);
        }
        shared.wake.notify_all();
        let waits = WaitForWorkers(shared);
        drain(shared, task, tasks, 0);
        drop(waits);
        assert!(!shared.panicked.load(Ordering::Relaxed), "a worker thread panicked");
    }
}

/// Elements that several threads change, each a different one.
struct Disjoint<T>(*mut T);

// SAFETY: whoever uses it from several threads hands out every element to one of them at a time.
unsafe impl<T: Send> Sync for Disjoint<T> {}

impl<T> Disjoint<T> {
    /// # Safety
    /// The element is inside the slice, and nobody else uses it.
    #[expect(clippy::mut_from_ref, reason = "that is what it is for")]
    unsafe fn get(&self, index: usize) -> &mut T {
        // SAFETY: the caller's.
        unsafe { &mut *self.0.add(index) }
    }

    /// # Safety
    /// The elements are inside the slice, and nobody else uses them.
    #[expect(clippy::mut_from_ref, reason = "that is what it is for")]
    unsafe fn part(&self, start: usize, count: usize) -> &mut [T] {
        // SAFETY: the caller's.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(start), count) }
    }
}

impl Gang {
    /// Runs `task(number, item, memory)` for every item, with a memory that is one thread's at a time. There must be at
    /// least as many memories as threads.
    pub(crate) fn for_each_with<T: Send, W: Send>(
        &mut self,
        items: &mut [T],
        memories: &mut [W],
        task: impl Fn(usize, &mut T, &mut W) + Sync,
    ) {
        assert!(memories.len() >= self.threads(), "{} memories for {} threads", memories.len(), self.threads());
        let count = items.len();
        let (items, memories) = (Disjoint(items.as_mut_ptr()), Disjoint(memories.as_mut_ptr()));
        self.run(count, &|number, worker| {
            // SAFETY: `run` gives every number below the count once and a worker, below the number of threads, to one
            // thread at a time.
            let (item, memory) = unsafe { (items.get(number), memories.get(worker)) };
            task(number, item, memory);
        });
    }

    /// Runs `task(number, item, shares)` for every item with its equal share of each array, and `beside` once at the same
    /// time.
    pub(crate) fn for_each_share<T: Send, const N: usize>(
        &mut self,
        items: &mut [T],
        arrays: [&mut [f32]; N],
        task: impl Fn(usize, &mut T, [&mut [f32]; N]) + Sync,
        beside: impl FnOnce() + Send,
    ) {
        let count = items.len();
        let shares = arrays.each_ref().map(|array| array.len() / count.max(1));
        let (items, arrays) = (Disjoint(items.as_mut_ptr()), arrays.map(|array| Disjoint(array.as_mut_ptr())));
        let beside = Mutex::new(Some(beside));
        self.run(count + 1, &|number, _| {
            if number == count {
                let beside = beside.lock().unwrap_or_else(PoisonError::into_inner).take();
                return beside.into_iter().for_each(|beside| beside());
            }
            // SAFETY: every number below the count is given once, and the shares lie one after the other in the arrays.
            let item = unsafe { items.get(number) };
            // SAFETY: as above.
            let part = |array: usize| unsafe { arrays[array].part(number * shares[array], shares[array]) };
            task(number, item, std::array::from_fn(part));
        });
    }

    /// Runs `task(start, parts)` for pieces of `size` elements, beginning at `start`, of arrays of one length.
    pub(crate) fn for_each_piece<const N: usize>(
        &mut self,
        arrays: [&mut [f32]; N],
        size: usize,
        task: impl Fn(usize, [&mut [f32]; N]) + Sync,
    ) {
        let length = arrays.first().map_or(0, |array| array.len());
        assert!(arrays.iter().all(|array| array.len() == length), "arrays of different lengths");
        let arrays = arrays.map(|array| Disjoint(array.as_mut_ptr()));
        self.run(length.div_ceil(size), &|number, _| {
            let start = number * size;
            let count = size.min(length - start);
            // SAFETY: the pieces lie inside the arrays, and every number is given once.
            task(start, arrays.each_ref().map(|array| unsafe { array.part(start, count) }));
        });
    }
}

/// Waits for the workers when it goes out of scope, also when the caller's own task panics.
struct WaitForWorkers<'a>(&'a Shared);

impl Drop for WaitForWorkers<'_> {
    fn drop(&mut self) {
        let mut turns = 0;
        while self.0.busy.load(Ordering::Acquire) > 0 {
            wait_a_moment(turns);
            turns += 1;
        }
    }
}

fn wait_a_moment(turns: usize) {
    if turns < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
}

fn drain(shared: &Shared, task: &Task, tasks: usize, worker: usize) {
    loop {
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        if number >= tasks {
            return;
        }
        task(number, worker);
    }
}

fn work(shared: &Shared, worker: usize) {
    let mut seen = 0;
    loop {
        let mut turns = 0;
        while shared.announced.load(Ordering::Acquire) == seen && turns < SPINS + OFFERS {
            wait_a_moment(turns);
            turns += 1;
        }
        let (task, tasks) = {
            let mut section = shared.section.lock().unwrap_or_else(PoisonError::into_inner);
            while section.0 == seen {
                section = shared.wake.wait(section).unwrap_or_else(PoisonError::into_inner);
            }
            seen = section.0;
            match section.1 {
                Some(task) => (task, section.2),
                None => return,
            }
        };
        let work = std::panic::AssertUnwindSafe(|| drain(shared, task, tasks, worker));
        if std::panic::catch_unwind(work).is_err() {
            shared.panicked.store(true, Ordering::Relaxed);
        }
        shared.busy.fetch_sub(1, Ordering::Release);
    }
}

impl Drop for Gang {
    fn drop(&mut self) {
        {
            let mut section = self.shared.section.lock().unwrap_or_else(PoisonError::into_inner);
            *section = (section.0 + 1, None, 0);
            self.shared.announced.store(section.0, Ordering::Release);
        }
        self.shared.wake.notify_all();
        for worker in self.workers.drain(..) {
            // A worker's own panic was reported by `run` already.
            let _ = worker.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    #[test]
    fn every_task_runs_once_in_every_section() {
        for threads in [1, 2, 5] {
            let mut gang = Gang::new(threads);
            let counts: Vec<AtomicU64> = (0..37).map(|_| AtomicU64::new(0)).collect();
            for section in 0..500u64 {
                let tasks = (section % 38) as usize;
                gang.run(tasks, &|task, worker| {
                    assert!(worker < threads);
                    counts[task].fetch_add(section + 1, Ordering::Relaxed);
                });
            }
            for (task, count) in counts.iter().enumerate() {
                let expected: u64 = (0..500u64).filter(|s| (s % 38) as usize > task).map(|s| s + 1).sum();
                assert_eq!(count.load(Ordering::Relaxed), expected);
            }
        }
    }

    #[test]
    fn every_item_is_changed_once_with_a_memory_of_its_own() {
        for threads in [1, 3] {
            let mut gang = Gang::new(threads);
            let (mut items, mut memories) = (vec![0; 41], vec![0; threads]);
            for _ in 0..100 {
                gang.for_each_with(&mut items, &mut memories, |number, item, memory| {
                    *item += number;
                    *memory += 1;
                });
            }
            assert!(items.iter().enumerate().all(|(number, item)| *item == 100 * number));
            assert_eq!(memories.iter().sum::<usize>(), 4100);
        }
    }

    #[test]
    fn pieces_cover_the_arrays() {
        for threads in [1, 3] {
            let mut gang = Gang::new(threads);
            let (mut a, mut b) = (vec![0.0; 103], vec![1.0; 103]);
            gang.for_each_piece([&mut a, &mut b], 10, |start, [a, b]| {
                assert!(a.len() == if start == 100 { 3 } else { 10 } && b.len() == a.len());
                for (index, (a, b)) in a.iter_mut().zip(b).enumerate() {
                    *a += (start + index) as f32;
                    *b += *a;
                }
            });
            assert!(a.iter().zip(&b).enumerate().all(|(index, (a, b))| *a == index as f32 && *b == a + 1.0));
            gang.for_each_piece([&mut [], &mut []], 10, |_, _| unreachable!());
        }
    }

    #[test]
    fn every_item_gets_its_share_of_the_arrays() {
        for threads in [1, 3] {
            let mut gang = Gang::new(threads);
            let (mut items, mut a, mut b, mut beside) = (vec![0; 5], vec![0.0; 20], vec![0.0; 10], 0);
            let task = |number: usize, item: &mut usize, [a, b]: [&mut [f32]; 2]| {
                *item += number;
                a.fill(number as f32);
                b.fill(-(number as f32));
            };
            gang.for_each_share(&mut items, [&mut a, &mut b], task, || beside += 1);
            gang.for_each_share(&mut [(); 0], [&mut a], |_, (), _| unreachable!(), || beside += 1);
            assert_eq!((items, beside), (vec![0, 1, 2, 3, 4], 2));
            assert!(a.iter().enumerate().all(|(index, value)| *value == (index / 4) as f32));
            assert!(b.iter().enumerate().all(|(index, value)| *value == -((index / 2) as f32)));
        }
    }

    #[test]
    fn a_panic_in_a_task_reaches_the_caller() {
        let mut gang = Gang::new(2);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            gang.run(2, &|task, _| assert!(task == 0, "boom"));
        }));
        assert!(result.is_err());
    }
}
