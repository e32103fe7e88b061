//! An isolated ROS domain, so that a run neither receives from nor moves a robot on the network.

use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::HarnessError;

/// Environment variable set for the restarted process, so that a `ROS_DOMAIN_ID` set by the user is not mistaken for ours.
const MARK: &str = "THINKVLA_OWN_DOMAIN";
/// Domains to choose from; the ports of those above 101 overlap the ephemeral ports of Linux.
const DOMAINS: std::ops::Range<u32> = 1..101;

/// The claimed domain; dropping this frees it.
#[derive(Debug)]
pub struct RosDomain {
    /// `ROS_DOMAIN_ID`.
    pub id: u32,
    _claim: UnixDatagram,
}

/// Ensures that this process runs in a ROS domain that no other run on this machine uses, limited to this machine, with
/// shared memory large enough for images. ROS reads these settings from the environment once, so the process restarts
/// itself when they must change.
///
/// # Errors
/// When the process cannot be restarted or the domain cannot be claimed.
pub fn enter() -> Result<RosDomain, HarnessError> {
    let marked = std::env::var(MARK).ok().and_then(|id| id.parse().ok());
    let Some(id) = marked else {
        let spread = std::process::id() % (DOMAINS.end - DOMAINS.start);
        return restart(DOMAINS.start + spread);
    };
    match claim(id) {
        Ok(claim) => Ok(RosDomain { id, _claim: claim }),
        Err(error) if error.kind() == ErrorKind::AddrInUse && id + 1 < DOMAINS.end => restart(id + 1),
        Err(error) if error.kind() == ErrorKind::AddrInUse => restart(DOMAINS.start),
        Err(error) => Err(HarnessError::file("/proc/self/net/unix")(error)),
    }
}

/// Claims a domain by an abstract socket name, which only one process can hold and which the kernel frees when the process
/// ends. The tests over ROS claim their domains by the same name.
fn claim(id: u32) -> std::io::Result<UnixDatagram> {
    let address = SocketAddr::from_abstract_name(format!("thinkvla-test-domain-{id}"))?;
    UnixDatagram::bind_addr(&address)
}

fn restart(id: u32) -> Result<RosDomain, HarnessError> {
    let program = std::env::current_exe().map_err(HarnessError::file("/proc/self/exe"))?;
    let mut command = Command::new(&program);
    command
        .args(std::env::args_os().skip(1))
        .env(MARK, id.to_string())
        .env("ROS_DOMAIN_ID", id.to_string())
        .env("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        .env_remove("ROS_STATIC_PEERS");
    if std::env::var_os("FASTRTPS_DEFAULT_PROFILES_FILE").is_none() {
        command.env(
            "FASTRTPS_DEFAULT_PROFILES_FILE",
            shared("config/dds/fastdds_localhost.xml"),
        );
    }
    // exec returns only when it fails.
    Err(HarnessError::Start {
        program,
        source: command.exec(),
    })
}

/// Path of an installed file of this package, or of that in the source tree when the program is not installed.
pub fn shared(name: &str) -> PathBuf {
    let installed = std::env::current_exe()
        .ok()
        .and_then(|own| {
            own.parent()?
                .parent()?
                .parent()
                .map(|prefix| prefix.join("share/thinkvla").join(name))
        })
        .filter(|path| path.exists());
    installed.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_in_use_cannot_be_claimed_and_is_free_afterwards() {
        let id = 1_000_000 + std::process::id();
        let held = claim(id).unwrap();
        assert_eq!(claim(id).unwrap_err().kind(), ErrorKind::AddrInUse);
        drop(held);
        claim(id).unwrap();
    }
}
