"""What programs ask for passes by what only pages need."""

import pytest
from django.utils.module_loading import import_string

from tcmpay import page_middleware

PAGE_MIDDLEWARE = tuple(
    name
    for name, value in vars(page_middleware).items()
    if isinstance(value, type) and value.__module__ == page_middleware.__name__
)


@pytest.mark.parametrize("name", PAGE_MIDDLEWARE)
def test_it_has_no_hook_that_is_not_passed_by(name):
    middleware = getattr(page_middleware, name)
    for hook in ("process_exception", "process_template_response"):
        assert not hasattr(middleware, hook)
    view_hook = getattr(middleware, "process_view", None)
    # Django's own looks whether a view demands a login; none does, pages ask for it themselves.
    assert view_hook is None or name == "Authentication"


def test_all_of_them_are_used(settings):
    ours = [path for path in settings.MIDDLEWARE if path.startswith(page_middleware.__name__)]
    used = {import_string(path) for path in ours}
    assert used == {getattr(page_middleware, name) for name in PAGE_MIDDLEWARE}


@pytest.mark.parametrize(
    "address", ["/health/live", "/api/v1/payment/prices", "/metrics", "/pay/a-link"]
)
def test_an_answer_to_a_program_or_payer_sets_no_cookie_and_knows_no_session(client, db, address):
    answer = client.get(address)
    assert not answer.cookies
    assert not hasattr(answer.wsgi_request, "session")
    assert not hasattr(answer.wsgi_request, "_messages")


def test_a_page_has_both(client, db):
    answer = client.get("/admin/login/")
    assert answer.cookies
    assert answer.wsgi_request.session is not None
    assert "script-src" in answer.headers["Content-Security-Policy"]
