#!/usr/bin/env python3
"""Zoho's own Python SDK for CRM v8 drives the Zoho simulator.

usage: run.py http://127.0.0.1:PORT

Prints one line a check, then `N passed, N failed`; the exit code is 1 when any failed.
The SDK is used as it is; only its environment names the simulator.
"""
import datetime
import http.server
import json
import logging
import os
import shutil
import sys
import tempfile
import threading
import time
import traceback
import urllib.error
import urllib.parse
import urllib.request

from zohocrmsdk.src.com.zoho.api.authenticator.oauth_token import OAuthToken
from zohocrmsdk.src.com.zoho.api.authenticator.store import FileStore
from zohocrmsdk.src.com.zoho.api.logger import Logger
from zohocrmsdk.src.com.zoho.crm.api import HeaderMap, Initializer, ParameterMap
from zohocrmsdk.src.com.zoho.crm.api import attachments
from zohocrmsdk.src.com.zoho.crm.api.attachments.attachments_operations import (
    AttachmentsOperations, DeleteAttachmentsParam, GetAttachmentsParam, UploadUrlAttachmentsParam)
from zohocrmsdk.src.com.zoho.crm.api.dc import DataCenter
from zohocrmsdk.src.com.zoho.crm.api.notifications import APIException as WatchException
from zohocrmsdk.src.com.zoho.crm.api.notifications import BodyWrapper as WatchBody
from zohocrmsdk.src.com.zoho.crm.api.notifications import (
    Notification, NotificationsOperations)
from zohocrmsdk.src.com.zoho.crm.api.notifications import SuccessResponse as WatchSuccess
from zohocrmsdk.src.com.zoho.crm.api.notifications.notifications_operations import (
    DeleteNotificationParam, GetNotificationsParam)
from zohocrmsdk.src.com.zoho.crm.api.record import APIException, BodyWrapper, Field, Record, RecordOperations
from zohocrmsdk.src.com.zoho.crm.api.record import (
    DeletedRecordsWrapper, DeleteRecordsParam, GetDeletedRecordsParam, GetRecordsHeader, GetRecordsParam,
    SuccessResponse)
from zohocrmsdk.src.com.zoho.crm.api.sdk_config import SDKConfig
from zohocrmsdk.src.com.zoho.crm.api.users import GetUsersParam, UsersOperations
from zohocrmsdk.src.com.zoho.crm.api.util import StreamWrapper

CLIENT, SECRET, BACK = "1000.SDK", "secret", "https://tandem.example/back"
SCOPES = ["ZohoCRM.modules.ALL", "ZohoCRM.settings.ALL", "ZohoCRM.users.READ", "ZohoCRM.org.READ", "ZohoCRM.coql.READ",
          "ZohoCRM.notifications.ALL"]
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


class Stop(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments):
        return None


class World:
    def __init__(self, origin, folder):
        self.origin = origin.rstrip("/")
        self.control("POST", "reset")
        self.folder = tempfile.mkdtemp(dir=folder)
        environment = DataCenter.Environment(self.origin, self.origin + "/oauth/v2/token", self.origin)
        token = OAuthToken(client_id=CLIENT, client_secret=SECRET, grant_token=self.consent(), redirect_url=BACK)
        Initializer.initialize(
            environment=environment, token=token, store=FileStore(os.path.join(self.folder, "tokens.csv")),
            sdk_config=SDKConfig(auto_refresh_fields=False, pick_list_validation=False), resource_path=self.folder,
            logger=Logger.get_instance(level=Logger.Levels.ERROR, file_path=os.path.join(self.folder, "sdk.log")))
        self.contacts = RecordOperations("Contacts")

    def consent(self):
        query = urllib.parse.urlencode({
            "client_id": CLIENT, "redirect_uri": BACK, "response_type": "code", "access_type": "offline",
            "scope": ",".join(SCOPES), "sim_account": "python@example.com"})
        try:
            urllib.request.build_opener(Stop).open(f"{self.origin}/oauth/v2/auth?{query}")
        except urllib.error.HTTPError as answer:
            back = urllib.parse.urlparse(answer.headers["location"])
            return urllib.parse.parse_qs(back.query)["code"][0]
        raise AssertionError("a consent leads back")

    def control(self, method, path, **body):
        data = json.dumps(body).encode() if body or method in ("POST", "PATCH") else None
        request = urllib.request.Request(f"{self.origin}/_sim/zoho/{path}", data=data, method=method)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def seed(self, count):
        records = [{"Last_Name": f"P{n}", "Email": f"p{n}@example.com"} for n in range(count)]
        return self.control("POST", "records", account="python@example.com", records=records)["ids"]

    def write(self, call, *records, **more):
        body = BodyWrapper()
        body.set_data(list(records))
        body.set_trigger([])
        if "by" in more:
            body.set_duplicate_check_fields(more["by"])
        return call(body, HeaderMap())

    def read(self, fields="Last_Name,Email,Modified_Time", headers=None, **parameters):
        query = ParameterMap()
        query.add(GetRecordsParam.fields, fields)
        for name, value in parameters.items():
            query.add(getattr(GetRecordsParam, name), value)
        return self.contacts.get_records(query, headers or HeaderMap())


def attach(w, record, name, content):
    # The client calls a file by the name that it was opened by.
    path = os.path.join(w.folder, name)
    with open(path, "wb") as file:
        file.write(content)
    body = attachments.FileBodyWrapper()
    body.set_file(StreamWrapper(file_path=path))
    return AttachmentsOperations().upload_attachments(record, "Contacts", body)


def attached(record, fields="id,File_Name,Size,Created_Time,Modified_Time,Parent_Id,Owner,$type,$link_url", **more):
    query = ParameterMap()
    if fields:
        query.add(GetAttachmentsParam.fields, fields)
    for name, value in more.items():
        query.add(getattr(GetAttachmentsParam, name), value)
    return AttachmentsOperations().get_attachments(record, "Contacts", query)


def contact(last, email=None, **more):
    record = Record()
    record.add_field_value(Field.Contacts.last_name(), last)
    if email:
        record.add_field_value(Field.Contacts.email(), email)
    for name, value in more.items():
        record.add_key_value(name, value)
    return record


def data(answer, status):
    assert answer.get_status_code() == status, f"{answer.get_status_code()} instead of {status}"
    return answer.get_object().get_data()


@check
def the_current_user_is_known(w):
    query = ParameterMap()
    query.add(GetUsersParam.type, "CurrentUser")
    answer = UsersOperations().get_users(query, HeaderMap())
    assert answer.get_object().get_users()[0].get_email() == "python@example.com"


@check
def a_created_contact_reads_back(w):
    made = data(w.write(w.contacts.create_records, contact("Peeters", "jan@example.com")), 201)[0]
    assert isinstance(made, SuccessResponse) and made.get_code().get_value() == "SUCCESS"
    read = data(w.read(), 200)
    assert [one.get_key_value("Email") for one in read] == ["jan@example.com"]
    assert str(read[0].get_id()) == str(made.get_details()["id"])


@check
def mixed_results_come_as_207_in_order(w):
    answer = w.write(w.contacts.create_records, contact("Good"), contact("Bad", Title="x" * 101))
    good, bad = data(answer, 207)
    assert isinstance(good, SuccessResponse) and isinstance(bad, APIException)
    assert bad.get_code().get_value() == "INVALID_DATA" and bad.get_details()["api_name"] == "Title"


@check
def an_upsert_changes_the_contact_of_that_address(w):
    w.write(w.contacts.create_records, contact("Before", "jan@example.com"))
    answer = w.write(w.contacts.upsert_records, contact("After", "JAN@example.com"), contact("New", "n@example.com"),
                     by=["Email"])
    assert [one.get_action().get_value() for one in data(answer, 200)] == ["update", "insert"]
    assert sorted(one.get_key_value("Last_Name") for one in data(w.read(), 200)) == ["After", "New"]


@check
def an_update_changes_what_it_names(w):
    (identity,) = w.seed(1)
    record = Record()
    record.set_id(int(identity))
    record.add_field_value(Field.Contacts.last_name(), "Changed")
    data(w.write(w.contacts.update_records, record), 200)
    read = data(w.read(), 200)[0]
    assert (read.get_key_value("Last_Name"), read.get_key_value("Email")) == ("Changed", "p0@example.com")


@check
def an_unknown_id_is_named(w):
    record = contact("x")
    record.set_id(1)
    assert data(w.write(w.contacts.update_records, record), 400)[0].get_details()["api_name"] == "id"


@check
def a_listing_has_pages(w):
    w.seed(5)
    first = w.read(per_page=3, page=1, sort_by="id", sort_order="asc")
    info = first.get_object().get_info()
    assert info.get_more_records() and info.get_next_page_token()
    rest = w.read(per_page=3, page_token=info.get_next_page_token(), sort_by="id", sort_order="asc")
    names = [one.get_key_value("Last_Name") for one in data(first, 200) + data(rest, 200)]
    assert names == ["P0", "P1", "P2", "P3", "P4"] and not rest.get_object().get_info().get_more_records()


@check
def nothing_there_is_204_and_nothing_new_is_304(w):
    assert w.read().get_status_code() == 204
    w.seed(1)
    headers = HeaderMap()
    headers.add(GetRecordsHeader.if_modified_since,
                datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) + datetime.timedelta(minutes=1))
    assert w.read(headers=headers).get_status_code() == 304


@check
def the_fields_must_be_named(w):
    answer = w.contacts.get_records(ParameterMap(), HeaderMap())
    refusal = answer.get_object()
    assert isinstance(refusal, APIException) and refusal.get_code().get_value() == "REQUIRED_PARAM_MISSING"


@check
def a_deleted_contact_is_told(w):
    identity, _ = w.seed(2)
    query = ParameterMap()
    query.add(DeleteRecordsParam.ids, identity)
    data(w.contacts.delete_records(query, HeaderMap()), 200)
    query = ParameterMap()
    query.add(GetDeletedRecordsParam.type, "all")
    wrapper = w.contacts.get_deleted_records(query, HeaderMap()).get_object()
    assert isinstance(wrapper, DeletedRecordsWrapper)
    assert [str(one.get_id()) for one in wrapper.get_data()] == [identity]
    assert len(data(w.read(), 200)) == 1


@check
def a_list_view_shows_whom_its_criteria_admit(w):
    identity, _ = w.seed(2)
    criteria = {"comparator": "equal", "field": {"api_name": "Last_Name"}, "value": "P0"}
    view = w.control("POST", "views", name="P0 only", criteria=criteria)["id"]
    assert [str(one.get_id()) for one in data(w.read(cvid=view), 200)] == [identity]


@check
def used_up_credits_answer_429(w):
    w.seed(1)
    w.read()
    w.control("POST", "settings", credits=0)
    answer = w.read()
    assert answer.get_status_code() == 429, answer.get_status_code()


@check
def a_file_is_attached_listed_and_read_back(w):
    record = int(w.seed(1)[0])
    content = bytes(range(256)) * 2000
    (made,) = data(attach(w, record, "Zo\u00eb \u00fcnd \u6f22.bin", content), 200)
    assert isinstance(made, attachments.SuccessResponse) and made.get_code().get_value() == "SUCCESS"
    (one,) = data(attached(record), 200)
    assert (one.get_file_name(), one.get_size()) == ("Zo\u00eb \u00fcnd \u6f22.bin", str(len(content)))
    assert str(one.get_id()) == str(made.get_details()["id"]) and one.get_link_url() is None
    assert (one.get_parent_id().get_name(), one.get_type()) == ("P0", "Attachment")
    (held,) = w.control("GET", "attachments")["attachments"]
    assert (held["record"], held["module"]) == (str(record), "Contacts")
    read = AttachmentsOperations().get_attachment(one.get_id(), record, "Contacts")
    assert read.get_status_code() == 200
    assert b"".join(read.get_object().get_file().get_stream().iter_content(1024)) == content


@check
def attachments_have_pages_and_a_record_without_any_is_204(w):
    record = int(w.seed(1)[0])
    assert attached(record).get_status_code() == 204
    for n in range(5):
        attach(w, record, f"{n}.txt", b"text")
    first, rest = attached(record, per_page=3, page=1), attached(record, per_page=3, page=2)
    assert first.get_object().get_info().get_more_records() and not rest.get_object().get_info().get_more_records()
    assert [one.get_file_name() for one in data(first, 200) + data(rest, 200)] == [f"{n}.txt" for n in (4, 3, 2, 1, 0)]


@check
def the_fields_of_attachments_must_be_named(w):
    answer = attached(int(w.seed(1)[0]), fields=None)
    assert answer.get_status_code() == 400
    assert answer.get_object().get_code().get_value() == "REQUIRED_PARAM_MISSING"


@check
def a_link_is_attached_beside_files(w):
    record = int(w.seed(1)[0])
    query = ParameterMap()
    query.add(UploadUrlAttachmentsParam.attachmenturl, "https://acme.example")
    query.add(UploadUrlAttachmentsParam.title, "The site")
    data(AttachmentsOperations().upload_url_attachments(record, "Contacts", query), 200)
    (one,) = data(attached(record), 200)
    assert (one.get_link_url(), one.get_file_name(), one.get_size()) == ("https://acme.example", "The site", "0")


@check
def attachments_are_deleted_one_by_one_or_several_with_mixed_results(w):
    record = int(w.seed(1)[0])
    for n in range(3):
        attach(w, record, f"{n}.txt", b"text")
    last, middle, first = [one.get_id() for one in data(attached(record), 200)]
    data(AttachmentsOperations().delete_attachment(first, record, "Contacts"), 200)
    query = ParameterMap()
    query.add(DeleteAttachmentsParam.ids, f"{middle},{first}")
    # The client reads the refusal in the list as an answer like the others; its code tells them apart.
    both = data(AttachmentsOperations().delete_attachments(record, "Contacts", query), 207)
    assert [one.get_code().get_value() for one in both] == ["SUCCESS", "INVALID_DATA"]
    assert [one.get_id() for one in data(attached(record), 200)] == [last]


@check
def a_file_that_is_too_large_or_a_program_is_refused(w):
    record = int(w.seed(1)[0])
    w.control("POST", "settings", attachment_bytes=10)
    answer = attach(w, record, "a.txt", b"eleven more")
    assert answer.get_status_code() == 400, answer.get_status_code()
    assert answer.get_object().get_code().get_value() == "FILE_SIZE_MORE_THAN_ALLOWED_SIZE"
    assert attach(w, record, "a.exe", b"x").get_object().get_code().get_value() == "INVALID_DATA"
    assert attached(record).get_status_code() == 204


@check
def attachments_need_a_scope_of_their_own(w):
    record = int(w.seed(1)[0])
    w.control("POST", "settings", token_seconds=3600)
    bare = World.__new__(World)
    bare.origin, scopes = w.origin, SCOPES[:]
    SCOPES[:] = ["ZohoCRM.modules.contacts.ALL", "ZohoCRM.users.READ", "ZohoCRM.org.READ"]
    try:
        code = bare.consent()
    finally:
        SCOPES[:] = scopes
    form = urllib.parse.urlencode({"grant_type": "authorization_code", "client_id": CLIENT, "client_secret": SECRET,
                                   "redirect_uri": BACK, "code": code}).encode()
    with urllib.request.urlopen(f"{w.origin}/oauth/v2/token", data=form) as answer:
        token = json.load(answer)["access_token"]
    request = urllib.request.Request(f"{w.origin}/crm/v8/Contacts/{record}/Attachments?fields=id",
                                     headers={"Authorization": f"Zoho-oauthtoken {token}"})
    try:
        urllib.request.urlopen(request)
        raise AssertionError("a refusal was expected")
    except urllib.error.HTTPError as refusal:
        assert json.load(refusal)["code"] == "OAUTH_SCOPE_MISMATCH"


class Ear:
    """Hears what the provider tells, on this machine."""

    def __enter__(self):
        ear = self
        ear.heard = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                ear.heard.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *arguments):
        self.server.shutdown()
        self.server.server_close()

    def hears(self, count):
        for _ in range(150):
            if len(self.heard) >= count:
                break
            time.sleep(0.02)
        time.sleep(0.1)
        assert len(self.heard) == count, self.heard
        return self.heard


def channel(url, identity="1068002", token="our token", hours=24, events=("Contacts.all",)):
    one = Notification()
    one.set_channel_id(identity)
    one.set_events(list(events))
    one.set_channel_expiry(datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=hours))
    one.set_token(token)
    one.set_notify_url(url)
    one.set_notify_on_related_action(False)
    body = WatchBody()
    body.set_watch([one])
    return body


def watched(answer, status, kind=WatchSuccess):
    assert answer.get_status_code() == status, f"{answer.get_status_code()} instead of {status}"
    one = answer.get_object().get_watch()[0]
    assert isinstance(one, kind), one
    return one


def listed(identity):
    query = ParameterMap()
    query.add(GetNotificationsParam.channel_id, int(identity))
    return NotificationsOperations().get_notifications(query)


def closed(identity):
    query = ParameterMap()
    query.add(DeleteNotificationParam.channel_ids, identity)
    return NotificationsOperations().delete_notification(query)


@check
def a_channel_tells_of_its_module_with_its_token_until_it_is_deleted(w):
    with Ear() as ear:
        said = watched(NotificationsOperations().enable_notifications(channel(ear.url)), 201)
        assert said.get_details()["events"][0].get_channel_id() == "1068002", said.get_details()
        identity = w.seed(1)[0]
        first = ear.hears(1)[0]
        assert (first["channel_id"], first["token"]) == ("1068002", "our token"), first
        assert (first["module"], first["operation"], first["ids"]) == ("Contacts", "insert", [identity]), first
        changed = contact("Claes")
        changed.set_id(int(identity))
        data(w.write(w.contacts.update_records, changed), 200)
        assert ear.hears(2)[1]["operation"] == "update"
        assert listed("1068002").get_object().get_watch()[0].get_resource_name() == "Contacts"
        watched(closed("1068002"), 200)
        assert listed("1068002").get_status_code() == 204
        w.seed(1)
        ear.hears(2)
        assert watched(closed("1068002"), 202, WatchException).get_code().get_value() == "NOT_SUBSCRIBED"


@check
def a_channel_lives_a_week_at_most_and_is_prolonged_and_moved_by_put(w):
    with Ear() as ear:
        operations = NotificationsOperations()
        watched(operations.enable_notifications(channel(ear.url, hours=8 * 24)), 201)
        ends = listed("1068002").get_object().get_watch()[0].get_channel_expiry()
        assert ends - datetime.datetime.now(datetime.timezone.utc) < datetime.timedelta(minutes=61), ends
        watched(operations.update_notifications(channel(ear.url, hours=6 * 24, token="another")), 200)
        ends = listed("1068002").get_object().get_watch()[0].get_channel_expiry()
        assert ends - datetime.datetime.now(datetime.timezone.utc) > datetime.timedelta(days=5), ends
        w.seed(1)
        assert ear.hears(1)[0]["token"] == "another"
        unknown = operations.update_notifications(channel(ear.url, identity="7"))
        assert watched(unknown, 202, WatchException).get_code().get_value() == "NOT_SUBSCRIBED"


@check
def a_channel_that_zoho_does_not_take_is_refused(w):
    enable = NotificationsOperations().enable_notifications
    for wrong in (channel("http://127.0.0.1:1/", token="x" * 51), channel("http://127.0.0.1:1/", events=["Contacts.eat"]),
                  channel("http://127.0.0.1:1/", events=["Unicorns.all"]), channel("http://127.0.0.1:1/", hours=-1)):
        assert watched(enable(wrong), 202, WatchException).get_code().get_value() == "INVALID_DATA"


def main():
    logging.disable(logging.CRITICAL)
    folder, failed = tempfile.mkdtemp(), 0
    for function in CHECKS:
        try:
            function(World(sys.argv[1], folder))
            print("ok    ", function.__name__)
        except Exception:  # a failed check must not stop the others
            failed += 1
            print("FAILED", function.__name__)
            traceback.print_exc()
    shutil.rmtree(folder, ignore_errors=True)
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed or not CHECKS else 0


if __name__ == "__main__":
    sys.exit(main())
