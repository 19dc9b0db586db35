"""Writes what the clients and the collection take from the API's description, word for word.

    python clients/generate.py openapi.json CLIENTS_FOLDER
    python clients/generate.py --sums CLIENTS_FOLDER

Methods for Python and JavaScript, and a Bruno collection. Types are the pinned generators' work
(scripts/clients.sh runs them and this). Standard library only.
"""

import hashlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Node = dict[str, Any]
METHODS = ("get", "post", "put", "patch", "delete")
NOTICE = "Generated from the API's description by `make clients`: changes are lost."
SIMPLE_TYPES = {"string": "str", "integer": "int", "boolean": "bool", "number": "float"}


class Operation:
    """One call, in the words of the description."""

    def __init__(self, path: str, method: str, told: Node) -> None:
        self.path, self.method, self.told = path, method.upper(), told
        self.id: str = told["operationId"]
        self.tag: str = told["tags"][0]
        self.parameters: list[Node] = told.get("parameters", [])
        contents = told.get("requestBody", {}).get("content", {})
        self.content: Node = contents.get("application/json", {})
        self.success = next(one for status, one in told["responses"].items() if status[0] == "2")

    @property
    def body(self) -> str:
        """The component that is sent; "" for none."""
        return _component(self.content.get("schema", {}))

    @property
    def body_needed(self) -> bool:
        return bool(self.told.get("requestBody", {}).get("required"))

    @property
    def envelope(self) -> str:
        """The component that is answered; "" where the answer is no JSON."""
        return _component(
            self.success.get("content", {}).get("application/json", {}).get("schema", {})
        )

    def places(self, where: str) -> list[Node]:
        return [one for one in self.parameters if one["in"] == where]

    @property
    def takes_key(self) -> bool:
        return any(one["name"] == "Idempotency-Key" for one in self.places("header"))

    @property
    def summary(self) -> str:
        text = " ".join(self.told.get("summary", self.id).split())
        return text if text.endswith(".") else f"{text}."


def operations(description: Node) -> Iterator[Operation]:
    """All calls that clients make: the gateways' callbacks are none."""
    for path, item in description["paths"].items():
        for method in METHODS:
            if method in item and not path.startswith("/payment/"):
                yield Operation(path, method, item[method])


def _component(schema: Node) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_").lower()


def decimal_fields(description: Node) -> list[str]:
    """The fields that hold amounts, wherever they stand."""
    found = set()
    for component in description["components"]["schemas"].values():
        for name, schema in component.get("properties", {}).items():
            kinds = [schema, *schema.get("oneOf", []), *schema.get("anyOf", [])]
            if any(kind.get("format") == "decimal" for kind in kinds):
                found.add(name)
    return sorted(found)


def error_codes(description: Node) -> list[str]:
    """Every code that some call may be refused with."""
    found: set[str] = set()
    for component in description["components"]["schemas"].values():
        properties = component.get("properties", {})
        if "code" in properties and "request_id" in properties:
            found.update(properties["code"].get("enum", []))
    return sorted(found)


# --- Python -------------------------------------------------------------------------------------


def python_operations(description: Node) -> str:
    calls = "\n".join(_python_method(description, one) for one in operations(description))
    decimals = "\n".join(f'        "{name}",' for name in decimal_fields(description))
    codes = "\n".join(f'    "{code}",' for code in error_codes(description))
    return f'''"""{NOTICE}"""

from typing import Any, Literal

from tcmpay_client import _models as m
from tcmpay_client.transport import Call

# Fields that hold amounts.
DECIMAL_FIELDS = frozenset(
    {{
{decimals}
    }}
)

ErrorCode = Literal[
{codes}
]


class Operations:
    """Every call of the API."""

    def _call(self, call: Call) -> Any:
        raise NotImplementedError

{calls}'''


def _python_method(description: Node, one: Operation) -> str:
    needed = [f"{place['name']}: str" for place in one.places("path")]
    if one.body:
        needed.append(f"body: m.{one.body}" + ("" if one.body_needed else " | None = None"))
    named = [
        f"{place['name']}: {_python_type(place['schema'])} | None = None"
        for place in one.places("query")
    ]
    if one.takes_key:
        named.append("idempotency_key: str | None = None")
    arguments = ["self", *needed, *(["*", *named] if named else [])]
    path = re.sub(r"{(\w+)}", r"{\1}", one.path)
    given = [f'"{one.method}"', f'f"{path}"' if "{" in path else f'"{path}"']
    if names := [place["name"] for place in one.places("query")]:
        pairs = ", ".join(f'"{name}": {name}' for name in names)
        given.append(f"query={{{pairs}}}")
    if one.body:
        given.append("body=body")
    if one.takes_key:
        given += ["takes_key=True", "idempotency_key=idempotency_key"]
    result = _python_result(description, one)
    return f'''    def {_snake(one.id)}({", ".join(arguments)}) -> {result}:
        """{one.summary}"""
        answer: {result} = self._call(Call({", ".join(given)}))
        return answer
'''


def _python_type(schema: Node) -> str:
    if name := _component(schema):
        return f"m.{name}"
    return SIMPLE_TYPES.get(str(schema.get("type")), "str")


def _python_result(description: Node, one: Operation) -> str:
    if not one.envelope:
        return "str"
    data = description["components"]["schemas"][one.envelope]["properties"]["data"]
    if data.get("type") == "array":
        return f"list[m.{_component(data['items'])}]"
    if name := _component(data):
        return f"m.{name}"
    for kind in data.get("oneOf", []):
        if name := _component(kind):
            return f"m.{name} | None"
    return "None" if data.get("type") == "null" else "Any"


# --- JavaScript -----------------------------------------------------------------------------------


def javascript_operations(description: Node) -> str:
    calls = "\n".join(_javascript_method(one) for one in operations(description))
    codes = " | ".join(f'"{code}"' for code in error_codes(description))
    return f"""// {NOTICE}

/** @typedef {{import("../types/schema.js").components["schemas"]}} Schemas */
/** @typedef {{import("../types/schema.js").operations}} Described */
/** @typedef {{{codes}}} ErrorCode */
/** @typedef {{{{signal?: AbortSignal}}}} Options */
/** @typedef {{Options & {{idempotencyKey?: string}}}} KeyedOptions */
/**
 * @typedef {{object}} Call
 * @property {{string}} method
 * @property {{string}} path
 * @property {{Record<string, unknown>}} [query]
 * @property {{unknown}} [body]
 * @property {{boolean}} [takesKey]
 * @property {{string}} [idempotencyKey]
 * @property {{string}} [ifNoneMatch]
 * @property {{AbortSignal}} [signal]
 */

/** Every call of the API. */
export class Operations {{
  /**
   * @param {{Call}} call
   * @returns {{Promise<any>}}
   */
  async _call(call) {{
    throw new Error(`no transport for ${{call.path}}`);
  }}

{calls}}}
"""


def _javascript_method(one: Operation) -> str:
    names = [place["name"] for place in one.places("path")]
    told = [f"   * @param {{string}} {_camel(name)}" for name in names]
    arguments = [_camel(name) for name in names]
    if one.body:
        told.append(
            f'   * @param {{Schemas["{one.body}"]}} {"body" if one.body_needed else "[body]"}'
        )
        arguments.append("body")
    if one.places("query"):
        kind = f'Described["{one.id}"]["parameters"]["query"]'
        told.append(f"   * @param {{{kind}}} [query]")
        arguments.append("query")
    told.append(f"   * @param {{{'KeyedOptions' if one.takes_key else 'Options'}}} [options]")
    path = re.sub(
        r"{(\w+)}", lambda found: f"${{encodeURIComponent({_camel(found[1])})}}", one.path
    )
    given = [f'method: "{one.method}"', f"path: `{path}`" if "$" in path else f'path: "{path}"']
    given += [name for name in ("body", "query") if name in arguments]
    given += ["takesKey: true"] if one.takes_key else []
    result = f'Schemas["{one.envelope}"]["data"]' if one.envelope else "string"
    return f"""  /**
   * {one.summary}
{chr(10).join(told)}
   * @returns {{Promise<{result}>}}
   */
  {one.id}({", ".join([*arguments, "options = {}"])}) {{
    return this._call({{ {", ".join(given)}, ...options }});
  }}
"""


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.title() for part in rest)


# --- Bruno --------------------------------------------------------------------------------------


def bruno_files(description: Node) -> dict[str, str]:
    """A collection: file → text. Open the folder in Bruno, choose "demo", fill in the tokens."""
    files = {
        "bruno.json": json.dumps(
            {"version": "1", "name": description["info"]["title"], "type": "collection"}, indent=2
        )
        + "\n",
        "environments/demo.bru": (
            "vars {\n  base: http://localhost:3000\n}\nvars:secret [\n  token\n]\n"
        ),
    }
    for number, one in enumerate(operations(description), start=1):
        files[f"{one.tag}/{one.id}.bru"] = _bruno_call(number, one)
    return files


def _bruno_call(number: int, one: Operation) -> str:
    example = _first_example(one.content)
    blocks = [
        _block("meta", {"name": one.id, "type": "http", "seq": str(number)}),
        _block(
            one.method.lower(),
            {
                "url": "{{base}}" + re.sub(r"{(\w+)}", r":\1", one.path),
                "body": "json" if one.body else "none",
                "auth": "none" if one.told.get("security") == [] else "bearer",
            },
        ),
    ]
    if places := one.places("path"):
        blocks.append(_block("params:path", {place["name"]: "" for place in places}))
    if places := one.places("query"):
        blocks.append(_block("params:query", {f"~{place['name']}": "" for place in places}))
    if one.takes_key:
        blocks.append(_block("headers", {"Idempotency-Key": "{{$guid}}"}))
    if one.told.get("security") != []:
        blocks.append(_block("auth:bearer", {"token": "{{token}}"}))
    if one.body:
        text = json.dumps(example, ensure_ascii=False, indent=2)
        blocks.append("body:json {\n" + _indented(text) + "\n}\n")
    blocks.append("docs {\n" + _indented(one.told.get("description") or one.summary) + "\n}\n")
    return "\n".join(blocks)


def _first_example(content: Node) -> Any:
    for one in content.get("examples", {}).values():
        return one["value"]
    return content.get("example", {})


def _block(name: str, values: dict[str, str]) -> str:
    lines = "".join(f"  {key}: {value}".rstrip() + "\n" for key, value in values.items())
    return f"{name} {{\n{lines}}}\n"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}".rstrip() for line in text.splitlines())


# --- files ----------------------------------------------------------------------------------------


def generated(description: Node) -> dict[str, str]:
    """Every file of ours, by its path below the clients' folder."""
    return {
        "python/src/tcmpay_client/_operations.py": python_operations(description),
        "typescript/src/operations.js": javascript_operations(description),
        **{f"bruno/{path}": text for path, text in bruno_files(description).items()},
    }


def sums(folder: Path) -> str:
    """What the description was and what the pinned generators made of it: a test compares, as it
    can't run them."""
    made = [
        folder / "openapi.json",
        folder / "python/src/tcmpay_client/_models.py",
        *sorted((folder / "typescript/types").glob("*.d.ts")),
    ]
    lines = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(folder)}"
        for file in made
    ]
    return "\n".join(lines) + "\n"


def main(description_file: str, folder: str) -> None:
    if description_file == "--sums":
        Path(folder, "generated.sha256").write_text(sums(Path(folder)), encoding="utf-8")
        return
    description = json.loads(Path(description_file).read_text("utf-8"))
    for path, text in generated(description).items():
        file = Path(folder, path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
