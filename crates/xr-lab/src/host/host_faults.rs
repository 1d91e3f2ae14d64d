//! What befalls a host besides its network: disk, engine, clock, life.

use std::{fs::File, time::Duration};

use anyhow::{Context, Result, ensure};

use super::{ADDRESSES, Host};
use crate::lock::lock_file;
use crate::wait_for;

/// Debian's place for it, below the architecture's folder.
const FAKETIME: &str = "faketime/libfaketime.so.1";
const CLOCK: &str = "/etc/ssh/sshd_config.d/clock.conf";

/// How many addresses below its own may be free.
const LOWER: usize = 16;

/// How long all processes of a host may take to be frozen.
const FREEZING: Duration = Duration::from_secs(30);

impl Host {
    /// Fills its disk to the last byte. It must have a disk of its own.
    ///
    /// # Errors
    /// When it has not, or does not run.
    pub fn fill_disk(&self) -> Result<()> {
        ensure!(self.disk.is_some(), "{} has the room of this machine: give it a disk first", self.name);
        self.must("cat /dev/zero >/var/lib/docker/filler 2>/dev/null || test -s /var/lib/docker/filler").map(drop)
    }

    /// Takes away what filled it.
    ///
    /// # Errors
    /// When it does not run.
    pub fn free_disk(&self) -> Result<()> {
        self.must("rm -f /var/lib/docker/filler").map(drop)
    }

    /// Stops its Docker engine; SSH goes on.
    ///
    /// # Errors
    /// When it has none.
    pub fn stop_engine(&self) -> Result<()> {
        self.must("service docker stop").map(drop)
    }

    /// Starts it again and waits until it answers.
    ///
    /// # Errors
    /// When it has none, or it does not answer.
    pub fn start_engine(&self) -> Result<()> {
        self.must("service docker start")?;
        self.wait_for_engine()
    }

    /// Sets its clock so many seconds ahead, or behind, for programs of SSH connections that begin from now on.
    ///
    /// A container has the machine's clock, so this is what the C library tells them: `date`, Python, curl. The kernel, the
    /// Docker engine, programs in Go and what `sudo` starts know the true time; so does [`Host::exec`].
    ///
    /// # Errors
    /// When faketime is not installed on this machine, or the host does not run.
    pub fn set_clock(&self, ahead: i32) -> Result<()> {
        let library = std::fs::read_dir("/usr/lib")?
            .filter_map(|entry| Some(entry.ok()?.path().join(FAKETIME)))
            .find(|path| path.exists())
            .context("libfaketime is not installed")?;
        self.copy_in(&library, "/usr/local/lib/lab-clock.so")?;
        let settings = "LD_PRELOAD=/usr/local/lib/lab-clock.so FAKETIME_DONT_FAKE_MONOTONIC=1";
        self.must(&format!("echo SetEnv {settings} FAKETIME={ahead:+} >{CLOCK}")).and_then(|_| self.reload_sshd())
    }

    /// The true time again.
    ///
    /// # Errors
    /// When it does not run.
    pub fn right_clock(&self) -> Result<()> {
        self.must(&format!("rm -f {CLOCK}")).and_then(|_| self.reload_sshd())
    }

    /// Has its sshd read its settings and keys anew. It listens again once it has written its process id again.
    ///
    /// # Errors
    /// When it does not run.
    pub fn reload_sshd(&self) -> Result<()> {
        self.must("pid=$(cat /run/sshd.pid) && rm /run/sshd.pid && kill -HUP $pid")?;
        wait_for("sshd to read its settings", Duration::from_secs(10), || {
            self.sh("test -s /run/sshd.pid").is_ok_and(|output| output.success())
        })
    }

    /// Power cut: from now on it does nothing, without a word to anybody.
    ///
    /// What ran is only frozen until [`Host::revive`]: a container that ends gives its address away. On a busy machine the
    /// kernel may not have frozen all of it when the engine gives up, so the engine is asked again.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&self) -> Result<()> {
        self.cut()?;
        let mut said = Ok(String::new());
        let frozen = wait_for("a host to freeze", FREEZING, || {
            said = self.engine.docker(&["pause", &self.container]);
            said.is_ok()
        });
        frozen.or_else(|_| said.map(drop))
    }

    /// Power is back: it boots with the disk that it had, and is ready.
    ///
    /// # Errors
    /// When it was not killed, does not boot, or some other container has taken its address in that moment.
    pub fn revive(&self) -> Result<()> {
        let lock = lock_file(&self.layout, ADDRESSES)?;
        self.engine.docker(&["unpause", &self.container])?;
        self.boot_again(lock)
    }

    /// Power cut, and power is back at once.
    ///
    /// # Errors
    /// As [`Host::revive`].
    pub fn cut_power(&self) -> Result<()> {
        self.boot_again(lock_file(&self.layout, ADDRESSES)?)
    }

    /// Nobody else takes an address meanwhile.
    fn boot_again(&self, lock: File) -> Result<()> {
        self.engine.docker(&["kill", &self.container])?;
        self.engine.docker(&["start", &self.container])?;
        // An engine gives the lowest free address: those below its own are taken for as long as it starts.
        let mut taken = Vec::new();
        while self.read_address()? != self.address && taken.len() < LOWER {
            self.engine.docker(&["kill", &self.container])?;
            let idle = ["run", "--detach", "--entrypoint=sleep", self.kind.base().name(), "300"];
            taken.push(self.engine.docker(&idle)?);
            self.engine.docker(&["start", &self.container])?;
        }
        for id in &taken {
            self.engine.docker(&["rm", "--force", id])?;
        }
        drop(lock);
        let address = self.read_address()?;
        ensure!(address == self.address, "{} was {}, now it is {address}", self.name, self.address);
        self.wait_for_boot()
    }
}
