"""The OpenAPI document as an HTML page without scripts or external files."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import Any

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}"
    "code,pre{font:14px/1.4 ui-monospace,monospace}h2{margin-top:2.5rem;border-top:1px solid #8886;padding-top:1rem}"
    "table{border-collapse:collapse;width:100%;margin:.5rem 0}"
    "td,th{border-bottom:1px solid #8886;padding:.3rem .6rem .3rem 0;text-align:left;vertical-align:top}"
)
POLICY = f"default-src 'none'; style-src 'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'"


def page(document: dict[str, Any]) -> str:
    info = document["info"]
    parts = [f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{escape(info['description'])}</p>"]
    parts.append('<p>Machine-readable: <a href="openapi.json">openapi.json</a>.</p>')
    schemas = document["components"]["schemas"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            parts += _operation(f"{method.upper()} {path}", operation, schemas)
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><style>{STYLE}</style>'
    body = "".join(parts)
    return f'<!doctype html><html lang="en"><head>{head}<title>Twofold: routes</title></head><body>{body}</body></html>'


def _operation(title: str, operation: dict[str, Any], schemas: dict[str, Any]) -> list[str]:
    parts = [f"<h2><code>{escape(title)}</code></h2><p>{escape(operation['summary'])}</p>"]
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        parts.append(_members(_found(schema, schemas), schemas))
        rows = "".join(
            f"<tr><td>{status}</td><td>{escape(answer['description'])}</td></tr>"
            for status, answer in operation["responses"].items()
        )
        parts.append(f"<table><tr><th>status</th><th></th></tr>{rows}</table>")
    return parts


def _members(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    needed = schema.get("required", [])
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(_type(member, schemas))}</td>"
        f"<td>{'required. ' if name in needed else ''}{escape(member.get('description', ''))}</td></tr>"
        for name, member in schema.get("properties", {}).items()
    )
    return f"<table><tr><th>member</th><th>type</th><th></th></tr>{rows}</table>"


def _type(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    """A type in words, such as "string or array of (string)"."""
    if "anyOf" in schema:
        return " or ".join(_type(one, schemas) for one in schema["anyOf"] if one.get("type") != "null")
    found = _found(schema, schemas)
    kind = str(found.get("type", "anything"))
    if kind == "object" and found.get("properties"):
        return "{" + ", ".join(found["properties"]) + "}"
    return f"array of ({_type(found['items'], schemas)})" if kind == "array" and found.get("items") else kind


def _found(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    found: dict[str, Any] = schemas[name] if name else schema
    return found
