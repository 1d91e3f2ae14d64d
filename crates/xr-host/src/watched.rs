//! Running a program that has to show signs of life.

use std::{
    fs::File,
    io::{self, PipeReader, Read},
    os::fd::OwnedFd,
    process::Output,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use duct::Expression;

use crate::{children, family};

/// How soon it is noticed that a program has ended although something that it left behind holds its output.
const LOOK: Duration = Duration::from_millis(200);

/// What it has said so far.
struct Said {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    last: Instant,
    /// Of its two outputs, those that may bring more.
    open: u8,
}

struct Ear {
    said: Mutex<Said>,
    news: Condvar,
}

impl Ear {
    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(self: &Arc<Self>, mut pipe: PipeReader, which: fn(&mut Said) -> &mut Vec<u8>) {
        let this = self.clone();
        std::thread::spawn(move || {
            let mut piece = [0; 8192];
            while let Ok(count @ 1..) = pipe.read(&mut piece) {
                let mut said = this.said();
                which(&mut said).extend_from_slice(&piece[..count]);
                said.last = Instant::now();
            }
            this.said().open -= 1;
            this.news.notify_all();
        });
    }

    /// Waits for the end of both outputs, for `limit` at the most.
    fn wait(&self, limit: Duration) {
        let said = self.said();
        if said.open > 0 {
            drop(self.news.wait_timeout(said, limit));
        }
    }
}

/// Runs it to its end, or ends it with all that it has started when it has said nothing for as long as `patience`, which is then
/// given as well.
pub(crate) fn run(
    expression: &Expression,
    own_group: bool,
    patience: Duration,
) -> io::Result<(Output, Option<Duration>)> {
    let (stdout, its_stdout) = io::pipe()?;
    let (stderr, its_stderr) = io::pipe()?;
    let (handle, _noted) = children::start(
        &expression
            .stdout_file(File::from(OwnedFd::from(its_stdout)))
            .stderr_file(File::from(OwnedFd::from(its_stderr))),
        own_group,
    )?;
    let pids = handle.pids();
    let said = Said { stdout: Vec::new(), stderr: Vec::new(), last: Instant::now(), open: 2 };
    let ear = Arc::new(Ear { said: Mutex::new(said), news: Condvar::new() });
    ear.listen(stdout, |said| &mut said.stdout);
    ear.listen(stderr, |said| &mut said.stderr);
    let mut silent_for = None;
    loop {
        let left = patience.saturating_sub(ear.said().last.elapsed());
        if ear.said().open == 0 {
            break;
        }
        if left.is_zero() {
            pids.iter().for_each(|pid| family::end(*pid));
            silent_for = Some(patience);
            break;
        }
        ear.wait(left.min(LOOK));
        if handle.try_wait()?.is_some() {
            // What it said is on its way; who else holds its output (ssh's master connection) is not waited for.
            ear.wait(LOOK);
            break;
        }
    }
    let ended = handle.into_output()?;
    let mut said = ear.said();
    let (stdout, stderr) = (std::mem::take(&mut said.stdout), std::mem::take(&mut said.stderr));
    Ok((Output { status: ended.status, stdout, stderr }, silent_for))
}
