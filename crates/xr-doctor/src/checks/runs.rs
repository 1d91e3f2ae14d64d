//! Did the last run end?

use crate::{
    facts::Facts,
    finding::{Finding, Fix},
};

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    if let Some(run) = &facts.history.under_way {
        let evidence = format!("{} is under way; versions and containers are judged once it has ended", run.0);
        return vec![Finding::warning("run", "run", evidence).command("wait for it to end, then: xr doctor")];
    }
    match &facts.history.unfinished {
        Ok(None) => vec![Finding::info("run", "run", "the last run came to its end")],
        Ok(Some(run)) => {
            let kind = run.kind.as_str();
            let evidence = format!(
                "the {kind} to {} begun at {} was killed and did not end; the rest is judged once it is finished",
                run.version, run.at
            );
            vec![Finding::problem("run", "run", evidence).command(format!("xr {kind}")).fix(Fix::Recover)]
        }
        Err(trouble) => vec![Finding::problem("run", "journal", &trouble.message).hint(trouble.hint.clone())],
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};
    use crate::{RunUnderWay, Unfinished};
    use xr_model::RunKind;

    #[test]
    fn a_killed_run_is_a_problem_and_one_under_way_is_not() {
        let killed =
            Unfinished { kind: RunKind::Update, version: version("v1.1.0"), at: "2026-01-02T03:04:05Z".into() };
        let found = check(&changed(|f| f.history.unfinished = Ok(Some(killed.clone()))));
        assert_eq!((words(&found), found[0].command.as_deref()), (vec!["problem run".to_owned()], Some("xr update")));
        assert_eq!(found[0].fix, Some(Fix::Recover));
        let busy = changed(|f| {
            f.history.unfinished = Ok(Some(killed.clone()));
            f.history.under_way = Some(RunUnderWay("xr update, pid 7".into()));
        });
        assert_eq!((words(&check(&busy)), &check(&busy)[0].fix), (vec!["warning run".to_owned()], &None));
        assert_eq!(words(&check(&healthy())), ["ok run"]);
    }
}
