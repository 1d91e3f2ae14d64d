//! The generation store: numbered folders, and a pointer to the one that serves.

use std::{
    fs,
    path::{Path, PathBuf},
};

use xr_model::{Fault, GENERATION_FORMAT, Generation, Invocation, Result, stays_inside};

use crate::{Home, Ownership, create_private_dir, write_atomic};

/// The generations of a stack.
#[derive(Clone, Debug)]
pub struct Generations {
    home: Home,
}

impl Generations {
    /// The store of this `.xr/`.
    pub fn of(home: &Home) -> Self {
        Self { home: home.clone() }
    }

    /// A generation's folder.
    pub fn dir(&self, number: u32) -> PathBuf {
        self.home.generations().join(number.to_string())
    }

    /// The files of a generation as they stand in the tree: compose folder, VERSION, manifest, `.env`.
    pub fn files(&self, number: u32) -> PathBuf {
        self.dir(number).join("files")
    }

    fn pointer(&self) -> PathBuf {
        self.home.path().join("current")
    }

    /// The generation that serves; none before the first install.
    ///
    /// # Errors
    /// When the pointer or the record cannot be read.
    pub fn current(&self) -> Result<Option<Generation>> {
        let path = self.pointer();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Fault::new(format!("cannot read {}", path.display())).because(error)),
        };
        let number = text.trim().parse().map_err(|_| {
            Fault::new(format!("{}:1: `{}` is not a generation's number", path.display(), text.trim())).hint(format!(
                "ls {}; echo NUMBER > {}   # the one that serves",
                xr_model::shell(&self.home.generations()),
                xr_model::shell(&path)
            ))
        })?;
        self.read(number).map(Some)
    }

    /// A recorded generation.
    ///
    /// # Errors
    /// When there is none of that number, or it was written by a newer xr.
    pub fn read(&self, number: u32) -> Result<Generation> {
        let path = self.dir(number).join("generation.json");
        let bytes = fs::read(&path).map_err(|error| {
            Fault::new(format!("there is no generation {number} ({})", path.display()))
                .because(error)
                .hint("xr history")
        })?;
        let generation: Generation =
            serde_json::from_slice(&bytes).map_err(|error| self.damaged(number, &path, &error))?;
        if generation.format > GENERATION_FORMAT {
            return Err(Fault::new(format!("{} was written by a newer xr", path.display())).hint("install that xr"));
        }
        if let Some(wrong) = not_ours(&generation, number) {
            return Err(Fault::new(format!("{}: {wrong}: not what xr wrote", path.display())).hint(format!(
                "restore {} from a backup, or set it aside; xr history lists the others",
                xr_model::shell(&path)
            )));
        }
        Ok(generation)
    }

    fn damaged(&self, number: u32, path: &Path, error: &serde_json::Error) -> Fault {
        let dir = self.dir(number);
        let (line, column) = (error.line().max(1), error.column().max(1));
        let cause = error.to_string();
        let cause = cause.split(" at line ").next().unwrap_or_default();
        Fault::new(format!("{}:{line}:{column}: not a generation record: {cause}", path.display())).hint(format!(
            "restore it from a backup, or set it aside: mv {0} {0}.damaged && rm {1} && xr install   (records anew what the tree and .env say)",
            xr_model::shell(&dir),
            xr_model::shell(&self.pointer())
        ))
    }

    /// All recorded generations, oldest first. Folders without a record (staged, never applied) are left out.
    ///
    /// # Errors
    /// As [`Generations::read`].
    pub fn all(&self) -> Result<Vec<Generation>> {
        let mut numbers = self.numbers();
        numbers.retain(|n| self.dir(*n).join("generation.json").exists());
        numbers.into_iter().map(|n| self.read(n)).collect()
    }

    fn numbers(&self) -> Vec<u32> {
        let Ok(entries) = fs::read_dir(self.home.generations()) else { return Vec::new() };
        let mut numbers: Vec<u32> = entries.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok()).collect();
        numbers.sort_unstable();
        numbers
    }

    /// Makes an empty folder for the next generation; what an earlier run staged and never recorded goes.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn stage(&self) -> Result<u32> {
        self.discard_unrecorded()?;
        let next = self.numbers().into_iter().max().unwrap_or(0) + 1;
        create_private_dir(&self.files(next))?;
        Ok(next)
    }

    /// Removes whatever was staged and not recorded.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn discard_unrecorded(&self) -> Result<()> {
        self.numbers().into_iter().try_for_each(|number| self.discard(number))
    }

    /// Removes what was staged for a generation, unless it was recorded.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn discard(&self, number: u32) -> Result<()> {
        if self.dir(number).join("generation.json").exists() { Ok(()) } else { self.remove(number) }
    }

    /// Writes a generation's record. It becomes part of the history only by this.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn record(&self, generation: &Generation) -> Result<()> {
        let json = serde_json::to_vec_pretty(generation).map_err(Fault::at("cannot write a generation record"))?;
        create_private_dir(&self.dir(generation.number))?;
        write_atomic(&self.dir(generation.number).join("generation.json"), &json, 0o600, Ownership::Keep)
    }

    /// Points at the generation that serves.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn point_at(&self, number: u32) -> Result<()> {
        write_atomic(&self.pointer(), format!("{number}\n").as_bytes(), 0o600, Ownership::Keep)
    }

    /// Removes a generation's folder.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(&self, number: u32) -> Result<()> {
        let dir: &Path = &self.dir(number);
        match fs::remove_dir_all(dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Fault::new(format!("cannot remove {}", dir.display())).because(error))
            }
            _ => Ok(()),
        }
    }
}

/// What a record says that xr never writes: its words become paths, unit names and filters.
fn not_ours(generation: &Generation, number: u32) -> Option<String> {
    let Invocation { directory, project, .. } = &generation.invocation;
    let commit = generation.commit.as_deref().unwrap_or_default();
    // See compose's own rule: https://docs.docker.com/compose/how-tos/project-name/
    let named = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    if generation.number != number {
        Some(format!("it says that it is generation {}", generation.number))
    } else if !directory.is_empty() && !stays_inside(directory) {
        Some(format!("the folder `{directory}` leads out of the stack"))
    } else if !project.chars().all(named) || project.starts_with('-') {
        Some(format!("`{project}` is no compose project's name"))
    } else if !commit.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Some(format!("`{commit}` is no commit"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_leads_out_of_the_stack_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::of(dir.path());
        let store = Generations::of(&home);
        let record = |change: &dyn Fn(&mut serde_json::Value)| {
            let mut json = serde_json::json!({
                "format": 1, "number": 3, "parent": null, "made_by": "install", "version": "v1.0.0", "version_id": "",
                "commit": "0123abcd", "branch": null, "applied_at": "", "mode": "production", "services": [],
                "invocation": {"files": [], "directory": "docker", "profiles": [], "left_out": [], "project": "orbit"},
                "images": [], "changes": []
            });
            change(&mut json);
            create_private_dir(&store.dir(3)).unwrap();
            write_atomic(&store.dir(3).join("generation.json"), json.to_string().as_bytes(), 0o600, Ownership::Keep)
                .unwrap();
            store.read(3).err().map(|fault| fault.message).unwrap_or_default()
        };
        assert_eq!(record(&|_| ()), "");
        for (pointer, value, part) in [
            ("/number", serde_json::json!(1), "it says that it is generation 1"),
            ("/invocation/directory", "../../etc/x".into(), "`../../etc/x` leads out of the stack"),
            ("/invocation/project", "../../etc/x".into(), "`../../etc/x` is no compose project's name"),
            ("/invocation/project", "--all".into(), "no compose project's name"),
            ("/commit", "--output=x".into(), "`--output=x` is no commit"),
            ("/version", "v1/../../x".into(), "not a generation record"),
        ] {
            let message = record(&|json| *json.pointer_mut(pointer).unwrap() = value.clone());
            assert!(message.contains(part), "{pointer}: {message}");
        }
    }
}
