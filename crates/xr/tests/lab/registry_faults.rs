//! Registries that die, refuse, lie and stall while an update fetches its images: the old version serves on without a gap,
//! the cause is named, nothing has changed, and when the trouble is over the same command succeeds.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use xr_lab::{Engine, Image, Lab, Proxy, Trouble};

use crate::support::{Setup, Stack, Witness};

/// What an admin with a quick network writes.
const BRISK: &str = "[network]\npatience = \"2s\"\ntries = 2\n";
/// The logins of `me:before` and `me:after`.
const BEFORE: &str = "Basic bWU6YmVmb3Jl";
const AFTER: &str = "Basic bWU6YWZ0ZXI=";
/// Long enough for all tries, the engine's own included, short enough to show that waiting has an end.
const BOUND: Duration = Duration::from_secs(45);

/// A stack whose images come through a proxy; v1.1.0 waits to be fetched.
struct Stage {
    stack: Stack,
    proxy: Proxy,
    prefix: String,
    // Dropped last.
    _fetched: Fetched,
}

impl Stage {
    fn set(prefix: &str) -> Result<Self> {
        let lab = Lab::attach_or_up()?;
        for version in ["v1.0.0", "v1.1.0"] {
            lab.publish_as(version, prefix)?;
        }
        let proxy = Proxy::before(lab.registry().port())?;
        let images = format!("{}/{prefix}", proxy.host());
        let stack = Stack::installed(&Setup { env: &[("IMAGE_PREFIX", &images)], ..Setup::default() })?;
        std::fs::write(stack.root.join(".xr/site.toml"), BRISK)?;
        stack.remote.release("v1.1.0")?;
        let fetched = Fetched { engine: stack.lab.engine().clone(), prefix: prefix.to_owned() };
        Ok(Self { stack, proxy, prefix: prefix.to_owned(), _fetched: fetched })
    }

    /// Publishes the worker's image of v1.1.0 anew, so that all of it has to be fetched: an engine keeps what it has seen. It
    /// is the last of the images; its layers, the last one last.
    fn publish(&self) -> Result<Vec<String>> {
        let (base, name) = (Image::Worker.name("acme", "v1.1.0"), Image::Worker.name(&self.prefix, "v1.1.0"));
        self.stack.lab.registry().push_heavy(self.stack.lab.engine(), &base, &name, &[300, 300, 300])
    }

    /// The worker's image as the compose file spells it.
    fn worker(&self) -> String {
        format!("{}/{}", self.proxy.host(), Image::Worker.name(&self.prefix, "v1.1.0"))
    }

    /// The path of the worker's manifests.
    fn manifests(&self) -> String {
        format!("{}/orbit-worker/manifests/", self.prefix)
    }

    /// The path of the one that its tag means; asked for once when the image is looked up, and again when it is fetched.
    fn known_manifest(&self) -> String {
        format!("{}sha256:", self.manifests())
    }

    /// What `docker login` writes.
    fn log_in(&self, login: &str) -> Result<()> {
        let login = login.trim_start_matches("Basic ");
        let config = format!(r#"{{"auths": {{"{}": {{"auth": "{login}"}}}}}}"#, self.proxy.host());
        std::fs::write(self.stack.scratch("home/.docker")?.join("config.json"), config)?;
        Ok(())
    }

    /// An update fails with this code and these words; nobody else notices.
    #[track_caller]
    fn fails(&self, code: i32, words: &[&str]) -> Result<()> {
        let (before, left) = (self.stack.snapshot()?, self.leftovers()?);
        let (begun, witness) = (Instant::now(), Witness::of(self.stack.port));
        let done = self.stack.xr(&["update", "--yes"])?;
        assert_eq!(witness.end()?, ["v1.0.0"], "{done}");
        ensure!(begun.elapsed() < BOUND, "{:?} for {done}", begun.elapsed());
        let mut done = done.exits(code).says(&self.worker()).says(&self.proxy.host()).says("hint: ");
        for word in words {
            done = done.says(word);
        }
        assert_eq!(before, self.stack.snapshot()?, "{done}");
        assert_eq!(left, self.leftovers()?, "{done}");
        ensure!(!self.stack.has_image(&self.worker()), "{done}");
        Ok(())
    }

    /// What runs leave behind in `.xr` beside their records.
    fn leftovers(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for folder in ["generations", "."] {
            for entry in std::fs::read_dir(self.stack.root.join(".xr").join(folder))? {
                names.push(format!("{folder}/{}", entry?.file_name().display()));
            }
        }
        names.sort();
        Ok(names)
    }
}

/// The images of this test on the engine, gone with it and after its containers.
struct Fetched {
    engine: Engine,
    /// What their names contain.
    prefix: String,
}

impl Drop for Fetched {
    fn drop(&mut self) {
        let (filter, part) = (format!("reference=*/{}/*", self.prefix), format!("/{}/", self.prefix));
        let listed = self.engine.docker(&["images", "--quiet", "--filter", &filter]).unwrap_or_default();
        let names = listed.lines().filter_map(|id| {
            let format = "--format={{range .RepoTags}}{{println .}}{{end}}{{range .RepoDigests}}{{println .}}{{end}}";
            self.engine.docker(&["image", "inspect", format, id]).ok()
        });
        let names: BTreeSet<String> =
            names.flat_map(|names| names.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
        for name in names.iter().filter(|name| name.contains(&part)) {
            // One that has other names too loses this one.
            let _ = self.engine.docker(&["rmi", name]);
        }
    }
}

#[test]
fn a_registry_that_dies_at_any_point_of_an_update_changes_nothing() -> Result<()> {
    let stage = Stage::set("registry-dies")?;
    let last = stage.publish()?.pop().context("no layers")?;
    stage.proxy.trouble_after(&stage.manifests(), 0, Trouble::Die(0));
    stage.fails(75, &["v1.1.0 cannot be had", "cannot be reached"])?;
    // From here on the images are known to exist, and the registry dies while they are fetched.
    stage.proxy.trouble_after(&stage.known_manifest(), 1, Trouble::Die(0));
    stage.fails(75, &["v1.0.0 serves", "cannot be reached"])?;
    stage.proxy.trouble_after("/blobs/", 0, Trouble::Die(100_000));
    stage.fails(75, &["v1.0.0 serves", "cannot be reached"])?;
    stage.proxy.trouble_after(&last, 0, Trouble::Die(100_000));
    stage.fails(75, &["v1.0.0 serves", "cannot be reached"])?;

    // It is back, and slow: the last layer alone takes longer than the patience, which is for silence.
    stage.proxy.trouble_after(&last, 0, Trouble::Slow(Duration::from_millis(80)));
    let begun = Instant::now();
    stage.stack.xr(&["update", "--yes"])?.exits(0);
    ensure!(begun.elapsed() > Duration::from_secs(3), "{:?}", begun.elapsed());
    stage.stack.assert_all_of_it_is("v1.1.0")?;
    ensure!(stage.stack.has_image(&stage.worker()));
    Ok(())
}

#[test]
fn a_tag_keeps_its_meaning_when_the_run_that_was_to_move_it_fails() -> Result<()> {
    let stage = Stage::set("registry-tags")?;
    // Two images change under tags that run here; the server's comes, the worker's does not.
    let publish = |image: Image| {
        let (base, name) = (image.name("acme", "v1.0.0"), image.name(&stage.prefix, "v1.0.0"));
        stage.stack.lab.registry().push_heavy(stage.stack.lab.engine(), &base, &name, &[300])
    };
    let (server, worker) = (publish(Image::Server)?, publish(Image::Worker)?);
    stage.proxy.trouble_after(&worker[0], 0, Trouble::Stall(100_000));
    let before = stage.stack.snapshot()?;
    let again = ["update", "--yes", "--to", "v1.0.0", "--refresh", "--accept-repushed"];
    stage.stack.xr(&again)?.exits(75).says("v1.0.0 serves");
    ensure!(stage.proxy.asked(&server[0]) > 0, "{:#?}", stage.proxy.log());
    assert_eq!(before, stage.stack.snapshot()?);
    stage.stack.assert_compose_agrees()?;

    stage.proxy.behave();
    stage.stack.xr(&again)?.exits(0);
    assert_ne!(before.containers, stage.stack.snapshot()?.containers);
    stage.stack.assert_compose_agrees()
}

#[test]
fn a_registry_that_refuses_is_waited_for_when_that_may_help_and_told_when_not() -> Result<()> {
    let stage = Stage::set("registry-refuses")?;
    stage.publish()?;
    let limit = |seconds| Trouble::Limit(Duration::from_secs(seconds));
    stage.proxy.trouble_after(&stage.manifests(), 0, limit(3600));
    stage.fails(75, &["v1.1.0 cannot be had", "limits the rate of downloads"])?;
    stage.proxy.trouble_after(&stage.known_manifest(), 1, limit(3600));
    stage.fails(75, &["v1.0.0 serves", "limits the rate of downloads"])?;

    // The login is good when the images are looked up, and no longer when they are fetched.
    stage.log_in(BEFORE)?;
    stage.proxy.trouble_after(&stage.known_manifest(), 1, Trouble::Demand(AFTER));
    stage.proxy.also("/v2/", Trouble::Demand(BEFORE));
    stage.fails(1, &["v1.0.0 serves", " refuses image ", &format!("docker login {}", stage.proxy.host())])?;
    stage.proxy.trouble_after("/v2/", 0, Trouble::Demand(AFTER));
    stage.fails(1, &["v1.1.0 cannot be had", " refuses image ", &format!("docker login {}", stage.proxy.host())])?;

    // A new login, and a registry that wants a second's pause, first when it is asked and then when it is to deliver.
    stage.log_in(AFTER)?;
    stage.proxy.trouble_after(&stage.manifests(), 0, limit(1));
    stage.proxy.also("/v2/", Trouble::Demand(AFTER));
    stage.stack.xr(&["update", "--check"])?.exits(10);
    ensure!(stage.proxy.asked(&stage.manifests()) > 2, "{:#?}", stage.proxy.log());
    stage.proxy.trouble_after(&stage.known_manifest(), 1, limit(1));
    stage.proxy.also("/v2/", Trouble::Demand(AFTER));
    stage.stack.xr(&["update", "--yes"])?.exits(0);
    ensure!(stage.proxy.asked(&stage.known_manifest()) > 2, "{:#?}", stage.proxy.log());
    stage.stack.assert_all_of_it_is("v1.1.0")
}

#[test]
fn a_registry_that_lies_or_stalls_is_left_for_a_mirror_or_told() -> Result<()> {
    let stage = Stage::set("registry-lies")?;
    let last = stage.publish()?.pop().context("no layers")?;
    stage.proxy.trouble_after(&stage.known_manifest(), 0, Trouble::Garble);
    stage.fails(1, &["v1.0.0 serves", "served other content than promised"])?;
    for (trouble, code, word) in [
        (Trouble::Garble, 1, "served other content than promised"),
        (Trouble::Shorten(100_000), 1, "served other content than promised"),
        (Trouble::Cut(100_000), 75, "cannot be reached"),
        (Trouble::Stall(100_000), 75, "no progress for 2 s: layer "),
        (Trouble::Hang, 75, "no progress for 2 s"),
    ] {
        stage.proxy.trouble_after(&last, 0, trouble);
        stage.fails(code, &["v1.0.0 serves", word])?;
    }
    stage.proxy.trouble_after(&stage.manifests(), 0, Trouble::Hang);
    stage.fails(75, &["v1.1.0 cannot be had", "no answer within 2 s"])?;
    stage.proxy.trouble_after("/manifests/", 0, Trouble::Hang);
    let begun = Instant::now();
    let doctor = stage.stack.xr(&["doctor", "--online"])?;
    ensure!(
        begun.elapsed() < BOUND && doctor.stdout.contains("no answer within 2 s"),
        "{:?}: {doctor}",
        begun.elapsed()
    );

    // It still stalls, and a mirror has it.
    let mirror = format!("mirrors = [\"{}={}\"]\n{BRISK}", stage.proxy.host(), stage.stack.lab.registry().address());
    std::fs::write(stage.stack.root.join(".xr/site.toml"), mirror)?;
    stage.proxy.trouble_after(&last, 0, Trouble::Stall(100_000));
    stage.stack.xr(&["update", "--yes"])?.exits(0);
    stage.stack.assert_all_of_it_is("v1.1.0")?;
    ensure!(stage.proxy.asked(&last) > 0 && stage.stack.has_image(&stage.worker()));
    Ok(())
}
