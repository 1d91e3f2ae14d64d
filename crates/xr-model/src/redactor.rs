//! What containers, hooks and compose say may hold a secret of `.env`: it is struck out before anybody sees it.

use crate::Fault;

/// What stands in a secret's place.
const STRUCK: &str = "********";
/// Shorter texts are in many words by chance.
const SHORTEST: usize = 4;

/// Known secrets, to be struck out of texts. Prints nothing of itself.
#[derive(Clone, Default)]
pub struct Redactor {
    /// The longest first: one may be part of another.
    values: Vec<String>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} values)", self.values.len())
    }
}

impl Redactor {
    /// Learns secrets. Of one with several lines each line counts, as logs show them.
    pub fn learn(&mut self, secrets: impl IntoIterator<Item = String>) {
        for secret in secrets {
            let lines = secret.lines().map(str::trim).filter(|line| line.len() >= SHORTEST);
            let json = serde_json::to_string(secret.trim()).unwrap_or_default();
            let json = json.trim_matches('"').to_owned();
            self.values.extend(lines.map(str::to_owned));
            self.values.extend(Some(json).filter(|json| json.len() >= SHORTEST));
        }
        self.values.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        self.values.dedup();
    }

    /// The text without them, and without passwords in addresses (`https://user:password@host`).
    pub fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for value in &self.values {
            if text.contains(value.as_str()) {
                text = text.replace(value.as_str(), STRUCK);
            }
        }
        without_passwords(&text)
    }

    /// The fault without them, whatever lies beneath it.
    #[must_use]
    pub fn fault(&self, fault: Fault) -> Fault {
        let chain = fault.chain();
        let hint = fault.hint.as_deref().map(|hint| self.text(hint));
        let shown = self.text(&chain);
        if shown == chain && hint == fault.hint {
            return fault;
        }
        Fault { message: shown, hint, source: None, code: fault.code }
    }
}

/// Strikes out what stands between `://user:` and `@` (RFC 3986, 3.2.1).
fn without_passwords(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after.find(|c: char| c.is_whitespace() || "/?#'\"".contains(c)).unwrap_or(after.len());
        let authority = &after[..end];
        match authority.rsplit_once('@').and_then(|(user, host)| Some((user.split_once(':')?.0, host))) {
            Some((user, host)) => {
                out.push_str(&format!("{user}:{STRUCK}@{host}"));
            }
            None => out.push_str(authority),
        }
        rest = &after[end..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_struck_out_wherever_they_stand() {
        let mut redactor = Redactor::default();
        redactor
            .learn(["hunter22", "hunter2", "abc", "-----BEGIN X-----\nMIIB\n", "a\"b\\c", "true"].map(str::to_owned));
        for (text, shown) in [
            ("password hunter22 is wrong", "password ******** is wrong"),
            ("hunter2hunter22", "****************"),
            ("abc stays: it is too short", "abc stays: it is too short"),
            ("line MIIB of a key", "line ******** of a key"),
            (r#"{"p": "a\"b\\c"}"#, r#"{"p": "********"}"#),
            ("https://bot:tok3n@git.example/x.git?a", "https://bot:********@git.example/x.git?a"),
            ("postgres://u:p@ss@db/x, http://plain/@x:y", "postgres://u:********@db/x, http://plain/@x:y"),
        ] {
            assert_eq!(redactor.text(text), shown);
        }
        assert!(!format!("{redactor:?}").contains("hunter"));
    }

    #[test]
    fn a_fault_keeps_its_code_and_loses_what_lies_beneath() {
        let mut redactor = Redactor::default();
        redactor.learn(["hunter2".to_owned()]);
        let fault = Fault::new("cannot connect").because("auth hunter2").hint("try hunter2").code(75);
        let fault = redactor.fault(fault);
        assert_eq!(fault.chain(), "cannot connect: auth ********");
        assert_eq!((fault.hint.as_deref(), fault.code), (Some("try ********"), 75));
        assert!(redactor.fault(Fault::new("a").because("b")).source.is_some());
    }
}
