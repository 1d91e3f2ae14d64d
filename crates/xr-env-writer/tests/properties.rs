//! Properties that hold for every file and every value.

use proptest::prelude::*;
use xr_env_writer::{EnvFile, MergeRules, Secret, merge};

/// Pieces that make odd but often valid files.
fn odd_file() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "A",
        "B",
        "KEY_1",
        "=",
        "=",
        " = ",
        ":",
        "\n",
        "\n",
        "\r\n",
        "'",
        "\"",
        "'x y'",
        "\"a\\n$B\"",
        "$A",
        "${A:-b}",
        "${",
        " # c",
        "#",
        "# note\n",
        "export ",
        "\\",
        " ",
        "\t",
        "value",
        "é",
        "\u{feff}",
        "\u{a0}",
        "\"two\nlines\"",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn value() -> impl Strategy<Value = String> {
    let nasty = prop::sample::select(vec![
        "$", "${", "}", "$A", "'", "\"", "\\", "`", " ", "#", " #", "\n", "\r", "\r\n", "\t", "=", "!", "&", "/", "é",
        "a", "0", "~",
    ]);
    prop_oneof![
        prop::collection::vec(nasty, 0..12).prop_map(|pieces| pieces.concat()),
        any::<String>().prop_map(|text| text.replace('\0', "")),
    ]
}

fn dotenvy(bytes: &[u8], key: &str) -> Option<String> {
    dotenvy::Iter::new(bytes).filter_map(Result::ok).filter(|(name, _)| name == key).last().map(|(_, value)| value)
}

/// A file that gives some of eight keys one of four values.
fn small_file() -> impl Strategy<Value = String> {
    prop::collection::btree_map(0..8u8, 0..4u8, 0..8)
        .prop_map(|values| values.into_iter().map(|(key, value)| format!("K{key}={value}\n")).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn an_unmodified_file_keeps_its_bytes(text in odd_file()) {
        if let Ok(file) = EnvFile::parse(text.as_bytes()) {
            prop_assert_eq!(file.to_bytes(), text.into_bytes());
            let _ = (file.entries(), file.pitfalls(), file.duplicates());
        }
    }

    #[test]
    fn parsing_any_bytes_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = EnvFile::parse(&bytes);
    }

    #[test]
    fn a_value_that_is_set_reads_back_the_same_here_and_in_dotenvy(value in value()) {
        let mut file = EnvFile::parse(b"A=1\nK=old # c\nB=2\n").unwrap();
        file.set("K", &value).unwrap();
        file.set("NEW", &value).unwrap();
        let bytes = file.to_bytes();
        let again = EnvFile::parse(&bytes).unwrap();
        for key in ["K", "NEW"] {
            prop_assert_eq!(again.get(key).unwrap().text, value.as_str());
            prop_assert_eq!(dotenvy(&bytes, key), Some(value.clone()));
        }
        prop_assert_eq!(again.get("A").unwrap().text, "1");
        prop_assert_eq!(again.get("B").unwrap().text, "2");
    }

    #[test]
    fn set_reads_back_in_any_file_and_leaves_other_keys_alone(text in odd_file(), value in value()) {
        if let Ok(before) = EnvFile::parse(text.as_bytes()) {
            let mut after = before.clone();
            after.set("A", &value).unwrap();
            prop_assert_eq!(after.get("A").unwrap().text, value);
            let raw = |file: &EnvFile| -> Vec<(String, String)> {
                let others = file.entries().into_iter().filter(|entry| entry.key != "A");
                others.map(|entry| (entry.key.to_owned(), entry.raw.to_owned())).collect()
            };
            prop_assert_eq!(raw(&before), raw(&after));
        }
    }

    #[test]
    fn a_merge_keeps_every_value_of_the_admin_and_settles_at_once(current in odd_file(), template in odd_file()) {
        let (Ok(current), Ok(template)) = (EnvFile::parse(current.as_bytes()), EnvFile::parse(template.as_bytes())) else {
            return Ok(());
        };
        let mut secrets = |_: &_| Secret::new("s");
        let Ok(once) = merge(&current, None, &template, &MergeRules::default(), &mut secrets) else { return Ok(()) };
        for entry in current.entries() {
            let found = once.file.entries().iter().any(|other| other.key == entry.key && other.raw == entry.raw);
            prop_assert!(found);
        }
        let twice = merge(&once.file, Some(&template), &template, &MergeRules::default(), &mut secrets).unwrap();
        prop_assert_eq!(twice.file.to_bytes(), once.file.to_bytes());
    }

    #[test]
    fn the_admins_changes_win_the_publishers_others_come_in_and_nothing_is_lost(
        base in small_file(), mine in small_file(), theirs in small_file(), adopting in any::<bool>()
    ) {
        let [base, mine, theirs] = [base, mine, theirs].map(|text| EnvFile::parse(text.as_bytes()).unwrap());
        prop_assume!(!mine.keys().is_empty()); // an empty file is a first install: all of it comes in
        let rules = MergeRules { add_missing: adopting, ..MergeRules::default() };
        let merged = merge(&mine, Some(&base), &theirs, &rules, &mut |_| Secret::new("s")).unwrap();
        let of = |file: &EnvFile, key: &str| file.get(key).map(|value| value.text);
        for key in (0..8).map(|key| format!("K{key}")) {
            let expect = match (of(&base, &key), of(&mine, &key), of(&theirs, &key)) {
                (base, Some(mine), Some(theirs)) => Some(if base.as_ref() == Some(&mine) { theirs } else { mine }),
                (_, mine @ Some(_), None) => mine,
                (Some(_), None, _) if !adopting => None,
                (_, None, theirs) => theirs,
            };
            prop_assert_eq!(of(&merged.file, &key), expect, "{}", key);
            prop_assert_eq!(merged.added.contains(&key), !mine.contains(&key) && merged.file.contains(&key));
        }
    }
}
