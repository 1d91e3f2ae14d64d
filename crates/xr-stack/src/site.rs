//! The admin's own settings, `.xr/site.toml`.

use std::path::Path;

use serde::{Deserialize, Serialize};
use xr_model::{Fault, Result};

use crate::presets;

/// Which releases an update takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// Releases.
    #[default]
    Stable,
    /// Pre-releases too.
    Dev,
}

/// `.xr/site.toml`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Site {
    /// Which releases an update takes.
    pub channel: Channel,
    /// Registry mirrors, tried in order when a registry does not answer: `host[:port][/prefix]`, or `registry=mirror`.
    pub mirrors: Vec<String>,
    /// Services left out at install.
    pub without: Vec<String>,
    /// Which signatures the admin asks for.
    pub trust: SiteTrust,
}

/// `[trust]` of `.xr/site.toml`: it can ask for more than the publisher does, and for less only by `accept_unsigned`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SiteTrust {
    /// Whether a release is refused that is not signed, whatever its publisher says.
    pub required: bool,
    /// Whether a release that is not signed is taken, whatever its publisher says.
    pub accept_unsigned: bool,
    /// Files with public keys, absolute or from `.xr/`; when there are any, they alone count.
    pub keys: Vec<String>,
    /// Files of the tree, from the root, that are the admin's own and in no publisher's list.
    pub own: Vec<String>,
}

impl SiteTrust {
    fn refuse_contradiction(&self, path: &Path) -> Result<()> {
        if self.required && self.accept_unsigned {
            return Err(Fault::new(format!(
                "{}: trust: `required` and `accept_unsigned` contradict each other",
                path.display()
            ))
            .hint("take one of the two out"));
        }
        Ok(())
    }
}

impl Site {
    /// Reads the settings; the defaults when there is no file.
    ///
    /// # Errors
    /// A fault that points at the spot.
    pub fn read(path: &Path) -> Result<Self> {
        match presets::read_small(path) {
            Ok(bytes) => {
                let text = presets::text_of(path, bytes)?;
                let hint = "docs/xr-toml.md has every key of site.toml; an empty file will do too";
                let site: Self =
                    toml::from_str(&text).map_err(|error| presets::point_at(path, &text, &error).hint(hint))?;
                site.trust.refuse_contradiction(path)?;
                Ok(site)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => {
                let folder = path.parent().unwrap_or(path).display();
                Err(Fault::new(format!("cannot read {}", path.display()))
                    .because(error)
                    .hint(format!("ls -la {folder}   (a folder of its owner's, 0700)")))
            }
        }
    }

    /// The settings as text for `.xr/site.toml`.
    ///
    /// # Errors
    /// Never in practice; a value TOML cannot hold.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string_pretty(self).map_err(Fault::at("cannot write site settings"))
    }
}
