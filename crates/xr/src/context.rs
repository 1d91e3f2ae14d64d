//! What every command needs: where the stack is, how to talk.

use std::path::PathBuf;

use xr_journal::Home;
use xr_model::{Fault, Result, exit};
use xr_session::{Cancel, Session};

use crate::{globals::Globals, logging, render::Renderer, signals};

/// xr's version, for records.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What every command needs.
pub struct Context {
    /// The options of every command.
    pub globals: Globals,
    /// How events are shown.
    pub renderer: Renderer,
    /// Raised by Ctrl-C and by SIGTERM.
    pub cancel: Cancel,
}

impl Context {
    /// Sets up rendering and signals.
    pub fn new(globals: Globals, command: &'static str) -> Self {
        let renderer = Renderer::new(&globals, command);
        Self { globals, renderer, cancel: signals::listen() }
    }

    /// Events go to the log alone, and no signal cancels.
    pub fn silent(globals: Globals, command: &'static str) -> Self {
        Self { renderer: Renderer::silent(command), globals, cancel: Cancel::default() }
    }

    /// The stack's root.
    ///
    /// # Errors
    /// When there is none.
    pub fn root(&self) -> Result<PathBuf> {
        root(&self.globals)
    }

    /// Opens the stack and begins logging.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub fn session(&self) -> Result<Session<'_>> {
        let root = self.root()?;
        logging::begin(self.globals.verbose, &root);
        Session::open(&root, VERSION, self.renderer.sink(), self.cancel.clone())
    }

    /// Opens the stack for an update, and begins logging.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub fn world_to_update(&self) -> Result<Session<'_>> {
        let root = self.root()?;
        let session = Session::open_to_update(&root, VERSION, self.renderer.sink(), self.cancel.clone());
        logging::begin(self.globals.verbose, &root);
        session
    }
}

/// The stack's root: `--stack`, `XR_STACK`, or the nearest one upwards.
///
/// # Errors
/// When there is none, or its `.xr` leads somewhere else.
pub fn root(globals: &Globals) -> Result<PathBuf> {
    let named = |dir: &PathBuf| {
        let wrong = |what: &str| {
            Fault::new(format!("--stack {}: {what}", dir.display()))
                .hint("--stack (or XR_STACK) names the folder that holds VERSION and docker/docker-compose.yml")
                .code(exit::USAGE)
        };
        match std::fs::canonicalize(dir) {
            Ok(dir) if dir.is_dir() => Ok(dir),
            Ok(_) => Err(wrong("not a folder")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(wrong("no such folder")),
            Err(error) => Err(wrong("cannot be opened").because(error)),
        }
    };
    let root = match &globals.stack {
        Some(dir) => named(dir)?,
        None => xr_stack::find_root(&std::env::current_dir().map_err(Fault::at("there is no current folder"))?)?,
    };
    Home::of(&root).refuse_link()?;
    Ok(root)
}
