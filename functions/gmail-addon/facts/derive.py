#!/usr/bin/env python3
"""Derives cards.json (names and types only) from Google's discovery document of the Chat API, which describes the cards
that Chat apps and Google Workspace add-ons share (`GoogleAppsCardV1…`).

usage: derive.py chat.v1.json > cards.json
"""
import json
import sys


def shape(prop):
    """A property as one short word: `string`, `[Button]`, `Card`, `A|B` for an enum; `any` where nothing is said."""
    if "$ref" in prop:
        return prop["$ref"].removeprefix("GoogleAppsCardV1")
    if prop.get("type") == "array":
        return "[" + shape(prop["items"]) + "]"
    if "enum" in prop:
        return "|".join(prop["enum"])
    return prop.get("type", "any")


def main():
    document = json.load(open(sys.argv[1], encoding="utf-8"))
    todo, out = ["GoogleAppsCardV1Card"], {}
    while todo:
        name = todo.pop()
        short = name.removeprefix("GoogleAppsCardV1")
        if short in out:
            continue
        properties = document["schemas"][name].get("properties", {})
        out[short] = {field: shape(prop) for field, prop in sorted(properties.items())}
        text = json.dumps(properties)
        todo += [other for other in document["schemas"] if f'"$ref": "{other}"' in text]
    print(json.dumps({"revision": document["revision"], "schemas": dict(sorted(out.items()))}, indent=0))


main()
