//! People edit appointments in the CRM and in Google at random (series, exceptions, zones, whole days, guests) while
//! everything that can fail fails. Who touched an appointment on one side alone finds it so on both; nothing that nobody
//! deleted is lost; nothing is there twice; when all is at rest nothing is written any more; and no first run, and no
//! listing because a token has expired, mails anybody.
use super::{CalendarWorld, Left, PEOPLE, Seen, id_of, moment};
use crate::world::{below, dice};
use jiff::civil::{Date, Time};
use jiff::{SignedDuration, ToSpan};
use rand::rngs::StdRng;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tandem_builtin::Kind;
use tandem_core::event::{Attendee, Event, Moment, Span, field, zone};
use tandem_core::record::{Side, Value as Said};
use tandem_core::recurrence::{Window, expand};
use tandem_ports::infra::Clock;
use tandem_testkit::calendar::Recurrence;
use tandem_testkit::conformance;
use tandem_testkit::fault::Fault;

const FAULTS: [Fault; 4] = [Fault::CrashBefore, Fault::CrashAfter, Fault::Fail, Fault::LoseAnswer];
const ZONES: [&str; 4] = ["Europe/Brussels", "America/New_York", "Australia/Lord_Howe", "Pacific/Auckland"];
const STRANGER: &str = "ann@elsewhere.example";
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// What people did to an appointment since all was at rest.
#[derive(Default)]
struct Touched {
    sides: BTreeSet<Side>,
    gone: BTreeSet<Side>,
}

struct Machine {
    world: CalendarWorld,
    dice: StdRng,
    /// Whose each appointment is, by its title.
    owners: BTreeMap<String, &'static str>,
    touched: BTreeMap<String, Touched>,
    agreed: BTreeMap<String, Seen>,
    next: usize,
    story: Vec<String>,
}

/// Plays one world to its end and answers its story; panics, telling it, where a promise is broken.
pub async fn play(seed: u64) -> Vec<String> {
    let recurrence = if seed.is_multiple_of(2) { Recurrence::Kept } else { Recurrence::Unknown };
    let settings = json!({"max_delete_percent": 100, "window_past_days": 5, "window_future_days": 40});
    let world = CalendarWorld::begins(recurrence, &settings).await;
    // Clocks change in all four zones within the next weeks.
    world.clock.advance(Duration::from_secs(60 * 86_400));
    let mut machine = Machine {
        world,
        dice: dice(seed),
        owners: BTreeMap::new(),
        touched: BTreeMap::new(),
        agreed: BTreeMap::new(),
        next: 0,
        story: vec![format!("seed {seed}")],
    };
    for round in 0..2 + machine.roll(2) {
        machine.tell(format!("round {round}"));
        for _ in 0..if round == 0 { 3 } else { 0 } {
            machine.somebody_new().await;
        }
        for _ in 0..2 + machine.roll(8) {
            machine.somebody_does_something().await;
        }
        let first = round == 0;
        machine.comes_into_step(first).await;
    }
    machine.tell("begun anew".to_owned());
    machine.world.start_over().await;
    machine.comes_into_step(true).await;
    machine.story
}

impl Machine {
    fn tell(&mut self, what: String) {
        self.story.push(what);
    }

    fn roll(&mut self, n: usize) -> usize {
        below(&mut self.dice, n)
    }

    fn side(&mut self) -> Side {
        if self.roll(2) == 0 { Side::Left } else { Side::Right }
    }

    /// The days that are compared: those that a CRM without recurrence has for certain.
    fn window(&self) -> Window {
        let now = self.world.clock.now();
        let ahead = if self.world.people().len() > 1 { 70 } else { 28 };
        Window { from: now - DAY * 3, until: now + DAY * ahead }
    }

    /// Wider than what is compared after a jump of the clock.
    fn wide(&self) -> Window {
        let window = self.window();
        Window { from: window.from - DAY * 9, until: window.until + DAY * 9 }
    }

    fn touch(&mut self, name: &str, side: Side, what: &str) {
        self.tell(format!("{name}: {what}, {}", if side == Side::Left { "in the CRM" } else { "in Google" }));
        self.touched.entry(name.to_owned()).or_default().sides.insert(side);
    }

    async fn somebody_does_something(&mut self) {
        match self.roll(9) {
            0 => self.somebody_new().await,
            1 => self.it_goes().await,
            2 | 3 => self.it_is_elsewhere().await,
            4 => self.one_is_cancelled().await,
            5 => self.one_is_moved_or_elsewhere().await,
            6 => self.the_whole_moves().await,
            7 => self.the_rule_changes(),
            _ => self.a_guest_answers(),
        }
    }

    fn new_event(&mut self, owner: &str) -> Event {
        let day = jiff::tz::TimeZone::UTC.to_datetime(self.world.clock.now()).date();
        let day = day.saturating_add((self.roll(24) as i64 - 1).days());
        let zone_name = ZONES[self.roll(ZONES.len())];
        let all_day = self.roll(4) == 0;
        let span = if all_day {
            let days = 1 + self.roll(2) as i64;
            Span::new(Moment::Day(day), Moment::Day(day.saturating_add(days.days())))
        } else {
            let start = instant(day, 7 + self.roll(12) as i8, zone_name);
            Span::new(Moment::At(start), Moment::At(start + SignedDuration::from_mins(45)))
        };
        let mut event = Event::at(span.expect("in order"));
        event.time_zone = if all_day { String::new() } else { zone_name.to_owned() };
        self.next += 1;
        event.title = format!("event {}", self.next);
        let guests: &[&str] = match self.roll(4) {
            0 => &[STRANGER],
            1 => &PEOPLE,
            _ => &[],
        };
        let guests = guests.iter().filter(|guest| **guest != owner);
        event.attendees = guests.map(|guest| Attendee { email: (*guest).to_owned(), ..Attendee::default() }).collect();
        event
    }

    fn new_rule(&mut self, event: &Event) -> Option<String> {
        let until = match event.span.start() {
            Moment::Day(day) => day.saturating_add(20.days()).strftime("%Y%m%d").to_string(),
            Moment::At(start) => (*start + DAY * 20).strftime("%Y%m%dT%H%M%SZ").to_string(),
        };
        match self.roll(7) {
            0 => Some(format!("RRULE:FREQ=WEEKLY;COUNT={}", 2 + self.roll(5))),
            1 => Some(format!("RRULE:FREQ=DAILY;COUNT={}", 2 + self.roll(9))),
            2 => Some("RRULE:FREQ=WEEKLY".to_owned()),
            3 => Some(format!("RRULE:FREQ=DAILY;INTERVAL=3;UNTIL={until}")),
            4 => Some("RRULE:FREQ=MONTHLY".to_owned()),
            _ => None,
        }
    }

    async fn somebody_new(&mut self) {
        let people = self.world.people();
        let owner = people[self.roll(people.len())];
        let mut event = self.new_event(owner);
        let side = self.side();
        let repeats = side == Side::Right || people.len() > 1;
        let rule = self.new_rule(&event).filter(|_| repeats);
        event.repeat(rule.as_slice()).expect("a rule");
        let name = event.title.clone();
        match (&self.world.crm, side) {
            (_, Side::Right) => {
                self.world.google.user_does(owner, "insert", &json!({"event": in_google(&event)}));
            }
            (Left::Plain(plain), Side::Left) => drop(plain.user_puts(&format!("crm {name}"), &event.to_fields())),
            (Left::Builtin(crm, users), Side::Left) => {
                let user = &users[PEOPLE.iter().position(|one| one == &owner).expect("one of them")];
                crm.create(user, Kind::Meeting, &in_crm(&event)).await.expect("a good meeting");
            }
        }
        self.touch(&name, side, &format!("new, of {owner}, {:?}, {} guests", rule, event.attendees.len()));
        self.owners.insert(name, owner);
    }

    /// One that is there on both sides, as far as is known, and that nobody has deleted.
    fn one_of_them(&mut self) -> Option<(String, &'static str)> {
        let known = |name: &&String| {
            self.agreed.contains_key(*name) && self.touched.get(*name).is_none_or(|touched| touched.gone.is_empty())
        };
        let names: Vec<String> = self.owners.keys().filter(known).cloned().collect();
        let name = names.get(self.roll(names.len()))?.clone();
        let owner = self.owners[&name];
        Some((name, owner))
    }

    /// The event of this title in its owner's calendar: the series, where it is one.
    fn in_calendar(&self, name: &str, owner: &str) -> Option<Value> {
        let all = self.world.google.events(owner, owner).into_iter();
        all.filter(|event| event["summary"] == name && event["recurringEventId"].is_null()).next()
    }

    fn patch(&self, owner: &str, id: &Value, event: &Value) {
        self.world.google.user_does(owner, "patch", &json!({"id": id, "event": event}));
    }

    /// What the CRM has of this title, by id.
    async fn in_crm(&self, name: &str, owner: &str) -> Vec<(String, Event)> {
        let held = self.world.held(owner).await.into_iter();
        let events = held.map(|(id, (_, fields))| (id, Event::from_fields(&fields).expect("readable")));
        events.filter(|(_, event)| event.title == name).collect()
    }

    /// A person changes a record of the built-in CRM; a block is made a meeting first.
    async fn crm_edit(&self, owner: &str, id: &str, change: Value) {
        let Left::Builtin(crm, users) = &self.world.crm else { return };
        let user = &users[PEOPLE.iter().position(|one| *one == owner).expect("one of them")];
        if crm.get(user, Kind::Block, id).await.is_ok() {
            crm.convert(user, id, None).await.expect("its owner may");
        }
        let Value::Object(change) = change else { return };
        crm.update(user, Kind::Meeting, id, None, &change).await.expect("a good change");
    }

    async fn it_goes(&mut self) {
        let Some((name, owner)) = self.one_of_them() else { return };
        let side = self.side();
        match (&self.world.crm, side) {
            (_, Side::Right) => {
                let Some(event) = self.in_calendar(&name, owner) else { return };
                self.world.google.user_does(owner, "delete", &json!({"id": event["id"]}));
            }
            (Left::Plain(plain), Side::Left) => {
                let found = self.in_crm(&name, owner).await;
                let single = self.in_calendar(&name, owner).is_some_and(|event| event["recurrence"].is_null());
                let [(id, _)] = found.as_slice() else { return };
                if !single {
                    return;
                }
                plain.user_deletes(&id_of(id));
            }
            (Left::Builtin(crm, users), Side::Left) => {
                let found = self.in_crm(&name, owner).await;
                let Some((id, _)) = found.first() else { return };
                let user = &users[PEOPLE.iter().position(|one| one == &owner).expect("one of them")];
                if crm.get(user, Kind::Block, id).await.is_ok() {
                    crm.convert(user, id, None).await.expect("its owner may");
                }
                crm.delete(user, Kind::Meeting, id, None).await.expect("may be deleted");
            }
        }
        self.touch(&name, side, "deleted");
        self.touched.entry(name).or_default().gone.insert(side);
    }

    async fn it_is_elsewhere(&mut self) {
        let Some((name, owner)) = self.one_of_them() else { return };
        let (side, place) = (self.side(), format!("place {}", self.roll(1_000)));
        match (&self.world.crm, side) {
            (_, Side::Right) => {
                let Some(event) = self.in_calendar(&name, owner) else { return };
                self.patch(owner, &event["id"], &json!({"location": place}));
            }
            (Left::Plain(_), Side::Left) => return,
            (Left::Builtin(..), Side::Left) => {
                let found = self.in_crm(&name, owner).await;
                let Some((id, _)) = found.first() else { return };
                self.crm_edit(owner, id, json!({"location": place})).await;
            }
        }
        self.touch(&name, side, &place);
    }

    /// An occurrence in Google's app; none of a single appointment.
    async fn instance(&mut self, name: &str, owner: &str) -> Option<Value> {
        let all = self.world.instances(owner, self.window()).await.into_iter();
        let all: Vec<Value> = all.filter(|one| one["summary"] == *name && !one["recurringEventId"].is_null()).collect();
        all.get(self.roll(all.len())).cloned()
    }

    /// An occurrence in the CRM: id of its record, the record, the original start.
    async fn occurrence(&mut self, name: &str, owner: &str) -> Option<(String, Event, Moment)> {
        let found = self.in_crm(name, owner).await;
        let (id, event) = found.get(self.roll(found.len()))?.clone();
        let all = expand(&event, self.window(), 10_000).expect("a rule");
        let original = all.get(self.roll(all.len()))?.original;
        Some((id, event, original))
    }

    async fn one_is_cancelled(&mut self) {
        let Some((name, owner)) = self.one_of_them() else { return };
        let side = self.side();
        match side {
            Side::Right => {
                let Some(one) = self.instance(&name, owner).await else { return };
                self.world.google.user_does(owner, "delete", &json!({"id": one["id"]}));
                self.touch(&name, side, &format!("{} does not take place", moment(&one["originalStartTime"])));
            }
            Side::Left => {
                let Some((id, event, original)) = self.occurrence(&name, owner).await else { return };
                let repeats = self.in_calendar(&name, owner).is_some_and(|event| !event["recurrence"].is_null());
                match &self.world.crm {
                    Left::Plain(plain) if repeats => plain.user_deletes(&id_of(&id)),
                    Left::Builtin(..) if event.is_series() => {
                        self.exception(owner, &id, &original, json!({"cancelled": true})).await;
                    }
                    Left::Plain(_) | Left::Builtin(..) => return,
                }
                self.touch(&name, side, &format!("{original} does not take place"));
            }
        }
    }

    async fn one_is_moved_or_elsewhere(&mut self) {
        let Some((name, owner)) = self.one_of_them() else { return };
        let (side, place, moves) = (self.side(), format!("place {}", self.roll(1_000)), self.roll(2) == 0);
        match side {
            Side::Right => {
                let Some(one) = self.instance(&name, owner).await else { return };
                let later = |time: &Value| shifted(time, 1);
                let change = match moves {
                    true => json!({"start": later(&one["start"]), "end": later(&one["end"])}),
                    false => json!({"location": place}),
                };
                self.patch(owner, &one["id"], &change);
                self.touch(&name, side, &format!("{} {change}", moment(&one["originalStartTime"])));
            }
            Side::Left => {
                let Some((id, event, original)) = self.occurrence(&name, owner).await else { return };
                let Some(one) = event.occurrence(&original) else { return };
                let span = one.span.moved_to(&day_later(one.span.start()));
                match &self.world.crm {
                    Left::Plain(plain) => {
                        let mut event = event;
                        if moves {
                            event.span = span
                        } else {
                            event.location = place
                        }
                        plain.user_puts(&id, &event.to_fields());
                    }
                    Left::Builtin(..) if event.is_series() => {
                        let change = match moves {
                            true => json!({"start": span.start().to_string(), "end": span.end().to_string()}),
                            false => json!({"location": place}),
                        };
                        self.exception(owner, &id, &original, change).await;
                    }
                    Left::Builtin(..) => return,
                }
                self.touch(&name, side, &format!("{original} {}", if moves { "is a day later" } else { "elsewhere" }));
            }
        }
    }

    async fn exception(&self, owner: &str, id: &str, original: &Moment, change: Value) {
        let Left::Builtin(crm, users) = &self.world.crm else { return };
        let user = &users[PEOPLE.iter().position(|one| *one == owner).expect("one of them")];
        let mut shown = json!({});
        for kind in [Kind::Block, Kind::Meeting] {
            if let Ok(record) = crm.get(user, kind, id).await {
                shown = record.to_json();
            }
        }
        let mut all = shown["exceptions"].as_array().cloned().unwrap_or_default();
        let at = json!(original.to_string());
        let mut one = all.iter().find(|one| one["original_start"] == at).cloned().unwrap_or_else(|| json!({}));
        all.retain(|one| one["original_start"] != at);
        match (change["cancelled"] == true, change) {
            (true, change) => one = change,
            (false, Value::Object(change)) => one.as_object_mut().expect("an object").extend(change),
            (false, _) => {}
        }
        one["original_start"] = at;
        all.push(one);
        self.crm_edit(owner, id, json!({"exceptions": all})).await;
    }

    /// The whole appointment is two hours (or days) later.
    async fn the_whole_moves(&mut self) {
        let Some((name, owner)) = self.one_of_them() else { return };
        let side = self.side();
        match (&self.world.crm, side) {
            (_, Side::Right) => {
                let Some(event) = self.in_calendar(&name, owner) else { return };
                let change = json!({"start": shifted(&event["start"], 2), "end": shifted(&event["end"], 2)});
                self.patch(owner, &event["id"], &change);
            }
            (Left::Plain(_), Side::Left) => return,
            (Left::Builtin(..), Side::Left) => {
                let found = self.in_crm(&name, owner).await;
                let Some((id, event)) = found.first() else { return };
                let later = |moment: &Moment| match moment {
                    Moment::Day(day) => Moment::Day(day.saturating_add(2.days())),
                    Moment::At(at) => Moment::At(*at + SignedDuration::from_hours(2)),
                };
                let span = event.span.moved_to(&later(event.span.start()));
                let change = json!({"start": span.start().to_string(), "end": span.end().to_string()});
                self.crm_edit(owner, id, change).await;
            }
        }
        self.touch(&name, side, "the whole is later");
    }

    fn the_rule_changes(&mut self) {
        let Some((name, owner)) = self.one_of_them() else { return };
        let Some(event) = self.in_calendar(&name, owner).filter(|event| !event["recurrence"].is_null()) else { return };
        let rule = format!("RRULE:FREQ=WEEKLY;COUNT={}", 2 + self.roll(6));
        self.patch(owner, &event["id"], &json!({"recurrence": [rule]}));
        self.touch(&name, Side::Right, &rule);
    }

    /// A guest accepts, or takes it out of the own calendar.
    fn a_guest_answers(&mut self) {
        let Some((name, owner)) = self.one_of_them() else { return };
        let Some(guest) = self.world.people().iter().copied().find(|one| *one != owner) else { return };
        let Some(event) = self.in_calendar(&name, guest) else { return };
        if self.roll(4) == 0 {
            self.world.google.user_does(guest, "delete", &json!({"id": event["id"]}));
        } else {
            let mut guests = event["attendees"].clone();
            for one in guests.as_array_mut().into_iter().flatten().filter(|one| one["email"] == guest) {
                one["responseStatus"] = json!("accepted");
            }
            self.patch(guest, &event["id"], &json!({"attendees": guests}));
        }
        self.touch(&name, Side::Right, "a guest answers");
    }

    fn trouble(&mut self) {
        for _ in 0..self.roll(3) {
            let (fault, ahead) = (FAULTS[self.roll(FAULTS.len())], 1 + self.roll(80) as u64);
            self.world.faults.ahead(ahead, fault);
            self.tell(format!("{fault:?} {ahead} calls ahead"));
        }
        let trouble = self.roll(8);
        self.tell(format!("trouble {trouble}"));
        match (trouble, &self.world.crm) {
            (0, _) => self.world.google.expire_cursors(),
            (1, Left::Plain(plain)) => plain.inject(conformance::Fault::ExpireCursors),
            (2, Left::Plain(plain)) => plain.inject(conformance::Fault::LoseAnswer),
            (3, Left::Plain(plain)) => plain.inject(conformance::Fault::ServerError),
            (4, _) => self.world.people().iter().for_each(|person| self.world.duplicate(person)),
            (5, _) => self.world.clock.advance(Duration::from_secs(86_400 * 5)),
            _ => {}
        }
    }

    async fn seen(&self, side: Side, window: Window) -> BTreeMap<String, Seen> {
        let mut all = BTreeMap::new();
        for person in self.world.people() {
            let seen = match side {
                Side::Left => self.world.seen_in_crm(person, window).await,
                Side::Right => self.world.seen_in_google(person, window).await,
            };
            let mine = |name: &String| self.owners.get(name) == Some(person);
            all.extend(seen.into_iter().filter(|(name, _)| mine(name)));
        }
        all
    }

    async fn comes_into_step(&mut self, nobody_hears: bool) {
        let before = [self.seen(Side::Left, self.wide()).await, self.seen(Side::Right, self.wide()).await];
        let mails = self.world.google.mails();
        self.trouble();
        self.world.run(&mut self.dice).await;
        self.world.faults.clear();
        for _ in 0..4 {
            self.world.run(&mut self.dice).await;
        }
        let story = self.story.join("\n");
        let is_fresh = self.touched.values().any(|touched| touched.sides.contains(&Side::Left));
        if nobody_hears || !is_fresh {
            assert_eq!(self.world.google.mails(), mails, "{story}\nsomebody got mail");
        }
        self.check(&before).await;
        // What enters the window at midnight is in, and midnight is far away.
        let now = self.world.clock.now().as_second();
        self.world
            .clock
            .advance(Duration::from_secs(86_400 - u64::try_from(now.rem_euclid(86_400)).expect("positive")));
        self.world.run(&mut self.dice).await;
        let writes = self.world.writes().await;
        for _ in 0..3 {
            self.world.run(&mut self.dice).await;
        }
        assert_eq!(self.world.writes().await, writes, "{story}\nthree rounds of rest write");
        self.touched.clear();
        self.agreed = self.seen(Side::Right, self.wide()).await;
        // An occurrence that was edited here while its series lost it there is an appointment of its own by now.
        let alone = |name: &str, owner: &str| {
            self.world
                .google
                .events(owner, owner)
                .iter()
                .filter(|event| event["summary"] == name && event["recurringEventId"].is_null())
                .count()
                == 1
        };
        let known: BTreeSet<String> =
            self.owners.iter().filter(|(name, owner)| alone(name, owner)).map(|(name, _)| name.clone()).collect();
        self.owners.retain(|name, _| self.agreed.contains_key(name) && known.contains(name));
    }

    async fn check(&self, before: &[BTreeMap<String, Seen>; 2]) {
        let story = self.story.join("\n");
        let window = self.window();
        let now = [self.seen(Side::Left, self.wide()).await, self.seen(Side::Right, self.wide()).await];
        let nothing = Touched::default();
        for (name, owner) in &self.owners {
            let of = |all: &BTreeMap<String, Seen>| within(all.get(name), window);
            let touched = self.touched.get(name).unwrap_or(&nothing);
            let (crm, google) = (of(&now[0]), of(&now[1]));
            assert_eq!(crm, google, "{story}\n{name} of {owner}: CRM and Google");
            let is_there = self.in_calendar(name, owner).is_some();
            let touched_by: Vec<Side> = touched.sides.iter().copied().collect();
            match (touched.gone.is_empty(), touched_by.as_slice()) {
                (true, []) => assert_eq!(google, of(&self.agreed), "{story}\n{name}: nobody touched it"),
                (true, [Side::Left]) => assert_eq!(google, of(&before[0]), "{story}\n{name}: as in the CRM"),
                (true, [Side::Right]) => assert_eq!(google, of(&before[1]), "{story}\n{name}: as in Google"),
                (true, _) => {}
                (false, [_]) => assert!(!is_there, "{story}\n{name} was deleted"),
                (false, _) => {}
            }
            assert!(is_there || !touched.gone.is_empty(), "{story}\n{name} is lost");
            let records = self.in_crm(name, owner).await.len();
            if self.world.people().len() > 1 {
                assert_eq!(records, usize::from(is_there), "{story}\n{name} in the CRM");
            }
        }
        for person in self.world.people() {
            let (crm, google) =
                (self.world.seen_in_crm(person, window).await, self.world.seen_in_google(person, window).await);
            let trim = |all: BTreeMap<String, Seen>| -> BTreeMap<String, Seen> {
                all.into_iter()
                    .map(|(name, seen)| (name, within(Some(&seen), window)))
                    .filter(|(_, s)| !s.is_empty())
                    .collect()
            };
            assert_eq!(trim(crm), trim(google), "{story}\nwhat {person} has");
        }
    }
}

fn instant(day: Date, hour: i8, zone_name: &str) -> jiff::Timestamp {
    let clock = day.to_datetime(Time::constant(0, 0, 0, 0)).with().hour(hour).build().expect("an hour");
    match Moment::of_clock(clock, &zone(zone_name).expect("a zone")) {
        Some(Moment::At(at)) => at,
        Some(Moment::Day(_)) | None => panic!("{clock} is a time"),
    }
}

fn day_later(moment: &Moment) -> Moment {
    match moment {
        Moment::Day(day) => Moment::Day(day.saturating_add(1.day())),
        Moment::At(at) => Moment::At(*at + DAY),
    }
}

/// A time of Google's, so many days (all day) or hours later.
fn shifted(time: &Value, by: i64) -> Value {
    match time["date"].as_str() {
        Some(day) => json!({"date": day.parse::<Date>().expect("a day").saturating_add(by.days()).to_string()}),
        None => {
            let at: jiff::Timestamp = time["dateTime"].as_str().expect("a time").parse().expect("a time");
            json!({"dateTime": (at + SignedDuration::from_hours(by)).to_string(), "timeZone": time["timeZone"]})
        }
    }
}

/// Those that start in the window.
fn within(seen: Option<&Seen>, window: Window) -> Seen {
    let starts = |text: &str| {
        let text = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
        text.parse::<jiff::Timestamp>().expect("a time")
    };
    let inside = |(start, ..): &&(String, String, String, String)| (window.from..window.until).contains(&starts(start));
    seen.into_iter().flatten().filter(inside).cloned().collect()
}

fn in_google(event: &Event) -> Value {
    let time = |moment: &Moment| match moment {
        Moment::Day(day) => json!({"date": day.to_string()}),
        Moment::At(at) => json!({"dateTime": at.to_string(), "timeZone": event.time_zone}),
    };
    let guests: Vec<Value> = event.attendees.iter().map(|guest| json!({"email": guest.email})).collect();
    let mut said = json!({"summary": event.title, "start": time(event.span.start()), "end": time(event.span.end())});
    if event.is_series() {
        said["recurrence"] = json!(event.recurrence);
    }
    if !guests.is_empty() {
        said["attendees"] = json!(guests);
    }
    said
}

fn in_crm(event: &Event) -> Map<String, Value> {
    let mut said = Map::new();
    for (name, value) in event.to_fields().iter() {
        let value = match value {
            Said::Text(text) if text.is_empty() => continue,
            Said::Text(_) if *name == field::ALL_DAY => json!(true),
            Said::Text(text) if *name == field::RECURRENCE => json!(text.lines().collect::<Vec<_>>()),
            Said::Text(text) => json!(text),
            Said::Items(items) if items.is_empty() => continue,
            Said::Items(items) => items.iter().map(|item| json!({"email": item.part("email")})).collect(),
        };
        said.insert(name.as_str().to_owned(), value);
    }
    said
}
