//! Other hosts, reached by OpenSSH as the admin's own settings say: agent, jump hosts, ports, shared connections.

mod config;
mod host_key;
mod pace;
mod remote;
mod trouble;

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use openssh::Session;
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};
use xr_model::{Fault, Result};

pub use host_key::HostKey;
pub use remote::Remote;
pub use trouble::{Trouble, Unreached};

use pace::Pace;

/// How long a connection that nobody uses is kept for the next command, in seconds.
const KEPT: &str = "600";
/// How often a host that is too busy to take a connection is asked again.
const TRIES: u32 = 8;

/// How other hosts are reached. One for a whole process, so that all connections are made at one pace.
#[derive(Debug)]
pub struct Ssh {
    config: config::Config,
    sockets: PathBuf,
    patience: Duration,
    pace: Pace,
}

impl Ssh {
    /// Prepares for reaching hosts. `folder` keeps xr's settings for ssh and the host keys that the admin has accepted. A host
    /// that has not answered after `patience` is away.
    ///
    /// # Errors
    /// When the folders cannot be made.
    pub fn new(folder: &Path, patience: Duration) -> Result<Self> {
        Self::with_settings(folder, patience, &config::admins())
    }

    /// As [`Ssh::new`], with the admin's own settings in the file `admins`, as ssh spells paths.
    ///
    /// # Errors
    /// When the folders cannot be made.
    pub fn with_settings(folder: &Path, patience: Duration, admins: &str) -> Result<Self> {
        let config = config::Config::write(folder, patience, admins)?;
        let sockets = sockets().map_err(Fault::at("cannot make a folder for connections"))?;
        Ok(Self { config, sockets, patience, pace: Pace::default() })
    }

    /// Hands the terminal over to ssh, with a command or with a shell when there is none: its exit code.
    ///
    /// # Errors
    /// When ssh cannot be started.
    pub async fn hand_over(&self, destination: &str, command: &[String]) -> Result<u8> {
        let mut ssh = tokio::process::Command::new("ssh");
        ssh.arg("-F").arg(&self.config.path).args(["-o", "StrictHostKeyChecking=yes", "--", destination]);
        let words: Vec<String> = command.iter().map(xr_model::shell).collect();
        if !words.is_empty() {
            ssh.arg(words.join(" "));
        }
        let status = ssh.status().await.map_err(Fault::at(format!("cannot start ssh to {destination}")))?;
        Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(255))
    }

    /// A connection to `destination` (anything that ssh takes): the one that lives still, or a new one.
    ///
    /// # Errors
    /// Why the host is not reached.
    pub async fn connect(&self, destination: &str) -> std::result::Result<Remote, Unreached> {
        let stem = self.sockets.join(config::name_of(destination, &self.config.path));
        if let Some(shared) = self.config.admins_socket(destination).await
            && let Some(session) = living(&shared).await
        {
            return Ok(Remote::new(destination, session, stem, self.patience));
        }
        let socket = stem.with_extension("ssh");
        if let Some(session) = living(&socket).await {
            return Ok(Remote::new(destination, session, stem, self.patience));
        }
        let mut tries = 0;
        loop {
            let turn = self.pace.turn().await;
            let begun = Instant::now();
            // Another xr may have made it meanwhile.
            let _alone = alone(&stem.with_extension("lock"))
                .await
                .map_err(|error| Unreached::not_started(destination, error))?;
            if let Some(session) = living(&socket).await {
                return Ok(Remote::new(destination, session, stem, self.patience));
            }
            match self.open(destination, &stem, &socket).await {
                Ok(session) => {
                    turn.came_through(begun.elapsed());
                    return Ok(Remote::new(destination, session, stem, self.patience));
                }
                Err(trouble) if trouble.kind == Trouble::Busy && tries < TRIES => {
                    turn.was_refused();
                    tries += 1;
                    tokio::time::sleep(pace::pause(tries)).await;
                }
                Err(trouble) => return Err(trouble),
            }
        }
    }

    /// Ends the connection to a host that xr has kept, when there is one.
    pub async fn disconnect(&self, destination: &str) {
        let stem = self.sockets.join(config::name_of(destination, &self.config.path));
        let socket = stem.with_extension("ssh");
        if let Some(session) = living(&socket).await {
            // One that has just ended is as good as ended.
            let _ = session.close().await;
        }
        let _ = fs::remove_file(socket);
    }

    /// Starts ssh in the background; it listens on `socket` from the moment on that it is logged in.
    async fn open(&self, destination: &str, stem: &Path, socket: &Path) -> std::result::Result<Session, Unreached> {
        // What one that was killed has left: ssh refuses a name that is taken, and goes on without one.
        let _ = fs::remove_file(socket);
        let log = stem.with_extension("log");
        let _ = fs::remove_file(&log);
        let mut ssh = tokio::process::Command::new("ssh");
        ssh.arg("-F").arg(&self.config.path).arg("-E").arg(&log).arg("-S").arg(socket).args(["-M", "-f", "-N", "-T"]);
        // Of a host's settings, what is meant for an admin's terminal is left out.
        for option in [
            "BatchMode=yes",
            "StrictHostKeyChecking=yes",
            "ClearAllForwardings=yes",
            "ForwardAgent=no",
            "ForwardX11=no",
            "PermitLocalCommand=no",
            "RemoteCommand=none",
            &format!("ControlPersist={KEPT}"),
        ] {
            ssh.args(["-o", option]);
        }
        ssh.args(["--", destination]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        ssh.process_group(0).kill_on_drop(true);
        let ended = tokio::time::timeout(self.patience, ssh.status()).await;
        let said = fs::read_to_string(&log).unwrap_or_default();
        let _ = fs::remove_file(&log);
        match ended {
            Ok(Ok(status)) if status.success() => {}
            Ok(Ok(_)) => return Err(Unreached::read(destination, &said)),
            Ok(Err(error)) => return Err(Unreached::not_started(destination, error)),
            Err(_) => {
                let seconds = self.patience.as_secs();
                return Err(Unreached::silent(destination, &format!("no connection after {seconds} s")));
            }
        }
        Ok(Session::resume_mux(socket.into(), None))
    }
}

/// The right to make a connection: one process at a time for a host.
async fn alone(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    while let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
        if error != Errno::WOULDBLOCK {
            return Err(error.into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(file)
}

/// The connection behind a socket, when it lives.
async fn living(socket: &Path) -> Option<Session> {
    if !socket.exists() {
        return None;
    }
    let session = Session::resume_mux(socket.into(), None);
    let checked = tokio::time::timeout(Duration::from_secs(2), session.check()).await;
    matches!(checked, Ok(Ok(()))).then_some(session)
}

/// The folder for connections: this user's own, and short, since the name of a socket must not exceed 107 bytes.
fn sockets() -> io::Result<PathBuf> {
    let uid = rustix::process::getuid().as_raw();
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = match runtime {
        Some(runtime) => runtime.join("xr-ssh"),
        None if uid == 0 => PathBuf::from("/run/xr-ssh"),
        None => std::env::temp_dir().join(format!("xr-ssh-{uid}")),
    };
    match fs::DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let meta = fs::symlink_metadata(&folder)?;
    if !meta.is_dir() || meta.uid() != uid || meta.mode() & 0o077 != 0 {
        let text = format!("{} is not a folder of this user's alone", folder.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    Ok(folder)
}
