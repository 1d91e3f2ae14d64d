//! The real `docker compose` reads what this crate says it reads. `docker compose config` needs no daemon.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use xr_env_writer::{EnvFile, Quoting};

/// What one service got: name to value.
type Environment = BTreeMap<String, String>;

/// What compose reads in a `.env`: for `${NAME}` in the compose file, and through `env_file`.
struct Reading {
    interpolated: Environment,
    env_file: Environment,
}

/// Asks compose; an error is its message. Nothing of this process's environment but what docker needs reaches it.
fn compose(env: &[u8], keys: &[&str]) -> Result<Reading, String> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let variables: String = keys.iter().map(|key| format!("      {key}: ${{{key}-is-unset}}\n")).collect();
    let variables = if keys.is_empty() { "      NONE: none\n".to_owned() } else { variables };
    let yaml = format!(
        "services:\n  interpolated:\n    image: x\n    environment:\n{variables}  env_file:\n    image: x\n    env_file: .env\n"
    );
    put(&dir.path().join(".env"), env);
    put(&dir.path().join("compose.yaml"), yaml.as_bytes());
    let output = duct::cmd!("docker", "compose", "-f", "compose.yaml", "config", "--format", "json")
        .dir(dir.path())
        .full_env([("PATH", std::env::var("PATH").unwrap_or_default()), ("HOME", dir.path().display().to_string())])
        .stdout_capture()
        .stderr_capture()
        .unchecked()
        .run()
        .expect("docker is not installed: run `cargo xtask test --no-lab`");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!stderr.contains("unknown command"), "docker compose v2 is not installed: run `cargo xtask test --no-lab`");
    if !output.status.success() {
        return Err(stderr.into_owned());
    }
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("compose prints JSON");
    let of = |service: &str| -> Environment {
        let found = json["services"][service]["environment"].as_object();
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().replace("$$", "$");
        found.into_iter().flatten().map(|(key, value)| (key.clone(), text(value))).collect()
    };
    Ok(Reading { interpolated: of("interpolated"), env_file: of("env_file") })
}

#[expect(clippy::disallowed_methods, reason = "a test's own scratch file")]
fn put(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).expect("a scratch file");
}

/// Hundreds of values, the same on every run: each nasty piece alone, and random strings of them.
fn values() -> Vec<String> {
    let nasty = vec![
        "$", "${", "}", "$A", "$$", "${A:-b}", "'", "\"", "\\", "\\n", "`", " ", "#", " #", "\n", "\r\n", "\t", "=",
        "!", "&", "/", "é", "日本", "a", "0", "~", ":", "|", ";", "(", "%s", "<", "*",
    ];
    let mut values: Vec<String> = nasty.iter().map(|piece| (*piece).to_owned()).collect();
    values.push(String::new());
    let random = prop_oneof![
        3 => prop::collection::vec(prop::sample::select(nasty), 1..10).prop_map(|pieces| pieces.concat()),
        1 => any::<String>().prop_map(|text| text.replace('\0', "")),
    ];
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    values.extend((0..600).map(|_| random.new_tree(&mut runner).expect("a value").current()));
    values
}

#[test]
fn compose_reads_back_every_value_that_was_set() {
    let values = values();
    let names: Vec<String> = (0..values.len()).map(|at| format!("X{at}")).collect();
    // Every second value replaces one that stands before a comment, the others are appended.
    let start: String = names.iter().step_by(2).map(|name| format!("export {name}=old # note\n")).collect();
    let mut file = EnvFile::parse(start.as_bytes()).expect("a plain file");
    for (name, value) in names.iter().zip(&values) {
        file.set(name, value).expect("every value without NUL has a spelling");
    }
    let keys: Vec<&str> = names.iter().map(String::as_str).collect();
    let read = compose(&file.to_bytes(), &keys).expect("compose reads the file");
    for (name, value) in names.iter().zip(&values) {
        assert_eq!(read.interpolated.get(name), Some(value), "${{{name}}}");
        assert_eq!(read.env_file.get(name), Some(value), "env_file {name}");
    }
}

/// Files as people write them; `A` to `E` are looked at.
const ODD: &[&str] = &[
    "A=1\n",
    "A=a # c\nB=   # c\nC=#x\nD= #x\nE=a#b\n",
    "A=a\t# c\nB=\t# c\nC='x'# c\n",
    "A='it\\'s'\nB='a\\nb'\nC='$A'\nD='a\\\\b'\n",
    "A=\"x\\\"y\"\nB=\"x\\\\\"\nC=\"\\$A \\\\$A\"\nD=\"a\\tb\\q\\a\"\nE=\"x\\0134 it\\047s \\0777 \\0\"\n",
    "A=\"two\nlines\"\nB='and\r\nthree' # c\nC=1",
    "A=1\r\nB=\"2\"\r\nC=\r\nD=   \r\n# c\r\nE=5\r\n",
    "\u{feff}A=1\nB=2\n",
    "  export A=1\nexport\tB=2\nexport\nC=3\nexportD=4\n",
    "A = 1\nB= 2 \nC =\nD\t=\t4\n",
    "A: yaml\nB:2\n",
    "A\nB=2\n",
    "A=1\nA=2\nB=$A\nA=3\n",
    "A=1\nB=${A}$A${Q-d}${Q:-e}\nC=${A:+yes}${Q+no}\nD=${Q:-${A}}\nE=${Q:-{x}}\n",
    "A=a$\nB=a$1\nC=a$$b\nD=\"$\"\nE=$$$A\n",
    "A=pa$word\nB=\"pa${word}\"\n",
    "A=a\"b\"\nB=a'b\nC=`id`\nD=\\n\\\\x\n",
    "A=\"q\" B=2\nC='x'D='y'\n",
    "A=a\u{a0}\nB=\u{a0}b\nC=é\nD=a\rb\n",
    "é=1\nA-B=2\nA.B=3\nA[0]=4\nA=5\n",
    "# only\n\n   # comments\n",
    "",
    "A=http://h/?a=1&b=2#frag\nB=x=y\nC=--flag v\n",
    "DJANGO='django-insecure-#x$y'\nA=[\"a\", \"b\"]\nB={\"k\": \"v\"}\n",
    "A=${A:-x}\nB=${B}${A}\n",
];

/// Files that compose refuses.
const REFUSED: &[&str] = &[
    "A='x\n",
    "A=\"x\\\"\n",
    "A='x\\'",
    "A B=1\n",
    "A!=1\n",
    "A='a'\"b\"\n",
    "A=${\n",
    "A=${A",
    "A=${1}\n",
    "A=${Q:?need}\n",
    "A=\"${\"\n",
    "\"A\"=1\n",
];

#[test]
fn odd_files_read_the_same_here_and_in_compose() {
    let keys = ["A", "B", "C", "D", "E"];
    for text in ODD {
        let file = EnvFile::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        let read = compose(text.as_bytes(), &keys).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        for key in keys {
            let expect = file.get(key).map_or("is-unset".to_owned(), |value| value.text);
            assert_eq!(read.interpolated[key], expect, "${{{key}}} of {text:?}");
        }
        // `env_file` shows every name, so it also shows that none is missed or invented.
        // There, names are looked up in the project's environment first, which this same file has filled.
        let project = |name: &str| file.get(name).map(|value| value.text);
        let mut mine = Environment::new();
        for entry in file.entries().iter().filter(|entry| entry.quoting != Quoting::Bare) {
            mine.insert(entry.key.to_owned(), file.get_with(entry.key, &project).expect("a value").text);
        }
        assert_eq!(read.env_file, mine, "env_file {text:?}");
    }
}

#[test]
fn what_is_refused_here_is_refused_by_compose() {
    for text in REFUSED {
        assert!(compose(text.as_bytes(), &[]).is_err(), "compose reads {text:?}");
        let refused = match EnvFile::parse(text.as_bytes()) {
            Ok(file) => file.entries().iter().any(|e| e.value.as_ref().is_some_and(|value| value.problem.is_some())),
            Err(_) => true,
        };
        assert!(refused, "accepted here: {text:?}");
    }
}
