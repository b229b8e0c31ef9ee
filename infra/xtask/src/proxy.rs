//! A plain origin in front of the API: the emulator serves it under a path, browsers and providers want none.
//!
//! One request a connection: the head is rewritten (`Connection: close`), then bytes flow both ways as they come.
use crate::fault::{OrFault as _, Result};
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::thread::spawn;

/// The longest head of a request.
const MOST_HEAD: usize = 64 * 1024;

/// Serves `127.0.0.1:port` until this process ends.
pub(crate) fn start(port: u16, upstream: String, prefix: String) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let listener = listener.or_fault(|| format!("port {port} is taken; choose other ports with --port-base"))?;
    spawn(move || {
        for client in listener.incoming().flatten() {
            let (upstream, prefix) = (upstream.clone(), prefix.clone());
            spawn(move || {
                // A connection that breaks is the client's to notice; nothing here depends on it.
                let _broken = serve(client, &upstream, &prefix);
            });
        }
    });
    Ok(())
}

fn serve(mut client: TcpStream, upstream: &str, prefix: &str) -> io::Result<()> {
    let Some((head, rest)) = read_head(&mut client)? else { return Ok(()) };
    let Some(head) = rewrite(&head, prefix) else {
        return client.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    };
    let Ok(mut server) = TcpStream::connect(upstream) else {
        return client.write_all(b"HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    };
    server.write_all(head.as_bytes())?;
    server.write_all(&rest)?;
    let (mut body, mut to_server) = (client.try_clone()?, server.try_clone()?);
    spawn(move || {
        // The request's body, for as long as there is one. The answer may come and end before it.
        let _ended = io::copy(&mut body, &mut to_server);
    });
    let copied = io::copy(&mut server, &mut client);
    // Ends the other direction, too.
    let _closed = client.shutdown(Shutdown::Both);
    let _closed = server.shutdown(Shutdown::Both);
    copied.map(|_| ())
}

/// The head up to the empty line, and what came after it. `None`: the client sent nothing, or no head.
fn read_head(client: &mut TcpStream) -> io::Result<Option<(String, Vec<u8>)>> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 8192]);
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return Ok(String::from_utf8(bytes).ok().map(|head| (head, rest)));
        }
        let read = client.read(&mut buffer)?;
        if read == 0 || bytes.len() > MOST_HEAD {
            return Ok(None);
        }
        bytes.extend_from_slice(&buffer[..read]);
    }
}

fn rewrite(head: &str, prefix: &str) -> Option<String> {
    let mut lines = head.trim_end_matches("\r\n").split("\r\n");
    let mut words = lines.next()?.splitn(3, ' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    if !target.starts_with('/') || !version.starts_with("HTTP/1.") {
        return None;
    }
    let mut text = format!("{method} {prefix}{target} HTTP/1.1\r\n");
    for line in lines {
        let name = line.split(':').next().unwrap_or_default();
        if !name.eq_ignore_ascii_case("connection") && !name.eq_ignore_ascii_case("keep-alive") {
            text.push_str(line);
            text.push_str("\r\n");
        }
    }
    text.push_str("Connection: close\r\n\r\n");
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_gets_its_prefix_and_the_connection_closes() {
        let head = "GET /a?b=c HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n";
        let expected = "GET /p/a?b=c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        assert_eq!(rewrite(head, "/p").as_deref(), Some(expected));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        assert_eq!(rewrite("CONNECT a:1 HTTP/1.1\r\n\r\n", "/p"), None);
        assert_eq!(rewrite("nonsense\r\n\r\n", "/p"), None);
    }
}
