use super::*;

fn file(text: &str) -> EnvFile {
    EnvFile::parse(text.as_bytes()).unwrap()
}

fn text(file: &EnvFile) -> String {
    String::from_utf8(file.to_bytes()).unwrap()
}

/// Merges with secrets that tell their key and length.
fn run(current: &str, old: Option<&str>, new: &str, rules: &MergeRules) -> Merged {
    let mut secrets = |rule: &SecretRule| Secret::new(format!("gen-{}-{}", rule.key, rule.chars));
    merge(&file(current), old.map(file).as_ref(), &file(new), rules, &mut secrets).unwrap()
}

fn rules() -> MergeRules {
    MergeRules { secrets: vec![SecretRule::hex("DB_PASSWORD", 32)], ..MergeRules::default() }
}

#[test]
fn a_first_install_is_the_template_with_its_secrets_filled_in() {
    let template = "# db\nDB_PASSWORD=postgres # set by install\nSECRET_KEY='django-insecure-x'\nSMTP_PASSWORD=\n\
                    OPENAI_API_KEY=your-api-key\nTOKEN_EXPIRE_MINUTES=30\nDEBUG=false\n";
    let mut secrets = |rule: &SecretRule| Secret::new(format!("gen-{}-{}", rule.key, rule.chars));
    let merged = from_template(&file(template), &rules(), &mut secrets).unwrap();
    assert_eq!(
        text(&merged.file),
        "# db\nDB_PASSWORD=gen-DB_PASSWORD-32 # set by install\nSECRET_KEY=gen-SECRET_KEY-64\nSMTP_PASSWORD=\n\
         OPENAI_API_KEY=your-api-key\nTOKEN_EXPIRE_MINUTES=30\nDEBUG=false\n"
    );
    assert_eq!(merged.generated, ["DB_PASSWORD", "SECRET_KEY"]);
    assert_eq!(merged.placeholders, ["OPENAI_API_KEY"]);
    assert_eq!(merged.added.len(), 6);
}

#[test]
fn the_admins_value_wins_and_merging_again_changes_no_byte() {
    let current = "# mine\nA = 'x' # why\nB=2\nMINE=1";
    let merged = run(current, Some("A=1\nB=1\n"), "A=9\nB=9\n", &MergeRules::default());
    assert_eq!(text(&merged.file), current);
    assert_eq!(merged.kept, ["A", "B", "MINE"]);
    let new = "A=9\n\n# about C\nC=3\nB=9\nD=4\n";
    let once = run(current, Some("A=1\nB=1\n"), new, &MergeRules::default());
    let twice = run(&text(&once.file), Some(new), new, &MergeRules::default());
    assert_eq!(text(&once.file), text(&twice.file));
    assert_eq!((twice.added.len(), twice.template_changed.len()), (0, 0));
}

#[test]
fn a_new_key_comes_with_its_comment_behind_the_key_that_precedes_it() {
    for (current, new, expect) in [
        ("A=1\nB=2\n", "A=0\n# about N\n# more\nN=3 # x\nB=0\n", "A=1\n# about N\n# more\nN=3 # x\nB=2\n"),
        ("A=1\nZ=2", "N=3\n", "A=1\nZ=2\nN=3\n"),
        ("A=1\r\nB=2\r\n", "A=1\n\n# c\nN='3'\nM=4\nB=2\n", "A=1\r\n\r\n# c\r\nN='3'\r\nM=4\r\nB=2\r\n"),
        ("A='1' X=2\nB=2\n", "A=1\nN=3\n", "A='1' X=2\nN=3\nB=2\n"),
        ("A=1\nB=2\nA=3\nC=4\n", "A=1\nN=3\n", "A=1\nB=2\nA=3\nN=3\nC=4\n"),
        ("A=1\n\n# db\nB=2\n", "A=1\n\n# db\nN=3\nB=2\n", "A=1\n\n# db\nN=3\nB=2\n"),
        ("A=\"x\ny\"\nB=2\n", "A=1\nN=\"p\nq\"", "A=\"x\ny\"\nN=\"p\nq\"\nB=2\n"),
    ] {
        let merged = run(current, None, new, &MergeRules::default());
        assert_eq!(text(&merged.file), expect, "{current:?} + {new:?}");
    }
}

#[test]
fn an_untouched_default_follows_the_template_with_its_spelling() {
    let merged = run("A=\"1\" # mine\nB=x\n", Some("A=1\nB=1\n"), "A=\"${B}2\"\nB=2\n", &MergeRules::default());
    assert_eq!(text(&merged.file), "A=\"${B}2\" # mine\nB=x\n");
    assert_eq!(merged.template_changed.iter().map(|change| change.key.as_str()).collect::<Vec<_>>(), ["A"]);
}

#[test]
fn what_left_the_template_is_reported_and_what_the_admin_removed_stays_out() {
    let merged = run("A=1\nOLD=1\nMINE=1\n", Some("A=1\nOLD=1\nGONE=1\n"), "A=1\nGONE=1\n", &MergeRules::default());
    assert_eq!(text(&merged.file), "A=1\nOLD=1\nMINE=1\n");
    assert_eq!((merged.obsolete, merged.absent), (vec!["OLD".to_owned()], vec!["GONE".to_owned()]));
}

#[test]
fn a_placeholder_of_the_admin_is_reported_and_replaced_only_at_a_first_install() {
    let current = "DB_PASSWORD=postgres\nJWT_SECRET=change-me\nX=1\n";
    let template = "DB_PASSWORD=postgres\nJWT_SECRET=change-me-too\nX=1\n";
    let later = run(current, Some(current), template, &rules());
    assert_eq!(text(&later.file), current);
    assert_eq!(later.placeholders, ["DB_PASSWORD", "JWT_SECRET"]);
    let first = run(current, None, template, &MergeRules { replace_placeholders: true, ..rules() });
    assert_eq!(first.generated, ["DB_PASSWORD", "JWT_SECRET"]);
    assert_eq!(text(&first.file), "DB_PASSWORD=gen-DB_PASSWORD-32\nJWT_SECRET=gen-JWT_SECRET-32\nX=1\n");
}

#[test]
fn a_new_secret_is_never_a_placeholder_even_if_an_old_template_had_it() {
    let merged = run("A=1\n", Some("A=1\nDB_PASSWORD=x\n"), "A=1\nDB_PASSWORD=x\nAPP_SECRET=changeme\n", &rules());
    assert_eq!(merged.generated, ["DB_PASSWORD", "APP_SECRET"]);
    assert_eq!(text(&merged.file), "A=1\nDB_PASSWORD=gen-DB_PASSWORD-32\nAPP_SECRET=gen-APP_SECRET-32\n");
}

#[test]
fn a_real_secret_is_never_touched() {
    for value in ["s3cr3t", "'p$w'", "\"it's\"", "${FROM_ENV:-zz}"] {
        let current = format!("DB_PASSWORD={value}\n");
        let all = MergeRules { replace_placeholders: true, ..rules() };
        let merged = run(&current, Some("DB_PASSWORD=changeme\n"), "DB_PASSWORD=changeme2\n", &all);
        assert_eq!(text(&merged.file), current);
        assert!(merged.placeholders.is_empty() && merged.generated.is_empty());
    }
}

#[test]
fn a_rule_can_say_that_a_name_is_no_secret() {
    let none = MergeRules { not_secrets: vec!["DEMO_TOKEN".to_owned()], ..MergeRules::default() };
    let merged = run("DEMO_TOKEN=example\n", None, "DEMO_TOKEN=example\n", &none);
    assert!(merged.placeholders.is_empty());
}

#[test]
fn a_file_that_was_not_made_from_the_template_gets_what_it_lacks() {
    let template = "COMPOSE_PROJECT_NAME=x\nA=1\n# about NEW\nNEW=2\nDB_PASSWORD=changeme\n";
    let adopting = MergeRules { add_missing: true, ..rules() };
    let merged = run("A=7\n", Some(template), template, &adopting);
    assert_eq!(text(&merged.file), "A=7\n# about NEW\nNEW=2\nDB_PASSWORD=gen-DB_PASSWORD-32\n");
    assert_eq!(
        (merged.added, merged.absent),
        (vec!["NEW".into(), "DB_PASSWORD".into()], vec!["COMPOSE_PROJECT_NAME".into()])
    );
    let later = run("A=7\n", Some(template), template, &MergeRules::default());
    assert_eq!((text(&later.file).as_str(), later.added.len()), ("A=7\n", 0), "what was there was taken out");
}

#[test]
fn a_working_secret_does_not_follow_a_template() {
    let merged = run("DB_PASSWORD=abc\n", Some("DB_PASSWORD=abc\n"), "DB_PASSWORD=def\n", &MergeRules::default());
    assert_eq!(text(&merged.file), "DB_PASSWORD=abc\n");
}

#[test]
fn secrets_that_belong_together_stay_together() {
    let template = "POSTGRES_PASSWORD=change-me\nDB_PASSWORD=change-me\nSECRET_KEY=change-me\nSESSION_SECRET=other-secret-change-me\n\
                    DATABASE_URL=postgres://app:change-me@db/app\nSIGN_URL=http://u:other-secret-change-me@x\nHOME_URL=http://x/change-me\n";
    let merged = run("", None, template, &MergeRules::default());
    assert_eq!(
        text(&merged.file),
        "POSTGRES_PASSWORD=gen-POSTGRES_PASSWORD-32\nDB_PASSWORD=gen-POSTGRES_PASSWORD-32\nSECRET_KEY=gen-SECRET_KEY-64\n\
         SESSION_SECRET=gen-SESSION_SECRET-32\nDATABASE_URL=postgres://app:gen-POSTGRES_PASSWORD-32@db/app\n\
         SIGN_URL=http://u:gen-SESSION_SECRET-32@x\nHOME_URL=http://x/change-me\n"
    );
    let template = "RABBITMQ_DEFAULT_PASS=change-me\nAMQP_PASSWORD=change-me\nAMQP_URL=amqp://app:change-me@mq,amqp://app:change-me@mq2\n\
                    DSN=\"host=db user=app password=change-me dbname=app\"\nNOTE=change-me\nX=password=change-more\nOPTS=-DtrustStorePassword=change-me\n";
    let merged = run("", None, template, &MergeRules::default());
    let made = "gen-RABBITMQ_DEFAULT_PASS-32";
    assert_eq!(
        text(&merged.file),
        format!(
            "RABBITMQ_DEFAULT_PASS={made}\nAMQP_PASSWORD={made}\nAMQP_URL=amqp://app:{made}@mq,amqp://app:{made}@mq2\n\
             DSN='host=db user=app password={made} dbname=app'\nNOTE=change-me\nX=password=change-more\nOPTS=-DtrustStorePassword=change-me\n"
        )
    );
    // Of two that are no password of a store nobody knows which is meant.
    let merged =
        run("", None, "A_SECRET=change-me\nB_SECRET=change-me\nURL=http://u:change-me@x\n", &MergeRules::default());
    assert!(text(&merged.file).ends_with("URL=http://u:change-me@x\n"));
    assert_eq!(merged.placeholders, ["URL"]);
}

#[test]
fn a_key_that_tokens_of_the_file_were_signed_with_is_left_and_told() {
    let template =
        "JWT_SECRET=your-super-secret-jwt-token\nANON_KEY=eyJhbGciOi.eyJyb2xl.c2lnbmF0dXJl\nDB_PASSWORD=change-me\n";
    let merged = run("", None, template, &MergeRules::default());
    assert!(text(&merged.file).starts_with("JWT_SECRET=your-super-secret-jwt-token\n"), "{}", text(&merged.file));
    assert_eq!(merged.generated, ["DB_PASSWORD"]);
    assert!(merged.placeholders.contains(&"JWT_SECRET".to_owned()), "{:?}", merged.placeholders);
}
