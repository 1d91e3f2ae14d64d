//! One line for each change, for logs, cron and pipes.

use xr_model::{Event, Level};

use crate::print::err;

/// Shows an event as a line; phases and starts only when asked to say more.
pub fn show(event: Event, verbose: bool) {
    match event {
        Event::Phase { name } if verbose => err(&format!("{name} …")),
        Event::StepStarted { step, of, title } if verbose => err(&format!("[{step}/{of}] {title} …")),
        Event::StepDone { step, title, ms } if verbose => err(&format!("[{step}] {title}: {}", seconds(ms))),
        Event::StepSkipped { step, title, why } if verbose => err(&format!("[{step}] {title}: skipped: {why}")),
        Event::Message { level: Level::Info, text } if verbose => err(&text),
        event => warnings(event),
    }
}

/// Only what must not be missed.
pub fn warnings(event: Event) {
    match event {
        Event::StepFailed { title, error, .. } => err(&format!("{title}: failed: {error}")),
        Event::Message { level: Level::Warning, text } => err(&format!("warning: {text}")),
        _ => {}
    }
}

/// Milliseconds as people read them.
pub fn seconds(ms: u64) -> String {
    if ms < 1000 { format!("{ms} ms") } else { format!("{:.1} s", ms as f64 / 1000.0) }
}
