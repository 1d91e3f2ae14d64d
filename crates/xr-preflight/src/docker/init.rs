//! How services are started here: with systemd, OpenRC, System V scripts, or by nobody.

use xr_host::Cmd;

use super::{exists, find_program};

/// What starts services on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    /// systemd is process 1.
    Systemd,
    /// OpenRC (Alpine).
    OpenRc,
    /// Scripts in `/etc/init.d`, run by `service`.
    SysV,
    /// None of them.
    None,
}

impl Init {
    /// What this machine has.
    pub fn detect() -> Self {
        if exists("/run/systemd/system") {
            Self::Systemd
        } else if find_program("rc-service").is_some() {
            Self::OpenRc
        } else if find_program("service").is_some() {
            Self::SysV
        } else {
            Self::None
        }
    }

    /// The commands that start Docker now and at every boot.
    pub fn start(self) -> Vec<Cmd> {
        match self {
            Self::Systemd => vec![Cmd::new("systemctl").args(["enable", "--now", "docker"])],
            Self::OpenRc => vec![
                Cmd::new("rc-update").args(["add", "docker", "default"]),
                Cmd::new("rc-service").args(["docker", "start"]),
            ],
            Self::SysV => vec![Cmd::new("service").args(["docker", "start"])],
            Self::None => Vec::new(),
        }
    }

    /// What an admin types to start Docker.
    pub fn start_hint(self) -> &'static str {
        match self {
            Self::Systemd => "sudo systemctl start docker",
            Self::OpenRc => "sudo rc-service docker start",
            Self::SysV => "sudo service docker start",
            Self::None => {
                "sudo sh -c 'nohup dockerd >/var/log/docker.log 2>&1 &' (this machine has no init system to do it)"
            }
        }
    }

    /// What an admin types to restart Docker.
    pub fn restart_hint(self) -> &'static str {
        match self {
            Self::Systemd => "sudo systemctl restart docker",
            Self::OpenRc => "sudo rc-service docker restart",
            Self::SysV => "sudo service docker restart",
            Self::None => "stop dockerd and start it again",
        }
    }

    /// Where an admin reads why Docker did not start.
    pub fn log_hint(self) -> &'static str {
        match self {
            Self::Systemd => "journalctl -u docker -n 50 --no-pager",
            _ => "tail -n 50 /var/log/docker.log",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_is_started_now_and_at_boot_as_each_init_system_does_it() {
        let lines = |init: Init| init.start().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(lines(Init::Systemd), ["systemctl enable --now docker"]);
        assert_eq!(lines(Init::OpenRc), ["rc-update add docker default", "rc-service docker start"]);
        assert_eq!(lines(Init::SysV), ["service docker start"]);
        assert!(lines(Init::None).is_empty() && Init::None.start_hint().contains("dockerd"));
    }
}
