//! Asking a published port of this host over HTTP or TLS.

use std::{sync::Arc, time::Duration};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether a published port of this host speaks TLS, as far as it answers.
pub fn speaks_tls(published: u16, target: u16) -> bool {
    let schemes = if matches!(target, 443 | 8443) { ["https", "http"] } else { ["http", "https"] };
    let answers = |scheme: &&str| match get(&format!("{scheme}://127.0.0.1:{published}/")) {
        Ok((status, _)) => !(status == 400 && *scheme == "http"),
        Err(_) => false,
    };
    schemes.iter().find(|scheme| answers(scheme)).is_some_and(|scheme| *scheme == "https")
}

/// What `url` answers: the status, and up to 1 MiB of the body. Redirects are not followed, and any certificate will do.
///
/// # Errors
/// When nothing answers in HTTP, in words.
pub fn get(url: &str) -> Result<(u16, String), String> {
    // The certificate is the stack's own and usually self-signed; the check is of this host's port, not of its name.
    let tls = ureq::tls::TlsConfig::builder()
        .disable_verification(true)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .http_status_as_error(false)
        .max_redirects(0)
        .tls_config(tls)
        .proxy(None)
        .build()
        .into();
    let mut response = agent.get(url).call().map_err(|error| error.to_string())?;
    let status = response.status().as_u16();
    let body = response.body_mut().with_config().limit(1 << 20).read_to_string().unwrap_or_default();
    Ok((status, body))
}
