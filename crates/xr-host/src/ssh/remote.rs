//! A host that is reached: programs are run on it and its Docker engine is asked, all over one connection.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use openssh::{ForwardType, Session, Socket, Stdio};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
};
use xr_model::{Fault, Result, exit};

use crate::{Engine, Output, engine::PING_TIMEOUT};

/// Where an engine listens unless its admin says otherwise.
const DOCKER: &str = "/var/run/docker.sock";
/// Which way leads to the engine, in one word.
const WAY: &str = "if docker version >/dev/null 2>&1; then echo plain
elif sudo -n docker version >/dev/null 2>&1; then echo sudo
elif [ ! -S /var/run/docker.sock ] && ! command -v docker >/dev/null 2>&1; then echo missing
elif [ -S /var/run/docker.sock ] && [ ! -w /var/run/docker.sock ]; then echo denied
else echo stopped; fi";

/// A host that is reached. It stays so for a while after this is dropped, for the next command.
#[derive(Debug, Clone)]
pub struct Remote {
    destination: String,
    session: Arc<Session>,
    /// The name of its sockets here, without what tells them apart.
    stem: PathBuf,
    patience: Duration,
}

impl Remote {
    pub(super) fn new(destination: &str, session: Session, stem: PathBuf, patience: Duration) -> Self {
        Self { destination: destination.to_owned(), session: Arc::new(session), stem, patience }
    }

    /// How it is called: as the admin calls it.
    pub fn destination(&self) -> &str {
        &self.destination
    }

    /// Runs a script of a POSIX shell to its end, `input` on its standard input. The script itself travels there too: no
    /// other user of the host can read it, and no login shell has to understand it.
    ///
    /// # Errors
    /// When the connection breaks, or nothing came of it for as long as `limit`.
    pub async fn sh(&self, script: &str, input: &[u8], limit: Duration) -> Result<Output> {
        // A shell that reads its own standard input does nothing before it has read this brace's other half.
        let alone = input.is_empty().then(|| format!("{{\n{script}\n}}\n"));
        let mut child = match alone {
            Some(_) => self.start("exec sh").await?,
            None => self.spawn(script).await?,
        };
        let script = alone.as_deref().unwrap_or(script);
        let talk = async {
            let mut stdin = child.stdin().take();
            let (mut out, mut err) = (child.stdout().take(), child.stderr().take());
            let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
            let feed = async {
                if let Some(stdin) = &mut stdin {
                    // A script that ends early takes no more; its exit code tells the rest.
                    let _ = stdin.write_all(script.as_bytes()).await;
                    let _ = stdin.write_all(input).await;
                    let _ = stdin.flush().await;
                }
                drop(stdin.take());
            };
            let hear_out = async {
                Ok::<_, std::io::Error>(if let Some(out) = &mut out { out.read_to_end(&mut stdout).await? } else { 0 })
            };
            let hear_err = async {
                Ok::<_, std::io::Error>(if let Some(err) = &mut err { err.read_to_end(&mut stderr).await? } else { 0 })
            };
            let ((), heard, errors) = tokio::join!(feed, hear_out, hear_err);
            heard.and(errors).map_err(|error| self.broke_off(error))?;
            let status = child.wait().await.map_err(|error| self.broke_off(error))?;
            Ok(Output { code: status.code().unwrap_or(255), stdout, stderr, silent_for: None })
        };
        tokio::time::timeout(limit, talk).await.map_err(|_| self.silent(limit))?
    }

    /// As [`Remote::sh`], with what it says given as it comes, both outputs in one, and `input` read in pieces.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn follow(
        &self,
        script: &str,
        mut input: impl AsyncRead + Unpin,
        hear: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<i32> {
        let script = format!("exec 2>&1\n{script}");
        let mut child = self.spawn(&script).await?;
        let mut stdin = child.stdin().take();
        let mut out = child.stdout().take();
        let feed = async {
            if let Some(stdin) = &mut stdin
                && stdin.write_all(script.as_bytes()).await.is_ok()
            {
                let mut piece = vec![0; 256 << 10];
                loop {
                    let length = input.read(&mut piece).await.map_err(Fault::at("cannot read what is to be sent"))?;
                    // A script that ends early takes no more; its exit code tells the rest.
                    if length == 0 || stdin.write_all(&piece[..length]).await.is_err() {
                        break;
                    }
                }
                let _ = stdin.flush().await;
            }
            drop(stdin.take());
            Ok::<(), Fault>(())
        };
        let listen = async {
            let mut piece = vec![0; 16 << 10];
            if let Some(out) = &mut out {
                loop {
                    let length = out.read(&mut piece).await.map_err(|error| self.broke_off(error))?;
                    if length == 0 {
                        break;
                    }
                    hear(&piece[..length]);
                }
            }
            Ok::<(), Fault>(())
        };
        let (fed, heard) = tokio::join!(feed, listen);
        fed.and(heard)?;
        let status = child.wait().await.map_err(|error| self.broke_off(error))?;
        Ok(status.code().unwrap_or(255))
    }

    /// A shell for a script that more follows: its reader takes no byte too many, as busybox's head would.
    async fn spawn(&self, script: &str) -> Result<openssh::Child<Arc<Session>>> {
        let length = script.len();
        self.start(&format!("exec sh -c 'eval \"$(dd bs=1 count={length} 2>/dev/null)\"'")).await
    }

    async fn start(&self, command: &str) -> Result<openssh::Child<Arc<Session>>> {
        let mut command = self.session.clone().arc_raw_command(command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let spawned = tokio::time::timeout(self.patience, command.spawn()).await;
        spawned.map_err(|_| self.silent(self.patience))?.map_err(|error| self.broke_off(error))
    }

    /// Whether something answers there at an address, as that host sees it. Its own sshd asks: no program is needed.
    ///
    /// # Errors
    /// When the connection breaks, or that sshd forwards nothing.
    pub async fn reaches(&self, host: &str, port: u16, limit: Duration) -> Result<bool> {
        let here = self.stem.with_extension(format!("ask-{}-{port}", std::process::id()));
        let _ = std::fs::remove_file(&here);
        let ends = || {
            let there = Socket::TcpSocket { host: host.into(), port };
            (Socket::UnixSocket { path: (&*here).into() }, there)
        };
        let (local, there) = ends();
        let asked = self.session.request_port_forward(ForwardType::Local, local, there).await;
        asked.map_err(|error| self.broke_off(error))?;
        let answer = async {
            let mut stream = UnixStream::connect(&here).await?;
            // Whatever speaks there says something to that, or waits for more; what is not there ends it.
            stream.write_all(b"GET / HTTP/1.0\r\nHost: xr\r\n\r\n").await?;
            stream.read(&mut [0]).await
        };
        let answered = tokio::time::timeout(limit, answer).await;
        let (local, there) = ends();
        let _ = self.session.close_port_forward(ForwardType::Local, local, there).await;
        let _ = std::fs::remove_file(&here);
        Ok(matches!(answered, Ok(Ok(1))))
    }

    /// Its Docker engine: through its socket where this user may use it, else as `docker` or `sudo docker` reach it.
    ///
    /// # Errors
    /// When there is none that answers, or this user may not use it.
    pub async fn engine(&self) -> Result<Engine> {
        let here = self.stem.with_extension("docker");
        if !here.exists() || UnixStream::connect(&here).await.is_err() {
            // What a connection that is gone has left.
            let _ = std::fs::remove_file(&here);
            let (local, there) = (Socket::UnixSocket { path: (&*here).into() }, Path::new(DOCKER));
            let there = Socket::UnixSocket { path: there.into() };
            let asked = self.session.request_port_forward(ForwardType::Local, local, there);
            tokio::time::timeout(self.patience, asked)
                .await
                .map_err(|_| self.silent(self.patience))?
                .map_err(|error| self.broke_off(error))?;
        }
        match Engine::at(&here).await {
            Ok(engine) => Ok(engine),
            Err(_) => self.engine_by_command().await,
        }
    }

    async fn engine_by_command(&self) -> Result<Engine> {
        let way = self.sh(WAY, b"", PING_TIMEOUT * 2).await?.text();
        let host = &self.destination;
        let dial = match way.as_str() {
            "plain" => "exec docker system dial-stdio",
            "sudo" => "exec sudo -n docker system dial-stdio",
            "missing" => {
                return Err(
                    Fault::new(format!("{host}: there is no Docker engine")).hint(format!("xr worker add {host}"))
                );
            }
            "denied" => {
                return Err(Fault::new(format!("{host}: this user may not reach the Docker engine"))
                    .hint(format!("ssh {host} 'sudo usermod -aG docker $USER'; xr keeps connections: log in again with xr worker add {host}")));
            }
            _ => {
                return Err(Fault::new(format!("{host}: the Docker engine does not answer"))
                    .hint(format!("ssh {host} sudo systemctl restart docker"))
                    .code(exit::TRY_LATER));
            }
        };
        self.forget_dead_dials();
        let here = self.stem.with_extension(format!("dial-{}", std::process::id()));
        let _ = std::fs::remove_file(&here);
        let listener = UnixListener::bind(&here).map_err(Fault::at(format!("cannot listen on {}", here.display())))?;
        let session = self.session.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(join(session.clone(), dial, near));
            }
        });
        let engine = Engine::at(&here).await;
        // Whoever is connected goes on; nobody else needs the name, but the engine's client, which connects again and again.
        engine.map_err(|error| Fault::new(format!("{host}: the Docker engine does not answer")).because(error))
    }

    /// Removes the sockets that an xr which was killed has left.
    fn forget_dead_dials(&self) {
        let (Some(folder), Some(stem)) = (self.stem.parent(), self.stem.file_stem()) else { return };
        let prefix = format!("{}.dial-", stem.to_string_lossy());
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let pid = name.to_str().and_then(|name| name.strip_prefix(&prefix)).and_then(|pid| pid.parse::<u32>().ok());
            if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    fn broke_off(&self, error: impl std::error::Error + Send + Sync + 'static) -> Fault {
        Fault::new(format!("the connection to {} broke off", self.destination))
            .because(error)
            .hint(format!("ssh -v {} true", self.destination))
            .code(exit::TRY_LATER)
    }

    fn silent(&self, limit: Duration) -> Fault {
        Fault::new(format!("{} said nothing for {} s", self.destination, limit.as_secs()))
            .hint(format!("ssh -v {} true", self.destination))
            .code(exit::TRY_LATER)
    }
}

/// Joins a connection here with a program there that speaks for the engine.
async fn join(session: Arc<Session>, dial: &'static str, near: UnixStream) {
    let mut command = session.arc_raw_command(dial);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let Ok(mut child) = command.spawn().await else { return };
    let (Some(mut stdin), Some(mut stdout)) = (child.stdin().take(), child.stdout().take()) else { return };
    let (mut from, mut to) = near.into_split();
    let there = async {
        // The end of either side is the end of the talk, which the client hears.
        let _ = tokio::io::copy(&mut from, &mut stdin).await;
        drop(stdin);
    };
    let back = async {
        let _ = tokio::io::copy(&mut stdout, &mut to).await;
        let _ = to.shutdown().await;
    };
    tokio::join!(there, back);
    let _ = child.wait().await;
}
