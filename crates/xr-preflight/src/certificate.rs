//! TLS certificates: a self-signed one where there is none, and how long one is still good.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use xr_journal::{Ownership, write_atomic};
use xr_model::{Fault, Result};

const DAY: u64 = 24 * 60 * 60;

/// What the two files of a pair are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileNames {
    /// The certificate (chain).
    pub certificate: String,
    /// The private key.
    pub key: String,
}

impl Default for FileNames {
    fn default() -> Self {
        Self { certificate: "fullchain.pem".to_owned(), key: "privkey.pem".to_owned() }
    }
}

/// What [`ensure_self_signed`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ensured {
    /// A new pair was written.
    Created,
    /// There was a pair; it was not touched.
    Kept,
}

/// How long a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// Its last second, since 1970.
    pub not_after: i64,
    /// Whole days from now; negative once it has expired.
    pub days_left: i64,
}

/// Writes a self-signed certificate (0644) and its key (0600) into `dir`, unless a pair is there already.
/// It is for `names` (host names and IP addresses), `localhost`, `127.0.0.1` and `::1`; the first name is its subject.
///
/// # Errors
/// When only one half of a pair is there, a name is not fit for a certificate, or `dir` cannot be written.
pub fn ensure_self_signed(dir: &Path, files: &FileNames, names: &[String], days: u32) -> Result<Ensured> {
    let (certificate, key) = (dir.join(&files.certificate), dir.join(&files.key));
    match (certificate.exists(), key.exists()) {
        (true, true) => return Ok(Ensured::Kept),
        (false, false) => {}
        (has_certificate, _) => {
            let (there, missing) = if has_certificate { (&certificate, &key) } else { (&key, &certificate) };
            return Err(Fault::new(format!("{} is there without {}", there.display(), missing.display())).hint(
                format!("put its other half back, or have a new pair made: mv {0} {0}.old", xr_model::shell(&there)),
            ));
        }
    }
    let (certificate_pem, key_pem) = self_signed(names, days)?;
    fs::create_dir_all(dir).map_err(Fault::at(format!("cannot make the folder {}", dir.display())))?;
    write_atomic(&key, key_pem.as_bytes(), 0o600, Ownership::Keep)?;
    write_atomic(&certificate, certificate_pem.as_bytes(), 0o644, Ownership::Keep)?;
    Ok(Ensured::Created)
}

fn self_signed(names: &[String], days: u32) -> Result<(String, String)> {
    let at = || format!("cannot make a certificate for {}", names.join(", "));
    let mut seen = BTreeSet::new();
    let alternatives: Vec<String> = names
        .iter()
        .map(|name| name.trim())
        .filter(|name| !name.is_empty())
        .chain(["localhost", "127.0.0.1", "::1"])
        .filter(|name| seen.insert(name.to_lowercase()))
        .map(str::to_owned)
        .collect();
    let subject = alternatives[0].clone();
    let mut params = CertificateParams::new(alternatives).map_err(|error| {
        Fault::new(at()).because(error).hint("names are host names or IP addresses, without https:// and port")
    })?;
    params.distinguished_name.push(DnType::CommonName, subject);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let epoch = date_time_ymd(1970, 1, 1);
    // A day back, for clients whose clock is behind.
    params.not_before = epoch + Duration::from_secs(now().saturating_sub(DAY));
    params.not_after = epoch + Duration::from_secs(now() + u64::from(days) * DAY);
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(Fault::at(at()))?;
    let certificate = params.self_signed(&key).map_err(Fault::at(at()))?;
    Ok((certificate.pem(), key.serialize_pem()))
}

/// How long the first certificate in the PEM file at `path` (the server's own, in a chain) is good.
///
/// # Errors
/// When the file cannot be read or holds no certificate.
pub fn expiry(path: &Path) -> Result<Expiry> {
    let unreadable = || format!("{} holds no certificate in PEM form", path.display());
    let hint = || format!("openssl x509 -in {} -noout -dates", path.display());
    let bytes = fs::read(path).map_err(Fault::at(format!("cannot read {}", path.display())))?;
    let pem = x509_parser::pem::Pem::iter_from_buffer(&bytes)
        .flatten()
        .find(|pem| pem.label == "CERTIFICATE")
        .ok_or_else(|| Fault::new(unreadable()).hint(hint()))?;
    let certificate = pem.parse_x509().map_err(|error| Fault::new(unreadable()).because(error).hint(hint()))?;
    let not_after = certificate.validity().not_after.timestamp();
    Ok(Expiry { not_after, days_left: (not_after - now() as i64).div_euclid(DAY as i64) })
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use x509_parser::extensions::GeneralName;

    use super::*;

    fn ensure(dir: &Path, names: &[&str]) -> Result<Ensured> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        ensure_self_signed(dir, &FileNames::default(), &names, 825)
    }

    #[test]
    fn a_new_pair_has_its_modes_its_names_and_its_days() {
        let dir = tempfile::tempdir().unwrap();
        let ssl = dir.path().join("nginx/ssl");
        assert_eq!(ensure(&ssl, &["scan.example.org", "192.0.2.7", "localhost"]).unwrap(), Ensured::Created);
        let mode = |name: &str| fs::metadata(ssl.join(name)).unwrap().mode() & 0o777;
        assert_eq!((mode("privkey.pem"), mode("fullchain.pem")), (0o600, 0o644));
        assert!(matches!(expiry(&ssl.join("fullchain.pem")).unwrap().days_left, 824 | 825));

        let pem = fs::read(ssl.join("fullchain.pem")).unwrap();
        let (_, pem) = x509_parser::pem::parse_x509_pem(&pem).unwrap();
        let certificate = pem.parse_x509().unwrap();
        let names: Vec<String> = certificate
            .subject_alternative_name()
            .unwrap()
            .unwrap()
            .value
            .general_names
            .iter()
            .map(|name| match name {
                GeneralName::DNSName(name) => (*name).to_owned(),
                GeneralName::IPAddress(octets) => format!("{octets:?}"),
                other => other.to_string(),
            })
            .collect();
        assert_eq!(names[..4], ["scan.example.org", "[192, 0, 2, 7]", "localhost", "[127, 0, 0, 1]"]);
        assert!(certificate.subject().to_string().contains("CN=scan.example.org"));
    }

    #[test]
    fn a_pair_that_is_there_is_never_touched() {
        let dir = tempfile::tempdir().unwrap();
        ensure(dir.path(), &["a.example"]).unwrap();
        let before = fs::read(dir.path().join("privkey.pem")).unwrap();
        assert_eq!(ensure(dir.path(), &["b.example"]).unwrap(), Ensured::Kept);
        assert_eq!(fs::read(dir.path().join("privkey.pem")).unwrap(), before);
    }

    #[test]
    fn half_a_pair_is_refused_and_kept() {
        for half in ["privkey.pem", "fullchain.pem"] {
            let dir = tempfile::tempdir().unwrap();
            fs::File::create(dir.path().join(half)).unwrap();
            let fault = ensure(dir.path(), &["a.example"]).unwrap_err();
            assert!(fault.message.contains(half) && fault.hint.is_some(), "{}", fault.message);
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_certificate_without_names_is_for_this_machine() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(ensure(dir.path(), &[]).unwrap(), Ensured::Created);
    }

    #[test]
    fn a_file_that_is_no_certificate_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fullchain.pem");
        fs::File::create(&path).unwrap();
        assert!(expiry(&path).unwrap_err().message.contains("fullchain.pem"));
        assert!(expiry(&dir.path().join("none")).unwrap_err().message.contains("cannot read"));
    }
}
