"""Each host killed, frozen, cut off under load; what people do then; all is compared."""

import random
import time
import traceback
from dataclasses import dataclass

import MySQLdb

from tests.faults.play import FaultFound, Result, StageBroken, expect, judge, loaded
from tests.faults.programs import Program
from tests.faults.proxy import is_commit
from tests.hosts.databases import DATABASE, PORT
from tests.hosts.stage import HostStage

KINDS = ("kill", "freeze", "cut")
WARM_ACKS, MEANWHILE_ACKS, RECOVERED_ACKS = 15, 12, 15
REFUSALS = 5
# Of some the answer is swallowed, of the rest it still comes: the blow falls in between.
COMMITS_SWALLOWED = 8
# (seconds) Until somebody acts; a replica's absence stops all writes meanwhile.
NOTICED_AFTER = (2.0, 6.0)


@dataclass(frozen=True)
class Blow:
    """``host``: a name, or what a host is at the time (primary, replica; writer, reader)."""

    host: str
    kind: str

    @property
    def name(self) -> str:
        return f"{self.host}-{self.kind}"


def play(stage: HostStage, blow: Blow, seed: int, away_seconds: float) -> Result:
    """From a sound stage to a sound stage; the seconds without an acknowledgement are ``stall``."""
    result = Result(blow.name)
    chance = random.Random(f"{seed} {blow.name}")
    begun = time.monotonic()
    try:
        stage.supervise()
        stage.wait_until_served()
        with loaded(stage, f"{seed} {blow.name}") as load:
            load.wait_for_more(WARM_ACKS)
            time.sleep(chance.uniform(0.0, 2.0))
            struck_at = time.time()
            host = _host_of(stage, blow)
            strike(stage, blow, host)
            time.sleep(chance.uniform(*NOTICED_AFTER))
            if _is_database(stage, host):
                result.notes.append(stage.database.remedy(host))
            load.wait_for_more(MEANWHILE_ACKS)
            time.sleep(chance.uniform(0.2, 1.0) * away_seconds)
            healed_at = time.time()
            heal(stage, blow, host)
            load.wait_for_more(RECOVERED_ACKS)
            load.stop()
            result.stall = load.stall(since=struck_at - 1)
            result.notes.append(f"away for {healed_at - struck_at:.0f} s")
            judge(stage, load, result)
    except (FaultFound, StageBroken) as error:
        result.problems.append(str(error))
    except MySQLdb.Error:
        # Which of the harness' own questions it was.
        result.problems.append(traceback.format_exc())
    result.seconds = time.monotonic() - begun
    return result


def _host_of(stage: HostStage, blow: Blow) -> str:
    """Which host has the role now, where a role was named."""
    return blow.host if blow.host in stage.hosts else stage.database.host_of(blow.host)


def strike(stage: HostStage, blow: Blow, host: str) -> None:
    stage.away.add(host)
    if blow.kind == "commit":
        # COMMIT reaches it, its answer reaches nobody, and then it is killed.
        line = stage.database.line
        line.swallow_answers(is_commit, times=COMMITS_SWALLOWED)
        stage.wait_for(lambda: line.swallowed % COMMITS_SWALLOWED, "COMMITs are cut", seconds=300)
    if blow.kind == "cut":
        stage.hosts[host].cut_off()
        return
    for process in _processes(stage, host):
        process.pause() if blow.kind == "freeze" else process.kill()


def heal(stage: HostStage, blow: Blow, host: str) -> None:
    """The host is back."""
    stage.database.before_it_is_back(host)
    if blow.kind == "cut":
        stage.hosts[host].connect()
    elif blow.kind == "freeze":
        for process in _processes(stage, host):
            if process.is_running():
                process.resume()
    stage.away.discard(host)
    if _is_database(stage, host):
        if blow.kind == "commit":
            stage.database.line.heal()
        stage.database.mend(host)
    elif host == "redis" and not stage.redis.is_running():
        stage.redis.start()
    stage.supervise()
    stage.wait_until_served()


def _is_database(stage: HostStage, host: str) -> bool:
    return host in {server.name for server in stage.database.servers}


def _processes(stage: HostStage, host: str) -> list[Program]:
    if host in stage.on:
        return stage.on[host]
    if host == "redis":
        return [stage.redis]
    return [server for server in stage.database.servers if server.name == host]


EXPORT = """
from django.contrib.auth.models import Group
from backoffice.exports.services import export_request
from tcmpay.accounts.models import StaffUser
person = StaffUser.objects.create_user(username="exports", is_staff=True)
person.groups.set(Group.objects.filter(name="finance"))
job = export_request(
    person=person, page="payments_paymentorder", query="", file_format="csv", language="zh-hans"
)
print("export", job.pk)
"""


def export(stage: HostStage, seed: int) -> Result:
    """A list that one host writes, read from the replica, lies where every host finds it."""
    result = Result("export")
    begun = time.monotonic()
    try:
        with loaded(stage, f"{seed} export") as load:
            load.wait_for_more(WARM_ACKS)
            load.stop()
            told = stage.manage("shell", "-v0", "-c", EXPORT).split("export ")[1].split()[0]
            stage.wait_for(
                lambda: stage.query(
                    "SELECT 1 FROM backoffice_exports WHERE id = %s AND status = 'done'", [told]
                ),
                "a worker wrote the list",
                seconds=300,
            )
            written = (stage.exports / f"{told}.csv").read_text("utf-8-sig")
            orders = stage.query("SELECT order_no FROM payment_orders")
            missing = [number for (number,) in orders if number not in written]
            expect(not missing, f"{len(missing)} of {len(orders)} orders are not in the list")
            result.notes.append(f"{len(orders)} orders in the list")
            judge(stage, load, result)
    except (FaultFound, StageBroken) as error:
        result.problems.append(str(error))
    result.seconds = time.monotonic() - begun
    return result


LOOK_AT_REPLICA = """
from backoffice.ops.doctor.replica import replica, replica_seen
print("seen", *(finding.key + ":" + finding.level for finding in replica(replica_seen())))
"""


def doctor(stage: HostStage, seed: int) -> Result:
    """What the doctor says of the replica, asked with the product's own account."""
    result = Result("doctor")
    begun = time.monotonic()
    pair = stage.database

    def says(url: str, *expected: str) -> None:
        told = stage.manage(
            "shell", "-v0", "-c", LOOK_AT_REPLICA, environment={"DATABASE_REPLICA_URL": url}
        )
        said = told.split("seen")[1].split()
        expect(said == [*expected], f"the doctor says {said}, not {expected}")

    try:
        url = pair.replica_url()
        says("", "replica:ok")
        says(url, "replica:ok")
        says(pair.url_at("127.0.0.1"), "same:warning")
        says(url.replace(f":{PORT}/", f":{PORT + 1}/"), "reachable:error")
        pair.replica.run("SET GLOBAL read_only = OFF")
        says(url, "read_only:error")
        pair.replica.run("SET GLOBAL read_only = ON")
        pair.go_on_alone()
        says(url, "semi_sync:warning")
        pair.replica.run("STOP SLAVE")
        pair.primary.run(f"CREATE OR REPLACE TABLE {DATABASE}.later (id INT PRIMARY KEY)")
        says(url, "lag:warning", "semi_sync:warning")
        pair.catch_up()
        says(url, "replica:ok")
    except (FaultFound, StageBroken) as error:
        result.problems.append(str(error))
    result.seconds = time.monotonic() - begun
    return result


def readonly(stage: HostStage, seed: int) -> Result:
    """The endpoint leads to the replica before that takes writes: 503, never 500, nothing lost."""
    result = Result("readonly")
    begun = time.monotonic()
    pair = stage.database
    try:
        with loaded(stage, f"{seed} readonly") as load:
            load.wait_for_more(WARM_ACKS)
            switched_at = time.time()
            pair.line.switch((pair.replica.host.address, PORT))
            stage.wait_for(
                lambda: sum(line["what"] == "unavailable" for line in load.lines()) >= REFUSALS,
                "clients are told 503",
                seconds=300,
            )
            pair.line.switch((pair.primary.host.address, PORT))
            load.wait_for_more(RECOVERED_ACKS)
            load.stop()
            result.stall = load.stall(since=switched_at - 1)
            judge(stage, load, result)
    except (FaultFound, StageBroken) as error:
        result.problems.append(str(error))
    result.seconds = time.monotonic() - begun
    return result


def beats(stage: HostStage, seed: int) -> Result:
    """Two beats: one acts; frozen, the other takes over; thawed, the first moves nothing."""
    result = Result("beats")
    begun = time.monotonic()
    try:
        stage.wait_for(lambda: _acting(stage), "a beat acts", seconds=300)
        first = _acting(stage)
        other = "job2" if first == "job1" else "job1"
        beat = stage.on[first][-1]
        beat.pause()
        took = stage.wait_for(lambda: _acting(stage) == other, "the other takes over", seconds=300)
        beat.resume()
        stage.wait_for(
            lambda: "beat_overtaken" in beat.log_text(), "the first one hears of it", seconds=120
        )
        expect(_acting(stage) == other, "the thawed beat acts again")
        result.notes.append(f"taken over in {took:.1f} s")
    except (FaultFound, StageBroken) as error:
        result.problems.append(str(error))
    result.seconds = time.monotonic() - begun
    return result


def _acting(stage: HostStage) -> str:
    """The host whose beat holds the lease: by its log, for all have one name."""
    rows = stage.query("SELECT holder FROM beat_leases WHERE until > UTC_TIMESTAMP(6)")
    holder = rows[0][0] if rows else ""
    for name in ("job1", "job2"):
        if holder and holder in stage.on[name][-1].log_text():
            return name
    return ""
