//! The table: a small stack for each element of the
//! [compose specification](https://github.com/compose-spec/compose-spec/blob/main/spec.md) that an engine acts on.

use super::{Case, images::Images};

/// A case of the table: name, first version, what is replaced in it for the second, lines of `.env`, further files.
type Row = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
    &'static [(&'static str, &'static str)],
);

const NEW: &[(&str, &str)] = &[("7.0", "7.2")];
const NOTHING: &[(&str, &str)] = &[];

/// `SERVER` and `PLAIN` stand for the two images.
const ROWS: &[Row] = &[
    ("image", "services: {a: {image: 'PLAIN:7.0'}}", NEW, "", NOTHING),
    (
        "image by variable",
        "services: {a: {image: 'PLAIN:${TAG}'}}",
        &[("${TAG}", "${TAG2}")],
        "TAG=7.0\nTAG2=7.2\n",
        NOTHING,
    ),
    ("image's volume", "services: {a: {image: 'SERVER:7.0'}}", NEW, "", NOTHING),
    (
        "image's volume, then named",
        "services: {a: {image: 'SERVER:7.0'}}",
        &[("7.0'}}", "7.2', volumes: ['dat:/data']}}\nvolumes: {dat: {}}")],
        "",
        NOTHING,
    ),
    (
        "image's volume, then no more",
        "services: {a: {image: 'SERVER:7.0'}}",
        &[("SERVER:7.0", "PLAIN:7.2")],
        "",
        NOTHING,
    ),
    ("volume without a name", "services: {a: {image: 'PLAIN:7.0', volumes: [/more]}}", NEW, "", NOTHING),
    (
        "volume without a name, two containers",
        "services: {a: {image: 'SERVER:7.0', volumes: [/more], scale: 2}}",
        NEW,
        "",
        NOTHING,
    ),
    ("named volume", "services: {a: {image: 'PLAIN:7.0', volumes: ['dat:/d']}}\nvolumes: {dat: {}}", NEW, "", NOTHING),
    (
        "named volume with labels and a name",
        "services: {a: {image: 'PLAIN:7.0', volumes: ['dat:/d']}}\nvolumes: {dat: {name: '${COMPOSE_PROJECT_NAME}-rows', labels: {x: y}}}",
        NEW,
        "",
        NOTHING,
    ),
    (
        "shared volume",
        "services: {db: {image: 'PLAIN:7.0', volumes: ['dat:/d']}, backup: {image: 'PLAIN:7.2', volumes: ['dat:/src']}}\nvolumes: {dat: {}}",
        NEW,
        "",
        NOTHING,
    ),
    (
        "read-only volume",
        "services: {db: {image: 'PLAIN:7.0', volumes: ['dat:/d']}, look: {image: 'PLAIN:7.0', volumes: ['dat:/src:ro']}}\nvolumes: {dat: {}}",
        NEW,
        "",
        NOTHING,
    ),
    ("bind folder", "services: {a: {image: 'PLAIN:7.0', volumes: ['./data/a:/d']}}", NEW, "", NOTHING),
    (
        "bind file",
        "services: {a: {image: 'PLAIN:7.0', volumes: ['./app.own:/app.db']}}",
        NEW,
        "",
        &[("app.own", "rows\n")],
    ),
    (
        "bind of the release's file",
        "services: {a: {image: 'PLAIN:7.0', volumes: ['./conf:/conform:ro']}}",
        NEW,
        "",
        &[("conf/a", "A\n")],
    ),
    (
        "tmpfs",
        "services: {a: {image: 'PLAIN:7.0', tmpfs: [/t], volumes: [{type: tmpfs, target: /u, tmpfs: {size: 1000000}}]}}",
        NEW,
        "",
        NOTHING,
    ),
    (
        "volumes_from",
        "services: {a: {image: 'SERVER:7.0'}, b: {image: 'PLAIN:7.0', volumes_from: [a]}}",
        NEW,
        "",
        NOTHING,
    ),
    (
        "volume that goes",
        "services: {a: {image: 'PLAIN:7.0', volumes: ['dat:/d', 'eat:/e']}}\nvolumes: {dat: {}, eat: {}}",
        &[("7.0", "7.2"), (", 'eat:/e'", ""), (", eat: {}", "")],
        "",
        NOTHING,
    ),
    (
        "inline config",
        "services: {a: {image: 'PLAIN:7.0', configs: [{source: c, target: /conform/c}]}}\nconfigs: {c: {content: 'mine of $$host'}}",
        NEW,
        "",
        NOTHING,
    ),
    (
        "inline config under a fixed name",
        "services: {a: {image: 'PLAIN:7.0', container_name: '${COMPOSE_PROJECT_NAME}x', configs: [{source: c, target: /conform/c, mode: 0400, uid: '7', gid: '8'}]}}\nconfigs: {c: {content: mine}}",
        NEW,
        "",
        NOTHING,
    ),
    (
        "inline config that changes with the image",
        "services: {a: {image: 'PLAIN:7.0', configs: [{source: c, target: /conform/c}]}}\nconfigs: {c: {content: mine}}",
        &[("7.0", "7.2"), ("mine", "other")],
        "",
        NOTHING,
    ),
    (
        "config of a variable",
        "services: {a: {image: 'PLAIN:7.0', configs: [{source: c, target: /conform/c}]}}\nconfigs: {c: {environment: WORD}}",
        NEW,
        "WORD=spoken\n",
        NOTHING,
    ),
    (
        "config of a file",
        "services: {a: {image: 'PLAIN:7.0', configs: [{source: c, target: /conform/c}]}}\nconfigs: {c: {file: ./c.txt}}",
        NEW,
        "",
        &[("c.txt", "text\n")],
    ),
    (
        "secret of a variable",
        "services: {a: {image: 'PLAIN:7.0', secrets: [s]}}\nsecrets: {s: {environment: WORD}}",
        NEW,
        "WORD=spoken\n",
        NOTHING,
    ),
    (
        "secret of a file",
        "services: {a: {image: 'PLAIN:7.0', secrets: [s]}}\nsecrets: {s: {file: ./s.own}}",
        NEW,
        "",
        &[("s.own", "hush\n")],
    ),
    (
        "env_file that git has not",
        "services: {a: {image: 'PLAIN:7.0', env_file: [a.own]}}",
        NEW,
        "",
        &[("a.own", "A=1\n")],
    ),
    (
        "env_file that is not required",
        "services: {a: {image: 'PLAIN:7.0', env_file: [{path: none.own, required: false}]}}",
        NEW,
        "",
        NOTHING,
    ),
    (
        "env_file in a folder",
        "services: {a: {image: 'PLAIN:7.0', env_file: [conf/a.own]}}",
        NEW,
        "",
        &[("conf/a.own", "A=1\n")],
    ),
    (
        "environment",
        "services: {a: {image: 'PLAIN:7.0', environment: {A: '1', B: '${WORD}', C: }}}",
        &[("7.0", "7.2"), ("'1'", "'2'")],
        "WORD=w\n",
        NOTHING,
    ),
    (
        "include",
        "include: [more/b.yaml]\nservices: {a: {image: 'PLAIN:7.0'}}",
        NEW,
        "",
        &[("more/b.yaml", "services: {b: {image: 'PLAIN:7.0'}}\n")],
    ),
    (
        "extends",
        "services: {a: {image: 'PLAIN:7.0', extends: {file: more/base.yaml, service: base}}}",
        NEW,
        "",
        &[("more/base.yaml", "services: {base: {environment: {A: '1'}, labels: {l: m}}}\n")],
    ),
    (
        "fragments",
        "x-all: &all {image: 'PLAIN:7.0', labels: {l: m}}\nservices: {a: {<<: *all}, b: {<<: *all, user: '7'}}",
        NEW,
        "",
        NOTHING,
    ),
    (
        "override file",
        "services: {a: {image: 'PLAIN:7.0'}}",
        NEW,
        "",
        &[("compose.override.yaml", "services: {a: {labels: {own: '1'}}}\n")],
    ),
    (
        "COMPOSE_FILE",
        "services: {a: {image: 'PLAIN:7.0'}}",
        NEW,
        "COMPOSE_FILE=compose.yaml:more.yaml\n",
        &[("more.yaml", "services: {a: {labels: {own: '1'}}}\n")],
    ),
    (
        "profile of .env",
        "services: {a: {image: 'PLAIN:7.0'}, p: {image: 'PLAIN:7.0', profiles: [extra]}, q: {image: 'PLAIN:7.0', profiles: [other]}}",
        NEW,
        "COMPOSE_PROFILES=extra\n",
        NOTHING,
    ),
    (
        "ports",
        "services: {a: {image: 'PLAIN:7.0', ports: ['${PORT0}:80', '127.0.0.1:${PORT1}:81/udp']}}",
        NEW,
        "",
        NOTHING,
    ),
    ("port of the engine's choice", "services: {a: {image: 'PLAIN:7.0', expose: ['90']}}", NEW, "", NOTHING),
    (
        "port that moves",
        "services: {a: {image: 'PLAIN:7.0', ports: ['${PORT0}:80']}}",
        &[("PORT0", "PORT1")],
        "",
        NOTHING,
    ),
    (
        "port that goes to another service",
        "services: {a: {image: 'PLAIN:7.0', ports: ['${PORT0}:80']}, b: {image: 'PLAIN:7.0'}}",
        &[(
            "a: {image: 'PLAIN:7.0', ports: ['${PORT0}:80']}, b: {image: 'PLAIN:7.0'}",
            "a: {image: 'PLAIN:7.0'}, b: {image: 'PLAIN:7.0', ports: ['${PORT0}:80']}",
        )],
        "",
        NOTHING,
    ),
    (
        "fixed name",
        "services: {a: {image: 'PLAIN:7.0', container_name: '${COMPOSE_PROJECT_NAME}own'}}",
        NEW,
        "",
        NOTHING,
    ),
    (
        "fixed name that goes",
        "services: {a: {image: 'PLAIN:7.0', container_name: '${COMPOSE_PROJECT_NAME}own'}}",
        &[("7.0", "7.2"), (", container_name: '${COMPOSE_PROJECT_NAME}own'", "")],
        "",
        NOTHING,
    ),
    (
        "static address",
        "services: {a: {image: 'PLAIN:7.0', networks: {n: {ipv4_address: '${NET}.10'}}}}\nnetworks: {n: {ipam: {config: [{subnet: '${NET}.0/24'}]}}}",
        NEW,
        "",
        NOTHING,
    ),
    (
        "static address under a fixed name",
        "services: {a: {image: 'PLAIN:7.0', container_name: '${COMPOSE_PROJECT_NAME}x', networks: {n: {ipv4_address: '${NET}.10', aliases: [other]}}}}\nnetworks: {n: {ipam: {config: [{subnet: '${NET}.0/24'}]}}}",
        NEW,
        "",
        NOTHING,
    ),
    ("mac address", "services: {a: {image: 'PLAIN:7.0', mac_address: '02:42:ac:11:65:43'}}", NEW, "", NOTHING),
    (
        "several networks",
        "services: {a: {image: 'PLAIN:7.0', networks: {n: {aliases: [x, y]}, m: {}}}, b: {image: 'PLAIN:7.0', networks: [m]}}\nnetworks: {n: {internal: true}, m: {labels: {l: m}}}",
        NEW,
        "",
        NOTHING,
    ),
    (
        "network that comes",
        "services: {a: {image: 'PLAIN:7.0'}, b: {image: 'PLAIN:7.0'}}",
        &[(
            "a: {image: 'PLAIN:7.0'}, b: {image: 'PLAIN:7.0'}}",
            "a: {image: 'PLAIN:7.0', networks: [default, n]}, b: {image: 'PLAIN:7.0'}}\nnetworks: {n: {}}",
        )],
        "",
        NOTHING,
    ),
    (
        "network whose options change",
        "services: {a: {image: 'PLAIN:7.0'}, b: {image: 'PLAIN:7.2', volumes: ['dat:/d']}}\nvolumes: {dat: {}}\nnetworks: {default: {driver_opts: {com.docker.network.driver.mtu: '1450'}}}",
        &[("7.0", "7.2"), ("1450", "1400")],
        "",
        NOTHING,
    ),
    (
        "network of another service",
        "services: {a: {image: 'PLAIN:7.0'}, b: {image: 'PLAIN:7.0', network_mode: 'service:a'}}",
        NEW,
        "",
        NOTHING,
    ),
    ("no network", "services: {a: {image: 'PLAIN:7.0', network_mode: none}}", NEW, "", NOTHING),
    (
        "the host's network",
        "services: {a: {image: 'PLAIN:7.0', network_mode: host, command: sleep 1000}}",
        NEW,
        "",
        NOTHING,
    ),
    (
        "ipc and pid of others",
        "services: {a: {image: 'PLAIN:7.0', ipc: shareable}, b: {image: 'PLAIN:7.0', ipc: 'service:a', pid: 'service:a'}}",
        NEW,
        "",
        NOTHING,
    ),
    ("links", "services: {a: {image: 'PLAIN:7.0', links: ['b:bee']}, b: {image: 'PLAIN:7.0'}}", NEW, "", NOTHING),
    (
        "depends_on",
        "services: {a: {image: 'PLAIN:7.0', depends_on: {b: {condition: service_healthy}}}, b: {image: 'PLAIN:7.0', healthcheck: {test: ['CMD', 'true'], interval: 1s}}}",
        NEW,
        "",
        NOTHING,
    ),
    (
        "depends_on completed",
        "services: {a: {image: 'PLAIN:7.0', depends_on: {j: {condition: service_completed_successfully}}}, j: {image: 'PLAIN:7.0', command: 'true'}}",
        NEW,
        "",
        NOTHING,
    ),
    (
        "job nobody waits for",
        "services: {a: {image: 'PLAIN:7.0'}, j: {image: 'PLAIN:7.0', restart: 'no', depends_on: [a], command: [sleep, '1']}}",
        NEW,
        "",
        NOTHING,
    ),
    (
        "job that is restarted on failure",
        "services: {a: {image: 'PLAIN:7.0'}, j: {image: 'PLAIN:7.0', restart: on-failure, command: [sleep, '1']}}",
        NEW,
        "",
        NOTHING,
    ),
    (
        "scale",
        "services: {a: {image: 'PLAIN:7.0', scale: 3}}",
        &[("7.0", "7.2"), ("scale: 3", "scale: 2")],
        "",
        NOTHING,
    ),
    ("scale up", "services: {a: {image: 'PLAIN:7.0'}}", &[("7.0'", "7.2', scale: 3")], "", NOTHING),
    (
        "replicas to none",
        "services: {a: {image: 'PLAIN:7.0'}, g: {image: 'PLAIN:7.2', deploy: {replicas: 1}}}",
        &[("7.0", "7.2"), ("replicas: 1", "replicas: 0")],
        "",
        NOTHING,
    ),
    (
        "deploy",
        "services: {a: {image: 'PLAIN:7.0', deploy: {resources: {limits: {cpus: '0.5', memory: 64M}, reservations: {memory: 16M}}, restart_policy: {condition: on-failure, max_attempts: 3}, labels: {x: y}}}}",
        NEW,
        "",
        NOTHING,
    ),
    (
        "service that comes",
        "services: {a: {image: 'PLAIN:7.0'}}",
        &[("'PLAIN:7.0'}}", "'PLAIN:7.0'}, b: {image: 'SERVER:7.2'}}")],
        "",
        NOTHING,
    ),
    (
        "service that goes",
        "services: {a: {image: 'PLAIN:7.0'}, b: {image: 'SERVER:7.2'}}",
        &[("7.0", "7.2"), (", b: {image: 'SERVER:7.2'}", "")],
        "",
        NOTHING,
    ),
    (
        "healthcheck of the engine's pace",
        "services: {a: {image: 'PLAIN:7.0', healthcheck: {test: ['CMD-SHELL', 'wget -q -O- http://127.0.0.1/'], interval: 2s, timeout: 2s, retries: 2, start_period: 1s}}}",
        NEW,
        "",
        NOTHING,
    ),
    ("healthcheck disabled", "services: {a: {image: 'PLAIN:7.0', healthcheck: {disable: true}}}", NEW, "", NOTHING),
    (
        "restart policies",
        "services: {a: {image: 'PLAIN:7.0', restart: always}, b: {image: 'PLAIN:7.0', restart: unless-stopped}, c: {image: 'PLAIN:7.0', restart: 'on-failure:3'}}",
        NEW,
        "",
        NOTHING,
    ),
    (
        "process",
        "services: {a: {image: 'PLAIN:7.0', entrypoint: [sh, -c], command: ['sleep 1000'], working_dir: /tmp, user: '7:8', init: true, tty: true, stdin_open: true, stop_signal: SIGINT, stop_grace_period: 1s, hostname: h, domainname: d.example}}",
        NEW,
        "",
        NOTHING,
    ),
    (
        "privileges",
        "services: {a: {image: 'PLAIN:7.0', cap_add: [NET_ADMIN], cap_drop: [MKNOD], privileged: false, read_only: true, tmpfs: [/run], security_opt: ['no-new-privileges:true'], group_add: ['7'], ulimits: {nofile: {soft: 1000, hard: 2000}, nproc: 500}, sysctls: {net.core.somaxconn: 1024}, devices: ['/dev/null:/dev/own']}}",
        NEW,
        "",
        NOTHING,
    ),
    (
        "resources",
        "services: {a: {image: 'PLAIN:7.0', mem_limit: 64M, memswap_limit: 64M, cpus: 0.5, cpu_shares: 512, pids_limit: 100, shm_size: 16M, oom_score_adj: 100}}",
        NEW,
        "",
        NOTHING,
    ),
    (
        "names",
        "services: {a: {image: 'PLAIN:7.0', dns: [192.0.2.1], dns_search: [example.org], dns_opt: ['ndots:2'], extra_hosts: ['own:192.0.2.7', 'host.docker.internal:host-gateway']}}",
        NEW,
        "",
        NOTHING,
    ),
    (
        "logging",
        "services: {a: {image: 'PLAIN:7.0', logging: {driver: json-file, options: {max-size: 1m}}}}",
        NEW,
        "",
        NOTHING,
    ),
    (
        "labels and annotations",
        "services: {a: {image: 'PLAIN:7.0', labels: {l: '1', 'other.label': '${WORD}'}}}",
        &[("7.0", "7.2"), ("l: '1'", "l: '2'")],
        "WORD=w\n",
        NOTHING,
    ),
    (
        "pull_policy",
        "services: {a: {image: 'PLAIN:7.0', pull_policy: always}, b: {image: 'PLAIN:7.0', pull_policy: missing}}",
        NEW,
        "",
        NOTHING,
    ),
    (
        "pull_policy never",
        "services: {a: {image: 'PLAIN:7.0'}, b: {image: 'PLAIN:7.0', pull_policy: never, depends_on: [a]}}",
        &[("a: {image: 'PLAIN:7.0'}", "a: {image: 'PLAIN:7.2'}")],
        "",
        NOTHING,
    ),
    (
        "build",
        "services: {a: {build: ctx, image: '${COMPOSE_PROJECT_NAME}/own:7.0'}}",
        NEW,
        "",
        &[("ctx/Dockerfile", "FROM PLAIN:7.0\nLABEL built=here\n")],
    ),
    (
        "restarted with another",
        "services: {a: {image: 'PLAIN:7.0', depends_on: {b: {condition: service_started, restart: true}}}, b: {image: 'PLAIN:7.0'}}",
        &[("b: {image: 'PLAIN:7.0'}", "b: {image: 'PLAIN:7.2'}")],
        "",
        NOTHING,
    ),
    (
        "programs after the start and before the stop",
        "services: {a: {image: 'SERVER:7.0', volumes: ['kept:/conform'], post_start: [{command: [sh, -c, 'echo $$A $$PWD > /conform/started'], user: '0', working_dir: /www, environment: [A=1]}], pre_stop: [{command: [sh, -c, 'echo stopped >> /conform/stopped']}]}}\nvolumes: {kept: {}}",
        NEW,
        "",
        NOTHING,
    ),
    (
        "service of a program of compose's",
        "services: {a: {image: 'PLAIN:7.0', depends_on: [cloud]}, cloud: {provider: {type: nothing-of-this-name}}}",
        NEW,
        "",
        NOTHING,
    ),
    (
        "external volume that is not there",
        "services: {a: {image: 'PLAIN:7.0', volumes: ['dat:/d']}}\nvolumes: {dat: {name: '${COMPOSE_PROJECT_NAME}-none', external: true}}",
        NEW,
        "",
        NOTHING,
    ),
    (
        "volume that is renamed",
        "services: {a: {image: 'PLAIN:7.0', volumes: ['dat:/d']}}\nvolumes: {dat: {}}",
        &[("7.0", "7.2"), ("dat", "rows")],
        "",
        NOTHING,
    ),
    (
        "only the definition changes",
        "services: {a: {image: 'SERVER:7.0', volumes: ['dat:/d']}}\nvolumes: {dat: {}}",
        &[("7.0'", "7.0', labels: {new: '1'}")],
        "",
        NOTHING,
    ),
    ("nothing changes", "services: {a: {image: 'SERVER:7.0'}}", NOTHING, "", NOTHING),
];

/// Cases of what compose does only since a version; before, it reads it and does nothing.
const SINCE: &[(&str, (u32, u32))] = &[("programs after the start and before the stop", (2, 30))];

/// The table for a compose of this version.
pub(crate) fn table(images: &Images, compose: (u32, u32)) -> Vec<Case> {
    let known = |name: &str| SINCE.iter().all(|(since, version)| *since != name || *version <= compose);
    ROWS.iter()
        .filter(|(name, ..)| known(name))
        .map(|(name, first, changes, env, files)| {
            let second = changes.iter().fold((*first).to_owned(), |text, (old, new)| text.replace(old, new));
            let version = |text: &str| {
                let further = files.iter().map(|(name, text)| ((*name).to_owned(), with_images(text, images)));
                std::iter::once(("compose.yaml".to_owned(), with_images(text, images))).chain(further).collect()
            };
            Case { name: (*name).to_owned(), versions: [version(first), version(&second)], env: (*env).to_owned() }
        })
        .collect()
}

fn with_images(text: &str, images: &Images) -> String {
    text.replace("SERVER", &images.server).replace("PLAIN", &images.plain)
}
