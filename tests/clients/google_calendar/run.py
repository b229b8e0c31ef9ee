#!/usr/bin/env python3
"""Google's own Python client drives the Calendar side of the Google simulator.

usage: run.py http://127.0.0.1:PORT

Prints one line a check, then `N passed, N failed`; the exit code is 1 when any failed.
The client's bundled discovery document is used, with nothing changed but the origin.
"""
import json
import os
import sys
import traceback
import urllib.request

import googleapiclient
import httplib2
from googleapiclient.discovery import build_from_document
from googleapiclient.errors import HttpError

ACCOUNT = "python@example.com"
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


class World:
    def __init__(self, origin):
        self.origin = origin.rstrip("/")
        self.control("POST", "reset")
        self.service = self.client("https://www.googleapis.com/auth/calendar")

    def client(self, *scopes):
        """A client whose token allows this; all that Tandem asks for, where nothing is said."""
        token = self.control("POST", "accounts", account=ACCOUNT, scopes=scopes)["token"]
        path = os.path.join(os.path.dirname(googleapiclient.__file__), "discovery_cache", "documents", "calendar.v3.json")
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
        document["rootUrl"] = document["mtlsRootUrl"] = self.origin + "/"

        class Authorised(httplib2.Http):
            def request(self, uri, method="GET", body=None, headers=None, **rest):
                headers = dict(headers or {}, authorization="Bearer " + token)
                return super().request(uri, method, body=body, headers=headers, **rest)

        return build_from_document(document, http=Authorised())

    def control(self, method, path, **body):
        data = json.dumps(body).encode() if body or method == "POST" else None
        request = urllib.request.Request(f"{self.origin}/_sim/google/{path}", data=data, method=method)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    @property
    def events(self):
        return self.service.events()

    def create(self, **more):
        body = {"summary": "Meeting", "start": {"dateTime": "2026-03-23T09:00:00+01:00", "timeZone": "Europe/Brussels"},
                "end": {"dateTime": "2026-03-23T10:00:00+01:00", "timeZone": "Europe/Brussels"}, **more}
        return self.events.insert(calendarId="primary", body=body).execute()

    def series(self, **more):
        return self.create(recurrence=["RRULE:FREQ=WEEKLY;COUNT=3"], **more)

    def full(self, **more):
        found, page = [], None
        while True:
            answer = self.events.list(calendarId="primary", pageToken=page, **more).execute()
            found += answer["items"]
            page = answer.get("nextPageToken")
            if not page:
                return found, answer.get("nextSyncToken")


def refused(call, status, reason):
    try:
        call.execute()
    except HttpError as error:
        said = json.loads(error.content)["error"]["errors"][0]["reason"]
        assert (error.resp.status, said) == (status, reason), f"{error.resp.status} {said}"
        return
    raise AssertionError(f"{status} was expected")


@check
def a_created_event_reads_back(w):
    made = w.create(attendees=[{"email": "an@example.com"}])
    read = w.events.get(calendarId="primary", eventId=made["id"]).execute()
    assert read["start"]["dateTime"] == "2026-03-23T09:00:00+01:00" and read["iCalUID"] == made["id"] + "@google.com"
    assert read["attendees"][0]["responseStatus"] == "needsAction" and read["organizer"]["self"] is True


@check
def a_listing_has_pages_and_a_delta_has_tombstones(w):
    made = [w.create(summary=f"E{n}") for n in range(7)]
    found, token = w.full(maxResults=3)
    assert {e["id"] for e in found} == {e["id"] for e in made} and token
    w.events.delete(calendarId="primary", eventId=made[0]["id"]).execute()
    delta, _ = w.full(maxResults=3, syncToken=token)
    assert [(e["id"], e["status"]) for e in delta] == [(made[0]["id"], "cancelled")]
    refused(w.events.delete(calendarId="primary", eventId=made[0]["id"]), 410, "deleted")


@check
def tokens_are_bound_and_expire(w):
    _, token = w.full()
    refused(w.events.list(calendarId="primary", syncToken=token, timeMin="2026-01-01T00:00:00Z"), 400, "invalid")
    w.control("POST", "expire-cursors")
    refused(w.events.list(calendarId="primary", syncToken=token), 410, "fullSyncRequired")


@check
def ids_of_the_client_are_taken_once_and_stay_taken(w):
    w.create(id="abcdef0123")
    time = {"dateTime": "2026-03-23T09:00:00Z"}
    again = w.events.insert(calendarId="primary", body={"id": "abcdef0123", "start": time, "end": time})
    refused(again, 409, "duplicate")
    w.events.delete(calendarId="primary", eventId="abcdef0123").execute()
    refused(again, 409, "duplicate")
    refused(w.events.insert(calendarId="primary", body={"id": "xyz-1234", "start": time, "end": time}), 400, "invalid")


@check
def a_stale_etag_is_refused(w):
    made = w.create()
    call = w.events.patch(calendarId="primary", eventId=made["id"], body={"summary": "New"})
    call.headers["If-Match"] = made["etag"]
    call.execute()
    refused(call, 412, "conditionNotMet")


@check
def occurrences_are_by_the_wall_clock_and_have_ids_of_their_utc_time(w):
    made = w.series()
    found = w.events.instances(calendarId="primary", eventId=made["id"]).execute()["items"]
    assert [e["start"]["dateTime"] for e in found] == [
        "2026-03-23T09:00:00+01:00", "2026-03-30T09:00:00+02:00", "2026-04-06T09:00:00+02:00"]
    assert found[1]["id"] == made["id"] + "_20260330T070000Z"


@check
def exceptions_are_items_of_their_own(w):
    made = w.series()
    _, token = w.full()
    moved = w.events.patch(calendarId="primary", eventId=made["id"] + "_20260330T070000Z", body={"summary": "Retro"}).execute()
    assert moved["recurringEventId"] == made["id"]
    w.events.delete(calendarId="primary", eventId=made["id"] + "_20260406T070000Z").execute()
    delta, _ = w.full(syncToken=token)
    assert sorted(e["status"] for e in delta) == ["cancelled", "confirmed"]
    both, _ = w.full(iCalUID=made["iCalUID"], showDeleted=True)
    assert len(both) == 3 and all("originalStartTime" in e for e in both if e["id"] != made["id"])
    agenda, _ = w.full(singleEvents=True, orderBy="startTime", timeMin="2026-01-01T00:00:00Z", timeMax="2027-01-01T00:00:00Z")
    assert [e["summary"] for e in agenda] == ["Meeting", "Retro"]


@check
def wrong_events_are_refused(w):
    insert = lambda **body: w.events.insert(calendarId="primary", body=body)
    day, time = {"date": "2026-01-15"}, {"dateTime": "2026-01-15T09:00:00Z"}
    refused(insert(start=day), 400, "required")
    refused(insert(start=day, end=time), 400, "invalid")
    refused(insert(start=time, end={"dateTime": "2026-01-15T08:00:00Z"}), 400, "timeRangeEmpty")
    refused(insert(start=time, end=time, recurrence=["RRULE:FREQ=DAILY"]), 400, "required")
    refused(insert(start=day, end=day, recurrence=["RRULE:FREQ=SOMETIMES"]), 400, "invalid")
    refused(insert(start=day, end=day, extendedProperties={"private": {"k" * 45: "v"}}), 400, "invalid")


@check
def guests_are_told_only_if_asked(w):
    w.create(attendees=[{"email": "an@example.com"}])
    assert w.control("POST", "calendar/mails", account=ACCOUNT)["invitations"] == 0
    time = {"dateTime": "2026-03-23T09:00:00Z"}
    body = {"start": time, "end": time, "attendees": [{"email": "an@example.com"}]}
    w.events.insert(calendarId="primary", body=body, sendUpdates="all").execute()
    assert w.control("POST", "calendar/mails", account=ACCOUNT)["invitations"] == 1


@check
def only_the_organiser_changes_what_is_shared(w):
    time = {"dateTime": "2026-03-23T09:00:00Z"}
    body = {"iCalUID": "theirs@example.com", "organizer": {"email": "an@example.com"}, "start": time, "end": time}
    made = w.events.import_(calendarId="primary", body=body).execute()
    refused(w.events.patch(calendarId="primary", eventId=made["id"], body={"summary": "Mine"}), 403, "forbiddenForNonOrganizer")
    w.events.patch(calendarId="primary", eventId=made["id"], body={"colorId": "3"}).execute()


@check
def a_batch_has_one_answer_a_call(w):
    made, answers = w.create(), {}
    batch = w.service.new_batch_http_request(callback=lambda id, answer, error: answers.update({id: error or answer}))
    batch.add(w.events.get(calendarId="primary", eventId=made["id"]), request_id="there")
    batch.add(w.events.get(calendarId="primary", eventId="missing0"), request_id="missing")
    batch.add(w.events.patch(calendarId="primary", eventId=made["id"], body={"summary": "New"}), request_id="changed")
    batch.execute()
    assert answers["there"]["id"] == made["id"] and answers["changed"]["summary"] == "New"
    assert answers["missing"].resp.status == 404


@check
def calendars_come_and_go_but_the_primary_stays(w):
    made = w.service.calendars().insert(body={"summary": "Team"}).execute()
    listed = w.service.calendarList().list().execute()["items"]
    assert {c["id"]: c["accessRole"] for c in listed} == {ACCOUNT: "owner", made["id"]: "owner"}
    read = w.service.calendars().get(calendarId=made["id"]).execute()
    assert read["summary"] == "Team" and "accessRole" not in read
    w.service.calendars().delete(calendarId=made["id"]).execute()
    refused(w.events.list(calendarId=made["id"]), 404, "notFound")
    refused(w.service.calendars().delete(calendarId="primary"), 403, "cannotDeletePrimaryCalendar")
    w.create()
    w.service.calendars().clear(calendarId="primary").execute()
    assert w.full()[0] == []


@check
def a_token_allows_what_its_scopes_say(w):
    ours = w.client()
    assert len(ours.calendarList().list().execute()["items"]) == 1
    refused(ours.calendars().insert(body={"summary": "Team"}), 403, "insufficientPermissions")
    assert len(w.service.calendarList().list().execute()["items"]) == 1


@check
def the_list_of_calendars_has_pages(w):
    for n in range(4):
        w.service.calendars().insert(body={"summary": f"C{n}"}).execute()
    first = w.service.calendarList().list(maxResults=3).execute()
    rest = w.service.calendarList().list(maxResults=3, pageToken=first["nextPageToken"]).execute()
    assert (len(first["items"]), len(rest["items"])) == (3, 2) and "nextPageToken" not in rest


@check
def a_channel_begins_with_sync_and_tells_of_changes(w):
    body = {"id": "channel-1", "type": "web_hook", "address": "https://tandem.example/hook", "token": "secret"}
    opened = w.events.watch(calendarId="primary", body=body).execute()
    w.create()
    waiting = w.control("POST", "calendar/notifications", account=ACCOUNT)["waiting"]
    headers = [dict(one["headers"]) for one in waiting]
    assert [h["x-goog-resource-state"] for h in headers] == ["sync", "exists"]
    assert headers[1]["x-goog-channel-token"] == "secret" and headers[1]["x-goog-resource-id"] == opened["resourceId"]
    refused(w.service.channels().stop(body={"id": "channel-1", "resourceId": "other"}), 404, "notFound")
    w.service.channels().stop(body={"id": "channel-1", "resourceId": opened["resourceId"]}).execute()
    w.create()
    assert len(w.control("POST", "calendar/notifications", account=ACCOUNT)["waiting"]) == 2


def main():
    failed = 0
    for function in CHECKS:
        try:
            function(World(sys.argv[1]))
            print("ok    ", function.__name__)
        except Exception:  # a failed check must not stop the others
            failed += 1
            print("FAILED", function.__name__)
            traceback.print_exc()
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed or not CHECKS else 0


if __name__ == "__main__":
    sys.exit(main())
