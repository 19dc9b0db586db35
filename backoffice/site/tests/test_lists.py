"""The lists' filters, as they come in the address."""

import uuid
from decimal import Decimal

import pytest
from django.contrib.auth.models import Group

from backoffice.exports.columns import LISTS as EXPORTED
from backoffice.models import ExportJob
from backoffice.site.admin_site import staff_site
from config.models import PaymentConfig
from payments.models import PaymentOrder
from payments.services.orders import OrderCommand, order_create
from reconciliation.models import ReconciledDay
from tcmpay.accounts.models import StaffUser
from tcmpay.common.actor import Actor, Role

pytestmark = pytest.mark.django_db
LIST = "/admin/payments/paymentorder/"


@pytest.fixture
def amounts(client):
    """Orders of several amounts, and a colleague from finance who looks at them."""
    for amount in ("0.01", "9.99", "10.00", "99.50", "1000.00"):
        patient = uuid.uuid4()
        command = OrderCommand(user_id=patient, order_type="other", amount=Decimal(amount))
        order_create(actor=Actor(patient, Role.PATIENT), command=command)
    user = StaffUser.objects.create_user(id=uuid.uuid4(), username="finance", is_staff=True)
    user.groups.set(Group.objects.filter(name="finance"))
    client.force_login(user)

    def shown(query: str) -> list[str]:
        answer = client.get(f"{LIST}?{query}")
        assert answer.status_code == 200
        rows = answer.context["cl"].queryset
        assert rows.model is PaymentOrder
        return sorted((f"{row.amount:.2f}" for row in rows), key=Decimal)

    return shown


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("amount_from=9.99&amount_to=99.5", ["9.99", "10.00", "99.50"]),
        ("amount_from=10", ["10.00", "99.50", "1000.00"]),
        ("amount_to=0.01", ["0.01"]),
        ("amount_from=0&amount_to=", ["0.01", "9.99", "10.00", "99.50", "1000.00"]),
        ("amount_to=0.00", []),
        ("amount_from=10&amount_to=10.00&status__exact=pending", ["10.00"]),
        ("amount_from=10&amount_to=10.00&status__exact=paid", []),
    ],
)
def test_orders_between_two_amounts(amounts, query, found):
    assert amounts(query) == found


@pytest.mark.parametrize("bound", ["x", "-1", "1e3", "NaN", "0.001", "１", "9" * 40])
def test_a_bound_that_is_no_amount_finds_nothing(amounts, bound):
    assert amounts(f"amount_from={bound}") == []


LISTS = {
    f"{model._meta.app_label}/{model._meta.model_name}": model_admin
    for model, model_admin in staff_site._registry.items()
    if model not in {PaymentConfig, ReconciledDay}  # whose lists are pages of their own
}
STRANGE = ["id__regex=(", "id__icontains=0", "pk__gt=0", "response_data__contains=x", "order_no=1"]


@pytest.fixture
def root(client) -> None:
    client.raise_request_exception = False
    client.force_login(StaffUser.objects.create_superuser(username="root", password=None, email=""))


@pytest.mark.parametrize("address", LISTS)
def test_a_list_is_narrowed_by_its_own_filters_alone(client, root, address):
    for query in STRANGE:
        assert client.get(f"/admin/{address}/?{query}").status_code == 400, query


@pytest.mark.parametrize("query", STRANGE)
def test_so_is_its_export(client, root, query):
    for page in EXPORTED:
        form = {"page": page, "query": query, "format": "csv"}
        assert client.post("/admin/backoffice/exportjob/start/", form).status_code == 302, page
    assert not ExportJob.objects.exists()


@pytest.mark.parametrize("address", LISTS)
def test_every_filter_of_a_list_works(client, root, address):
    """Whatever each filter expects, as the page's own form would send it."""
    answer = client.get(f"/admin/{address}/")
    names = [name for spec in answer.context["cl"].filter_specs for name in _names(spec)]
    for name in names:
        for value in ("", "1", "("):
            answer = client.get(f"/admin/{address}/", {name: value})
            is_redirect_of_error = answer.headers.get("Location", "").endswith("?e=1")
            assert answer.status_code == 200 or is_redirect_of_error, (name, value)


def _names(spec) -> list[str]:
    names = [name for name in spec.expected_parameters() if not name.endswith("__isnull")]
    path = getattr(spec, "field_path", "")
    is_bare = names == [path]
    return [f"{path}_from", f"{path}_to"] if is_bare else names


@pytest.mark.parametrize("address", LISTS)
def test_a_key_that_nobody_has_leads_to_the_start(client, root, address):
    """As Django does it: back to the first page, saying that there is no such thing."""
    for page in ("change", "history", "delete"):
        answer = client.get(f"/admin/{address}/x/{page}/")
        assert answer.status_code in (302, 403), page
