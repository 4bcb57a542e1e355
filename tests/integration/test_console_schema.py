"""The API against its own description: every route, many odd requests, nothing but what is described."""

from __future__ import annotations

import contextlib

import hypothesis
import hypothesis.errors
import pytest
import schemathesis
import schemathesis.errors
from commands import png
from console_bench import Console
from daemon_bench import Service
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

pytestmark = [
    pytest.mark.usefixtures("unmeasured"),
    pytest.mark.slow,
    pytest.mark.timeout(400),  # some hundred requests, each made up
]

EXAMPLES = 3
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def console(tmp_path_factory):
    settings = {"upscale": {"models": []}}
    service = Service(tmp_path_factory.mktemp("schema"), {"photos": {}}, console=settings)
    with service, Console(service.config) as running:
        running.put("photos", "one.png", png())
        running.job("one.png", "delivered")
        yield running


@pytest.fixture(scope="module")
def described(console):
    return schemathesis.openapi.from_url(f"{console.url}/api/v1/openapi.json")


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_every_answer_is_one_that_is_described(described, mode):
    """Status, type, headers and shape, for right requests and wrong ones."""
    options = hypothesis.settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate],
    )
    asked = 0
    for each in described.get_all_operations():
        operation = each.ok()

        @options
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def ask(case):
            nonlocal asked
            asked += 1
            answer = case.call(headers={"X-Srwatchd": "1"}, timeout=30)
            case.validate_response(answer, checks=CHECKS)

        with contextlib.suppress(hypothesis.errors.Unsatisfiable, schemathesis.errors.InvalidSchema):
            ask()
    assert asked > 20


def test_the_description_is_whole(console):
    """Every route says its errors in one shape, and every code of a shape's own is documented."""
    found = console.get("/openapi.json")
    assert found["openapi"].startswith("3.1")
    operations = [each for methods in found["paths"].values() for each in methods.values()]
    assert len({each["operationId"] for each in operations}) == len(operations)
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], (path, method)
            assert operation["description"], (path, method)
            for status in ("403", "421", "500"):
                shape = operation["responses"][status]["content"]["application/json"]["schema"]
                assert shape["$ref"].endswith("/ErrorAnswer"), (path, method, status)
