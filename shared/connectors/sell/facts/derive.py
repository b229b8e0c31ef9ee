#!/usr/bin/env python3
"""Derives sell.json (names, paths, types and codes only) from published descriptions of Sell's API.

usage: derive.py FOLDER > sell.json

FOLDER holds openapi-apievangelist/ (github.com/api-evangelist/zendesk-sell), airbyte-schemas/ (PyPI
airbyte-source-zendesk-sell), tap-schemas/ (github.com/leag/tap-zendesk-sell), zapier-fixtures/
(github.com/zendesk/zendesk-sell-for-zapier) and firehose-sync/ (examples after github.com/zendesk/basecrm-ruby).
Needs PyYAML.
"""
import json
import pathlib
import sys

import yaml


def shape(value):
    """A JSON value's form without its content."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in sorted(value.items())}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}[type(value)]


def types(folder, name):
    return {attribute: [kind for kind in about["type"] if kind != "null"][0]
            for attribute, about in sorted(json.loads((folder / name).read_text())["properties"].items())}


def main():
    folder = pathlib.Path(sys.argv[1])
    described = yaml.safe_load((folder / "openapi-apievangelist/zendesk-sell-openapi.yml").read_text())
    problems = yaml.safe_load((folder / "openapi-apievangelist/zendesk-sell-problem-types.yml").read_text())
    limits = yaml.safe_load((folder / "openapi-apievangelist/zendesk-sell-rate-limits.yml").read_text())
    sync = json.loads((folder / "firehose-sync/sync-examples.json").read_text())
    methods = {}
    for path, about in described["paths"].items():
        for method in {"get", "post", "put", "delete"} & about.keys():
            names = [parameter["name"] for parameter in about[method].get("parameters", [])]
            methods[f"{method.upper()} {path}"] = {"query": sorted(names), "answers": sorted(about[method]["responses"])}
    fixture = lambda name: shape(json.loads((folder / f"zapier-fixtures/{name}.fixture.json").read_text()))
    start, fetch, ack = (sync[name] for name in
                         ("POST /v2/sync/start", "GET /v2/sync/{session}/queues/main", "POST /v2/sync/ack"))
    facts = {
        "methods": dict(sorted(methods.items())),
        "contact": types(folder, "airbyte-schemas/contacts.json"),
        "task": types(folder, "tap-schemas/tasks.json"),
        "statuses": {name: described["components"]["schemas"]["Contact"]["properties"][name]["enum"]
                     for name in ("customer_status", "prospect_status")},
        "tag": sorted(types(folder, "tap-schemas/tags.json")),
        "account": sorted(types(folder, "tap-schemas/accounts.json")),
        "user": sorted(types(folder, "tap-schemas/users.json")),
        "codes": {one["code"]: one["status"] for one in problems["invalid_request_errors"]},
        "field_codes": sorted(one["code"] for one in problems["resource_errors"]),
        "requests_an_hour": limits["limits"][0]["limit"],
        "error": fixture("contact_unprocessableContact"),
        "token": fixture("auth_accessToken"),
        "scopes": json.loads((folder / "zapier-fixtures/auth_accessToken.fixture.json").read_text())["scope"].split(),
        "sync_start": {"headers": sorted(start["headers"]), "answer": shape(start["201"])},
        "sync_fetch": shape(fetch["200"]),
        "sync_ack": {"request": shape(ack["request"]), "status": 202},
    }
    json.dump(facts, sys.stdout, indent=1, sort_keys=True)
    print()


if __name__ == "__main__":
    main()
