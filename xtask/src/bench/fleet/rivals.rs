//! What else asks many hosts, in a Python environment of its own: Ansible and parallel-ssh.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result};
use duct::cmd;
use xr_lab::Layout;

use super::{CHECK, Masters, Scene, Way};

const PACKAGES: [&str; 2] = ["ansible-core", "parallel-ssh"];
const PSSH_CHECK: &str = include_str!("pssh_check.py");
/// As an admin writes it: a task for each question.
const SHELL_TASKS: &str = "\
- hosts: all
  tasks:
    - shell: !unsafe docker version --format '{{.Server.Version}}'
    - shell: df -P /
    - shell: date +%s
";

/// The installed programs.
pub(super) struct Rivals {
    venv: PathBuf,
}

impl Rivals {
    /// Installs them from PyPI into the lab's folder, once.
    pub fn install(layout: &Layout) -> Result<Self> {
        let venv = layout.join("rivals");
        if !venv.join("installed").exists() {
            eprintln!("bench: install {}", PACKAGES.join(" "));
            cmd!("python3", "-m", "venv", "--clear", &venv).run().context("python3 with its venv module is needed")?;
            let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
            cmd(venv.join("bin/python"), pip.iter().chain(&PACKAGES)).run().context("pip install")?;
            std::fs::write(venv.join("installed"), PACKAGES.join(" "))?;
        }
        Ok(Self { venv })
    }

    /// `ansible-core 2.19.0, parallel-ssh 2.14.0`
    pub fn versions(&self) -> Result<String> {
        let pip = ["-m", "pip", "list", "--format=freeze", "--disable-pip-version-check"];
        let all = cmd(self.venv.join("bin/python"), pip).read()?;
        let ours = |line: &&str| PACKAGES.iter().any(|name| line.starts_with(&format!("{name}==")));
        Ok(all.lines().filter(ours).collect::<Vec<_>>().join(", ").replace("==", " "))
    }

    /// Each with as many at once as there are hosts, and without a live connection.
    pub fn ways<'a>(&'a self, scene: &'a Scene) -> Result<Vec<Way<'a>>> {
        let script = scene.folder("parallel-ssh")?.join("check.py");
        std::fs::write(&script, PSSH_CHECK)?;
        let raw = format!("- hosts: all\n  tasks:\n    - raw: !unsafe {CHECK}\n");
        Ok(vec![
            self.ansible(scene, "raw", "ansible, one raw task", &raw)?,
            self.ansible(scene, "shell", "ansible, three shell tasks", SHELL_TASKS)?,
            self.parallel_ssh(scene, script),
        ])
    }

    fn ansible<'a>(&'a self, scene: &'a Scene, name: &str, title: &str, play: &str) -> Result<Way<'a>> {
        let dir = scene.folder(name)?;
        let sockets = scene.folder(&format!("{name}/sockets"))?;
        let (playbook, inventory) = (dir.join("play.yml"), dir.join("inventory"));
        std::fs::write(&playbook, play)?;
        let settings = dir.join("ansible.cfg");
        let hosts = scene.farm.destinations();
        std::fs::write(&inventory, hosts.join("\n") + "\n")?;
        let text = format!(
            "[defaults]\nhome = {0}\nforks = {1}\ngathering = explicit\n\
             interpreter_python = /usr/bin/python3\n[ssh_connection]\npipelining = True\ncontrol_path_dir = {0}/sockets\n\
             ssh_args = -F {2} -C -o ControlMaster=auto -o ControlPersist=60s\n",
            dir.display(),
            hosts.len(),
            scene.config.display()
        );
        std::fs::write(&settings, text)?;
        let command = move || {
            let mut command = Command::new(self.venv.join("bin/ansible-playbook"));
            command.arg("-i").arg(&inventory).arg(&playbook);
            command.env("ANSIBLE_CONFIG", &settings).env("LC_ALL", "C.UTF-8");
            command
        };
        let masters = Some(Masters::below(&sockets));
        Ok(Way { title: title.to_owned(), command: Box::new(command), masters, cold: true, finding: 0 })
    }

    fn parallel_ssh<'a>(&'a self, scene: &'a Scene, script: PathBuf) -> Way<'a> {
        let farm = &scene.farm;
        let command = move || {
            let mut command = Command::new(self.venv.join("bin/python"));
            command.arg(&script).arg(farm.port().to_string()).arg(farm.key()).arg(CHECK).args(farm.addresses());
            command
        };
        Way { title: "parallel-ssh".to_owned(), command: Box::new(command), masters: None, cold: true, finding: 0 }
    }
}
