"""The scenarios: what each measures, and the bars that its figures are held to."""

import contextlib
import functools
import math
import os
import socket
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psutil
import psycopg

from tests.bench.ground import Ground
from tests.stack import Stack

Figures = dict[str, float]

WEBHOOKS = 20
DELIVERIES = 20_000
RUNS = 3
WARM_UP_DELIVERIES = 1000
STEP_ROUNDS = 40
FAN_OUT_WEBHOOKS = 1000
FAN_OUT_ROUNDS = 5
SQLITE_DELIVERIES = 5000
IDLE_ANNOUNCEMENTS = 50
STEADY_PER_SECOND = 100
STEADY_SECONDS = 10
COMPARED = 300
COMPARED_WEBHOOKS = (1, 100, 1000)
HANGING_WEBHOOKS = 2
HANGING_BACKLOG = 50_000
ISOLATION_DELIVERIES = 6000
REPLAYED = 5000
REPLAY_SECONDS = 20
DUE = 1_000_000
DUE_EVENTS = DUE // WEBHOOKS
DUE_SECONDS = 40
FINISHED = 10_000_000
FINISHED_AT_ONCE = 400_000
PORTAL_EVENTS = 1_000_000
PAGE_ROUNDS = 40


@dataclass(frozen=True)
class Bar:
    """What a figure must reach, or may not exceed."""

    figure: str
    least: float | None = None
    most: float | None = None

    @property
    def text(self) -> str:
        return f"{self.least:g} or more" if self.least is not None else f"{self.most:g} or less"

    def is_met(self, figure: float) -> bool:
        return (self.least is None or figure >= self.least) and (self.most is None or figure <= self.most)


@dataclass(frozen=True)
class Scenario:
    measure: Callable[[Ground], Figures]
    bars: tuple[Bar, ...]
    by_name_only: bool

    @property
    def title(self) -> str:
        return (self.measure.__doc__ or "").strip().partition("\n")[0]

    def bar_of(self, figure: str) -> Bar | None:
        return next((bar for bar in self.bars if bar.figure == figure), None)


SCENARIOS: dict[str, Scenario] = {}


def scenario(
    *bars: Bar, by_name_only: bool = False
) -> Callable[[Callable[[Ground], Figures]], Callable[[Ground], Figures]]:
    """Put the function among the scenarios, under its name; a bar belongs to one of the figures that it returns."""

    def register(measure: Callable[[Ground], Figures]) -> Callable[[Ground], Figures]:
        SCENARIOS[measure.__name__] = Scenario(measure, bars, by_name_only)
        return measure

    return register


# Throughput


@scenario(Bar("share", least=0.5))
def throughput_1(ground: Ground) -> Figures:
    """20,000 events for 20 webhooks, one process that delivers, beside the limit with one process."""
    return _throughput(ground, 1)


@scenario(Bar("share", least=0.5))
def throughput_2(ground: Ground) -> Figures:
    """20,000 events for 20 webhooks, two processes that deliver, beside the limit with two processes."""
    return _throughput(ground, 2)


@scenario(Bar("gain", least=1.5))
def scaling(ground: Ground) -> Figures:
    """Two processes against one, of the product and of the limit; and what it would be with no core idle (`most`)."""
    one, two = _throughput(ground, 1), _throughput(ground, 2)
    gain = two["deliveries_per_s"] / one["deliveries_per_s"]
    return {
        "gain": round(gain, 2),
        "most": round(gain * (os.cpu_count() or 1) / two["busy_cores"], 2),
        "limit_gain": round(two["limit_per_s"] / one["limit_per_s"], 2),
    }


@scenario()
def steps(ground: Ground) -> Figures:
    """What each step costs a delivery in one process, in batches: the processor time of its thread, and all time."""
    stack = ground.stack(1)
    stack.worker.stop()
    try:
        done = stack.call_by_name("tests.bench.work:time_steps", ground.receiver, WEBHOOKS, STEP_ROUNDS)
    finally:
        ground.end_stack()
    figures: Figures = {}
    for name, step in done.items():
        for kind in ("cpu", "wall"):
            # The first ones open connections.
            seconds = statistics.median(step[f"{kind}_s"][STEP_ROUNDS // 10 :])
            figures[f"{name}_{kind}_us"] = round(1e6 * seconds, 1)
    return figures


@functools.cache
def _throughput(ground: Ground, processes: int) -> Figures:
    stack = ground.stack(processes)
    deliver(stack, ground, WARM_UP_DELIVERIES)
    per_s, busy, cpu_us, limit_per_s, limit_cpu_us = [], [], [], [], []
    for _ in range(RUNS):
        limit = ground.limit(DELIVERIES, processes)
        limit_per_s.append(limit["deliveries_per_s"])
        limit_cpu_us.append(limit["cpu_us_per_delivery"])
        cpu_before = worker_cpu_seconds(stack)
        done = deliver(stack, ground, DELIVERIES)
        per_s.append(done["deliveries"] / done["seconds"])
        busy.append(done["busy_core_seconds"] / done["seconds"])
        cpu_us.append(1e6 * (worker_cpu_seconds(stack) - cpu_before) / DELIVERIES)
    return {
        "deliveries_per_s": round(statistics.median(per_s)),
        "limit_per_s": round(statistics.median(limit_per_s)),
        "share": round(statistics.median(per_s) / statistics.median(limit_per_s), 2),
        "busy_cores": round(statistics.median(busy), 2),
        "cpu_us_per_delivery": round(statistics.median(cpu_us)),
        "limit_cpu_us_per_delivery": round(statistics.median(limit_cpu_us)),
    }


def deliveries_per_s(stack: Stack, ground: Ground, count: int, keep: bool = False) -> float:
    """Return the deliveries a second."""
    done = deliver(stack, ground, count, keep)
    return float(done["deliveries"] / done["seconds"])


def deliver(stack: Stack, ground: Ground, count: int, keep: bool = False) -> dict[str, Any]:
    """Have so many delivered; return how many they were, how long it took, and how busy the cores were meanwhile."""
    done: dict[str, Any] = stack.call_by_name("tests.bench.work:deliver", count, ground.receiver, WEBHOOKS, keep=keep)
    return done


def worker_cpu_seconds(stack: Stack) -> float:
    """Return the CPU time that the worker with all its processes has used."""
    worker = psutil.Process(stack.worker.pid)
    times = [process.cpu_times() for process in (worker, *worker.children(recursive=True))]
    return float(sum(each.user + each.system for each in times))


# Time


@scenario(Bar("last_arrival_s", most=1))
def fan_out(ground: Ground) -> Figures:
    """One event to 1,000 webhooks of an account: from the announcement to the last arrival."""
    url = f"{ground.receiver}logged/"
    seconds = ground.stack().call_by_name(
        "tests.bench.work:fan_out", url, FAN_OUT_WEBHOOKS, str(ground.arrivals), FAN_OUT_ROUNDS
    )
    return {"last_arrival_s": round(statistics.median(seconds), 3), "worst_s": round(max(seconds), 3)}


@scenario(Bar("median_ms", most=15), Bar("p99_ms", most=100))
def latency_100(ground: Ground) -> Figures:
    """From an announcement to its arrival, at 100 events a second for 20 webhooks."""
    return summary(
        ground.stack().call_by_name("tests.bench.work:announce_steadily", STEADY_PER_SECOND, STEADY_SECONDS, WEBHOOKS)
    )


@scenario(*(Bar(f"ratio_with_{webhooks}_webhooks", most=2.5) for webhooks in COMPARED_WEBHOOKS))
def announce(ground: Ground) -> Figures:
    """`event_occurred.send()` in a transaction against a bare INSERT of the same row, medians.

    `ratio` is that of the calls alone; `ratio_committed` that of the transactions with their commits, and the bell.
    """
    stack = ground.stack()
    stack.worker.stop()
    figures: Figures = {}
    try:
        for webhooks in COMPARED_WEBHOOKS:
            took = stack.call_by_name("tests.bench.work:compare_with_insert", webhooks, COMPARED)
            medians = {name: statistics.median(seconds) for name, seconds in took.items()}
            name = f"with_{webhooks}_webhooks"
            figures |= {
                f"send_ms_{name}": round(1000 * medians["send_s"], 3),
                f"insert_ms_{name}": round(1000 * medians["insert_s"], 3),
                f"ratio_{name}": round(medians["send_s"] / medians["insert_s"], 2),
                f"ratio_committed_{name}": round(medians["send_with_commit_s"] / medians["insert_with_commit_s"], 2),
            }
    finally:
        stack.worker.start()
    return figures


# Receivers that hang


@scenario(Bar("kept", least=0.8), Bar("p99_ms", most=1000))
def isolation(ground: Ground) -> Figures:
    """2 of 20 webhooks hang until the time-out, with 50,000 deliveries due each: what the other 18 keep.

    Their throughput with and without the hanging ones, and from announcement to arrival at 100 events a second.
    """
    stack = ground.stack()
    others = WEBHOOKS - HANGING_WEBHOOKS

    def per_s(hanging_urls: Sequence[str]) -> float:
        done = stack.call_by_name(
            "tests.bench.work:deliver_beside_hanging",
            *(ISOLATION_DELIVERIES, ground.receiver, others, hanging_urls, HANGING_BACKLOG),
        )
        return float(done["deliveries"] / done["seconds"])

    alone, beside = [], []
    for _ in range(RUNS):
        alone.append(per_s([]))
        with hanging_receiver() as url:
            beside.append(per_s([url] * HANGING_WEBHOOKS))
    with hanging_receiver() as url:
        seconds = stack.call_by_name(
            "tests.bench.work:announce_steadily",
            *(STEADY_PER_SECOND, STEADY_SECONDS, others, [url] * HANGING_WEBHOOKS, HANGING_BACKLOG),
        )
    return {
        "deliveries_per_s": round(statistics.median(beside)),
        "without_hanging_per_s": round(statistics.median(alone)),
        "kept": round(statistics.median(beside) / statistics.median(alone), 2),
        **summary(seconds),
    }


@contextlib.contextmanager
def hanging_receiver() -> Iterator[str]:
    """Yield the address of one who takes connections and never reads; when it ends, they all break."""
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


# The past behind the present


@scenario(Bar("p99_ms", most=100), by_name_only=True)
def replay(ground: Ground) -> Figures:
    """100 events a second for a webhook, to which 5,000 events of the past are replayed meanwhile.

    From the announcement of the live ones to their arrival, with and without the replay.
    """
    stack = ground.stack()

    def run(missed: int) -> tuple[list[float], float]:
        done = stack.call_by_name("tests.bench.work:announce_beside_replay", STEADY_PER_SECOND, REPLAY_SECONDS, missed)
        return done["live_s"], done["replay_s"]

    alone, _ = run(0)
    beside, replay_s = run(REPLAYED)
    without = summary(alone)
    return {
        **summary(beside),
        "without_replay_median_ms": without["median_ms"],
        "without_replay_p99_ms": without["p99_ms"],
        "replays_per_s": round(REPLAYED / replay_s),
    }


# What a delivery costs the database


@scenario(Bar("statements_per_delivery", most=0.1))
def statements(ground: Ground) -> Figures:
    """SQL statements per delivery, of 20,000 with two processes, counted by pg_stat_statements."""
    stack = ground.stack()
    stack.call_by_name("tests.bench.work:count_statements")
    # Its connections are older than the setting.
    stack.worker.stop()
    stack.worker.start()
    try:
        deliver(stack, ground, WARM_UP_DELIVERIES)
        done = stack.call_by_name(
            "tests.bench.work:deliver_and_count_statements", DELIVERIES, ground.receiver, WEBHOOKS
        )
    finally:
        ground.end_stack()
    return {"statements_per_delivery": round(done["statements"] / done["deliveries"], 3)}


# Without servers


@scenario(Bar("deliveries_per_s", least=1000))
def sqlite(ground: Ground) -> Figures:
    """5,000 events for 20 webhooks on SQLite and the embedded Valkey, one process that delivers."""
    stack = ground.embedded_stack()
    deliver(stack, ground, WARM_UP_DELIVERIES)
    per_s = [deliveries_per_s(stack, ground, SQLITE_DELIVERIES) for _ in range(RUNS)]
    return {"deliveries_per_s": round(statistics.median(per_s))}


@scenario()
def latency_idle(ground: Ground) -> Figures:
    """From an announcement to its arrival, one at a time, on SQLite and the embedded Valkey."""
    seconds = ground.embedded_stack().call_by_name("tests.bench.latency:announce_one_at_a_time", IDLE_ANNOUNCEMENTS)
    return summary(seconds)


# Depth


@scenario(Bar("worker_rss_mb", most=200), Bar("claim_p99_ms", most=50), by_name_only=True)
def due_1m(ground: Ground) -> Figures:
    """1,000,000 deliveries due, of 20 webhooks: memory of a process that delivers, time of a claim, throughput."""
    stack = ground.stack(1)
    stack.worker.stop()
    try:
        urls = [f"{ground.receiver}webhook/{number}" for number in range(WEBHOOKS)]
        account_ids = stack.call_by_name("tests.bench.work:make_accounts", urls)
        stack.call_by_name("tests.bench.work:make_dispatched", account_ids, DUE_EVENTS, finished=False)
        with psycopg.connect(stack.env["DATABASE_URL"], autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE webhooks_event, webhooks_delivery")
            stack.worker.start()
            rss_mb = _watch_memory(stack, DUE_SECONDS)
            done = connection.execute("SELECT count(*) FROM webhooks_delivery WHERE status = 'SUCCEEDED'").fetchone()
        stack.worker.stop()
        claimed = stack.call_by_name("tests.bench.work:time_claims", DUE_SECONDS)
    finally:
        ground.end_stack()
    assert done is not None
    claim_ms = sorted(1000 * seconds for seconds in claimed["claim_s"])
    return {
        "worker_rss_mb": round(rss_mb),
        "claim_median_ms": round(statistics.median(claim_ms), 1),
        "claim_p99_ms": round(_nearest_rank(claim_ms, 0.99), 1),
        "claims": len(claim_ms),
        "deliveries_per_s": round(done[0] / DUE_SECONDS),
    }


def _watch_memory(stack: Stack, seconds: float) -> float:
    """Return the MB that the largest process of the worker had in memory within so many seconds."""
    worker = psutil.Process(stack.worker.pid)
    most = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        most = max(most, *(process.memory_info().rss for process in worker.children(recursive=True)))
        time.sleep(0.1)
    return most / 2**20


@scenario(Bar("kept", least=0.9), by_name_only=True)
def finished_10m(ground: Ground) -> Figures:
    """Throughput with 10,000,000 finished deliveries and attempts in the tables against empty ones.

    Each run is taken as its share of the limit that is measured just before it: between the first run and the last one
    the machine writes 15 GB, and may be slower for a while.
    """
    stack = ground.stack()
    try:
        deliver(stack, ground, WARM_UP_DELIVERIES)
        empty = [_beside_limit(stack, ground, keep=False) for _ in range(RUNS)]
        urls = [f"{ground.receiver}webhook/{number}" for number in range(WEBHOOKS)]
        account_ids = stack.call_by_name("tests.bench.work:make_accounts", urls)
        for _ in range(FINISHED // FINISHED_AT_ONCE):
            stack.call_by_name(
                "tests.bench.work:make_dispatched", account_ids, FINISHED_AT_ONCE // WEBHOOKS, finished=True
            )
        with psycopg.connect(stack.env["DATABASE_URL"], autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE webhooks_event, webhooks_delivery, webhooks_attempt")
            connection.execute("CHECKPOINT")
            size = connection.execute("SELECT pg_database_size(current_database())").fetchone()
        deliver(stack, ground, WARM_UP_DELIVERIES, keep=True)
        full = [_beside_limit(stack, ground, keep=True) for _ in range(RUNS)]
        empty += [_beside_limit(stack, ground, keep=False) for _ in range(RUNS)]
    finally:
        ground.end_stack()
    assert size is not None
    return {
        "deliveries_per_s": round(statistics.median(per_s for per_s, _ in full)),
        "empty_per_s": round(statistics.median(per_s for per_s, _ in empty)),
        "share": round(_share(full), 2),
        "empty_share": round(_share(empty), 2),
        "kept": round(_share(full) / _share(empty), 2),
        "database_gb": round(size[0] / 1e9, 1),
    }


def _beside_limit(stack: Stack, ground: Ground, keep: bool) -> tuple[float, float]:
    """Return the deliveries a second, and those of the limit with as many processes."""
    limit = ground.limit(DELIVERIES, 2)["deliveries_per_s"]
    return deliveries_per_s(stack, ground, DELIVERIES, keep), float(limit)


def _share(runs: Sequence[tuple[float, float]]) -> float:
    return statistics.median(per_s / limit_per_s for per_s, limit_per_s in runs)


# Pages


@scenario(Bar("worst_p95_ms", most=100), by_name_only=True)
def pages_1m(ground: Ground) -> Figures:
    """The 95th percentile of every page of the portal, with 1,000,000 events, deliveries and attempts.

    Asked of gunicorn over a kept connection, one after the other. Those of the administration are told besides.
    """
    with ground.portal() as stack:
        place = stack.call_by_name("tests.bench.portal:fill", PORTAL_EVENTS)
        took = stack.call_by_name("tests.bench.pages:measure", stack.url, place, PAGE_ROUNDS)
    portal, admin = took["portal"], took["admin"]
    return {
        "pages": len(portal),
        "worst_p95_ms": max(portal.values()),
        "over_100_ms": sum(each > 100 for each in portal.values()),
        **dict(sorted(portal.items(), key=lambda each: -each[1])),
        **{f"admin: {name}": each for name, each in admin.items()},
    }


def summary(seconds: Sequence[float]) -> Figures:
    milliseconds = sorted(1000 * each for each in seconds)
    return {
        "median_ms": round(statistics.median(milliseconds), 1),
        "p99_ms": round(_nearest_rank(milliseconds, 0.99), 1),
        "max_ms": round(milliseconds[-1], 1),
    }


def _nearest_rank(sorted_figures: Sequence[float], share: float) -> float:
    return sorted_figures[math.ceil(share * len(sorted_figures)) - 1]
