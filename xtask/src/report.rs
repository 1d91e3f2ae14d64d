//! What a run of all tests consisted of: each part with its time, the slowest tests, and what failed on which engine.
//! Whoever makes it slower sees it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use xr_lab::Layout;

/// How many of the slowest tests are shown.
const SLOWEST: usize = 15;

/// The parts so far.
pub(crate) struct Report {
    begun: Instant,
    stages: Vec<(String, Duration, bool)>,
    engines: Vec<(&'static str, Vec<Case>)>,
}

/// One test that ran.
struct Case {
    name: String,
    seconds: f64,
    failed: bool,
}

impl Report {
    pub fn begin() -> Self {
        Self { begun: Instant::now(), stages: Vec::new(), engines: Vec::new() }
    }

    /// Runs a part and keeps its time, also when it fails.
    pub fn stage<T>(&mut self, title: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let begun = Instant::now();
        let result = work();
        if let Err(error) = &result {
            eprintln!("xtask: {title}: {error:#}");
        }
        self.stages.push((title.to_owned(), begun.elapsed(), result.is_ok()));
        result
    }

    /// Runs tests on an engine as a part, and takes over what nextest has written of each.
    pub fn tests_on(&mut self, engine: &'static str, work: impl FnOnce() -> Result<()>) -> Result<()> {
        let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        let path = target.unwrap_or_else(|| Layout::workspace().join("target")).join("nextest/default/junit.xml");
        // of tests that ran before
        let _ = std::fs::remove_file(&path);
        let ran = self.stage(&format!("lab {engine}: tests"), work);
        match std::fs::read_to_string(&path) {
            Ok(text) => self.engines.push((engine, cases(&text))),
            // a run that ended before its tests has told why
            Err(error) => ran.as_ref().map(drop).or(Err(error)).with_context(|| path.display().to_string())?,
        }
        ran
    }

    /// Prints the tables. A part that failed is the error.
    pub fn end(self) -> Result<()> {
        for (engine, cases) in &self.engines {
            let mut slowest: Vec<&Case> = cases.iter().collect();
            slowest.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
            eprintln!("\nslowest tests on engine {engine}");
            for case in slowest.iter().take(SLOWEST) {
                eprintln!("{:>7.1} s  {}", case.seconds, case.name);
            }
        }
        eprintln!("\n{:<24} {:>6} {:>6}", "engine", "passed", "failed");
        for (engine, cases) in &self.engines {
            let failed: Vec<&Case> = cases.iter().filter(|case| case.failed).collect();
            eprintln!("{engine:<24} {:>6} {:>6}", cases.len() - failed.len(), failed.len());
            failed.iter().for_each(|case| eprintln!("  {}", case.name));
        }
        eprintln!("\n{:<44} {:>8}", "stage", "min:s");
        for (title, time, well) in &self.stages {
            eprintln!("{title:<44} {}{}", clock(*time), if *well { "" } else { "  FAILED" });
        }
        eprintln!("{:<44} {}", "all of it", clock(self.begun.elapsed()));
        match self.stages.iter().find(|(_, _, well)| !well) {
            Some((title, ..)) => bail!("{title}: failed, see above"),
            None => Ok(()),
        }
    }
}

fn clock(time: Duration) -> String {
    format!("{:>5}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

/// The tests of a file in JUnit's format, as nextest writes it.
fn cases(text: &str) -> Vec<Case> {
    let attribute = |piece: &str, name: &str| {
        let (_, rest) = piece.split_once(&format!(" {name}=\""))?;
        rest.split_once('"').map(|(value, _)| value.to_owned())
    };
    text.split("<testcase")
        .skip(1)
        .filter_map(|piece| {
            Some(Case {
                name: attribute(piece, "name")?,
                seconds: attribute(piece, "time")?.parse().ok()?,
                failed: piece.contains("<failure") || piece.contains("<error"),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_times_and_failures_are_read_from_what_nextest_writes() {
        let text = r#"<testsuite name="xr::lab" tests="2" failures="1">
            <testcase name="a::good" classname="xr::lab" timestamp="2026-01-01T00:00:00Z" time="1.250"></testcase>
            <testcase name="a::bad" classname="xr::lab" time="0.5"><failure type="test failure">no</failure></testcase>"#;
        let found = cases(text);
        let said: Vec<(&str, f64, bool)> = found.iter().map(|c| (c.name.as_str(), c.seconds, c.failed)).collect();
        assert_eq!(said, [("a::good", 1.25, false), ("a::bad", 0.5, true)]);
    }
}
