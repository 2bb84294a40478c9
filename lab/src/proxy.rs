//! [`Proxy`]: HAProxy, nginx or Caddy in a namespace, with the configuration of `deploy/proxy` and a certificate of an
//! authority of its own.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::netns::Lab;
use crate::process::Process;
use crate::relay::workspace;

const READY_TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyKind {
    /// HAProxy.
    HaProxy,
    /// nginx.
    Nginx,
    /// Caddy.
    Caddy,
}

impl ProxyKind {
    /// Its file in `deploy/proxy`.
    fn file(self) -> &'static str {
        match self {
            ProxyKind::HaProxy => "haproxy.cfg",
            ProxyKind::Nginx => "nginx.conf",
            ProxyKind::Caddy => "Caddyfile",
        }
    }

    /// Its files, in the lab's folder.
    pub fn folder(self) -> String {
        format!("proxy-{}", self.file())
    }

    fn command(self, config: &Path, folder: &Path) -> Command {
        let mut command = Command::new(match self {
            ProxyKind::HaProxy => "haproxy",
            ProxyKind::Nginx => "nginx",
            ProxyKind::Caddy => "caddy",
        });
        match self {
            ProxyKind::HaProxy => command.arg("-f").arg(config),
            ProxyKind::Nginx => {
                let pid = format!("daemon off; pid {};", folder.join("nginx.pid").display());
                command.arg("-c").arg(config).args(["-e", "stderr", "-g", &pid])
            }
            ProxyKind::Caddy => command.args(["run", "--adapter", "caddyfile", "--config"]).arg(config),
        };
        // Caddy keeps things in its home.
        command.env("HOME", folder).env("XDG_DATA_HOME", folder).env("XDG_CONFIG_HOME", folder);
        command
    }
}

/// A running proxy. Dropping the handle leaves it to the lab, which kills it.
pub struct Proxy {
    process: Process,
    authority: PathBuf,
    address: Ipv4Addr,
    pin: String,
}

impl Proxy {
    /// Starts one in a namespace with this address, and waits until it takes connections. Its configuration is in this folder of
    /// the repository. `nodes`: where those are that it names; `changes`: other texts in it.
    pub fn start(
        lab: &Lab,
        kind: ProxyKind,
        examples: &str,
        (ns, address): (&str, Ipv4Addr),
        nodes: &[(&str, SocketAddr)],
        changes: &[(&str, &str)],
    ) -> Result<Proxy> {
        let folder = lab.directory().join(kind.folder());
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let pin = certify(&folder, address)?;
        let example = workspace().join(examples).join(kind.file());
        let mut text =
            fs::read_to_string(&example).with_context(|| format!("reading {}", example.display()))?;
        let pem = folder.join("tls.pem");
        let own = nodes.iter().map(|(old, node)| (*old, node.to_string()));
        let certificate = std::iter::once(("/etc/media-tree/tls.pem", pem.display().to_string()));
        let changes = changes.iter().map(|(old, new)| (*old, (*new).to_owned()));
        for (old, new) in own.chain(certificate).chain(changes) {
            ensure!(text.contains(old), "{} has no {old} in it", example.display());
            text = text.replace(old, &new);
        }
        text = text.replace("https://media.example.org", &format!("https://{address}"));
        let config = folder.join(kind.file());
        fs::write(&config, text).with_context(|| format!("writing {}", config.display()))?;
        let process = lab.spawn(ns, kind.command(&config, &folder)).with_context(|| {
            format!("run `apt-get install haproxy nginx-light caddy`; {} does not start", kind.file())
        })?;
        let deadline = Instant::now() + READY_TIMEOUT;
        let listening = || TcpStream::connect((Ipv4Addr::LOCALHOST, 443)).is_ok();
        while !lab.in_namespace(ns, listening)? {
            if process.status()?.is_some() || Instant::now() >= deadline {
                bail!("{kind:?} does not take connections:\n{}", process.tail());
            }
            std::thread::sleep(POLL);
        }
        Ok(Proxy { process, authority: folder.join("ca.crt"), address, pin })
    }

    /// An address behind it: `https://PROXY/PATH`.
    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    /// The certificate of its authority.
    pub fn authority(&self) -> &Path {
        &self.authority
    }

    /// How Chromium is told that its certificate is right.
    pub fn trusted_by_chromium(&self) -> String {
        format!("--ignore-certificate-errors-spki-list={}", self.pin)
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

/// Makes an authority (`ca.crt`) and a certificate with its key (`tls.pem`); gives the hash of its public key.
fn certify(folder: &Path, address: Ipv4Addr) -> Result<String> {
    let script = format!(
        "set -e
        new='openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'
        $new -x509 -days 2 -keyout ca.key -out ca.crt -subj '/CN=lab authority'
        $new -keyout tls.key -out tls.csr -subj /CN=proxy
        printf 'subjectAltName=IP:{address},DNS:media.example.org' > names
        openssl x509 -req -days 2 -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -extfile names -out tls.crt
        cat tls.crt tls.key > tls.pem
        openssl x509 -in tls.crt -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary \
          | openssl enc -base64 > pin"
    );
    let made =
        Command::new("sh").args(["-c", &script]).current_dir(folder).output().context("running openssl")?;
    ensure!(made.status.success(), "no certificate: {}", String::from_utf8_lossy(&made.stderr));
    Ok(fs::read_to_string(folder.join("pin")).context("reading the pin")?.trim().to_owned())
}
