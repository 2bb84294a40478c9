//! An encoder made by hand: what ffmpeg has encoded, said by RTMP in any way that a test wants.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lab::Lab;

pub const AUDIO: u8 = 8;
pub const VIDEO: u8 = 9;
pub const DATA: u8 = 18;
pub const COMMAND: u8 = 20;

/// A message of an encoder.
#[derive(Clone, Debug)]
pub struct Tag {
    pub kind: u8,
    pub timestamp: u32,
    pub body: Vec<u8>,
}

impl Tag {
    pub fn is_config(&self) -> bool {
        matches!((self.kind, self.body.get(..2)), (AUDIO | VIDEO, Some([_, 0])))
    }

    pub fn is_key(&self) -> bool {
        self.kind == VIDEO && self.body.starts_with(&[0x17, 1])
    }
}

/// Some seconds of H264 with these options of ffmpeg's, a keyframe a second, and AAC.
pub fn recording(seconds: u32, video: &[&str], audio: &[&str]) -> Vec<Tag> {
    let mut ffmpeg = Command::new("ffmpeg");
    let size = video.iter().find_map(|option| option.strip_prefix("size=")).unwrap_or("320x180");
    let picture = format!("testsrc2=size={size}:rate=25");
    ffmpeg.args(["-hide_banner", "-loglevel", "error", "-nostdin", "-f", "lavfi", "-i", &picture]);
    ffmpeg.args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100", "-pix_fmt", "yuv420p"]);
    ffmpeg.args([
        "-t",
        &seconds.to_string(),
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-b:v",
        "500k",
        "-g",
        "25",
    ]);
    ffmpeg.args(video.iter().filter(|option| !option.starts_with("size=")));
    ffmpeg.args(["-c:a", "aac"]).args(audio).args(["-f", "flv", "-flvflags", "no_duration_filesize", "-"]);
    let made = ffmpeg.stderr(Stdio::inherit()).output().unwrap();
    assert!(made.status.success());
    tags(&made.stdout)
}

pub const BASELINE: &[&str] = &["-profile:v", "baseline"];

/// Of an FLV file.
fn tags(file: &[u8]) -> Vec<Tag> {
    let (mut rest, mut tags) = (&file[13..], Vec::new());
    while let Some((head, after)) = rest.split_first_chunk::<11>() {
        let length = u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize;
        let timestamp = u32::from_be_bytes([head[7], head[4], head[5], head[6]]);
        tags.push(Tag { kind: head[0], timestamp, body: after[..length].to_vec() });
        rest = &after[length + 4..];
    }
    // Metadata are told how they are meant.
    for tag in tags.iter_mut().filter(|tag| tag.kind == DATA) {
        tag.body.splice(..0, text("@setDataFrame"));
    }
    assert!(tags.iter().filter(|tag| tag.is_config()).count() == 2, "a configuration each");
    tags
}

/// The same again and again, so long: without metadata and configuration, and with timestamps that go on.
pub fn again(tags: &[Tag], seconds: u32) -> Vec<Tag> {
    let length = tags.iter().map(|tag| tag.timestamp).max().unwrap() + 40;
    let mut all = tags.to_vec();
    for round in 1..=(seconds * 1000 / length) {
        let frames = tags.iter().filter(|tag| tag.kind != DATA && !tag.is_config());
        all.extend(frames.cloned().map(|tag| Tag { timestamp: tag.timestamp + round * length, ..tag }));
    }
    all
}

pub fn text(text: &str) -> Vec<u8> {
    [&[2, 0, text.len() as u8][..], text.as_bytes()].concat()
}

pub fn number(number: f64) -> Vec<u8> {
    [&[0][..], &number.to_be_bytes()].concat()
}

pub fn field(name: &str, value: Vec<u8>) -> Vec<u8> {
    [text(name)[1..].to_vec(), value].concat()
}

const END: &[u8] = b"\0\0\x09";

/// One side of a connection.
pub struct Wire {
    socket: TcpStream,
}

impl Wire {
    /// Connects from the far namespace; no byte is said.
    pub fn dial(lab: &Lab) -> Wire {
        let socket = lab.in_namespace("far", || TcpStream::connect("10.77.0.1:1935").unwrap()).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Wire { socket }
    }

    /// Its handshake is over.
    pub fn greeted(lab: &Lab) -> Wire {
        let mut wire = Wire::dial(lab);
        wire.says(&[&[3][..], &[0; 1536]].concat());
        wire.socket.read_exact(&mut [0; 1 + 2 * 1536]).unwrap();
        wire.says(&[0; 1536]);
        wire
    }

    pub fn says(&mut self, bytes: &[u8]) {
        self.tries(bytes).unwrap();
    }

    pub fn tries(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.socket.write_all(bytes)
    }

    /// Asks to publish, and waits until it may.
    pub fn publishes(&mut self, application: &str, key: &str) {
        self.says(&asking(application, key));
        self.hears("NetStream.Publish.Start");
        self.says(&message(2, 1, 0, &65_536_u32.to_be_bytes()));
    }

    pub fn hears(&mut self, words: &str) {
        let mut heard = Vec::new();
        let mut buffer = [0; 4096];
        while !String::from_utf8_lossy(&heard).contains(words) {
            let count = self.socket.read(&mut buffer).unwrap();
            assert!(count > 0, "closed before {words}: {}", String::from_utf8_lossy(&heard));
            heard.extend_from_slice(&buffer[..count]);
        }
    }

    /// Whether the node ends the connection within this time.
    pub fn is_closed_within(&mut self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let mut buffer = [0; 4096];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            self.socket.set_read_timeout(Some(left)).unwrap();
            match self.socket.read(&mut buffer) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => {
                    return false;
                }
                Err(_) => return true,
            }
        }
    }
}

/// `connect`, `createStream` and `publish`, as short as they can be.
pub fn asking(application: &str, key: &str) -> Vec<u8> {
    let url = format!("rtmp://10.77.0.1/{application}");
    let fields = [field("app", text(application)), field("tcUrl", text(&url)), END.to_vec()].concat();
    let connect = [text("connect"), number(1.0), vec![3], fields].concat();
    let create = [text("createStream"), number(2.0), vec![5]].concat();
    let publish = [text("publish"), number(3.0), vec![5], text(key)].concat();
    [connect, create, publish].iter().flat_map(|body| message(3, COMMAND, 0, body)).collect()
}

/// A message in chunks of 128 bytes.
pub fn message(chunk_stream: u8, kind: u8, timestamp: u32, body: &[u8]) -> Vec<u8> {
    chunks(128, chunk_stream, kind, timestamp, body)
}

/// A message in chunks.
pub fn chunks(size: usize, chunk_stream: u8, kind: u8, timestamp: u32, body: &[u8]) -> Vec<u8> {
    let long = timestamp >= 0xff_ffff;
    let extended = if long { timestamp.to_be_bytes().to_vec() } else { Vec::new() };
    let mut whole = vec![chunk_stream];
    whole.extend_from_slice(&timestamp.min(0xff_ffff).to_be_bytes()[1..]);
    whole.extend_from_slice(&(body.len() as u32).to_be_bytes()[1..]);
    whole.extend_from_slice(&[kind, 1, 0, 0, 0]);
    whole.extend_from_slice(&extended);
    for (n, piece) in body.chunks(size).enumerate() {
        if n > 0 {
            whole.push(0xc0 | chunk_stream);
            whole.extend_from_slice(&extended);
        }
        whole.extend_from_slice(piece);
    }
    whole
}

/// Sends tags at their times until they end, it is dropped, or the node ends it.
pub struct Encoder {
    socket: TcpStream,
    stopped: Arc<AtomicBool>,
    broken: Arc<Mutex<Option<String>>>,
    pictures: Arc<AtomicU32>,
    thread: Option<JoinHandle<()>>,
}

impl Encoder {
    /// Publishes to a key of the application `live`.
    pub fn start(lab: &Lab, key: &str, tags: Vec<Tag>) -> Encoder {
        let mut wire = Wire::greeted(lab);
        wire.publishes("live", key);
        Encoder::on(wire, tags)
    }

    /// On a connection that may publish. The first tag is sent at once, the others so long after it as they come in the list:
    /// every frame of video takes 40 ms, whatever its timestamp says.
    pub fn on(wire: Wire, tags: Vec<Tag>) -> Encoder {
        let (stopped, broken) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Option<String>>>::default());
        let socket = wire.socket.try_clone().unwrap();
        let pictures = Arc::<AtomicU32>::default();
        let (stop, tell, count) = (stopped.clone(), broken.clone(), pictures.clone());
        let thread = std::thread::spawn(move || {
            let (mut wire, mut buffer) = (wire, [0; 4096]);
            wire.socket.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
            let started = Instant::now();
            for tag in tags {
                let stream = if tag.kind == VIDEO { 6 } else { 4 };
                let sent = wire.tries(&chunks(65_536, stream, tag.kind, tag.timestamp, &tag.body));
                let gone = matches!(wire.socket.read(&mut buffer), Ok(0));
                if sent.is_err() || gone {
                    *tell.lock().unwrap() = Some(format!("at {} ms: {sent:?}", tag.timestamp));
                    return;
                }
                if tag.kind == VIDEO && !tag.is_config() {
                    let due =
                        started + Duration::from_millis(40) * (count.fetch_add(1, Ordering::Relaxed) + 1);
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                }
                if stop.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        Encoder { socket, stopped, broken, pictures, thread: Some(thread) }
    }

    /// How many pictures it has sent.
    pub fn pictures(&self) -> u32 {
        self.pictures.load(Ordering::Relaxed)
    }

    /// Asserts that the node has not ended it.
    pub fn goes_on(&self) {
        assert_eq!(*self.broken.lock().unwrap(), None);
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        let _ = self.socket.shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
