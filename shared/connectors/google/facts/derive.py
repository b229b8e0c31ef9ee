#!/usr/bin/env python3
"""Derives people.json or gmail.json (names, paths and types only) from Google's discovery document of that API.

usage: derive.py DISCOVERY.json > people.json
"""
import json
import sys

METHODS = {
    "people.people.connections.list", "people.people.get", "people.people.getBatchGet", "people.people.createContact",
    "people.people.updateContact", "people.people.deleteContact", "people.people.batchCreateContacts",
    "people.people.batchUpdateContacts", "people.people.batchDeleteContacts", "people.contactGroups.list",
    "people.contactGroups.get", "people.contactGroups.batchGet", "people.contactGroups.create",
    "people.contactGroups.update", "people.contactGroups.delete", "people.contactGroups.members.modify",
    "gmail.users.getProfile", "gmail.users.watch", "gmail.users.stop", "gmail.users.history.list",
    "gmail.users.messages.list", "gmail.users.messages.get", "gmail.users.messages.insert",
    "gmail.users.messages.modify", "gmail.users.labels.list", "gmail.users.labels.create", "gmail.users.labels.delete",
}


def methods(resource):
    for method in resource.get("methods", {}).values():
        yield method
    for child in resource.get("resources", {}).values():
        yield from methods(child)


def shape(prop):
    """A property as one short word: `string`, `[EmailAddress]`, `{Person}`, `Date`, or `A|B` for an enum."""
    if "$ref" in prop:
        return prop["$ref"]
    if prop.get("type") == "array":
        return "[" + shape(prop["items"]) + "]"
    if "additionalProperties" in prop:
        return "{" + shape(prop["additionalProperties"]) + "}"
    if "enum" in prop:
        return "|".join(prop["enum"])
    return prop["type"]


def mask(schema, name):
    """The paths that the document lists as valid for a field mask."""
    text = schema["properties"][name]["description"]
    return [word.strip(" *.") for word in text.split("Valid values are:")[1].split(" * ") if word.strip(" *.")]


def main():
    document = json.load(open(sys.argv[1], encoding="utf-8"))
    schemas = document["schemas"]
    out = {"methods": {}, "schemas": {}}
    todo = []
    for method in sorted(methods(document), key=lambda m: m["id"]):
        if method["id"] not in METHODS:
            continue
        request = method.get("request", {}).get("$ref")
        response = method.get("response", {}).get("$ref")
        params = {
            name: "|".join(p["enum"]) if "enum" in p else p["type"]
            for name, p in method.get("parameters", {}).items() if p["location"] == "query"
        }
        out["methods"][method["id"]] = {
            "method": method["httpMethod"], "path": method["flatPath"], "query": params, "request": request,
            "response": response,
        }
        todo += [name for name in (request, response) if name]
    while todo:
        name = todo.pop()
        if name in out["schemas"]:
            continue
        props = {key: shape(prop) for key, prop in schemas[name].get("properties", {}).items()}
        out["schemas"][name] = props
        todo += [word.strip("[]{}") for word in props.values() if word.strip("[]{}") in schemas]
    update = schemas.get("BatchUpdateContactsRequest")
    if update:
        out["update_mask"] = mask(update, "updateMask")
        out["read_mask"] = mask(update, "readMask")
    json.dump(out, sys.stdout, indent=0, sort_keys=True, separators=(",", ":"))
    print()


main()
