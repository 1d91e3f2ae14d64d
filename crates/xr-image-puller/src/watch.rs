//! Whether a pull makes progress. Words are none: an engine that tries a layer again counts the seconds down, and one that
//! has stalled may repeat the same number of bytes ten times a second.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{LayerProgress, LayerStatus};

/// How long unpacking may be silent: a slow disk is not the network's fault.
const DISK: Duration = Duration::from_secs(300);

/// How long no progress is borne.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    /// Before the first word.
    pub first: Duration,
    /// After it.
    pub stall: Duration,
}

/// When bytes of any image arrived last. The engine fetches three layers at once, whichever image they are of: the
/// layers of one that waits for its turn make no progress as long as another's do.
#[derive(Debug, Default)]
pub(crate) struct Arrivals(Mutex<Option<Instant>>);

impl Arrivals {
    fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn last(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The watch over one pull.
pub(crate) struct Watch<'a> {
    patience: Patience,
    arrivals: &'a Arrivals,
    layers: BTreeMap<String, LayerProgress>,
    /// Whether the engine has said anything.
    spoken: bool,
    moved: Instant,
}

/// What a pull waits for.
#[derive(PartialEq, Eq)]
enum Waits {
    FirstWord,
    Network,
    Turn,
    Disk,
}

impl<'a> Watch<'a> {
    pub fn begin(patience: Patience, arrivals: &'a Arrivals) -> Self {
        Self { patience, arrivals, layers: BTreeMap::new(), spoken: false, moved: Instant::now() }
    }

    /// Takes in a line of the engine's, about a layer or not.
    pub fn note(&mut self, progress: Option<&LayerProgress>) {
        if !self.spoken {
            (self.spoken, self.moved) = (true, Instant::now());
        }
        let Some(progress) = progress else { return };
        let before = self.layers.insert(progress.layer.clone(), progress.clone());
        match progress.status {
            LayerStatus::Retrying => {}
            LayerStatus::Downloading if before.as_ref() == Some(progress) => {}
            LayerStatus::Downloading => {
                self.moved = Instant::now();
                self.arrivals.note();
            }
            _ => self.moved = Instant::now(),
        }
    }

    /// How long it may still make no progress; zero when it has stalled.
    pub fn left(&self) -> Duration {
        let waits = self.waits();
        let since = match waits {
            Waits::Turn => self.arrivals.last().map_or(self.moved, |arrived| arrived.max(self.moved)),
            _ => self.moved,
        };
        self.limit(&waits).saturating_sub(since.elapsed())
    }

    /// What has stalled, in words.
    pub fn stalled(&self) -> String {
        let waits = self.waits();
        let seconds = self.limit(&waits).as_secs_f32();
        let stuck = self.layers.values().find(|layer| layer.status == LayerStatus::Downloading);
        let again = self.layers.values().find(|layer| layer.status == LayerStatus::Retrying);
        let at = match (waits, stuck, again) {
            (Waits::Network, Some(layer), _) => {
                format!(": layer {} stopped at {} of {} bytes", layer.layer, layer.current, layer.total)
            }
            (Waits::Network, _, Some(layer)) => format!(": layer {} broke off", layer.layer),
            (Waits::Network, ..) if !self.layers.is_empty() => ": the image's configuration does not come".to_owned(),
            (Waits::FirstWord, ..) => ": not a word about the image".to_owned(),
            _ => String::new(),
        };
        format!("timeout: no progress for {seconds} s{at}")
    }

    fn waits(&self) -> Waits {
        let any = |of: &[LayerStatus]| self.layers.values().any(|layer| of.contains(&layer.status));
        if !self.spoken {
            Waits::FirstWord
        } else if any(&[LayerStatus::Verifying, LayerStatus::Extracting]) {
            Waits::Disk
        } else if any(&[LayerStatus::Downloading, LayerStatus::Retrying]) {
            Waits::Network
        } else if any(&[LayerStatus::Waiting]) {
            Waits::Turn
        } else if any(&[LayerStatus::Downloaded]) {
            Waits::Disk
        } else {
            // When all layers are in place, what is left to come is the image's own configuration.
            Waits::Network
        }
    }

    fn limit(&self, waits: &Waits) -> Duration {
        match waits {
            Waits::FirstWord => self.patience.first,
            Waits::Network | Waits::Turn => self.patience.stall,
            Waits::Disk => self.patience.stall.max(DISK),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Patience = Patience { first: Duration::from_millis(200), stall: Duration::from_millis(200) };

    fn line(layer: &str, status: LayerStatus, current: u64) -> LayerProgress {
        LayerProgress { layer: layer.to_owned(), status, current, total: 100 }
    }

    /// The watch as it is when nothing has moved for longer than the patience.
    fn later<'a>(watch: &Watch<'a>) -> Watch<'a> {
        let moved = watch.moved.checked_sub(Duration::from_secs(1)).unwrap();
        Watch { layers: watch.layers.clone(), moved, ..*watch }
    }

    #[test]
    fn only_bytes_count_while_a_layer_is_fetched() {
        let arrivals = Arrivals::default();
        let mut watch = Watch::begin(SHORT, &arrivals);
        assert!(!watch.left().is_zero());
        let mut silent = later(&watch);
        assert!(silent.left().is_zero());
        assert_eq!(silent.stalled(), "timeout: no progress for 0.2 s: not a word about the image");
        silent.note(None);
        assert!(!silent.left().is_zero());

        watch.note(Some(&line("aa", LayerStatus::Downloading, 40)));
        let mut watch = later(&watch);
        watch.note(Some(&line("aa", LayerStatus::Downloading, 40)));
        assert!(watch.left().is_zero(), "the same bytes again");
        assert_eq!(watch.stalled(), "timeout: no progress for 0.2 s: layer aa stopped at 40 of 100 bytes");
        watch.note(Some(&line("aa", LayerStatus::Retrying, 0)));
        assert!(watch.left().is_zero(), "a countdown");
        assert_eq!(watch.stalled(), "timeout: no progress for 0.2 s: layer aa broke off");
        watch.note(Some(&line("aa", LayerStatus::Downloading, 50)));
        assert!(!watch.left().is_zero());
    }

    #[test]
    fn a_pull_that_waits_for_its_turn_lives_on_the_bytes_of_others() {
        let arrivals = Arrivals::default();
        let (mut waiting, mut busy) = (Watch::begin(SHORT, &arrivals), Watch::begin(SHORT, &arrivals));
        waiting.note(Some(&line("aa", LayerStatus::Done, 0)));
        waiting.note(Some(&line("bb", LayerStatus::Waiting, 0)));
        let waiting = later(&waiting);
        assert!(waiting.left().is_zero());
        busy.note(Some(&line("cc", LayerStatus::Downloading, 1)));
        assert!(!waiting.left().is_zero());
    }

    #[test]
    fn a_slow_disk_is_not_a_silent_network() {
        let arrivals = Arrivals::default();
        for (status, alone, while_another_is_fetched) in [
            (LayerStatus::Verifying, true, true),
            (LayerStatus::Extracting, true, true),
            (LayerStatus::Downloaded, true, false),
            // The configuration is what has not come.
            (LayerStatus::Done, false, false),
        ] {
            let mut watch = Watch::begin(SHORT, &arrivals);
            watch.note(Some(&line("aa", status, 0)));
            assert_eq!(!later(&watch).left().is_zero(), alone, "{status:?}");
            watch.note(Some(&line("bb", LayerStatus::Downloading, 7)));
            assert_eq!(!later(&watch).left().is_zero(), while_another_is_fetched, "{status:?}");
        }
    }
}
