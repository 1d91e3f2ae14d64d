//! `xr uninstall`: only what carries this stack's project label; data only when its name is typed.

use clap::Args;
use serde_json::json;
use xr_lifecycle::{Belongings, Extent, belongings, uninstall};
use xr_model::{Level, Result, exit};
use xr_preflight::boot;

use crate::{
    context::Context,
    print::{out, print_json},
    prompt, run,
};

/// `xr uninstall`
#[derive(Debug, Args)]
pub struct Uninstall {
    /// Delete the volumes too: the data. Asks for the project's name
    #[arg(long)]
    volumes: bool,
    /// Delete the images of recorded generations, but for those that another project on this engine needs
    #[arg(long)]
    images: bool,
    /// Everything: volumes, images, .env and .xr. Asks for the project's name
    #[arg(long)]
    all: bool,
    /// The project's name, as the answer to that question
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
    /// Show what would be removed and remove nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `xr uninstall`
pub async fn run(context: &Context, args: &Uninstall) -> Result<u8> {
    let extent = Extent { volumes: args.volumes || args.all, images: args.images || args.all, records: args.all };
    let session = context.session()?;
    let _lock = run::lock(context, &session.home, "uninstall").await?;
    let what = belongings(&session).await?;
    context.renderer.finish();
    if args.dry_run {
        show(context, &what, extent, true);
        return Ok(exit::OK);
    }
    let loses_data = (extent.volumes && !what.volumes.is_empty()) || extent.records;
    if context.renderer.is_interactive() && !context.globals.json {
        show(context, &what, extent, true);
    }
    if loses_data {
        let question = format!("This deletes data for good. Type the project's name, {}, to go on", what.project);
        prompt::typed(&question, &what.project, args.confirm.as_deref())?;
    } else if !prompt::confirm(&context.globals, &format!("uninstall {}?", what.project))? {
        out("nothing was removed");
        return Ok(exit::OK);
    }
    for worker in &session.site.workers {
        let text = format!("worker {} keeps its agent (before it is forgotten: xr worker remove {0})", worker.name);
        session.say(Level::Warning, text);
    }
    let gone = uninstall(&session, &what, extent).await?;
    if let Err(fault) = boot::remove(&what.project) {
        session.say(Level::Warning, fault.chain());
    }
    context.renderer.finish();
    show(context, &gone, extent, false);
    Ok(exit::OK)
}

fn show(context: &Context, what: &Belongings, extent: Extent, planned: bool) {
    let containers: Vec<&str> = what
        .containers
        .iter()
        .flatten()
        .map(|c| c.name.as_str())
        .chain(what.one_off.iter().map(|t| t.name.as_str()))
        .collect();
    let records: Vec<String> = what.records.iter().map(|path| path.display().to_string()).collect();
    let none = Vec::new();
    let (volumes, kept_volumes) = if extent.volumes { (&what.volumes, &none) } else { (&none, &what.volumes) };
    let images = if extent.images { &what.images } else { &none };
    let (records, kept_records) = if extent.records { (records, Vec::new()) } else { (Vec::new(), records) };
    let places: Vec<String> = what.places.iter().map(|path| path.display().to_string()).collect();
    if context.globals.json {
        print_json(&json!({
            "format": 1,
            "project": what.project,
            (if planned { "would_remove" } else { "removed" }): {
                "containers": containers, "networks": what.networks, "volumes": volumes, "images": images, "files": records,
            },
            "kept": {"volumes": kept_volumes, "other_volumes": what.other_volumes, "files": kept_records, "places": places},
        }));
        return;
    }
    let line = |what: &str, names: &[String]| {
        if !names.is_empty() {
            out(&format!("{what}: {}", names.join(", ")));
        }
    };
    let verb = if planned { "would remove" } else { "removed" };
    let containers: Vec<String> = containers.into_iter().map(str::to_owned).collect();
    line(&format!("{verb} containers"), &containers);
    line(&format!("{verb} networks"), &what.networks);
    line(&format!("{verb} volumes"), volumes);
    line(&format!("{verb} images"), images);
    line(&format!("{verb} files"), &records);
    if containers.is_empty()
        && what.networks.is_empty()
        && volumes.is_empty()
        && images.is_empty()
        && records.is_empty()
    {
        out(&format!("{} has nothing on this host to remove", what.project));
    }
    line("kept volumes", kept_volumes);
    line("volumes of the project's name that are not this stack's, kept", &what.other_volumes);
    line("kept files", &kept_records);
    line("kept on this host, where the stack wrote", &places);
}
