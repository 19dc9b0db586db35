"""The table of alarms, what Prometheus gets of it, and what a person finds in the runbook."""

import json
import re
from pathlib import Path

import pytest
import yaml
from django.conf import settings
from django.core.management import call_command
from prometheus_client import REGISTRY

# What workers and the middleware count is counted once they are there.
import tcmpay.celery
import tcmpay.common.api.metrics  # noqa: F401
from backoffice.ops.alarms import ALARMS, Alarm, Severity, beyond
from backoffice.ops.figures import Figure, figures, single
from backoffice.ops.rules import OUTSIDE, rule_tests_text, rules_text

ROOT = Path(settings.BASE_DIR)
MONITORING = ROOT / "deploy/monitoring"
EVERY = [*ALARMS, *OUTSIDE]
each_alarm = pytest.mark.parametrize("alarm", EVERY, ids=lambda alarm: alarm.name)


@pytest.fixture(scope="module")
def gauges(lasting) -> dict[str, Figure]:
    return {figure.name: figure for figure in figures()}


def process_metrics() -> set[str]:
    """What processes count themselves; a worker's, too."""
    names: set[str] = set()
    for family in REGISTRY.collect():
        parts = {"histogram": ("_bucket", "_count", "_sum"), "counter": ("_total",)}
        names.update(f"{family.name}{part}" for part in parts.get(family.type, ("",)))
    return names


def test_each_alarm_has_its_own_name():
    assert len({alarm.name for alarm in EVERY}) == len(EVERY) > 25


@each_alarm
def test_it_says_how_urgent_it_is_and_what_it_is_in_chinese(alarm):
    assert isinstance(alarm.severity, Severity)
    assert re.search(r"[\u4e00-\u9fff]{2}", str(alarm.title))


@pytest.mark.parametrize("alarm", ALARMS, ids=lambda alarm: alarm.name)
def test_it_is_about_a_figure_and_its_labels(gauges, alarm):
    assert {*alarm.match, *alarm.by} <= set(gauges[alarm.figure].labels)
    assert (alarm.above is None) != (alarm.below is None)


@pytest.mark.parametrize("alarm", OUTSIDE, ids=lambda alarm: alarm.name)
def test_its_expression_is_of_what_is_counted(alarm):
    named = set(re.findall(r"\b\w+(?=[{\[])", alarm.expression))
    assert named <= process_metrics() | {"up"}
    assert named == {re.match(r"\w+", series)[0] for series in alarm.series}


@pytest.mark.parametrize("page", ["docs/runbook.md", "docs/en/runbook.md"])
def test_the_runbook_has_a_section_for_each_and_for_no_other(page):
    named = re.findall(r"^### (.+)$", (ROOT / page).read_text("utf-8"), re.MULTILINE)
    assert sorted(named) == sorted(alarm.name for alarm in EVERY)


@pytest.mark.parametrize(
    ("file", "text"), [("tcmpay.rules.yml", rules_text), ("tcmpay.rules.test.yml", rule_tests_text)]
)
def test_the_files_for_prometheus_are_as_the_table_says(file, text):
    assert (MONITORING / file).read_text("utf-8") == text(), f"manage.py alarms > {file}"


def test_each_rule_leads_to_the_runbook_and_speaks_both_languages():
    [group] = yaml.safe_load(rules_text())["groups"]
    for rule in group["rules"]:
        told = rule["annotations"]
        assert told["runbook"] == f"docs/runbook.md#{rule['alert'].lower()}"
        assert told["summary"] != told["summary_en"]


def test_the_dashboard_shows_what_there_is(gauges):
    dashboard = json.loads((MONITORING / "grafana-dashboard.json").read_text("utf-8"))
    shown = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    known = process_metrics() | {f"tcmpay_{name}" for name in gauges} | {"ALERTS"}
    words = {word for text in shown for word in re.findall(r"\b\w+(?=[{\[)])", text)}
    labels = set(re.findall(r"\bby \(([\w, ]+)\)", " ".join(shown)))
    named = words - {label for group in labels for label in group.split(", ")}
    assert len(named) > 30, "the search finds the metrics"
    assert named <= known


def test_prometheus_reads_the_rules():
    config = yaml.safe_load((MONITORING / "prometheus.yml").read_text("utf-8"))
    assert config["rule_files"] == ["tcmpay.rules.yml"]


# --- conditions ---------------------------------------------------------------------------------


ABOVE = Alarm(name="A", severity=Severity.WARNING, title="多", figure="x", above=3)
BELOW = Alarm(name="B", severity=Severity.WARNING, title="少", figure="x", below=1)


@pytest.mark.parametrize(
    ("alarm", "value", "is_told"),
    [(ABOVE, 3, False), (ABOVE, 3.1, True), (BELOW, 1, False), (BELOW, 0.9, True)],
)
def test_at_its_bound_it_is_silent_and_beyond_it_tells(alarm, value, is_told):
    assert bool(list(beyond([alarm], [single("x", "", value)]))) == is_told


def test_labels_choose_what_counts_and_tell_apart():
    alarm = Alarm(
        name="C",
        severity=Severity.WARNING,
        title="错",
        figure="x",
        above=0,
        match={"error": "E"},
        by=("gateway",),
    )
    samples = ((("wechat", "E"), 2.0), (("wechat", "F"), 9.0), (("alipay", "E"), 0.0))
    figure = Figure("x", "", ("gateway", "error"), samples)
    assert [(one.key, one.value) for one in beyond([alarm], [figure])] == [("C{gateway=wechat}", 2)]


def test_a_figure_that_is_not_there_alarms_nobody():
    assert list(beyond([ABOVE, BELOW], [Figure("x", "", (), ())])) == []
    assert list(beyond([ABOVE], [])) == []


@pytest.mark.django_db
def test_the_command_lists_them_with_what_is_beyond(capsys):
    call_command("alarms", "list")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(ALARMS)
    assert any("BeatSilent=inf" in line for line in lines), "no beat was ever here"
