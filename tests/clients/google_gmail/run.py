#!/usr/bin/env python3
"""Google's own Python client drives the Gmail simulator: history, labels, watch, insert, batches.

usage: run.py http://127.0.0.1:PORT

Prints one line a check, then `N passed, N failed`; the exit code is 1 when any failed.
The client's bundled discovery document is used, with nothing changed but the origin.
"""
import base64
import json
import os
import sys
import traceback
import urllib.request
from email.message import EmailMessage

import googleapiclient
import httplib2
from googleapiclient.discovery import build_from_document
from googleapiclient.errors import HttpError
from googleapiclient.http import MediaInMemoryUpload

ACCOUNT = "python@example.com"
AUTH = "https://www.googleapis.com/auth/"
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def message(subject="Hello", **headers):
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "Jan <jan@example.com>", ACCOUNT, subject
    for name, value in headers.items():
        mail[name.replace("_", "-")] = value
    mail.set_content("Text.")
    return mail.as_bytes()


def encoded(raw):
    return base64.urlsafe_b64encode(raw).decode()


class World:
    def __init__(self, origin):
        self.origin = origin.rstrip("/")
        self.control("POST", "reset")
        self.control("POST", "accounts", account=ACCOUNT)
        self.service = self.client("https://mail.google.com/")

    def client(self, *scopes):
        token = self.control("POST", "gmail/token", account=ACCOUNT, scopes=list(scopes))["token"]
        path = os.path.join(os.path.dirname(googleapiclient.__file__), "discovery_cache", "documents", "gmail.v1.json")
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
        document["rootUrl"] = self.origin + "/"
        document["mtlsRootUrl"] = self.origin + "/"

        class Authorised(httplib2.Http):
            def request(self, uri, method="GET", body=None, headers=None, **rest):
                headers = dict(headers or {}, authorization="Bearer " + token)
                return super().request(uri, method, body=body, headers=headers, **rest)

        return build_from_document(document, http=Authorised())

    def control(self, method, path, **body):
        data = json.dumps(body).encode() if body or method in ("POST", "PATCH") else None
        request = urllib.request.Request(f"{self.origin}/_sim/google/{path}", data=data, method=method)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    @property
    def users(self):
        return self.service.users()

    def insert(self, raw=None, labels=()):
        body = {"raw": encoded(raw or message()), "labelIds": list(labels)}
        return self.users.messages().insert(userId="me", body=body).execute()

    def now(self):
        return self.users.getProfile(userId="me").execute()["historyId"]

    def history(self, start, **more):
        return self.users.history().list(userId="me", startHistoryId=start, **more).execute()


def refused(call, status, reason=None):
    try:
        call.execute()
    except HttpError as error:
        assert error.resp.status == status, f"{error.resp.status} instead of {status}: {error}"
        told = json.loads(error.content)["error"]
        assert reason is None or told["errors"][0]["reason"] == reason, told
        return told
    raise AssertionError(f"{status} was expected")


@check
def an_inserted_message_reads_back_byte_by_byte(w):
    raw = message("Prüfung")
    made = w.insert(raw, ["INBOX", "UNREAD"])
    read = w.users.messages().get(userId="me", id=made["id"], format="raw").execute()
    assert base64.urlsafe_b64decode(read["raw"]) == raw
    assert sorted(read["labelIds"]) == ["INBOX", "UNREAD"] and read["threadId"] and read["internalDate"]


@check
def a_message_is_uploaded_as_media(w):
    media = MediaInMemoryUpload(message("Uploaded"), mimetype="message/rfc822")
    made = w.users.messages().insert(userId="me", media_body=media).execute()
    head = w.users.messages().get(userId="me", id=made["id"], format="metadata", metadataHeaders=["Subject"]).execute()
    assert head["payload"]["headers"] == [{"name": "Subject", "value": "Uploaded"}]


@check
def history_tells_what_came_and_was_labelled(w):
    start = w.now()
    made = w.insert()
    w.users.messages().modify(userId="me", id=made["id"], body={"addLabelIds": ["STARRED"]}).execute()
    answer = w.history(start)
    kinds = [key for record in answer["history"] for key in record if key not in ("id", "messages")]
    assert kinds == ["messagesAdded", "labelsAdded"], kinds
    assert answer["history"][1]["labelsAdded"][0]["labelIds"] == ["STARRED"]
    assert int(answer["historyId"]) > int(start) and "history" not in w.history(answer["historyId"])


@check
def history_is_narrowed_by_type_and_label(w):
    start = w.now()
    made = w.insert(labels=["INBOX"])
    w.users.messages().modify(userId="me", id=made["id"], body={"addLabelIds": ["STARRED"]}).execute()
    assert len(w.history(start, historyTypes=["labelAdded"])["history"]) == 1
    assert len(w.history(start, labelId="INBOX")["history"]) == 1


@check
def history_comes_in_pages(w):
    start = w.now()
    for n in range(5):
        w.insert(message(str(n)))
    request, seen = w.users.history().list(userId="me", startHistoryId=start, maxResults=2), []
    while request is not None:
        answer = request.execute()
        seen += answer["history"]
        request = w.users.history().list_next(request, answer)
    assert len(seen) == 5


@check
def a_forgotten_history_is_404_and_nonsense_is_400(w):
    start = w.now()
    w.insert()
    w.control("POST", "gmail/forget-history", account=ACCOUNT)
    refused(w.users.history().list(userId="me", startHistoryId=start), 404, "notFound")
    refused(w.users.history().list(userId="me", startHistoryId="abc"), 400)


@check
def labels_are_made_listed_and_deleted(w):
    made = w.users.labels().create(userId="me", body={"name": "Tandem/Track"}).execute()
    names = {label["id"]: label["name"] for label in w.users.labels().list(userId="me").execute()["labels"]}
    assert names[made["id"]] == "Tandem/Track" and names["INBOX"] == "INBOX"
    refused(w.users.labels().create(userId="me", body={"name": "tandem/track"}), 409)
    refused(w.users.labels().create(userId="me", body={"name": "Inbox"}), 409)
    w.users.labels().delete(userId="me", id=made["id"]).execute()
    refused(w.users.labels().delete(userId="me", id=made["id"]), 404)


@check
def an_unknown_label_is_refused(w):
    refused(w.users.messages().insert(userId="me", body={"raw": encoded(message()), "labelIds": ["Label_9"]}), 400)


@check
def a_listing_is_by_label_and_search_and_leaves_spam_out(w):
    ours = w.insert(message("ours", Message_ID="<one@example.com>"), ["INBOX"])["id"]
    spam = w.insert(message("spam"), ["SPAM"])["id"]
    ids = lambda **q: [m["id"] for m in w.users.messages().list(userId="me", **q).execute().get("messages", [])]
    assert ids() == [ours] and ids(labelIds=["SPAM"]) == [spam] and set(ids(includeSpamTrash=True)) == {ours, spam}
    assert ids(q="rfc822msgid:<one@example.com>") == [ours] and ids(q="rfc822msgid:other@example.com") == []


@check
def a_watch_answers_where_history_is_and_when_it_ends(w):
    answer = w.users.watch(userId="me", body={"topicName": "projects/p/topics/t", "labelIds": ["INBOX"]}).execute()
    assert answer["historyId"] == w.now() and len(answer["expiration"]) == 13
    w.insert()
    told = w.control("GET", "gmail/notifications")["notifications"]
    assert [note["emailAddress"] for note in told] == [ACCOUNT]
    w.users.stop(userId="me").execute()
    refused(w.users.watch(userId="me", body={"topicName": "t"}), 400)


@check
def fifty_messages_are_one_batch_and_more_at_once_is_too_many(w):
    ids = [w.insert(message(str(n)))["id"] for n in range(60)]
    answers, errors = {}, {}

    def told(request_id, answer, error):
        (errors if error else answers)[request_id] = error or answer

    for some in (ids[:50], ids):
        answers.clear(), errors.clear()
        batch = w.service.new_batch_http_request(callback=told)
        for n, id in enumerate(some):
            batch.add(w.users.messages().get(userId="me", id=id, format="minimal"), request_id=str(n))
        batch.execute()
        assert len(answers) == 50 and all(answers[str(n)]["id"] == some[n] for n in range(50))
    assert len(errors) == 10 and all(error.resp.status == 429 for error in errors.values())


@check
def units_run_out_within_a_minute(w):
    w.control("POST", "gmail/settings", units_per_minute=30)
    w.now()
    for _ in range(40):
        try:
            w.insert()
        except HttpError as error:
            told = json.loads(error.content)["error"]
            assert (error.resp.status, told["errors"][0]["reason"]) == (403, "userRateLimitExceeded"), told
            return
    raise AssertionError("no limit was met")


@check
def a_scope_permits_what_it_says_and_no_more(w):
    id = w.insert()["id"]
    reader, metadata = w.client(AUTH + "gmail.readonly"), w.client(AUTH + "gmail.metadata")
    reader.users().messages().get(userId="me", id=id, format="raw").execute()
    refused(reader.users().labels().create(userId="me", body={"name": "x"}), 403)
    refused(reader.users().messages().insert(userId="me", body={"raw": encoded(message())}), 403)
    metadata.users().messages().get(userId="me", id=id, format="metadata").execute()
    refused(metadata.users().messages().get(userId="me", id=id, format="raw"), 403)
    w.client(AUTH + "gmail.labels").users().labels().create(userId="me", body={"name": "y"}).execute()


@check
def nobody_reads_another_mailbox(w):
    refused(w.users.getProfile(userId="other@example.com"), 403)
    assert w.users.getProfile(userId=ACCOUNT).execute()["emailAddress"] == ACCOUNT


@check
def a_missing_message_is_404(w):
    refused(w.users.messages().get(userId="me", id="18c0000000000000", format="minimal"), 404, "notFound")


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
