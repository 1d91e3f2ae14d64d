//! A world in which one trial after the other begins where it has to: led there once, and put back from then on.

use anyhow::Result;
use xr_sim::{Kept, Programs, World};

use super::simulated::{Scenario, VERSIONS};

/// A publisher's manifest with which nothing waits for longer than it must.
const QUICK: &str = "[health]\nsettle = \"150ms\"\n[services.server]\npatience = \"400ms\"\n";
/// A history is begun anew after so many trials.
const FRESH: u32 = 60;

/// A world, and how it was where trials begin.
pub(crate) struct Site {
    pub world: World,
    /// The version that is there after the last trial; the outer none before the first.
    pub there: Option<Option<String>>,
    /// Trials in this history.
    used: u32,
    kept: Vec<(Option<&'static str>, Kept)>,
}

impl Site {
    /// A world with nothing installed, which nobody else has as long as the number is its own.
    pub fn new(programs: &Programs, number: u16) -> Result<Self> {
        let world = World::new(programs, 18_300 + number, QUICK, &VERSIONS)?;
        Ok(Self { world, there: None, used: 0, kept: Vec::new() })
    }

    /// The world, where the scenario begins. What earlier trials left in it stays, as long as it is there already.
    pub fn begin(&mut self, scenario: Scenario) -> Result<&World> {
        let old = scenario.ends().0;
        let goes_on = old.is_some() && self.there.as_ref().is_some_and(|there| there.as_deref() == old);
        if !goes_on || self.used >= FRESH {
            self.put_at(old)?;
            self.used = 0;
        }
        self.used += 1;
        if old.is_some() {
            self.world.engine().mark_volumes();
        }
        // until somebody has looked
        self.there = None;
        Ok(&self.world)
    }

    fn put_at(&mut self, version: Option<&'static str>) -> Result<()> {
        if let Some((_, kept)) = self.kept.iter().find(|(known, _)| *known == version) {
            return self.world.put_back(kept);
        }
        if version.is_none() {
            self.world.begin_anew()?;
            duct::cmd!("git", "checkout", "-q", VERSIONS[0]).dir(self.world.root()).run()?;
        } else {
            let way = if version == Scenario::Install.ends().1 { Scenario::Install } else { Scenario::Update };
            self.put_at(way.ends().0)?;
            self.world.xr_ok(way.argv())?;
        }
        self.kept.push((version, self.world.keep()?));
        Ok(())
    }
}
