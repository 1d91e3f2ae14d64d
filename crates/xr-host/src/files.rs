//! Files that are written into a container which was never started.

use bollard::query_parameters::UploadToContainerOptionsBuilder;
use tar::{Builder, Header};
use xr_model::{Fault, Result};

use crate::{containers::short, engine::Engine};

/// A file for a container.
#[derive(Clone, PartialEq, Eq)]
pub struct InjectedFile {
    /// Where it is in the container, from the root.
    pub path: String,
    /// What it says. It may be a secret: there is no `Debug`.
    pub content: String,
    /// Its permission bits.
    pub mode: u32,
    /// Its owner and group.
    pub owner: (u64, u64),
}

impl Engine {
    /// Writes files into a container.
    ///
    /// # Errors
    /// When the engine refuses, e.g. for a container whose root is read-only.
    pub async fn inject(&self, id: &str, files: &[InjectedFile]) -> Result<()> {
        let archive = archive(files).map_err(Fault::at("cannot pack the files of a container"))?;
        let options = UploadToContainerOptionsBuilder::new().path("/").build();
        let body = bollard::body_full(archive.into());
        let names: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        self.docker.upload_to_container(id, Some(options), body).await.map_err(Fault::at(format!(
            "cannot write {} into container {}",
            names.join(", "),
            short(id)
        )))
    }
}

fn archive(files: &[InjectedFile]) -> std::io::Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    for file in files {
        let mut header = Header::new_gnu();
        header.set_size(file.content.len() as u64);
        header.set_mode(file.mode);
        header.set_uid(file.owner.0);
        header.set_gid(file.owner.1);
        tar.append_data(&mut header, file.path.trim_start_matches('/'), file.content.as_bytes())?;
    }
    tar.into_inner()
}
