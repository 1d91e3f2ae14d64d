#![allow(clippy::disallowed_methods, reason = "a test writes its own files")]

use std::collections::BTreeMap;

use tempfile::TempDir;
use xr_host::Cmd;
use xr_model::Mode;
use xr_stack::Manifest;

use super::*;
use crate::settings::{EnvReport, Inputs, next};

/// A publisher's clone that is the admin's too.
struct Tree {
    dir: TempDir,
    checkout: Checkout,
}

impl Tree {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let git = |args: &[&str]| Cmd::new("git").args(args).cwd(dir.path()).run().unwrap();
        git(&["init", "-q", "-b", "main"]);
        let checkout = Checkout::open(dir.path()).unwrap().unwrap();
        Self { dir, checkout }
    }

    fn write(&self, files: &[(&str, &str)]) {
        for (name, text) in files {
            std::fs::write(self.dir.path().join(name), text).unwrap();
        }
    }

    /// Commits these files and none else.
    fn release(&self, files: &[(&str, &str)]) -> String {
        let git = |args: &[&str]| {
            let output = Cmd::new("git")
                .args(["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"])
                .args(args)
                .cwd(self.dir.path())
                .run()
                .unwrap();
            assert_eq!(output.code, 0, "{}", output.error_text());
            output.text()
        };
        git(&["rm", "-rfq", "--ignore-unmatch", "."]);
        self.write(files);
        git(&["add", "-A"]);
        git(&["commit", "-q", "-m", "release"]);
        git(&["rev-parse", "HEAD"])
    }

    fn layout(&self) -> Layout {
        let root = self.dir.path().to_owned();
        let template = root.join(".env.example").exists().then(|| ".env.example".to_owned());
        let files = vec!["compose.yaml".to_owned()];
        Layout {
            root,
            directory: String::new(),
            files,
            dev_files: vec![],
            env: ".env".into(),
            env_name: ".env".into(),
            template,
            version: "VERSION".into(),
        }
    }

    /// What `.env` becomes when the release `to` is applied for the first time by xr; the tree stands at its HEAD.
    fn adopt(&self, to: &str, mine: &str) -> (String, EnvReport) {
        let layout = self.layout();
        let present = Present { layout: &layout, checkout: Some(&self.checkout), generation: None, kept: None };
        let templates = Templates::read(&present, &layout, Some(to)).unwrap();
        let inputs = Inputs {
            compose: "image: acme/orbit:${IMAGE_TAG}",
            env_name: ".env",
            current: Some(&EnvFile::parse(mine.as_bytes()).unwrap()),
            old_template: templates.old.as_ref(),
            new_template: templates.new.as_ref(),
            manifest: &Manifest::default(),
            version: &"v1.1.0".parse().unwrap(),
            tag: &"v1.1.0".parse().unwrap(),
            mode: Mode::Production,
            old_mode: Mode::Production,
            serves: None,
            keep_tag: false,
            replace_placeholders: false,
            add_missing: !templates.absence_is_meant,
            set: &BTreeMap::new(),
        };
        let (env, report) = next(&inputs).unwrap();
        (String::from_utf8(env.to_bytes()).unwrap(), report)
    }
}

#[test]
fn a_tracked_env_is_merged_like_a_template_and_the_admins_values_win() {
    let tree = Tree::new();
    let new = tree.release(&[
        (".env", "APP_IMAGE_TAG=v1.1.0\nMAXMEM=2\nKEEP=1\nGONE=1\nNEWK=1\n"),
        (".env.example", "OTHER=1\n"),
    ]);
    tree.release(&[(".env", "APP_IMAGE_TAG=v1.0.0\nMAXMEM=1\nKEEP=1\nGONE=1\n"), (".env.example", "OTHER=1\n")]);
    let (text, report) = tree.adopt(&new, "APP_IMAGE_TAG=v1.0.0\nMAXMEM=1\nKEEP=7\nIMAGE_TAG=v1.0.0\n");
    assert_eq!(text, "APP_IMAGE_TAG=v1.1.0\nMAXMEM=2\nKEEP=7\nNEWK=1\nIMAGE_TAG=v1.1.0\n");
    assert_eq!(
        (report.added, report.defaults_changed),
        (vec!["NEWK".into()], vec!["APP_IMAGE_TAG".into(), "MAXMEM".into()])
    );
}

#[test]
fn a_release_that_begins_or_ends_to_track_its_env_is_merged_with_what_it_said_before() {
    let tree = Tree::new();
    let tracked = tree.release(&[(".env", "A=2\nB=2\n")]);
    let template = tree.release(&[(".env.example", "A=1\nB=1\n")]);
    assert_eq!(tree.adopt(&tracked, "A=1\nB=7\n").0, "A=2\nB=7\nIMAGE_TAG=v1.1.0\n");
    tree.release(&[(".env", "A=2\nB=2\n")]);
    tree.write(&[(".env.example", "A=1\nB=1\n")]);
    assert_eq!(tree.adopt(&template, "A=2\nB=7\n").0, "A=1\nB=7\nIMAGE_TAG=v1.1.0\n");
}

#[test]
fn a_first_install_adds_what_an_env_lacks_that_came_from_no_template() {
    let tree = Tree::new();
    let commit = tree.release(&[(".env.example", "A=1\nNEW=2\nPASSWORD=\nAPP_SECRET=change-me\n")]);
    let (text, report) = tree.adopt(&commit, "A=7\n");
    assert!(text.starts_with("A=7\nNEW=2\nPASSWORD=\nAPP_SECRET="), "{text}");
    assert_eq!(report.added, ["NEW", "PASSWORD", "APP_SECRET"]);
    assert_eq!(report.generated, ["APP_SECRET"]);
    assert_eq!(report.empty, ["PASSWORD"]);
}

#[test]
fn a_tracked_env_that_is_no_env_file_is_the_publishers_fault() {
    let tree = Tree::new();
    let commit = tree.release(&[(".env", "A='1\n")]);
    let fault = tracked(&tree.checkout, &commit, ".env").unwrap_err();
    assert!(fault.message.starts_with(".env as released:1:"), "{}", fault.message);
    assert!(fault.hint.unwrap().contains(&format!("show {commit}:.env")));
    assert!(tracked(&tree.checkout, &commit, "other").unwrap().is_none());
}
