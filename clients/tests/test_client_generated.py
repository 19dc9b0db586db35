"""What is generated in clients/ is what the description says now; else run `make clients`."""

import json
from pathlib import Path

from clients.generate import generated, operations, sums
from tests.api.description import operations as described

FOLDER = Path(__file__).resolve().parents[1]
DESCRIPTION = json.loads((FOLDER / "openapi.json").read_text("utf-8"))


def test_the_description_is_kept_as_it_is(client, db):
    served = client.get("/api/schema/?format=json&lang=en")
    assert json.loads(served.content) == DESCRIPTION, "run `make clients`"


def test_methods_and_the_collection_are_what_the_description_says():
    for path, text in generated(DESCRIPTION).items():
        assert (FOLDER / path).read_text("utf-8") == text, f"{path}: run `make clients`"
    calls = {f"bruno/{one.tag}/{one.id}.bru" for one in operations(DESCRIPTION)}
    kept = {str(file.relative_to(FOLDER)) for file in (FOLDER / "bruno").glob("*/*.bru")}
    assert kept == calls | {"bruno/environments/demo.bru"}


def test_the_generators_work_is_of_this_description():
    assert (FOLDER / "generated.sha256").read_text("utf-8") == sums(FOLDER), "run `make clients`"


def test_every_call_that_is_not_a_gateways_has_a_method():
    expected = {
        operation["operationId"]
        for _method, path, operation in described(DESCRIPTION)
        if not path.startswith("/payment/")
    }
    assert {one.id for one in operations(DESCRIPTION)} == expected
