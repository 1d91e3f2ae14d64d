//! The same change, three ways, under a steady load on the published port.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Result;
use xr_lab::{Lab, wait_for};

use super::{
    load::{Load, Seen, ask},
    stack::Stack,
};

const VERSIONS: [&str; 2] = ["v1.0.0", "v1.1.0"];

pub(super) fn run(lab: &Lab, xr: &Path, against: Option<&Path>) -> Result<()> {
    let mut ways: Vec<(&str, &str, &Path, Change)> = vec![
        ("xr update", "xr", xr, by_xr),
        ("docker compose up -d --wait", "compose", xr, by_compose),
        ("stop, pull, start", "script", xr, by_script),
    ];
    ways.extend(against.map(|other| ("the other xr", "other", other, by_xr as Change)));
    let mut rows = Vec::new();
    for (index, (title, name, xr, change)) in (0u16..).zip(ways) {
        let stack = Stack::install(lab, xr, name, 18_200 + index, &VERSIONS, &[])?;
        let load = Load::begin(stack.port);
        wait_for("the first answers", Duration::from_secs(10), || ask(stack.port))?;
        let begun = Instant::now();
        change(&stack)?;
        wait_for("the new version to answer", Duration::from_secs(120), || ask(stack.port))?;
        let took = begun.elapsed();
        std::thread::sleep(Duration::from_millis(500));
        rows.push((title, load.end(), took));
    }
    let base = rows[0].1.gap.as_secs_f64().max(0.001);
    println!("\nv1.0.0 → v1.1.0 under load on the published port");
    println!(
        "{:<30} {:>7} {:>8} {:>12} {:>9} {:>15} {:>8}",
        "", "good", "failed", "longest gap", "× xr", "slowest answer", "took"
    );
    for (title, Seen { good, bad, gap, slowest }, took) in rows {
        let (gap, slowest, took) = (gap.as_secs_f64(), slowest.as_secs_f64(), took.as_secs_f64());
        let ratio = gap / base;
        println!("{title:<30} {good:>7} {bad:>8} {gap:>10.2} s {ratio:>8.1}× {slowest:>13.2} s {took:>6.1} s");
    }
    Ok(())
}

type Change = fn(&Stack<'_>) -> Result<()>;

fn by_xr(stack: &Stack<'_>) -> Result<()> {
    stack.xr(&["update", "--to", "v1.1.0", "--yes"]).stdout_null().stderr_null().run()?;
    Ok(())
}

fn by_compose(stack: &Stack<'_>) -> Result<()> {
    stack.switch_tree("v1.1.0")?;
    stack.compose(&["up", "-d", "--wait"]).stdout_null().stderr_null().run()?;
    Ok(())
}

fn by_script(stack: &Stack<'_>) -> Result<()> {
    stack.compose(&["down"]).stdout_null().stderr_null().run()?;
    stack.switch_tree("v1.1.0")?;
    stack.compose(&["pull", "--ignore-pull-failures"]).stdout_null().stderr_null().unchecked().run()?;
    stack.compose(&["up", "-d"]).stdout_null().stderr_null().run()?;
    Ok(())
}
