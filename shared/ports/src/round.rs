//! Rounds over the records of a side whose feed tells records alone ([`Listing::Polled`](crate::files::Listing::Polled)):
//! what was changed since the last run comes first, in half of what a run reads, then all of them, module by module and page by
//! page, so many a run.
use crate::connector::Cursor;
use crate::error::Result;
use crate::files::{Entry, FileChange, FileNext, FilePage};
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Form of [`Round`] as it is stored.
const FORM: u8 = 2;
/// Changes are asked for from a little before the last time.
const OVERLAP: SignedDuration = SignedDuration::from_secs(5);

/// How much of a round one run does.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Records that one run reads, and at most a page more. From half of them on the round itself has its turn. What is left
    /// follows in the next run.
    pub records: u64,
    /// Where a round takes several runs, none begins sooner after the one before: pushes from the other side come in bursts.
    pub rest: SignedDuration,
}

/// A page of a list of records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageAt {
    /// Its number, from 1.
    pub number: u64,
    /// Its token, where the provider goes by tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

impl PageAt {
    /// The first one.
    pub fn first() -> Self {
        Self { number: 1, token: None }
    }
    /// The one after it, by number.
    pub fn after(&self) -> Self {
        Self { number: self.number + 1, token: None }
    }
}

/// Which records of a module.
#[derive(Clone, Copy, Debug)]
pub enum Wanted {
    /// Every one that the settings choose.
    All,
    /// Those of them that were changed since.
    ChangedSince(Timestamp),
}

/// A page of records.
#[derive(Clone, Debug, Default)]
pub struct RecordPage {
    /// The records.
    pub records: Vec<Entry>,
    /// The next page of the same list.
    pub next: Option<PageAt>,
    /// When it was answered, by the provider's clock. `None`: nothing was asked (a list that knows no changes).
    pub at: Option<Timestamp>,
}

/// The modules of a side, one after the other.
#[async_trait]
pub trait Modules: Send + Sync {
    /// How many there are.
    fn count(&self) -> usize;
    /// One page of a module's records, in an order that changes do not move, where the provider has one.
    async fn page(&self, module: usize, wanted: Wanted, at: &PageAt) -> Result<RecordPage>;
}

/// Where a round is. Our cursor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Round {
    form: u8,
    /// What the connector found out at the round's beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Records that were changed since are read first: module and page there. Those that a run does not get to wait for the
    /// next one. `None`: the round itself.
    changed: Option<(usize, PageAt)>,
    /// Since when, by the provider's clock.
    since: Option<Timestamp>,
    /// When the reading of what was changed began, or the run, where there is none; by the provider's clock.
    began: Option<Timestamp>,
    /// Where the round itself is.
    module: usize,
    page: PageAt,
    /// Records told in this run.
    told: u64,
    /// Those of them that came first as they were changed.
    #[serde(default)]
    ahead: u64,
    /// The round under way has been left for the next run before.
    paused: bool,
    /// The last round took several runs, or this one does.
    long: bool,
    /// When the last run's reading ended.
    rested: Option<Timestamp>,
}

impl Round {
    fn first() -> Round {
        Round {
            form: FORM,
            note: None,
            changed: None,
            since: None,
            began: None,
            module: 0,
            page: PageAt::first(),
            told: 0,
            ahead: 0,
            paused: false,
            long: false,
            rested: None,
        }
    }

    /// What a cursor says; the first round without one. `None`: it is of another release.
    pub fn at(cursor: Option<&Cursor>) -> Option<Round> {
        let Some(cursor) = cursor else { return Some(Round::first()) };
        serde_json::from_str::<Round>(&cursor.0).ok().filter(|round| round.form == FORM)
    }

    fn cursor(&self) -> Cursor {
        Cursor(serde_json::to_string(self).expect("numbers and times are JSON"))
    }

    /// The lists under way, of the round and of what was changed, begin anew: the tokens of their next pages are too old.
    pub fn begin_lists_anew(&mut self) {
        self.page = PageAt::first();
        if let Some((_, page)) = &mut self.changed {
            *page = PageAt::first();
        }
    }

    /// The page that ends this run at once, as the last one of a long round is too near.
    pub fn resting(&self, pace: Pace, now: Timestamp) -> Option<FilePage> {
        let rests =
            self.told == 0 && self.long && self.rested.is_some_and(|rested| now.duration_since(rested) < pace.rest);
        rests.then(|| FilePage { changes: Vec::new(), next: FileNext::Paused(self.cursor()) })
    }

    /// The next page of the round.
    pub async fn go_on(mut self, modules: &dyn Modules, pace: Pace, now: Timestamp) -> Result<FilePage> {
        let records = match self.changed_turn(modules.count(), pace) {
            Some((since, module, at)) => self.changed_page(modules, since, (module, &at)).await?,
            None => self.next_page(modules).await?,
        };
        self.told += records.len() as u64;
        let changes = records.into_iter().map(|entry| FileChange::Upsert(Box::new(entry))).collect();
        Ok(FilePage { changes, next: self.next(modules.count(), pace, now) })
    }

    /// Where what was changed is read on, if that is next. It has half of a run, and all of it once the round is through.
    fn changed_turn(&mut self, modules: usize, pace: Pace) -> Option<(Timestamp, usize, PageAt)> {
        let (module, at) = self.changed.clone()?;
        match self.since.filter(|_| module < modules) {
            Some(since) if self.module >= modules || self.ahead < pace.records.div_ceil(2) => Some((since, module, at)),
            Some(_) => None,
            None => {
                self.changed = None;
                None
            }
        }
    }

    async fn changed_page(
        &mut self,
        modules: &dyn Modules,
        since: Timestamp,
        (module, at): (usize, &PageAt),
    ) -> Result<Vec<Entry>> {
        let from = since.checked_sub(OVERLAP).unwrap_or(since);
        let page = modules.page(module, Wanted::ChangedSince(from), at).await?;
        self.began = self.began.or(page.at);
        self.ahead += page.records.len() as u64;
        let next = page.next.map_or((module + 1, PageAt::first()), |next| (module, next));
        self.changed = Some(next).filter(|(module, _)| *module < modules.count());
        Ok(page.records)
    }

    async fn next_page(&mut self, modules: &dyn Modules) -> Result<Vec<Entry>> {
        if self.module >= modules.count() {
            return Ok(Vec::new());
        }
        let page = modules.page(self.module, Wanted::All, &self.page).await?;
        self.began = self.began.or(page.at);
        (self.module, self.page) = page.next.map_or((self.module + 1, PageAt::first()), |next| (self.module, next));
        Ok(page.records)
    }

    /// Where the next page is, and whether this run goes on.
    fn next(mut self, modules: usize, pace: Pace, now: Timestamp) -> FileNext {
        let through = self.module >= modules;
        // However much was changed, no run ends without a page of the round itself.
        let is_full = self.told >= pace.records && (through || self.told > self.ahead);
        let is_done = through && self.changed.is_none();
        if !is_full && !is_done {
            return FileNext::More(self.cursor());
        }
        let long = self.paused || !through;
        if self.changed.is_none() {
            // What is changed until the next run comes first there.
            self.since = self.began.take().or(self.since);
            self.changed = Some((0, PageAt::first()));
        }
        (self.told, self.ahead, self.long, self.rested) = (0, 0, long, Some(now));
        if !through {
            self.paused = true;
            return FileNext::Paused(self.cursor());
        }
        // A round within one run has read everything: nothing that was changed is left over.
        let (changed, began) = if long { (self.changed, self.began) } else { (None, None) };
        let fresh = Round { changed, began, since: self.since, long, rested: self.rested, ..Round::first() };
        FileNext::CaughtUp(fresh.cursor())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::sync::Mutex;
    use tandem_core::files::entry::{Access, EntryKind, Place};
    use tandem_core::record::{RemoteId, Version};

    const PACE: Pace = Pace { records: 300, rest: SignedDuration::ZERO };
    const PAGE: u64 = 100;

    /// Modules of records by number, each with the second in which it was last changed.
    struct Account {
        modules: Mutex<Vec<Vec<i64>>>,
        now: Mutex<i64>,
    }

    fn entry(module: usize, number: usize) -> Entry {
        Entry {
            id: RemoteId::new(format!("{module}:{number}")),
            place: Place::In { parent: RemoteId::new("root") },
            name: String::new(),
            kind: EntryKind::Record { module: module.to_string(), number: number.to_string() },
            version: Version::new("1"),
            modified_at: None,
            access: Access::Write,
            marker: None,
        }
    }

    #[async_trait]
    impl Modules for Account {
        fn count(&self) -> usize {
            self.modules.lock().unwrap().len()
        }
        async fn page(&self, module: usize, wanted: Wanted, at: &PageAt) -> Result<RecordPage> {
            let since = match wanted {
                Wanted::All => i64::MIN,
                Wanted::ChangedSince(since) => since.as_second(),
            };
            let of_module = self.modules.lock().unwrap()[module].clone();
            let shown = of_module.iter().enumerate().filter(|(_, changed)| **changed >= since);
            let ids: Vec<usize> = shown.map(|(number, _)| number).collect();
            let skip = usize::try_from((at.number - 1) * PAGE).unwrap();
            let some = ids.iter().skip(skip).take(PAGE as usize);
            let more = ids.len() > skip + PAGE as usize;
            let at_clock = Timestamp::from_second(*self.now.lock().unwrap()).unwrap();
            let records = some.map(|number| entry(module, *number)).collect();
            Ok(RecordPage { records, next: more.then(|| at.after()), at: Some(at_clock) })
        }
    }

    impl Account {
        fn of(sizes: &[usize]) -> Account {
            let modules = sizes.iter().map(|size| vec![0; *size]).collect();
            Account { modules: Mutex::new(modules), now: Mutex::new(1_000) }
        }

        /// These records are changed now.
        fn changes(&self, module: usize, numbers: impl Iterator<Item = usize>) {
            let now = *self.now.lock().unwrap();
            numbers.for_each(|number| self.modules.lock().unwrap()[module][number] = now);
        }

        /// One run, half an hour after the last: what it told, and whether that was the end of a round.
        async fn run(&self, cursor: &mut Option<Cursor>) -> (Vec<String>, bool) {
            *self.now.lock().unwrap() += 1_800;
            let now = Timestamp::from_second(*self.now.lock().unwrap()).unwrap();
            let mut told = Vec::new();
            loop {
                let page = Round::at(cursor.as_ref()).unwrap().go_on(self, PACE, now).await.unwrap();
                told.extend(page.changes.iter().map(|change| {
                    let FileChange::Upsert(entry) = change else { panic!("{change:?}") };
                    entry.id.to_string()
                }));
                let (next, over) = match page.next {
                    FileNext::More(next) => (next, None),
                    FileNext::Paused(next) => (next, Some(false)),
                    FileNext::CaughtUp(next) => (next, Some(true)),
                };
                *cursor = Some(next);
                if let Some(over) = over {
                    return (told, over);
                }
            }
        }
    }

    #[tokio::test]
    async fn a_round_within_one_run_tells_everything_once() {
        let (account, mut cursor) = (Account::of(&[120, 0, 30]), None);
        for _ in 0..3 {
            account.changes(0, 0..120);
            let (told, over) = account.run(&mut cursor).await;
            assert!(over);
            assert_eq!((told.len(), told.iter().collect::<BTreeSet<_>>().len()), (150, 150));
        }
    }

    #[tokio::test]
    async fn what_was_changed_has_half_of_a_run_and_the_round_goes_on() {
        let (account, mut cursor) = (Account::of(&[600, 600]), None);
        account.run(&mut cursor).await;
        let mut rounds = 0;
        for run in 1..=40 {
            account.changes(0, 0..400);
            let (told, over) = account.run(&mut cursor).await;
            assert!(told.len() < 400 && (over || told.len() >= 300), "run {run}: {}", told.len());
            rounds += usize::from(over);
        }
        // 100 of each run are the round's at least: 1,200 take twelve runs at the most.
        assert!(rounds >= 3, "{rounds}");
    }

    #[tokio::test]
    async fn changes_that_a_run_does_not_get_to_are_told_in_the_next_ones() {
        let (account, mut cursor) = (Account::of(&[5_000, 500]), None);
        account.run(&mut cursor).await;
        account.changes(0, 3_000..3_350);
        account.changes(1, 0..350);
        let mut told = BTreeSet::new();
        for _ in 0..4 {
            told.extend(account.run(&mut cursor).await.0);
        }
        let missing: Vec<String> = (3_000..3_350)
            .map(|n| format!("0:{n}"))
            .chain((0..350).map(|n| format!("1:{n}")))
            .filter(|id| !told.contains(id))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
        // What is changed while that is read comes after it.
        account.changes(0, 4_000..4_001);
        account.run(&mut cursor).await;
        assert!(account.run(&mut cursor).await.0.len() >= 300);
    }

    #[tokio::test]
    async fn a_change_before_the_place_that_was_read_to_is_told_by_the_next_reading() {
        let (account, mut cursor) = (Account::of(&[5_000]), None);
        account.run(&mut cursor).await;
        account.changes(0, 3_000..3_350);
        account.run(&mut cursor).await;
        account.changes(0, 2_999..3_000);
        let mut told = Vec::new();
        for _ in 0..3 {
            told.extend(account.run(&mut cursor).await.0);
        }
        assert!(told.contains(&"0:2999".to_owned()));
    }

    #[tokio::test]
    async fn changes_are_kept_over_the_end_of_a_round() {
        let (account, mut cursor) = (Account::of(&[650]), None);
        account.run(&mut cursor).await;
        assert!(!account.run(&mut cursor).await.1);
        account.changes(0, 0..650);
        let (told, over) = account.run(&mut cursor).await;
        assert!(over, "50 are left of the round");
        let mut told: BTreeSet<String> = told.into_iter().collect();
        for _ in 0..2 {
            told.extend(account.run(&mut cursor).await.0);
        }
        assert!((300..650).all(|n| told.contains(&format!("0:{n}"))), "{}", told.len());
    }
}
