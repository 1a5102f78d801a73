"""docs/requests.md, made of the results alone: the page cannot say what was not measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# Requests for N = 1,000 contacts, read from their public code: first sync, nothing changed, one contact changed.
PEERS = (
    ("grahamr975 (August 2026)", "4 + N/20 = 54 HTTP calls", "1", "2"),
    ("nickafh/sync", "2 + N/20 = 52 HTTP calls", "1", "2"),
    ("EvotecIT/O365Synchronizer", "1,004", "2 + N/page", "3 + N/page"),
    ("ContactMesh", "about 1,004", "4", "5"),
    ("tardispilot/GraphContactSync", "up to 3,003", "more than 1,000", "4 more"),
    ("gal-sync-graph", "1,003", "7", "8"),
)


_QUIET = 0.3
"""Cores busy with other work that change no figure much."""


def page(results: dict[str, Any]) -> str:
    """The whole page."""
    budgets, machine = results["budgets"], results["machine"]
    parts = [
        "# What a sync costs",
        "Made by `make bench` from `benchmarks/results.json`; do not edit. "
        f"Measured on {machine['date']}: {machine['processor']}, {machine['cores']} cores, {machine['memoryGB']} GB, "
        f"{machine['system']}, Python {machine['python']}. Requests are counted by the Microsoft 365 stand-in, storage "
        "transactions by the app's own table adapter in front of Azurite." + _busy(results["busyCores"]),
        _counts(budgets),
        _peers(budgets),
        _calendars(results["calendars"]),
        _hours(results["estimates"]),
        _engine(results["engine"], results["width"]),
        _scale(results["scale"]),
        _lists(results["lists"]),
        _snapshots(results["snapshots"]),
        _api(results["api"]),
        _erasure(results["erasure"]),
        _small(results["startup"], results["mapping"]),
    ]
    return "\n\n".join(parts) + "\n"


def _busy(cores: dict[str, float]) -> str:
    disturbed = [name for name, busy in cores.items() if busy > _QUIET]
    if not disturbed:
        return ""
    return (
        f" **While these were measured, other work kept up to {_n(max(cores.values()))} cores busy: {', '.join(disturbed)}. "
        "Counts are exact all the same; seconds are longer than on a quiet machine, and ratios of them are rough.**"
    )


def _counts(budgets: dict[str, Any]) -> str:
    people, mailboxes = budgets["people"], budgets["mailboxes"]
    cases = (
        ("firstSync", "first sync, new folder", "N + 2"),
        ("nothingChanged", "nothing changed, no audit due", "0"),
        ("firstAudit", "first audit, after N writes", "1 + N/200"),
        ("audit", "audit, nothing touched since the last", "1"),
        ("oneChanged", "one contact changed", "1"),
        ("cacheLost", "caches lost: every folder listed again", "1 + N/999"),
    )
    rows = []
    for name, case, budget in cases:
        counted = budgets[name]
        per_mailbox = _value(counted["requestsPerMailbox"])
        rows.append(
            (
                case,
                budget,
                _n(per_mailbox),
                _n(_value(counted["mailboxCalls"])),
                _n(counted["sourceRequests"]),
                _n(_value(counted["storagePerMailbox"])),
            )
        )
    first = budgets["firstSync"]
    return "\n\n".join(
        (
            f"## Requests: N = {_n(people)} contacts, {_n(mailboxes)} mailboxes",
            _table(
                (
                    "case",
                    "budget per mailbox",
                    "requests per mailbox",
                    "HTTP calls, all mailboxes",
                    "requests to the directory",
                    "storage transactions per mailbox",
                ),
                rows,
            ),
            "A request is one Graph request, alone or in a batch; the number is the most that any one mailbox took. In the first "
            f"sync a mailbox takes part in {_limited(first['callsTouchingAMailbox'])} HTTP calls; single requests of twenty "
            "mailboxes share one. Storage transactions are those of the whole run divided by its mailboxes, so that shared rows "
            f"count by share: {_limited(first['storagePerMailbox'])} for a first sync, "
            f"{_limited(budgets['oneChanged']['storagePerMailbox'])} for a small change.",
        )
    )


def _peers(budgets: dict[str, Any]) -> str:
    def ours(name: str) -> str:
        return _n(_value(budgets[name]["requestsPerMailbox"]))

    calls = _n(_value(budgets["firstSync"]["callsTouchingAMailbox"]))
    rows = [
        ("**Rollcall**", f"{ours('firstSync')} in {calls} HTTP calls", ours("nothingChanged"), ours("oneChanged")),
        ("**Rollcall**, on a night with an audit", "the same", ours("audit"), f"{ours('audit')} + {ours('oneChanged')}"),
        *PEERS,
    ]
    return "\n\n".join(
        (
            "## Beside others",
            "Requests per mailbox for the same N. The others' formulas are read from their public code, not measured; those that "
            "batch are counted in HTTP calls, as far as their code tells.",
            _table(("product", "first sync", "nothing changed", "one contact changed"), rows),
        )
    )


def _calendars(counted: dict[str, Any]) -> str:
    events, few, many = _n(counted["events"]), _n(counted["mailboxes"]), _n(counted["manyMailboxes"])
    large = (
        ("firstMirror", "first mirror", "N + 2"),
        ("nothingChanged", "nothing changed", "0"),
        ("look", "the daily look", "1 + N/999"),
        ("slideWithoutEdges", "the window slides, nothing at its edges: the daily look", "1 + N/999"),
    )
    wide = (
        ("oneMoved", "one occurrence of a series moved", "1"),
        ("lookOfMany", "the daily look", "1"),
        ("slide", "the window slides over a daily series: the look, one event in, one out", "3"),
    )
    rows = [
        (
            case,
            readers,
            budget,
            *(_n(_value(counted[name][figure])) for figure in ("requestsPerMailbox", "writes", "sourceRequests")),
        )
        for cases, readers in ((large, few), (wide, many))
        for name, case, budget in cases
    ]
    return "\n\n".join(
        (
            f"## Calendars: N = {events} events",
            _table(
                (
                    "case",
                    "mailboxes",
                    "budget per mailbox",
                    "requests per mailbox",
                    "writes, all mailboxes",
                    "requests to the source",
                ),
                rows,
            ),
            f"In the first mirror a mailbox takes part in {_limited(counted['firstMirror']['callsTouchingAMailbox'])} HTTP "
            f"calls. The last three rows are of a series that takes place daily, in a window of {counted['days']} days. Nobody "
            "was sent a mail in any of these nights.",
        )
    )


def _hours(estimates: dict[str, Any]) -> str:
    rows = [
        (_n(line["mailboxes"]), _n(line["firstHours"]), _n(line["ordinaryHours"]), _n(round(line["ordinaryHours"] * 60, 1)))
        for line in estimates["sideBySide"]
    ]
    return "\n\n".join(
        (
            f"## In hours: {_n(estimates['people'])} people in {_n(estimates['mailboxes'])} mailboxes",
            f"Calculated from the counts above, at {estimates['latencyMs']} ms per request and the four requests at a time that "
            f"Graph allows on a mailbox: {_n(estimates['firstSecondsPerMailbox'])} s for a mailbox in the first night, "
            f"{_n(estimates['ordinarySecondsPerMailbox'])} s for twenty mailboxes together in an ordinary one (an audit of each, "
            f"and {estimates['changed']} people changed). One instance works on up to 80 mailboxes at a time.",
            _table(("mailboxes side by side", "first night (hours)", "ordinary night (hours)", "ordinary night (minutes)"), rows),
        )
    )


def _engine(engine: dict[str, Any], width: dict[str, Any]) -> str:
    latency, memory = engine["withLatency"], engine["inMemory"]
    rows = [("engine", _n(engine["engine"]["cpuSeconds"]), _n(engine["engine"]["seconds"]), "", "")]
    for name, title in (
        ("bareOnPlainHttpx", "bare client on httpx as it comes"),
        ("bare", "bare client on httpx over the engine's own connections"),
    ):
        bare = engine[name]
        ratios = (_limited(bare["cpuRatio"]), _limited(bare["wallRatio"]))
        rows.append((title, _n(bare["cpuSeconds"]), _n(bare["seconds"]), *ratios))
    return "\n\n".join(
        (
            "## The engine itself",
            f"A first sync of {_n(engine['people'])} contacts into {engine['mailboxes']} mailboxes against a server with canned "
            f"answers ({_n(engine['server']['cpuSeconds'])} s of processor time of its own), beside a client without any logic "
            f"that sends the same {_n(engine['batches'])} batches with the same width and parses the answers. "
            f"Medians of {engine['runs']} runs in turn. The engine's share includes reading and mapping the directory, "
            "encryption, and all of its storage.",
            _table(("", "processor seconds", "wall seconds", "engine's processor time to it", "engine's wall time to it"), rows),
            "Storage is a process of its own on the same cores, which no bare client waits for. With storage in memory the "
            f"engine takes {_n(memory['cpuSeconds'])} s of processor time and {_n(memory['seconds'])} s in all: "
            f"{_n(memory['cpuRatio'])} and {_n(memory['wallRatio'])} times as much as the bare client on the same connections.",
            "That server answers at once, so that wall time is processor time once more. When it answers a batch after "
            f"{latency['latencyMs']} ms, as if each of twenty items took {_n(latency['latencyMs'] / 5)} ms, four at a time, the "
            f"engine takes {_n(latency['engineSeconds'])} s and the bare client on the engine's own connections "
            f"{_n(latency['bareSeconds'])} s: {_limited(latency['wallRatio'])} times as long.",
            f"With {width['latencyMs']} ms per request, {_n(width['people'])} contacts into {width['mailboxes']} mailboxes took "
            f"{_n(width['seconds'])} s, where {_n(width['secondsAtFullWidth'])} s is the least that Graph's width allows; "
            f"{_n(round(_value(width['used']) * 100, 1))} % of that width was in use (at least "
            f"{_n(round(width['used']['atLeast'] * 100))} %), and never more than {_value(width['highestInFlight'])} requests at "
            "a time on any mailbox.",
        )
    )


def _scale(scale: dict[str, Any]) -> str:
    quiet = [
        (
            _n(night["mailboxes"]),
            _limited(night["seconds"]),
            _limited(night["peakMB"]),
            _n(night["storage"]),
        )
        for night in scale["quiet"]
    ]
    changed = [
        (
            _n(night["mailboxes"]),
            _n(night["seconds"]),
            _n(night["cpuMsPerMailbox"]),
            _n(round(night["storage"] / night["mailboxes"], 2)),
        )
        for night in scale["changed"]
    ]
    contacts = scale["contacts"]
    return "\n\n".join(
        (
            "## Large tenants",
            "A night on which nothing has changed and no audit is due, with as many people as mailboxes.",
            _table(
                (
                    "mailboxes",
                    "quiet night (s)",
                    "peak memory (MB)",
                    "storage transactions",
                ),
                quiet,
            ),
            "A night on which one person has changed, in every mailbox, with storage in memory; from the smallest to the "
            f"largest the processor time per mailbox changes by the factor {_limited(scale['changedGrowth'])}.",
            _table(("mailboxes", "seconds", "processor ms per mailbox", "storage transactions per mailbox"), changed),
            f"One mailbox with {_n(contacts['contacts'])} contacts is filled in {contacts['deliveries']} deliveries of its "
            f"message ({_n(contacts['seconds'])} s), within {_limited(contacts['peakMB'])} MB. Before that, reading and mapping "
            f"so many people takes {_n(contacts['planning']['seconds'])} s and {_n(contacts['planning']['peakMB'])} MB.",
        )
    )


def _lists(lists: dict[str, Any]) -> str:
    mapped, quiet = lists["mapping"], lists["nothingChanged"]
    return "\n\n".join(
        (
            "## Lists under rules",
            f"Of {_n(mapped['people'])} people of the directory and {_n(mapped['fromFile'])} of a file, {_n(mapped['inBoth'])} "
            f"of them in both, a rule selects {_n(mapped['selected'])}; merging, selecting and mapping them under field rules "
            f"takes {_limited(mapped['cpuSeconds'])} s of processor time and {_limited(mapped['peakMB'])} MB.",
            f"A sync from {quiet['sources']} sources (directory, group, organisation contacts, file) under rules, into the "
            f"mailboxes of a group, asks on a night without a change for {_limited(quiet['sourceRequests'])} changes of sources "
            f"and sends {_n(_value(quiet['mailboxRequests']))} requests to its {quiet['mailboxes']} mailboxes.",
        )
    )


def _snapshots(snapshots: dict[str, Any]) -> str:
    shapes = (
        ("directory", "the directory"),
        ("merged", f"the directory merged with a file of {_n(snapshots['fromFile'])}, under rules"),
    )
    cases = (
        ("nothing", "nothing has changed"),
        ("few", f"{_n(snapshots['changed'])} people have changed"),
        ("anew", "a rule has changed, and all is made anew"),
    )
    rows = [
        (
            words,
            case,
            _n(night["seconds"]),
            _limited(night["cpuSeconds"]) if isinstance(night["cpuSeconds"], dict) else _n(night["cpuSeconds"]),
            _limited(night["storage"]),
            _limited(night["peakMB"]),
        )
        for shape, words in shapes
        for name, case in cases
        for night in (snapshots[shape][name],)
    ]
    return "\n\n".join(
        (
            "## Planning a large list",
            f"What a run does before it turns to mailboxes, for {_n(snapshots['people'])} people on Azurite, from the first to "
            "the last row that it reads and writes; Microsoft 365 answers at once. When few have changed, only they are looked "
            "at, merged, selected and mapped, and only the pages on which they stand are read and written.",
            _table(("sources", "night", "seconds", "processor seconds", "storage transactions", "peak memory (MB)"), rows),
        )
    )


def _api(api: dict[str, Any]) -> str:
    seconds = api["seconds"]
    return "\n\n".join(
        (
            "## Reading over HTTP",
            f"{_n(api['clients'])} clients side by side, {_n(api['requests'])} reads of syncs, runs and results through the "
            f"local host, on Azurite: half of them within {_n(seconds['median'])} s, 95 % within {_limited(seconds['95th'])} s, "
            f"the longest {_n(seconds['longest'])} s; {_n(api['requestsPerSecond'])} a second. One process served them all.",
        )
    )


def _erasure(erasure: dict[str, Any]) -> str:
    return "\n\n".join(
        (
            "## Erasing a person",
            f"From {_n(erasure['mailboxes'])} mailboxes of {_n(erasure['people'])} contacts, ledgers there: "
            f"{_limited(erasure['requestsPerMailbox'])} requests per mailbox, {_n(erasure['cpuSeconds'])} s of processor time "
            f"with storage in memory, {_n(erasure['modelledSeconds'])} s where twenty mailboxes share calls that take "
            f"{_n(erasure['modelledRoundTripSeconds'])} s each.",
        )
    )


def _small(startup: dict[str, Any], mapping: dict[str, Any]) -> str:
    return "\n\n".join(
        (
            "## Start and mapping",
            f"Loading the app with its {startup['functions']} functions takes {_limited(startup['seconds'])} s and "
            f"{_limited(startup['peakMB'])} MB; {_value(startup['heavyModules'])} of the heavy packages are loaded before their "
            "first use. "
            f"Selecting and mapping {_n(mapping['people'])} people takes {_limited(mapping['cpuSeconds'])} s of processor "
            f"time and {_limited(mapping['peakMB'])} MB.",
        )
    )


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _value(measured: Any) -> Any:
    return measured["value"] if isinstance(measured, dict) else measured


def _limited(measured: Any) -> str:
    if not isinstance(measured, dict):
        return _n(measured)
    word, limit = ("at most", measured["atMost"]) if "atMost" in measured else ("at least", measured["atLeast"])
    return f"{_n(measured['value'])} ({word} {_n(limit)})"


def _n(number: float) -> str:
    return f"{int(number):,}" if number == int(number) else f"{number:,}"
