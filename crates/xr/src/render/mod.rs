//! The event stream made visible. One stream, many sinks; all on standard error.

mod bars;
mod lines;
pub mod table;
pub mod time;

use std::io::{IsTerminal, stderr};

use xr_model::{EVENT_FORMAT, Event, printable_json};

use crate::{
    globals::{Globals, Progress},
    print::err,
};

/// Shows events.
pub struct Renderer {
    show: Box<dyn Fn(Event) + Sync>,
    progress: Progress,
    interactive: bool,
    finish: Box<dyn Fn() + Sync>,
}

impl Renderer {
    /// The sink that the options and the terminal ask for; its first event is `start`.
    pub fn new(globals: &Globals, command: &'static str) -> Self {
        let terminal = stderr().is_terminal() && std::env::var("TERM").is_ok_and(|term| term != "dumb");
        let progress = match globals.progress {
            Progress::Auto if globals.quiet => Progress::Quiet,
            Progress::Auto if terminal && !globals.json => Progress::Tty,
            Progress::Auto => Progress::Plain,
            chosen => chosen,
        };
        let nothing = || Box::new(|| ()) as Box<dyn Fn() + Sync>;
        let (show, finish): (Box<dyn Fn(Event) + Sync>, _) = match progress {
            Progress::Tty => {
                let bars = std::sync::Arc::new(bars::Bars::new());
                let other = bars.clone();
                (Box::new(move |event| bars.show(event)), Box::new(move || other.finish()) as _)
            }
            Progress::Json => (
                Box::new(|event: Event| err(&printable_json(&serde_json::to_string(&event).unwrap_or_default()))),
                nothing(),
            ),
            Progress::Quiet => (Box::new(lines::warnings), nothing()),
            _ => {
                let verbose = globals.verbose > 0 || terminal || matches!(globals.progress, Progress::Plain);
                (Box::new(move |event| lines::show(event, verbose)), nothing())
            }
        };
        let show = Box::new(move |event: Event| {
            crate::logging::note(&event);
            show(event);
        });
        let renderer = Self { show, progress, interactive: terminal, finish };
        renderer.begin(command);
        renderer
    }

    /// A sink that only the log sees.
    pub fn silent(command: &'static str) -> Self {
        let renderer = Self {
            show: Box::new(|event| crate::logging::note(&event)),
            progress: Progress::Quiet,
            interactive: false,
            finish: Box::new(|| ()),
        };
        renderer.begin(command);
        renderer
    }

    fn begin(&self, command: &'static str) {
        self.emit(Event::Start {
            format: EVENT_FORMAT,
            xr: env!("CARGO_PKG_VERSION").to_owned(),
            command: command.to_owned(),
        });
    }

    /// Where the events go.
    pub fn sink(&self) -> &(dyn Fn(Event) + Sync) {
        &*self.show
    }

    /// Shows one event.
    pub fn emit(&self, event: Event) {
        (self.show)(event);
    }

    /// Clears what is only for the time of the run.
    pub fn finish(&self) {
        (self.finish)();
    }

    /// Whether events are JSON, and words would be in the way.
    pub fn is_json(&self) -> bool {
        self.progress == Progress::Json
    }

    /// Whether somebody looks on.
    pub fn is_interactive(&self) -> bool {
        self.interactive
    }
}
