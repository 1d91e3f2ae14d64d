//! What a pull tells while it runs, and how to add it up.

use std::collections::BTreeMap;

/// What happens to a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerStatus {
    /// Known, not begun.
    Waiting,
    /// Bytes arrive.
    Downloading,
    /// Its digest is being computed.
    Verifying,
    /// All bytes are here.
    Downloaded,
    /// Being unpacked.
    Extracting,
    /// In place.
    Done,
    /// Was on the disk already.
    Exists,
    /// Failed; another try follows. From xr itself (between two rounds) the layer is the source's name.
    Retrying,
}

impl LayerStatus {
    /// The word for events and bars.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Downloading => "downloading",
            Self::Verifying => "verifying",
            Self::Downloaded => "downloaded",
            Self::Extracting => "extracting",
            Self::Done => "done",
            Self::Exists => "exists",
            Self::Retrying => "retrying",
        }
    }

    /// The engine's phrase, or none when it is not about a layer (`Pulling from …`, `Digest: …`).
    pub(crate) fn parse(phrase: &str) -> Option<Self> {
        Some(match phrase {
            "Pulling fs layer" | "Waiting" => Self::Waiting,
            "Downloading" => Self::Downloading,
            "Verifying Checksum" => Self::Verifying,
            "Download complete" => Self::Downloaded,
            "Extracting" => Self::Extracting,
            "Pull complete" => Self::Done,
            "Already exists" => Self::Exists,
            retry if retry.starts_with("Retrying in") => Self::Retrying,
            _ => return None,
        })
    }
}

/// The state of one layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerProgress {
    /// The layer's short id, the same in every image that shares it.
    pub layer: String,
    /// What happens to it.
    pub status: LayerStatus,
    /// Bytes done within the status.
    pub current: u64,
    /// Compressed bytes in all; 0 while the engine has not told (it tells with the first bytes of each layer).
    pub total: u64,
}

/// Bytes over all layers, each counted once even when several images share it. The total grows while the engine
/// gets to know the layers; it knows three at a time.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    layers: BTreeMap<String, (u64, u64)>,
}

impl Totals {
    /// Takes one report in.
    pub fn note(&mut self, progress: &LayerProgress) {
        if progress.status == LayerStatus::Retrying && !self.layers.contains_key(&progress.layer) {
            return;
        }
        let (current, total) = self.layers.entry(progress.layer.clone()).or_default();
        *total = (*total).max(progress.total);
        match progress.status {
            LayerStatus::Waiting | LayerStatus::Exists | LayerStatus::Retrying => {}
            LayerStatus::Downloading => *current = progress.current.max(*current).min(*total),
            LayerStatus::Verifying | LayerStatus::Downloaded | LayerStatus::Extracting | LayerStatus::Done => {
                *current = *total
            }
        }
    }

    /// Bytes downloaded.
    pub fn current(&self) -> u64 {
        self.layers.values().map(|(current, _)| current).sum()
    }

    /// Bytes to download, as far as known.
    pub fn total(&self) -> u64 {
        self.layers.values().map(|(_, total)| total).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(layer: &str, status: LayerStatus, current: u64, total: u64) -> LayerProgress {
        LayerProgress { layer: layer.into(), status, current, total }
    }

    #[test]
    fn a_layer_shared_by_two_images_counts_once() {
        let mut totals = Totals::default();
        for _ in 0..2 {
            totals.note(&report("aa", LayerStatus::Waiting, 0, 0));
            totals.note(&report("aa", LayerStatus::Downloading, 40, 100));
            totals.note(&report("bb", LayerStatus::Exists, 0, 0));
        }
        assert_eq!((totals.current(), totals.total()), (40, 100));
        totals.note(&report("aa", LayerStatus::Extracting, 10, 100));
        assert_eq!((totals.current(), totals.total()), (100, 100));
    }

    #[test]
    fn progress_never_goes_backwards_when_a_layer_is_retried() {
        let mut totals = Totals::default();
        totals.note(&report("aa", LayerStatus::Downloading, 60, 100));
        totals.note(&report("aa", LayerStatus::Retrying, 0, 0));
        totals.note(&report("mirror.example", LayerStatus::Retrying, 0, 0));
        totals.note(&report("aa", LayerStatus::Downloading, 10, 100));
        assert_eq!((totals.current(), totals.total()), (60, 100));
    }

    #[test]
    fn lines_that_are_not_about_a_layer_are_left_out() {
        for line in ["Pulling from library/postgres", "Digest: sha256:00", "Status: Image is up to date for a"] {
            assert_eq!(LayerStatus::parse(line), None);
        }
        assert_eq!(LayerStatus::parse("Retrying in 4 seconds"), Some(LayerStatus::Retrying));
    }
}
