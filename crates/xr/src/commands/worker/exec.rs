//! `xr worker exec` and `logs`.

use std::io::{self, IsTerminal, Write, stderr, stdout};

use xr_host::Said;
use xr_model::{Result, exit, printable};

use super::{Exec, Logs};
use crate::context::Context;

/// `xr worker exec`: ssh itself, with the terminal, as xr calls it.
pub async fn exec(context: &Context, args: &Exec) -> Result<u8> {
    let session = context.session()?;
    let worker = session.worker(&args.name)?;
    let ssh = session.ssh()?;
    context.renderer.finish();
    ssh.hand_over(&worker.ssh, &args.command).await
}

/// `xr worker logs`
pub async fn logs(context: &Context, args: &Logs) -> Result<u8> {
    let session = context.session()?;
    let worker = session.worker(&args.name)?.clone();
    context.renderer.finish();
    let mut hear = |said: Said<'_>| tell(said);
    tokio::select! {
        told = xr_workers::logs(&session, &worker, args.tail, args.follow, &mut hear) => told.map(|()| exit::OK),
        () = context.cancel.raised() => Ok(exit::INTERRUPTED),
    }
}

/// Passes on what a program on another host says, as it says it; on a terminal without what would steer that.
pub fn tell(said: Said<'_>) {
    // A reader that has gone away wants no more of it.
    let _ = match said {
        Said::Out(bytes) => pass_on(stdout(), bytes),
        Said::Error(bytes) => pass_on(stderr(), bytes),
    };
}

fn pass_on(mut stream: impl Write + IsTerminal, bytes: &[u8]) -> io::Result<()> {
    match stream.is_terminal() {
        true => stream.write_all(printable(&String::from_utf8_lossy(bytes)).as_bytes())?,
        false => stream.write_all(bytes)?,
    }
    stream.flush()
}
