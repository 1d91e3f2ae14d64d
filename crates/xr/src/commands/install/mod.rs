//! `xr install`: from nothing to a running stack, or from what runs to what the tree and `.env` say.

mod answers;
mod preflight;

use xr_engine::{Request, Wanted};
use xr_model::{Result, exit};

use super::deploy::{deploy, request};
use crate::{args::Install, context::Context};

/// `xr install`
pub async fn run(context: &Context, args: &Install) -> Result<u8> {
    let root = context.root()?;
    let stack = xr_stack::load(&root)?;
    if !preflight::run(context, args, &root, &stack)? {
        return Ok(exit::OK);
    }
    let without = args.without.clone();
    let request = Request {
        wanted: Wanted::Install { version: args.version.clone(), dev: args.dev },
        set: answers::settings(context, &stack, args)?,
        without: without.map(|names| names.into_iter().filter(|name| !name.is_empty()).collect()),
        ..request(args.run)
    };
    deploy(context, "install", &request, false).await
}
