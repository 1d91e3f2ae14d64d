//! Paths in what others wrote.

use std::path::{Component, Path};

/// Whether a path from a root stays below it: relative, not empty, without `..` and control characters. A symbolic link may
/// still lead out.
pub fn stays_inside(path: &str) -> bool {
    let mut parts = Path::new(path).components();
    !path.is_empty()
        && !path.contains(char::is_control)
        && parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

/// Whether this is the name of one file: no folder, not hidden by being none.
pub fn is_file_name(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)) && !name.ends_with('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_out_is_told_from_what_stays() {
        for (path, inside, name) in [
            ("docker/.env", true, false),
            ("./a", true, false),
            ("a", true, true),
            ("-x", true, true),
            ("../a", false, false),
            ("a/../../b", false, false),
            ("/etc/passwd", false, false),
            ("a/", true, false),
            ("..", false, false),
            (".", true, false),
            ("", false, false),
            ("a\nb", false, true),
        ] {
            assert_eq!((stays_inside(path), is_file_name(path)), (inside, name), "{path}");
        }
    }
}
