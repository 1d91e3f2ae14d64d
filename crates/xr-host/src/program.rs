//! Running a program in a container to its end, or until it is broken off: then nothing of it lives on.

use std::{
    cell::Cell,
    future::Future,
    io::{self, Read},
    pin::pin,
    time::Duration,
};

use bollard::{container::LogOutput, exec::StartExecResults, models::ExecConfig};
use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;
use xr_model::{Fault, Result};

use crate::engine::Engine;

/// How much of a program's input is read at once.
const CHUNK: usize = 256 << 10;
/// Between two questions to the engine about a program.
const PAUSE: Duration = Duration::from_millis(50);

/// What a program says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said<'a> {
    /// On its standard output.
    Out(&'a [u8]),
    /// On its standard error.
    Error(&'a [u8]),
}

/// What a program in a container has otherwise than the container's own.
#[derive(Clone, Default)]
pub struct Setting {
    /// The user.
    pub user: Option<String>,
    /// Whether it has all rights.
    pub privileged: bool,
    /// The folder to begin in.
    pub folder: Option<String>,
    /// `KEY=VALUE` beside the container's own.
    pub env: Vec<String>,
}

/// A program to run in a container: in the container's own environment and as its user, with nothing of xr's.
pub struct Program<'a> {
    /// Its name and its arguments.
    pub argv: &'a [String],
    /// What it reads from its standard input, in pieces; without it the input is closed.
    pub input: Option<Box<dyn Read + Send + 'a>>,
    /// Hears what it says. An error breaks the program off.
    pub hear: &'a mut (dyn FnMut(Said<'_>) -> io::Result<()> + Send),
    /// What it has otherwise.
    pub setting: Setting,
}

impl Engine {
    /// Runs a program in a container and gives its exit code; none when `until` came first. Then, and when its output
    /// cannot be taken, the program is ended. What it has started ends with it in any case, but for what has left its session
    /// before it ended.
    ///
    /// # Errors
    /// When the container does not run, the engine does not answer, or `hear` refuses.
    pub async fn run_program(
        &self,
        container: &str,
        program: Program<'_>,
        until: impl Future<Output = ()>,
    ) -> Result<Option<i64>> {
        let name = program.argv.first().map_or("", String::as_str);
        let named = format!("cannot run `{name}` in container {}", container.get(..12).unwrap_or(container));
        let config = ExecConfig {
            attach_stdin: Some(program.input.is_some()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(program.argv.to_vec()),
            user: program.setting.user,
            privileged: Some(program.setting.privileged),
            working_dir: program.setting.folder,
            env: Some(program.setting.env).filter(|env| !env.is_empty()),
            ..Default::default()
        };
        let exec = self.docker.create_exec(container, config).await.map_err(Fault::at(named.clone()))?;
        let started = self.docker.start_exec(&exec.id, None).await.map_err(Fault::at(named.clone()))?;
        let leader = Cell::new(None);
        let mut until = pin!(until);
        let talked = tokio::select! {
            talked = talk(started, program.input, program.hear) => Some(talked),
            () = &mut until => None,
            () = self.learn_leader(&exec.id, &leader) => None,
        };
        let ended = match talked {
            Some(Ok(())) => tokio::select! {
                code = self.exit_code(&exec.id) => Some(code),
                () = &mut until => None,
            },
            Some(Err(fault)) => Some(Err(fault)),
            None => None,
        };
        match ended {
            Some(Ok(code)) => {
                // What it has left behind in its session was part of it.
                if leader.get().is_some() {
                    self.end_exec(&exec.id, container, leader.get()).await;
                }
                Ok(Some(code))
            }
            Some(Err(fault)) => {
                self.end_exec(&exec.id, container, leader.get()).await;
                Err(Fault::new(named).because(fault))
            }
            None => {
                self.end_exec(&exec.id, container, leader.get()).await;
                Ok(None)
            }
        }
    }

    /// Notes a program's first process, which may end before those that it has started; the engine knows it a moment after
    /// the start. Never ends by itself.
    async fn learn_leader(&self, exec: &str, leader: &Cell<Option<i32>>) {
        while leader.get().is_none() {
            leader.set(self.leader_of(exec).await);
            tokio::time::sleep(PAUSE).await;
        }
        std::future::pending().await
    }

    /// The exit code of a program that has said its last word: it may have closed its output and go on.
    async fn exit_code(&self, exec: &str) -> Result<i64> {
        loop {
            let now = self.docker.inspect_exec(exec).await.map_err(Fault::at("its end is not known"))?;
            if now.running != Some(true) {
                return Ok(now.exit_code.unwrap_or(-1));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Feeds and hears a program until it has closed its output.
async fn talk(
    started: StartExecResults,
    input: Option<Box<dyn Read + Send + '_>>,
    hear: &mut (dyn FnMut(Said<'_>) -> io::Result<()> + Send),
) -> Result<()> {
    let StartExecResults::Attached { mut output, input: mut stdin } = started else { return Ok(()) };
    let feed = async {
        if let Some(mut input) = input {
            let mut chunk = vec![0; CHUNK];
            loop {
                let length = input.read(&mut chunk).map_err(Fault::at("cannot read its input"))?;
                // A program that ends early takes no more; its exit code tells the rest.
                if length == 0 || stdin.write_all(&chunk[..length]).await.is_err() {
                    break;
                }
            }
            let _ = stdin.shutdown().await; // closed by the program itself is closed too
        }
        Ok::<(), Fault>(())
    };
    let listen = async {
        while let Some(chunk) = output.next().await {
            let chunk = chunk.map_err(Fault::at("the engine broke off"))?;
            let heard = match &chunk {
                LogOutput::StdErr { message } => hear(Said::Error(message)),
                LogOutput::StdOut { message } | LogOutput::Console { message } | LogOutput::StdIn { message } => {
                    hear(Said::Out(message))
                }
            };
            heard.map_err(Fault::at("cannot take what it says"))?;
        }
        Ok::<(), Fault>(())
    };
    let (mut feed, mut listen) = (pin!(feed), pin!(listen));
    tokio::select! {
        heard = &mut listen => heard,
        fed = &mut feed => {
            fed?;
            listen.await
        }
    }
}
