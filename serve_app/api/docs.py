"""`/docs`: the OpenAPI document as one page of HTML. No script, nothing from outside."""

import base64
import hashlib
from collections.abc import Iterable
from html import escape
from typing import Any

from serve_app.api.openapi_parts import EMPTY, Schema

_STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 3rem; border-bottom: 1px solid var(--line); }
details { border: 1px solid var(--line); border-radius: .4rem; margin: .6rem 0; }
summary { cursor: pointer; padding: .5rem .8rem; }
details > div { padding: 0 .8rem .8rem; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9em; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0;
  border-top: 1px solid var(--line); }
code { background: var(--soft); border-radius: .2rem; padding: 0 .25rem; overflow-wrap: anywhere; }
.method { font-weight: 700; text-transform: uppercase; margin-right: .5rem; }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

_MANY = 30  # values of one option; only colour names are more

CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def docs_page(document: Schema) -> str:
    """Render the document."""
    info = document["info"]
    title = f"{info['title']} {info['version']}"
    sections = "".join(_section(document, tag) for tag in document["tags"])
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><main><h1>{escape(title)}</h1>"
        f"<p>{escape(info['summary'])}. For programs: "
        f'<a href="openapi.json">openapi.json</a> (OpenAPI 3.1).</p>{sections}</main></body></html>'
    )


def _section(document: Schema, tag: Schema) -> str:
    operations = [
        _operation(path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if tag["name"] in operation["tags"]
    ]
    head = f"<h2>{escape(tag['name'])}</h2><p>{escape(tag['description'])}</p>"
    return head + "".join(operations)


def _operation(path: str, method: str, operation: Schema) -> str:
    content = operation.get("requestBody", {}).get("content", {})
    bodies = "".join(
        f"<h3>Body: <code>{escape(media)}</code></h3>{_body(body['schema'])}"
        for media, body in content.items()
    )
    parameters = {p["name"]: {**p["schema"], **p} for p in operation.get("parameters", [])}
    query = f"<h3>Query</h3>{_table(parameters)}" if parameters else ""
    return (
        f'<details id="{escape(method + path)}"><summary><span class="method">{method}</span>'
        f"<code>{escape(path)}</code> {escape(operation['summary'])}</summary><div>"
        f"<p>{escape(operation.get('description', ''))}</p>{bodies}{query}"
        f"<h3>Answers</h3>{_answers(operation['responses'])}</div></details>"
    )


def _body(schema: Schema) -> str:
    properties = schema.get("properties")
    return _table(properties) if properties else "<p>The file itself.</p>"


def _table(properties: dict[str, Schema]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{_values(schema)}</td>"
        f"<td>{escape(schema.get('description', ''))}</td></tr>"
        for name, schema in properties.items()
    )
    return f"<table><tr><th>Name</th><th>Values</th><th>Meaning</th></tr>{rows}</table>"


def _answers(responses: dict[str, Schema]) -> str:
    rows = "".join(
        f"<tr><td>{escape(status)}</td><td>{escape(response['description'])}</td>"
        f"<td>{_names(response.get('content', {}))}</td>"
        f"<td>{_names(response.get('headers', {}))}</td></tr>"
        for status, response in responses.items()
    )
    return f"<table><tr><th>Status</th><th></th><th>Type</th><th>Headers</th></tr>{rows}</table>"


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"<code>{escape(name)}</code>" for name in names)


def _values(schema: Schema) -> str:
    """A schema in a few words."""
    choices = [choice for choice in schema.get("anyOf", [schema]) if choice != EMPTY]
    if {"type": "boolean"} in choices:
        choices = [{"type": "boolean"}]
    words = " or ".join(_kind(choice) for choice in choices)
    default: Any = schema.get("default")
    return words if default in (None, "") else f"{words} (<code>{escape(str(default))}</code>)"


def _kind(schema: Schema) -> str:
    match schema:
        case {"enum": values} if len(values) > _MANY:
            words = "a CSS colour name"
        case {"enum": values}:
            words = _names(str(value) for value in values)
        case {"pattern": pattern}:
            words = _names([pattern])
        case {"minimum": low, "maximum": high}:
            words = f"{low} to {high}"
        case {"format": "binary"}:
            words = "file"
        case {"type": "array"}:
            words = "files"
        case {"type": "boolean"}:
            words = _names(["true", "false"])
        case _:
            words = escape(str(schema.get("type", "")))
    return words
