//! Plans per distribution, compared as the lines an admin would type.

use super::*;

fn facts(os_release: &str, policy: &str) -> Facts {
    Facts {
        os: OsRelease::parse(os_release),
        init: Init::SysV,
        engine_missing: true,
        engine_stopped: false,
        compose_missing: true,
        apparmor: false,
        policies: apt::parse_policy(policy),
        mirror_here: Some("http://near.example/debian".to_owned()),
    }
}

fn offer(package: &str, version: &str) -> String {
    format!(
        "{package}:\n  Installed: (none)\n  Candidate: {version}\n  Version table:\n     {version} 500\n        500 http://m x/main amd64 Packages\n"
    )
}

fn lines(facts: &Facts, mirror: Option<&str>) -> Vec<String> {
    let steps = refresh(facts, mirror).unwrap().into_iter().chain(install(facts, mirror).unwrap());
    let always = "-q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 ";
    steps.map(|step| step.to_string().replace(always, "").replace("-o Dpkg::Options::=--force-confold ", "")).collect()
}

const BOOKWORM: &str = "ID=debian\nVERSION_ID=12\nVERSION_CODENAME=bookworm\nPRETTY_NAME=\"Debian 12\"";
const TRIXIE: &str = "ID=debian\nVERSION_ID=13\nVERSION_CODENAME=trixie";
const NOBLE: &str = "ID=ubuntu\nID_LIKE=debian\nVERSION_ID=24.04\nVERSION_CODENAME=noble";

#[test]
fn trixie_has_everything_and_the_client_in_a_package_of_its_own() {
    let policy = offer("docker.io", "26.1.5") + &offer("docker-cli", "26.1.5") + &offer("docker-compose", "2.26.1-4");
    assert_eq!(
        lines(&facts(TRIXIE, &policy), None),
        [
            "apt-get update",
            "apt-get install -y --no-install-recommends docker.io docker-cli iptables ca-certificates docker-compose",
            "service docker start",
        ]
    );
}

#[test]
fn ubuntu_has_compose_two_under_another_name() {
    let policy =
        offer("docker.io", "24.0.7") + &offer("docker-compose-v2", "2.24.6") + &offer("docker-compose", "1.29.2-6");
    let lines = lines(&facts(NOBLE, &policy), None);
    assert!(lines[1].ends_with("docker.io iptables ca-certificates docker-compose-v2"), "{lines:?}");
}

#[test]
fn bookworm_takes_the_plugin_and_nothing_else_from_the_next_debian() {
    let policy = offer("docker.io", "20.10.24") + &offer("docker-compose", "1.29.2-3");
    let lines = lines(&facts(BOOKWORM, &policy), None);
    assert!(
        lines[1]
            .ends_with("install -y --no-install-recommends docker.io iptables ca-certificates debian-archive-keyring"),
        "{lines:?}"
    );
    assert_eq!(lines[2], "mkdir -p /var/cache/xr-install/trixie-lists/partial");
    let source =
        "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://near.example/debian trixie main";
    assert_eq!(lines[3], format!("echo '{source}' > /var/cache/xr-install/trixie.list"));
    for line in &lines[4..6] {
        assert!(
            line.contains("Dir::Etc::sourceparts=-")
                && line.contains("Dir::State::lists=/var/cache/xr-install/trixie-lists"),
            "{line}"
        );
    }
    assert!(lines[6].contains("dpkg-deb -x") && lines[6].contains("/usr/libexec/docker/cli-plugins/docker-compose"));
    assert_eq!(lines[7], "service docker start");
}

#[test]
fn a_backported_client_is_not_mixed_with_a_stable_engine() {
    let policy = offer("docker.io", "20.10.24")
        + &offer("docker-cli", "26.1.5~bpo12+1")
        + &offer("docker-compose", "2.26.1~bpo12+1");
    assert!(!lines(&facts(BOOKWORM, &policy), None)[1].contains("docker-cli"));
}

#[test]
fn docker_s_own_packages_are_used_where_the_admin_chose_them() {
    let policy =
        offer("docker-ce", "5:27.1") + &offer("docker.io", "20.10.24") + &offer("docker-compose-plugin", "2.29.1-1");
    let lines = lines(&facts(BOOKWORM, &policy), None);
    assert!(lines[1].contains("docker-ce docker-ce-cli containerd.io") && !lines[1].contains("docker.io"), "{lines:?}");
}

#[test]
fn only_what_is_missing_is_planned_and_nothing_when_nothing_is() {
    let policy = offer("docker.io", "26.1.5") + &offer("docker-compose", "2.26.1-4");
    let compose_only = Facts { engine_missing: false, ..facts(TRIXIE, &policy) };
    assert_eq!(
        lines(&compose_only, None),
        ["apt-get update", "apt-get install -y --no-install-recommends docker-compose"]
    );
    let complete = Facts { compose_missing: false, ..compose_only };
    assert!(lines(&complete, None).is_empty());
    let stopped = Facts { engine_stopped: true, ..complete };
    assert_eq!(lines(&stopped, None), ["service docker start"]);
}

#[test]
fn a_mirror_has_lists_of_its_own_and_is_signed_by_the_distribution() {
    let policy = offer("docker.io", "24.0.7") + &offer("docker-compose-v2", "2.24.6");
    let lines = lines(&facts(NOBLE, &policy), Some("https://mirrors.example/ubuntu"));
    assert!(lines[1].contains(
        "signed-by=/usr/share/keyrings/ubuntu-archive-keyring.gpg] https://mirrors.example/ubuntu noble main universe"
    ));
    assert!(lines[1].contains("noble-updates"));
    for line in &lines[2..4] {
        assert!(line.contains("Dir::State::lists=/var/cache/xr-install/mirror-lists"), "{line}");
    }
}

#[test]
fn before_the_first_update_the_plan_says_what_it_will_look_for() {
    let lines = lines(&facts(TRIXIE, ""), None);
    assert!(lines[1].contains("docker.io") && lines[1].contains("the first of version 2"), "{lines:?}");
}

#[test]
fn apparmor_s_parser_comes_along_where_the_kernel_enforces_it() {
    let policy = offer("docker.io", "26.1.5") + &offer("docker-compose", "2.26.1-4") + &offer("apparmor", "4.1.0-1");
    let enforcing = Facts { apparmor: true, ..facts(TRIXIE, &policy) };
    assert!(lines(&enforcing, None)[1].contains("apparmor"));
}

#[test]
fn what_cannot_be_installed_is_refused_with_a_way_out() {
    let nothing = offer("docker-compose", "1.29.2-3");
    let cases = [
        (
            facts("ID=debian\nVERSION_ID=11\nVERSION_CODENAME=bullseye", &(offer("docker.io", "20.10.5") + &nothing)),
            None,
        ),
        (facts("ID=nixos", ""), None),
        (facts(NOBLE, &nothing), None),
        (facts("ID=alpine", ""), Some("https://mirrors.example/alpine")),
        (facts(NOBLE, ""), Some("mirrors.example")),
        (facts("ID=kali\nID_LIKE=debian\nVERSION_CODENAME=kali-rolling", ""), Some("https://mirrors.example/kali")),
    ];
    for (facts, mirror) in cases {
        let fault = refresh(&facts, mirror).and_then(|_| install(&facts, mirror)).unwrap_err();
        assert!(fault.hint.is_some(), "{}", fault.message);
    }
}
