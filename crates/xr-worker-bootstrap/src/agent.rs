//! Replacing a worker's agent so that it completes or goes back by itself, whatever becomes of the connection.

use std::time::Duration;

use xr_host::Remote;
use xr_model::{Fault, Result};

const AGENT: &str = include_str!("scripts/agent.sh");
/// How long the engine may take for what it is asked for at once.
const LIMIT: Duration = Duration::from_secs(120);
/// What the worker's own waiting takes at most beyond the agent's patience.
const BEYOND: Duration = Duration::from_secs(90);

/// An agent on a worker.
#[derive(Clone, Copy, Debug)]
pub struct Agent<'a> {
    /// The container's name; the one to be is called `NAME-next`.
    pub name: &'a str,
    /// The wanted one's fingerprint, which its label `xr.fingerprint` has.
    pub fingerprint: &'a str,
}

/// How a switch ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Switched {
    /// The new agent is up, and waits for the word that it may stay.
    Up,
    /// It did not come up; the old one serves again. The end of its log.
    Back(Vec<String>),
}

impl Agent<'_> {
    /// Stops the agent that serves and starts the new one; goes back when it is not up within `patience`, and also when it
    /// is not confirmed within `confirm`.
    ///
    /// # Errors
    /// When the connection breaks: the worker goes on by itself.
    pub async fn switch(&self, remote: &Remote, patience: Duration, confirm: Duration) -> Result<Switched> {
        let more = format!("PATIENCE={}\nCONFIRM={}\n", patience.as_secs().max(5), confirm.as_secs().max(5));
        let said = self.run(remote, "switch", &more, patience + BEYOND).await?;
        Ok(read(&said))
    }

    /// Whether the new agent is up still.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn verify(&self, remote: &Remote) -> Result<Switched> {
        Ok(read(&self.run(remote, "verify", "", LIMIT).await?))
    }

    /// Lets the new agent stay, with this restart policy, and removes the old one.
    ///
    /// # Errors
    /// When the new agent is not there or does not run, or the connection breaks.
    pub async fn confirm(&self, remote: &Remote, restart: &str) -> Result<()> {
        let said = self.run(remote, "confirm", &format!("RESTART={}\n", quoted(restart)), LIMIT).await?;
        if said.trim_end().ends_with("up") {
            return Ok(());
        }
        let why = if said.trim().is_empty() { "the new agent is not there" } else { said.trim() };
        Err(Fault::new(format!("{}: the new agent cannot stay: {why}", remote.destination())))
    }

    /// The old agent serves, the new one is gone. Where there was none, there is none.
    ///
    /// # Errors
    /// When the connection breaks or the engine refuses.
    pub async fn revert(&self, remote: &Remote) -> Result<()> {
        self.expect(remote, "revert", "back").await
    }

    /// Neither is there.
    ///
    /// # Errors
    /// As [`Agent::revert`].
    pub async fn remove(&self, remote: &Remote) -> Result<()> {
        self.expect(remote, "remove", "gone").await
    }

    async fn expect(&self, remote: &Remote, what: &str, word: &str) -> Result<()> {
        let said = self.run(remote, what, "", LIMIT).await?;
        if said.trim_end().ends_with(word) {
            return Ok(());
        }
        Err(Fault::new(format!("{}: agent {}: {what}: {}", remote.destination(), self.name, said.trim())))
    }

    async fn run(&self, remote: &Remote, what: &str, more: &str, limit: Duration) -> Result<String> {
        let (name, stamp) = (quoted(self.name), quoted(self.fingerprint));
        let script = format!("DO={what}\nNAME={name}\nSTAMP={stamp}\n{more}{AGENT}");
        let output = remote.sh(&script, b"", limit).await?;
        let said = output.text();
        Ok(if said.is_empty() { output.error_text() } else { said })
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn read(said: &str) -> Switched {
    match said.split_once('\n') {
        None if said.trim() == "up" => Switched::Up,
        Some(("up", _)) => Switched::Up,
        Some((_, log)) => Switched::Back(log.lines().map(str::to_owned).collect()),
        None => Switched::Back(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workers_answer_is_read() {
        assert_eq!(read("up"), Switched::Up);
        assert_eq!(read("failed"), Switched::Back(vec![]));
        assert_eq!(read("failed\nboom\nbang"), Switched::Back(vec!["boom".to_owned(), "bang".to_owned()]));
        assert_eq!(read("sh: docker: not found"), Switched::Back(vec![]));
    }
}
