#!/usr/bin/env python3
"""gcalcli, a published command-line calendar, drives the Calendar side of the Google simulator.

usage: run.py http://127.0.0.1:PORT

Each command is a process of its own. Nothing of gcalcli is changed but where its service is built: it has no option for
another origin, so the discovery document it asks for gets the simulator's.
Prints one line a check, then `N passed, N failed`; the exit code is 1 when any failed.
"""
import json
import os
import pathlib
import pickle
import subprocess
import sys
import tempfile
import traceback
import urllib.request

ACCOUNT = "gcalcli@example.com"
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def gcalcli(origin, arguments):
    """Runs one command of gcalcli's in this process."""
    import googleapiclient
    from gcalcli import cli, gcal
    from googleapiclient.discovery import build_from_document

    def build(serviceName, version, credentials):
        documents = pathlib.Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"
        document = json.loads((documents / f"{serviceName}.{version}.json").read_text(encoding="utf-8"))
        document["rootUrl"] = document["mtlsRootUrl"] = origin + "/"
        return build_from_document(document, credentials=credentials)

    gcal.build = build
    sys.argv = ["gcalcli", *arguments]
    cli.main()


class World:
    def __init__(self, origin, home):
        from google.oauth2.credentials import Credentials

        self.origin, self.home = origin.rstrip("/"), home
        self.control("POST", "reset")
        token = self.control("POST", "accounts", account=ACCOUNT)["token"]
        data = home / "data" / "gcalcli"
        data.mkdir(parents=True, exist_ok=True)
        # As gcalcli itself keeps it.
        (data / "oauth").write_bytes(pickle.dumps(Credentials(token=token)))

    def control(self, method, path, **body):
        data = json.dumps(body).encode() if body or method == "POST" else None
        request = urllib.request.Request(f"{self.origin}/_sim/google/{path}", data=data, method=method)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def user(self, what, **body):
        return self.control("POST", f"calendar/{what}", account=ACCOUNT, body=body)

    def held(self):
        return [event for event in self.user("events")["items"] if event["status"] != "cancelled"]

    def run(self, *arguments, text=""):
        places = {"HOME": self.home, "XDG_DATA_HOME": self.home / "data", "XDG_CONFIG_HOME": self.home / "config",
                  "XDG_CACHE_HOME": self.home / "cache", "TZ": "Europe/Brussels", "LANG": "C.UTF-8"}
        environment = dict(os.environ, **{name: str(value) for name, value in places.items()})
        command = [sys.executable, __file__, "--as-gcalcli", self.origin, "--nocolor", *arguments]
        ran = subprocess.run(command, input=text, env=environment, capture_output=True, text=True, timeout=60)
        assert ran.returncode == 0, f"{arguments}: {ran.stderr}"
        return ran.stdout

    def add(self, title, *more):
        self.run("--calendar", ACCOUNT, "add", "--title", title, "--noprompt", *more)


@check
def list_shows_calendars_with_their_roles(w):
    w.user("calendar", calendar={"summary": "Team"})
    lines = [line.split() for line in w.run("list").splitlines()]
    assert ["owner", ACCOUNT] in lines and ["owner", "Team"] in lines, lines


@check
def add_makes_an_appointment_by_the_wall_clock(w):
    w.add("Lunch", "--when", "2026-07-01 12:30", "--duration", "45", "--where", "Canteen", "--description", "text",
          "--who", "an@example.com", "--reminder", "20 popup")
    [event] = w.held()
    assert event["summary"] == "Lunch" and event["location"] == "Canteen" and event["description"] == "text"
    assert event["start"]["dateTime"] == "2026-07-01T12:30:00+02:00", event["start"]
    assert event["end"]["dateTime"] == "2026-07-01T13:15:00+02:00"
    assert event["attendees"][0]["email"] == "an@example.com"
    assert event["reminders"]["overrides"] == [{"method": "popup", "minutes": 20}]


@check
def add_makes_an_all_day_appointment_whose_end_is_exclusive(w):
    w.add("Fair", "--when", "2026-07-01", "--allday", "--duration", "2")
    [event] = w.held()
    assert (event["start"], event["end"]) == ({"date": "2026-07-01"}, {"date": "2026-07-03"})


@check
def agenda_shows_each_occurrence_with_its_exceptions(w):
    time = lambda hour: {"dateTime": f"2026-03-23T{hour}:00:00+01:00", "timeZone": "Europe/Brussels"}
    event = {"summary": "Stand-up", "start": time("09"), "end": time("10"), "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=4"]}
    made = w.user("insert", event=event)
    w.user("patch", id=made["id"] + "_20260330T070000Z", event={"summary": "Retro"})
    w.user("delete", id=made["id"] + "_20260406T070000Z")
    shown = w.run("agenda", "--tsv", "2026-03-01", "2026-05-01").splitlines()[1:]
    wanted = [["2026-03-23", "09:00", "Stand-up"], ["2026-03-30", "09:00", "Retro"], ["2026-04-13", "09:00", "Stand-up"]]
    assert [[line.split("\t")[n] for n in (0, 1, 4)] for line in shown] == wanted, shown


@check
def search_finds_by_words(w):
    w.add("Budget review", "--when", "2026-07-01 09:00", "--duration", "30")
    w.add("Lunch", "--when", "2026-07-01 12:00", "--duration", "30")
    shown = w.run("search", "budget", "2026-01-01", "2027-01-01")
    assert "Budget review" in shown and "Lunch" not in shown, shown


@check
def delete_deletes(w):
    w.add("Lunch", "--when", "2026-07-01 12:00", "--duration", "30")
    w.add("Supper", "--when", "2026-07-01 19:00", "--duration", "30")
    w.run("delete", "--iamaexpert", "Lunch", "2026-01-01", "2027-01-01")
    assert [event["summary"] for event in w.held()] == ["Supper"]


@check
def many_appointments_come_in_pages(w):
    for n in range(300):
        time = {"dateTime": f"2026-07-{1 + n // 24:02}T{n % 24:02}:00:00Z"}
        w.user("insert", event={"summary": f"E{n}", "start": time, "end": time})
    shown = w.run("agenda", "--tsv", "2026-06-30", "2026-08-01").splitlines()[1:]
    assert len(shown) == 300, len(shown)


def main():
    failed = 0
    for function in CHECKS:
        with tempfile.TemporaryDirectory() as home:
            try:
                function(World(sys.argv[1], pathlib.Path(home)))
                print("ok    ", function.__name__)
            except Exception:  # a failed check must not stop the others
                failed += 1
                print("FAILED", function.__name__)
                traceback.print_exc()
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed or not CHECKS else 0


if __name__ == "__main__":
    if sys.argv[1] == "--as-gcalcli":
        sys.exit(gcalcli(sys.argv[2], sys.argv[3:]))
    sys.exit(main())
