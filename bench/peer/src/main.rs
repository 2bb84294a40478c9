//! The plainest server that webrtc-rs allows, for `cargo xtask bench viewers`: RTP comes in by UDP (audio, video) and goes to
//! all viewers through one local track each, which is how servers built on that library do it. WHEP is an answer to each
//! offer, and no more: viewers end when their connection does.
//!
//! `peer ADDRESS HTTP-PORT AUDIO-PORT VIDEO-PORT`

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, post};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::Mutex;
use webrtc::api::interceptor_registry::register_default_interceptors;
use webrtc::api::media_engine::{MIME_TYPE_OPUS, MIME_TYPE_VP8, MediaEngine};
use webrtc::api::setting_engine::SettingEngine;
use webrtc::api::{API, APIBuilder};
use webrtc::ice::mdns::MulticastDnsMode;
use webrtc::interceptor::registry::Registry;
use webrtc::peer_connection::RTCPeerConnection;
use webrtc::peer_connection::configuration::RTCConfiguration;
use webrtc::peer_connection::peer_connection_state::RTCPeerConnectionState;
use webrtc::peer_connection::sdp::session_description::RTCSessionDescription;
use webrtc::rtp::packet::Packet;
use webrtc::rtp_transceiver::rtp_codec::RTCRtpCodecCapability;
use webrtc::track::track_local::track_local_static_rtp::TrackLocalStaticRTP;
use webrtc::track::track_local::{TrackLocal, TrackLocalWriter};
use webrtc::util::Unmarshal;

struct Server {
    api: API,
    /// Audio, video.
    tracks: [Arc<TrackLocalStaticRTP>; 2],
    /// A connection ends when nobody holds it. These are held for good: for as long as a measurement.
    viewers: Mutex<Vec<Arc<RTCPeerConnection>>>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, http, audio, video] = &arguments[..] else {
        anyhow::bail!("usage: peer ADDRESS HTTP-PORT AUDIO-PORT VIDEO-PORT");
    };
    let address: IpAddr = address.parse().context("ADDRESS")?;
    let tracks = [(MIME_TYPE_OPUS, 48_000, 2, "audio"), (MIME_TYPE_VP8, 90_000, 0, "video")].map(track);
    for (track, port) in tracks.iter().zip([audio, video]) {
        let socket = UdpSocket::bind(SocketAddr::new(address, port.parse().context("a port")?)).await?;
        tokio::spawn(feed(socket, track.clone()));
    }
    let server = Arc::new(Server { api: api(address)?, tracks, viewers: Mutex::default() });
    let router = axum::Router::new()
        .route("/whep", post(watch))
        // Who leaves says so; his connection's end is what counts.
        .route("/whep/viewer", delete(|| async { StatusCode::OK }))
        .with_state(server);
    let listener = TcpListener::bind(SocketAddr::new(address, http.parse().context("HTTP-PORT")?)).await?;
    println!("ready: http://{}/whep", listener.local_addr()?);
    Ok(axum::serve(listener, router).await?)
}

fn track((mime, clock_rate, channels, name): (&str, u32, u16, &str)) -> Arc<TrackLocalStaticRTP> {
    let codec =
        RTCRtpCodecCapability { mime_type: mime.to_owned(), clock_rate, channels, ..Default::default() };
    Arc::new(TrackLocalStaticRTP::new(codec, name.to_owned(), "broadcast".to_owned()))
}

/// With what the library does by default: reports, answers to NACKs.
fn api(address: IpAddr) -> Result<API> {
    let mut engine = MediaEngine::default();
    engine.register_default_codecs()?;
    let registry = register_default_interceptors(Registry::new(), &mut engine)?;
    let mut settings = SettingEngine::default();
    settings.set_ice_multicast_dns_mode(MulticastDnsMode::Disabled);
    settings.set_ip_filter(Box::new(move |candidate| candidate == address));
    let builder = APIBuilder::new().with_media_engine(engine).with_interceptor_registry(registry);
    Ok(builder.with_setting_engine(settings).build())
}

/// Every packet to every viewer.
async fn feed(socket: UdpSocket, track: Arc<TrackLocalStaticRTP>) {
    let mut buffer = [0; 2048];
    while let Ok(length) = socket.recv(&mut buffer).await {
        if let Ok(packet) = Packet::unmarshal(&mut &buffer[..length]) {
            // A viewer that cannot be sent to loses it.
            let _ = track.write_rtp(&packet).await;
        }
    }
}

async fn watch(State(server): State<Arc<Server>>, offer: String) -> Response {
    match answer(&server, offer).await {
        Ok(sdp) => {
            let head = [(header::CONTENT_TYPE, "application/sdp"), (header::LOCATION, "/whep/viewer")];
            (StatusCode::CREATED, head, sdp).into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error:#}")).into_response(),
    }
}

async fn answer(server: &Server, offer: String) -> Result<String> {
    let viewer = Arc::new(server.api.new_peer_connection(RTCConfiguration::default()).await?);
    for track in &server.tracks {
        let sender = viewer.add_track(track.clone() as Arc<dyn TrackLocal + Send + Sync>).await?;
        // Interceptors see what is read here.
        tokio::spawn(async move { while sender.read_rtcp().await.is_ok() {} });
    }
    let ended = Arc::downgrade(&viewer);
    viewer.on_peer_connection_state_change(Box::new(move |state| {
        let viewer = ended.upgrade();
        Box::pin(async move {
            if let (RTCPeerConnectionState::Failed | RTCPeerConnectionState::Disconnected, Some(viewer)) = (state, viewer) {
                let _ = viewer.close().await;
            }
        })
    }));
    viewer.set_remote_description(RTCSessionDescription::offer(offer)?).await?;
    let answer = viewer.create_answer(None).await?;
    let mut gathered = viewer.gathering_complete_promise().await;
    viewer.set_local_description(answer).await?;
    let _ = gathered.recv().await;
    let description = viewer.local_description().await.context("no description")?;
    server.viewers.lock().await.push(viewer);
    Ok(description.sdp)
}
