//! HTTP/1.1 over a Unix socket, byte for byte, so that a test can send what no client would.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(60);

/// A reply: its status and its body, chunks joined.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub body: String,
}

impl Reply {
    /// The `message` of an error reply, else the whole body.
    pub fn message(&self) -> String {
        let parsed: Option<Value> = serde_json::from_str(&self.body).ok();
        parsed
            .and_then(|v| Some(v.get("message")?.as_str()?.to_owned()))
            .unwrap_or_else(|| self.body.clone())
    }
}

/// A request with a `Content-Length` body. `target` goes out as it is.
pub fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let length = body.len().to_string();
    let mut bytes = head(method, target, headers);
    if !body.is_empty() || method == "POST" {
        bytes.extend(format!("Content-Length: {length}\r\n").bytes());
    }
    bytes.extend(b"\r\n");
    bytes.extend(body);
    bytes
}

/// A request whose body goes in chunks of `size` bytes, with no length announced.
pub fn chunked(
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    size: usize,
) -> Vec<u8> {
    let mut bytes = head(method, target, headers);
    bytes.extend(b"Transfer-Encoding: chunked\r\n\r\n");
    for chunk in body.chunks(size) {
        bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
        bytes.extend(chunk);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"0\r\n\r\n");
    bytes
}

fn head(method: &str, target: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text.into_bytes()
}

/// Sends `bytes` on a new connection, and reads one reply to its end.
pub fn send(socket: &Path, bytes: &[u8]) -> io::Result<Reply> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let written = stream.write_all(bytes);
    let mut raw = Vec::new();
    let read = stream.read_to_end(&mut raw);
    // A server may refuse a large body before it has read it all: its answer counts, not our write.
    parse(&raw).ok_or_else(|| {
        written
            .and(read)
            .err()
            .unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into())
    })
}

fn parse(raw: &[u8]) -> Option<Reply> {
    let text = String::from_utf8_lossy(raw).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    let chunked = head
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked");
    Some(Reply {
        status,
        body: if chunked {
            joined(body)
        } else {
            body.to_owned()
        },
    })
}

fn joined(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, tail)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        let Some(chunk) = tail.get(..size).filter(|chunk| !chunk.is_empty()) else {
            break;
        };
        body += chunk;
        rest = tail.get(size + 2..).unwrap_or("");
    }
    body
}
