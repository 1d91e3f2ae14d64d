//! A registry that tests may stop, start and change under the feet of those who pull.

use std::fs::File;
use std::io::Read;
use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use duct::cmd;

use crate::lock::lock_file;
use crate::shell::run;
use crate::{Daemon, Engine, Layout, wait_for};

const MANIFESTS: &str =
    "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json";

/// Debian's docker-registry with its files in the lab, without a login.
#[derive(Debug, Clone)]
pub struct Registry {
    layout: Layout,
    name: String,
    port: u16,
}

impl Registry {
    /// The registry of this name. Its port is chosen at the first start and kept.
    pub(crate) fn open(layout: &Layout, name: &str) -> Result<Self> {
        let file = layout.join(&format!("{name}.port"));
        let kept = std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
        let mut registry = Self { layout: layout.clone(), name: name.to_owned(), port: kept.unwrap_or(0) };
        if !registry.running() && (registry.port == 0 || TcpListener::bind(("0.0.0.0", registry.port)).is_err()) {
            registry.port = free_port()?;
            std::fs::write(&file, registry.port.to_string())?;
        }
        Ok(registry)
    }

    /// Starts it and waits until it answers. Already running is fine.
    pub fn start(&self) -> Result<()> {
        if self.running() {
            return Ok(());
        }
        let config = self.layout.join(&format!("run/{}.yml", self.name));
        let storage = self.layout.join(&self.name);
        std::fs::create_dir_all(&storage)?;
        std::fs::write(&config, config_text(&storage.display().to_string(), self.port))?;
        let argv = ["docker-registry".to_owned(), "serve".to_owned(), config.display().to_string()];
        let daemon = Daemon::start(&self.layout, &self.name, &argv)?;
        wait_for("the registry", Duration::from_secs(20), || !daemon.alive() || self.answers())?;
        if !daemon.alive() {
            bail!("the registry ended: see {}", self.layout.join(&format!("log/{}.log", self.name)).display());
        }
        Ok(())
    }

    /// Stops it: from now on connections are refused.
    pub fn stop(&self) -> Result<()> {
        match Daemon::named(&self.layout, &self.name) {
            Some(daemon) => daemon.stop(Duration::from_secs(5)),
            None => Ok(()),
        }
    }

    /// `127.0.0.1:PORT`, for this machine.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `GATEWAY:PORT`, for hosts and containers on the lab's bridge.
    pub fn address_for_hosts(&self, engine: &Engine) -> String {
        format!("{}:{}", engine.gateway(), self.port)
    }

    /// Pushes a local image as `repository:tag`, e.g. `library/postgres:15`; the answer is its digest.
    pub fn push(&self, engine: &Engine, local: &str, name: &str) -> Result<String> {
        let remote = format!("{}/{name}", self.address());
        engine.docker(&["tag", local, &remote])?;
        let _turn = self.turn()?;
        engine.docker(&["push", "--quiet", &remote])?;
        self.ask(name)?.with_context(|| format!("{name} is not in the registry after its push"))
    }

    /// The digest of `repository:tag`, if the registry has it.
    pub fn digest(&self, name: &str) -> Result<Option<String>> {
        let _turn = self.turn()?;
        self.ask(name)
    }

    /// One test after the other: whoever asks for a tag, or pushes it too, while it is being written is told of a fault of the
    /// server.
    fn turn(&self) -> Result<File> {
        lock_file(&self.layout, &format!("{}.push", self.name))
    }

    fn ask(&self, name: &str) -> Result<Option<String>> {
        let (repository, tag) = split(name)?;
        let url = format!("http://{}/v2/{repository}/manifests/{tag}", self.address());
        let head = run("ask the registry", cmd!("curl", "-sSI", "-H", format!("Accept: {MANIFESTS}"), url))?;
        let mut lines = head.lines();
        match lines.next().and_then(|status| status.split_whitespace().nth(1)) {
            Some("200") => Ok(lines
                .filter_map(|line| line.split_once(':'))
                .find(|(key, _)| key.eq_ignore_ascii_case("docker-content-digest"))
                .map(|(_, value)| value.trim().to_owned())),
            Some("404") => Ok(None),
            other => bail!("the registry answered {other:?} for {name}"),
        }
    }

    /// Deletes `repository:tag` with its manifest, as if it had never been pushed. Gone already is fine.
    pub fn delete(&self, name: &str) -> Result<()> {
        let Some(digest) = self.digest(name)? else { return Ok(()) };
        let (repository, _) = split(name)?;
        let url = format!("http://{}/v2/{repository}/manifests/{digest}", self.address());
        run("delete from the registry", cmd!("curl", "-fsS", "-X", "DELETE", url)).map(drop)
    }

    /// Pushes other content under an existing tag, as a careless publisher does; the answer is the new digest.
    pub fn repush(&self, engine: &Engine, name: &str, mark: &str) -> Result<String> {
        let context = tempfile::tempdir()?;
        let dockerfile = context.path().join("Dockerfile");
        std::fs::write(&dockerfile, format!("FROM {}/{name}\nLABEL repushed={mark:?}\n", self.address()))?;
        let local = format!("xr-lab/repushed:{}", mark.replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
        engine.docker(&["pull", "--quiet", &format!("{}/{name}", self.address())])?;
        engine.build(context.path(), &dockerfile, &local, &[])?;
        let digest = self.push(engine, &local, name)?;
        engine.docker(&["rmi", "--no-prune", &local])?;
        Ok(digest)
    }

    /// Pushes `base` as `name` with layers of random bytes on top, so many kilobytes each: whoever pulls it has to fetch
    /// them, for nothing of it stays on the engine. The answer is the digests of these layers, bottom first.
    pub fn push_heavy(&self, engine: &Engine, base: &str, name: &str, layers: &[usize]) -> Result<Vec<String>> {
        let context = tempfile::tempdir()?;
        let dockerfile = context.path().join("Dockerfile");
        let (base, remote) = (format!("{}/{base}", self.address()), format!("{}/{name}", self.address()));
        let mut text = format!("FROM {base}\n");
        for (index, kilobytes) in layers.iter().enumerate() {
            let mut random = std::fs::File::open("/dev/urandom")?.take(*kilobytes as u64 * 1024);
            std::io::copy(&mut random, &mut std::fs::File::create(context.path().join(format!("layer{index}")))?)?;
            text += &format!("COPY layer{index} /ballast/\n");
        }
        std::fs::write(&dockerfile, text)?;
        let local = format!("xr-lab/{}", name.replace('/', "-"));
        engine.docker(&["pull", "--quiet", &base])?;
        engine.build(context.path(), &dockerfile, &local, &[])?;
        self.push(engine, &local, name)?;
        engine.docker(&["rmi", &local, &remote])?;
        let mut digests = self.layers(name)?;
        Ok(digests.split_off(digests.len().saturating_sub(layers.len())))
    }

    /// The digests of an image's layers, bottom first.
    fn layers(&self, name: &str) -> Result<Vec<String>> {
        let (repository, tag) = split(name)?;
        let url = format!("http://{}/v2/{repository}/manifests/{tag}", self.address());
        let text = run("ask the registry", cmd!("curl", "-fsS", "-H", format!("Accept: {MANIFESTS}"), url))?;
        let manifest: serde_json::Value = serde_json::from_str(&text)?;
        let layers = manifest["layers"].as_array().with_context(|| format!("{name} has no layers: {text}"))?;
        Ok(layers.iter().filter_map(|layer| layer["digest"].as_str().map(str::to_owned)).collect())
    }

    /// Its port, on every address of this machine.
    pub fn port(&self) -> u16 {
        self.port
    }

    fn running(&self) -> bool {
        Daemon::named(&self.layout, &self.name).is_some_and(|daemon| daemon.alive())
    }

    fn answers(&self) -> bool {
        let url = format!("http://{}/v2/", self.address());
        cmd!("curl", "-fsS", "-m", "2", url).stdout_null().stderr_null().run().is_ok()
    }
}

fn split(name: &str) -> Result<(&str, &str)> {
    name.rsplit_once(':').with_context(|| format!("{name} is not repository:tag"))
}

/// A port that nobody listens on, on any address.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("0.0.0.0", 0))?.local_addr()?.port())
}

fn config_text(storage: &str, port: u16) -> String {
    format!(
        "version: 0.1\nlog:\n  level: warn\nstorage:\n  filesystem:\n    rootdirectory: {storage}\n  delete:\n    enabled: true\n\
         http:\n  addr: :{port}\n"
    )
}
