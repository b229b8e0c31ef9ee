"""Makes api.json (names and shapes only, no text) of Teamleader's OpenAPI document: python3 derive.py openapi.json"""
import json
import sys

METHODS = """accounts.projects-v2-status activityTypes.list calls.add calls.complete calls.info calls.list calls.update
companies.add companies.info companies.list contacts.add contacts.delete contacts.info contacts.linkToCompany
contacts.list contacts.tag contacts.unlinkFromCompany contacts.untag contacts.update contacts.updateCompanyLink
customFieldDefinitions.list emailTracking.create emailTracking.list events.cancel events.create events.info
events.list events.update files.delete files.download files.info files.list files.upload meetings.complete
meetings.delete meetings.info meetings.list meetings.schedule meetings.update migrate.activityType products.info
products.list projects-v2/projects.info projects-v2/projects.list projects.info projects.list tags.list
tasks.complete tasks.create tasks.delete tasks.info tasks.list tasks.reopen tasks.schedule tasks.update
users.list users.me webhooks.list webhooks.register webhooks.unregister workTypes.list""".split()
# Supported by the update endpoints, and missing in the OpenAPI document.
ADDED = {"contacts.update": {"custom_fields_update_strategy": {"enum": ["partial"]}}}


def resolve(schema, document):
    while "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        schema = document["components"]["schemas"][name]
    return schema


def shape(schema, document):
    schema = resolve(schema, document)
    merged, enum, items = {}, schema.get("enum"), schema.get("items")
    for name, member in schema.get("properties", {}).items():
        merged[name] = shape(member, document)
    for part in schema.get("allOf", []):
        inner = shape(part, document)
        if isinstance(inner, dict) and "enum" in inner:
            enum = inner["enum"]
        elif isinstance(inner, dict):
            for name, member in inner.items():
                # The stricter of two descriptions of one member.
                if name not in merged or merged[name] == "any":
                    merged[name] = member
                elif isinstance(member, dict) and "enum" in member:
                    merged[name] = member
        elif isinstance(inner, list):
            items = inner[0]
    if enum:
        return {"enum": enum}
    if items is not None:
        return [shape(items, document) if isinstance(items, dict) and "enum" not in items else items]
    return merged or "any"


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        document = json.load(file)
    facts = {}
    for method in METHODS:
        body = document["paths"]["/" + method]["post"].get("requestBody")
        schema = next(iter(body["content"].values()))["schema"] if body else {}
        found = shape(schema, document)
        facts[method] = {**(found if isinstance(found, dict) else {}), **ADDED.get(method, {})}
    # Since a specification after 1.112 (in 1.221).
    facts["files.list"]["filter"]["subject"]["type"]["enum"].append("meeting")
    facts["calls.delete"] = {"id": "any"}
    json.dump(facts, sys.stdout, indent=1, sort_keys=True)
    print()


main()
