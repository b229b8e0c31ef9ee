#!/usr/bin/env python3
"""Google's own Python client drives the Google simulator.

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
FIELDS = "names,emailAddresses,memberships,metadata,clientData"
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


class World:
    def __init__(self, origin):
        self.origin = origin.rstrip("/")
        self.control("POST", "reset")
        self.token = self.control("POST", "accounts", account=ACCOUNT)["token"]
        self.service = self.client(self.token)

    def client(self, token):
        path = os.path.join(os.path.dirname(googleapiclient.__file__), "discovery_cache", "documents", "people.v1.json")
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
    def people(self):
        return self.service.people()

    @property
    def groups(self):
        return self.service.contactGroups()

    def create(self, name="Jan"):
        body = {"names": [{"givenName": name, "familyName": "Peeters"}], "emailAddresses": [{"value": "j@example.com"}]}
        return self.people.createContact(body=body, personFields=FIELDS).execute()

    def list(self, **more):
        more.setdefault("pageSize", 100)
        return self.people.connections().list(
            resourceName="people/me", personFields=FIELDS, requestSyncToken=True, **more).execute()

    def full(self, size=100):
        found, page = [], None
        while True:
            answer = self.list(pageSize=size, **({"pageToken": page} if page else {}))
            found += answer.get("connections", [])
            page = answer.get("nextPageToken")
            if not page:
                return found, answer["nextSyncToken"]


def refused(call, status):
    try:
        call.execute()
    except HttpError as error:
        assert error.resp.status == status, f"{error.resp.status} instead of {status}: {error}"
        return json.loads(error.content)["error"]
    raise AssertionError(f"{status} was expected")


@check
def a_created_contact_reads_back(w):
    made = w.create()
    read = w.people.get(resourceName=made["resourceName"], personFields=FIELDS).execute()
    assert read["names"][0]["displayName"] == "Jan Peeters"
    assert read["memberships"][0]["contactGroupMembership"]["contactGroupResourceName"] == "contactGroups/myContacts"
    assert read["metadata"]["sources"][0]["type"] == "CONTACT"


@check
def a_batch_is_created_in_order(w):
    contacts = [{"contactPerson": {"names": [{"givenName": f"N{n}"}]}} for n in range(200)]
    answer = w.people.batchCreateContacts(body={"contacts": contacts, "readMask": "names"}).execute()
    assert [p["person"]["names"][0]["givenName"] for p in answer["createdPeople"]] == [f"N{n}" for n in range(200)]


@check
def a_batch_of_201_is_refused(w):
    contacts = [{"contactPerson": {}}] * 201
    refused(w.people.batchCreateContacts(body={"contacts": contacts, "readMask": "names"}), 400)


@check
def an_empty_read_mask_answers_nothing(w):
    body = {"contacts": [{"contactPerson": {"names": [{"givenName": "A"}]}}], "readMask": ""}
    assert w.people.batchCreateContacts(body=body).execute() == {}


@check
def a_listing_has_pages_and_the_sync_token_is_on_the_last(w):
    names = {w.create(f"P{n}")["resourceName"] for n in range(7)}
    first = w.list(pageSize=3)
    assert len(first["connections"]) == 3 and "nextSyncToken" not in first and first["totalItems"] == 7
    found, _ = w.full(3)
    assert {p["resourceName"] for p in found} == names


@check
def a_delta_shows_edits_and_deletions_only(w):
    quiet, edited, gone = (w.create(n) for n in ("Quiet", "Edited", "Gone"))
    _, token = w.full()
    edited["names"][0]["givenName"] = "Changed"
    w.people.updateContact(resourceName=edited["resourceName"], updatePersonFields="names", body=edited).execute()
    w.people.deleteContact(resourceName=gone["resourceName"]).execute()
    delta = {p["resourceName"]: p for p in w.list(syncToken=token)["connections"]}
    assert quiet["resourceName"] not in delta
    assert delta[edited["resourceName"]]["names"][0]["givenName"] == "Changed"
    assert delta[gone["resourceName"]]["metadata"]["deleted"] is True


@check
def a_delta_lags(w):
    _, token = w.full()
    w.control("POST", "settings", lag_ms=120000)
    made = w.create()
    assert not w.list(syncToken=token).get("connections")
    w.control("POST", "advance-clock", seconds=121)
    assert w.list(syncToken=token)["connections"][0]["resourceName"] == made["resourceName"]


@check
def other_parameters_with_a_sync_token_are_refused(w):
    _, token = w.full()
    call = w.people.connections().list(
        resourceName="people/me", personFields="names", requestSyncToken=True, syncToken=token)
    assert refused(call, 400)["status"] == "INVALID_ARGUMENT"


@check
def a_sync_token_expires_after_seven_days(w):
    _, token = w.full()
    w.control("POST", "advance-clock", seconds=7 * 86400 + 1)
    for setting, status in (("yes", "FAILED_PRECONDITION"), ("no", "INVALID_ARGUMENT")):
        w.control("POST", "settings", expired_as_failed_precondition=setting)
        call = w.people.connections().list(
            resourceName="people/me", personFields=FIELDS, requestSyncToken=True, pageSize=100, syncToken=token)
        error = refused(call, 400)
        assert error["status"] == status and error["details"][0]["reason"] == "EXPIRED_SYNC_TOKEN"


@check
def a_stale_etag_is_refused(w):
    made = w.create()
    fresh = w.people.updateContact(
        resourceName=made["resourceName"], updatePersonFields="names", personFields=FIELDS, body=made).execute()
    error = refused(w.people.updateContact(
        resourceName=made["resourceName"], updatePersonFields="names", body=made), 400)
    assert error["status"] == "FAILED_PRECONDITION"
    w.people.updateContact(resourceName=made["resourceName"], updatePersonFields="names", body=fresh).execute()


@check
def an_update_without_sources_or_with_two_names_is_refused(w):
    made = w.create()
    name = made["resourceName"]
    bare = {"names": [{"givenName": "X"}]}
    refused(w.people.updateContact(resourceName=name, updatePersonFields="names", body=bare), 400)
    made["names"].append({"givenName": "Second"})
    refused(w.people.updateContact(resourceName=name, updatePersonFields="names", body=made), 400)


@check
def unknown_masks_and_fields_are_refused(w):
    made = w.create()
    name = made["resourceName"]
    refused(w.people.get(resourceName=name, personFields="shoeSize"), 400)
    refused(w.people.get(resourceName=name), 400)
    refused(w.people.updateContact(resourceName=name, updatePersonFields="photos", body=made), 400)
    refused(w.people.createContact(body={"shoeSize": 43}), 400)


@check
def the_last_membership_cannot_be_removed(w):
    made = w.create()
    made["memberships"] = []
    refused(w.people.updateContact(
        resourceName=made["resourceName"], updatePersonFields="memberships", body=made), 400)


@check
def a_batch_is_read(w):
    made = w.create()
    answer = w.people.getBatchGet(
        resourceNames=[made["resourceName"], "people/c1"], personFields="names").execute()["responses"]
    assert answer[0]["person"]["names"] and answer[1]["status"]["code"] == 5


@check
def a_batch_is_updated_with_one_mask(w):
    a, b = w.create("A"), w.create("B")
    for person in (a, b):
        person["names"][0]["givenName"] += "!"
    body = {"contacts": {p["resourceName"]: p for p in (a, b)}, "updateMask": "names", "readMask": FIELDS}
    answer = w.people.batchUpdateContacts(body=body).execute()["updateResult"]
    assert answer[a["resourceName"]]["person"]["names"][0]["givenName"] == "A!"
    refused(w.people.batchUpdateContacts(body=body), 400)
    w.control("POST", "settings", batch_refusal="item")
    answer = w.people.batchUpdateContacts(body=body).execute()["updateResult"]
    assert answer[b["resourceName"]]["status"]["code"] == 9


@check
def a_batch_is_deleted(w):
    names = [w.create()["resourceName"] for _ in range(3)]
    refused(w.people.batchDeleteContacts(body={"resourceNames": names + ["people/c1"]}), 404)
    w.people.batchDeleteContacts(body={"resourceNames": names}).execute()
    assert w.full()[0] == []


@check
def group_names_are_unique(w):
    body = {"contactGroup": {"name": "Customers", "clientData": [{"key": "k", "value": "v"}]}}
    made = w.groups.create(body=body).execute()
    assert refused(w.groups.create(body=body), 409)["status"] == "ALREADY_EXISTS"
    read = w.groups.get(resourceName=made["resourceName"], groupFields="name,clientData,groupType").execute()
    assert read["groupType"] == "USER_CONTACT_GROUP" and read["clientData"][0]["value"] == "v"
    renamed = {"contactGroup": {"name": "Clients", "etag": read["etag"]}, "updateGroupFields": "name"}
    assert w.groups.update(resourceName=made["resourceName"], body=renamed).execute()["name"] == "Clients"
    listed = w.groups.list(pageSize=1000).execute()["contactGroups"]
    assert any(g["name"] == "Clients" for g in listed)


@check
def members_join_and_leave(w):
    group = w.groups.create(body={"contactGroup": {"name": "Team"}}).execute()["resourceName"]
    person = w.create()["resourceName"]
    modify = w.groups.members().modify
    answer = modify(resourceName=group, body={"resourceNamesToAdd": [person, "people/c1"]}).execute()
    assert answer["notFoundResourceNames"] == ["people/c1"]
    read = w.groups.get(resourceName=group, maxMembers=10).execute()
    assert read["memberResourceNames"] == [person] and read["memberCount"] == 1
    answer = modify(resourceName="contactGroups/myContacts", body={"resourceNamesToRemove": [person]}).execute()
    assert answer == {}
    answer = modify(resourceName=group, body={"resourceNamesToRemove": [person]}).execute()
    assert answer["canNotRemoveLastContactGroupResourceNames"] == [person]
    refused(modify(resourceName="contactGroups/friends", body={"resourceNamesToAdd": [person]}), 400)


@check
def a_deleted_group_leaves_its_members(w):
    group = w.groups.create(body={"contactGroup": {"name": "Gone"}}).execute()["resourceName"]
    person = w.create()["resourceName"]
    w.groups.members().modify(resourceName=group, body={"resourceNamesToAdd": [person]}).execute()
    w.groups.delete(resourceName=group).execute()
    refused(w.groups.get(resourceName=group), 404)
    w.people.get(resourceName=person, personFields="names").execute()


@check
def a_quota_answers_429_and_names_its_metric(w):
    w.control("POST", "settings", critical_reads_per_minute=2)
    w.full()
    w.full()
    call = w.people.connections().list(resourceName="people/me", personFields=FIELDS)
    assert "Critical read requests" in refused(call, 429)["message"]


@check
def an_unknown_token_is_refused(w):
    stranger = w.client("ya29.nobody")
    refused(stranger.people().get(resourceName="people/c1", personFields="names"), 401)


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
