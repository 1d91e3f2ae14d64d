//! `xr prune`: old generations, old backups, images that nothing needs.

use clap::Args;
use serde_json::json;
use xr_lifecycle::{Prunable, prunable, prune};
use xr_model::{Result, exit};

use crate::{
    context::Context,
    print::{out, print_json},
    prompt,
    render::table::bytes,
    run,
};

/// `xr prune`
#[derive(Debug, Args)]
pub struct Prune {
    /// Show what would be removed and remove nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `xr prune`
pub async fn run(context: &Context, args: &Prune) -> Result<u8> {
    let session = context.session()?;
    let _lock = run::begin(context, &session, "prune").await?;
    let what = prunable(&session).await?;
    context.renderer.finish();
    if args.dry_run {
        show(context, &what, None);
        return Ok(exit::OK);
    }
    if !what.is_empty() {
        if context.renderer.is_interactive() && !context.globals.json && !context.globals.yes {
            show(context, &what, None);
        }
        if !prompt::confirm(&context.globals, "remove these?")? {
            out("nothing was removed");
            return Ok(exit::OK);
        }
    }
    let freed = prune(&session, &what).await?;
    context.renderer.finish();
    show(context, &what, Some(freed));
    Ok(exit::OK)
}

/// What goes, or with `freed` what went: bytes of files, and of images at most.
fn show(context: &Context, what: &Prunable, freed: Option<(u64, u64)>) {
    let (files, images) = freed.unwrap_or_else(|| what.bytes());
    if context.globals.json {
        print_json(&json!({
            "format": 1,
            "removed": freed.is_some(),
            "generations": what.generations.iter().map(|(number, version)| json!({"generation": number, "version": version})).collect::<Vec<_>>(),
            "backups": what.backups.iter().map(|(path, size)| json!({"path": path, "bytes": size})).collect::<Vec<_>>(),
            "run_files": what.runs,
            "images": what.images.iter().map(|i| json!({"id": i.id, "names": i.names, "bytes": i.size})).collect::<Vec<_>>(),
            "left_to_other_projects": what.shared,
            "bytes": {"files": files, "images_at_most": images},
        }));
        return;
    }
    for name in &what.shared {
        out(&format!("kept old images of {name}: another project on this engine uses it"));
    }
    if what.is_empty() {
        out("nothing to remove");
        return;
    }
    let verb = if freed.is_some() { "removed" } else { "would remove" };
    for (number, version) in &what.generations {
        out(&format!("{verb} generation {number} ({version})"));
    }
    for (path, size) in &what.backups {
        out(&format!("{verb} backup {} ({})", path.file_name().unwrap_or_default().to_string_lossy(), bytes(*size)));
    }
    if !what.runs.is_empty() {
        out(&format!("{verb} the files that {} ended runs had saved", what.runs.len()));
    }
    for image in &what.images {
        out(&format!("{verb} image {} ({})", image.names.first().unwrap_or(&image.id), bytes(image.size)));
    }
    let verb = if freed.is_some() { "freed" } else { "would free" };
    let images = if images == 0 { String::new() } else { format!(" of files, up to {} of images", bytes(images)) };
    out(&format!("{verb} {}{images}", bytes(files)));
}
