#!/usr/bin/env python3
"""Google's own Python client drives the Drive simulator.

usage: run.py http://127.0.0.1:PORT

Prints one line a check, then `N passed, N failed`; the exit code is 1 when any failed.
The client's bundled discovery document is used, with nothing changed but the origin.
"""
import hashlib
import io
import json
import os
import sys
import traceback
import urllib.request

import googleapiclient
import httplib2
from googleapiclient.discovery import build_from_document
from googleapiclient.errors import HttpError
from googleapiclient.http import MediaIoBaseDownload, MediaIoBaseUpload

ACCOUNT = "python@example.com"
FOLDER = "application/vnd.google-apps.folder"
FILE = "id,name,mimeType,parents,size,md5Checksum,sha256Checksum,headRevisionId,version,trashed,appProperties"
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


class World:
    def __init__(self, origin):
        self.origin = origin.rstrip("/")
        self.control("POST", "reset")
        self.token = self.control("POST", "accounts", account=ACCOUNT)["token"]
        self.drive = self.client(self.token)

    def client(self, token):
        path = os.path.join(os.path.dirname(googleapiclient.__file__), "discovery_cache", "documents", "drive.v3.json")
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
        document["rootUrl"] = document["mtlsRootUrl"] = self.origin + "/"

        class Authorised(httplib2.Http):
            def request(self, uri, method="GET", body=None, headers=None, **rest):
                headers = dict(headers or {}, authorization="Bearer " + token)
                return super().request(uri, method, body=body, headers=headers, **rest)

        http = Authorised()
        http.redirect_codes = set(http.redirect_codes) - {308}
        return build_from_document(document, http=http)

    def control(self, method, path, **body):
        data = json.dumps(body).encode() if body or method in ("POST", "PATCH") else None
        request = urllib.request.Request(f"{self.origin}/_sim/google/{path}", data=data, method=method)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    @property
    def files(self):
        return self.drive.files()

    def create(self, data=b"hello", name="a.txt", **body):
        media = MediaIoBaseUpload(io.BytesIO(data), "text/plain")
        return self.files.create(body=dict(body, name=name), media_body=media, fields=FILE).execute()

    def folder(self, name="F", **body):
        return self.files.create(body=dict(body, name=name, mimeType=FOLDER), fields=FILE).execute()

    def download(self, file, chunk=1 << 20):
        held = io.BytesIO()
        loader = MediaIoBaseDownload(held, self.files.get_media(fileId=file), chunksize=chunk)
        done = False
        while not done:
            _, done = loader.next_chunk()
        return held.getvalue()

    def changes(self, token, fields="*"):
        found = []
        while True:
            answer = self.drive.changes().list(pageToken=token, fields=fields, pageSize=2).execute()
            assert ("nextPageToken" in answer) != ("newStartPageToken" in answer)
            found += answer["changes"]
            token = answer.get("nextPageToken") or answer["newStartPageToken"]
            if "newStartPageToken" in answer:
                return found, token

    def start(self):
        return self.drive.changes().getStartPageToken().execute()["startPageToken"]


def refused(call, status, reason=None):
    try:
        call.execute()
    except HttpError as error:
        assert error.resp.status == status, f"{error.resp.status} instead of {status}: {error}"
        one = json.loads(error.content)["error"]["errors"][0]
        assert reason in (None, one["reason"]), one
        return one
    raise AssertionError(f"{status} was expected")


@check
def a_multipart_upload_reads_back_with_its_hashes(w):
    data = "Zoë\n--\n".encode() * 1000
    made = w.create(data)
    assert made["md5Checksum"] == hashlib.md5(data).hexdigest() and made["size"] == str(len(data))
    assert made["sha256Checksum"] == hashlib.sha256(data).hexdigest()
    assert w.download(made["id"], 1000) == data


@check
def without_a_mask_little_is_told_and_an_etag_never(w):
    made = w.files.create(body={"name": "x"}).execute()
    assert set(made) == {"kind", "id", "name", "mimeType"}
    refused(w.files.get(fileId=made["id"], fields="etag"), 400, "invalidParameter")


@check
def a_generated_id_is_good_once(w):
    ids = w.files.generateIds(count=3, type="files").execute()["ids"]
    assert len(set(ids)) == 3
    assert w.create(id=ids[0])["id"] == ids[0]
    again = w.files.create(body={"id": ids[0], "name": "again"})
    refused(again, 409, "fileIdInUse")
    refused(w.files.create(body={"id": ids[1], "mimeType": "application/vnd.google-apps.document"}), 400)
    refused(w.files.create(body={"id": "made-up"}), 400)
    refused(w.files.generateIds(count=1001), 400)


@check
def a_resumable_upload_goes_in_pieces_and_replaces_by_id(w):
    data = os.urandom(3 * 256 * 1024 + 11)
    media = lambda: MediaIoBaseUpload(io.BytesIO(data), "application/x-thing", chunksize=256 * 1024, resumable=True)
    request = w.files.create(body={"name": "big"}, media_body=media(), fields=FILE)
    answer, steps = None, 0
    while answer is None:
        _, answer = request.next_chunk()
        steps += 1
    assert steps == 4 and answer["sha256Checksum"] == hashlib.sha256(data).hexdigest()
    small = w.create(b"small")
    request = w.files.update(fileId=small["id"], media_body=media(), fields=FILE)
    answer = None
    while answer is None:
        _, answer = request.next_chunk()
    assert answer["id"] == small["id"] and answer["headRevisionId"] != small["headRevisionId"]
    assert w.download(small["id"]) == data


@check
def a_lost_answer_is_made_up_for_by_asking_for_the_range(w):
    data = os.urandom(2 * 256 * 1024)
    media = MediaIoBaseUpload(io.BytesIO(data), "application/x-thing", chunksize=256 * 1024, resumable=True)
    request = w.files.create(body={"name": "big"}, media_body=media, fields=FILE)
    w.control("POST", "drive/settings", most_of_a_piece=0)
    request.next_chunk()
    assert request.resumable_progress == 0
    w.control("POST", "drive/settings", most_of_a_piece=1 << 40)
    answer = None
    while answer is None:
        _, answer = request.next_chunk()
    assert answer["md5Checksum"] == hashlib.md5(data).hexdigest()


@check
def a_lost_session_is_404(w):
    media = MediaIoBaseUpload(io.BytesIO(b"x" * 600000), "text/plain", chunksize=256 * 1024, resumable=True)
    request = w.files.create(body={"name": "big"}, media_body=media)
    request.next_chunk()
    w.control("POST", "drive/lose-sessions")
    try:
        request.next_chunk()
        raise AssertionError("404 was expected")
    except HttpError as error:
        assert error.resp.status == 404


@check
def names_may_repeat_and_queries_find_by_parent_name_and_property(w):
    folder = w.folder("It's \\ here")
    for n in range(3):
        w.create(name="same", parents=[folder["id"]], appProperties={"crm": str(n)})
    q = f"'{folder['id']}' in parents and trashed = false"
    first = w.files.list(q=q, pageSize=2, fields="nextPageToken,files(id,parents)").execute()
    second = w.files.list(q=q, pageSize=2, pageToken=first["nextPageToken"], fields="files(id)").execute()
    assert len(first["files"]) == 2 and len(second["files"]) == 1
    found = w.files.list(q="appProperties has { key='crm' and value='1' }", fields="files(id)").execute()["files"]
    assert len(found) == 1
    found = w.files.list(q=f"name = 'It\\'s \\\\ here' and mimeType = '{FOLDER}'").execute()["files"]
    assert [f["id"] for f in found] == [folder["id"]]
    refused(w.files.list(q="shoeSize = 43"), 400)


@check
def the_feed_tells_edits_trash_and_removals(w):
    edited, trashed, gone = (w.create(name=n) for n in ("edited", "trashed", "gone"))
    token = w.start()
    assert w.changes(token)[0] == []
    w.files.update(fileId=edited["id"], body={"name": "other"}).execute()
    w.files.update(fileId=trashed["id"], body={"trashed": True}).execute()
    w.files.delete(fileId=gone["id"]).execute()
    found, token = w.changes(token)
    told = {c["fileId"]: c for c in found}
    assert told[edited["id"]]["file"]["name"] == "other" and not told[edited["id"]]["removed"]
    assert told[trashed["id"]]["file"]["trashed"] and not told[trashed["id"]]["removed"]
    assert told[gone["id"]]["removed"] and "file" not in told[gone["id"]]
    assert w.changes(token)[0] == []
    w.control("POST", "advance-clock", seconds=400 * 86400)
    refused(w.drive.changes().list(pageToken="999999"), 400)


@check
def a_folder_in_the_trash_takes_what_is_in_it_along(w):
    folder = w.folder()
    inside = w.create(parents=[folder["id"]])
    w.files.update(fileId=folder["id"], body={"trashed": True}).execute()
    read = w.files.get(fileId=inside["id"], fields="trashed,explicitlyTrashed").execute()
    assert read == {"trashed": True, "explicitlyTrashed": False}
    w.files.delete(fileId=folder["id"]).execute()
    refused(w.files.get(fileId=inside["id"]), 404, "notFound")


@check
def a_move_changes_the_one_parent(w):
    a, b = w.folder("a"), w.folder("b")
    file = w.create(parents=[a["id"]])
    refused(w.files.update(fileId=file["id"], body={"parents": [b["id"]]}), 403, "fieldNotWritable")
    refused(w.files.update(fileId=file["id"], addParents=b["id"]), 403, "cannotAddParent")
    moved = w.files.update(fileId=file["id"], addParents=b["id"], removeParents=a["id"], fields=FILE).execute()
    assert moved["parents"] == [b["id"]] and moved["headRevisionId"] == file["headRevisionId"]
    assert int(moved["version"]) > int(file["version"])
    inner = w.folder("inner", parents=[a["id"]])
    refused(w.files.update(fileId=a["id"], addParents=inner["id"], removeParents="root"), 403)


@check
def properties_are_cleared_by_null_and_bounded(w):
    made = w.create(appProperties={"a": "1", "b": "2"})
    after = w.files.update(fileId=made["id"], body={"appProperties": {"a": None}}, fields=FILE).execute()
    assert after["appProperties"] == {"b": "2"}
    refused(w.files.update(fileId=made["id"], body={"appProperties": {"k": "v" * 124}}), 400)


@check
def native_documents_are_exported_and_not_downloaded(w):
    kind = "application/vnd.google-apps.document"
    ids = w.control("POST", "drive/files", account=ACCOUNT, files=[
        {"path": "doc", "mimeType": kind}, {"path": "huge", "mimeType": kind, "exportBytes": 11 << 20}])["ids"]
    read = w.files.get(fileId=ids[0], fields=FILE).execute()
    assert "size" not in read and "md5Checksum" not in read
    refused(w.files.get_media(fileId=ids[0]), 403, "fileNotDownloadable")
    assert w.files.export(fileId=ids[0], mimeType="application/pdf").execute().startswith(b"%PDF")
    refused(w.files.export(fileId=ids[1], mimeType="application/pdf"), 403, "exportSizeLimitExceeded")


@check
def what_is_shared_to_read_is_not_written(w):
    ids = w.control("POST", "drive/files", account=ACCOUNT, files=[{"path": "r", "text": "x", "readOnly": True}])["ids"]
    assert not w.files.get(fileId=ids[0], fields="capabilities(canEdit)").execute()["capabilities"]["canEdit"]
    refused(w.files.update(fileId=ids[0], body={"name": "y"}), 403, "insufficientFilePermissions")


@check
def a_channel_without_an_expiration_lasts_an_hour(w):
    body = {"id": "c-1", "type": "web_hook", "address": "https://example.com/hook", "token": "t"}
    opened = w.drive.changes().watch(pageToken=w.start(), body=body).execute()
    refused(w.drive.changes().watch(pageToken=w.start(), body=body), 400, "channelIdNotUnique")
    longer = dict(body, id="c-2", expiration=str(int(opened["expiration"]) + 10 ** 12))
    week = w.drive.changes().watch(pageToken=w.start(), body=longer).execute()
    hours = (int(week["expiration"]) - int(opened["expiration"])) / 3600000
    assert 166.9 < hours < 167.1, hours
    w.drive.channels().stop(body={"id": "c-1", "resourceId": opened["resourceId"]}).execute()
    refused(w.drive.channels().stop(body={"id": "c-1", "resourceId": opened["resourceId"]}), 404)
    plain = dict(body, id="c-3", address="http://example.com/hook")
    refused(w.drive.changes().watch(pageToken=w.start(), body=plain), 400)


@check
def limits_are_told_by_their_reason(w):
    w.control("POST", "faults", faults=[{"kind": "throttle"}])
    refused(w.files.list(), 403, "userRateLimitExceeded")
    w.control("POST", "drive/settings", space=10)
    media = MediaIoBaseUpload(io.BytesIO(b"x" * 11), "text/plain")
    refused(w.files.create(body={"name": "x"}, media_body=media), 403, "storageQuotaExceeded")
    refused(w.client("ya29.nobody").files().list(), 401, "authError")


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
