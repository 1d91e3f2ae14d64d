//! A program to run, as a value: built anywhere, run here.

use std::{
    env,
    ffi::OsString,
    fmt,
    fs::File,
    io::{self, PipeWriter, Read, Write},
    os::{fd::OwnedFd, unix::process::CommandExt},
    path::{Path, PathBuf},
    time::Duration,
};

use duct::Expression;
use xr_model::{Fault, Result};

use crate::{
    Identity, children, compose_plugin,
    context::{chosen_engine, client_folder},
    search_path, watched,
};

/// A program with its arguments and surroundings.
#[derive(Clone, Debug)]
pub struct Cmd {
    argv: Vec<OsString>,
    cwd: Option<PathBuf>,
    env: Vec<(String, OsString)>,
    env_remove: Vec<String>,
    stdin: Vec<u8>,
    identity: Option<Identity>,
    own_group: bool,
    patience: Option<Duration>,
}

/// What a program that ran to its end left behind.
#[derive(Clone, Debug)]
pub struct Output {
    /// Exit code; 128 + signal when it was killed.
    pub code: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// How long it had said nothing when it was ended for that ([`Cmd::patience`]).
    pub silent_for: Option<Duration>,
}

/// A program that outlives this process and learns of its end.
#[derive(Debug)]
pub struct Outliving {
    /// That it closes is the message.
    line: PipeWriter,
}

impl Outliving {
    /// Tells it that there is nothing to do: it reads a byte before the end.
    pub fn dismiss(mut self) {
        // One that has ended already needs no word.
        let _ = self.line.write_all(b".");
    }
}

impl Output {
    /// Standard output as text, trailing white space dropped.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim_end().to_owned()
    }

    /// Standard error as a terminal would show it in the end: of a line that was written over, what was written last.
    /// Trailing white space dropped.
    pub fn error_text(&self) -> String {
        let text = String::from_utf8_lossy(&self.stderr);
        let last = |line: &str| line.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default().to_owned();
        text.trim_end().lines().map(last).collect::<Vec<_>>().join("\n")
    }
}

impl Cmd {
    /// A program, looked up on `PATH`.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            argv: vec![program.into()],
            cwd: None,
            env: Vec::new(),
            env_remove: Vec::new(),
            stdin: Vec::new(),
            identity: None,
            own_group: false,
            patience: None,
        }
    }

    /// Adds one argument. Never a secret: every user of the machine can read arguments.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.argv.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item: Into<OsString>>>(mut self, args: I) -> Self {
        self.argv.extend(args.into_iter().map(Into::into));
        self
    }

    /// Runs in this folder.
    #[must_use]
    pub fn cwd(mut self, dir: impl AsRef<Path>) -> Self {
        self.cwd = Some(dir.as_ref().to_owned());
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, key: &str, value: impl Into<OsString>) -> Self {
        self.env.push((key.to_owned(), value.into()));
        self
    }

    /// Hides a variable of xr's own environment from it.
    #[must_use]
    pub fn env_remove(mut self, key: &str) -> Self {
        self.env_remove.push(key.to_owned());
        self
    }

    /// What it reads from standard input (nothing unless told).
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Runs as this user, with that user's HOME.
    #[must_use]
    pub fn run_as(mut self, identity: Option<&Identity>) -> Self {
        self.identity = identity.cloned();
        self
    }

    /// Puts it into a process group of its own, so that the terminal's Ctrl-C does not cut it off half-way.
    #[must_use]
    pub fn own_group(mut self) -> Self {
        self.own_group = true;
        self
    }

    /// Ends it, with all that it has started, when it has said nothing on standard output or error for this long.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }

    /// The compose plugin, where it is started without the client in between.
    fn plugin(&self) -> Option<PathBuf> {
        match &self.argv[..] {
            [docker, compose, ..] if docker == "docker" && compose == "compose" && self.identity.is_none() => {
                compose_plugin::path(client_folder().as_deref())
            }
            _ => None,
        }
    }

    /// The program with its arguments, under the name that it was given.
    fn call(&self) -> Expression {
        let (name, args) = (&self.argv[0], &self.argv[1..]);
        let path = self.env.iter().rfind(|(key, _)| key == "PATH").map(|(_, value)| value.clone());
        // Another user may be let into other folders.
        let found = path.or_else(|| env::var_os("PATH")).filter(|_| self.identity.is_none());
        match found.and_then(|path| search_path::find(name, &path)) {
            Some(program) => {
                let name = name.clone();
                duct::cmd(program, args).before_spawn(move |command| {
                    command.arg0(&name);
                    Ok(())
                })
            }
            None => duct::cmd(name, args),
        }
    }

    /// Runs it to its end, whatever its exit code.
    ///
    /// # Errors
    /// When it cannot be started: the fault names the program.
    pub fn run(&self) -> Result<Output> {
        let plugin = self.plugin();
        let begun = match &plugin {
            Some(plugin) => compose_plugin::call(plugin, &self.argv[1..]),
            None => self.call(),
        };
        // What is to be written to a program takes a thread of its own.
        let fed = if self.stdin.is_empty() { begun.stdin_null() } else { begun.stdin_bytes(self.stdin.clone()) };
        let mut expression = fed.unchecked();
        if let Some(dir) = &self.cwd {
            expression = expression.dir(dir);
        }
        if self.argv[0] == "docker"
            && let Some(chosen) = chosen_engine()?
        {
            expression = expression.env_remove("DOCKER_CONTEXT").env("DOCKER_HOST", chosen.host);
        }
        for (key, value) in &self.env {
            expression = expression.env(key, value);
        }
        for key in &self.env_remove {
            expression = expression.env_remove(key);
        }
        if let Some(identity) = &self.identity {
            if let Some(home) = &identity.home {
                expression = expression.env("HOME", home);
            }
            if let Some(name) = &identity.name {
                expression = expression.env("USER", name).env("LOGNAME", name);
            }
        }
        let (identity, own_group) = (self.identity.clone(), self.own_group);
        let expression = expression.before_spawn(move |command| {
            if let Some(identity) = &identity {
                command.uid(identity.uid).gid(identity.gid);
            }
            if own_group {
                command.process_group(0);
            }
            Ok(())
        });
        tracing::debug!(argv = %self, plugin = plugin.as_ref().map(|path| tracing::field::display(path.display())), "run");
        let failed = |error| self.cannot_start(plugin.as_deref(), error);
        let (ended, silent_for) = match self.patience {
            Some(patience) => watched::run(&expression, self.own_group, patience).map_err(failed)?,
            None => {
                let expression = expression.stdout_capture().stderr_capture();
                let (handle, _noted) = children::start(&expression, self.own_group).map_err(failed)?;
                (handle.into_output().map_err(failed)?, None)
            }
        };
        let code = ended.status.code().unwrap_or_else(|| {
            use std::os::unix::process::ExitStatusExt;
            128 + ended.status.signal().unwrap_or(0)
        });
        Ok(Output { code, stdout: ended.stdout, stderr: ended.stderr, silent_for })
    }

    /// Starts it as a program that outlives this process; gives it when it has said its first line. Its standard input
    /// ends when this process does, however that ends; its standard error is this process's own.
    ///
    /// # Errors
    /// When it cannot be started or ends without a word.
    pub fn start_outliving(&self) -> Result<Outliving> {
        let start = || {
            let (its_end, line) = std::io::pipe()?;
            let (mut words, its_words) = std::io::pipe()?;
            duct::cmd(&self.argv[0], &self.argv[1..])
                .stdin_file(File::from(OwnedFd::from(its_end)))
                .stdout_file(File::from(OwnedFd::from(its_words)))
                .before_spawn(|command| {
                    command.arg0("xr");
                    Ok(())
                })
                .unchecked()
                .start()?;
            match words.read(&mut [0])? {
                0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
                _ => Ok(Outliving { line }),
            }
        };
        tracing::debug!(argv = %self, "start");
        start().map_err(|error| self.cannot_start(None, error))
    }

    fn cannot_start(&self, plugin: Option<&Path>, error: io::Error) -> Fault {
        if let Some(plugin) = plugin {
            let fault = Fault::new(format!("cannot start the compose plugin {}", plugin.display())).because(error);
            return fault.hint("docker compose version");
        }
        let program = self.argv[0].to_string_lossy();
        let missing = error.kind() == io::ErrorKind::NotFound;
        let fault = Fault::new(format!("cannot start `{program}`")).because(error);
        if missing { fault.hint(format!("is `{program}` installed and on PATH?")) } else { fault }
    }

    /// Runs it and expects exit code 0.
    ///
    /// # Errors
    /// When it cannot be started or fails: the fault carries the argv, the exit code and the last KiB of stderr.
    pub fn ok(&self) -> Result<Output> {
        let output = self.run()?;
        if output.code == 0 {
            return Ok(output);
        }
        Err(self.failed(&output))
    }

    /// The fault that says this command failed with this output.
    pub fn failed(&self, output: &Output) -> Fault {
        let said = output.error_text();
        let mut from = said.len().saturating_sub(1024);
        while !said.is_char_boundary(from) {
            from += 1;
        }
        Fault::new(format!("`{self}` failed with exit code {}: {}", output.code, said[from..].trim()))
    }

    /// Like [`Cmd::run`], off the async thread.
    ///
    /// # Errors
    /// As [`Cmd::run`].
    pub async fn run_async(&self) -> Result<Output> {
        let this = self.clone();
        tokio::task::spawn_blocking(move || this.run()).await.map_err(Fault::at("a command's thread died"))?
    }

    /// Like [`Cmd::ok`], off the async thread.
    ///
    /// # Errors
    /// As [`Cmd::ok`].
    pub async fn ok_async(&self) -> Result<Output> {
        let output = self.run_async().await?;
        if output.code == 0 { Ok(output) } else { Err(self.failed(&output)) }
    }
}

impl fmt::Display for Cmd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, arg) in self.argv.iter().enumerate() {
            let arg = arg.to_string_lossy();
            if i > 0 {
                f.write_str(" ")?;
            }
            if arg.is_empty() || arg.contains(|c: char| c.is_whitespace() || "'\"$\\`".contains(c)) {
                write!(f, "'{}'", arg.replace('\'', r"'\''"))?;
            } else {
                f.write_str(&arg)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_command_says_what_it_ran_and_what_it_said() {
        let fault = Cmd::new("sh").args(["-c", "echo sorry >&2; exit 7"]).ok().expect_err("fails");
        assert_eq!(fault.message, "`sh -c 'echo sorry >&2; exit 7'` failed with exit code 7: sorry");
    }

    #[test]
    fn a_missing_program_is_named() {
        let fault = Cmd::new("no-such-program").run().expect_err("fails");
        assert!(fault.message.contains("no-such-program") && fault.hint.is_some());
    }

    #[test]
    fn a_line_that_is_written_over_counts_as_it_was_written_last() {
        let output = Cmd::new("sh").args(["-c", r"printf 'a: 1%%\ra: 2%%, done.\nsorry\r\n\n' >&2"]).ok().expect("sh");
        assert_eq!(output.error_text(), "a: 2%, done.\nsorry");
    }

    #[test]
    fn stdin_reaches_the_program_and_nothing_else_does() {
        assert_eq!(Cmd::new("cat").stdin("a b").ok().expect("cat").text(), "a b");
        assert_eq!(Cmd::new("cat").ok().expect("cat").text(), "");
    }
}
