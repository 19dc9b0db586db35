"""Our API description as the tests read it, and the addresses of the product."""

import copy
import json
from collections.abc import Iterator
from typing import Any

from django.test import Client, override_settings
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RoutePattern

from backoffice.site.api_docs import ApiSchema
from tests.api.kit import API

METHODS = ("get", "post", "put", "patch", "delete")


def description(language: str = "zh-hans") -> dict[str, Any]:
    """The description as a client fetches it."""
    # While tests are collected DEBUG is on, and then the demo's newest rows are asked for.
    with override_settings(DEBUG=False):
        answer = Client().get(f"/api/schema/?format=json&lang={language}")
    assert answer.status_code == 200
    return with_answers(json.loads(answer.content))


def with_answers(found: dict[str, Any]) -> dict[str, Any]:
    """The same with every answer where it is given, instead of a reference to it."""
    shared = {
        f"#/components/responses/{name}": answer
        for name, answer in found["components"]["responses"].items()
    }
    for _method, _path, operation in operations(found):
        for status, answer in operation["responses"].items():
            operation["responses"][status] = shared.get(answer.get("$ref"), answer)
    return found


def made_anew() -> dict[str, Any]:
    """The same as it would be made now: the one that is served is made once a process."""
    made: dict[str, Any] = ApiSchema.generator_class().get_schema(request=None, public=True)
    return made


def strict(found: dict[str, Any]) -> dict[str, Any]:
    """The same, but an answer that has a field that isn't described is wrong.

    What clients send is left as it is: there the server refuses what it doesn't know.
    """
    result = copy.deepcopy(found)
    for component in result["components"]["schemas"].values():
        if "properties" in component:
            component["additionalProperties"] = False
    return result


def operations(found: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and operation of each."""
    for path, item in found["paths"].items():
        for method, operation in item.items():
            if method in METHODS:
                yield method.upper(), path, operation


def described_codes(operation: dict[str, Any], status: int) -> set[str]:
    """The codes that the description's examples show for ``status``."""
    contents = operation["responses"].get(str(status), {}).get("content", {})
    examples = contents.get("application/json", {})
    values = [one["value"] for one in examples.get("examples", {}).values()]
    values += [examples["example"]] if "example" in examples else []
    return {value["code"] for value in values if "code" in value}


def endpoints_of_the_product() -> Iterator[tuple[str, str]]:
    """(method, route) of everything that is served to clients and gateways."""
    for route, view in routes(get_resolver().url_patterns):
        if route.startswith((f"{API}/"[1:], "payment/", "health/")):
            for method in methods_of(view):
                yield method, route


def routes(patterns: list[Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for entry in patterns:
        if not isinstance(entry.pattern, RoutePattern):
            continue  # the catch-all that answers 404
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from routes(entry.url_patterns, route)
        elif isinstance(entry, URLPattern):
            yield route, entry.callback


def methods_of(view: Any) -> list[str]:
    if actions := getattr(view, "actions", None):
        return [method.upper() for method in actions if method != "head"]
    if view_class := getattr(view, "view_class", None) or getattr(view, "cls", None):
        return [name.upper() for name in METHODS if hasattr(view_class, name)]
    return ["POST"]  # the gateways' callback
