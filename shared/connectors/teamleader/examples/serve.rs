//! Serves the fake on a local port, for trying other programs against it: `cargo run --example serve`.
use bytes::Bytes;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;
use tandem_ports::infra::Clock;
use tandem_teamleader::fake::FakeTeamleader;

struct WallClock;

#[async_trait::async_trait]
impl Clock for WallClock {
    #[expect(clippy::disallowed_methods, reason = "a program that people try things with has the real time")]
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }
    async fn sleep(&self, how_long: Duration) {
        std::thread::sleep(how_long);
    }
}

/// The next request of this connection; `None` at its end.
fn request(stream: &mut BufReader<TcpStream>) -> Option<http::Request<Bytes>> {
    let mut line = String::new();
    stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split_whitespace();
    let mut builder = http::Request::builder().method(words.next()?).uri(words.next()?);
    let mut length = 0;
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok()?;
        }
        builder = builder.header(name, value.trim());
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    builder.body(Bytes::from(body)).ok()
}

fn serve(fake: &FakeTeamleader, stream: TcpStream) -> Option<()> {
    let mut out = stream.try_clone().ok()?;
    let mut stream = BufReader::new(stream);
    while let Some(request) = request(&mut stream) {
        // `None`: the connection is cut.
        let response = fake.handle(request)?;
        std::thread::sleep(fake.latency());
        let mut head = format!("HTTP/1.1 {}\r\ncontent-length: {}\r\n", response.status(), response.body().len());
        for (name, value) in response.headers() {
            head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap_or_default()));
        }
        out.write_all(format!("{head}\r\n").as_bytes()).ok()?;
        out.write_all(response.body()).ok()?;
    }
    Some(())
}

fn main() -> std::io::Result<()> {
    let fake = FakeTeamleader::new(Arc::new(WallClock)).shared();
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("http://{}", listener.local_addr()?);
    for stream in listener.incoming().flatten() {
        let fake = Arc::clone(&fake);
        std::thread::spawn(move || serve(&fake, stream));
    }
    Ok(())
}
