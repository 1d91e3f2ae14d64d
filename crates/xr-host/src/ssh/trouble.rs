//! Why a host is not reached, read from what ssh says.

use std::io;

use xr_model::{Fault, exit};

/// The kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It does not answer: off, cut off, or the address is wrong.
    Away,
    /// It answers and takes no more connections just now.
    Busy,
    /// No key of it was accepted yet.
    UnknownHostKey,
    /// It is not the host whose key was accepted.
    OtherHostKey,
    /// It does not let this user in.
    Key,
    /// ssh itself refused: its settings, or no ssh.
    Settings,
}

/// A host that was not reached.
#[derive(Debug)]
pub struct Unreached {
    /// The kind.
    pub kind: Trouble,
    /// In words, with what to do.
    pub fault: Fault,
}

impl Unreached {
    /// Reads what ssh said before it gave up. Its wording is that of OpenSSH's ssh.c, sshconnect.c and sshconnect2.c.
    pub(super) fn read(destination: &str, said: &str) -> Self {
        let lower = said.to_lowercase();
        let any = |words: &[&str]| words.iter().any(|word| lower.contains(word));
        let kind = if any(&["host identification has changed"]) {
            Trouble::OtherHostKey
        } else if any(&["host key verification failed"]) {
            Trouble::UnknownHostKey
        } else if any(&["permission denied", "too many authentication failures", "no supported authentication"]) {
            Trouble::Key
        } else if any(&["bad configuration", "bad owner or permissions", "unsupported option", "extra arguments"]) {
            Trouble::Settings
        } else if any(&[
            "kex_exchange_identification",
            "banner exchange",
            "connection closed by",
            "connection reset by",
            "exceeded maxstartups",
        ]) && !any(&["timed out", "no route", "refused"])
        {
            Trouble::Busy
        } else {
            Trouble::Away
        };
        let because = last_words(said);
        let fault = match kind {
            Trouble::OtherHostKey => {
                Fault::new(format!("{destination}: the host key is not the one that was accepted: another machine answers, or it was installed anew"))
                    .hint(format!("compare the fingerprint with the machine's own (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), then: xr worker remove NAME --force; xr worker add {destination}   (or ssh-keygen -R {} where the key is in ~/.ssh/known_hosts)", host(destination)))
            }
            Trouble::UnknownHostKey => Fault::new(format!("{destination}: its host key was never accepted"))
                .hint(format!("xr worker add {destination}   (shows the fingerprint and asks)")),
            Trouble::Key => Fault::new(format!("{destination} does not let this user in: {because}"))
                .hint(format!("ssh {destination} must work without a question; ssh-copy-id {destination}")),
            Trouble::Busy => Fault::new(format!("{destination} takes no connection just now: {because}"))
                .hint(format!("ssh -v {destination} true"))
                .code(exit::TRY_LATER),
            Trouble::Settings => {
                Fault::new(format!("ssh refuses its settings: {because}")).hint(format!("ssh -G {destination}"))
            }
            Trouble::Away => Fault::new(format!("{destination} does not answer: {because}"))
                .hint(format!("ssh -v {destination} true"))
                .code(exit::TRY_LATER),
        };
        Self { kind, fault }
    }

    pub(super) fn silent(destination: &str, because: &str) -> Self {
        let fault = Fault::new(format!("{destination} does not answer: {because}"));
        Self { kind: Trouble::Away, fault: fault.hint(format!("ssh -v {destination} true")).code(exit::TRY_LATER) }
    }

    pub(super) fn not_started(destination: &str, error: io::Error) -> Self {
        let missing = error.kind() == io::ErrorKind::NotFound;
        let fault = Fault::new(format!("cannot start ssh to {destination}")).because(error);
        let hint = if missing { "apt-get install openssh-client" } else { "df -h /tmp /run" };
        Self { kind: Trouble::Settings, fault: fault.hint(hint) }
    }
}

/// The host of a destination, without user and scheme.
fn host(destination: &str) -> &str {
    let rest = destination.strip_prefix("ssh://").unwrap_or(destination);
    rest.rsplit('@').next().unwrap_or(rest)
}

/// The line that says most: the last one that is no decoration.
fn last_words(said: &str) -> String {
    let lines = said.lines().map(|line| line.trim().trim_end_matches('.'));
    let told: Vec<&str> = lines.filter(|line| !line.is_empty() && !line.starts_with(['@', '*'])).collect();
    let last = told.last().copied().unwrap_or("ssh said nothing");
    last.strip_prefix("ssh: ").unwrap_or(last).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ssh_says_is_understood() {
        for (said, kind) in [
            ("ssh: connect to host 10.0.0.9 port 22: Connection timed out", Trouble::Away),
            ("ssh: connect to host 10.0.0.9 port 22: Connection refused", Trouble::Away),
            ("ssh: Could not resolve hostname nowhere: Name or service not known", Trouble::Away),
            ("Connection timed out during banner exchange\nConnection to 10.0.0.9 port 22 timed out", Trouble::Away),
            (
                "kex_exchange_identification: Connection closed by remote host\nConnection closed by 10.0.0.9 port 22",
                Trouble::Busy,
            ),
            (
                "kex_exchange_identification: read: Connection reset by peer\r\nConnection reset by 10.0.0.9 port 22\r\n",
                Trouble::Busy,
            ),
            (
                "No ED25519 host key is known for w and you have requested strict checking.\nHost key verification failed.",
                Trouble::UnknownHostKey,
            ),
            (
                "@@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.",
                Trouble::OtherHostKey,
            ),
            ("root@10.0.0.9: Permission denied (publickey).", Trouble::Key),
            ("/root/.ssh/config: line 1: Bad configuration option: foo", Trouble::Settings),
        ] {
            let read = Unreached::read("root@10.0.0.9", said);
            assert_eq!(read.kind, kind, "{said}");
            assert!(read.fault.hint.is_some() && !read.fault.message.contains('\n'), "{:?}", read.fault);
        }
    }

    #[test]
    fn a_changed_host_key_is_told_from_an_unknown_one() {
        let changed = Unreached::read(
            "root@w",
            "WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!\nHost key verification failed.",
        );
        assert!(changed.fault.message.contains("not the one that was accepted"), "{}", changed.fault);
        assert!(changed.fault.hint.unwrap().contains("ssh-keygen -R w "));
    }
}
