//! A new version of an image to several workers that have the one before: sent by xr, pulled from a registry, saved and loaded.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use duct::{Expression, cmd};
use tempfile::TempDir;
use xr_lab::{Host, HostKind, Lab, Layout, cargo};

const WORKERS: [&str; 3] = ["images-1", "images-2", "images-3"];
const MEGABYTE: u64 = 1 << 20;
/// The layers of the image, bottom first, in megabytes; the last one is what the new version changes.
const LAYERS: [u64; 5] = [120, 80, 60, 30, 10];
const ROUNDS: usize = 3;

/// What one way took for all workers.
struct Took {
    bytes: u64,
    time: Duration,
}

pub(super) fn run(lab: &Lab) -> Result<()> {
    let scene = Scene::set(lab)?;
    let ways: [(&str, Way<'_>); 4] = [
        ("xr, all at once", Scene::by_xr),
        ("registry pull, all at once", Scene::by_registry),
        ("docker save | ssh docker load, in turn", Scene::by_load_in_turn),
        ("docker save | ssh docker load, at once", Scene::by_load_at_once),
    ];
    let mut rows: [Vec<Took>; 4] = Default::default();
    for _ in 0..ROUNDS {
        for ((_, way), row) in ways.iter().zip(&mut rows) {
            row.push(scene.measure(*way)?);
        }
    }
    let layer = (LAYERS[LAYERS.len() - 1] * MEGABYTE * WORKERS.len() as u64) as f64;
    println!(
        "\nv2 of an image of {} MiB, {} MiB of it new, to {} workers that have v1; median of {ROUNDS} rounds, taken in turn",
        LAYERS.iter().sum::<u64>(),
        LAYERS[LAYERS.len() - 1],
        WORKERS.len()
    );
    println!("{:<40} {:>12} {:>12} {:>9} {:>7}", "", "received", "× new layer", "took", "× xr");
    let rows: Vec<Took> = rows.into_iter().map(median).collect();
    for ((title, _), took) in ways.iter().zip(&rows) {
        let (bytes, seconds) = (took.bytes as f64, took.time.as_secs_f64());
        let ratio = seconds / rows[0].time.as_secs_f64();
        println!(
            "{title:<40} {:>8.1} MiB {:>11.2}× {seconds:>7.2} s {ratio:>6.1}×",
            bytes / MEGABYTE as f64,
            bytes / layer
        );
    }
    Ok(())
}

type Way<'a> = fn(&Scene<'a>) -> Result<()>;

fn median(mut row: Vec<Took>) -> Took {
    row.sort_by_key(|took| took.time);
    row.swap_remove(ROUNDS / 2)
}

/// Workers that have the version before, and both versions here and in the registry.
struct Scene<'a> {
    lab: &'a Lab,
    workers: Vec<Host>,
    folder: TempDir,
    send: PathBuf,
    /// The new version's id.
    id: String,
}

impl<'a> Scene<'a> {
    fn set(lab: &'a Lab) -> Result<Self> {
        cargo(&["build", "--release", "--quiet", "--locked", "--package", "xr-image-puller", "--example", "send"])
            .run()?;
        let folder = tempfile::tempdir()?;
        let send = Layout::workspace().join("target/release/examples/send");
        for version in [1, 2] {
            build(lab, folder.path(), version)?;
            lab.registry().push(lab.engine(), &name(version), &format!("bench/image:v{version}"))?;
        }
        let id = lab.engine().docker(&["image", "inspect", "--format={{.Id}}", &name(2)])?;
        let workers: Vec<Host> = WORKERS.iter().map(|name| lab.host(HostKind::Docker, name)).collect::<Result<_>>()?;
        let mut known = String::new();
        for worker in &workers {
            worker.must(&format!("docker pull -q bench/image:v1 && docker tag bench/image:v1 {}", name(1)))?;
            known += &worker.known_hosts()?;
        }
        fs::write(folder.path().join("known_hosts"), known)?;
        let key = workers[0].ssh_key().display();
        let config = format!(
            "IdentityFile {key}\nUserKnownHostsFile {}\nUser root\n",
            folder.path().join("known_hosts").display()
        );
        fs::write(folder.path().join("config"), config)?;
        Ok(Self { lab, workers, folder, send, id })
    }

    /// One way, from workers without the new version to workers with it.
    fn measure(&self, way: Way<'a>) -> Result<Took> {
        let before = self.received()?;
        let begun = Instant::now();
        way(self)?;
        let took = Took { time: begun.elapsed(), bytes: self.received()? - before };
        for worker in &self.workers {
            let new = [name(2), "bench/image:v2".to_owned()];
            let mut ids = Vec::new();
            for name in &new {
                ids.push(
                    worker.sh(&format!("docker image inspect --format='{{{{.Id}}}}' {name} && docker rmi {name}"))?,
                );
            }
            let has = ids.iter().any(|output| output.stdout.lines().next() == Some(&self.id));
            ensure!(has, "{} does not have the new version", worker.name());
        }
        Ok(took)
    }

    /// Bytes that have arrived at the workers, whoever sent them.
    fn received(&self) -> Result<u64> {
        let mut sum = 0;
        for worker in &self.workers {
            sum += worker.must("cat /sys/class/net/eth0/statistics/rx_bytes")?.parse::<u64>()?;
        }
        Ok(sum)
    }

    fn by_xr(&self) -> Result<()> {
        let folder = tempfile::tempdir()?;
        let (image, at) = (name(2), folder.path().display().to_string());
        let mut argv = vec![image.as_str(), at.as_str()];
        argv.extend(self.workers.iter().map(Host::address));
        let sending = cmd(&self.send, argv)
            .env("DOCKER_HOST", self.lab.engine().docker_host())
            .env("XR_SSH_CONFIG", self.folder.path().join("config"))
            .env("XDG_RUNTIME_DIR", folder.path());
        sending.stdout_null().run().context("send")?;
        Ok(())
    }

    fn by_registry(&self) -> Result<()> {
        at_once(self.workers.iter().map(|worker| self.ssh(worker, "docker pull -q bench/image:v2").stdout_null()))
    }

    fn by_load_in_turn(&self) -> Result<()> {
        self.loads().try_for_each(|load| load.run().map(drop)).context("save and load")
    }

    fn by_load_at_once(&self) -> Result<()> {
        at_once(self.loads())
    }

    fn loads(&self) -> impl Iterator<Item = Expression> {
        let save = |worker| {
            let image = name(2);
            let save = self.lab.engine().command(&["save", &image]);
            save.pipe(self.ssh(worker, "docker load -q")).stdout_null()
        };
        self.workers.iter().map(save)
    }

    fn ssh(&self, worker: &Host, script: &str) -> Expression {
        cmd!("ssh", "-F", self.folder.path().join("config"), worker.address(), script)
    }
}

impl Drop for Scene<'_> {
    fn drop(&mut self) {
        for version in [1, 2] {
            let pushed = format!("{}/bench/image:v{version}", self.lab.registry().address());
            // What cannot be removed goes with the lab.
            let _ = self.lab.engine().docker(&["rmi", &name(version), &pushed]);
            let _ = self.lab.registry().delete(&format!("bench/image:v{version}"));
        }
    }
}

fn name(version: u32) -> String {
    format!("xr-bench/image:v{version}")
}

/// Builds a version; the files of its layers are kept in `folder`, and all but the last serve the next version too.
fn build(lab: &Lab, folder: &Path, version: u32) -> Result<()> {
    let context = folder.join("context");
    fs::create_dir_all(&context)?;
    let mut text = "FROM scratch\n".to_owned();
    for (index, megabytes) in LAYERS.into_iter().enumerate() {
        let file = context.join(format!("layer{index}"));
        if !file.exists() || index + 1 == LAYERS.len() {
            let mut random = File::open("/dev/urandom")?.take(megabytes * MEGABYTE);
            std::io::copy(&mut random, &mut File::create(&file)?)?;
        }
        text += &format!("COPY layer{index} /\n");
    }
    let dockerfile = folder.join("Dockerfile");
    fs::write(&dockerfile, text)?;
    lab.engine().build(&context, &dockerfile, &name(version), &[])
}

/// Runs all of them at once, to their ends.
fn at_once(all: impl Iterator<Item = Expression>) -> Result<()> {
    let started: Vec<_> = all.map(|one| one.start()).collect::<std::io::Result<_>>()?;
    for one in started {
        one.wait()?;
    }
    Ok(())
}
