"""Pieces that the descriptions of all surfaces are put together from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Schema: TypeAlias = dict[str, Any]

FILE: Schema = {"type": "string", "format": "binary"}
EMPTY: Schema = {"type": "string", "const": ""}  # an option that is sent empty is not given
FLAGS = ("true", "false", "1", "0", "yes", "no", "on", "off")  # as text, in any case
_SHOWN = ("description", "default")


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    path: str
    method: str
    described: Schema
    guarded: bool = False  # asks for a key where keys are configured


def or_empty(schema: Schema) -> Schema:
    """The same, or an empty string; what it says about itself stays outside."""
    rule = {key: value for key, value in schema.items() if key not in (*_SHOWN, "title")}
    shown = {key: schema[key] for key in _SHOWN if schema.get(key) is not None}
    choices = [choice for choice in rule.pop("anyOf", [rule]) if choice.get("type") != "null"]
    if rule.get("type") == "boolean":
        choices.append({"type": "string", "enum": [*FLAGS]})
    return {**shown, "anyOf": [*choices, EMPTY]}


def query(properties: Mapping[str, Schema], required: tuple[str, ...] = ()) -> list[Schema]:
    """Properties as query parameters."""
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "description": schema.get("description", ""),
            "schema": {key: value for key, value in schema.items() if key != "description"},
        }
        for name, schema in properties.items()
    ]


def reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def answer(description: str, *media: str, schema: Schema | None = None) -> Schema:
    """A response; files unless a schema is given."""
    return {
        "description": description,
        "content": {name: {"schema": schema or FILE} for name in media},
    }


def headers(**described: str) -> Schema:
    """Response headers, all of them integers or text, by name with `_` for `-`."""
    return {
        name.replace("_", "-"): {"description": text, "schema": {"type": "string"}}
        for name, text in described.items()
    }


def errors(cases: Mapping[int, str], media: str, schema: Schema) -> dict[str, Schema]:
    """Error responses by status; those that tell when to come back have that header."""
    out = {}
    for status, text in cases.items():
        out[str(status)] = answer(text, media, schema=schema)
        if status in (429, 503):
            out[str(status)]["headers"] = headers(Retry_After="seconds to wait")
    return out
