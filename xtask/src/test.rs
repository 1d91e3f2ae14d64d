//! `cargo xtask test`: what must hold before a change is done, in two lengths. The lab lives exactly as long as its tests.

use anyhow::{Context, Result, bail};
use clap::Args;
use duct::Expression;
use xr_lab::{ENGINES, EngineRelease, LONG_FORM, Layout, Sandbox, cargo, plain};

use crate::report::Report;

/// Tests in the binaries called `lab` need the lab: `crates/*/tests/lab/`.
const NEEDS_LAB: &str = "kind(test) and binary(lab)";
/// What every run shows on the newest engine too.
const ON_NEWEST: &str = "test(an_update_replaces_what_changed) or test(a_release_that_never_gets_healthy) \
     or test(a_product_of_another_shape) or test(a_rollback_needs_neither)";
/// Changed inputs for each target in the long run.
const FUZZ_RUNS: &str = "300000";

#[derive(Args)]
pub(crate) struct Test {
    /// The long form: every engine, every moment of a fault, 10,000 kills and 200 real ones, 100 random stacks, long fuzzing, benches
    #[arg(long, conflicts_with_all = ["no_lab", "lab_only", "engine", "nextest"])]
    full: bool,
    /// Leave out the tests that need the lab
    #[arg(long)]
    no_lab: bool,
    /// Only the tests that need the lab
    #[arg(long, conflicts_with = "no_lab")]
    lab_only: bool,
    /// Only the tests that need the lab, on these engines: `cargo xtask lab engines` lists them
    #[arg(long, value_name = "VERSION", value_delimiter = ',', conflicts_with = "no_lab")]
    engine: Vec<String>,
    /// Passed on to nextest, for example a part of a test's name
    #[arg(last = true)]
    nextest: Vec<String>,
}

pub(crate) fn run(options: &Test) -> Result<()> {
    let mut report = Report::begin();
    let done = stages(options, &mut report);
    report.end().and(done)
}

fn stages(options: &Test, report: &mut Report) -> Result<()> {
    let chosen = !options.nextest.is_empty();
    let engines: Vec<EngineRelease> =
        options.engine.iter().map(|name| EngineRelease::find(name)).collect::<Result<_>>()?;
    let only_lab = options.lab_only || !engines.is_empty();
    let layout = Layout::from_env()?;
    report.stage("packages and engine", || xr_lab::prepare(&layout).and_then(|()| has_nextest()))?;
    // what it builds, mostly waiting for packages, is there when the tests have been compiled
    let lab = if engines.is_empty() { Some(RunningLab::start(&layout, !options.no_lab, options.full)?) } else { None };
    if !only_lab {
        report.stage("tidy, format", || crate::tidy::run().and_then(|()| must(&["fmt", "--all", "--check"])))?;
        report.stage("lints", || must(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    }
    report.stage("compile the tests", || must(&["nextest", "run", "--workspace", "--no-run"]))?;
    let mut newest = None;
    if let Some(lab) = lab {
        if !only_lab {
            let others = format!("not ({NEEDS_LAB})");
            report.stage("unit tests", || lab.nextest(&filtered(&others, &options.nextest)))?;
        }
        if options.no_lab {
            return Ok(());
        }
        lab.tests(report, NEEDS_LAB, &options.nextest)?;
        if !chosen {
            if !options.full {
                let engine = ENGINES.iter().rfind(|engine| !engine.containerd_store).context("no engine")?;
                newest = Some(RunningLab::start(&Layout::with(*engine)?, true, false)?);
            }
            let (crash, conform): (&[&str], &[&str]) =
                if options.full { (&[], &["--debug", "--random", "100"]) } else { (&["--sample"], &["--sample"]) };
            report.stage("crash certificate, conformance to compose", || {
                lab.both(&[&["crash"], crash].concat(), &[&["conform"], conform].concat())
            })?;
        }
        if options.full {
            for bench in [["bench"].as_slice(), &["bench", "images"], &["bench", "fleet"]] {
                report.stage(&bench.join(" "), || lab.xtask(bench))?;
            }
        }
    }
    if options.full {
        let fuzz = || {
            let command = cargo(&["test", "--release", "--package", "xr-fuzz"]).env("XR_FUZZ_RUNS", FUZZ_RUNS);
            ended_well("long fuzzing", command)
        };
        report.stage("long fuzzing", fuzz)?;
        for engine in &ENGINES[1..] {
            // the table tells
            let lab = RunningLab::start(&Layout::with(*engine)?, true, true)?;
            let _ = lab.tests(report, NEEDS_LAB, &[]);
            let title = format!("conformance on {}", engine.name);
            let _ = report.stage(&title, || lab.xtask(&["conform", "--debug", "--random", "100"]));
        }
    }
    if let Some(newest) = newest {
        newest.tests(report, &format!("{NEEDS_LAB} and ({ON_NEWEST})"), &[])?;
    }
    for engine in engines {
        let _ = RunningLab::start(&Layout::with(engine)?, true, false)?.tests(report, NEEDS_LAB, &options.nextest);
    }
    Ok(())
}

/// A lab's namespaces, where unit tests find its compose and its engine's programs, and in them the lab, which comes up
/// meanwhile. Both end with this value.
struct RunningLab {
    engine: &'static str,
    sandbox: Sandbox,
    coming: Option<duct::Handle>,
    /// Whether tests show every point of theirs and not only some.
    long: bool,
}

impl RunningLab {
    /// Begins to start it and, if it is wanted whole, to build what it lacks.
    fn start(layout: &Layout, whole: bool, long: bool) -> Result<Self> {
        xr_lab::prepare(layout)?;
        let sandbox = Sandbox::owned(layout)?;
        let coming = if whole { Some(xtask(&sandbox, &["lab", "build"])?.unchecked().start()?) } else { None };
        Ok(Self { engine: layout.engine().name, sandbox, coming, long })
    }

    /// Runs these tests in it.
    fn tests(&self, report: &mut Report, filter: &str, more: &[String]) -> Result<()> {
        let engine = self.engine;
        report.stage(&format!("lab {engine}: the rest of its start"), || {
            let coming = self.coming.as_ref().context("nobody has begun to start it")?;
            let status = coming.wait()?.status;
            if status.success() { Ok(()) } else { bail!("the lab did not start: {status}") }
        })?;
        report.tests_on(engine, || self.nextest(&filtered(filter, more)))
    }

    fn nextest(&self, more: &[&str]) -> Result<()> {
        let argv = [&["cargo", "nextest", "run", "--workspace"], more].concat();
        let mut command = plain(self.sandbox.command(&argv)?);
        if self.long {
            command = command.env(LONG_FORM, "1");
        }
        ended_well(&argv.join(" "), command)
    }

    /// Runs one, which waits a lot, and the other beside it, whose words come at the end.
    fn both(&self, argv: &[&str], beside: &[&str]) -> Result<()> {
        let beside = xtask(&self.sandbox, beside)?.stderr_to_stdout().stdout_capture().unchecked().start()?;
        let done = self.xtask(argv);
        let output = beside.wait()?;
        eprint!("{}", String::from_utf8_lossy(&output.stdout));
        done?;
        if output.status.success() { Ok(()) } else { bail!("what ran beside it: {}", output.status) }
    }

    fn xtask(&self, argv: &[&str]) -> Result<()> {
        ended_well(&argv.join(" "), xtask(&self.sandbox, argv)?)
    }
}

/// This program, in a lab.
fn xtask(sandbox: &Sandbox, argv: &[&str]) -> Result<Expression> {
    let this = std::env::current_exe()?.display().to_string();
    sandbox.command(&[&[this.as_str()], argv].concat())
}

fn filtered<'a>(filter: &'a str, more: &'a [String]) -> Vec<&'a str> {
    let argv = ["--no-tests=pass", "--no-fail-fast", "-E", filter];
    argv.into_iter().chain(more.iter().map(String::as_str)).collect()
}

fn has_nextest() -> Result<()> {
    if cargo(&["nextest", "--version"]).stdout_null().stderr_null().unchecked().run()?.status.success() {
        return Ok(());
    }
    eprintln!("xtask: cargo-nextest is not installed; installing it");
    must(&["install", "--locked", "cargo-nextest"])
}

fn must(argv: &[&str]) -> Result<()> {
    ended_well(&format!("cargo {}", argv.join(" ")), cargo(argv))
}

fn ended_well(title: &str, command: Expression) -> Result<()> {
    eprintln!("xtask: {title}");
    let output = command.unchecked().run().with_context(|| title.to_owned())?;
    if !output.status.success() {
        bail!("{title}: {}", output.status);
    }
    Ok(())
}
