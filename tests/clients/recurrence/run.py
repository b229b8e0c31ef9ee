#!/usr/bin/env python3
"""Python's dateutil works out the same occurrences as our own expansion, and as the Google simulator shows them as items
(`events.instances`), for 500 generated series.

usage: run.py PATH_OF_THE_EXAMPLE_expand http://127.0.0.1:PORT_OF_THE_SIMULATOR

Four zones, timed and all day, windows over changes to and from summer time. The cases come from a fixed seed.
Prints one line a kind of case, then `N passed, N failed`; the exit code is 1 when any failed.
"""
import collections
import datetime as dt
import json
import random
import subprocess
import sys
import urllib.parse
import urllib.request

from dateutil import rrule, tz

ZONES = ["Europe/Brussels", "America/New_York", "Australia/Lord_Howe", "America/Santiago"]
BORDERS = ["2026-03-29", "2026-10-25", "2026-03-08", "2026-11-01", "2026-04-05", "2026-10-04", "2026-09-06"]
DAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
CASES = 500


def rule(r, start, zone, all_day):
    freq = r.choice(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"])
    parts = [f"FREQ={freq}"]
    interval = r.choice([1, 1, 2, 3])
    if interval > 1:
        parts.append(f"INTERVAL={interval}")
    if freq == "WEEKLY" and r.random() < 0.7:
        parts.append("BYDAY=" + ",".join(sorted(r.sample(DAYS, r.randint(1, 3)))))
        if r.random() < 0.4:
            parts.append("WKST=SU")
    if freq == "MONTHLY":
        kind = r.randint(0, 3)
        if kind == 0:
            parts.append("BYDAY=" + r.choice(["1", "2", "-1"]) + r.choice(DAYS))
        elif kind == 1:
            parts.append("BYMONTHDAY=" + r.choice(["-1", "15", "1,31", "28,29"]))
        elif kind == 2:
            parts.append("BYDAY=MO,TU,WE,TH,FR;BYSETPOS=" + r.choice(["1", "-1", "2"]))
    if freq == "YEARLY" and r.random() < 0.5:
        parts.append("BYMONTH=" + r.choice(["3", "3,10", "4,11"]))
        if r.random() < 0.5:
            parts.append("BYDAY=" + r.choice(["-1SU", "2SU", "1MO"]))
    if freq == "DAILY" and r.random() < 0.3:
        parts.append("BYDAY=MO,TU,WE,TH,FR")
    end = r.randint(0, 2)
    if end == 0:
        parts.append(f"COUNT={r.randint(1, 60)}")
    elif end == 1:
        until = start + dt.timedelta(days=r.randint(1, 900))
        if all_day:
            parts.append(until.strftime("UNTIL=%Y%m%d"))
        else:
            aware = tz.resolve_imaginary(until.replace(tzinfo=tz.gettz(zone))).astimezone(tz.UTC)
            parts.append(aware.strftime("UNTIL=%Y%m%dT%H%M%SZ"))
    return ";".join(parts)


def case(r):
    zone, all_day = r.choice(ZONES), r.random() < 0.25
    border = dt.datetime.fromisoformat(r.choice(BORDERS))
    start = border - dt.timedelta(days=r.choice([0, 1, 3, 7, 20, 400, 3000]))
    # Many of them in the hours that are skipped or come twice.
    start = start.replace(hour=r.choice([0, 1, 2, 2, 2, 3, 9, 23]), minute=r.choice([0, 15, 30]))
    if all_day:
        start = start.replace(hour=0, minute=0)
    window_from = border - dt.timedelta(days=r.choice([10, 30, 200]))
    window_until = border + dt.timedelta(days=r.choice([10, 60, 365]))
    rules = ["RRULE:" + rule(r, start, zone, all_day)]
    one = {"start": start, "zone": zone, "all_day": all_day, "rules": rules, "from": window_from, "until": window_until}
    found = naive(one)
    if found and r.random() < 0.4:
        out = r.choice(found)
        form = "EXDATE;VALUE=DATE:%Y%m%d" if all_day else f"EXDATE;TZID={zone}:%Y%m%dT%H%M%S"
        rules.insert(0, out.strftime(form))
        one["without"] = out
    if r.random() < 0.2:
        extra = border + dt.timedelta(days=r.randint(0, 9), hours=0 if all_day else 13)
        form = "RDATE;VALUE=DATE:%Y%m%d" if all_day else f"RDATE;TZID={zone}:%Y%m%dT%H%M%S"
        rules.append(extra.strftime(form))
        one["extra"] = extra
    return one


def naive(one):
    """By the wall clock: dateutil without a zone."""
    text = next(line for line in one["rules"] if line.startswith("RRULE"))[6:]
    parts = []
    for part in text.split(";"):
        if part.startswith("UNTIL=") and part.endswith("Z"):
            until = dt.datetime.strptime(part[6:], "%Y%m%dT%H%M%SZ").replace(tzinfo=tz.UTC)
            part = until.astimezone(tz.gettz(one["zone"])).strftime("UNTIL=%Y%m%dT%H%M%S")
        parts.append(part)
    rules = rrule.rrulestr(";".join(parts), dtstart=one["start"])
    return rules.between(one["from"] - dt.timedelta(days=3), one["until"] + dt.timedelta(days=3), inc=True)


def expected(one):
    found = set(naive(one))
    found.discard(one.get("without"))
    if "extra" in one:
        found.add(one["extra"])
    low, high = one["from"].replace(tzinfo=tz.UTC), one["until"].replace(tzinfo=tz.UTC)
    starts = set()
    for clock in found:
        if one["all_day"]:
            instant = clock.replace(tzinfo=tz.UTC)
        else:
            # A skipped time is as much later as is skipped; of a doubled one it is the first.
            instant = tz.resolve_imaginary(clock.replace(tzinfo=tz.gettz(one["zone"]))).astimezone(tz.UTC)
        length = dt.timedelta(days=1) if one["all_day"] else dt.timedelta(minutes=30)
        if instant < high and instant + length > low:
            starts.add(instant)
    form = "%Y-%m-%d" if one["all_day"] else "%Y-%m-%dT%H:%M:%SZ"
    return [instant.strftime(form) for instant in sorted(starts)]


def times(one):
    end = one["start"] + (dt.timedelta(days=1) if one["all_day"] else dt.timedelta(minutes=30))
    utc = "%Y-%m-%dT%H:%M:%SZ"
    if one["all_day"]:
        return {"start": one["start"].strftime("%Y-%m-%d"), "end": end.strftime("%Y-%m-%d")}
    first = tz.resolve_imaginary(one["start"].replace(tzinfo=tz.gettz(one["zone"]))).astimezone(tz.UTC)
    return {"start": one["start"].isoformat(), "end": (first + dt.timedelta(minutes=30)).strftime(utc)}


def window(one):
    utc = "%Y-%m-%dT%H:%M:%SZ"
    return one["from"].strftime(utc), one["until"].strftime(utc)


def line(one):
    low, high = window(one)
    return json.dumps({**times(one), "zone": "" if one["all_day"] else one["zone"], "rules": one["rules"],
                       "from": low, "until": high})


class Simulator:
    """The calendar of one account of the Google simulator."""

    def __init__(self, origin):
        self.origin = origin.rstrip("/")
        self.ask("POST", "/_sim/google/reset", {})
        account = {"account": "recurrence@example.com", "scopes": ["https://www.googleapis.com/auth/calendar"]}
        self.token = self.ask("POST", "/_sim/google/accounts", account)["token"]

    def ask(self, method, path, body=None):
        headers = {"content-type": "application/json"}
        if hasattr(self, "token"):
            headers["authorization"] = "Bearer " + self.token
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.origin + path, data=data, method=method, headers=headers)
        with urllib.request.urlopen(request) as answer:
            text = answer.read()
        return json.loads(text) if text else {}

    def occurrences(self, one):
        """Puts the series into the calendar, reads its occurrences in the window as items, and takes it out again."""
        events = "/calendar/v3/calendars/primary/events"
        name = "date" if one["all_day"] else "dateTime"
        time = {key: {name: text} for key, text in times(one).items()}
        if not one["all_day"]:
            for moment in time.values():
                moment["timeZone"] = one["zone"]
        made = self.ask("POST", events, {"summary": "series", "recurrence": one["rules"], **time})
        low, high = window(one)
        query = urllib.parse.urlencode({"timeMin": low, "timeMax": high, "maxResults": 2500})
        page = self.ask("GET", f"{events}/{made['id']}/instances?{query}")
        assert "nextPageToken" not in page, "a window fits a page"
        self.ask("DELETE", f"{events}/{made['id']}")
        starts = [item["start"] for item in page["items"]]
        if one["all_day"]:
            return sorted(start["date"] for start in starts)
        instants = [dt.datetime.fromisoformat(start["dateTime"]).astimezone(tz.UTC) for start in starts]
        return [instant.strftime("%Y-%m-%dT%H:%M:%SZ") for instant in sorted(instants)]


def main():
    r = random.Random(20261125)
    cases = []
    while len(cases) < CASES:
        one = case(r)
        # A first occurrence inside a skipped hour has no wall-clock time of its own to repeat.
        aware = one["start"].replace(tzinfo=tz.gettz(one["zone"]))
        if one["all_day"] or tz.datetime_exists(aware):
            cases.append(one)
    text = "\n".join(line(one) for one in cases) + "\n"
    ran = subprocess.run([sys.argv[1]], input=text, capture_output=True, text=True, check=True)
    answers = [json.loads(answer) for answer in ran.stdout.splitlines()]
    assert len(answers) == CASES, f"{len(answers)} answers"
    simulator = Simulator(sys.argv[2])
    tally, failed, occurrences = collections.Counter(), 0, 0
    for one, answer in zip(cases, answers):
        wanted = expected(one)
        occurrences += len(wanted)
        kind = ("all day" if one["all_day"] else one["zone"]) + " " + one["rules"][-1 if "extra" not in one else -2][6:].split(";")[0]
        tally[kind] += 1
        shown = simulator.occurrences(one)
        if answer != wanted or shown != wanted:
            failed += 1
            print("FAILED", line(one))
            print("   dateutil", wanted[:8], "\n   ours    ", answer[:8] if isinstance(answer, list) else answer)
            print("   Google's simulator", shown[:8])
    for kind, count in sorted(tally.items()):
        print("ok    " if not failed else "      ", kind, count)
    print(f"{occurrences} occurrences compared, each with our own and with the simulator's")
    print(f"{CASES - failed} passed, {failed} failed")
    return 1 if failed or occurrences < CASES else 0


if __name__ == "__main__":
    sys.exit(main())
