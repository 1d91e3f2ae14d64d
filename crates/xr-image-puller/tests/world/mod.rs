//! A private engine and a private registry on free ports, gone with the value that holds them, also after a panic.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, dead_code, reason = "tests start the world they need")]

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use bollard::Docker;
use tempfile::TempDir;
use xr_image_puller::{Credentials, LayerProgress, Retry, Sources};
use xr_lab::Layout;
use xr_model::{Digest, ImageRef, PinnedImage};

/// Runs async test code as the product does: on one thread.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Goes on in the lab's namespaces: an engine without a bridge removes `docker0`, and the machine's own is not ours.
fn enter() {
    xr_lab::enter(&Layout::from_env().unwrap()).unwrap();
}

/// A program that ends with its owner; told to stop first, so that it takes its own children along.
struct Program(Child);

impl Program {
    fn start(name: &str, args: &[String], log: &Path) -> Self {
        let log = fs::File::create(log).unwrap();
        // Should the test process be killed, the kernel stops the program.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", name])
            .args(args)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        Self(child.unwrap_or_else(|error| panic!("{name} does not start ({error}): run `cargo xtask lab setup`")))
    }

    fn is_running(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let end = Instant::now() + Duration::from_secs(10);
        while self.is_running() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for a condition, not for time.
pub fn wait_until(what: &str, mut true_now: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !true_now() {
        assert!(Instant::now() < end, "{what} did not come true: run `cargo xtask lab setup`");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A registry with no content.
pub struct Registry {
    pub port: u16,
    program: Option<Program>,
    folder: TempDir,
}

impl Registry {
    pub fn start() -> Self {
        enter();
        let folder = TempDir::new().unwrap();
        let port = free_port();
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}/data}}}}\nhttp: {{addr: \"127.0.0.1:{port}\"}}\n",
            folder.path().display()
        );
        fs::write(folder.path().join("config.yml"), config).unwrap();
        let mut registry = Self { port, program: None, folder };
        registry.up();
        registry
    }

    pub fn up(&mut self) {
        let path = |name: &str| self.folder.path().join(name);
        let args = ["serve".to_owned(), path("config.yml").display().to_string()];
        self.program = Some(Program::start("docker-registry", &args, &path("log")));
        wait_until("the registry", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    pub fn down(&mut self) {
        self.program = None;
    }

    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

/// A Docker engine with an empty disk; it cannot run containers.
pub struct Engine {
    pub docker: Docker,
    socket: PathBuf,
    // Order of dropping: the engine, then its folder.
    program: Program,
    folder: TempDir,
    mounted: Option<PathBuf>,
}

impl Engine {
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// An engine that asks these registries before Docker Hub.
    pub fn with_registry_mirrors(hosts: &[String]) -> Self {
        let flags: Vec<_> = hosts.iter().map(|host| format!("--registry-mirror=http://{host}")).collect();
        Self::with(&flags)
    }

    /// An engine whose whole disk has this many megabytes.
    pub fn with_disk(megabytes: u32) -> Self {
        enter();
        let folder = TempDir::new().unwrap();
        let root = folder.path().join("root");
        fs::create_dir(&root).unwrap();
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&root).status().unwrap();
        assert!(mounted.success(), "a small disk needs root");
        Self::boot(folder, Some(root), &[])
    }

    fn with(flags: &[String]) -> Self {
        enter();
        Self::boot(TempDir::new().unwrap(), None, flags)
    }

    fn boot(folder: TempDir, mounted: Option<PathBuf>, flags: &[String]) -> Self {
        let path = |name: &str| folder.path().join(name).display().to_string();
        let socket = folder.path().join("sock");
        let mut args = vec![
            format!("--host=unix://{}", path("sock")),
            format!("--data-root={}", path("root")),
            format!("--exec-root={}", path("exec")),
            format!("--pidfile={}", path("pid")),
            format!("--config-file={}", path("daemon.json")),
            "--bridge=none".to_owned(),
            "--iptables=false".to_owned(),
            // The engine tries a layer five times by itself, 5 to 20 s apart; here our own tries are of interest.
            "--max-download-attempts=1".to_owned(),
        ];
        fs::write(path("daemon.json"), "{}").unwrap();
        args.extend_from_slice(flags);
        let mut program = Program::start("dockerd", &args, &folder.path().join("log"));
        let docker = Docker::connect_with_unix(&path("sock"), 120, bollard::API_DEFAULT_VERSION).ok();
        let docker = docker.or_else(|| {
            wait_until("the engine's socket", || socket.exists() || !program.is_running());
            Docker::connect_with_unix(&path("sock"), 120, bollard::API_DEFAULT_VERSION).ok()
        });
        let docker =
            docker.unwrap_or_else(|| panic!("dockerd ended: {}", fs::read_to_string(path("log")).unwrap_or_default()));
        run(async {
            let end = Instant::now() + Duration::from_secs(30);
            while docker.ping().await.is_err() {
                assert!(Instant::now() < end, "dockerd does not answer: run `cargo xtask lab setup`");
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
        });
        Self { docker, socket, program, folder, mounted }
    }

    /// The docker command line on this engine.
    pub fn cli(&self, args: &[&str]) -> String {
        let host = format!("unix://{}", self.socket.display());
        let output =
            Command::new("docker").args(args).env("DOCKER_HOST", host).env("DOCKER_BUILDKIT", "0").output().unwrap();
        assert!(output.status.success(), "docker {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Builds an image of random layers, one for each size in kilobytes, pushes it, forgets it; returns its digest.
    pub fn publish(&self, reference: &str, layers: &[usize]) -> Digest {
        let folder = TempDir::new().unwrap();
        let mut file = "FROM scratch\n".to_owned();
        for (index, kilobytes) in layers.iter().enumerate() {
            let mut random = fs::File::open("/dev/urandom").unwrap();
            let mut bytes = vec![0; kilobytes * 1024];
            std::io::Read::read_exact(&mut random, &mut bytes).unwrap();
            fs::write(folder.path().join(format!("layer{index}")), bytes).unwrap();
            file.push_str(&format!("COPY layer{index} /\n"));
        }
        fs::write(folder.path().join("Dockerfile"), file).unwrap();
        self.cli(&["build", "-q", "-t", reference, folder.path().to_str().unwrap()]);
        let digest = self.push(reference);
        self.forget_all();
        digest
    }

    /// Pushes a local image and returns its digest in the registry.
    pub fn push(&self, reference: &str) -> Digest {
        let said = self.cli(&["push", reference]);
        let digest = said.split("digest: ").nth(1).and_then(|rest| rest.split(' ').next());
        Digest(digest.unwrap_or_else(|| panic!("no digest in {said}")).to_owned())
    }

    /// Removes every image.
    pub fn forget_all(&self) {
        self.cli(&["image", "prune", "-a", "-f"]);
        assert_eq!(self.cli(&["images", "-aq"]), "");
    }

    /// The id that a name leads to.
    pub fn id(&self, name: &str) -> String {
        self.cli(&["image", "inspect", "-f", "{{.Id}}", name])
    }

    /// Whether a name leads anywhere.
    pub fn has(&self, name: &str) -> bool {
        run(self.docker.inspect_image(name)).is_ok()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(root) = &self.mounted {
            let _ = Command::new("kill").arg(self.program.0.id().to_string()).status();
            let _ = self.program.0.wait();
            let _ = Command::new("umount").args(["-R", "-l"]).arg(root).status();
        }
    }
}

pub fn image(reference: &str, digest: Option<&Digest>) -> PinnedImage {
    PinnedImage {
        reference: ImageRef::new(reference),
        digest: digest.cloned(),
        image_id: String::new(),
        services: Vec::new(),
        versioned: true,
    }
}

pub fn mirrors(hosts: &[&str]) -> Sources {
    let hosts: Vec<_> = hosts.iter().map(ToString::to_string).collect();
    Sources::new(&hosts, Credentials::none()).unwrap()
}

/// Three rounds, a twentieth of a second apart.
pub fn brisk() -> Retry {
    let delay = Duration::from_millis(50);
    Retry { attempts: 3, first_delay: delay, max_delay: delay, jitter: 0.0, patience: Duration::from_secs(20) }
}

pub fn silent(_: LayerProgress) {}
