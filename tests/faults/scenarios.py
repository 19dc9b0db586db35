"""The table of everything that breaks."""

from tests.faults import broker, callbacks, databases, gateways, hosts, processes
from tests.faults.play import Scenario

SCENARIOS: tuple[Scenario, ...] = (
    *processes.SCENARIOS,
    *databases.SCENARIOS,
    *broker.SCENARIOS,
    *gateways.SCENARIOS,
    *callbacks.SCENARIOS,
    *hosts.SCENARIOS,
)
