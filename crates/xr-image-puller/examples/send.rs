//! Sends an image of this host's engine to other hosts, all at once: `send IMAGE FOLDER HOST…`, where FOLDER is for what the
//! sending needs meanwhile. `cargo xtask bench images` measures it.
#![allow(clippy::print_stdout, reason = "what it tells is its purpose")]

use std::{path::PathBuf, time::Duration};

use futures_util::future::try_join_all;
use xr_host::{Engine, Ssh};
use xr_image_puller::Sender;
use xr_model::{Fault, ImageRef, PinnedImage, Result, exit};

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(name), Some(folder)) = (arguments.next(), arguments.next()) else {
        return Err(Fault::new("send IMAGE FOLDER HOST…").code(exit::USAGE));
    };
    let folder = PathBuf::from(folder);
    let ssh = Ssh::new(&folder.join("ssh"), PATIENCE)?;
    let engine = Engine::connect()?;
    let found = engine.image(&name).await?.ok_or_else(|| Fault::new(format!("there is no image {name}")))?;
    let image = PinnedImage {
        reference: ImageRef::new(&name),
        digest: None,
        image_id: found.id,
        services: Vec::new(),
        versioned: true,
    };
    let sender = Sender::new(engine, folder.join("parcels"), PATIENCE)?;
    let all = arguments.map(async |host| {
        let remote = ssh.connect(&host).await.map_err(|away| away.fault)?;
        let engine = remote.engine().await?;
        let sent = sender.send(&image, &remote, &engine, &|_| ()).await?;
        println!("{host}: {} layers, {} bytes", sent.layers, sent.bytes);
        Ok::<_, Fault>(())
    });
    try_join_all(all).await.map(drop)
}
