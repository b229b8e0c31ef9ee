#!/usr/bin/env python3
"""Derives dropbox.json (names, types and scopes only) from Dropbox's Stone specification, with Dropbox's own parser.

usage: pip install stone==3.5.5; derive.py dropbox-api-spec/*.stone > dropbox.json
"""
import json
import sys

from stone.frontend.frontend import specs_to_ir
from stone.ir import data_types as ir

ROUTES = {
    "auth": {"token/revoke"},
    "users": {"get_current_account"},
    "files": {
        "create_folder_batch", "create_folder_batch/check", "create_folder_v2", "delete_batch", "delete_batch/check",
        "delete_v2", "download", "get_metadata", "list_folder", "list_folder/continue", "move_v2", "restore",
        "upload_session/append_v2", "upload_session/finish", "upload_session/finish_batch_v2", "upload_session/start",
    },
}


def bare(kind):
    while isinstance(kind, ir.Alias):
        kind = kind.data_type
    return kind


def shape(kind, todo):
    """One short word: `string`, `uint`, `[X]`, `X`, `null`; with `?` what may be left out."""
    kind = bare(kind)
    if isinstance(kind, ir.Nullable):
        return "?" + shape(kind.data_type, todo)
    if isinstance(kind, ir.List):
        return "[" + shape(kind.data_type, todo) + "]"
    if isinstance(kind, ir.Map):
        return "map"
    if isinstance(kind, ir.UserDefined):
        todo.append(kind)
        return name(kind)
    if isinstance(kind, ir.Boolean):
        return "boolean"
    if isinstance(kind, (ir.UInt32, ir.UInt64)):
        return "uint"
    if isinstance(kind, (ir.Int32, ir.Int64)):
        return "int"
    if isinstance(kind, (ir.Float32, ir.Float64)):
        return "number"
    if isinstance(kind, ir.Void):
        return "null"
    return "string"


def name(kind):
    return f"{kind.namespace.name}.{kind.name}"


def described(kind, todo):
    if isinstance(kind, ir.Union):
        return {"union": {tag.name: shape(tag.data_type, todo) for tag in kind.all_fields}}
    out = {"struct": {}}
    for field in kind.all_fields:
        word = shape(field.data_type, todo)
        out["struct"][field.name] = "?" + word if field.has_default and not word.startswith("?") else word
    if kind.has_enumerated_subtypes():
        out["subtypes"] = {sub.name: shape(sub.data_type, todo) for sub in kind.get_enumerated_subtypes()}
    return out


def main():
    api = specs_to_ir([(path, open(path, encoding="utf-8").read()) for path in sys.argv[1:]])
    out, todo = {"routes": {}, "types": {}}, []
    for space, wanted in ROUTES.items():
        for route in api.namespaces[space].routes:
            # The path of a second version ends in _v2.
            path = route.name if route.version == 1 else f"{route.name}_v{route.version}"
            if path not in wanted:
                continue
            assert route.deprecated is None, f"{space}/{path} is deprecated"
            out["routes"][f"{space}/{path}"] = {
                "host": route.attrs.get("host") or "api", "style": route.attrs.get("style") or "rpc",
                "scope": route.attrs.get("scope"), "app_folder": route.attrs["allow_app_folder_app"],
                "argument": shape(route.arg_data_type, todo), "result": shape(route.result_data_type, todo),
                "error": shape(route.error_data_type, todo),
            }
    while todo:
        kind = todo.pop()
        if name(kind) not in out["types"]:
            out["types"][name(kind)] = described(kind, todo)
    json.dump(out, sys.stdout, indent=0, sort_keys=True, separators=(",", ":"))
    print()


main()
