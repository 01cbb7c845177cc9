//! One command to a server, on a connection of its own.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::answer;

/// The server's reply to a command, as it travels; empty if there is none.
pub(crate) fn ask(port: u16, words: &[&str]) -> String {
    let run = || {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(format!("{}\r\n", words.join(" ")).as_bytes())?;
        let (mut reply, mut buffer) = (Vec::new(), [0; 4096]);
        while answer::length(&reply) == 0 {
            match stream.read(&mut buffer)? {
                0 => break,
                count => reply.extend_from_slice(&buffer[..count]),
            }
        }
        std::io::Result::Ok(String::from_utf8_lossy(&reply).into_owned())
    };
    run().unwrap_or_default()
}
