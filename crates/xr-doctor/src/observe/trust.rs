//! The keys that the next release is checked with.

use std::path::Path;

use xr_journal::{Generations, Home};
use xr_release::{
    release_keys::read_keys,
    trust::{Origin, Rules},
};
use xr_stack::{Site, Trust};

use crate::facts::{History, Seen, TrustFact};

/// As an update would find them; gpg is asked whether they are keys.
pub(super) fn read(root: &Path, home: &Home, tree: &Trust, history: &History) -> Seen<Option<TrustFact>> {
    let site = Site::read(&home.site()).unwrap_or_default().trust; // that it cannot be read is told elsewhere
    let rules = Rules { home, site: &site, given: &[] };
    let current = history.current.as_ref().ok().and_then(Option::as_ref);
    let policy = match rules.policy(current, &Generations::of(home))? {
        Some(policy) => policy,
        None => rules.with(Origin::Release, read_keys(root, tree)?, tree.clone())?,
    };
    if policy.keys.is_empty() {
        return Ok(None);
    }
    let spent = policy.keys.examine(jiff::Timestamp::now().as_second())?;
    Ok(Some(TrustFact {
        origin: policy.origin.to_string(),
        required: policy.required,
        git: policy.keys.has_git(),
        list: policy.keys.has_minisign(),
        spent,
    }))
}
