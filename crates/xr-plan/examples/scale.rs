//! What a plan costs for many workers: its time, the time of its linter, its memory. `cargo xtask bench plan` runs it in release.
#![allow(unsafe_code, reason = "an allocator that counts")]
#![allow(clippy::print_stdout, reason = "prints a table")]
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on ends")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};
use xr_model::{
    Desired, DesiredFleet, Digest, ImageRef, Observed, ObservedWorker, PinnedImage, Quorum, RunKind, Version,
};
use xr_plan::{Origin, lint, plan};

const SIZES: [usize; 4] = [100, 1_000, 10_000, 100_000];
const IMAGES: usize = 5;
/// Each is measured so often, and the quickest counts: a neighbour on the machine only adds to it.
const RUNS: usize = 9;
/// What 10,000 workers may cost.
const TARGET: (usize, Duration) = (10_000, Duration::from_millis(100));

/// The system's allocator; counts the bytes that are in use.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static HEAP: Counting = Counting;

/// One row.
#[derive(Clone, Copy)]
struct Cost {
    workers: usize,
    plan: Duration,
    lint: Duration,
    heap: usize,
    record: usize,
}

impl Cost {
    fn per_worker(&self, time: Duration) -> f64 {
        time.as_secs_f64() * 1e9 / self.workers as f64
    }
}

fn main() {
    println!(
        "a plan for workers that lack {IMAGES} images each; processor time, the quickest of {RUNS}; × is per worker, beside the row above"
    );
    println!(
        "{:>8}  {:>10} {:>10} {:>7}  {:>10} {:>10} {:>7}  {:>10} {:>9} {:>7}  {:>9} {:>9}",
        "workers", "plan", "a worker", "×", "lint", "a worker", "×", "heap", "a worker", "×", "journal", "a worker"
    );
    let mut before: Option<Cost> = None;
    let mut slow = None;
    for workers in SIZES {
        let cost = measure(workers);
        let ratio = |of: fn(&Cost) -> f64| {
            before.map_or_else(|| "-".to_owned(), |before| format!("{:.2}", of(&cost) / of(&before)))
        };
        println!(
            "{workers:>8}  {:>7.2} ms {:>7.0} ns {:>7}  {:>7.2} ms {:>7.0} ns {:>7}  {:>6.2} MiB {:>7} B {:>7}  {:>5.2} MiB {:>7} B",
            ms(cost.plan),
            cost.per_worker(cost.plan),
            ratio(|cost| cost.per_worker(cost.plan)),
            ms(cost.lint),
            cost.per_worker(cost.lint),
            ratio(|cost| cost.per_worker(cost.lint)),
            mib(cost.heap),
            cost.heap / workers,
            ratio(|cost| cost.heap as f64 / cost.workers as f64),
            mib(cost.record),
            cost.record / workers,
        );
        if workers == TARGET.0 && cost.plan + cost.lint > TARGET.1 {
            slow = Some(cost.plan + cost.lint);
        }
        before = Some(cost);
    }
    let (workers, limit) = TARGET;
    match slow {
        None => println!("{workers} workers are planned and linted in less than {} ms", limit.as_millis()),
        Some(took) => {
            println!("{workers} workers take {:.1} ms, and {} ms is the limit", ms(took), limit.as_millis());
            std::process::exit(1);
        }
    }
}

fn measure(workers: usize) -> Cost {
    let (desired, observed, origin) = world(workers);
    let mut best = Cost { workers, plan: Duration::MAX, lint: Duration::MAX, heap: 0, record: 0 };
    for _ in 0..RUNS {
        let in_use = IN_USE.load(Ordering::Relaxed);
        let begun = used();
        let made = plan(&desired, &observed, &origin);
        best.plan = best.plan.min(used() - begun);
        best.heap = IN_USE.load(Ordering::Relaxed) - in_use;
        let begun = used();
        let broken = lint(&made, &desired);
        best.lint = best.lint.min(used() - begun);
        assert_eq!(broken, Vec::<String>::new());
        // Staged, switched, confirmed; files, pin, verify and record once.
        assert_eq!(made.steps().count(), 3 * workers + 4);
        best.record = serde_json::to_vec(&made).unwrap().len();
    }
    best
}

/// A control host on which nothing is to be done but what the workers need.
fn world(workers: usize) -> (Desired, Observed, Origin) {
    let image = |number: usize| PinnedImage {
        reference: ImageRef::new(format!("registry.example.com/acme/orbit-part-{number}:v2.0.0")),
        digest: Some(Digest(format!("sha256:{number:064x}"))),
        image_id: format!("sha256:{:064x}", number + 1000),
        services: Vec::new(),
        versioned: true,
    };
    let images: Vec<PinnedImage> = (0..IMAGES).map(image).collect();
    let version: Version = "v2.0.0".parse().unwrap();
    let local = |image: &PinnedImage| xr_model::LocalImage {
        id: image.image_id.clone(),
        tags: Vec::new(),
        repo_digests: Vec::new(),
        size: 0,
    };
    let observed = Observed {
        containers: Vec::new(),
        images: images.iter().map(local).collect(),
        fleet: (0..workers)
            .map(|number| ObservedWorker { name: format!("worker-{number:06}"), images: Vec::new(), up_to_date: false })
            .collect(),
    };
    let desired = Desired {
        version,
        generation: 2,
        commit: None,
        services: Vec::new(),
        left_out: Vec::new(),
        images: images.clone(),
        previous_specs: BTreeMap::new(),
        ended: Vec::new(),
        files_change: true,
        hooks: Vec::new(),
        backups: Vec::new(),
        restores: Vec::new(),
        remade_networks: Vec::new(),
        settle: Duration::ZERO,
        smoke: false,
        fleet: Some(DesiredFleet { images, agent: true, quorum: Quorum::Majority, all: workers }),
    };
    let origin = Origin {
        kind: RunKind::Update,
        generation: Some(1),
        version: None,
        drain: BTreeMap::new(),
        patience: BTreeMap::new(),
    };
    (desired, observed, origin)
}

/// The processor's time that this thread has used so far.
fn used() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn mib(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
