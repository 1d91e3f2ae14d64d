//! What xr notes about itself: on standard error when asked (`-v`), and in `.xr/log/`, a file a day, fourteen days.

use std::path::Path;

use tracing_subscriber::{Layer, filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};
use xr_journal::{Home, give_to_folders_owner};

use crate::print;

/// Days of logs kept.
const DAYS: usize = 14;

/// What is noted when much is wanted.
const MUCH: &str = "warn,xr=debug";

/// Begins logging. `XR_LOG` takes levels as `tracing` understands them: `debug`, `warn,xr_host=trace`. Without a `.xr/`
/// nothing is written.
pub fn begin(verbose: u8, root: &Path) {
    let level = if verbose >= 2 { MUCH } else { "off" };
    let asked = std::env::var("XR_LOG").ok().and_then(|levels| levels.parse::<Targets>().ok());
    let to_stderr = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(print::is_coloured(&std::io::stderr()))
        .with_target(false)
        .with_filter(asked.unwrap_or_else(|| levels(level)));
    let home = Home::of(root);
    let file = home.logs().is_dir().then(|| {
        let file = tracing_appender::rolling::Builder::new()
            .rotation(tracing_appender::rolling::Rotation::DAILY)
            .filename_prefix("xr")
            .filename_suffix("log")
            .max_log_files(DAYS)
            .build(home.logs());
        give_to_owner(&home.logs());
        file.ok().map(|file| {
            tracing_subscriber::fmt::layer()
                .with_writer(std::sync::Mutex::new(file))
                .with_ansi(false)
                .with_filter(levels(MUCH))
        })
    });
    // A second call in one process (never in the binary) keeps the first.
    let _ = tracing_subscriber::registry().with(to_stderr).with(file.flatten()).try_init();
}

fn levels(text: &str) -> Targets {
    text.parse().unwrap_or_default()
}

/// Under sudo in a user's clone, the logs are the user's. A log that root keeps to itself is no reason to stop.
fn give_to_owner(logs: &Path) {
    for path in std::fs::read_dir(logs).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let _ = std::fs::File::open(&path).and_then(|file| give_to_folders_owner(&file, &path));
    }
}

/// Notes an event.
pub fn note(event: &xr_model::Event) {
    use xr_model::Event;
    match event {
        Event::Progress { .. } => {}
        Event::StepDone { title, ms, .. } => tracing::info!(ms, "{title}"),
        Event::StepSkipped { title, why, .. } => tracing::info!(why, "{title}: skipped"),
        Event::StepFailed { title, error, .. } => tracing::warn!(error, "{title}"),
        Event::Message { text, .. } => tracing::info!("{text}"),
        Event::Phase { name } => tracing::debug!("{name}"),
        Event::StepStarted { title, .. } => tracing::debug!("{title} …"),
        Event::Start { xr, command, .. } => tracing::info!(xr, "{command}"),
        Event::End { outcome } => tracing::info!(verdict = ?outcome.verdict, cause = outcome.cause, "end"),
    }
}
