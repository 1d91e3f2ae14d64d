//! A bounded run of every fuzz target, without a fuzzer: its corpus, and small changes to it.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test that reads its corpus")]

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use xr_fuzz::{ENTRIES, Mutator};

/// Changed inputs for each target; `XR_FUZZ_RUNS` asks for more.
const RUNS: u64 = 3_000;

fn runs() -> u64 {
    std::env::var("XR_FUZZ_RUNS").map_or(RUNS, |runs| runs.parse().unwrap())
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let mut paths: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", dir.display());
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

fn holds(name: &str) {
    let (_, entry) = ENTRIES.into_iter().find(|(target, _)| *target == name).unwrap();
    let corpus = corpus(name);
    let mut mutator = Mutator::new(0x9e37_79b9_7f4a_7c15);
    let changed = (0..runs()).map(|_| mutator.next(&corpus));
    for data in corpus.clone().into_iter().chain(changed) {
        let held = catch_unwind(AssertUnwindSafe(|| entry(&data)));
        assert!(held.is_ok(), "{name} panics at: {}", data.escape_ascii());
    }
}

macro_rules! targets {
    ($($name:ident),*) => {$(
        #[test]
        fn $name() {
            holds(stringify!($name));
        }
    )*

        #[test]
        fn every_entry_is_a_target_and_a_test() {
            let tested = [$(stringify!($name)),*];
            let targets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/fuzz_targets");
            for (name, _) in ENTRIES {
                assert!(tested.contains(&name), "{name} is not tested");
                assert!(targets.join(format!("{name}.rs")).exists(), "{name} is no target");
            }
        }
    };
}

targets!(env, env_merge, version, version_file, manifest, journal, generation, compose, keys, signed_list, inventory);
