//! `injection doctor`: what this node needs, whether it is there, and what mends it.

use std::net::SocketAddr;

use node::doctor::{Finding, janus as of_janus, machine, redis, servers, warnings};
use node::port::Transport::{Tcp, Udp};

use crate::config::Config;
use crate::videoroom::{self, PLUGIN};
use crate::{pipeline, rtmp};

const PROGRAM: &str = "injection";

/// Everything, in the order in which it is mended best.
pub async fn examine(config: &Config) -> Vec<Finding> {
    let [audio, video] = config.ports;
    let every = |port: u16| SocketAddr::from(([0, 0, 0, 0], port));
    let mut ports = vec![
        ("HTTP", Tcp, config.api),
        ("audio RTP", Udp, every(audio)),
        ("audio RTCP", Udp, every(audio + 1)),
        ("video RTP", Udp, every(video)),
        ("video RTCP", Udp, every(video + 1)),
    ];
    ports.extend(config.rtmp.map(|address| ("RTMP", Tcp, address)));
    let mut findings = warnings(&config.warnings);
    findings.push(gstreamer(config.rtmp.is_some()));
    findings.extend(machine::ports(PROGRAM, &ports));
    findings.push(machine::open_files());
    findings.push(machine::receive_buffer(node::udp::BUFFER));
    findings.push(redis::answers(config.tree.as_ref()).await);
    if let Some(host) = &config.host {
        findings.push(machine::host(host).await);
    }
    findings.extend(janus(config).await);
    findings.extend(servers::answer(&config.ice).await);
    findings
}

fn gstreamer(with_rtmp: bool) -> Finding {
    let installed = pipeline::init().and_then(|()| if with_rtmp { rtmp::init() } else { Ok(()) });
    Finding::needed("GStreamer", installed.map(|()| "all that is needed is installed".to_owned()), "")
}

async fn janus(config: &Config) -> Vec<Finding> {
    let info = match janus::info(&config.janus.url).await {
        Ok(info) => info,
        // Where it is and what to do is in the error.
        Err(error) => return vec![Finding::needed("Janus", Err(error.to_string()), "")],
    };
    let mut findings = of_janus::findings(&info, PLUGIN);
    let admitted = videoroom::admits(&config.janus).await.map_err(|error| error.to_string());
    findings.push(Finding::needed(
        "rooms",
        admitted.map(|()| "Janus takes this node's secrets".to_owned()),
        "JANUS_API_SECRET is `general.api_secret` of janus.jcfg, JANUS_ADMIN_KEY or JANUS_ROOM_SECRET the `admin_key` of \
         janus.plugin.videoroom.jcfg",
    ));
    findings
}
