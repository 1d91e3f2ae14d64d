//! Bars on a terminal: a spinner for each step under way, a byte bar for each image.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Mutex,
    time::Duration,
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use xr_model::{Event, Level, printable};

use super::lines::seconds;

/// The bars of a run.
pub struct Bars {
    all: MultiProgress,
    steps: Mutex<HashMap<u32, Step>>,
    phase: Mutex<Option<ProgressBar>>,
}

struct Step {
    bar: ProgressBar,
    layers: BTreeMap<String, (u64, u64)>,
}

impl Bars {
    /// No bars yet.
    pub fn new() -> Self {
        Self { all: MultiProgress::new(), steps: Mutex::default(), phase: Mutex::default() }
    }

    /// Shows an event.
    pub fn show(&self, event: Event) {
        match event {
            Event::Phase { name } => {
                let bar = self.spinner(format!("{name} …"));
                self.replace_phase(Some(bar));
            }
            Event::StepStarted { step, of, title } => {
                self.replace_phase(None);
                let bar = self.spinner(format!("[{step}/{of}] {title}"));
                self.lock().insert(step, Step { bar, layers: BTreeMap::new() });
            }
            Event::Progress { step, layer, current, total, .. } => {
                let mut steps = self.lock();
                let Some(step) = steps.get_mut(&step) else { return };
                let known = step.layers.entry(layer).or_default();
                *known = (current.max(known.0), total.max(known.1));
                let (done, all) = step.layers.values().fold((0, 0), |sum, l| (sum.0 + l.0, sum.1 + l.1));
                if all > 0 {
                    step.bar.set_style(style("{spinner} {msg} {bar:24} {bytes}/{total_bytes} {bytes_per_sec}"));
                    step.bar.set_length(all);
                    step.bar.set_position(done);
                }
            }
            Event::StepDone { step, title, ms } => {
                if let Some(step) = self.lock().remove(&step) {
                    step.bar.finish_and_clear();
                }
                self.line(&format!("✓ {title} ({})", seconds(ms)));
            }
            Event::StepSkipped { step, title, why } => {
                if let Some(step) = self.lock().remove(&step) {
                    step.bar.finish_and_clear();
                }
                self.line(&format!("- {title}: skipped: {why}"));
            }
            Event::StepFailed { step, title, error } => {
                if let Some(step) = self.lock().remove(&step) {
                    step.bar.finish_and_clear();
                }
                self.line(&format!("✗ {title}: {error}"));
            }
            Event::Message { level: Level::Warning, text } => self.line(&format!("warning: {text}")),
            Event::Message { level: Level::Info, text } => self.line(&text),
            Event::Start { .. } | Event::End { .. } => {}
        }
    }

    /// Clears what is left.
    pub fn finish(&self) {
        self.replace_phase(None);
        for (_, step) in self.lock().drain() {
            step.bar.finish_and_clear();
        }
    }

    fn line(&self, text: &str) {
        // A terminal that went away is no error.
        let _ = self.all.println(printable(text));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u32, Step>> {
        self.steps.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn replace_phase(&self, bar: Option<ProgressBar>) {
        let mut phase = self.phase.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(old) = std::mem::replace(&mut *phase, bar) {
            old.finish_and_clear();
        }
    }

    fn spinner(&self, text: String) -> ProgressBar {
        let bar = self.all.add(ProgressBar::new_spinner());
        bar.set_style(style("{spinner} {msg}"));
        bar.set_message(printable(&text).into_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        bar
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
