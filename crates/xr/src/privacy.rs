//! What of this process's memory could get out: it holds secrets.

use rustix::process::{DumpableBehavior, Resource, getrlimit, set_dumpable_behavior, setrlimit};

use crate::print::err;

/// Keeps it in: no core dump of xr or of what it starts, no debugger of another program of this user's, and a panic tells
/// where and not what, because its message may hold a value.
pub fn begin() {
    let none = rustix::process::Rlimit { current: Some(0), ..getrlimit(Resource::Core) };
    // A kernel that refuses leaves things as they were for every program here.
    let _ = setrlimit(Resource::Core, none);
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        err(&format!("error: xr is broken at {place}"));
        err("hint: xr status tells what serves; please report the line above");
    }));
}
