//! When a certificate ends: the one field of X.509 that xr reads. A parser of all of it would be a twentieth of xr's build.

use jiff::civil::{DateTime, date};

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// The last second in which this certificate (DER, RFC 5280) is good, since 1970; nothing if it is none.
pub(super) fn not_after(certificate: &[u8]) -> Option<i64> {
    let mut certificate = Der(Der(certificate).take(SEQUENCE)?);
    let mut signed = Der(certificate.take(SEQUENCE)?);
    if signed.0.first() == Some(&VERSION) {
        signed.take(VERSION)?;
    }
    signed.take(INTEGER)?; // serial number
    signed.take(SEQUENCE)?; // algorithm of the signature
    signed.take(SEQUENCE)?; // issuer
    let mut validity = Der(signed.take(SEQUENCE)?);
    validity.time()?;
    validity.time()
}

/// What is left of a value's elements.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next element's contents, if it has this tag and is whole.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (&[found, first], rest) = self.0.split_first_chunk()?;
        if found != tag {
            return None;
        }
        let (length, rest) = match usize::from(first) {
            short @ ..0x80 => (short, rest),
            long @ 0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(long - 0x80)?;
                (bytes.iter().fold(0, |length, &byte| length << 8 | usize::from(byte)), rest)
            }
            _ => return None,
        };
        let (contents, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(contents)
    }

    fn time(&mut self) -> Option<i64> {
        let tag = *self.0.first()?;
        let text = std::str::from_utf8(self.take(tag)?).ok()?;
        let text = match tag {
            // two digits of the year: from 1950 to 2049
            UTC_TIME if text.get(..2)? < "50" => format!("20{text}"),
            UTC_TIME => format!("19{text}"),
            GENERALIZED_TIME => text.to_owned(),
            _ => return None,
        };
        let time = DateTime::strptime("%Y%m%d%H%M%SZ", text).ok()?;
        Some(time.duration_since(date(1970, 1, 1).at(0, 0, 0, 0)).as_secs())
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn certificate(year: i32) -> Vec<u8> {
        let mut params = CertificateParams::new(["a.example".to_owned()]).unwrap();
        params.not_before = date_time_ymd(1960, 1, 1);
        params.not_after = date_time_ymd(year, 12, 31);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn the_end_is_read_as_a_full_parser_reads_it() {
        for year in [1969, 1999, 2000, 2049, 2050, 2500, 9999] {
            let certificate = certificate(year);
            let (_, parsed) = x509_parser::parse_x509_certificate(&certificate).unwrap();
            assert_eq!(not_after(&certificate), Some(parsed.validity().not_after.timestamp()), "{year}");
        }
    }

    #[test]
    fn what_is_cut_or_damaged_never_panics() {
        let whole = certificate(2030);
        for end in 0..whole.len() {
            assert_eq!(not_after(&whole[..end]), None);
        }
        for at in 0..whole.len() {
            for bits in [0x01, 0x80, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] ^= bits;
                let _ = not_after(&damaged);
            }
        }
    }
}
