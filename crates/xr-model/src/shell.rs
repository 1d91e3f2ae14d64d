//! Paths inside commands that an admin is to paste.

use std::path::Path;

/// The path as a word of a POSIX shell: as it is when nothing in it means anything there, else in single quotes.
pub fn shell(path: &(impl AsRef<Path> + ?Sized)) -> String {
    let text = path.as_ref().to_string_lossy();
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@%,=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_shell_would_split_or_expand_is_quoted() {
        for (path, word) in [
            ("/srv/shop/.env", "/srv/shop/.env"),
            ("/srv/größe", "/srv/größe"),
            ("/srv/my shop", "'/srv/my shop'"),
            ("/srv/$HOME;x", "'/srv/$HOME;x'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
        ] {
            assert_eq!(shell(path), word);
        }
    }
}
