//! The images that the cases are made of.

use std::path::Path;

use anyhow::Result;
use xr_lab::Lab;

/// Where the images of the cases are.
#[derive(Clone, Debug)]
pub(crate) struct Images {
    /// Declares `VOLUME /data`, serves its release on port 80 and ends well when it is told to.
    pub server: String,
    /// The same without a volume.
    pub plain: String,
}

const SERVER: &str = "#!/bin/sh\ntrap 'exit 0' TERM\nhttpd -f -p 80 -h /www &\nwait\n";

/// Publishes the images in the lab's registry, as releases 7.0 and 7.2.
pub(crate) fn publish(lab: &Lab, scratch: &Path) -> Result<Images> {
    let (engine, registry) = (lab.engine(), lab.registry());
    engine.docker(&["pull", "--quiet", "busybox"])?;
    for (kind, volume) in [("server", "VOLUME /data\n"), ("plain", "")] {
        for release in ["7.0", "7.2"] {
            let name = format!("xr-conform/{kind}:{release}");
            if registry.digest(&name)?.is_some() {
                continue;
            }
            let context = scratch.join(format!("{kind}-{release}"));
            std::fs::create_dir(&context)?;
            std::fs::write(context.join("server"), SERVER)?;
            let dockerfile = format!(
                "FROM busybox\nCOPY server /server\nRUN mkdir /www && echo {release} > /www/index.html && chmod 755 /server\n\
                 {volume}CMD [\"/server\"]\n"
            );
            std::fs::write(context.join("Dockerfile"), dockerfile)?;
            let local = format!("xr-conform-build/{kind}:{release}");
            engine.build(&context, &context.join("Dockerfile"), &local, &[])?;
            registry.push(engine, &local, &name)?;
        }
    }
    let at = |kind: &str| format!("{}/xr-conform/{kind}", registry.address());
    Ok(Images { server: at("server"), plain: at("plain") })
}
