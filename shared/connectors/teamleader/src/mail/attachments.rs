//! What is attached to a message, as files of the record that it is filed at.
use super::{TeamleaderMail, kind};
use crate::api::files::{FileCalls, FileSubject, NewFile};
use bytes::Bytes;
use tandem_core::mail::{Attachment, Subject, TrackedMail};
use tandem_core::record::RemoteId;
use tandem_ports::error::{ErrorKind, Result};

/// The folder of a record that attachments are in.
const FOLDER: &str = "E-mail";

/// What became of a message's attachments.
#[derive(Default)]
pub(super) struct Attached {
    /// The files that were made.
    pub(super) files: Vec<RemoteId>,
    /// Their names.
    pub(super) names: Vec<String>,
    /// Names of those that Teamleader does not take.
    pub(super) refused: Vec<String>,
}

impl TeamleaderMail {
    /// Makes files of what is attached, each once: four calls and the bytes. One that Teamleader refuses does not keep the
    /// message from being filed.
    pub(super) async fn attach(&self, mail: &TrackedMail, subject: &Subject) -> Result<Attached> {
        let mut attached = Attached::default();
        for (number, attachment) in mail.body.attachments.iter().enumerate() {
            let key = format!("file:{}:{number}:{}:{}", mail.key, kind(subject), subject.id.as_str());
            match self.attach_one(&key, subject, attachment).await {
                Ok(id) => {
                    attached.files.push(id);
                    attached.names.push(attachment.name.clone());
                }
                Err(error) if error.kind == ErrorKind::Permanent => attached.refused.push(attachment.name.clone()),
                Err(error) => return Err(error),
            }
        }
        Ok(attached)
    }

    async fn attach_one(&self, key: &str, subject: &Subject, attachment: &Attachment) -> Result<RemoteId> {
        let at = FileSubject { kind: kind(subject).to_owned(), id: subject.id.as_str().to_owned() };
        let size = u64::try_from(attachment.bytes.len()).unwrap_or(u64::MAX);
        let file = NewFile { subject: &at, folder: Some(FOLDER), name: &attachment.name, size };
        let calls = FileCalls { api: &self.api, bare: &self.bare };
        let find = async {
            let rows = calls.newest(&at).await?.body;
            Ok(rows.into_iter().find(|row| row.is(&file)).map(|row| RemoteId::new(row.id)))
        };
        let make = async {
            let made = calls.upload(&file, Bytes::from(attachment.bytes.clone())).await?;
            Ok(RemoteId::new(made.id))
        };
        Ok(self.made_once(key, find, make).await?.0)
    }
}
