//! The name servers that this machine asks.

use std::io::{self, ErrorKind};
use std::net::IpAddr;

/// The resolver's configuration, and that of systemd, which lists the servers behind the stub
/// `127.0.0.53` of the first.
const FILES: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

/// Returns the addresses of the name servers, in the order of the files. A file that does not exist
/// has none.
///
/// # Errors
/// Fails if a file cannot be read.
pub async fn name_servers() -> io::Result<Vec<IpAddr>> {
    let mut servers = Vec::new();
    for file in FILES {
        match tokio::fs::read_to_string(file).await {
            Ok(text) => servers.extend(servers_in(&text)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let mut seen = std::collections::HashSet::new();
    servers.retain(|server| seen.insert(*server));
    Ok(servers)
}

/// Reads `nameserver ADDRESS`, where an IPv6 address may have a zone.
fn servers_in(text: &str) -> impl Iterator<Item = IpAddr> {
    text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let address = words
            .next()
            .filter(|word| *word == "nameserver")
            .and(words.next())?;
        address.split('%').next()?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_as_the_resolver_reads_them() {
        let text = "# nameserver 10.0.0.1\nnameserver 10.0.0.2 # first\n\tnameserver\tfe80::1%eth0\nsearch x\nnameserver\nnameserver x\nnameservers 10.0.0.3\n";
        let servers: Vec<_> = servers_in(text).map(|server| server.to_string()).collect();
        assert_eq!(servers, ["10.0.0.2", "fe80::1"]);
    }
}
