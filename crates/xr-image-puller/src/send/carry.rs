//! A parcel's way to a host: appended to what is there of it already, checked, loaded, gone.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    pin::Pin,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::io::{AsyncRead, ReadBuf};
use xr_host::Remote;
use xr_model::{Fault, Result, exit};

use super::{SendProgress, parcel::Parcel};

/// Where parcels lie on a host, and no other user's eyes reach. What nobody went on with for a week goes.
const ENTER: &str = r#"LC_ALL=C; export LC_ALL; umask 077
folder="${XDG_CACHE_HOME:-$HOME/.cache}/xr"
mkdir -p "$folder" && chmod 700 "$folder" && cd "$folder" || exit 20
"#;
/// What is there of a parcel already, and how much room there is.
const LOOK: &str = r#"find . -name '*.parcel' -mtime +7 -exec rm -f {} +
[ -f "$parcel" ] && there=$(wc -c <"$parcel") && [ "$there" -le "$size" ] || { rm -f "$parcel"; there=0; }
echo "$there"
df -Pk . | tail -n 1
"#;
/// The engine is the one that xr speaks with: at its own socket, else as `docker` or `sudo docker` reach it.
const TAKE: &str = r#"cat >>"$parcel" || exit 21
[ "$(wc -c <"$parcel")" -eq "$size" ] || exit 22
sum=$(sha256sum <"$parcel") && [ "${sum%% *}" = "$sha256" ] || { rm -f "$parcel"; exit 23; }
if [ -w /var/run/docker.sock ]; then set -- docker -H unix:///var/run/docker.sock
elif docker version >/dev/null 2>&1; then set -- docker
else set -- sudo -n docker; fi
echo
"$@" load <"$parcel" || exit 24
rm -f "$parcel"
"#;
/// Takes back what has no room or is not wanted.
const DROP: &str = "rm -f \"$parcel\"\n";

/// How long a host may be silent while it works on its disk, and for how many bytes it gets a second more.
const DISK: (Duration, u64) = (Duration::from_secs(300), 1 << 20);

/// What came of it.
pub(super) enum Carried {
    /// The engine has the image, under this id if it named one.
    Loaded { bytes: u64, id: Option<String> },
    /// The engine does not take the parcel, for this reason.
    Refused { bytes: u64, because: String },
}

/// Carries `parcel` to a host and has its engine load it.
pub(super) async fn carry(
    parcel: &Parcel,
    to: &Remote,
    patience: Duration,
    on: &(dyn Fn(SendProgress) + Sync),
) -> Result<Carried> {
    let mut travelled = 0;
    // What is there may be of a file that was damaged; then all of it is sent again, once.
    for last in [false, true] {
        let there = look(parcel, to, patience).await?;
        let trip = Trip::begin(parcel, there, on)?;
        let (code, said) = trip.go(to, patience).await?;
        travelled += trip.sent.load(Relaxed);
        let host = to.destination();
        match code {
            0 => return Ok(Carried::Loaded { bytes: travelled, id: loaded_id(&said) }),
            _ if is_full(&said) => {
                to.sh(&script(parcel, DROP), b"", patience).await?;
                return Err(full(host, &said));
            }
            23 if !last => {}
            22 | 255 => {
                return Err(Fault::new(format!("the connection to {host} broke off while an image was sent"))
                    .hint("the same command goes on where it broke off")
                    .code(exit::TRY_LATER));
            }
            24 if said.contains("Cannot connect to the Docker daemon") => {
                return Err(Fault::new(format!("{host}: the Docker engine does not answer"))
                    .because(last_line(&said))
                    .hint(format!("ssh {host} sudo systemctl restart docker"))
                    .code(exit::TRY_LATER));
            }
            24 => {
                to.sh(&script(parcel, DROP), b"", patience).await?;
                return Ok(Carried::Refused { bytes: travelled, because: last_line(&said) });
            }
            _ => {
                let fault = Fault::new(format!("{host} cannot take an image: {}", last_line(&said)));
                return Err(fault.hint(format!("ssh {host} 'ls -ld ~/.cache ~/.cache/xr; df -h ~'")));
            }
        }
    }
    Err(Fault::new(format!("what arrives on {} is not what was sent, twice", to.destination()))
        .hint("check the memory and the disk of both hosts"))
}

/// How many bytes of the parcel are there.
async fn look(parcel: &Parcel, to: &Remote, patience: Duration) -> Result<u64> {
    let host = to.destination();
    let output = to.sh(&script(parcel, LOOK), b"", patience).await?;
    if is_full(&output.error_text()) {
        return Err(full(host, &output.error_text()));
    }
    let text = output.text();
    let mut words = text.split_whitespace();
    let Some(there) = words.next().and_then(|word| word.parse().ok()).filter(|_| output.code == 0) else {
        return Err(Fault::new(format!("{host} has no room for parcels: {}", last_line(&output.error_text())))
            .hint(format!("ssh {host} 'ls -ld ~ ~/.cache'")));
    };
    // The line of `df -P`: file system, blocks, used, available.
    let free = words.nth(3).and_then(|word| word.parse::<u64>().ok()).map(|kilobytes| kilobytes << 10);
    if free.is_some_and(|free| free < parcel.size.saturating_sub(there)) {
        return Err(full(host, &format!("{} bytes are to be sent, {} are free", parcel.size, free.unwrap_or(0))));
    }
    Ok(there)
}

fn script(parcel: &Parcel, what: &str) -> String {
    let Parcel { size, sha256, .. } = parcel;
    format!("parcel={sha256}.parcel size={size} sha256={sha256}\n{ENTER}{what}")
}

/// One connection's part of the way.
struct Trip<'a> {
    parcel: &'a Parcel,
    from: u64,
    file: Mutex<File>,
    sent: AtomicU64,
    moved: Mutex<Instant>,
    on: &'a (dyn Fn(SendProgress) + Sync),
}

impl<'a> Trip<'a> {
    fn begin(parcel: &'a Parcel, from: u64, on: &'a (dyn Fn(SendProgress) + Sync)) -> Result<Self> {
        let unread = || Fault::at(format!("cannot read {}", parcel.path.display()));
        let mut file = File::open(&parcel.path).map_err(unread())?;
        file.seek(SeekFrom::Start(from)).map_err(unread())?;
        on(SendProgress::Sending { done: from, total: parcel.size });
        Ok(Self {
            parcel,
            from,
            file: Mutex::new(file),
            sent: AtomicU64::new(0),
            moved: Mutex::new(Instant::now()),
            on,
        })
    }

    /// Runs it to its end: the exit code, and what was said.
    async fn go(&self, to: &Remote, patience: Duration) -> Result<(i32, String)> {
        let mut said = Vec::new();
        let script = script(self.parcel, TAKE);
        let mut hear = |bytes: &[u8]| said.extend_from_slice(bytes);
        let code = tokio::select! {
            code = to.follow(&script, self, &mut hear) => code?,
            waited = self.stall(patience) => return Err(silent(to.destination(), waited)),
        };
        Ok((code, String::from_utf8_lossy(&said).into_owned()))
    }

    /// Ends when nothing has moved for too long.
    async fn stall(&self, patience: Duration) -> Duration {
        loop {
            let limit = match self.from + self.sent.load(Relaxed) < self.parcel.size {
                true => patience,
                false => patience.max(DISK.0) + Duration::from_secs(self.parcel.size / DISK.1),
            };
            let left = limit.saturating_sub(lock(&self.moved).elapsed());
            if left.is_zero() {
                return limit;
            }
            tokio::time::sleep(left).await;
        }
    }
}

impl AsyncRead for &Trip<'_> {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // A file that was just written: reading it does not wait.
        let length = lock(&self.file).read(to.initialize_unfilled())?;
        to.advance(length);
        let sent = self.sent.fetch_add(length as u64, Relaxed) + length as u64;
        *lock(&self.moved) = Instant::now();
        let (done, total) = (self.from + sent, self.parcel.size);
        (self.on)(if length == 0 { SendProgress::Loading } else { SendProgress::Sending { done, total } });
        Poll::Ready(Ok(()))
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_full(said: &str) -> bool {
    let said = said.to_lowercase();
    ["no space left on device", "disk quota exceeded"].iter().any(|words| said.contains(words))
}

fn full(host: &str, said: &str) -> Fault {
    Fault::new(format!("{host}: no space left for an image"))
        .because(last_line(said))
        .hint(format!("ssh {host} 'df -h; docker system df'   (docker image prune makes room)"))
}

fn silent(host: &str, waited: Duration) -> Fault {
    Fault::new(format!("{host} took nothing of an image for {} s", waited.as_secs()))
        .hint("the same command goes on where it broke off")
        .code(exit::TRY_LATER)
}

fn last_line(said: &str) -> String {
    said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it said nothing").to_owned()
}

/// The id that `docker load` names.
fn loaded_id(said: &str) -> Option<String> {
    said.lines().find_map(|line| line.trim().strip_prefix("Loaded image ID: ")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_full_disk_says_is_understood() {
        for said in [
            "cat: write error: No space left on device",
            "Error processing tar file(exit status 1): write /a: no space left on device",
            "cat: write error: Disk quota exceeded",
        ] {
            assert!(is_full(said), "{said}");
        }
        assert!(!is_full("open /var/lib/docker/tmp/docker-import-1/ab.tar.gz: no such file or directory"));
    }

    #[test]
    fn the_id_is_read_from_what_load_says() {
        assert_eq!(loaded_id("\nLoaded image ID: sha256:ab\n").as_deref(), Some("sha256:ab"));
        assert_eq!(loaded_id("Loaded image: a:v1"), None);
    }
}
