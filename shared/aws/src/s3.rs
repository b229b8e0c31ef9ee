//! [`BlobStore`] on S3: one bucket, objects that are never written over.
use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::presigning::{PresignedRequest, PresigningConfig};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier};
use bytes::Bytes;
use std::ops::Range;
use std::time::Duration;
use tandem_ports::blobs::{BlobAddress, BlobError, BlobKey, BlobPart, BlobStore, BlobUpload};

/// `DeleteObjects` takes at most this many keys.
const BATCH: usize = 1_000;
/// A presigned address is good for at most seven days (Signature Version 4).
const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// A bucket.
#[derive(Clone, Debug)]
pub struct S3Blobs {
    client: Client,
    bucket: String,
}

impl S3Blobs {
    /// This bucket.
    pub fn new(client: Client, bucket: &str) -> Self {
        Self { client, bucket: bucket.to_owned() }
    }
}

/// Whether S3 says that the object or upload is not there. Without the right to list the bucket it would say 403 instead,
/// so the functions have that right.
fn blob_error<E>(error: SdkError<E>) -> BlobError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
    let gone = matches!(code, Some("NoSuchKey" | "NoSuchUpload" | "NotFound"));
    // A HEAD has no body that could name the code.
    if gone || error.raw_response().is_some_and(|answer| answer.status().as_u16() == 404) {
        return BlobError::Missing;
    }
    BlobError::Unavailable(Box::new(error))
}

fn odd(what: &'static str) -> BlobError {
    BlobError::Unavailable(what.into())
}

fn number(part: u32) -> Result<i32, BlobError> {
    i32::try_from(part).map_err(|_| odd("S3 numbers parts from 1 to 10,000"))
}

fn good_for(time: Duration) -> Result<PresigningConfig, BlobError> {
    PresigningConfig::expires_in(time.min(LONGEST)).map_err(|error| BlobError::Unavailable(Box::new(error)))
}

fn address(method: &'static str, request: &PresignedRequest) -> BlobAddress {
    let headers = request.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    BlobAddress { method, url: request.uri().to_owned(), headers }
}

/// A name as RFC 6266 sends it: plain for old readers, and whole in UTF-8.
fn attachment(name: &str) -> String {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || ".-_ ".contains(c) { c } else { '_' }).collect();
    let mut whole = String::new();
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' => whole.push(char::from(byte)),
            _ => whole.push_str(&format!("%{byte:02X}")),
        }
    }
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{whole}")
}

#[async_trait]
impl BlobStore for S3Blobs {
    async fn put(&self, key: &BlobKey, bytes: Bytes) -> Result<(), BlobError> {
        let request = self.client.put_object().bucket(&self.bucket).key(&key.0).body(ByteStream::from(bytes));
        request.send().await.map_err(blob_error)?;
        Ok(())
    }

    async fn get(&self, key: &BlobKey, range: Range<u64>) -> Result<Bytes, BlobError> {
        let wanted = range.end.saturating_sub(range.start);
        if wanted == 0 {
            // HTTP has no empty range.
            return self.size(key).await?.map(|_| Bytes::new()).ok_or(BlobError::Missing);
        }
        let request = self.client.get_object().bucket(&self.bucket).key(&key.0);
        let request = request.range(format!("bytes={}-{}", range.start, range.end - 1));
        let answer = request.send().await.map_err(blob_error)?;
        let body = answer.body.collect().await.map_err(|error| BlobError::Unavailable(Box::new(error)))?;
        let bytes = body.into_bytes();
        if bytes.len() as u64 == wanted { Ok(bytes) } else { Err(odd("S3 answered another range than was asked for")) }
    }

    async fn size(&self, key: &BlobKey) -> Result<Option<u64>, BlobError> {
        match self.client.head_object().bucket(&self.bucket).key(&key.0).send().await.map_err(blob_error) {
            Ok(answer) => {
                let size = answer.content_length().and_then(|size| u64::try_from(size).ok());
                Ok(Some(size.ok_or_else(|| odd("S3 named no size"))?))
            }
            Err(BlobError::Missing) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn remove(&self, keys: &[BlobKey]) -> Result<(), BlobError> {
        for batch in keys.chunks(BATCH) {
            let mut delete = Delete::builder().quiet(true);
            for key in batch {
                let object = ObjectIdentifier::builder().key(&key.0).build();
                delete = delete.objects(object.map_err(|error| BlobError::Unavailable(Box::new(error)))?);
            }
            let delete = delete.build().map_err(|error| BlobError::Unavailable(Box::new(error)))?;
            let request = self.client.delete_objects().bucket(&self.bucket).delete(delete);
            let answer = request.send().await.map_err(blob_error)?;
            // A batch succeeds although some of it failed.
            if let Some(failed) = answer.errors().first() {
                let code = failed.code().unwrap_or("an object stayed").to_owned();
                return Err(BlobError::Unavailable(code.into()));
            }
        }
        Ok(())
    }

    async fn begin(&self, key: &BlobKey) -> Result<BlobUpload, BlobError> {
        let request = self.client.create_multipart_upload().bucket(&self.bucket).key(&key.0);
        let answer = request.send().await.map_err(blob_error)?;
        let id = answer.upload_id().ok_or_else(|| odd("S3 named no upload"))?;
        Ok(BlobUpload { key: key.clone(), id: id.to_owned() })
    }

    async fn part(&self, upload: &BlobUpload, part: u32, bytes: Bytes) -> Result<BlobPart, BlobError> {
        let size = bytes.len() as u64;
        let request = self.client.upload_part().bucket(&self.bucket).key(&upload.key.0).upload_id(&upload.id);
        let request = request.part_number(number(part)?).body(ByteStream::from(bytes));
        let answer = request.send().await.map_err(blob_error)?;
        let tag = answer.e_tag().ok_or_else(|| odd("S3 named no tag for a part"))?;
        Ok(BlobPart { number: part, size, tag: tag.to_owned() })
    }

    async fn parts(&self, upload: &BlobUpload) -> Result<Vec<BlobPart>, BlobError> {
        let (mut parts, mut after) = (Vec::new(), None);
        loop {
            let request = self.client.list_parts().bucket(&self.bucket).key(&upload.key.0).upload_id(&upload.id);
            let answer = request.set_part_number_marker(after).send().await.map_err(blob_error)?;
            for part in answer.parts() {
                let odd = || odd("S3 listed a part without its number, size or tag");
                let number = part.part_number().and_then(|number| u32::try_from(number).ok()).ok_or_else(odd)?;
                let size = part.size().and_then(|size| u64::try_from(size).ok()).ok_or_else(odd)?;
                parts.push(BlobPart { number, size, tag: part.e_tag().ok_or_else(odd)?.to_owned() });
            }
            after = answer.next_part_number_marker().map(str::to_owned);
            if answer.is_truncated() != Some(true) || after.is_none() {
                return Ok(parts);
            }
        }
    }

    async fn complete(&self, upload: &BlobUpload, parts: &[BlobPart]) -> Result<(), BlobError> {
        let mut all = CompletedMultipartUpload::builder();
        for part in parts {
            all = all.parts(CompletedPart::builder().part_number(number(part.number)?).e_tag(&part.tag).build());
        }
        let request = self.client.complete_multipart_upload().bucket(&self.bucket).key(&upload.key.0);
        request.upload_id(&upload.id).multipart_upload(all.build()).send().await.map_err(blob_error)?;
        Ok(())
    }

    async fn abort(&self, upload: &BlobUpload) -> Result<(), BlobError> {
        let request = self.client.abort_multipart_upload().bucket(&self.bucket).key(&upload.key.0);
        match request.upload_id(&upload.id).send().await.map_err(blob_error) {
            Ok(_) | Err(BlobError::Missing) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn put_address(&self, key: &BlobKey, kind: &str, time: Duration) -> Result<BlobAddress, BlobError> {
        let request = self.client.put_object().bucket(&self.bucket).key(&key.0).content_type(kind);
        Ok(address("PUT", &request.presigned(good_for(time)?).await.map_err(blob_error)?))
    }

    async fn get_address(&self, key: &BlobKey, name: &str, time: Duration) -> Result<BlobAddress, BlobError> {
        let request = self.client.get_object().bucket(&self.bucket).key(&key.0);
        let request = request.response_content_disposition(attachment(name));
        Ok(address("GET", &request.presigned(good_for(time)?).await.map_err(blob_error)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_has_its_name_whole_and_breaks_out_of_no_header() {
        assert_eq!(attachment("plan.txt"), "attachment; filename=\"plan.txt\"; filename*=UTF-8''plan.txt");
        let odd = attachment("Zoë \"x\"\r\n.txt");
        assert_eq!(odd, "attachment; filename=\"Zo_ _x___.txt\"; filename*=UTF-8''Zo%C3%AB%20%22x%22%0D%0A.txt");
    }

    fn offline() -> S3Blobs {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(aws_sdk_s3::config::BehaviorVersion::latest())
            .region(aws_sdk_s3::config::Region::new("eu-west-1"))
            .credentials_provider(aws_sdk_s3::config::Credentials::new("id", "secret", None, None, "test"));
        let config = crate::clients::plain_checksums(config.force_path_style(true).endpoint_url("http://127.0.0.1:9"));
        S3Blobs::new(Client::from_conf(config.build()), "files")
    }

    #[tokio::test]
    async fn an_upload_address_binds_the_type_and_no_bytes_and_is_not_shown() {
        let blobs = offline();
        let key = BlobKey("acme/1/2".to_owned());
        let address = blobs.put_address(&key, "text/plain", Duration::from_secs(60)).await.unwrap();
        assert!(address.url.starts_with("http://127.0.0.1:9/files/acme/1/2?"), "{}", address.url);
        assert!(address.url.contains("X-Amz-Expires=60") && !address.url.contains("checksum"), "{}", address.url);
        let kind = address.headers.iter().find(|(name, _)| name == "content-type");
        assert_eq!(kind.map(|(_, value)| value.as_str()), Some("text/plain"));
        assert!(!format!("{address:?}").contains("Signature"));
        let address = blobs.get_address(&key, "a.txt", Duration::from_secs(60)).await.unwrap();
        assert!(address.url.contains("response-content-disposition=attachment"), "{}", address.url);
    }
}
