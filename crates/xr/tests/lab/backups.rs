//! Data: saved before each switch or nothing is switched, and put back whole or not at all.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use xr_lab::wait_for;

use crate::support::{PATIENCE, QUICK, Setup, Stack, mode, sample};

/// Databases as publishers call them: neither the user nor the database has the name that PostgreSQL gives.
const NAMES: [(&str, &str); 2] = [("DB_USER", "app-admin"), ("DB_NAME", "orbit-data")];

/// A statement in the product's database, as an admin makes it.
fn sql(stack: &Stack, statement: &str) -> Result<String> {
    let postgres = stack.container("postgres")?.id;
    let client = ["exec", &postgres, "psql", "-qAt", "-v", "ON_ERROR_STOP=1", "-U", "app-admin", "-d", "orbit-data"];
    stack.docker(&[&client, &["-c", statement][..]].concat())
}

/// The databases of the cluster.
fn databases(stack: &Stack) -> Result<String> {
    sql(stack, "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database WHERE datallowconn")
}

/// v1.0.0 with three visits and a few megabytes, then v1.1.0 with two visits more.
fn updated(manifest: &str) -> Result<Stack> {
    let stack = Stack::installed(&Setup { manifest, env: &NAMES, ..Setup::default() })?;
    for _ in 0..3 {
        stack.visit()?;
    }
    // Rows that a reader of dumps could take for its own words.
    sql(&stack, "CREATE TABLE notes (text TEXT)")?;
    sql(
        &stack,
        r"INSERT INTO notes VALUES ('\connect postgres'), (E'DROP DATABASE \'orbit-data\';\nCREATE DATABASE x'), ('\.')",
    )?;
    sql(&stack, "INSERT INTO notes SELECT repeat(md5(n::text), 100) FROM generate_series(1, 3000) AS n")?;
    stack.remote.release("v1.1.0")?;
    stack.xr(&["update", "--yes"])?.exits(0);
    for _ in 0..2 {
        stack.visit()?;
    }
    sql(&stack, "DROP TABLE notes")?;
    Ok(stack)
}

/// A child that PostgreSQL does not know and that ends by a signal has it end all connections and recover.
fn assert_database_never_fell(stack: &Stack) -> Result<()> {
    let logs = duct::cmd!("docker", "logs", &stack.container("postgres")?.id);
    let told = stack.with_environment(logs).stderr_to_stdout().stdout_capture().read()?;
    ensure!(!told.contains("terminated by signal") && !told.contains("recovery mode"), "{told}");
    Ok(())
}

fn dumps(stack: &Stack) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(stack.root.join(".xr/backups"))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    // Those of the other database of the product cannot be put back by xr.
    paths.retain(|path| !path.to_string_lossy().contains("@redis.rdb"));
    paths.sort();
    Ok(paths)
}

/// The newest dump of a generation.
fn dump_of(stack: &Stack, generation: u32) -> Result<PathBuf> {
    let of = |path: &PathBuf| path.to_string_lossy().ends_with(&format!("-g{generation}-postgres@postgres.sql"));
    dumps(stack)?.into_iter().rfind(of).with_context(|| format!("no dump of generation {generation}"))
}

#[test]
fn a_rollback_with_data_brings_back_the_rows_of_before_and_its_undo_those_of_after() -> Result<()> {
    let stack = updated(QUICK)?;
    let dump = dump_of(&stack, 1)?;
    assert_eq!(mode(&dump)?, 0o600);
    let checked = stack.with_environment(duct::cmd("sha256sum", ["-c", "--quiet"])).dir(stack.root.join(".xr/backups"));
    let sums = format!("{}.sha256", dump.display());
    checked.stdin_path(sums).run()?;

    // What it would do is shown, and without an answer nothing is done.
    let before = stack.snapshot()?;
    let shown = stack.xr(&["rollback", "--restore-data", "--dry-run"])?.exits(0);
    ensure!(
        shown.stdout.contains("lost: what was written to postgres since ")
            && shown.stdout.contains("put back the data"),
        "{shown}"
    );
    stack.xr(&["rollback", "--restore-data"])?.exits(2).says("lose what was written to postgres since ").says("--yes");
    stack.xr(&["rollback", "--restore-data", "--no-backup", "--yes"])?.exits(2);
    assert_eq!(before, stack.snapshot()?);
    assert_eq!(stack.visits()?, 5);

    let done = stack.xr(&["rollback", "--restore-data", "--yes"])?.exits(0);
    stack.assert_all_of_it_is("v1.0.0")?;
    assert_eq!(stack.visits()?, 3, "rows from after the update are gone, those from before are there");
    assert_eq!(sql(&stack, "SELECT count(*) FROM notes")?, "3003");
    assert_eq!(
        sql(&stack, r"SELECT count(*) FROM notes WHERE text IN ('\connect postgres', '\.') OR text LIKE 'DROP%'")?,
        "3"
    );
    assert_eq!(databases(&stack)?, "orbit-data postgres template1", "nothing is left beside: {done}");
    stack.assert_compose_agrees()?;

    // The undo, to the data as they were when the rollback began.
    stack.visit()?;
    stack.xr(&["rollback", "--generation", "2", "--restore-data", "--yes"])?.exits(0);
    stack.assert_all_of_it_is("v1.1.0")?;
    assert_eq!(stack.visits()?, 5);
    stack.assert_compose_agrees()?;

    // What a kept generation needs for its data is never pruned, whatever the number to keep.
    let manifest = stack.root.join("xr.toml");
    std::fs::write(&manifest, format!("{QUICK}\n[keep]\nbackups = 0\n"))?;
    stack.xr(&["prune", "--yes"])?.exits(0);
    dump_of(&stack, 1)?;
    dump_of(&stack, 2)?;
    assert_eq!(dumps(&stack)?.len(), 4, "two dumps, each with its digest: {:?}", dumps(&stack)?);
    Ok(())
}

#[test]
fn data_that_cannot_be_put_back_or_lived_with_stay_as_they_were() -> Result<()> {
    let stack = updated(&format!("{QUICK}\n[[smoke]]\nservice = \"nginx\"\npath = \"/api/\"\nstatus = 200\n"))?;
    let before = stack.snapshot()?;
    let dump = dump_of(&stack, 1)?;
    let (whole, sum) = (std::fs::read(&dump)?, dump.with_extension("sql.sha256"));
    let argv = ["rollback", "--restore-data", "--yes"];
    let unmoved = |why: &str| -> Result<()> {
        assert_eq!(before, stack.snapshot()?, "{why}");
        assert_eq!(stack.visits()?, 5, "{why}");
        assert_eq!(databases(&stack)?, "orbit-data postgres template1", "{why}");
        Ok(())
    };

    std::fs::write(&dump, "")?;
    stack.xr(&argv)?.exits(1).says("is empty").says("hint: nothing was changed");
    unmoved("empty")?;
    std::fs::write(&dump, &whole[..whole.len() / 2])?;
    stack.xr(&argv)?.exits(1).says("broke off").says("hint: nothing was changed");
    unmoved("cut off")?;
    let mut other = whole.clone();
    let middle = other.len() / 2;
    other[middle] ^= 1;
    std::fs::write(&dump, &other)?;
    stack.xr(&argv)?.exits(1).says("SHA-256").says("hint: nothing was changed");
    unmoved("one bit")?;
    // With nobody who knows its digest only the database can tell, beside the data in use.
    std::fs::remove_file(&sum)?;
    let text = String::from_utf8_lossy(&whole).replace("CREATE TABLE public.users", "CREATE TABEL public.users");
    std::fs::write(&dump, text)?;
    stack.xr(&argv)?.exits(1).says("cannot be loaded").says("TABEL").says("hint: nothing was switched");
    unmoved("no SQL")?;
    // A dump that the database takes and the product cannot live with: all is taken back, data and containers.
    let text = String::from_utf8_lossy(&whole);
    let key = "ALTER TABLE ONLY public.visits\n    ADD CONSTRAINT visits_pkey PRIMARY KEY (id);";
    ensure!(text.contains(key), "another pg_dump");
    std::fs::write(&dump, text.replace(key, "DROP TABLE public.visits;"))?;
    stack.xr(&argv)?.exits(3).says("was rolled back: v1.1.0 is healthy").says("hint: ");
    assert_eq!(before.ids(), stack.snapshot()?.ids(), "the containers of before, and no other");
    stack.assert_all_of_it_is("v1.1.0")?;
    stack.assert_compose_agrees()?;
    assert_eq!(stack.visits()?, 5);
    assert_eq!(databases(&stack)?, "orbit-data postgres template1");
    std::fs::remove_file(&dump)?;
    stack.xr(&argv)?.exits(1).says("there is no backup `postgres.sql` of generation 1").says("hint: there are, in ");
    assert_eq!(stack.visits()?, 5);
    stack.xr(&["rollback", "--yes"])?.exits(0);
    stack.assert_all_of_it_is("v1.0.0")?;
    assert_eq!(stack.visits()?, 5, "without the flag data stay");
    Ok(())
}

/// The line of the newest journal that begins this step.
fn begun(stack: &Stack, step: &str) -> Result<usize> {
    let journal = stack.journals().pop().context("no journal")?;
    let text = std::fs::read_to_string(journal)?;
    let first: serde_json::Value = serde_json::from_str(text.lines().next().context("an empty journal")?)?;
    let stages = first["plan"]["stages"].as_array().context("no stages")?;
    let steps: Vec<&serde_json::Value> =
        stages.iter().filter_map(|stage| stage["steps"].as_array()).flatten().collect();
    let number = steps.iter().find(|one| one["action"]["do"] == step).context("no such step")?["id"].clone();
    let begins = |line: &str| {
        serde_json::from_str::<serde_json::Value>(line)
            .is_ok_and(|r| r["record"] == "step_started" && r["step"] == number)
    };
    text.lines().position(begins).map(|at| at + 1).context("never begun")
}

#[test]
fn a_restore_that_is_killed_anywhere_leaves_all_data_of_before_or_all_of_the_dump() -> Result<()> {
    let stack = updated(QUICK)?;
    let argv = ["rollback", "--restore-data", "--yes"];
    for step in sample(1, &["swap_data", "load_dump", "record"]) {
        let run = stack.start_xr(&argv)?;
        wait_for(step, PATIENCE, || begun(&stack, step).is_ok() || run.ended())?;
        run.kill_group()?;
        wait_for("the guard's work", PATIENCE, || stack.newest_run_has_ended() && stack.guards().is_empty())?;
        let killed = run.end()?;
        ensure!(killed.code == -1, "not killed at {step}: {killed}");
        let version = stack.version().with_context(|| format!("after {step}"))?;
        stack.assert_all_of_it_is(&version)?;
        let wanted = if version == "v1.0.0" { 3 } else { 5 };
        assert_eq!(stack.visits()?, wanted, "{version} after {step}");
        assert_eq!(databases(&stack)?, "orbit-data postgres template1", "after {step}");
        assert_database_never_fell(&stack).with_context(|| format!("after {step}"))?;
        stack.assert_compose_agrees()?;
        if version == "v1.0.0" {
            return Ok(());
        }
    }
    stack.xr(&argv)?.exits(0);
    assert_eq!(stack.visits()?, 3);
    stack.assert_all_of_it_is("v1.0.0")
}

/// Publishes v1.1.0, or once more, with this backup before it is switched to.
fn publish(stack: &Stack, script: &str, more: &str) -> Result<()> {
    let backup = format!(
        "{QUICK}\n[[backups]]\nname = \"data.sql\"\nimage = \"postgres\"\ncommand = [\"sh\", \"-c\", '''{script}''']\n{more}\n"
    );
    std::fs::write(stack.remote.work().join("xr.toml"), backup)?;
    stack.remote.commit("fix: the backup")?;
    stack.remote.in_work(&["tag", "--force", "-m", "v1.1.0", "v1.1.0"])?;
    stack.remote.push()
}

/// A disk of its own under the backups, which is too small for any; gone with the value.
struct SmallDisk<'a>(&'a Stack);

impl<'a> SmallDisk<'a> {
    fn over(stack: &'a Stack) -> Result<Self> {
        let mount = duct::cmd!("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", ".xr/backups");
        ensure!(stack.with_environment(mount).run()?.status.success(), "no disk");
        Ok(Self(stack))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        // A disk that stays is seen by the test, which wants its dumps afterwards.
        let _ = self.0.with_environment(duct::cmd!("umount", ".xr/backups")).run();
    }
}

#[test]
fn an_update_whose_backup_fails_hangs_breaks_off_or_finds_the_disk_full_stops_before_anything_moves() -> Result<()> {
    let stack = Stack::installed(&Setup::default())?;
    stack.visit()?;
    stack.remote.release("v1.1.0")?;
    let before = stack.snapshot()?;
    let update = ["update", "--yes"];
    let postgres = stack.container("postgres")?.id;
    let dumping = || stack.docker(&["top", &postgres, "-eo", "pid,args"]).is_ok_and(|all| all.contains("pg_dump"));
    let unmoved = |why: &str| -> Result<()> {
        assert_eq!(before, stack.snapshot()?, "{why}");
        assert_eq!(stack.visits().with_context(|| why.to_owned())?, 1, "{why}");
        assert_eq!(dumps(&stack)?, Vec::<PathBuf>::new(), "{why}: half a backup is none");
        ensure!(!dumping(), "{why}: it lives on");
        // A child that PostgreSQL does not know and that ends by a signal has it end all connections and recover.
        let told = stack
            .with_environment(duct::cmd!("docker", "logs", &postgres))
            .stderr_to_stdout()
            .stdout_capture()
            .read()?;
        ensure!(!told.contains("terminated by signal"), "{why}: {told}");
        Ok(())
    };
    const DUMP: &str = "pg_dumpall --username \"$POSTGRES_USER\"";

    publish(&stack, &format!("{DUMP}; echo no such tape $POSTGRES_PASSWORD >&2; exit 7"), "")?;
    let done = stack.xr(&update)?.exits(1).says("backup `data.sql` failed with exit code 7").says("no such tape ***");
    done.says("hint: nothing was switched").never_says(&stack.setting("DB_PASSWORD")?);
    unmoved("exit code")?;

    // Somebody holds a table: the dump waits for it, in several processes one below the other.
    let client = ["psql", "-qAt", "-U", "orbit", "-d", "orbit", "-c"];
    let ask = |text: &str| stack.docker(&[&["exec", &postgres][..], &client, &[text]].concat());
    let locks = "BEGIN; LOCK TABLE users; SELECT pg_sleep(7201)";
    stack.docker(&[&["exec", "-d", &postgres][..], &client, &[locks]].concat())?;
    let locked =
        "SELECT count(*) FROM pg_locks WHERE relation = 'users'::regclass AND mode = 'AccessExclusiveLock' AND granted";
    wait_for("the lock", PATIENCE, || ask(locked).is_ok_and(|count| count == "1"))?;
    publish(&stack, DUMP, "timeout = \"2s\"")?;
    stack.xr(&update)?.exits(1).says("backup `data.sql` said nothing for 2 s").says("hint: nothing was switched");
    unmoved("hangs")?;
    // Killed while it hangs: its guard leaves nothing at work in the database's container.
    publish(&stack, DUMP, "")?;
    let run = stack.start_xr(&update)?;
    wait_for("the backup", PATIENCE, || dumping() || run.ended())?;
    run.kill_group()?;
    wait_for("the guard's work", PATIENCE, || stack.newest_run_has_ended() && stack.guards().is_empty())?;
    ensure!(run.end()?.code == -1);
    for half in dumps(&stack)? {
        assert_eq!((half.extension(), mode(&half)?), (Some("part".as_ref()), 0o600));
        std::fs::remove_file(half)?;
    }
    unmoved("killed")?;
    ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'BEGIN; LOCK%'")?;

    publish(&stack, &format!("{DUMP} | head -c 1500"), "ends_with = \"cluster dump complete\"")?;
    stack.xr(&update)?.exits(1).says("broke off: its 1500 bytes do not end with").says("hint: nothing was switched");
    unmoved("cut off")?;
    publish(&stack, "exit 0", "")?;
    stack.xr(&update)?.exits(1).says("backup `data.sql` is empty").says("hint: nothing was switched");
    unmoved("empty")?;

    // A disk of its own, which is too small.
    let disk = SmallDisk::over(&stack)?;
    publish(&stack, &format!("{DUMP}; {DUMP}; {DUMP}; seq 100000"), "")?;
    let full = stack.xr(&update);
    let told = unmoved("disk full");
    drop(disk);
    full?.exits(1).says("cannot write").says("No space left").says("hint: nothing was switched; df -h ");
    told?;

    publish(&stack, DUMP, "ends_with = \"cluster dump complete\"")?;
    stack.xr(&update)?.exits(0);
    stack.assert_all_of_it_is("v1.1.0")?;
    assert_eq!((stack.visits()?, dumps(&stack)?.len()), (1, 2));
    // Taken by the publisher's own command, and put back by the default one.
    stack.visit()?;
    stack
        .xr(&["rollback", "--restore-data", "--yes"])?
        .exits(1)
        .says("there is no backup `postgres.sql` of generation 1");
    Ok(())
}
