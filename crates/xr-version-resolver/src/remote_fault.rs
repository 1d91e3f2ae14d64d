//! Why a remote could not be used: it does not answer just now, or it never will like this.

use std::{fs, path::Path};

use xr_host::{Cmd, Output};
use xr_model::{Fault, exit};

use crate::Checkout;

/// What git, ssh and curl say when the line is bad (`LC_ALL=C`).
const BAD_LINE: [&str; 22] = [
    "could not resolve",
    "temporary failure in name resolution",
    "timed out",
    "timeout",
    "connection refused",
    "connection reset",
    "connection closed by",
    "network is unreachable",
    "no route to host",
    "failed to connect",
    "couldn't connect",
    "operation too slow",
    "early eof",
    "unexpected disconnect",
    "remote end hung up unexpectedly",
    "rpc failed",
    "requested url returned error: 5",
    "requested url returned error: 429",
    "empty reply from server",
    "kex_exchange_identification",
    "ssl_error_syscall",
    "gnutls_handshake",
];

/// What a remote says that answers and refuses.
const NO_ACCESS: [&str; 6] = [
    "authentication failed",
    "permission denied",
    "could not read username",
    "could not read password",
    "requested url returned error: 403",
    "terminal prompts disabled",
];

/// What git says when this clone, not the remote, is the trouble.
const HERE: [&str; 6] = [
    ".lock': File exists",
    "cannot lock ref",
    "insufficient permission",
    "cannot open '.git",
    "unable to write",
    "No space left",
];

#[derive(Debug, PartialEq, Eq)]
enum Why {
    HostKey,
    NoAccess,
    BadLine,
    Gone,
}

fn why(said: &str) -> Why {
    let said = said.to_lowercase();
    let any = |list: &[&str]| list.iter().any(|text| said.contains(text));
    if said.contains("host key verification failed") {
        Why::HostKey
    } else if any(&NO_ACCESS) {
        Why::NoAccess
    } else if any(&BAD_LINE) {
        Why::BadLine
    } else {
        Why::Gone
    }
}

impl Checkout {
    /// The fault for a git command that talked to `remote` in vain.
    pub(crate) fn remote_fault(&self, remote: &str, cmd: &Cmd, output: &Output) -> Fault {
        let said = redact(&output.error_text());
        let root = xr_model::shell(&self.root);
        let refused = dubious(&said);
        let own_repository = refused.is_some_and(|path| self.is_own(path));
        if own_repository || HERE.iter().any(|text| said.contains(text)) {
            return self.local_fault("write what was fetched", cmd, output);
        }
        let url = self.config().ok().and_then(|config| config.remotes.get(remote).cloned()).map(|url| redact(&url));
        let name = url.map_or_else(|| format!("`{remote}`"), |url| format!("`{remote}` ({url})"));
        if let Some(path) = refused {
            let user = self.user();
            // A path as in the URL, from the clone's root; git advises it so and then takes only the whole one.
            let whole = if Path::new(path).is_relative() { fs::canonicalize(self.root.join(path)).ok() } else { None };
            let whole = whole.unwrap_or_else(|| path.into());
            return Fault::new(format!(
                "the git remote {name} belongs to another user than {user}, so git refuses to read {path}"
            ))
            .hint(format!(
                "git config --global --add safe.directory {}   # as {user}; or give the remote that owner",
                xr_model::shell(&whole)
            ));
        }
        let line = match output.silent_for {
            Some(silence) => format!("timeout: it made no progress for {} s", silence.as_secs_f32()),
            None => cause(&said),
        };
        match if output.silent_for.is_some() { Why::BadLine } else { why(&said) } {
            Why::HostKey => Fault::new(format!("the host key of the git remote {name} is not known: {line}")).hint(
                format!("git -C {root} ls-remote {remote} HEAD   # once, by hand, as {}; compare the key", self.user()),
            ),
            Why::NoAccess => Fault::new(format!("the git remote {name} refuses access: {line}")).hint(format!(
                "git -C {root} ls-remote {remote} HEAD   # must work without a question, as {}",
                self.user()
            )),
            Why::BadLine if output.silent_for.is_some() => {
                Fault::new(format!("the git remote {name} does not answer: {line}"))
                    .hint(format!(
                        "git -C {root} ls-remote {remote} HEAD   # by hand; a slow one wants more `patience` under [network] in .xr/site.toml"
                    ))
                    .code(exit::TRY_LATER)
            }
            Why::BadLine => Fault::new(format!("the git remote {name} does not answer: {line}"))
                .hint(format!("git -C {root} remote -v; then try again later"))
                .code(exit::TRY_LATER),
            Why::Gone => Fault::new(format!("the git remote {name} cannot be read: {line}"))
                .hint(format!("git -C {root} remote -v")),
        }
    }

    /// Whether git means this clone by `path`: a remote beside it may begin with the same letters.
    fn is_own(&self, path: &str) -> bool {
        [&self.root, &self.root.join(".git"), &self.git_dir, &self.common_dir].iter().any(|own| *own == Path::new(path))
    }

    /// Whom git runs as, for hints.
    fn user(&self) -> String {
        match &self.identity {
            Some(identity) => identity.name.clone().unwrap_or_else(|| format!("user {}", identity.uid)),
            None => "the user that runs xr".to_owned(),
        }
    }
}

/// The line that says most: git's last lines are advice.
fn cause(said: &str) -> String {
    let advice = |line: &&str| {
        !line.is_empty() && !line.starts_with("Please make sure") && !line.starts_with("and the repository exists")
    };
    let lines: Vec<&str> = said.lines().map(str::trim).filter(advice).collect();
    let telling = lines
        .iter()
        .find(|line| why(line) != Why::Gone)
        .or_else(|| lines.iter().find(|line| line.contains("not found")));
    telling.or_else(|| lines.iter().find(|line| line.starts_with("fatal:"))).or_else(|| lines.last()).map_or_else(
        || "git said nothing".to_owned(),
        |line| line.trim_start_matches("fatal: ").chars().take(300).collect(),
    )
}

/// The repository that git refuses because it belongs to another user, as git names it: a remote's as its URL does.
fn dubious(said: &str) -> Option<&str> {
    let line = said.lines().find_map(|line| line.split_once("dubious ownership in repository at '"));
    line.map(|(_, path)| path.trim_end().trim_end_matches('\''))
}

/// Blanks out the user and password of every URL.
fn redact(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after.find(|c: char| c == '/' || c == '\'' || c.is_whitespace()).unwrap_or(after.len());
        rest = match after[..end].rfind('@') {
            Some(host) => {
                out.push_str("***");
                &after[host..]
            }
            None => after,
        };
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_line_is_told_from_a_refusal() {
        let table = [
            ("fatal: unable to access 'https://x/': Could not resolve host: x", Why::BadLine),
            (
                "ssh: connect to host x port 22: Connection refused\nfatal: Could not read from remote repository.",
                Why::BadLine,
            ),
            ("fatal: unable to access 'https://x/': The requested URL returned error: 503", Why::BadLine),
            (
                "fatal: '/x' does not appear to be a git repository\nfatal: Could not read from remote repository.",
                Why::Gone,
            ),
            ("ERROR: Repository not found.\nfatal: Could not read from remote repository.", Why::Gone),
            ("git@x: Permission denied (publickey).\nfatal: Could not read from remote repository.", Why::NoAccess),
            ("fatal: could not read Username for 'https://x': terminal prompts disabled", Why::NoAccess),
            ("Host key verification failed.\nfatal: Could not read from remote repository.", Why::HostKey),
        ];
        for (said, expected) in table {
            assert_eq!(why(said), expected, "{said}");
        }
    }

    #[test]
    fn a_remote_beside_the_clone_is_not_taken_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap().join("ttu");
        let git = |argv: &[&str]| Cmd::new("git").arg("-C").arg(&root).args(argv).ok().unwrap();
        fs::create_dir(&root).unwrap();
        fs::create_dir(root.with_extension("git")).unwrap();
        git(&["init", "-q"]);
        git(&["remote", "add", "origin", &format!("{}.git", root.display())]);
        let checkout = Checkout::open(&root).unwrap().unwrap();
        let fault = |path: &str| {
            let said = format!(
                "fatal: detected dubious ownership in repository at '{path}'\nTo add an exception for this directory, \
                 call:\n\n\tgit config --global --add safe.directory {path}\n\
                 fatal: Could not read from remote repository."
            );
            let output = Output { code: 128, stdout: Vec::new(), stderr: said.into_bytes(), silent_for: None };
            checkout.remote_fault("origin", &Cmd::new("git"), &output)
        };
        let root = root.display().to_string();
        for (path, named) in [
            (format!("{root}.git"), format!("{root}.git")),
            ("../ttu.git".to_owned(), format!("{root}.git")),
            (format!("{root}-2/.git"), format!("{root}-2/.git")),
        ] {
            let fault = fault(&path);
            assert!(fault.message.starts_with(&format!("the git remote `origin` ({root}.git)")), "{}", fault.message);
            let hint = fault.hint.unwrap();
            assert!(hint.starts_with(&format!("git config --global --add safe.directory {named} ")), "{hint}");
        }
        for path in [root.clone(), format!("{root}/.git")] {
            assert!(fault(&path).message.contains("its .git belong to different users"), "{path}");
        }
    }

    #[test]
    fn the_telling_line_is_shown_and_passwords_are_not() {
        assert_eq!(
            cause("ERROR: Repository not found.\nfatal: Could not read from remote repository."),
            "ERROR: Repository not found."
        );
        assert_eq!(
            cause("warning: x\nfatal: '/y' does not appear to be a git repository"),
            "'/y' does not appear to be a git repository"
        );
        assert_eq!(redact("to 'https://me:tok@en@x.org/a' and ssh://x/b"), "to 'https://***@x.org/a' and ssh://x/b");
    }
}
