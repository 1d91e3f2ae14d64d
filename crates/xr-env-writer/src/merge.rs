//! Three-way merge: the admin's file, the template it came from, and the template of the version to come.
//!
//! The admin's value always wins. The only value that changes by itself is one that still is the old template's default,
//! and no secret.

mod insert;
mod together;

use crate::interpolate::references;
use crate::placeholder::can_be_generated;
use crate::{EditError, EnvFile, Secret, SecretRule, is_placeholder, is_secret_key};
use together::Together;

/// What a merge is to know about secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MergeRules {
    /// Variables known to hold a generated secret. What their template says is never taken for one.
    pub secrets: Vec<SecretRule>,
    /// Variables that are no secret to generate, whatever their name.
    pub not_secrets: Vec<String>,
    /// Generate secrets for variables that the admin's file has with a placeholder. Right at the first install; later a
    /// database may already have been set up with that placeholder as its password.
    pub replace_placeholders: bool,
    /// Add also those keys of the old template that the admin's file lacks. Right for a file that was not made from that
    /// template: nobody can have taken them out. Compose's own (`COMPOSE_…`) stay out: they say which stack is meant,
    /// and without them it ran.
    pub add_missing: bool,
}

/// A default that changed in the template and was taken over, as the admin never touched it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateChange {
    /// The variable.
    pub key: String,
    /// The old default as it was spelled.
    pub old: Secret,
    /// The new default as it is spelled.
    pub new: Secret,
}

/// The merged file and what became of each variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The result.
    pub file: EnvFile,
    /// New in the template, now in the file.
    pub added: Vec<String>,
    /// Holds a secret generated just now.
    pub generated: Vec<String>,
    /// In the file before, and left as it was.
    pub kept: Vec<String>,
    /// Had the old default, has the new one.
    pub template_changed: Vec<TemplateChange>,
    /// In the old template, not in the new one, and still in the admin's file.
    pub obsolete: Vec<String>,
    /// In the new template but not in the admin's file, and it stays out: the admin took it out.
    pub absent: Vec<String>,
    /// A secret that is still a placeholder (or empty, if a rule asks for it) and needs the admin.
    pub placeholders: Vec<String>,
}

/// Brings `current` up to `new_template`. With an empty `current` the result is the template with its secrets filled in.
///
/// Errors only if a line of the template cannot be put into the admin's file, or a secret cannot be written.
pub fn merge(
    current: &EnvFile,
    old_template: Option<&EnvFile>,
    new_template: &EnvFile,
    rules: &MergeRules,
    secrets: &mut dyn FnMut(&SecretRule) -> Secret,
) -> Result<Merged, EditError> {
    let fresh = current.statements.is_empty() && current.text.trim().is_empty();
    let file = if fresh { new_template.clone() } else { current.clone() };
    let merged = Merged {
        file,
        added: Vec::new(),
        generated: Vec::new(),
        kept: Vec::new(),
        template_changed: Vec::new(),
        obsolete: Vec::new(),
        absent: Vec::new(),
        placeholders: Vec::new(),
    };
    let mut merge = Merge { merged, old_template, new_template, rules, secrets, made: Together::default() };
    for key in new_template.keys() {
        if fresh {
            merge.added(key)?;
        } else if current.contains(key) {
            merge.existing(current, key)?;
        } else if merge.stays_out(key) {
            merge.merged.absent.push(key.to_owned());
        } else {
            merge.merged.file = insert::with_key_of_template(&merge.merged.file, new_template, key)?;
            merge.added(key)?;
        }
    }
    let made = std::mem::take(&mut merge.made);
    let mut merged = merge.merged;
    made.into_addresses(&mut merged)?;
    for key in current.keys().into_iter().filter(|key| !new_template.contains(key)) {
        let obsolete = old_template.is_some_and(|old| old.contains(key));
        if obsolete { &mut merged.obsolete } else { &mut merged.kept }.push(key.to_owned());
    }
    Ok(merged)
}

/// The file of a first install: the template's bytes, with generated secrets in place of its placeholders.
pub fn from_template(
    template: &EnvFile,
    rules: &MergeRules,
    secrets: &mut dyn FnMut(&SecretRule) -> Secret,
) -> Result<Merged, EditError> {
    merge(&EnvFile::default(), None, template, rules, secrets)
}

struct Merge<'a> {
    merged: Merged,
    old_template: Option<&'a EnvFile>,
    new_template: &'a EnvFile,
    rules: &'a MergeRules,
    secrets: &'a mut dyn FnMut(&SecretRule) -> Secret,
    made: Together,
}

impl Merge<'_> {
    /// The variable stands in the file as the template has it.
    fn added(&mut self, key: &str) -> Result<(), EditError> {
        self.merged.added.push(key.to_owned());
        if self.wants_secret(key) { self.generate_or_report(key, true) } else { Ok(()) }
    }

    fn existing(&mut self, current: &EnvFile, key: &str) -> Result<(), EditError> {
        if self.wants_secret(key) {
            self.generate_or_report(key, self.rules.replace_placeholders)?;
            if self.merged.generated.last().is_none_or(|last| last != key) {
                self.merged.kept.push(key.to_owned());
            }
            return Ok(());
        }
        let (old, new) = (self.old_template.and_then(|old| meaning(old, key)), meaning(self.new_template, key));
        let mine = meaning(current, key).map(|(_, pattern)| pattern);
        let changed = match (old, new) {
            // A new default is no reason to lose a working secret: a volume may have been set up with it.
            (Some((old, before)), Some((new, after))) if mine.as_ref() == Some(&before) && before != after => {
                (!is_secret_key(key)).then_some((old, new))
            }
            _ => None,
        };
        let replaced = changed.as_ref().and_then(|(_, new)| self.merged.file.with_raw(key, new));
        match (changed, replaced) {
            (Some((old, new)), Some(file)) => {
                self.merged.file = file;
                let change = TemplateChange { key: key.to_owned(), old: Secret::new(old), new: Secret::new(new) };
                self.merged.template_changed.push(change);
            }
            _ => self.merged.kept.push(key.to_owned()),
        }
        Ok(())
    }

    /// Whether a key of the new template that the admin's file lacks is to be left out of it.
    fn stays_out(&self, key: &str) -> bool {
        if self.rule(key).is_some() {
            return false;
        }
        if self.rules.add_missing {
            return key.starts_with("COMPOSE_");
        }
        self.old_template.is_some_and(|old| old.contains(key))
    }

    fn rule(&self, key: &str) -> Option<&SecretRule> {
        self.rules.secrets.iter().find(|rule| rule.key == key)
    }

    /// Whether the file has no secret yet where one belongs.
    fn wants_secret(&self, key: &str) -> bool {
        if self.rules.not_secrets.iter().any(|other| other == key) {
            return false;
        }
        let Some(value) = self.merged.file.get(key) else { return self.rule(key).is_some() };
        let refers = self.merged.file.effective(key).is_some_and(|s| !references(&s.pattern).is_empty());
        if refers && value.problem.is_none() {
            return false;
        }
        match self.rule(key) {
            Some(_) => {
                // What a template says is public, so it is no secret.
                let public = |file: &EnvFile| file.get(key).is_some_and(|default| default.text == value.text);
                value.text.trim().is_empty()
                    || value.text.starts_with('#')
                    || is_placeholder(&value.text)
                    || public(self.new_template)
                    || self.old_template.is_some_and(public)
            }
            None => is_secret_key(key) && is_placeholder(&value.text),
        }
    }

    fn generate_or_report(&mut self, key: &str, may_generate: bool) -> Result<(), EditError> {
        let by_name = || {
            let chars = if key.to_uppercase().contains("SECRET_KEY") { 64 } else { 32 };
            can_be_generated(key).then(|| SecretRule::hex(key, chars))
        };
        let may_generate = may_generate && !together::has_signed(key, &self.merged.file);
        match self.rule(key).cloned().or_else(by_name).filter(|_| may_generate) {
            Some(rule) => {
                let before = self.merged.file.get(key).map(|value| value.text).unwrap_or_default();
                let secret = self.made.same_as(key, &before).unwrap_or_else(|| (self.secrets)(&rule));
                self.merged.file.set(key, secret.expose())?;
                self.made.note(key, before, secret);
                self.merged.generated.push(key.to_owned());
            }
            None => self.merged.placeholders.push(key.to_owned()),
        }
        Ok(())
    }
}

/// How a variable is spelled, and what that means before interpolation; equal meanings may be spelled differently.
fn meaning(file: &EnvFile, key: &str) -> Option<(String, String)> {
    let statement = file.effective(key)?;
    Some((file.text[statement.value.clone()].to_owned(), statement.pattern.clone()))
}

#[cfg(test)]
mod tests;
