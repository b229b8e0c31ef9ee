//! The HTTP client: time-outs, a bound on what an answer may weigh, no redirects, no retries.
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use http::{Request, Response};
use http_body_util::StreamBody;
use http_body_util::combinators::BoxBody;
use std::convert::Infallible;
use std::time::Duration;
use tandem_ports::infra::{Arriving, HttpTransport, Pieces, TransportError};

/// Until the connection stands.
const CONNECT: Duration = Duration::from_secs(5);
/// Until the whole answer is there.
const TOTAL: Duration = Duration::from_secs(30);
/// Until a file that passes in one request is through, either way: 50 MB at 200 KB/s.
const WHOLE_FILE: Duration = Duration::from_secs(250);
/// The most an answer may weigh. A People page of 1,000 contacts is about 3 MB; the rest is room for files in parts.
const MOST_BYTES: usize = 32 * 1024 * 1024;
/// A connection that rested longer is made anew: Lambda freezes the process between invocations, and the other end has
/// usually hung up meanwhile.
const IDLE: Duration = Duration::from_secs(20);

/// The way out by reqwest and rustls. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct ReqwestTransport {
    client: reqwest::Client,
    most_bytes: usize,
}

/// The HTTP client could not be set up: the machine has no usable certificates.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client cannot be set up")]
pub struct TransportSetupError(#[source] reqwest::Error);

impl ReqwestTransport {
    /// A client of its own.
    pub fn new() -> Result<Self, TransportSetupError> {
        // An error says that a provider was installed before, by us or by the host: that one serves as well.
        let _installed_before = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(TOTAL)
            .pool_idle_timeout(IDLE)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("tandem/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(TransportSetupError)?;
        Ok(Self { client, most_bytes: MOST_BYTES })
    }

    async fn carry(&self, request: reqwest::Result<reqwest::Request>) -> Result<Response<Bytes>, Cause> {
        let mut answer = self.client.execute(request.map_err(clean)?).await.map_err(clean)?;
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(clean)? {
            if body.len() + chunk.len() > self.most_bytes {
                return Err(TooLarge { most: self.most_bytes }.into());
            }
            body.extend_from_slice(&chunk);
        }
        *response.body_mut() = body.freeze();
        Ok(response)
    }
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, thiserror::Error)]
#[error("the answer is larger than {most} bytes")]
struct TooLarge {
    most: usize,
}

/// An address may carry ids and tokens in its query: it never gets into an error.
fn clean(error: reqwest::Error) -> Cause {
    Box::new(error.without_url())
}

/// The host of a request, for errors.
pub(crate) fn host_of<T>(request: &Request<T>) -> String {
    request.uri().host().unwrap_or("an address without a host").to_owned()
}

#[async_trait]
impl HttpTransport for ReqwestTransport {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let host = host_of(&request);
        self.carry(reqwest::Request::try_from(request))
            .await
            .map_err(|source| TransportError::Lost { host, source: Some(source) })
    }

    async fn send_pieces(&self, request: Request<Pieces>) -> Result<Response<Bytes>, TransportError> {
        let host = host_of(&request);
        let frame = |piece: Bytes| Ok::<_, Infallible>(http_body::Frame::data(piece));
        let body = |pieces: Pieces| reqwest::Body::wrap(BoxBody::new(StreamBody::new(pieces.map(frame))));
        let mut request = reqwest::Request::try_from(request.map(body));
        if let Ok(request) = &mut request {
            *request.timeout_mut() = Some(WHOLE_FILE);
        }
        self.carry(request).await.map_err(|source| TransportError::Lost { host, source: Some(source) })
    }

    async fn receive(&self, request: Request<Bytes>) -> Result<Response<Arriving>, TransportError> {
        let host = host_of(&request);
        let lost = |host: String| move |source| TransportError::Lost { host, source: Some(clean(source)) };
        let mut request = reqwest::Request::try_from(request).map_err(lost(host.clone()))?;
        *request.timeout_mut() = Some(WHOLE_FILE);
        let mut answer = self.client.execute(request).await.map_err(lost(host.clone()))?;
        let mut response = Response::new(());
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        let body = futures::stream::try_unfold((answer, host), move |(mut answer, host)| async move {
            let piece = answer.chunk().await.map_err(lost(host.clone()))?;
            Ok(piece.map(|piece| (piece, (answer, host))))
        });
        Ok(response.map(|()| -> Arriving { Box::pin(body) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// Answers each connection with these bytes and closes it.
    async fn server(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut buffer = [0u8; 4096];
                let _read = socket.read(&mut buffer).await;
                let _written = socket.write_all(answer.as_bytes()).await;
            }
        });
        format!("http://{address}")
    }

    fn get(address: &str) -> Request<Bytes> {
        Request::get(format!("{address}/path?token=hush")).body(Bytes::new()).unwrap()
    }

    #[tokio::test]
    async fn an_answer_comes_back_whole_and_a_redirect_is_not_followed() {
        let at =
            server("HTTP/1.1 302 Found\r\nlocation: http://elsewhere.invalid/\r\ncontent-length: 2\r\n\r\nok").await;
        let answer = ReqwestTransport::new().unwrap().send(get(&at)).await.unwrap();
        assert_eq!((answer.status().as_u16(), &answer.body()[..]), (302, &b"ok"[..]));
        assert_eq!(answer.headers()["location"], "http://elsewhere.invalid/");
    }

    #[tokio::test]
    async fn an_answer_that_is_too_large_is_refused() {
        let at = server("HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\ntwelve bytes").await;
        let transport = ReqwestTransport { most_bytes: 11, ..ReqwestTransport::new().unwrap() };
        let error = transport.send(get(&at)).await.unwrap_err();
        assert!(error.source().unwrap().to_string().contains("larger than 11"), "{error:?}");
    }

    #[tokio::test]
    async fn a_body_in_pieces_is_sent_as_it_comes_with_its_length() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = format!("http://{}", listener.local_addr().unwrap());
        let (mut pieces, fed) = futures::channel::mpsc::channel::<Bytes>(0);
        let fed: Pieces = Box::pin(fed);
        let request = Request::post(at).header("content-length", 6).body(fed).unwrap();
        let transport = ReqwestTransport::new().unwrap();
        let answer = tokio::spawn(async move { transport.send_pieces(request).await });
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut seen = String::new();
        let mut buffer = [0u8; 4096];
        for (piece, so_far) in [("one", "\r\n\r\none"), ("two", "\r\n\r\nonetwo")] {
            pieces.try_send(Bytes::from_static(piece.as_bytes())).unwrap();
            while !seen.ends_with(so_far) {
                let read = socket.read(&mut buffer).await.unwrap();
                assert!(read > 0, "{seen}");
                seen.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
            }
        }
        drop(pieces);
        socket.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        assert_eq!(answer.await.unwrap().unwrap().status(), 204);
        let head = seen.to_ascii_lowercase();
        assert!(head.contains("content-length: 6") && !head.contains("chunked"), "{head}");
    }

    #[tokio::test]
    async fn an_upload_that_ends_early_is_no_whole_request() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = format!("http://{}", listener.local_addr().unwrap());
        let few: Pieces = Box::pin(futures::stream::iter([Bytes::from_static(b"one")]));
        let request = Request::post(at).header("content-length", 6).body(few).unwrap();
        let transport = ReqwestTransport::new().unwrap();
        let answer = tokio::spawn(async move { transport.send_pieces(request).await });
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut seen = Vec::new();
        socket.read_to_end(&mut seen).await.unwrap();
        assert!(!seen.ends_with(b"onetwo"));
        assert!(answer.await.unwrap().is_err());
    }

    #[tokio::test]
    async fn a_body_is_handed_on_as_it_arrives_and_one_that_breaks_off_says_so() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = format!("http://{}", listener.local_addr().unwrap());
        let transport = ReqwestTransport::new().unwrap();
        let answer = tokio::spawn(async move { transport.receive(get(&at)).await });
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut buffer = [0u8; 4096];
        let _asked = socket.read(&mut buffer).await.unwrap();
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\none").await.unwrap();
        let answer = answer.await.unwrap().unwrap();
        assert_eq!((answer.status().as_u16(), &answer.headers()["content-length"]), (200, &"9".parse().unwrap()));
        let mut body = answer.into_body();
        assert_eq!(body.next().await.unwrap().unwrap(), "one", "before the rest is there");
        socket.write_all(b"two").await.unwrap();
        assert_eq!(body.next().await.unwrap().unwrap(), "two");
        drop(socket);
        assert!(body.next().await.unwrap().is_err(), "three bytes are missing");
    }

    #[tokio::test]
    async fn an_error_names_the_host_and_neither_path_nor_query() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let error = ReqwestTransport::new().unwrap().send(get(&at)).await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.contains("127.0.0.1") && !text.contains("hush") && !text.contains("/path"), "{text}");
    }
}
