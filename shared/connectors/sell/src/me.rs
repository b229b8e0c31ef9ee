//! Whose token this is.
use crate::api::{self, Call};
use crate::client::Client;
use crate::wire::{One, User};
use jiff::tz::Offset;
use std::sync::Mutex;
use tandem_ports::error::Result;

/// The user that Sell knows us as.
#[derive(Clone, Copy)]
pub(crate) struct Me {
    pub(crate) id: u64,
    /// Where the user's days begin.
    pub(crate) offset: Offset,
}

/// The same, asked once.
#[derive(Default)]
pub(crate) struct Whose(Mutex<Option<Me>>);

impl Whose {
    pub(crate) async fn me(&self, client: &Client) -> Result<Me> {
        let held = || self.0.lock().expect("no code panics while it holds this lock");
        if let Some(known) = *held() {
            return Ok(known);
        }
        let read: One<User> = api::parse("users.self", &client.send(Call::whoami()).await?)?;
        let me = Me { id: read.data.id, offset: offset(read.data.timezone.as_deref()) };
        *held() = Some(me);
        Ok(me)
    }
}

/// Sell writes `UTC+01:00`; where it says something else, its days are UTC's.
pub(crate) fn offset(said: Option<&str>) -> Offset {
    let parsed = said.and_then(|text| {
        let rest = text.strip_prefix("UTC")?;
        let sign = if rest.starts_with('-') { -1 } else { 1 };
        let (hours, minutes) = rest.trim_start_matches(['+', '-']).split_once(':')?;
        let seconds = hours.parse::<i32>().ok()? * 3_600 + minutes.parse::<i32>().ok()? * 60;
        Offset::from_seconds(sign * seconds).ok()
    });
    parsed.unwrap_or(Offset::UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zone_is_an_offset_and_utc_where_it_is_not_told() {
        for (said, seconds) in [("UTC+05:30", 19_800), ("UTC-03:00", -10_800), ("UTC+00:00", 0), ("Europe/Gent", 0)] {
            assert_eq!(offset(Some(said)).seconds(), seconds, "{said}");
        }
        assert_eq!(offset(None), Offset::UTC);
    }
}
