//! `egress doctor`: what this node needs, whether it is there, and what mends it.

use std::net::SocketAddr;

use node::doctor::{Finding, janus as of_janus, machine, redis, servers, warnings};
use node::port::Transport::{Tcp, Udp};

use crate::config::{Config, JanusConfig, ServerConfig};
use crate::pipeline;
use crate::server::janus::{PLUGIN, admits};

const PROGRAM: &str = "egress";
/// What the media of a mountpoint wants to wait in while Janus is busy.
const OF_A_MOUNTPOINT: usize = 1 << 20;
/// Files that Janus opens for a viewer (counted), for a mountpoint (RTP and RTCP, audio and video) and for everything else.
const FILES: [u64; 3] = [3, 4, 64];

/// Everything, in the order in which it is mended best.
pub async fn examine(config: &Config) -> Vec<Finding> {
    let [audio, video] = config.media;
    let at = |port: u16| SocketAddr::new(config.listen, port);
    let ports = [
        ("HTTP", Tcp, config.api),
        ("audio RTP", Udp, at(audio)),
        ("audio RTCP", Udp, at(audio + 1)),
        ("video RTP", Udp, at(video)),
        ("video RTCP", Udp, at(video + 1)),
    ];
    let mut findings = warnings(&config.node.warnings);
    let installed = pipeline::installed().map(|()| "all that is needed is installed".to_owned());
    findings.push(Finding::needed("GStreamer", installed.map_err(|error| error.to_string()), ""));
    findings.extend(machine::ports(PROGRAM, &ports));
    findings.push(machine::open_files());
    findings.push(machine::receive_buffer(node::udp::BUFFER));
    findings.push(redis::answers(config.node.tree.as_ref()).await);
    if let Some(host) = &config.node.host {
        findings.push(machine::host(host).await);
    }
    match &config.server {
        ServerConfig::Janus(server) => findings.extend(janus(server, config.most.viewers as u64).await),
        ServerConfig::Native(server) => findings.extend(native(server)),
    }
    findings.extend(servers::answer(&config.ice).await);
    findings
}

/// `viewers`: how many there may be.
async fn janus(config: &JanusConfig, viewers: u64) -> Vec<Finding> {
    let info = match janus::info(&config.url).await {
        Ok(info) => info,
        // Where it is and what to do is in the error.
        Err(error) => return vec![Finding::needed("Janus", Err(error.to_string()), "")],
    };
    let mut findings = of_janus::findings(&info, PLUGIN);
    let admitted = admits(config).await.map_err(|error| error.to_string());
    findings.push(Finding::needed(
        "mountpoints",
        admitted.map(|()| "Janus takes this node's secrets".to_owned()),
        "JANUS_API_SECRET is `general.api_secret` of janus.jcfg, JANUS_MOUNTPOINT_SECRET the `admin_key` of \
         janus.plugin.streaming.jcfg",
    ));
    findings.extend(figures(config).await);
    let (first, last) = config.pool.range();
    let is_here = matches!(&*config.host, "127.0.0.1" | "::1" | "localhost");
    if is_here {
        findings.push(machine::pool("port pool", "janus", first..=last));
        findings.push(machine::default_buffer(OF_A_MOUNTPOINT));
        let mountpoints = u64::from(config.pool.size());
        let [of_viewer, of_mountpoint, rest] = FILES;
        let wanted = of_viewer * viewers + of_mountpoint * mountpoints + rest;
        let why = format!("{viewers} viewers (max-viewers) and {mountpoints} mountpoints");
        findings.push(machine::open_files_of("Janus' open files", config.port, wanted, &why));
    }
    findings
}

/// Whether Janus says how viewers fare, if it is to be asked.
async fn figures(config: &JanusConfig) -> Option<Finding> {
    let admin = config.admin.as_ref()?;
    let secret = admin.secret.as_ref().map(|secret| secret.reveal());
    let says = async { janus::Admin::connect(&admin.url, secret).await?.check().await }.await;
    Some(Finding::wanted(
        "viewers' figures",
        says.map(|()| "Janus' admin API says how viewers fare".to_owned()).map_err(|error| error.to_string()),
        "`admin_ws = true` in janus.transport.websockets.jcfg; JANUS_ADMIN_SECRET is `general.admin_secret` of janus.jcfg",
    ))
}

/// The native server's port, and what it sends from: with many viewers, more than the kernel gives unasked.
fn native(config: &seats::Config) -> Vec<Finding> {
    let ports = [("viewers' media", Udp, config.listen), ("viewers' media by TCP", Tcp, config.listen)];
    let mut findings = machine::ports(PROGRAM, &ports);
    findings.push(machine::send_buffer(seats::SEND_BUFFER));
    findings
}
