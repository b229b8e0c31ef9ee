//! Google in memory on a port of this machine, for the published clients to talk to: `serve_google PORT`.
use bytes::Bytes;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use tandem_google::fake::FakePeople as Fake;

struct Now;

#[async_trait::async_trait]
impl tandem_ports::infra::Clock for Now {
    #[expect(clippy::disallowed_methods, reason = "this is the clock itself")]
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }
    async fn sleep(&self, how_long: std::time::Duration) {
        std::thread::sleep(how_long);
    }
}

/// The next request of a connection; `None` at its end.
fn request(from: &mut BufReader<TcpStream>) -> Option<http::Request<Bytes>> {
    let line = |from: &mut BufReader<TcpStream>| {
        let mut line = String::new();
        from.read_line(&mut line).ok().filter(|read| *read > 0)?;
        Some(line.trim_end().to_owned())
    };
    let first = line(from)?;
    let mut words = first.split(' ');
    let mut builder = http::Request::builder().method(words.next()?).uri(words.next()?);
    let (mut length, mut expects) = (0, false);
    loop {
        let header = line(from)?;
        let Some((name, value)) = header.split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "expect" => expects = true,
            _ => {}
        }
        builder = builder.header(name, value.trim());
    }
    if expects {
        from.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).ok()?;
    builder.body(Bytes::from(body)).ok()
}

/// Answers requests until the connection ends, or the fake loses an answer.
fn talk(fake: &Fake, stream: TcpStream) -> Option<()> {
    let mut from = BufReader::new(stream.try_clone().ok()?);
    let mut to = stream;
    while let Some(request) = request(&mut from) {
        let answer = fake.handle(request)?;
        let mut head = format!("HTTP/1.1 {}\r\ncontent-length: {}\r\n", answer.status(), answer.body().len());
        for (name, value) in answer.headers() {
            head.push_str(&format!("{name}: {}\r\n", value.to_str().ok()?));
        }
        head.push_str("\r\n");
        to.write_all(head.as_bytes()).ok()?;
        to.write_all(answer.body()).ok()?;
    }
    Some(())
}

fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(0);
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    println!("ready at http://{}", listener.local_addr()?);
    let fake = Fake::new(Arc::new(Now)).shared();
    for stream in listener.incoming() {
        let (fake, stream) = (Arc::clone(&fake), stream?);
        std::thread::spawn(move || talk(&fake, stream));
    }
    Ok(())
}
