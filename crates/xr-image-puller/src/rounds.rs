//! Trying several sources several times.

use std::time::Duration;

use crate::{PullError, Result, Retry, sources::Candidate};

/// Asks every candidate in turn, then waits and asks again those whose failure may pass; a dead registry with a live
/// mirror costs no wait. The error is that of the first candidate (what the compose file says), with what
/// the others said behind it.
pub(crate) async fn rounds<T>(
    candidates: &[Candidate],
    retry: &Retry,
    again: impl Fn(&Candidate),
    ask: impl AsyncFn(&Candidate) -> Result<T>,
) -> Result<T> {
    let mut errors: Vec<Option<PullError>> = candidates.iter().map(|_| None).collect();
    let limited = |error: &PullError| matches!(error, PullError::RateLimited(_));
    let mut waited = Duration::ZERO;
    for round in 0.. {
        let may_pass = |error: &PullError| error.is_transient() && (round < retry.attempts || limited(error));
        for (candidate, last) in candidates.iter().zip(&mut errors) {
            if last.as_ref().is_some_and(|error| !may_pass(error)) {
                continue;
            }
            match ask(candidate).await {
                Ok(answer) => return Ok(answer),
                Err(full @ PullError::NoSpace { .. }) => return Err(full),
                Err(error) => *last = Some(error),
            }
        }
        // What a registry says while it limits the rate is not an answer: it is waited for by time, not by rounds.
        let more = round + 1 < retry.attempts;
        let left = retry.patience.saturating_sub(waited);
        let again_later =
            |error: &PullError| error.is_transient() && (more || (limited(error) && left > Duration::ZERO));
        let mut hopeful = candidates.iter().zip(&errors).filter(|(_, error)| error.as_ref().is_some_and(again_later));
        let Some((first, _)) = hopeful.next() else { break };
        again(first);
        hopeful.for_each(|(candidate, _)| again(candidate));
        let delay = if more { retry.delay(round) } else { retry.delay(round).min(left) };
        waited += delay;
        tokio::time::sleep(delay).await;
    }
    let mut errors = errors.into_iter().flatten();
    let first = errors.next().unwrap_or_else(unreachable_without_candidates);
    Err(errors.fold(first, |first, other| {
        let said = format!("{}: {}", other.failure().registry, other.failure().detail);
        first.also(&said)
    }))
}

/// [`crate::Sources::candidates`] always names the image as written.
fn unreachable_without_candidates() -> PullError {
    PullError::Engine(crate::Failure {
        image: String::new(),
        registry: String::new(),
        detail: "no source was asked".to_owned(),
        transient: false,
    })
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, time::Duration};

    use super::*;
    use crate::Failure;

    fn candidate(name: &str) -> Candidate {
        Candidate { name: name.into(), tag: "v1".into(), registry: name.into(), as_written: false }
    }

    fn failure(candidate: &Candidate, transient: bool) -> Failure {
        Failure { image: "a".into(), registry: candidate.registry.clone(), detail: "sad".into(), transient }
    }

    /// Runs rounds over candidates that answer by script: `u`nreachable, `m`issing, `l`imited, `f`ull or `o`k, one letter a
    /// round.
    fn run(attempts: u32, scripts: &[&str]) -> (Result<String>, String) {
        let candidates: Vec<_> = (0..scripts.len()).map(|i| candidate(&i.to_string())).collect();
        let asked = RefCell::new(String::new());
        let (first_delay, max_delay) = (Duration::from_millis(1), Duration::from_millis(4));
        let patience = Duration::from_millis(20);
        let retry = Retry { attempts, first_delay, max_delay, patience, jitter: 0.0 };
        let ask = async |c: &Candidate| {
            let round = asked.borrow().matches(&c.name).count();
            asked.borrow_mut().push_str(&c.name);
            let index: usize = c.name.parse().unwrap();
            match scripts[index].chars().nth(round).unwrap() {
                'o' => Ok(c.name.clone()),
                'l' => Err(PullError::RateLimited(failure(c, true))),
                'm' => Err(PullError::Missing(failure(c, false))),
                'f' => Err(PullError::NoSpace { failure: failure(c, false), root: "/x".into() }),
                _ => Err(PullError::Unreachable(failure(c, true))),
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let result = runtime.block_on(rounds(&candidates, &retry, |_| {}, ask));
        (result, asked.into_inner())
    }

    #[test]
    fn the_next_source_is_asked_before_waiting() {
        let (result, asked) = run(3, &["u", "o"]);
        assert_eq!((result.unwrap().as_str(), asked.as_str()), ("1", "01"));
    }

    #[test]
    fn only_what_may_pass_is_asked_again() {
        let (result, asked) = run(3, &["m", "uuo"]);
        assert_eq!((result.unwrap().as_str(), asked.as_str()), ("1", "0111"));
        let (result, asked) = run(5, &["m", "m"]);
        assert!(matches!(result, Err(PullError::Missing(_))));
        assert_eq!(asked, "01");
    }

    #[test]
    fn the_error_is_the_first_sources_with_the_others_behind() {
        let (result, _) = run(2, &["uu", "m"]);
        let error = result.unwrap_err();
        assert!(matches!(&error, PullError::Unreachable(_)), "{error}");
        assert_eq!(error.failure().detail, "sad; 1: sad");
    }

    #[test]
    fn a_limit_on_the_rate_is_waited_for_as_long_as_the_patience_lasts() {
        // 1 + 2 + 4 + 4 + 4 + 4 + 1 ms
        let (result, asked) = run(2, &["lllllllo"]);
        assert_eq!((result.unwrap().as_str(), asked.len()), ("0", 8));
        let (result, asked) = run(2, &["llllllll", "uu"]);
        assert!(matches!(result, Err(PullError::RateLimited(_))));
        assert_eq!(asked, "0101000000", "the other one is asked no more often than ever");
    }

    #[test]
    fn a_full_disk_ends_everything_at_once() {
        let (result, asked) = run(5, &["f", "o"]);
        assert!(matches!(result, Err(PullError::NoSpace { .. })));
        assert_eq!(asked, "0");
    }
}
