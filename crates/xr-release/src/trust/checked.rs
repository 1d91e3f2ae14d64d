//! What was found out about a release's signatures, and what follows from it later in the run.

use std::{collections::BTreeMap, fs, path::Path};

use xr_model::{Covers, Fault, Generation, Level, Mode, PinnedImage, Result, Verified};
use xr_session::Session;
use xr_trust::SignedList;

use super::{Origin, Policy, to_vouch_for};
use crate::release_keys::regular;
use crate::staging::Staged;

/// What was found out about a release's signatures.
pub struct Checked {
    /// What is demanded.
    pub policy: Policy,
    verified: Vec<Verified>,
    /// A signed list, and whether it has to speak for the files too.
    list: Option<(SignedList, Verified, bool)>,
}

impl Checked {
    /// Nothing yet.
    pub fn nothing(policy: Policy) -> Self {
        Self { policy, verified: Vec::new(), list: None }
    }

    /// The signatures that were checked.
    pub fn verified(&self) -> Vec<Verified> {
        self.verified.clone()
    }

    /// Takes over what was found out about the tree of the generation that serves.
    pub fn carry_over(&mut self, serves: &Generation) {
        self.verified.extend(serves.verified.iter().filter(|known| known.covers == Covers::Tree).cloned());
    }

    /// Takes a verdict on the tree.
    ///
    /// # Errors
    /// A refusal, where signatures are required.
    pub fn take(&mut self, session: &Session<'_>, verdict: Result<Verified>) -> Result<()> {
        match verdict {
            Ok(verified) => {
                self.tell_new(session, &verified);
                self.verified.push(verified);
                Ok(())
            }
            Err(fault) => self.refuse(session, fault),
        }
    }

    /// Takes a signed list; of a bundle it has to speak for the files too.
    ///
    /// # Errors
    /// As [`Checked::take`].
    pub fn take_list(
        &mut self,
        session: &Session<'_>,
        list: Result<(SignedList, Verified)>,
        is_bundle: bool,
    ) -> Result<()> {
        match list {
            Ok((list, verified)) => {
                self.tell_new(session, &verified);
                self.list = Some((list, verified, is_bundle));
                Ok(())
            }
            Err(fault) => self.refuse(session, fault),
        }
    }

    /// Looks at what was staged: of a bundle the list must speak for every file.
    ///
    /// # Errors
    /// As [`Checked::take`].
    pub fn staged(&mut self, session: &Session<'_>, staged: &Staged) -> Result<()> {
        let root = xr_session::root_of(session, staged.number);
        let layout = &staged.stack.layout;
        for file in layout.files.iter().cloned().chain(layout.further_files(&root)) {
            let text = fs::read_to_string(root.join(&file)).unwrap_or_default();
            if let Some((line, what)) = xr_stack::scan::fetched(&text) {
                let text =
                    format!("{file}:{line}: compose fetches {what} each time anew, and no signature speaks for it");
                let hint = "the publisher puts a copy into the release and includes that";
                self.refuse(session, Fault::new(text).hint(hint))?;
            }
        }
        let Some((list, verified, true)) = &self.list else { return Ok(()) };
        let check = || {
            to_vouch_for(session, staged, &verified.subject)?
                .iter()
                .try_for_each(|name| list.check_file(name, regular(&root.join(name))?.as_deref()))
        };
        let tree = Verified { covers: Covers::Tree, ..verified.clone() };
        match check() {
            Ok(()) => {
                self.verified.retain(|known| known.covers != Covers::Tree); // staged twice
                self.verified.push(tree);
                Ok(())
            }
            Err(fault) => self.refuse(session, fault),
        }
    }

    /// Looks at the images as they were pinned.
    ///
    /// # Errors
    /// As [`Checked::take`].
    pub fn images(&mut self, session: &Session<'_>, images: &[PinnedImage], mode: Mode) -> Result<()> {
        let Some((list, verified, _)) = self.list.as_ref().filter(|_| mode == Mode::Production) else { return Ok(()) };
        let verified = verified.clone();
        match list.check_images(images) {
            Ok(()) => {
                self.verified.push(verified);
                Ok(())
            }
            Err(fault) => self.refuse(session, fault),
        }
    }

    /// Which keys the release takes in and gives up, for the list of what changes.
    pub fn rotation(&self, session: &Session<'_>, staged: &Staged) -> Option<String> {
        if !self.policy.published.keys.is_empty() && staged.stack.manifest.trust.keys.is_empty() {
            let text = "xr.toml as released names no keys any more: what comes after it cannot be verified";
            session.say(Level::Warning, text);
        }
        let Origin::Generation(number) = self.policy.origin else { return None };
        let (old, new) = (xr_session::root_of(session, number), xr_session::root_of(session, staged.number));
        let content = |root: &Path, names: &[String]| -> BTreeMap<String, Vec<u8>> {
            names.iter().map(|name| (name.clone(), fs::read(root.join(name)).unwrap_or_default())).collect()
        };
        let before = content(&old, &self.policy.published.keys);
        let after = content(&new, &staged.stack.manifest.trust.keys);
        let differ = |(name, bytes): (&String, &Vec<u8>)| match before.get(name) {
            None => Some(format!("new {name}")),
            Some(known) => (known != bytes).then(|| format!("changed {name}")),
        };
        let gone = before.keys().filter(|name| !after.contains_key(*name)).map(|name| format!("no longer {name}"));
        let differences: Vec<String> = after.iter().filter_map(differ).chain(gone).collect();
        (!differences.is_empty()).then(|| format!("trusted keys: {}", differences.join(", ")))
    }

    /// A release that is not signed as it should be is refused, or the admin is told.
    pub fn refuse(&self, session: &Session<'_>, fault: Fault) -> Result<()> {
        if self.policy.required {
            return Err(fault);
        }
        let hint = "to refuse such a release: [trust] required = true in .xr/site.toml";
        session.say(Level::Warning, format!("not verified: {} ({hint})", fault.chain()));
        Ok(())
    }

    /// At a first install nobody but the release has said which key is the publisher's.
    fn tell_new(&self, session: &Session<'_>, verified: &Verified) {
        if self.policy.origin == Origin::Release {
            let text =
                format!("{} is signed by {}, a key that the release itself brings", verified.subject, verified.key);
            let hint =
                "compare it with what the publisher says elsewhere; --trust-key FILE checks by a key that you have";
            session.say(Level::Warning, format!("{text}: {hint}"));
        }
    }
}
