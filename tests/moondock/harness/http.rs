//! A client of plugins that sends whatever bytes a test wants, over whatever transport.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// After so long without a byte a test has failed.
const SILENCE: Duration = Duration::from_secs(20);

/// One connection.
pub struct Connection {
    stream: BufReader<Box<dyn Wire>>,
}

/// What carries bytes, and can be closed on this side only.
pub trait Wire: Read + Write + Send {
    fn finish_sending(&mut self);
}

impl Wire for UnixStream {
    fn finish_sending(&mut self) {
        self.shutdown(Shutdown::Write).unwrap();
    }
}

impl Wire for TcpStream {
    fn finish_sending(&mut self) {
        self.shutdown(Shutdown::Write).unwrap();
    }
}

/// What came back.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: HashMap<String, String>,
    pub body: String,
}

impl Connection {
    pub fn open(socket: &Path) -> Result<Connection> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(SILENCE))?;
        Ok(Connection::over(stream))
    }

    pub fn open_tcp(address: SocketAddr) -> Result<Connection> {
        Ok(Connection::over(dial(address)?))
    }

    pub fn over(wire: impl Wire + 'static) -> Connection {
        Connection {
            stream: BufReader::new(Box::new(wire)),
        }
    }

    /// Sends raw bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref())
    }

    /// Reads one response; an error when the connection ends first.
    pub fn receive(&mut self) -> Result<Response> {
        let status = self.line()?.split(' ').nth(1).and_then(|s| s.parse().ok());
        let mut headers = HashMap::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(": ") else {
                break;
            };
            headers.insert(name.to_lowercase(), value.to_owned());
        }
        let length = headers
            .get("content-length")
            .map_or(0, |l| l.parse().unwrap());
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(Response {
            status: status.unwrap(),
            headers,
            body: String::from_utf8(body).unwrap(),
        })
    }

    /// All bytes up to and with `end`.
    pub fn read_until(&mut self, end: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        while !bytes.ends_with(end) {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).unwrap();
            bytes.push(byte[0]);
        }
        bytes
    }

    /// One call, as the engine makes it (protocol 1.3).
    pub fn call(&mut self, method: &str, body: &str) -> Result<Response> {
        self.send(request(method, body))?;
        self.receive()
    }

    /// Says that nothing more will be sent, while still reading.
    pub fn finish_sending(&mut self) {
        self.stream.get_mut().finish_sending();
    }

    /// Whether the other side closes the connection without another byte.
    pub fn is_closed(&mut self) -> bool {
        matches!(self.stream.fill_buf(), Ok([]))
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line)? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }
}

/// A connection to a port, with nothing sent yet.
pub fn dial(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(SILENCE))?;
    Ok(stream)
}

/// The bytes of a call.
pub fn request(method: &str, body: &str) -> String {
    format!(
        "POST /{method} HTTP/1.1\r\nHost: \r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: {}\r\n\
         Accept: application/vnd.docker.plugins.v1.2+json\r\n\r\n{body}",
        body.len()
    )
}
