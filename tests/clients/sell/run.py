#!/usr/bin/env python3
"""Zendesk's own Python client, and a published one of the Firehose, drive the Sell simulator.

usage: run.py http://127.0.0.1:PORT

Prints one line a check, then `N passed, N failed`; the exit code is 1 when any failed.
Nothing of the clients is changed but where they ask: the second one's address is written into it.
"""
import json
import sys
import traceback
import urllib.parse
import urllib.request
import uuid

import basecrm
import requests
import zendesk_sell_firehose_client as firehose
from basecrm.errors import RateLimitError, RequestError, ResourceError, ServerError

ACCOUNT = "python@example.com"
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


class World:
    def __init__(self, origin):
        self.origin = origin.rstrip("/")
        self.control("POST", "reset")
        # The limit has a check of its own.
        self.control("POST", "settings", per_second=0)
        self.token = self.control("POST", "accounts", account=ACCOUNT)["token"]
        self.client = self.as_(self.token)
        self.device = str(uuid.uuid4())

    def as_(self, token):
        return basecrm.Client(access_token=token, base_url=self.origin)

    def control(self, method, path, **body):
        data = json.dumps(body).encode() if body or method in ("POST", "PATCH") else None
        request = urllib.request.Request(f"{self.origin}/_sim/sell/{path}", data=data, method=method)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def visit(self, name="Visit", **more):
        data = {"name": name, "start_at": "2026-12-01T08:00:00Z", "end_at": "2026-12-01T09:00:00Z", **more}
        return self.control("POST", "appointments", account=ACCOUNT, data=data)["data"]["id"]

    def streamed(self, position="tail", token=None):
        """What the stream of appointments tells behind a position, and the position after it."""
        get, there = requests.get, self.origin

        class Redirected:
            @staticmethod
            def get(url, **more):
                return get(url.replace("https://api.getbase.com", there), **more)

        firehose.requests = Redirected
        return firehose.ZendeskSellFirehoseClient(token or self.token).get_appointments(position)

    def person(self, name="Peeters", **more):
        return self.client.contacts.create(last_name=name, **more)

    def organisation(self, name="Bakkerij", **more):
        return self.client.contacts.create(name=name, is_organization=True, **more)

    def heard(self, acknowledge=True, device=None, client=None):
        """What one round of the high-level flow brings: (kind, id, event)."""
        seen = []

        def take(meta, data):
            seen.append((meta.type, data.id, meta.sync.event_type))
            return basecrm.Sync.ACK if acknowledge else basecrm.Sync.NACK

        basecrm.Sync(client=client or self.client, device_uuid=device or self.device).fetch(take)
        return seen


def refused(error, status, code, call):
    try:
        call()
    except error as refusal:
        assert refusal.http_status == status, refusal.http_status
        assert refusal.errors[0].code == code, refusal.errors
        assert refusal.logref, "every refusal names its request"
        return refusal.errors[0]
    raise AssertionError(f"{status} was expected")


@check
def a_created_person_reads_back(w):
    company = w.organisation()
    made = w.person(first_name="Jan", email="jan@example.com", mobile="+32470000001", contact_id=company.id,
                    address={"line1": "Kerkstraat 1", "city": "Gent", "country": "Belgium"}, tags=["Tandem"])
    read = w.client.contacts.retrieve(made.id)
    assert read == made and read.name == "Jan Peeters" and read.contact_id == company.id
    assert read.address.city == "Gent" and read.tags == ["Tandem"] and read.is_organization is False
    assert read.customer_status == "none" and read.created_at.endswith("Z")
    assert read.creator_id == read.owner_id


@check
def an_update_leaves_the_rest(w):
    made = w.person(title="Baker", tags=["a", "b"])
    w.client.contacts.update(made.id, {"title": "Master baker"})
    read = w.client.contacts.retrieve(made.id)
    assert read.title == "Master baker" and read.tags == ["a", "b"] and read.last_name == "Peeters"
    # Tags are replaced as a whole.
    assert w.client.contacts.update(made.id, tags=["b"]).tags == ["b"]


@check
def a_deleted_contact_is_gone(w):
    made = w.person()
    assert w.client.contacts.destroy(made.id) is True
    refused(RequestError, 404, "not_found", lambda: w.client.contacts.retrieve(made.id))
    refused(RequestError, 404, "not_found", lambda: w.client.contacts.destroy(made.id))


@check
def a_list_has_pages(w):
    made = [w.person(f"P{n}").id for n in range(30)]
    assert len(w.client.contacts.list()) == 25
    pages = [w.client.contacts.list(page=page, per_page=10, sort_by="id") for page in (1, 2, 3, 4)]
    assert [c.id for page in pages for c in page] == made and pages[3] == []
    assert w.client.contacts.list(sort_by="id:desc", per_page=1)[0].id == made[-1]
    error = refused(RequestError, 400, "invalid_param", lambda: w.client.contacts.list(per_page=101))
    assert "per_page" in error.details
    refused(RequestError, 400, "invalid_param", lambda: w.client.contacts.list(page=0))


@check
def a_list_is_narrowed(w):
    company = w.organisation("Bakkerij")
    jan = w.person("Peeters", email="jan@example.com", contact_id=company.id)
    w.person("Janssens", email="an@example.com")

    def ids(**query):
        return [c.id for c in w.client.contacts.list(**query)]

    assert ids(email="jan@example.com") == [jan.id]
    assert ids(contact_id=company.id) == [jan.id]
    assert ids(is_organization=True) == [company.id]
    assert company.id not in ids(is_organization=False)
    assert ids(name="bakkerij") == [company.id]
    assert ids(ids=f"{jan.id},1") == [jan.id]
    refused(RequestError, 400, "invalid_param", lambda: ids(shoe_size=43))


@check
def a_refusal_names_the_attribute(w):
    create = w.client.contacts.create
    error = refused(ResourceError, 422, "missing", lambda: create(first_name="Jan"))
    assert error.field == "/last_name" and error.resource == "contact"
    assert refused(ResourceError, 422, "missing", lambda: create(is_organization=True)).field == "/name"
    assert refused(ResourceError, 422, "incorrect_value", lambda: w.person(email="nobody")).field == "/email"
    assert refused(ResourceError, 422, "incorrect_value", lambda: w.person(title="x" * 256)).field == "/title"
    assert refused(ResourceError, 422, "invalid_type", lambda: w.person(phone=3291234567)).field == "/phone"
    refused(ResourceError, 422, "incorrect_value", lambda: w.person(customer_status="gold"))
    other = w.person()
    refused(ResourceError, 422, "incorrect_value", lambda: w.person(contact_id=other.id))
    refused(ResourceError, 422, "blank", lambda: w.client.contacts.update(other.id, last_name=" "))


@check
def a_person_stays_a_person(w):
    made = w.person()
    refused(ResourceError, 422, "incorrect_value", lambda: w.client.contacts.update(made.id, is_organization=True))


@check
def custom_fields_have_types(w):
    fields = [("VIP", "string", None), ("Age", "number", None), ("Since", "date", None), ("Good", "bool", None),
              ("Size", "list", ["S", "M"]), ("Wants", "multiselect_list", ["tea", "cake"]), ("Shop", "address", None)]
    for number, (name, kind, choices) in enumerate(fields):
        field = {"id": number, "name": name, "type": kind}
        if choices:
            field["choices"] = [{"id": n, "name": choice} for n, choice in enumerate(choices)]
        w.control("POST", "custom-fields", account=ACCOUNT, field=field)
    values = {"VIP": "yes", "Age": 43, "Since": "2020-02-29", "Good": True, "Size": "M", "Wants": ["cake", "tea"],
              "Shop": {"line1": "Markt 1", "city": "Gent"}}
    made = w.person(custom_fields=values)
    assert dict(made.custom_fields) == values
    kept = w.client.contacts.update(made.id, custom_fields={"VIP": None, "Age": 44})
    assert "VIP" not in kept.custom_fields and kept.custom_fields.Age == 44 and kept.custom_fields.Size == "M"
    wrong = {"Age": "old", "Since": "2021-02-29", "Good": "perhaps", "Size": "XL", "Wants": ["beer"]}
    for name, value in wrong.items():
        call = lambda: w.person(custom_fields={name: value})
        assert refused(ResourceError, 422, "incorrect_value", call).field == f"/custom_fields/{name}"
    refused(ResourceError, 422, "unknown", lambda: w.person(custom_fields={"Nothing": "x"}))
    assert [c.id for c in w.client.contacts.list(**{"custom_fields[Size]": "M"})] == [made.id]
    # The client has no service for the definitions, so its transport asks.
    status, _, listed = w.client.http_client.get("/contact/custom_fields")
    assert status == 200 and [f.name for f in listed] == [name for name, _, _ in fields]
    assert [c["name"] for c in listed[4].choices] == ["S", "M"]


@check
def tags_are_by_kind(w):
    w.person(tags=["Tandem", "vip"])
    w.client.leads.create(last_name="Lead", tags=["hot"])
    tags = w.client.tags.list(resource_type="contact")
    assert [t.name for t in tags] == ["Tandem", "vip"] and tags[0].resource_type == "contact"
    assert [t.name for t in w.client.tags.list(resource_type="lead")] == ["hot"]
    assert len(w.client.tags.list()) == 3


@check
def leads_are_no_contacts(w):
    lead = w.client.leads.create(first_name="Jan", organization_name="Bakkerij", email="jan@example.com")
    w.client.leads.create(last_name="Other")
    assert [one.id for one in w.client.leads.list(email="jan@example.com")] == [lead.id]
    assert len(w.client.leads.list(per_page=100)) == 2 and w.client.contacts.list() == []
    assert w.client.leads.update(lead.id, status="Working").status == "Working"
    error = refused(ResourceError, 422, "missing", lambda: w.client.leads.create(first_name="Jan"))
    assert error.resource == "lead"
    assert w.client.leads.destroy(lead.id)
    refused(RequestError, 404, "not_found", lambda: w.client.leads.retrieve(lead.id))


@check
def deals_and_notes_live_beside(w):
    person = w.person()
    deal = w.client.deals.create(name="Bread", contact_id=person.id, value=100, currency="EUR")
    assert [one.id for one in w.client.deals.list(contact_id=person.id)] == [deal.id]
    note = w.client.notes.create(content="Called", resource_type="contact", resource_id=person.id)
    assert w.client.notes.retrieve(note.id).content == "Called"
    refused(ResourceError, 422, "incorrect_value", lambda: w.client.deals.create(name="Bread", contact_id=1))


@check
def who_one_is(w):
    me, account = w.client.users.self(), w.client.accounts.self()
    assert me.email == ACCOUNT and w.person().creator_id == me.id
    assert account.id != me.id and "email" not in account


@check
def a_sync_brings_everything_and_then_changes(w):
    company, person = w.organisation(), w.person()
    lead = w.client.leads.create(last_name="Lead")
    deal = w.client.deals.create(name="Bread", contact_id=person.id)
    note = w.client.notes.create(content="x", resource_type="contact", resource_id=person.id)
    kinds = {(kind, id_) for kind, id_, event in w.heard() if event == "created"}
    assert {("contact", company.id), ("contact", person.id), ("lead", lead.id), ("deal", deal.id),
            ("note", note.id), ("user", w.client.users.self().id)} == kinds
    assert w.heard() == []
    w.client.contacts.update(person.id, title="Baker")
    w.client.contacts.destroy(company.id)
    assert set(w.heard()) == {("contact", person.id, "updated"), ("contact", company.id, "deleted")}
    assert w.heard() == []


@check
def what_is_not_acknowledged_comes_again(w):
    person = w.person()
    first = w.heard(acknowledge=False)
    assert ("contact", person.id, "created") in first
    assert sorted(w.heard()) == sorted(first) and w.heard() == []


@check
def a_new_device_hears_everything_again(w):
    w.person()
    seen = w.heard()
    assert w.heard() == [] and sorted(w.heard(device=str(uuid.uuid4()))) == sorted(seen)


@check
def a_queue_has_pages_in_no_order(w):
    w.control("POST", "settings", queue_page=3)
    ids = [w.person(f"P{n}").id for n in range(10)]
    heard = [id_ for kind, id_, _ in w.heard() if kind == "contact"]
    assert sorted(heard) == ids and heard != ids and w.heard() == []


@check
def an_empty_page_is_not_the_end(w):
    person = w.person()
    w.control("POST", "settings", empty_pages=1)
    session = w.client.sync.start(w.device)
    assert session.queues[0].data.total_count == 2 and session.queues[0].data.name == "main"
    assert w.client.sync.fetch(w.device, session.id) == []
    items = w.client.sync.fetch(w.device, session.id)
    assert person.id in [item.data.id for item in items]
    assert w.client.sync.ack(w.device, [item.meta.sync.ack_key for item in items]) is True
    assert w.client.sync.fetch(w.device, session.id) == [] and w.client.sync.start(w.device) is None


@check
def delivery_is_at_least_once(w):
    old = w.person()
    w.heard()
    w.control("POST", "settings", redeliver=5)
    new = w.person()
    heard = [id_ for _, id_, _ in w.heard()]
    assert new.id in heard and old.id in heard


@check
def a_session_ends(w):
    w.person()
    session = w.client.sync.start(w.device)
    w.control("POST", "advance-clock", seconds=2 * 3600)
    refused(RequestError, 404, "not_found", lambda: w.client.sync.fetch(w.device, session.id))
    other = w.client.sync.start(w.device)
    stranger = str(uuid.uuid4())
    refused(RequestError, 404, "not_found", lambda: w.client.sync.fetch(stranger, other.id))


@check
def the_stream_tells_what_happened_and_goes_on_from_there(w):
    ids = [w.visit(f"Visit {n}") for n in range(60)]
    told = w.streamed()
    assert sorted(item["data"]["id"] for item in told["items"]) == ids
    first = next(item for item in told["items"] if item["data"]["id"] == ids[0])
    assert first["data"]["name"] == "Visit 0" and first["data"]["user_id"] == w.client.users.self().id
    assert first["meta"]["event_type"] == "created" and first["meta"]["sequence"] == 1
    assert first["meta"]["type"] == "appointment" and first["meta"]["event_time"].endswith("Z")
    assert w.streamed(told["position"]) == {"position": told["position"], "items": []}
    w.control("PATCH", "appointments", account=ACCOUNT, id=ids[0], data={"name": "Moved"})
    w.control("DELETE", "appointments", account=ACCOUNT, id=ids[0], data={})
    later = w.streamed(told["position"])["items"]
    assert [(item["meta"]["event_type"], item["meta"]["sequence"]) for item in later] == [("updated", 2), ("deleted", 3)]
    assert later[0]["meta"]["previous"]["name"] == "Visit 0" and later[0]["data"]["name"] == "Moved"
    assert w.streamed("top")["items"] == []


@check
def a_stream_is_not_at_its_top_when_a_page_is_empty_and_may_repeat_itself(w):
    old = w.visit()
    position = w.streamed()["position"]
    w.control("POST", "settings", empty_stream_pages=2, stream_repeats=5)
    new = w.visit()
    assert [item["data"]["id"] for item in w.streamed(position)["items"]] == [new, old]


@check
def a_stream_keeps_72_hours(w):
    w.visit("Old")
    position = w.streamed()["position"]
    # A position at the top stays one, however old it is; one before what was forgotten does not.
    w.control("POST", "advance-clock", seconds=71 * 3600)
    assert w.streamed(position)["items"] == []
    w.visit("Missed")
    w.control("POST", "advance-clock", seconds=73 * 3600)
    w.visit("New")
    assert [item["data"]["name"] for item in w.streamed()["items"]] == ["New"]
    for stale in (position, "bm90IG91cnM"):
        try:
            w.streamed(stale)
            raise AssertionError("400 was expected")
        except requests.HTTPError as refusal:
            assert refusal.response.status_code == 400
            assert refusal.response.json()["errors"][0]["error"]["code"] == "invalid_param"
    w.control("POST", "settings", forgotten="skipped")
    assert [item["data"]["name"] for item in w.streamed(position)["items"]] == ["New"]


@check
def a_stream_has_limits_and_needs_a_token(w):
    w.visit()
    for wrong in ({}, {"position": "tail", "limit": 101}, {"position": "tail", "limit": 0}):
        asked = requests.get(f"{w.origin}/v3/appointments/stream", params=wrong,
                             headers={"Authorization": f"Bearer {w.token}"})
        assert asked.status_code == 400, wrong
    assert requests.get(f"{w.origin}/v3/appointments/stream", params={"position": "tail"}).status_code == 401
    # Nobody lists them, reads one or writes one.
    for method, path in (("GET", "/v2/appointments"), ("POST", "/v2/appointments"), ("POST", "/v3/appointments/stream")):
        answer = requests.request(method, w.origin + path, headers={"Authorization": f"Bearer {w.token}"}, json={})
        assert answer.status_code == 404, path


@check
def a_user_sees_their_own(w):
    added = w.control("POST", "users", account=ACCOUNT, user="piet@example.com", sees="own")
    piet = w.as_(added["token"])
    hidden, mine = w.person("Hidden"), piet.contacts.create(last_name="Mine")
    assert [c.id for c in piet.contacts.list()] == [mine.id] and len(w.client.contacts.list()) == 2
    refused(RequestError, 404, "not_found", lambda: piet.contacts.retrieve(hidden.id))
    assert ("contact", mine.id, "created") in w.heard(client=piet)
    w.client.contacts.update(hidden.id, title="Baker")
    assert w.heard(client=piet) == []
    w.client.contacts.update(hidden.id, owner_id=added["user"])
    assert w.heard(client=piet) == [("contact", hidden.id, "created")]
    w.client.contacts.destroy(hidden.id)
    assert w.heard(client=piet) == [("contact", hidden.id, "deleted")]


@check
def ten_requests_a_second_and_so_many_an_hour(w):
    w.control("POST", "settings", per_second=1)
    w.client.contacts.list()
    try:
        for _ in range(5):
            w.client.contacts.list()
        raise AssertionError("429 was expected")
    except RateLimitError:
        pass
    w.control("POST", "settings", per_second=0, per_hour=1)
    try:
        w.client.contacts.list()
        raise AssertionError("429 was expected")
    except RateLimitError:
        pass
    w.control("POST", "advance-clock", seconds=3601)
    w.client.contacts.list()


@check
def a_fault_is_a_server_error(w):
    w.control("POST", "faults", faults=[{"kind": "server_error"}])
    refused(ServerError, 500, "server_error", w.client.contacts.list)
    w.client.contacts.list()


@check
def an_unknown_token_is_refused(w):
    refused(RequestError, 401, "unauthorized", w.as_("a" * 64).contacts.list)


@check
def a_request_without_a_name_is_refused(w):
    nameless = basecrm.Client(access_token=w.token, base_url=w.origin, user_agent="")
    refused(RequestError, 400, "invalid_user_agent", nameless.contacts.list)


@check
def an_upsert_needs_a_filter(w):
    # The client has no method for it, so its transport asks.
    post = w.client.http_client.post
    refused(RequestError, 400, "invalid_param", lambda: post("/contacts/upsert", body={"last_name": "A"}))

    def upsert(**data):
        query = urllib.parse.urlencode({"email": "jan@example.com"})
        return post(f"/contacts/upsert?{query}", body=data)[2]

    made = upsert(last_name="Peeters", email="jan@example.com")
    assert upsert(title="Baker").id == made.id and w.client.contacts.retrieve(made.id).last_name == "Peeters"
    w.person(email="jan@example.com")
    refused(ResourceError, 422, "incorrect_payload", lambda: upsert(title="Cook"))


def documents(w, **query):
    # The client has no documents of its own, so its transport asks.
    return w.client.http_client.get("/documents", query)[2]


@check
def documents_of_several_records_are_listed_and_their_addresses_give_the_bytes(w):
    company, person = w.organisation(), w.person()
    content = "text " * 1000
    for record, name in ((company, "offer.pdf"), (person, "letter.txt")):
        w.control("POST", "documents", account=ACCOUNT, resource_type="contact", resource_id=record.id, name=name,
                  text=content)
    both = documents(w, resource_type="contact", resource_id=f"{company.id},{person.id}", sort_by="id")
    assert [(one.name, one.resource_id, one.resource_type) for one in both] == [
        ("offer.pdf", company.id, "contact"), ("letter.txt", person.id, "contact")]
    assert (both[0].content_type, both[0].size) == ("application/pdf", len(content))
    one = w.client.http_client.get(f"/documents/{both[1].id}")[2]
    assert one.name == "letter.txt" and one.updated_at.endswith("Z")
    assert requests.get(one.download_url).text == content
    w.control("POST", "advance-clock", seconds=91 * 60)
    assert requests.get(one.download_url).status_code == 403, "an address is good for 90 minutes"
    assert requests.get(w.client.http_client.get(f"/documents/{one.id}")[2].download_url).text == content


@check
def documents_need_their_records_and_are_only_read(w):
    get = w.client.http_client.get
    refused(RequestError, 400, "invalid_param", lambda: get("/documents"))
    refused(RequestError, 400, "invalid_param", lambda: get("/documents", {"resource_type": "contact"}))
    refused(RequestError, 404, "not_found", lambda: get("/documents/7"))
    assert documents(w, resource_type="contact", resource_id=w.person().id) == []
    post = w.client.http_client.post
    refused(RequestError, 404, "incorrect_path", lambda: post("/documents", body={"name": "a.txt"}))


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
