//! `xr worker import`: every host of an inventory becomes a worker; all are looked at before the first is changed.

use xr_model::{Fault, Level, Result, exit};
use xr_stack::inventory;
use xr_workers::Target;

use super::{Import, add};
use crate::{
    context::Context,
    print::{err, out},
    run,
};

/// `xr worker import`
pub async fn run(context: &Context, args: &Import) -> Result<u8> {
    let workers = inventory::read(&args.file)?;
    let mut session = context.session()?;
    let _lock = run::begin(context, &session, "worker import").await?;
    let target = Target::present(&session).await?;
    target.refuse_none()?;
    let mut candidates = Vec::new();
    let mut faults: Vec<Fault> = Vec::new();
    for worker in workers {
        if session.site.workers.iter().any(|known| known.name == worker.name && known.ssh == worker.ssh) {
            session.say(Level::Info, format!("worker {} is one already", worker.name));
            continue;
        }
        match add::examine(context, &session, &target, worker, None).await {
            Ok(candidate) => candidates.push(candidate),
            Err(fault) => faults.push(fault),
        }
    }
    if let Some(first) = (!faults.is_empty()).then(|| faults.remove(0)) {
        let others: Vec<String> = faults.iter().map(Fault::chain).collect();
        let also = if others.is_empty() { String::new() } else { format!("; also: {}", others.join("; ")) };
        return Err(Fault { message: format!("{}{also}; nothing was changed", first.message), ..first });
    }
    let mut failed = 0;
    let from = args.images_from.map_or(session.site.fleet.images_from, Into::into);
    for candidate in candidates {
        let (name, ssh) = (candidate.worker.name.clone(), candidate.worker.ssh.clone());
        if args.dry_run {
            out(&format!("{name} ({ssh}) would be a worker"));
            continue;
        }
        match xr_workers::add(&session, &target, &candidate, from).await {
            Ok(_) => {
                xr_workers::register(&session, &candidate.worker)?;
                session.site.workers.push(candidate.worker);
                out(&format!("worker {name} ({ssh}) is at {}", target.version));
            }
            Err(fault) => {
                failed += 1;
                err(&format!("error: {}", fault.chain()));
            }
        }
    }
    context.renderer.finish();
    Ok(if failed == 0 { exit::OK } else { exit::FAILED })
}
