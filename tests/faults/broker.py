"""Redis away or broken: money paths go on, sweeps find what the broker lost."""

import socket
import time
from collections.abc import Callable

from tests.faults.play import Act, Scenario, expect

FLOWS_WITHIN_SECONDS = 120.0


def command(act: Act, *words: str) -> bytes:
    """One command to Redis, past the proxy; the first bytes of its answer."""
    parts = [f"*{len(words)}\r\n", *(f"${len(word)}\r\n{word}\r\n" for word in words)]
    with socket.create_connection(("127.0.0.1", act.stage.redis.port), timeout=5) as connection:
        connection.sendall("".join(parts).encode())
        return connection.recv(256)


def goes_on(act: Act, *, acks: int = 25) -> None:
    """Clients are served while Redis is away."""
    took = act.load.wait_for_more(acks, seconds=FLOWS_WITHIN_SECONDS)
    act.note(f"{acks} acknowledgements in {took:.1f} s without Redis")


def flush(act: Act) -> None:
    for _time in range(5):
        expect(command(act, "FLUSHALL").startswith(b"+OK"), "FLUSHALL was refused")
        time.sleep(1)


def kill(act: Act) -> None:
    act.stage.redis.kill()
    goes_on(act)
    act.stage.redis.start()


def cut(act: Act) -> None:
    line = act.stage.redis_line
    for _time in range(5):
        line.cut()
        time.sleep(0.5)
    line.is_refusing = True
    line.cut()
    goes_on(act)


def silence(act: Act) -> None:
    act.stage.redis_line.is_hole = True
    goes_on(act)


def freeze(act: Act) -> None:
    act.stage.redis.pause()
    try:
        goes_on(act)
    finally:
        act.stage.redis.resume()


def wrong_password(act: Act) -> None:
    command(act, "CONFIG", "SET", "requirepass", "changed-meanwhile")
    try:
        act.stage.redis_line.cut()
        goes_on(act)
    finally:
        act.stage.redis.restart()


def memory_full(act: Act) -> None:
    command(act, "CONFIG", "SET", "maxmemory", "1")
    try:
        goes_on(act)
    finally:
        command(act, "CONFIG", "SET", "maxmemory", "0")


TABLE: tuple[tuple[str, str, Callable[[Act], None]], ...] = (
    ("redis-flush", "FLUSHALL five times", flush),
    ("redis-kill", "kill -9 of Redis, later restarted", kill),
    ("redis-cut", "connections reset, then refused", cut),
    ("redis-silent", "the line goes silent", silence),
    ("redis-freeze", "SIGSTOP of Redis", freeze),
    ("redis-password", "the password was changed", wrong_password),
    ("redis-memory", "memory full: writes refused", memory_full),
)
QUICK = {"redis-kill"}
SCENARIOS = tuple(Scenario(name, what, run, is_quick=name in QUICK) for name, what, run in TABLE)
