//! From a message's bytes to what the core knows of mail: heads, texts, attachments. Pure, like the core; apart from it
//! for the weight of what it stands on. MIME, encodings and character sets are `mail-parser`'s work, HTML is
//! `ammonia`'s.
//!
//! Nothing that a stranger sends can make it panic, loop or recurse without bound, and nothing it answers can run,
//! load or look like markup of ours.
mod body;
mod head;
mod html;

pub use body::{LARGEST, read};
pub use head::{HEADERS, Head, head};
