//! The generation store: numbered folders, and a pointer to the one that serves.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use xr_model::{Fault, GENERATION_FORMAT, Generation, Invocation, Result, shell, stays_inside};

use crate::{Home, Ownership, create_private_dir, refusal::refused, write_atomic};

/// What a record of any format begins to tell.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

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
    /// When the pointer or the record cannot be read, or it points at no generation.
    pub fn current(&self) -> Result<Option<Generation>> {
        let path = self.pointer();
        let text = match fs::read(&path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(refused("read", &path, error)),
        };
        let number = text.trim_matches(|c: char| c.is_whitespace() || c == '\0').parse().map_err(|_| {
            let text: String = text.trim().chars().take(20).flat_map(char::escape_default).collect();
            self.pointless(format!("{}:1: `{text}` is not a generation's number", path.display()))
        })?;
        if !self.record_of(number).exists() {
            return Err(
                self.pointless(format!("{}:1: there is no generation {number}: it has no record here", path.display()))
            );
        }
        self.read(number).map(Some)
    }

    /// A pointer that leads nowhere: which generation serves cannot be told from the records, so nobody chooses one.
    fn pointless(&self, message: String) -> Fault {
        let mut kept = Vec::new();
        for number in self.numbers().unwrap_or_default() {
            if let Ok(generation) = self.read(number) {
                kept.push(format!("{number} ({})", generation.version));
            }
        }
        let path = shell(&self.pointer());
        let hint = if kept.is_empty() {
            format!("rm {path} && xr install   (records anew what the tree and .env say)")
        } else {
            format!("docker ps shows what runs; echo NUMBER > {path}, of {}", kept.join(", "))
        };
        Fault::new(message).hint(hint)
    }

    fn record_of(&self, number: u32) -> PathBuf {
        self.dir(number).join("generation.json")
    }

    /// A recorded generation.
    ///
    /// # Errors
    /// When there is none of that number, or it was written by a newer xr.
    pub fn read(&self, number: u32) -> Result<Generation> {
        let path = self.record_of(number);
        let bytes = fs::read(&path).map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                return Fault::new(format!("there is no generation {number} ({})", path.display())).hint("xr history");
            }
            let fault = refused("read", &path, error);
            Fault { hint: fault.hint.or(Some(self.aside(number))), ..fault }
        })?;
        // The format first: a newer one may have another shape.
        if let Ok(Format { format }) = serde_json::from_slice(&bytes)
            && format > GENERATION_FORMAT
        {
            return Err(Fault::new(format!(
                "{} was written by a newer xr: it has format {format}, this one knows {GENERATION_FORMAT}",
                path.display()
            ))
            .hint("xr --version; use the newer one"));
        }
        let generation: Generation =
            serde_json::from_slice(&bytes).map_err(|error| self.damaged(number, &path, &error))?;
        if let Some(wrong) = not_ours(&generation, number) {
            return Err(Fault::new(format!("{}: {wrong}: not what xr wrote", path.display())).hint(format!(
                "restore {} from a backup, or set it aside; xr history lists the others",
                xr_model::shell(&path)
            )));
        }
        Ok(generation)
    }

    fn damaged(&self, number: u32, path: &Path, error: &serde_json::Error) -> Fault {
        let (line, column) = (error.line().max(1), error.column().max(1));
        let cause = error.to_string();
        let cause = cause.split(" at line ").next().unwrap_or_default();
        Fault::new(format!("{}:{line}:{column}: not a generation record: {cause}", path.display()))
            .hint(self.aside(number))
    }

    /// The generation that serves is recorded anew from what the tree and `.env` say; an older one is only to go back to.
    fn aside(&self, number: u32) -> String {
        let dir = shell(&self.dir(number));
        let serves = fs::read_to_string(self.pointer()).is_ok_and(|text| text.trim() == number.to_string());
        let aside = format!("restore it from a backup, or set it aside: mv {dir} {dir}.damaged");
        if serves {
            let pointer = shell(&self.pointer());
            format!("{aside} && rm {pointer} && xr install   (records anew what the tree and .env say)")
        } else {
            format!("{aside}   (it cannot be gone back to then)")
        }
    }

    /// All recorded generations, oldest first. Folders without a record (staged, never applied) are left out.
    ///
    /// # Errors
    /// As [`Generations::read`].
    pub fn all(&self) -> Result<Vec<Generation>> {
        let mut numbers = self.numbers()?;
        numbers.retain(|n| self.record_of(*n).exists());
        numbers.into_iter().map(|n| self.read(n)).collect()
    }

    fn numbers(&self) -> Result<Vec<u32>> {
        let mut numbers: Vec<u32> = self.names()?.iter().filter_map(|name| name.parse().ok()).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn names(&self) -> Result<Vec<String>> {
        let folder = self.home.generations();
        let unreadable = |error| refused("read", &folder, error);
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(unreadable)?,
        };
        let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
        entries.map(name).collect::<io::Result<_>>().map_err(unreadable)
    }

    /// Makes an empty folder for the next generation; what an earlier run staged and never recorded goes.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn stage(&self) -> Result<u32> {
        self.discard_unrecorded()?;
        // One that was set aside (`3.damaged`) had its number too.
        let number = |name: &String| name.split('.').next().and_then(|number| number.parse::<u32>().ok());
        let next = self.names()?.iter().filter_map(number).max().unwrap_or(0) + 1;
        create_private_dir(&self.files(next))?;
        Ok(next)
    }

    /// Removes whatever was staged and not recorded.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn discard_unrecorded(&self) -> Result<()> {
        self.numbers()?.into_iter().try_for_each(|number| self.discard(number))
    }

    /// Removes what was staged for a generation, unless it was recorded. The one that is said to serve has lost its
    /// record, and its files may be all that is left of it: they stay.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn discard(&self, number: u32) -> Result<()> {
        if self.record_of(number).exists() || self.may_serve(number) { Ok(()) } else { self.remove(number) }
    }

    /// Whether the pointer names this generation, or cannot tell.
    fn may_serve(&self, number: u32) -> bool {
        match fs::read_to_string(self.pointer()) {
            Ok(text) => text.trim().parse().map_or(true, |serves: u32| serves == number),
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    /// Writes a generation's record. It becomes part of the history only by this.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn record(&self, generation: &Generation) -> Result<()> {
        let json = serde_json::to_vec_pretty(generation).map_err(Fault::at("cannot write a generation record"))?;
        create_private_dir(&self.dir(generation.number))?;
        write_atomic(&self.record_of(generation.number), &json, 0o600, Ownership::Keep)
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
    use std::io::Write;

    use super::*;

    fn store() -> (tempfile::TempDir, Generations) {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::of(dir.path());
        home.create().unwrap();
        let generations = Generations::of(&home);
        for number in [1, 2] {
            assert_eq!(generations.stage().unwrap(), number);
            put(&generations.record_of(number), &record(number));
            generations.point_at(number).unwrap();
        }
        (dir, generations)
    }

    fn record(number: u32) -> String {
        format!(
            r#"{{"format":1,"number":{number},"parent":null,"made_by":"install","version":"v1.{number}.0",
            "version_id":"","commit":null,"branch":null,"applied_at":"","mode":"production",
            "invocation":{{"files":[],"directory":"","profiles":[],"left_out":[],"project":"p"}},
            "services":[],"ended":[],"images":[],"changes":[]}}"#
        )
    }

    fn put(path: &Path, text: &str) {
        fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn a_pointer_that_leads_nowhere_is_named_with_what_there_is_to_choose_from() {
        let (_dir, generations) = store();
        assert_eq!(generations.current().unwrap().unwrap().number, 2);
        for (text, says) in [("9\n", "there is no generation 9"), ("", "`` is not"), ("\0\0\0", "is not a generation")]
        {
            put(&generations.pointer(), text);
            let fault = generations.current().unwrap_err();
            assert!(fault.message.contains("/.xr/current:1: ") && fault.message.contains(says), "{}", fault.message);
            assert!(fault.hint.unwrap().contains("1 (v1.1.0), 2 (v1.2.0)"));
        }
        fs::remove_file(generations.pointer()).unwrap();
        assert!(generations.current().unwrap().is_none());
    }

    #[test]
    fn a_damaged_record_is_named_and_only_the_one_that_serves_is_recorded_anew() {
        let (_dir, generations) = store();
        for (number, text, says, hint) in [
            (2, "", "2/generation.json:1:", "&& xr install"),
            (2, &record(2)[..70], "2/generation.json:1:70:", "&& xr install"),
            (1, "{", "1/generation.json:1:", "cannot be gone back to"),
            (2, r#"{"format":7,"number":"seven"}"#, "written by a newer xr: it has format 7", "xr --version"),
        ] {
            put(&generations.record_of(number), text);
            let fault = generations.read(number).unwrap_err();
            assert!(fault.message.contains(says), "{}", fault.message);
            assert!(fault.hint.unwrap().contains(hint), "{text}");
            assert!(generations.all().is_err());
            put(&generations.record_of(number), &record(number));
        }
    }

    #[test]
    fn what_was_never_recorded_goes_but_not_what_is_said_to_serve() {
        let (_dir, generations) = store();
        assert_eq!(generations.stage().unwrap(), 3);
        fs::remove_file(generations.record_of(2)).unwrap();
        generations.discard_unrecorded().unwrap();
        assert!(generations.dir(2).exists() && !generations.dir(3).exists());
        put(&generations.pointer(), "x");
        generations.discard_unrecorded().unwrap();
        assert!(generations.dir(2).exists());
    }

    #[test]
    fn a_number_is_given_once_also_when_a_generation_was_set_aside() {
        let (_dir, generations) = store();
        fs::rename(generations.dir(2), generations.dir(2).with_extension("damaged")).unwrap();
        fs::remove_file(generations.pointer()).unwrap();
        assert_eq!(generations.stage().unwrap(), 3);
    }

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
