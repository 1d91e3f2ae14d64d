//! One pull of one reference through the engine, its stream read to the end.

use std::collections::BTreeMap;

use bollard::{Docker, models::CreateImageInfo, query_parameters::CreateImageOptionsBuilder};
use futures_util::StreamExt;
use xr_model::Digest;

use crate::{
    Failure, LayerProgress, LayerStatus, PullError, Result, Sources,
    classify::classify,
    credentials::sending_logins,
    sources::Candidate,
    watch::{Patience, Watch},
};

/// Pulls `candidate` by digest, or by its tag when none is known, and returns the bytes of the layers that were not
/// on the disk. Dropping the future closes the connection, upon which the engine gives the pull up.
pub(crate) async fn stream(
    docker: &Docker,
    candidate: &Candidate,
    digest: Option<&Digest>,
    sources: &Sources,
    patience: Patience,
    on: &dyn Fn(LayerProgress),
) -> Result<u64> {
    let what = candidate.reference(digest);
    let options = CreateImageOptionsBuilder::default()
        .from_image(&candidate.name)
        .tag(digest.map_or(candidate.tag.as_str(), |digest| digest.0.as_str()))
        .build();
    let (login, note) = match sources.credentials.of(&candidate.registry).await {
        Ok(login) => (login, None),
        Err(note) => (None, Some(note)),
    };
    let docker = sending_logins(docker);
    let mut lines = std::pin::pin!(docker.create_image(Some(options), None, login));
    let mut layers = BTreeMap::new();
    let mut watch = Watch::begin(patience, &sources.arrivals);
    loop {
        let left = watch.left();
        let word = if left.is_zero() { None } else { tokio::time::timeout(left, lines.next()).await.ok() };
        match word {
            // Another image's bytes may have given it more time meanwhile.
            None if !watch.left().is_zero() => {}
            None => {
                return Err(PullError::Unreachable(Failure {
                    image: what,
                    registry: candidate.registry.clone(),
                    detail: watch.stalled(),
                    transient: true,
                }));
            }
            Some(None) => return Ok(layers.values().sum()),
            Some(Some(Ok(line))) => {
                let progress = read(line);
                watch.note(progress.as_ref());
                if let Some(progress) = progress {
                    if progress.total > 0 {
                        layers.insert(progress.layer.clone(), progress.total);
                    }
                    on(progress);
                }
            }
            Some(Some(Err(error))) => {
                let error = classify(&what, &candidate.registry, &error);
                return Err(match note {
                    Some(note) if matches!(error, PullError::Denied(_)) => error.also(&note),
                    _ => error,
                });
            }
        }
    }
}

/// A line of the stream, when it is about a layer.
fn read(line: CreateImageInfo) -> Option<LayerProgress> {
    let status = LayerStatus::parse(line.status.as_deref()?)?;
    let number = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok()).unwrap_or(0);
    let detail = line.progress_detail.unwrap_or_default();
    let total = number(detail.total);
    // Without a total the number is not bytes: newer engines count the seconds of unpacking there.
    let current = if total == 0 { 0 } else { number(detail.current) };
    Some(LayerProgress { layer: line.id?, status, current, total })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Option<LayerProgress> {
        read(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn bytes_of_a_layer_are_read() {
        let line = r#"{"status":"Downloading","progressDetail":{"current":528,"total":3000},"progress":"[=> ]","id":"64d3f1d6f058"}"#;
        assert_eq!(
            parse(line),
            Some(LayerProgress {
                layer: "64d3f1d6f058".into(),
                status: LayerStatus::Downloading,
                current: 528,
                total: 3000
            })
        );
    }

    #[test]
    fn seconds_of_unpacking_are_not_taken_for_bytes() {
        let line = r#"{"status":"Extracting","progressDetail":{"current":3,"units":"s"},"id":"64d3f1d6f058"}"#;
        assert_eq!(parse(line).map(|p| (p.current, p.total)), Some((0, 0)));
    }

    #[test]
    fn the_images_own_lines_are_passed_over() {
        assert_eq!(parse(r#"{"status":"Pulling from acme/a","id":"v1"}"#), None);
        assert_eq!(parse(r#"{"status":"Status: Downloaded newer image for a"}"#), None);
    }
}
