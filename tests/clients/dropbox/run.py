#!/usr/bin/env python3
"""Dropbox's own Python client drives the Dropbox simulator. It decodes answers strictly.

usage: run.py http://127.0.0.1:PORT

Prints one line a check, then `N passed, N failed`; the exit code is 1 when any failed.
Nothing of the client is changed but the address of each route.
"""
import datetime
import hashlib
import json
import sys
import traceback
import urllib.error
import urllib.parse
import urllib.request

import dropbox
from dropbox import files
from dropbox.exceptions import ApiError, AuthError, RateLimitError

ACCOUNT = "python@example.com"
BLOCK = 4 * 1024 * 1024
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def content_hash(data):
    digests = b"".join(hashlib.sha256(data[at:at + BLOCK]).digest() for at in range(0, len(data), BLOCK))
    return hashlib.sha256(digests).hexdigest()


class World:
    def __init__(self, origin):
        self.origin = origin = origin.rstrip("/")

        class Client(dropbox.Dropbox):
            def _get_route_url(self, hostname, route_name):
                return f"{origin}/2/{route_name}"

        self.Client = Client
        self.control("POST", "reset")
        self.token = self.control("POST", "accounts", account=ACCOUNT, account_type="pro")["token"]
        self.dbx = self.client(self.token)

    def client(self, token):
        return self.Client(token, max_retries_on_error=0, max_retries_on_rate_limit=0)

    def control(self, method, path, **body):
        data = json.dumps(body).encode() if body or method in ("POST", "DELETE") else None
        request = urllib.request.Request(f"{self.origin}/_sim/dropbox/{path}", data=data, method=method)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def listing(self, **more):
        answer = self.dbx.files_list_folder("", recursive=True, **more)
        found = list(answer.entries)
        while answer.has_more:
            answer = self.dbx.files_list_folder_continue(answer.cursor)
            found += answer.entries
        return found, answer.cursor

    def delta(self, cursor):
        found = []
        while True:
            answer = self.dbx.files_list_folder_continue(cursor)
            found += answer.entries
            cursor = answer.cursor
            if not answer.has_more:
                return found


def refused(call, kind=ApiError):
    try:
        call()
    except kind as error:
        return getattr(error, "error", error)
    raise AssertionError(f"{kind.__name__} was expected")


@check
def the_account_says_its_kind(w):
    account = w.dbx.users_get_current_account()
    assert account.account_type.is_pro() and account.email == ACCOUNT and len(account.account_id) == 40


@check
def an_uploaded_file_reads_back_and_has_the_published_hash(w):
    data = b"x" * (BLOCK + 17)
    made = w.dbx.files_upload(data, "/Folder/a.bin", client_modified=datetime.datetime(2026, 1, 5, 8))
    assert made.content_hash == content_hash(data) and made.size == len(data)
    assert made.client_modified == datetime.datetime(2026, 1, 5, 8)
    meta, answer = w.dbx.files_download("/folder/A.BIN")
    assert answer.content == data and meta.id == made.id and meta.path_display == "/Folder/a.bin"
    assert isinstance(w.dbx.files_get_metadata("/Folder"), files.FolderMetadata)


@check
def a_wrong_content_hash_is_refused(w):
    error = refused(lambda: w.dbx.files_upload(b"a", "/a", content_hash="0" * 64))
    assert error.is_content_hash_mismatch()


@check
def the_same_bytes_are_no_conflict_and_others_are(w):
    first = w.dbx.files_upload(b"one", "/a.txt")
    assert w.dbx.files_upload(b"one", "/a.txt").rev == first.rev
    error = refused(lambda: w.dbx.files_upload(b"two", "/A.txt"))
    assert error.get_path().reason.get_conflict().is_file()
    strict = refused(lambda: w.dbx.files_upload(b"one", "/a.txt", strict_conflict=True))
    assert strict.get_path().reason.is_conflict()
    assert w.dbx.files_upload(b"two", "/a.txt", autorename=True).name == "a (1).txt"


@check
def an_update_needs_the_rev(w):
    first = w.dbx.files_upload(b"one", "/a.txt")
    mode = files.WriteMode.update(first.rev)
    second = w.dbx.files_upload(b"two", "/a.txt", mode=mode)
    assert second.id == first.id and second.rev != first.rev
    assert refused(lambda: w.dbx.files_upload(b"three", "/a.txt", mode=mode)).get_path().reason.is_conflict()
    w.dbx.files_delete_v2("/a.txt")
    gone = files.WriteMode.update(second.rev)
    assert refused(lambda: w.dbx.files_upload(b"4", "/a.txt", mode=gone, strict_conflict=True)).is_path()
    w.dbx.files_upload(b"4", "/a.txt", mode=gone)


@check
def a_listing_has_pages_and_a_delta_tells_edits_deletions_and_moves(w):
    for n in range(7):
        w.dbx.files_upload(b"x", f"/d/{n}.txt")
    found, cursor = w.listing(limit=3)
    assert [type(e) for e in found[:1]] == [files.FolderMetadata] and len(found) == 8
    assert w.delta(cursor) == []
    w.dbx.files_upload(b"y", "/d/0.txt", mode=files.WriteMode.overwrite)
    w.dbx.files_delete_v2("/d/1.txt")
    moved = w.dbx.files_move_v2("/d/2.txt", "/e/2.txt").metadata
    told = w.delta(cursor)
    assert any(isinstance(e, files.DeletedMetadata) and e.path_lower == "/d/1.txt" for e in told)
    assert any(isinstance(e, files.FileMetadata) and e.id == moved.id and e.path_lower == "/e/2.txt" for e in told)
    assert any(isinstance(e, files.FileMetadata) and e.path_lower == "/d/0.txt" for e in told)


@check
def a_dead_cursor_says_reset(w):
    _, cursor = w.listing()
    w.control("POST", "expire-cursors")
    assert refused(lambda: w.dbx.files_list_folder_continue(cursor)).is_reset()


@check
def a_sequential_session_tells_the_correct_offset(w):
    start = w.dbx.files_upload_session_start(b"a" * 10)
    at = files.UploadSessionCursor(start.session_id, 10)
    w.dbx.files_upload_session_append_v2(b"b" * 5, at)
    error = refused(lambda: w.dbx.files_upload_session_append_v2(b"b" * 5, at))
    assert error.get_incorrect_offset().correct_offset == 15
    commit = files.CommitInfo("/s.bin")
    made = w.dbx.files_upload_session_finish(b"c", files.UploadSessionCursor(start.session_id, 15), commit)
    assert made.size == 16 and made.content_hash == content_hash(b"a" * 10 + b"b" * 5 + b"c")
    error = refused(lambda: w.dbx.files_upload_session_append_v2(b"d", at))
    assert error.is_not_found()


@check
def a_concurrent_session_takes_blocks_in_any_order(w):
    start = w.dbx.files_upload_session_start(b"", session_type=files.UploadSessionType.concurrent)
    cursor = lambda offset: files.UploadSessionCursor(start.session_id, offset)
    append = w.dbx.files_upload_session_append_v2
    assert refused(lambda: append(b"x" * 5, cursor(0))).is_concurrent_session_invalid_data_size()
    assert refused(lambda: append(b"x" * BLOCK, cursor(5))).is_concurrent_session_invalid_offset()
    append(b"b" * BLOCK, cursor(BLOCK))
    append(b"a" * BLOCK, cursor(0))
    commit = files.CommitInfo("/c.bin")
    finish = lambda: w.dbx.files_upload_session_finish(b"", cursor(2 * BLOCK + 3), commit)
    assert refused(finish).is_concurrent_session_not_closed()
    append(b"end", cursor(2 * BLOCK), close=True)
    assert finish().content_hash == content_hash(b"a" * BLOCK + b"b" * BLOCK + b"end")


@check
def a_batch_commits_closed_sessions(w):
    entries = []
    for n in range(5):
        session = w.dbx.files_upload_session_start(b"%d" % n, close=n < 4).session_id
        cursor = files.UploadSessionCursor(session, 1)
        entries.append(files.UploadSessionFinishArg(cursor, files.CommitInfo(f"/batch/{n}.txt")))
    done = w.dbx.files_upload_session_finish_batch_v2(entries).entries
    assert [e.is_success() for e in done] == [True] * 4 + [False]
    assert done[4].get_failure().get_lookup_failed().is_not_closed()
    assert done[0].get_success().path_lower == "/batch/0.txt"


@check
def folders_are_made_in_batches_and_once(w):
    done = w.dbx.files_create_folder_batch(["/one", "/two"]).get_complete().entries
    assert all(e.is_success() for e in done)
    assert refused(lambda: w.dbx.files_create_folder_v2("/One")).get_path().get_conflict().is_folder()


@check
def a_batch_of_deletions_is_launched_and_asked_for(w):
    made = w.dbx.files_upload(b"1", "/1.txt")
    w.dbx.files_upload(b"2", "/2.txt")
    entries = [files.DeleteArg("/1.txt", parent_rev=made.rev), files.DeleteArg("/2.txt", parent_rev="0123456789")]
    job = w.dbx.files_delete_batch(entries).get_async_job_id()
    states = [w.dbx.files_delete_batch_check(job) for _ in range(2)]
    assert states[0].is_in_progress()
    done = states[1].get_complete().entries
    assert done[0].is_success() and done[1].get_failure().get_path_write().is_conflict()


@check
def a_folder_moves_with_its_ids_and_never_only_by_case(w):
    inside = w.dbx.files_upload(b"x", "/Old/a.txt")
    w.dbx.files_move_v2("/Old", "/New")
    assert w.dbx.files_get_metadata("/new/a.txt").id == inside.id
    assert refused(lambda: w.dbx.files_move_v2("/New", "/new")).is_to()
    assert refused(lambda: w.dbx.files_move_v2("/New", "/New/x")).is_cant_move_folder_into_itself()
    assert refused(lambda: w.dbx.files_move_v2("/none", "/x")).get_from_lookup().is_not_found()


@check
def names_are_refused_by_their_tag(w):
    assert refused(lambda: w.dbx.files_upload(b"", "/desktop.ini")).get_path().reason.is_disallowed_name()
    assert refused(lambda: w.dbx.files_upload(b"", "/a\\b")).get_path().reason.is_malformed_path()


@check
def a_range_and_an_old_revision_are_read(w):
    old = w.dbx.files_upload(b"0123456789", "/r.txt")
    w.dbx.files_upload(b"new", "/r.txt", mode=files.WriteMode.overwrite)
    _, answer = w.dbx.files_download("rev:" + old.rev)
    assert answer.content == b"0123456789"
    w.dbx.files_restore("/r.txt", old.rev)
    request = urllib.request.Request(
        w.origin + "/2/files/download", method="POST",
        headers={"Authorization": "Bearer " + w.token, "Range": "bytes=2-4",
                 "Dropbox-API-Arg": json.dumps({"path": "/r.txt"})})
    request.add_unredirected_header("Content-Type", "")
    with urllib.request.urlopen(request) as answer:
        assert (answer.status, answer.read()) == (206, b"234")


@check
def limits_and_dead_tokens_are_told_as_dropbox_tells_them(w):
    w.control("POST", "faults", faults=[{"kind": "too_many_writes", "retry_after": 7}])
    error = refused(lambda: w.dbx.files_create_folder_v2("/x"), RateLimitError)
    assert error.reason.is_too_many_write_operations() and error.retry_after == 7
    assert refused(lambda: w.client("sl.none").files_list_folder(""), AuthError).is_invalid_access_token()
    w.control("POST", "faults", faults=[{"kind": "expired"}] * 2)  # the client tries once more
    assert refused(lambda: w.dbx.files_list_folder(""), AuthError).is_expired_access_token()


@check
def a_code_is_exchanged_once_and_its_refresh_token_stays(w):
    query = urllib.parse.urlencode({
        "client_id": "app", "response_type": "code", "redirect_uri": "http://127.0.0.1/cb", "state": "s",
        "token_access_type": "offline", "code_challenge_method": "S256",
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"})

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_):
            return None

    try:
        urllib.request.build_opener(Stay).open(w.origin + "/oauth2/authorize?" + query)
        raise AssertionError("a redirect was expected")
    except urllib.error.HTTPError as answer:
        back = dict(urllib.parse.parse_qsl(urllib.parse.urlparse(answer.headers["location"]).query))
    assert back["state"] == "s"

    def token(**form):
        data = urllib.parse.urlencode(form).encode()
        with urllib.request.urlopen(w.origin + "/oauth2/token", data=data) as answer:
            return json.load(answer)

    grant = dict(grant_type="authorization_code", code=back["code"], client_id="app",
                 redirect_uri="http://127.0.0.1/cb",
                 code_verifier="dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    first = token(**grant)
    assert first["refresh_token"] and first["expires_in"] == 14400
    refused(lambda: token(**grant), urllib.error.HTTPError)
    again = token(grant_type="refresh_token", refresh_token=first["refresh_token"], client_id="app")
    assert "refresh_token" not in again
    w.client(again["access_token"]).files_list_folder("")
    w.client(again["access_token"]).auth_token_revoke()
    refused(lambda: w.client(first["access_token"]).files_list_folder(""), AuthError)


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
