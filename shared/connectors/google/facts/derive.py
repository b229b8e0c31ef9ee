#!/usr/bin/env python3
"""Derives people.json, calendar.json, gmail.json, drive.json or tasks.json (names, paths and types only) from Google's
discovery document of that API.

usage: derive.py DISCOVERY.json > people.json
"""
import json
import sys

METHODS = {
    "people": {
        "people.connections.list", "people.get", "people.getBatchGet", "people.createContact", "people.updateContact",
        "people.deleteContact", "people.batchCreateContacts", "people.batchUpdateContacts",
        "people.batchDeleteContacts", "contactGroups.list", "contactGroups.get", "contactGroups.batchGet",
        "contactGroups.create", "contactGroups.update", "contactGroups.delete", "contactGroups.members.modify",
    },
    "calendar": {
        "calendarList.get", "calendarList.list", "calendars.clear", "calendars.delete", "calendars.get",
        "calendars.insert", "channels.stop", "events.delete", "events.get", "events.import", "events.insert",
        "events.instances", "events.list", "events.patch", "events.update", "events.watch",
    },
    "gmail": {
        "users.getProfile", "users.watch", "users.stop", "users.history.list", "users.messages.list",
        "users.messages.get", "users.messages.insert", "users.messages.modify", "users.labels.list",
        "users.labels.create", "users.labels.delete",
    },
    "drive": {
        "about.get", "changes.getStartPageToken", "changes.list", "changes.watch", "channels.stop", "files.create",
        "files.delete", "files.export", "files.generateIds", "files.get", "files.list", "files.update", "revisions.get",
    },
    "tasks": {
        "tasklists.get", "tasklists.list", "tasks.delete", "tasks.get", "tasks.insert", "tasks.list", "tasks.patch",
    },
}

# Parameters of every method that an API's connector uses.
COMMON = {"drive": ("alt", "fields", "uploadType")}


def methods(resource):
    for method in resource.get("methods", {}).values():
        yield method
    for child in resource.get("resources", {}).values():
        yield from methods(child)


def shape(prop, name, schemas):
    """A property as one short word: `string`, `[EmailAddress]`, `{Person}`, `Date`, or `A|B` for an enum.

    An object that has no name of its own is called after its place (`Event.creator`)."""
    if "$ref" in prop:
        return prop["$ref"]
    if prop.get("type") == "array":
        return "[" + shape(prop["items"], name, schemas) + "]"
    if "additionalProperties" in prop:
        return "{" + shape(prop["additionalProperties"], name, schemas) + "}"
    if "properties" in prop:
        schemas[name] = prop
        return name
    if "enum" in prop:
        return "|".join(prop["enum"])
    return prop["type"]


def mask(schema, name):
    """The paths that the document lists as valid for a field mask."""
    text = schema["properties"][name]["description"]
    return [word.strip(" *.") for word in text.split("Valid values are:")[1].split(" * ") if word.strip(" *.")]


def main():
    document = json.load(open(sys.argv[1], encoding="utf-8"))
    schemas, api = dict(document["schemas"]), document["name"]
    out = {"methods": {}, "schemas": {}}
    todo = []
    for method in sorted(methods(document), key=lambda m: m["id"]):
        if method["id"] not in {f"{api}.{name}" for name in METHODS[api]}:
            continue
        request = method.get("request", {}).get("$ref")
        response = method.get("response", {}).get("$ref")
        params = {
            name: "|".join(p["enum"]) if "enum" in p else p["type"]
            for name, p in method.get("parameters", {}).items() if p["location"] == "query"
        }
        common = {name: document["parameters"][name] for name in COMMON.get(api, ())}
        params |= {name: "|".join(p["enum"]) if "enum" in p else p["type"] for name, p in common.items()}
        out["methods"][method["id"]] = {
            "method": method["httpMethod"], "path": document["servicePath"] + method.get("flatPath", method["path"]),
            "query": params, "request": request, "response": response,
            "scopes": [scope.rsplit("/", 1)[1] for scope in method["scopes"]],
        }
        todo += [name for name in (request, response) if name]
    while todo:
        name = todo.pop()
        if name in out["schemas"]:
            continue
        fields = schemas[name].get("properties", {})
        props = {key: shape(prop, f"{name}.{key}", schemas) for key, prop in fields.items()}
        out["schemas"][name] = props
        todo += [word.strip("[]{}") for word in props.values() if word.strip("[]{}") in schemas]
    if api == "people":
        update = schemas["BatchUpdateContactsRequest"]
        out["update_mask"] = mask(update, "updateMask")
        out["read_mask"] = mask(update, "readMask")
    json.dump(out, sys.stdout, indent=0, sort_keys=True, separators=(",", ":"))
    print()


main()
