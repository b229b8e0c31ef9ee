#!/usr/bin/env python3
"""Makes crm.json (names only) of Zoho's own OpenAPI files for CRM v8.

usage: derive.py FOLDER > crm.json    (FOLDER has record.json, coql.json, fields.json, …)
"""
import json
import os
import sys

FILES = ["record", "coql", "fields", "custom_views", "users", "org", "profiles", "modules", "attachments",
         "notifications"]
VERBS = ["get", "post", "put", "delete"]


def main():
    methods, codes, bodies = {}, set(), {}
    for name in FILES:
        with open(os.path.join(sys.argv[1], name + ".json"), encoding="utf-8") as file:
            document = json.load(file)
        parts = document["components"]

        def parameter(one):
            return parts["parameters"][one["$ref"].split("/")[-1]] if "$ref" in one else one

        for path, item in document["paths"].items():
            for verb in VERBS:
                if verb not in item:
                    continue
                all_of = [parameter(one) for one in item.get("parameters", []) + item[verb].get("parameters", [])]
                methods[f"{verb.upper()} {path}"] = {
                    kind: sorted(one["name"] for one in all_of if one["in"] == kind) for kind in ("query", "header")
                }
        if name in ("record", "coql"):
            bodies[name] = sorted(parts["schemas"]["Body_Wrapper"]["properties"])
        if name == "notifications":
            bodies[name] = sorted(parts["schemas"]["Notification"]["properties"])
        if name == "record":
            codes.update(parts["schemas"]["API_Exception"]["properties"]["code"]["enum"])
    facts = {"methods": methods, "bodies": bodies, "codes": sorted(codes)}
    json.dump(facts, sys.stdout, indent=1, sort_keys=True)
    print()


if __name__ == "__main__":
    main()
