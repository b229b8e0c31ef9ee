//! Messages as mail servers have them.

/// A message as a mail server has it: with a script, a tracking pixel and the message that it answers.
pub fn mail(id: &str, from: &str, to: &str, subject: &str) -> Vec<u8> {
    format!(
        "Message-ID: <{id}>\r\nFrom: {from}\r\nTo: {to}\r\nSubject: {subject}\r\nContent-Type: text/html\r\n\r\n\
         <p>Hello</p><script>alert(1)</script><img src=\"https://t.example/pixel\">\
         <div class=\"gmail_quote\">the old message</div>\r\n"
    )
    .into_bytes()
}

/// A message with two attachments of one name.
pub fn mail_with_files(id: &str, from: &str, to: &str) -> Vec<u8> {
    let part = |head: &str, body: &str| format!("--b\r\n{head}\r\n\r\n{body}\r\n");
    let file = "Content-Type: application/pdf; name=\"../../offer.pdf\"\r\nContent-Disposition: attachment";
    format!(
        "Message-ID: <{id}>\r\nFrom: {from}\r\nTo: {to}\r\nSubject: Offer\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=b\r\n\r\n{}{}{}--b--\r\n",
        part("Content-Type: text/plain", "See attached."),
        part(file, "the offer"),
        part(file, "the offer, again"),
    )
    .into_bytes()
}
