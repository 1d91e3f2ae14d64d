//! Faults below xr: preloaded (`LD_PRELOAD`), it counts what xr changes on the disk and kills xr, or fails, at one of them.
//!
//! xr itself knows nothing of it. It acts only in a program called `xr`, and only on files under one folder:
//!
//! - `XR_FAULTS_ROOT`: the folder.
//! - `XR_FAULTS`: points, separated by commas: `ROLE:WHERE:NUMBER:WHAT`.
//!   - ROLE: `run`, or `guard` for `xr guard`.
//!   - WHERE: `file` counts every change, `journal` the fsyncs of journals, `look` the opening of journals.
//!   - WHAT: `before` and `after` kill the process group there; at a journal's fsync `lost` first takes back what was not
//!     yet on the disk, and `torn` half of it, as a power cut does. `ENOSPC`, `EIO`, `EROFS` fail there, and with a `+`
//!     behind the number from there on.
//! - `XR_FAULTS_LOG`: every change is noted there, a line each: `ROLE OPERATION PATH`.
//!
//! Interposing is possible because Rust's standard library calls the C library; the C library's own calls are made here as
//! system calls.

mod operations;
mod point;
