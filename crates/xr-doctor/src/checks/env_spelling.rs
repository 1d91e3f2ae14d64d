//! Can `.env` be read, and does each line mean what it seems to?

use xr_env_writer::{EnvFile, PitfallKind, is_secret_key};

use crate::{
    facts::Facts,
    finding::{Finding, Fix},
};

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let name = facts.env_name();
    let env = match &facts.settings.env {
        Err(trouble) => {
            return vec![Finding::problem("env.unreadable", name, &trouble.message).hint(trouble.hint.clone())];
        }
        Ok(None) => return missing(facts),
        Ok(Some(env)) => env,
    };
    let mut found = duplicates(name, env);
    for pitfall in env.pitfalls() {
        let subject = format!("{name}:{}", pitfall.line);
        let finding = match weight(pitfall.kind, pitfall.key.as_deref()) {
            Weight::Problem => Finding::problem("env.trap", &subject, &pitfall.message),
            Weight::Warning => Finding::warning("env.trap", &subject, &pitfall.message),
            Weight::News => Finding::info("env.trap", &subject, &pitfall.message),
        };
        let command = match &pitfall.key {
            Some(key) => format!("xr env set {key} 'VALUE'"),
            None => "xr doctor --fix".to_owned(),
        };
        let finding = finding.command(command);
        let safe = pitfall.fix.filter(|fix| reads_the_same(env, fix));
        found.push(match safe {
            Some(how) => {
                let what = pitfall.key.as_deref().unwrap_or("of the file");
                finding.fix(Fix::Respell { at: format!("{subject} ({what})"), how })
            }
            None => finding,
        });
    }
    if found.is_empty() {
        found.push(Finding::info(
            "env.spelling",
            name,
            format!("{} keys, each read the same by everybody", env.keys().len()),
        ));
    }
    found
}

fn missing(facts: &Facts) -> Vec<Finding> {
    let path = facts.env_path();
    let finding = Finding::problem(
        "env.missing",
        facts.env_name(),
        "is missing; it holds this installation's settings and secrets",
    );
    match (&facts.settings.copy, facts.current()) {
        (Some(copy), _) => {
            vec![finding.command(format!("cp -p {} {}", xr_model::shell(&copy), xr_model::shell(&path)))]
        }
        (None, Some(_)) => vec![finding.command("restore it from a backup")],
        (None, None) if facts.layout.is_some() && facts.all_containers().is_empty() => {
            vec![Finding::info("env.missing", facts.env_name(), "is made at the first install").command("xr install")]
        }
        (None, None) => vec![finding.command("restore it from a backup")],
    }
}

fn duplicates(name: &str, env: &EnvFile) -> Vec<Finding> {
    let told = env.duplicates().into_iter().map(|duplicate| {
        let last = duplicate.lines.last().copied().unwrap_or(0);
        let lines: Vec<String> = duplicate.lines.iter().map(ToString::to_string).collect();
        let differ = if duplicate.values_differ { "with different values" } else { "with the same value" };
        let evidence =
            format!("{} is set on lines {} {differ}; compose takes line {last}", duplicate.key, lines.join(", "));
        let finding = Finding::problem("env.duplicate", format!("{name}:{last}"), evidence).command("xr doctor --fix");
        let can = env.clone().collapse_duplicates(&duplicate.key).is_ok();
        if can {
            finding.fix(Fix::Duplicate { key: duplicate.key })
        } else {
            finding.command(format!("edit {name}: another line refers to {}", duplicate.key))
        }
    });
    told.collect()
}

enum Weight {
    Problem,
    Warning,
    News,
}

fn weight(kind: PitfallKind, key: Option<&str>) -> Weight {
    match kind {
        PitfallKind::RefusedReference => Weight::Problem,
        PitfallKind::Interpolates if key.is_some_and(is_secret_key) => Weight::Warning,
        PitfallKind::CommentAsValue
        | PitfallKind::UnsetReference
        | PitfallKind::QuotesInside
        | PitfallKind::SharedLine
        | PitfallKind::BareKey
        | PitfallKind::Bom
        | PitfallKind::CrLf
        | PitfallKind::NoFinalNewline => Weight::Warning,
        PitfallKind::Interpolates
        | PitfallKind::DotenvyDiffers
        | PitfallKind::Export
        | PitfallKind::SpacesAroundEquals
        | PitfallKind::ColonSeparator => Weight::News,
    }
}

/// Whether compose reads every key as before.
fn reads_the_same(env: &EnvFile, fix: &xr_env_writer::Fix) -> bool {
    let mut repaired = env.clone();
    let text = |file: &EnvFile, key: &str| file.get(key).map(|value| (value.text, value.problem.is_some()));
    repaired.apply(fix).is_ok()
        && env.keys() == repaired.keys()
        && env.keys().into_iter().all(|key| text(env, key) == text(&repaired, key))
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};
    use crate::Trouble;

    #[test]
    fn traps_have_their_weight_and_only_repairs_that_change_nothing_are_made() {
        for (text, expect, fixed) in [
            ("A=1\n", "ok env.spelling", false),
            ("A=1", "warning env.trap", true),
            ("\u{feff}A=1\n", "warning env.trap", true),
            ("A=1\r\nB=2\r\n", "warning env.trap", true),
            ("A='x\r\ny'\r\n", "warning env.trap", false),
            ("A=   # comment\n", "warning env.trap", false),
            ("A=a\"b\"\n", "warning env.trap", true),
            ("A=two words\n", "note env.trap", true),
            ("DB_PASSWORD=p$word\n", "warning env.trap", false),
            ("A=${\n", "problem env.trap", false),
            ("A=1\nA=2\n", "problem env.duplicate", true),
            ("A=1\nB=$A\nA=2\n", "problem env.duplicate", false),
        ] {
            let found = check(&changed(|f| f.settings.env = env(text)));
            assert_eq!((words(&found)[0].as_str(), found[0].fix.is_some()), (expect, fixed), "{text:?}");
        }
    }

    #[test]
    fn no_value_is_ever_shown() {
        let facts = changed(|f| f.settings.env = env("A=1\nDB_PASSWORD=hunter2 hunter2\nDB_PASSWORD=hunter2$x"));
        assert!(!format!("{:?}", check(&facts)).contains("hunter2"));
    }

    #[test]
    fn a_missing_file_is_restored_from_its_generation_and_before_the_first_install_it_is_news() {
        let gone = changed(|f| {
            f.settings.env = Ok(None);
            f.settings.copy = Some("/srv/orbit/.xr/generations/1/files/orbit/docker/.env".into());
        });
        let found = check(&gone);
        assert_eq!(words(&found), ["problem env.missing"]);
        assert!(found[0].command.as_ref().unwrap().starts_with("cp -p /srv/orbit/.xr/generations/1/"));
        let fresh = changed(|f| {
            f.settings.env = Ok(None);
            f.history.current = Ok(None);
            f.containers = Ok(vec![]);
        });
        assert_eq!(words(&check(&fresh)), ["note env.missing"]);
        let broken =
            changed(|f| f.settings.env = Err(Trouble { message: "docker/.env:3: not UTF-8".into(), hint: None }));
        assert_eq!(words(&check(&broken)), ["problem env.unreadable"]);
    }
}
