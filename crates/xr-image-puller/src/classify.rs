//! From the engine's words to a [`PullError`]. The engine passes most registry errors on as text (a status 500, or a
//! line in a stream that began with 200), so the text decides; its status only helps.

use bollard::errors::Error;

use crate::{Failure, PullError};

/// What a failed request about `image` to `registry` means.
pub(crate) fn classify(image: &str, registry: &str, error: &Error) -> PullError {
    let (status, detail) = match error {
        Error::DockerResponseServerError { status_code, message } => (*status_code, message.clone()),
        Error::DockerStreamError { error } => (0, error.clone()),
        Error::RequestTimeoutError => {
            return judge(image, registry, 0, "timeout: the engine did not answer in time".to_owned());
        }
        // The engine itself went away (restarted, or its socket is not there).
        other => return PullError::Engine(failure(image, registry, chain(other), true)),
    };
    judge(image, registry, status, detail)
}

fn failure(image: &str, registry: &str, detail: String, transient: bool) -> Failure {
    Failure { image: image.to_owned(), registry: registry.to_owned(), detail, transient }
}

fn judge(image: &str, registry: &str, status: u16, detail: String) -> PullError {
    let text = detail.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    // The registry's own status, where the engine quotes it; the engine's is 500 for nearly everything.
    let quoted = quoted_status(&text);
    let status = quoted.unwrap_or(status);
    let of = |detail, transient| failure(image, registry, detail, transient);
    if says(&NO_SPACE) {
        PullError::NoSpace { failure: of(detail, false), root: "the engine's data directory".to_owned() }
    } else if says(&MISMATCH) {
        PullError::DigestMismatch(of(detail, false))
    } else if status == 429 || says(&RATE) {
        PullError::RateLimited(of(detail, true))
    } else if says(&PERMANENT_REACH) {
        PullError::Unreachable(of(detail, false))
    } else if says(&PERMANENT) {
        PullError::Engine(of(detail, false))
    } else if quoted.is_some_and(|status| status >= 500) || says(&REACH) {
        PullError::Unreachable(of(detail, true))
    } else if matches!(status, 401 | 403) || says(&DENIED) {
        PullError::Denied(of(detail, false))
    } else if status == 404 || says(&MISSING) {
        PullError::Missing(of(detail, false))
    } else {
        PullError::Engine(of(detail, false))
    }
}

const NO_SPACE: [&str; 2] = ["no space left on device", "disk quota exceeded"];
const MISMATCH: [&str; 7] = [
    "verification failed for digest",
    "filesystem layer verification failed",
    "failed to verify",
    "unexpected commit digest",
    "unexpected commit size",
    "does not match provided digest",
    "rootfs and manifest layers",
];
const RATE: [&str; 3] = ["toomanyrequests", "too many requests", "rate limit"];
/// Waiting does not make a plain-HTTP registry speak TLS.
const PERMANENT_REACH: [&str; 2] = ["http response to https client", "x509:"];
const PERMANENT: [&str; 4] = ["no matching manifest", "invalid reference format", "schema 1", "operating system"];
/// Among them what Go's HTTP client says of a connection that the other side has closed
/// ([its source](https://github.com/golang/go/blob/go1.25.0/src/net/http/transport.go)).
const REACH: [&str; 24] = [
    "connection refused",
    "connection reset",
    "no such host",
    "name resolution",
    "server misbehaving",
    "timeout",
    "timed out",
    "deadline exceeded",
    "eof",
    "broken pipe",
    "network is unreachable",
    "no route to host",
    "use of closed network connection",
    "server closed idle connection",
    "transport connection broken",
    "http2: ",
    "stream error: ",
    "request canceled",
    "dial tcp",
    "tls: ",
    "context canceled",
    "bad gateway",
    "service unavailable",
    "internal server error",
];
const DENIED: [&str; 7] = [
    "unauthorized",
    "denied",
    "authentication required",
    "no basic auth credentials",
    "forbidden",
    "incorrect username or password",
    "may require 'docker login'",
];
const MISSING: [&str; 4] = ["manifest unknown", "name unknown", "not found", "repository name not known"];

/// The registry's status, after the words that engines put before it.
fn quoted_status(text: &str) -> Option<u16> {
    let direct = ["unexpected http status: ", "error parsing http ", "unexpected status code "];
    let rest = match direct.iter().find_map(|words| text.split_once(words)) {
        Some((_, rest)) => rest,
        // `… from GET request to https://…/manifests/v1: 503 Service Unavailable`
        None => text.split_once("unexpected status from ")?.1.rsplit_once(": ")?.1,
    };
    rest.get(..3)?.parse().ok()
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let line = error.to_string();
        if !text.contains(&line) {
            text.push_str(": ");
            text.push_str(&line);
        }
        next = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use xr_model::exit;

    use super::*;

    fn kind(status: u16, text: &str) -> (&'static str, bool) {
        let error = judge("a/b:v1", "docker.io", status, text.to_owned());
        let name = match &error {
            PullError::Missing(_) => "missing",
            PullError::Denied(_) => "denied",
            PullError::Unreachable(_) => "unreachable",
            PullError::RateLimited(_) => "rate",
            PullError::DigestMismatch(_) => "mismatch",
            PullError::NoSpace { .. } => "space",
            PullError::Engine(_) => "engine",
        };
        (name, error.is_transient())
    }

    #[test]
    fn the_engines_words_are_understood() {
        let cases: [(u16, &str, (&str, bool)); 29] = [
            (404, "manifest unknown: manifest unknown", ("missing", false)),
            (0, "manifest for acme/a:v2 not found: manifest unknown: manifest unknown", ("missing", false)),
            (
                0,
                "failed to resolve reference \"docker.io/acme/a:v2\": docker.io/acme/a:v2: not found",
                ("missing", false),
            ),
            (404, "name unknown: repository name not known to registry", ("missing", false)),
            (403, "errors:\ndenied: requested access to the resource is denied\n", ("denied", false)),
            (
                404,
                "pull access denied for nope/x, repository does not exist or may require 'docker login': denied: requested access",
                ("denied", false),
            ),
            (401, "unauthorized: authentication required", ("denied", false)),
            (
                500,
                "Get \"http://127.0.0.1:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused",
                ("unreachable", true),
            ),
            (
                500,
                "Get \"https://h.invalid/v2/\": dial tcp: lookup h.invalid on 10.0.0.1:53: no such host",
                ("unreachable", true),
            ),
            (500, "Get \"https://registry-1.docker.io/v2/\": net/http: TLS handshake timeout", ("unreachable", true)),
            (500, "Get \"https://h/v2/\": http: server gave HTTP response to HTTPS client", ("unreachable", false)),
            (500, "Get \"https://h/v2/\": x509: certificate signed by unknown authority", ("unreachable", false)),
            (0, "unexpected EOF", ("unreachable", true)),
            (500, "Get \"http://h/v2/\": http: server closed idle connection", ("unreachable", true)),
            (500, "Get \"http://h/v2/\": net/http: HTTP/1.x transport connection broken: EOF", ("unreachable", true)),
            (500, "Get \"https://h/v2/\": http2: client connection lost", ("unreachable", true)),
            (0, "received unexpected HTTP status: 500 Internal Server Error", ("unreachable", true)),
            (0, "received unexpected HTTP status: 502 Bad Gateway", ("unreachable", true)),
            (0, "toomanyrequests: You have reached your pull rate limit.", ("rate", true)),
            (429, "", ("rate", true)),
            (500, "error parsing HTTP 429 response body: unexpected end of JSON input: \"\"", ("rate", true)),
            (
                500,
                "error parsing HTTP 403 response body: invalid character '<' looking for beginning of value: \"<html>\"",
                ("denied", false),
            ),
            (
                500,
                "error parsing HTTP 404 response body: invalid character 'p' after top-level value: \"404 page\"",
                ("missing", false),
            ),
            (
                0,
                "unexpected status from GET request to https://r/v2/a/manifests/v1: 503 Service Unavailable",
                ("unreachable", true),
            ),
            (0, "filesystem layer verification failed for digest sha256:00", ("mismatch", false)),
            (0, "manifest verification failed for digest sha256:00", ("mismatch", false)),
            (0, "write /var/lib/docker/tmp/GetImageBlob1: no space left on device", ("space", false)),
            (
                0,
                "failed to register layer: Error processing tar file(exit status 1): write /a: no space left on device",
                ("space", false),
            ),
            (0, "no matching manifest for linux/arm64/v8 in the manifest list entries", ("engine", false)),
        ];
        for (status, text, expected) in cases {
            assert_eq!(kind(status, text), expected, "{text}");
        }
    }

    #[test]
    fn every_failure_names_the_image_and_the_registry() {
        for (status, text, code) in [
            (404, "", exit::FAILED),
            (401, "", exit::FAILED),
            (500, "eof", exit::TRY_LATER),
            (429, "", exit::TRY_LATER),
            (0, "no space left on device", exit::FAILED),
            (0, "?", exit::FAILED),
            (0, "unexpected commit digest", exit::FAILED),
        ] {
            let fault = judge("acme/server:v1", "docker.io", status, text.to_owned()).into_fault();
            assert!(fault.message.contains("acme/server:v1"), "{}", fault.message);
            assert!(fault.hint.is_some());
            assert_eq!(fault.code, code);
        }
    }
}
