//! Running a program that has to show signs of life.

use std::{
    fs::File,
    io::{self, PipeReader, Read},
    os::fd::OwnedFd,
    process::Output,
    time::{Duration, Instant},
};

use duct::Expression;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::retry_on_intr,
};

use crate::{children, process_tree};

/// How soon it is noticed that a program has ended although something that it left behind holds its output.
const LOOK: Duration = Duration::from_millis(200);
/// How long what is left behind may go on talking.
const TALK: Duration = Duration::from_secs(5);

/// One of its outputs, until that is closed, and what was heard on it.
struct Ear {
    pipe: Option<PipeReader>,
    said: Vec<u8>,
}

impl Ear {
    fn new(pipe: PipeReader) -> Self {
        Self { pipe: Some(pipe), said: Vec::new() }
    }

    /// Takes what is there.
    fn hear(&mut self) {
        let mut piece = [0; 8192];
        match self.pipe.as_mut().map(|pipe| pipe.read(&mut piece)) {
            Some(Ok(count @ 1..)) => self.said.extend_from_slice(&piece[..count]),
            Some(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => self.pipe = None,
        }
    }
}

/// Takes the next words of either, or its end; false when there were none for as long as `limit`, or both have ended.
fn listen(ears: &mut [Ear; 2], limit: Duration) -> io::Result<bool> {
    let timeout = Timespec { tv_sec: limit.as_secs().cast_signed(), tv_nsec: limit.subsec_nanos().into() };
    let open = ears.iter().filter_map(|ear| ear.pipe.as_ref());
    let mut asked: Vec<PollFd<'_>> = open.map(|pipe| PollFd::new(pipe, PollFlags::IN)).collect();
    if asked.is_empty() {
        return Ok(false);
    }
    let count = retry_on_intr(|| poll(&mut asked, Some(&timeout)))?;
    let ready: Vec<bool> = asked.iter().map(|one| !one.revents().is_empty()).collect();
    let open = ears.iter_mut().filter(|ear| ear.pipe.is_some());
    open.zip(ready).filter(|(_, ready)| *ready).for_each(|(ear, _)| ear.hear());
    Ok(count > 0)
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
    let mut ears = [Ear::new(stdout), Ear::new(stderr)];
    let (mut last, mut silent_for) = (Instant::now(), None);
    while ears.iter().any(|ear| ear.pipe.is_some()) && handle.try_wait()?.is_none() {
        let left = patience.saturating_sub(last.elapsed());
        if left.is_zero() {
            handle.pids().into_iter().for_each(process_tree::end);
            silent_for = Some(patience);
            break;
        }
        if listen(&mut ears, left.min(LOOK))? {
            last = Instant::now();
        }
    }
    // All that it has said is in the pipes; who else holds them (ssh's master connection) is not waited for.
    let ended = Instant::now();
    while ended.elapsed() < TALK && listen(&mut ears, LOOK)? {}
    let status = handle.into_output()?.status;
    let [stdout, stderr] = ears.map(|ear| ear.said);
    Ok((Output { status, stdout, stderr }, silent_for))
}
