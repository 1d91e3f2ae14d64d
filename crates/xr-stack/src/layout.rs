//! Where a stack's files stand. Every default fits what products do; `xr.toml` can say otherwise.

use std::path::{Component, Path, PathBuf};

use xr_model::{Fault, Result, is_file_name, stays_inside};

use crate::manifest::Manifest;

/// File names that compose itself looks for, in its order.
const COMPOSE_NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];
const OVERRIDE_NAMES: [&str; 4] =
    ["compose.override.yaml", "compose.override.yml", "docker-compose.override.yaml", "docker-compose.override.yml"];
const DEV_NAMES: [&str; 4] =
    ["compose.dev.yaml", "compose.dev.yml", "docker-compose.dev.yaml", "docker-compose.dev.yml"];
/// Folders that hold the compose file, in the order they are tried.
const FOLDERS: [&str; 6] = ["docker", "", "deploy", "deployment", "compose", "docker-compose"];
const TEMPLATE_NAMES: [&str; 8] = [
    ".env.example",
    ".env.sample",
    ".env.template",
    ".env.dist",
    "env.example",
    "example.env",
    "env.sample",
    "template.env",
];

/// Where a stack's files stand; all paths from the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The root.
    pub root: PathBuf,
    /// The folder compose runs in; empty for the root.
    pub directory: String,
    /// Production compose files, the admin's override last.
    pub files: Vec<String>,
    /// Compose files of `--dev`, when the product has any.
    pub dev_files: Vec<String>,
    /// The settings file, whether it exists or not.
    pub env: String,
    /// The link that leads to it, or itself.
    pub env_name: String,
    /// Its template, when there is one.
    pub template: Option<String>,
    /// The version file, whether it exists or not.
    pub version: String,
}

/// Walks up from `start` to the nearest folder that is a stack: it has `.xr/`, `xr.toml`, or a compose file beside a VERSION or `.git`.
///
/// # Errors
/// When there is none; the hint names `--stack`.
pub fn find_root(start: &Path) -> Result<PathBuf> {
    let mut dir = start;
    loop {
        let marked = dir.join(".xr").is_dir() || dir.join("xr.toml").is_file();
        let shaped = FOLDERS.iter().any(|folder| compose_file(dir, folder).is_some())
            && (dir.join("VERSION").exists() || dir.join(".git").exists());
        if marked || shaped {
            return Ok(dir.to_owned());
        }
        match dir.parent() {
            Some(parent) => dir = parent,
            None => {
                return Err(Fault::new(format!("there is no stack in {} or above it", start.display()))
                    .hint("xr --stack DIR …   (a folder with a compose file; `xr init` describes one that xr does not recognise)"));
            }
        }
    }
}

fn compose_file(root: &Path, folder: &str) -> Option<String> {
    COMPOSE_NAMES.iter().map(|name| join(folder, name)).find(|path| root.join(path).is_file())
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// A manifest names files of its own stack.
fn refuse_ways_out(root: &Path, manifest: &Manifest) -> Result<()> {
    let compose = &manifest.compose;
    let lists = [("compose.files", &compose.files), ("compose.dev_files", &compose.dev_files)];
    let lists = lists.into_iter().flat_map(|(key, list)| list.iter().flatten().map(move |path| (key, path)));
    let single = [("compose.env", compose.env.as_ref()), ("compose.template", compose.template.as_ref())];
    let single = single.into_iter().filter_map(|(key, path)| Some((key, path?)));
    let keys = manifest.trust.keys.iter().map(|path| ("trust.keys", path));
    let single = single.chain(keys).chain([("trust.list", &manifest.trust.list)]);
    let certificate = manifest.certificate.iter();
    let single = single.chain(certificate.clone().map(|one| ("certificate.directory", &one.directory)));
    let manifest_path = root.join("xr.toml");
    let paths = lists.chain(single).chain([("version.file", &manifest.version.file)]);
    if let Some((key, path)) = paths.into_iter().find(|(_, path)| !stays_inside(path)) {
        return Err(Fault::new(format!("{}: {key}: `{path}` leads out of the stack", manifest_path.display()))
            .hint("paths are written from the stack's root, without `..`"));
    }
    let names =
        certificate.flat_map(|one| [("certificate.certificate", &one.certificate), ("certificate.key", &one.key)]);
    let names = names.chain(manifest.backups.iter().map(|backup| ("backups.name", &backup.name)));
    match names.into_iter().find(|(_, name)| !is_file_name(name)) {
        Some((key, name)) => Err(Fault::new(format!("{}: {key}: `{name}` is no file name", manifest_path.display()))
            .hint("a name without `/`: the folder is named elsewhere, or is xr's own")),
        None => Ok(()),
    }
}

/// Whether `path`, from `root`, is or lies behind a symbolic link that leads out of `root`, or nowhere.
pub fn leads_out(root: &Path, path: &str) -> bool {
    let Ok(root) = root.canonicalize() else { return false };
    let path = root.join(path);
    let link = path.is_symlink();
    let real = if link { path.canonicalize().ok() } else { path.parent().and_then(|p| p.canonicalize().ok()) };
    real.map_or(link, |real| !real.starts_with(&root))
}

/// Where a file is that may be a symbolic link to another one of the stack, which git and xr then know by its own name. A link
/// that leads out is left as it is.
fn followed(root: &Path, path: &str) -> String {
    const LONGEST: usize = 8;
    let mut real = path.to_owned();
    for _ in 0..LONGEST {
        let Ok(target) = std::fs::read_link(root.join(&real)) else { break };
        let folder = Path::new(&real).parent().unwrap_or(Path::new(""));
        match inside(&folder.join(target)) {
            Some(next) => real = next,
            None => return path.to_owned(),
        }
    }
    // A folder above it may be a link too, and `..` then leads elsewhere.
    let folder_of = |path: &str| root.join(path).parent().and_then(|folder| folder.canonicalize().ok());
    let same = match (root.join(path).canonicalize(), root.join(&real).canonicalize()) {
        (Ok(behind), Ok(real)) => behind == real,
        _ => folder_of(path).is_some() && folder_of(&real).is_some(),
    };
    if same && !leads_out(root, &real) { real } else { path.to_owned() }
}

/// A path from the stack's root without `.` and `..`; none when it leads above it.
pub fn inside(path: &Path) -> Option<String> {
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => parts.push(name.to_str()?),
            Component::CurDir => {}
            Component::ParentDir => drop(parts.pop()?),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.join("/"))
}

/// The YAML files that a compose file names, as paths from the stack's root.
fn named(file: &str, text: &str) -> Vec<String> {
    let folder = Path::new(file).parent().unwrap_or(Path::new(""));
    let words = text.split(|c: char| c.is_whitespace() || "\"'[]{},".contains(c));
    let yaml = words.filter(|word| word.ends_with(".yml") || word.ends_with(".yaml"));
    // What stands in a mount or an option is no file of compose's.
    yaml.filter(|word| !word.contains([':', '=', '$'])).filter_map(|word| inside(&folder.join(word))).collect()
}

impl Layout {
    /// What the compose files under `root` say, those for trying out too and those that may be read besides, one after the
    /// other. A missing one says nothing.
    pub fn texts(&self, root: &Path) -> String {
        let files = self.files.iter().chain(&self.dev_files);
        let own: String = files.filter_map(|file| std::fs::read_to_string(root.join(file)).ok()).collect();
        own + &self.further_texts(root)
    }

    /// What other files under `root` say that compose reads. A missing one says nothing.
    pub fn further_texts(&self, root: &Path) -> String {
        let files = self.further_files(root).into_iter();
        files.filter_map(|file| std::fs::read_to_string(root.join(file)).ok()).map(|text| text + "\n").collect()
    }

    /// The other files that compose reads, whether they are under `root` or not: those that `COMPOSE_FILE` of the settings names,
    /// of the template where there are none, and those that one of the files names (`include`, `extends`).
    pub fn further_files(&self, root: &Path) -> Vec<String> {
        const MOST: usize = 100;
        let read = |file: &String| std::fs::read_to_string(root.join(file)).unwrap_or_default();
        let mut next: Vec<String> = self.files.iter().chain(&self.dev_files).cloned().collect();
        let settings = [Some(&self.env), self.template.as_ref()].into_iter().flatten();
        let settings = settings.map(read).find(|text| !text.is_empty()).unwrap_or_default();
        let asked = settings.lines().filter_map(|line| line.strip_prefix("COMPOSE_FILE="));
        let asked = asked.flat_map(|list| list.trim_matches(['"', '\'']).split([':', ';', ',']));
        next.extend(asked.filter_map(|file| inside(&Path::new(&self.directory).join(file))));
        let mut found: Vec<String> = Vec::new();
        while let Some(file) = next.pop().filter(|_| found.len() < MOST) {
            if !file.is_empty() && !found.contains(&file) && !leads_out(root, &file) {
                next.extend(named(&file, &read(&file)));
                found.push(file);
            }
        }
        found.retain(|file| !self.files.contains(file) && !self.dev_files.contains(file));
        found
    }

    /// Finds everything under `root`, the manifest's word first.
    ///
    /// # Errors
    /// When there is no compose file, or one that the manifest names is missing.
    pub fn find(root: &Path, manifest: &Manifest) -> Result<Self> {
        refuse_ways_out(root, manifest)?;
        let files = match &manifest.compose.files {
            Some(files) if !files.is_empty() => {
                if let Some(missing) = files.iter().find(|file| !root.join(file).is_file()) {
                    return Err(Fault::new(format!(
                        "{}: the compose file {missing} does not exist",
                        root.join("xr.toml").display()
                    ))
                    .hint("correct `compose.files` in xr.toml"));
                }
                files.clone()
            }
            _ => {
                let found = FOLDERS.iter().find_map(|folder| compose_file(root, folder)).ok_or_else(|| {
                    Fault::new(format!("there is no compose file in {} or its docker/ folder", root.display()))
                        .hint("name it in xr.toml: [compose] files = [\"path/to/compose.yml\"]")
                })?;
                let folder = found.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
                let theirs =
                    OVERRIDE_NAMES.iter().map(|name| join(&folder, name)).find(|path| root.join(path).is_file());
                std::iter::once(found).chain(theirs).collect()
            }
        };
        let directory = files[0].rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        let dev_files = manifest.compose.dev_files.clone().unwrap_or_else(|| {
            DEV_NAMES
                .iter()
                .map(|name| join(&directory, name))
                .filter(|path| root.join(path).is_file())
                .take(1)
                .collect()
        });
        let template = manifest.compose.template.clone().or_else(|| {
            let folders = [directory.as_str(), ""];
            folders
                .iter()
                .flat_map(|folder| TEMPLATE_NAMES.iter().map(move |name| join(folder, name)))
                .find(|path| root.join(path).is_file())
        });
        let env_name = manifest.compose.env.clone().unwrap_or_else(|| join(&directory, ".env"));
        Ok(Self {
            root: root.to_owned(),
            env: followed(root, &env_name),
            env_name,
            template,
            version: manifest.version.file.clone(),
            directory,
            files,
            dev_files,
        })
    }

    /// The same layout under another root: a generation's staged files.
    #[must_use]
    pub fn under(&self, root: &Path) -> Self {
        Self { root: root.to_owned(), ..self.clone() }
    }

    /// The first of the files that xr writes which a symbolic link leads out of the stack, when the publisher's tree has
    /// one: what was written there would land somewhere else.
    pub fn escaping_link(&self) -> Option<&str> {
        self.managed().into_iter().find(|path| leads_out(&self.root, path))
    }

    /// The same of the files that xr and compose read: what lies behind such a link is the host's own.
    pub fn escaping_link_of_reading(&self) -> Option<&str> {
        let read = self.files.iter().chain(&self.dev_files).chain(&self.template).map(String::as_str);
        read.into_iter().find(|path| self.root.join(path).exists() && leads_out(&self.root, path))
    }

    /// The settings file's path.
    pub fn env_path(&self) -> PathBuf {
        self.root.join(&self.env)
    }

    /// The settings of a copy of the stack under another root, which may be older than the link to them.
    pub fn env_in(&self, root: &Path) -> PathBuf {
        let path = root.join(&self.env);
        if path.exists() { path } else { root.join(&self.env_name) }
    }

    /// The template's path.
    pub fn template_path(&self) -> Option<PathBuf> {
        self.template.as_ref().map(|template| self.root.join(template))
    }

    /// The version file's path.
    pub fn version_path(&self) -> PathBuf {
        self.root.join(&self.version)
    }

    /// The folder compose runs in.
    pub fn directory_path(&self) -> PathBuf {
        self.root.join(&self.directory)
    }

    /// Files that xr writes in the tree; local changes to them are its own.
    pub fn managed(&self) -> [&str; 2] {
        [&self.version, &self.env]
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "writes the files that are read")]
mod tests {
    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::File::create(path).unwrap();
        }
        dir
    }

    #[test]
    fn the_docker_folder_goes_before_the_root_and_the_admins_override_is_kept() {
        let dir = tree(&[
            "docker/docker-compose.yml",
            "docker/docker-compose.override.yml",
            "docker/.env.example",
            "docker-compose.yml",
        ]);
        let layout = Layout::find(dir.path(), &Manifest::default()).unwrap();
        assert_eq!(layout.files, ["docker/docker-compose.yml", "docker/docker-compose.override.yml"]);
        assert_eq!((layout.directory.as_str(), layout.env.as_str()), ("docker", "docker/.env"));
        assert_eq!(layout.template.as_deref(), Some("docker/.env.example"));
    }

    #[test]
    fn files_that_compose_reads_besides_are_those_that_are_named() {
        let dir = tree(&["docker/docker-compose.yml", "docker/compose.other.yml", "docker/prometheus.yml"]);
        let write = |file: &str, text: &str| {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("docker/docker-compose.yml", "include:\n  - ../common/base.yaml\nx: [./prometheus.yml:/etc/p.yml]\n");
        write("docker/.env", "A=1\nCOMPOSE_FILE=docker-compose.yml:apps.yml\n");
        write("docker/apps.yml", "# apps\n");
        write("common/base.yaml", "# base\na: {extends: {file: \"more/it.yml\"}}\nb: /etc/outside.yml --c=d.yml\n");
        write("common/more/it.yml", "# it\ninclude: [../base.yaml, gone.yml]\n");
        let layout = Layout::find(dir.path(), &Manifest::default()).unwrap();
        let mut files = layout.further_files(dir.path());
        files.sort_unstable();
        assert_eq!(files, ["common/base.yaml", "common/more/gone.yml", "common/more/it.yml", "docker/apps.yml"]);
        let texts = layout.further_texts(dir.path());
        let mut comments: Vec<&str> = texts.lines().filter(|line| line.starts_with('#')).collect();
        comments.sort_unstable();
        assert_eq!(comments, ["# apps", "# base", "# it"]);
    }

    #[test]
    fn settings_behind_a_link_are_known_by_their_own_name() {
        let dir = tree(&["docker/docker-compose.yml", "product.conf"]);
        let env_of = |target: &str| {
            let link = dir.path().join("docker/.env");
            let _ = std::fs::remove_file(&link);
            std::os::unix::fs::symlink(target, link).unwrap();
            Layout::find(dir.path(), &Manifest::default()).unwrap().env
        };
        assert_eq!(env_of("../product.conf"), "product.conf");
        assert_eq!(env_of("./not-yet.conf"), "docker/not-yet.conf");
        assert_eq!(env_of("../../outside.conf"), "docker/.env");
        assert_eq!(env_of("/etc/product.conf"), "docker/.env");
        assert_eq!(env_of(".env"), "docker/.env");
    }

    #[test]
    fn nothing_leads_out_of_the_stack() {
        let dir = tree(&["stack/docker/docker-compose.yml"]);
        let root = dir.path().join("stack");
        let refused = |toml: &str| Layout::find(&root, &toml::from_str(toml).unwrap()).unwrap_err().message;
        assert!(refused("[version]\nfile = \"../VERSION\"\n").contains("version.file: `../VERSION` leads out"));
        assert!(refused("[compose]\nenv = \"/etc/passwd\"\n").contains("compose.env"));
        assert!(refused("[trust]\nkeys = [\"../key\"]\n").contains("trust.keys: `../key` leads out"));
        let certificate = |directory: &str, key: &str| {
            format!("[certificate]\ndirectory = {directory:?}\ncertificate = \"c\"\nkey = {key:?}\n")
        };
        assert!(refused(&certificate("../../etc", "k")).contains("certificate.directory"));
        assert!(refused(&certificate("ssl", "../k")).contains("certificate.key: `../k` is no file name"));
        let backup = "[[backups]]\nname = \"../../etc/cron.d/x\"\nimage = \"a\"\ncommand = []\n";
        assert!(refused(backup).contains("backups.name"));
        let layout = Layout::find(&root, &Manifest::default()).unwrap();
        assert_eq!(layout.escaping_link(), None);
        std::os::unix::fs::symlink("docker/version", root.join("VERSION")).unwrap();
        std::fs::File::create(root.join("docker/version")).unwrap();
        assert_eq!(layout.escaping_link(), None);
        std::os::unix::fs::symlink("/etc/nothing", root.join("docker/.env")).unwrap();
        assert_eq!(layout.escaping_link(), Some("docker/.env"));
        std::fs::remove_file(root.join("VERSION")).unwrap();
        std::os::unix::fs::symlink("../outside", root.join("VERSION")).unwrap();
        std::fs::File::create(dir.path().join("outside")).unwrap();
        assert_eq!(layout.escaping_link(), Some("VERSION"));
    }

    #[test]
    fn a_compose_file_at_the_root_is_found() {
        let dir = tree(&["compose.yaml", "env.example"]);
        let layout = Layout::find(dir.path(), &Manifest::default()).unwrap();
        assert_eq!((layout.directory.as_str(), layout.env.as_str()), ("", ".env"));
        assert_eq!(layout.template.as_deref(), Some("env.example"));
    }

    #[test]
    fn the_stack_is_found_from_any_folder_below_it() {
        let dir = tree(&["VERSION", "docker/docker-compose.yml", "server/app/main.py"]);
        assert_eq!(find_root(&dir.path().join("server/app")).unwrap(), dir.path());
        assert!(find_root(Path::new("/proc")).unwrap_err().hint.is_some());
    }
}
