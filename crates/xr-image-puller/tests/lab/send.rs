//! Images sent to real hosts through real SSH connections, and loaded by real engines.

use std::{fs, io::Read, path::PathBuf, sync::Mutex, time::Duration};

use anyhow::Result;
use tempfile::TempDir;
use xr_host::{Engine, Remote, Ssh};
use xr_image_puller::{SendProgress, Sender, Sent};
use xr_lab::{Host, HostKind, Lab};
use xr_model::{Fault, ImageRef, PinnedImage, exit};

const PATIENCE: Duration = Duration::from_secs(20);
const MEGABYTE: u64 = 1 << 20;

/// A control host with images, and what it needs to reach others.
struct Control {
    lab: Lab,
    ssh: Ssh,
    sender: Sender,
    folder: TempDir,
    images: Mutex<Vec<String>>,
}

impl Control {
    async fn new(hosts: &[&Host]) -> Result<Self> {
        let (lab, folder) = (Lab::attach_or_up()?, tempfile::tempdir()?);
        let known = folder.path().join("hosts");
        let keys: Vec<String> = hosts.iter().map(|host| host.known_hosts()).collect::<Result<_>>()?;
        fs::write(&known, keys.concat())?;
        let config = folder.path().join("admins_config");
        let key = hosts[0].ssh_key().display();
        fs::write(&config, format!("IdentityFile {key}\nUserKnownHostsFile {}\n", known.display()))?;
        let ssh = Ssh::with_settings(&folder.path().join("ssh"), PATIENCE, &config.display().to_string())?;
        let engine = Engine::at(&lab.engine().socket()).await?;
        let sender = Sender::new(engine, folder.path().join("parcels"), PATIENCE)?;
        Ok(Self { lab, ssh, sender, folder, images: Mutex::default() })
    }

    /// Builds an image of layers of random content, so many kilobytes each, or of those that another version has.
    fn build(&self, name: &str, layers: &[Layer<'_>]) -> Result<PinnedImage> {
        let context = tempfile::tempdir()?;
        let mut text = "FROM scratch\n".to_owned();
        for (index, layer) in layers.iter().enumerate() {
            let file = self.folder.path().join(layer.0);
            if !file.exists() {
                let mut random = fs::File::open("/dev/urandom")?.take(layer.1 << 10);
                std::io::copy(&mut random, &mut fs::File::create(&file)?)?;
            }
            fs::copy(&file, context.path().join(format!("layer{index}")))?;
            text += &format!("COPY layer{index} /\n");
        }
        fs::write(context.path().join("Dockerfile"), text)?;
        let engine = self.lab.engine();
        engine.build(context.path(), &context.path().join("Dockerfile"), name, &[])?;
        self.images.lock().unwrap().push(name.to_owned());
        Ok(PinnedImage {
            reference: ImageRef::new(name),
            digest: None,
            image_id: engine.docker(&["image", "inspect", "--format={{.Id}}", name])?,
            services: Vec::new(),
            versioned: true,
        })
    }

    async fn reach(&self, user: &str, host: &Host) -> Result<(Remote, Engine)> {
        let remote = self.ssh.connect(&format!("{user}@{}", host.address())).await.map_err(|away| away.fault)?;
        let engine = remote.engine().await?;
        Ok((remote, engine))
    }

    async fn send(&self, image: &PinnedImage, host: &Host) -> Result<Sent, Fault> {
        let (remote, engine) = self.reach("root", host).await.expect("a connection");
        self.sender.send(image, &remote, &engine, &|_| ()).await
    }

    fn parcels(&self) -> Vec<PathBuf> {
        fs::read_dir(self.folder.path().join("parcels")).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        for image in self.images.lock().unwrap().drain(..) {
            let _ = self.lab.engine().docker(&["rmi", &image]);
        }
    }
}

/// A layer's name within a test, and its kilobytes.
struct Layer<'a>(&'a str, u64);

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn id(host: &Host, name: &str) -> Result<String> {
    host.must(&format!("docker image inspect --format='{{{{.Id}}}}' {name}"))
}

/// Bytes that have arrived at a host, whoever sent them.
fn received(host: &Host) -> Result<u64> {
    Ok(host.must("cat /sys/class/net/eth0/statistics/rx_bytes")?.parse()?)
}

fn left_over(host: &Host) -> Result<String> {
    host.must("find /root/.cache/xr /home/admin/.cache/xr -type f 2>/dev/null || true")
}

#[test]
fn only_the_layers_that_a_host_lacks_travel_and_the_image_is_the_same() -> Result<()> {
    run(async {
        let host = Lab::attach_or_up()?.host(HostKind::Docker, "send-lacks")?;
        let control = Control::new(&[&host]).await?;
        let old = control.build("send/lacks:v1", &[Layer("a", 6000), Layer("b", 3000), Layer("c", 1000)])?;
        let sent = control.send(&old, &host).await?;
        assert_eq!((sent.image_id.as_str(), sent.layers), (old.image_id.as_str(), 3));
        assert_eq!(id(&host, "send/lacks:v1")?, old.image_id);

        let new = control.build("send/lacks:v2", &[Layer("a", 0), Layer("b", 0), Layer("d", 1000)])?;
        let before = received(&host)?;
        let sent = control.send(&new, &host).await?;
        let travelled = received(&host)? - before;
        assert_eq!((sent.image_id.as_str(), sent.layers), (new.image_id.as_str(), 1));
        assert_eq!(id(&host, "send/lacks:v2")?, new.image_id);
        assert!((1000 << 10..1100 << 10).contains(&travelled), "{travelled} bytes for a layer of 1000 KiB");
        assert!(sent.bytes < travelled, "{} bytes of {travelled}", sent.bytes);

        // What is there costs nothing, also under another name.
        let again = PinnedImage { reference: ImageRef::new("send/lacks:stable"), ..new.clone() };
        let sent = control.send(&again, &host).await?;
        assert_eq!((sent.layers, sent.bytes), (0, 0));
        assert_eq!(id(&host, "send/lacks:stable")?, new.image_id);

        assert_eq!(left_over(&host)?, "");
        let folder = control.folder.path().join("parcels");
        assert!(folder.exists());
        Ok(())
    })
}

#[test]
fn a_user_who_reaches_the_engine_by_sudo_gets_images_too() -> Result<()> {
    run(async {
        let host = Lab::attach_or_up()?.host(HostKind::Docker, "send-sudo")?;
        let control = Control::new(&[&host]).await?;
        let image = control.build("send/sudo:v1", &[Layer("a", 500)])?;
        let (remote, engine) = control.reach("admin", &host).await?;
        control.sender.send(&image, &remote, &engine, &|_| ()).await?;
        assert_eq!(id(&host, "send/sudo:v1")?, image.image_id);
        assert_eq!(left_over(&host)?, "");
        Ok(())
    })
}

#[test]
fn a_sending_that_broke_off_is_gone_on_with() -> Result<()> {
    run(async {
        let host = Lab::attach_or_up()?.host(HostKind::Docker, "send-broken")?;
        let control = Control::new(&[&host]).await?;
        let image = control.build("send/broken:v1", &[Layer("a", 40_000)])?;
        let (remote, engine) = control.reach("root", &host).await?;
        let broken = Mutex::new(false);
        let cut = |progress| {
            let SendProgress::Sending { done, total } = progress else { return };
            let mut broken = broken.lock().unwrap();
            if done > total / 2 && !*broken {
                // As when a cable is cut: the other side's sshd has no time for anything.
                host.must("pkill -KILL -x sshd-session").unwrap();
                *broken = true;
            }
        };
        let fault = control.sender.send(&image, &remote, &engine, &cut).await.expect_err("it broke off");
        assert_eq!(fault.code, exit::TRY_LATER, "{}", fault.chain());
        assert!(fault.message.contains(host.address()), "{}", fault.chain());

        let there = Mutex::new(None);
        let note = |progress| {
            if let SendProgress::Sending { done, .. } = progress {
                there.lock().unwrap().get_or_insert(done);
            }
        };
        let (remote, engine) = control.reach("root", &host).await?;
        let sent = control.sender.send(&image, &remote, &engine, &note).await?;
        let there = there.into_inner().unwrap().unwrap();
        assert!(there > 10 * MEGABYTE, "it went on at {there}");
        assert!(sent.bytes + there < 42 * MEGABYTE, "{} bytes after {there}", sent.bytes);
        assert_eq!(id(&host, "send/broken:v1")?, image.image_id);
        assert_eq!(left_over(&host)?, "");
        Ok(())
    })
}

#[test]
fn what_is_there_of_a_parcel_and_was_damaged_is_sent_anew() -> Result<()> {
    run(async {
        let host = Lab::attach_or_up()?.host(HostKind::Docker, "send-damaged")?;
        let control = Control::new(&[&host]).await?;
        let image = control.build("send/damaged:v1", &[Layer("a", 3000)])?;
        let whole = control.send(&image, &host).await?.bytes;
        host.must("docker rmi send/damaged:v1")?;
        let parcel = control.parcels().remove(0).display().to_string();
        let sum = duct::cmd!("sha256sum", parcel).read()?;
        let name = sum.split(' ').next().unwrap_or_default();
        for bytes in [MEGABYTE, 10 * MEGABYTE] {
            host.must(&format!("head -c {bytes} /dev/zero >/root/.cache/xr/{name}.parcel"))?;
            let sent = control.send(&image, &host).await?;
            // What seemed to be left, and then the whole; or at once the whole.
            assert_eq!(sent.bytes, whole + whole.saturating_sub(bytes));
            assert_eq!(id(&host, "send/damaged:v1")?, image.image_id);
            host.must("docker rmi send/damaged:v1")?;
        }
        Ok(())
    })
}

#[test]
fn a_full_disk_is_told() -> Result<()> {
    run(async {
        let host = Lab::attach_or_up()?.host(HostKind::Docker, "send-full")?;
        let control = Control::new(&[&host]).await?;
        let image = control.build("send/full:v1", &[Layer("a", 20_000)])?;
        let full = async |what: &str| -> Result<()> {
            let fault = control.send(&image, &host).await.expect_err(what);
            assert!(fault.message.contains(host.address()), "{what}: {}", fault.chain());
            assert!(fault.message.contains("no space left"), "{what}: {}", fault.chain());
            assert!(fault.hint.is_some_and(|hint| hint.contains("docker system df")));
            Ok(())
        };
        host.must("mkdir -p /root/.cache && mount -t tmpfs -o size=8m tmpfs /root/.cache")?;
        full("the user's disk").await?;
        host.must("umount /root/.cache")?;
        host.must("service docker stop && mount -t tmpfs -o size=16m tmpfs /var/lib/docker && service docker start")?;
        xr_lab::wait_for("the engine", Duration::from_secs(60), || {
            host.exec(&["docker", "version"]).is_ok_and(|output| output.success())
        })?;
        full("the engine's disk").await?;
        assert_eq!(left_over(&host)?, "");
        Ok(())
    })
}

#[test]
fn hosts_that_lack_the_same_share_a_parcel() -> Result<()> {
    run(async {
        let lab = Lab::attach_or_up()?;
        let (one, two) = (lab.host(HostKind::Docker, "send-one")?, lab.host(HostKind::Docker, "send-two")?);
        let control = Control::new(&[&one, &two]).await?;
        let image = control.build("send/shared:v1", &[Layer("a", 2000), Layer("b", 1000)])?;
        let (first, second) = tokio::join!(control.send(&image, &one), control.send(&image, &two));
        let (first, second) = (first?, second?);
        assert_eq!(first, second);
        assert_eq!(first.image_id, image.image_id);
        assert_eq!(control.parcels().len(), 1);
        for host in [&one, &two] {
            assert_eq!(id(host, "send/shared:v1")?, image.image_id);
        }
        Ok(())
    })
}
