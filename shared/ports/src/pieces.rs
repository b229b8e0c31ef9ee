//! Files that a provider takes, or gives, in one request only: bytes that pass front to back, a piece at a time, for callers
//! that think in offsets and ranges.
use crate::error::ConnectorError;
use crate::infra::{Arriving, HttpTransport, Pieces, TransportError};
use bytes::{Bytes, BytesMut};
use futures::channel::mpsc;
use futures::future::{BoxFuture, Either, select};
use futures::{SinkExt as _, StreamExt as _};
use http::{Request, Response, StatusCode, header};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use tandem_core::files::hash::Digests;

/// A request whose body is being fed. Nothing goes before the first piece is fed.
pub struct Feed {
    pieces: mpsc::Sender<Bytes>,
    answer: BoxFuture<'static, Result<Response<Bytes>, TransportError>>,
    digests: Digests,
}

/// A request was answered before its body was at its end.
pub type Early = Result<Response<Bytes>, TransportError>;

impl Feed {
    /// Begins a request; its headers say the `Content-Length` of `head`, of what will be fed, and of the tail.
    pub fn begin(transport: Arc<dyn HttpTransport>, request: Request<()>, head: Bytes) -> Feed {
        let (pieces, fed) = mpsc::channel::<Bytes>(0);
        let head = (!head.is_empty()).then_some(head);
        let body: Pieces = Box::pin(futures::stream::iter(head).chain(fed));
        let answer = async move { transport.send_pieces(request.map(|()| body)).await };
        Feed { pieces, answer: Box::pin(answer), digests: Digests::default() }
    }

    /// How many bytes were fed, and what they hash to.
    pub fn digests(&self) -> &Digests {
        &self.digests
    }

    /// Feeds a piece and waits until the request has taken it: no second one is in memory.
    pub async fn feed(&mut self, bytes: Bytes) -> Result<(), Early> {
        self.digests.update(&bytes);
        match select(self.pieces.send(bytes), &mut self.answer).await {
            Either::Left((Ok(()), _)) => Ok(()),
            Either::Left((Err(_), answer)) => Err(answer.await),
            Either::Right((answer, _)) => Err(answer),
        }
    }

    /// Feeds the last bytes, then the tail, and waits for the answer.
    pub async fn end(mut self, last: Bytes, tail: Bytes) -> Early {
        for bytes in [last, tail].into_iter().filter(|bytes| !bytes.is_empty()) {
            if let Err(early) = self.feed(bytes).await {
                return early;
            }
        }
        drop(self.pieces);
        self.answer.await
    }
}

/// A body on its way to us.
pub struct Incoming {
    at: u64,
    body: Arriving,
    rest: Bytes,
}

impl Incoming {
    /// The body of an answer to a request for all from `from` on: a provider that knows no ranges begins at 0.
    pub fn of(answer: Response<Arriving>, from: u64) -> Incoming {
        let at = if answer.status() == StatusCode::PARTIAL_CONTENT { begins_at(&answer).unwrap_or(from) } else { 0 };
        Incoming { at, body: answer.into_body(), rest: Bytes::new() }
    }

    /// The next piece; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        if self.rest.is_empty() {
            match self.body.next().await {
                None => return Ok(None),
                Some(piece) => self.rest = piece.map_err(Broken::Lost)?,
            }
        }
        Ok(Some(std::mem::take(&mut self.rest)))
    }

    /// Exactly these bytes, which are not behind us; what lies before them passes by.
    async fn read(&mut self, range: &Range<u64>) -> Result<Bytes, Broken> {
        let mut read = BytesMut::new();
        while self.at < range.end {
            let Some(mut piece) = self.next().await? else { return Err(Broken::Short) };
            let skipped = clamped(range.start.saturating_sub(self.at), piece.len());
            let taken = clamped(range.end - self.at, piece.len());
            self.at += taken as u64;
            self.rest = piece.split_off(taken);
            if skipped < piece.len() {
                read.extend_from_slice(&piece[skipped..]);
            }
        }
        Ok(read.freeze())
    }
}

fn clamped(bytes: u64, most: usize) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX).min(most)
}

/// Where a part begins (`Content-Range: bytes 5-9/10`).
fn begins_at(answer: &Response<Arriving>) -> Option<u64> {
    let range = answer.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
}

/// Why bytes did not come.
#[derive(Debug)]
pub enum Broken {
    /// Refused when they were asked for.
    Refused(ConnectorError),
    /// The connection broke on the way.
    Lost(TransportError),
    /// The body ended before the bytes that were asked for.
    Short,
}

impl From<ConnectorError> for Broken {
    fn from(refusal: ConnectorError) -> Self {
        Broken::Refused(refusal)
    }
}

type Slot = Arc<futures::lock::Mutex<Option<Incoming>>>;

/// Bodies on their way to us, by what they are: a file that is read range after range passes once.
#[derive(Default)]
pub struct Downloads {
    slots: Mutex<HashMap<String, Slot>>,
}

/// Begins a download at an offset, or, where ranges are not known, at the beginning.
#[async_trait::async_trait]
pub trait Opens: Send + Sync {
    /// Asks for all from `from` on.
    async fn open(&self, from: u64) -> Result<Incoming, ConnectorError>;
}

impl Downloads {
    /// Exactly these bytes of a body of this size. Reads of one body follow one another, in the order of their asking; one
    /// that goes back begins anew.
    pub async fn read(&self, what: &str, range: Range<u64>, size: u64, opens: &dyn Opens) -> Result<Bytes, Broken> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let slot = Arc::clone(self.slots().entry(what.to_owned()).or_default());
        let mut held = slot.lock().await;
        let mut incoming = match held.take() {
            Some(incoming) if incoming.at <= range.start => incoming,
            Some(_) | None => opens.open(range.start).await?,
        };
        if incoming.at > range.start {
            return Err(Broken::Short);
        }
        let read = incoming.read(&range).await;
        match &read {
            Ok(_) if range.end < size => *held = Some(incoming),
            Ok(_) | Err(_) => drop(self.slots().remove(what)),
        }
        read
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, HashMap<String, Slot>> {
        self.slots.lock().expect("no code panics while it holds this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Nothing here waits for anything outside.
    fn block_on<F: Future>(work: F) -> F::Output {
        work.now_or_never().expect("it is ready")
    }

    const TEXT: &[u8] = b"0123456789";

    /// Serves ranges or not, in pieces of three bytes, and counts how often it is asked.
    struct Server {
        ranges: bool,
        asked: AtomicUsize,
        breaks_after: usize,
    }

    #[async_trait::async_trait]
    impl Opens for Server {
        async fn open(&self, from: u64) -> Result<Incoming, ConnectorError> {
            let first = self.asked.fetch_add(1, Ordering::Relaxed) == 0;
            let at = if self.ranges { usize::try_from(from).unwrap() } else { 0 };
            let pieces = TEXT[at..].chunks(3).map(|piece| Ok(Bytes::from_static(piece)));
            let most = if first { self.breaks_after } else { usize::MAX };
            let body: Arriving = Box::pin(futures::stream::iter(pieces.take(most).collect::<Vec<_>>()));
            let partial = Response::builder().status(206).header("content-range", format!("bytes {at}-9/10"));
            let answer = if self.ranges { partial } else { Response::builder() };
            Ok(Incoming::of(answer.body(body).unwrap(), from))
        }
    }

    #[test]
    fn ranges_one_after_the_other_are_one_request_and_one_that_goes_back_is_another() {
        for ranges in [true, false] {
            let server = Server { ranges, asked: AtomicUsize::new(0), breaks_after: usize::MAX };
            let downloads = Downloads::default();
            let read = |range| block_on(downloads.read("a", range, 10, &server)).unwrap();
            assert_eq!([read(0..4), read(4..5), read(7..9)], ["0123", "4", "78"]);
            assert_eq!(server.asked.load(Ordering::Relaxed), 1);
            assert_eq!([read(2..4), read(4..10), read(9..10)], ["23", "456789", "9"]);
            assert_eq!(server.asked.load(Ordering::Relaxed), 3, "back to 2, and again after the end");
        }
    }

    #[test]
    fn a_body_that_ends_early_is_no_file_and_the_next_try_begins_where_it_may() {
        let server = Server { ranges: false, asked: AtomicUsize::new(0), breaks_after: 2 };
        let downloads = Downloads::default();
        let read = |range| block_on(downloads.read("a", range, 10, &server));
        assert_eq!(read(0..5).unwrap(), "01234");
        assert!(matches!(read(5..10), Err(Broken::Short)));
        assert_eq!(read(5..10).unwrap(), "56789");
    }

    #[test]
    fn reads_at_once_are_served_in_their_order() {
        let server = Server { ranges: false, asked: AtomicUsize::new(0), breaks_after: usize::MAX };
        let downloads = Downloads::default();
        let reads = [0..4, 4..8, 8..10].map(|range| downloads.read("a", range, 10, &server));
        let read: Vec<Bytes> = block_on(futures::future::try_join_all(reads)).unwrap();
        assert_eq!(read, ["0123", "4567", "89"]);
        assert_eq!(server.asked.load(Ordering::Relaxed), 1);
    }
}
