"""Shows that the scenarios can fail: each runs on a variant of the product that breaks its promise.

``python -m tests.reliability.mutants`` runs every scenario on the product as it is and then each on
its mutant (a temporary copy of the packages with a few lines changed), and writes both results to
``docs/reliability.md``. A mutant that its scenario does not notice is printed as SURVIVED, and the
exit code is 1. ``--only NAME`` runs one mutant, ``--fresh`` also runs the product as it is.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("cms", "ocpp_gateway", "ocpi_cpo", "adapters", "simulators", "tests")
FILES = ("pyproject.toml", "config.example.toml")
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- figures begin -->", "<!-- figures end -->"
LONGEST_SECONDS = 400
HERE = "tests/reliability"


@dataclass(frozen=True, slots=True)
class Edit:
    """In *file* the text *old*, which must be there exactly once, becomes *new*."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """A broken variant of the product.

    Attributes:
        breaks: what it does wrong, in words.
        scenario: id of the figure line that must say FAIL.
        test: the test to run.
        env: sizes for this run.
    """

    name: str
    breaks: str
    scenario: str
    test: str
    edits: tuple[Edit, ...]
    env: dict[str, str] = field(default_factory=dict)


SQLITE_ACK_FIRST = Edit(
    "cms/store/sqlite.py",
    "            outcomes, trouble = self._outcomes(group)\n"
    "            self._tell(group, outcomes)\n",
    "            self._tell(group, [Committed() for _ in group])\n"
    "            self._stopping.wait(0.05)\n"
    "            outcomes, trouble = self._outcomes(group)\n",
)
DOWN_IS_FINE = Edit(
    "cms/store/committer.py",
    "                future.set_exception(outcome)  # type: ignore[arg-type]",
    "                future.set_result(Committed())",
)
NEW_BILL_ID = Edit(
    "ocpi_cpo/push/bills.py",
    "        url, answer = await self._post_somewhere(connection, cdr, body, said)",
    '        body = body if attempts == 1 else {**body, "id": f"{cdr.id[:-2]}{attempts:02d}"}\n'
    "        url, answer = await self._post_somewhere(connection, cdr, body, said)",
)

ARRIVAL_ORDER = Edit(
    "cms/domain/folding.py",
    "    everything = _by_time(events)\n    numbers = ",
    "    everything = tuple(events)\n    return everything, False\n    numbers = ",
)

TRANSACTIONS = f"{HERE}/test_d01_d06_transactions.py"
KILLS = f"{HERE}/test_k01_kills.py"
POINTS = f"{HERE}/test_k02_crash_points.py"
AWAY = f"{HERE}/test_k05_k07_store_away.py"
RESTART = f"{HERE}/test_k10_c05_restart.py"
SOCKETS = f"{HERE}/test_c01_c02_take_over.py"
PARTNERS = f"{HERE}/test_o01_o02_k03_partners.py"

CORRECTIONS = f"{HERE}/test_o06_corrections.py"

MUTANTS = (
    Mutant(
        "credit-anew",
        "draws a new id for each credit: a correction that goes on takes a bill back twice",
        "O06",
        f"{CORRECTIONS}::test_o06_corrected_after_the_bill_was_sent",
        (
            Edit(
                "cms/domain/cdr.py",
                '    return CdrId(f"{id}-C") if len(id) <= 34 else CdrId(str(uuid5(_CREDITS, id)))',
                "    return CdrId(str(uuid4()))",
            ),
            Edit(
                "cms/domain/cdr.py",
                "    return CdrId(str(uuid5(_REPLACEMENTS, id)))",
                "    return CdrId(str(uuid4()))",
            ),
            Edit(
                "cms/domain/cdr.py",
                "from uuid import NAMESPACE_OID, uuid5",
                "from uuid import NAMESPACE_OID, uuid4, uuid5",
            ),
        ),
    ),
    Mutant(
        "ack-before-commit",
        "answers the charger, then writes (50 ms later)",
        "K01-sqlite",
        f"{KILLS}::test_k01_killed_at_random_moments_under_load_on_sqlite",
        (SQLITE_ACK_FIRST,),
        {"CMS_K01_KILLS": "6"},
    ),
    Mutant(
        "ack-before-commit",
        "answers the charger, then writes (50 ms later)",
        "K02-kills",
        f"{POINTS}::test_k02_ten_real_kills_at_named_points",
        (SQLITE_ACK_FIRST,),
    ),
    Mutant(
        "retry-is-new",
        "knows a repetition by nothing: every frame is another message",
        "K01-postgresql",
        f"{KILLS}::test_k01_killed_at_random_moments_under_load_on_postgresql",
        (
            Edit(
                "ocpp_gateway/dialogue.py",
                "        return content_key(station, self.action, self._content(without), extra)",
                "        return content_key(\n"
                "            station, self.action, self._content(without), extra + str(id(self))\n"
                "        )",
            ),
        ),
        {"CMS_K01_PG_CHARGERS": "200", "CMS_K01_PG_KILLS": "5"},
    ),
    Mutant(
        "down-means-acknowledged",
        "acknowledges what could not be written",
        "K02-matrix",
        f"{POINTS}::test_k02_the_matrix_of_crash_points_and_messages",
        (DOWN_IS_FINE,),
    ),
    Mutant(
        "new-bill-id-on-retry",
        "draws a new id for a bill that is sent again",
        "K03",
        f"{PARTNERS}::test_k03_killed_between_the_partners_answer_and_our_mark",
        (NEW_BILL_ID,),
    ),
    Mutant(
        "callerror-when-store-down",
        "answers CALLERROR while the store is away, instead of closing",
        "K05",
        f"{AWAY}::test_k05_a_full_disk_loses_nothing_and_heals_without_a_restart",
        (
            Edit(
                "ocpp_gateway/dialogue.py",
                "            result = await answer\n        except StoreDown:\n            raise\n",
                "            result = await answer\n        except StoreDown:\n"
                '            return self._error(call, Fault.INTERNAL, "the store is down")\n',
            ),
        ),
    ),
    Mutant(
        "down-means-acknowledged",
        "acknowledges what could not be written",
        "K07",
        f"{AWAY}::test_k07_postgresql_crashes_and_cut_connections_lose_nothing",
        (DOWN_IS_FINE,),
    ),
    Mutant(
        "stop-without-flush",
        "drops every socket at SIGTERM",
        "K10",
        f"{RESTART}::test_k10_a_planned_stop_flushes_answers_and_a_backup_holds_what_was_acknowledged",
        (
            Edit(
                "ocpp_gateway/connection.py",
                "        if self._worker is not None:\n            await asyncio.wait([self._worker])\n"
                "        await self.socket.close(code, reason)",
                "        self.socket.transport.abort()",
            ),
        ),
    ),
    Mutant(
        "new-id-on-duplicate",
        "answers a repeated start with the number that it would give a new one",
        "D01",
        f"{TRANSACTIONS}::test_d01_a_start_whose_answer_was_lost_is_answered_as_the_first_time",
        (
            Edit(
                "cms/app/opening.py",
                "        if done.first is not None:\n            return done.first\n"
                "        self._terms.tariff_kept(session)\n",
                "        if done.first is not None:\n            return ack\n"
                "        self._terms.tariff_kept(session)\n",
            ),
        ),
    ),
    Mutant(
        "no-unique-key",
        "has no unique key on the journal: looks first, then writes",
        "D02",
        f"{TRANSACTIONS}::test_d02_the_same_start_through_two_processes_is_one_transaction",
        (
            Edit(
                "cms/store/migrations/versions/0001_the_first_schema.py",
                '        sa.UniqueConstraint("key"),\n',
                "",
            ),
        ),
    ),
    Mutant(
        "key-without-register",
        "takes two starts of one second for one, whatever the meter said",
        "D03",
        f"{TRANSACTIONS}::test_d03_starts_that_only_look_alike_are_never_merged",
        (
            Edit(
                "ocpp_gateway/dialogue.py",
                "        request = self.request\n        if request is not None and EXTENSION",
                "        request = self.request\n"
                '        if self.action == "StartTransaction":\n'
                '            without = (*without, "meterStart")\n'
                "        if request is not None and EXTENSION",
            ),
        ),
    ),
    Mutant(
        "conflict-hidden",
        "drops a second stop with other values, and tells nobody",
        "D04",
        f"{TRANSACTIONS}::test_d04_a_repeated_stop_is_acknowledged_and_the_first_one_holds",
        (
            Edit(
                "cms/app/late.py",
                "        contradicts = not begins and _contradicts(session, event)",
                "        contradicts = False",
            ),
        ),
    ),
    Mutant(
        "transactions-of-everybody",
        "finds a transaction by its number alone (CVE-2026-28230)",
        "D05",
        f"{TRANSACTIONS}::test_d05_nobody_touches_another_chargers_transaction",
        (
            Edit(
                "cms/app/open_sessions.py",
                "        id = self._sessions.get(station, {}).get(transaction)\n",
                "        owner = self._owners.get(transaction, station)\n"
                "        id = self._sessions.get(owner, {}).get(transaction)\n",
            ),
        ),
    ),
    Mutant(
        "orphans-dropped",
        "acknowledges a stop of an unknown transaction and forgets it",
        "D06",
        f"{TRANSACTIONS}::test_d06_a_stop_without_a_transaction_is_kept_and_joined_once_with_its_start",
        (
            Edit(
                "cms/app/strays.py",
                "        orphans = self._orphans.setdefault(station, [])\n        if len(orphans) >=",
                "        orphans = self._orphans.setdefault(station, [])\n"
                "        if not orphans:\n            return ack\n        if len(orphans) >=",
            ),
        ),
    ),
    Mutant(
        "last-told-wins",
        "orders a transaction's events as they arrived",
        "D08-fold",
        f"{HERE}/test_d08_confluence.py",
        (ARRIVAL_ORDER,),
    ),
    Mutant(
        "late-events-dropped",
        "drops what comes after the end of a transaction",
        "D08-store",
        f"{HERE}/test_d08_confluence.py",
        (
            Edit(
                "cms/app/charging.py",
                "        if not session.running:\n"
                "            return await self._late.note(frame, session, event, ack)\n",
                "        if not session.running:\n            return ack\n",
            ),
        ),
    ),
    Mutant(
        "callerror-on-odd-data",
        "refuses transaction data that it cannot read",
        "F03-ocpp1.6",
        f"{HERE}/test_f03_malformed.py",
        (
            Edit(
                "ocpp_gateway/dialogue.py",
                "        return self._keep(call, route, reason, refusal) if route.transaction "
                "else refusal",
                "        return refusal",
            ),
        ),
    ),
    Mutant(
        "unauthenticated-displaces",
        "closes the old socket before it has looked at the newcomer's password",
        "C01",
        f"{SOCKETS}::test_c01_only_the_right_password_takes_an_identity_over",
        (
            Edit(
                "ocpp_gateway/server.py",
                "        if admission.verdict is Verdict.BLOCKED:\n",
                "        for known, old in list(self._stations.items()):\n"
                "            if known.upper() == identity.upper():\n"
                '                old.close(GOING_AWAY, "replaced by a newer connection")\n'
                "        if admission.verdict is Verdict.BLOCKED:\n",
            ),
        ),
    ),
    Mutant(
        "old-close-unregisters-new",
        "forgets a station when any of its sockets closes (CitrineOS)",
        "C02",
        f"{SOCKETS}::test_c02_a_late_close_of_the_old_socket_takes_nobody_offline",
        (
            Edit(
                "ocpp_gateway/server.py",
                "        if self._stations.get(station) is connection:  # a newer one stays\n"
                "            del self._stations[station]",
                "        self._stations.pop(station, None)",
            ),
        ),
    ),
    Mutant(
        "slow-password-check",
        "hashes machine-made passwords slowly, on the event loop",
        "C05",
        f"{RESTART}::test_c05_everybody_comes_back_at_once_and_is_served",
        (
            Edit(
                "cms/app/gatekeeping.py",
                "        against = key or _NOBODY\n",
                "        against = key or _NOBODY\n"
                '        __import__("hashlib").pbkdf2_hmac("sha256", b"password", b"salt", 300_000)\n',
            ),
        ),
        {"CMS_C05_CHARGERS": "250"},
    ),
    Mutant(
        "no-pause-for-the-dead",
        "asks a partner that is down as often as there is something to tell it",
        "O01-week",
        "tests/reliability/test_o01_week.py::test_o01_ten_of_fifty_partners_are_down_for_a_week",
        (
            Edit(
                "ocpi_cpo/push/pace.py",
                "        if now < self.resume_at:\n            return 0\n        alive",
                "        alive",
            ),
        ),
        {"CMS_O01_HOURS": "6", "CMS_O01_PARTNERS": "12", "CMS_O01_DOWN": "4"},
    ),
    Mutant(
        "one-line-for-all-partners",
        "speaks to one partner at a time",
        "O01",
        f"{PARTNERS}::test_o01_a_partner_that_is_down_delays_nobody_and_gets_everything_once_later",
        (
            Edit(
                "ocpi_cpo/push/worker.py",
                "            telling = self._courier.tell(connection, item.change, answered, rear=rear)\n",
                "            telling = _one_by_one(self._courier, connection, item)\n",
            ),
            Edit(
                "ocpi_cpo/push/worker.py",
                "class Worker:\n",
                "_TURN = asyncio.Lock()\n\n\n"
                "async def _one_by_one(courier: Courier, connection: Connection, item: Item) -> Told:\n"
                "    async with _TURN:\n"
                "        return await courier.tell(connection, item.change)\n\n\n"
                "class Worker:\n",
            ),
        ),
    ),
    Mutant(
        "new-bill-id-on-retry",
        "draws a new id for a bill that is sent again",
        "O02",
        f"{PARTNERS}::test_o02_a_post_whose_outcome_is_unclear_ends_as_one_bill",
        (NEW_BILL_ID,),
    ),
    Mutant(
        "push-to-all-partners",
        "tells every partner of every session and bill (CitrineOS)",
        "O07",
        f"{HERE}/test_o07_isolation.py",
        (
            Edit(
                "cms/store/reads.py",
                '        owners.append(c.owner == bindparam("whose"))',
                "        owners.append(c.owner.is_not(None))",
            ),
            Edit(
                "ocpi_cpo/push/courier.py",
                "        if dated is None or dated.session.owner != self._partner:",
                "        if dated is None:",
            ),
        ),
    ),
    Mutant(
        "headers-say-nothing",
        "takes a hub's token for all parties behind it, whoever asks",
        "O07b",
        f"{HERE}/test_o07_isolation.py",
        (
            Edit(
                "ocpi_cpo/parties.py",
                "            return Speaker(named, frozenset({named}))",
                "            return Speaker(named, behind)",
            ),
        ),
    ),
    Mutant(
        "ignores-what-is-shared",
        "keeps the operator's choice for a partner, and shows it every site and status",
        "O07c",
        f"{HERE}/test_o07_isolation.py",
        (
            Edit(
                "cms/app/catalogue.py",
                "            return partner.sharing\n",
                "            return EVERYTHING\n",
            ),
        ),
    ),
    Mutant(
        "every-status-as-it-happens",
        "leaves unshared sites out, and tells the status of the rest to those from whom it is kept",
        "O07c",
        f"{HERE}/test_o07_isolation.py",
        (
            Edit(
                "ocpi_cpo/pages.py",
                "        return self.sharing.status is LiveStatus.SHOWN",
                "        return True",
            ),
        ),
    ),
    Mutant(
        "no-redaction",
        "shows and logs secrets as they came",
        "O12",
        f"{HERE}/test_o12_secrets.py",
        (
            Edit(
                "cms/observability.py",
                "        return _REDACTED.join([*kept, text[done:]]) if kept else text",
                "        return text",
            ),
        ),
    ),
    Mutant(
        "odd-answers-are-delivered",
        "takes any answer with a status of 200 for a success, whatever stands in it",
        "O03",
        f"{HERE}/test_o03_answers.py",
        (
            Edit(
                "ocpi_cpo/answers.py",
                "        case None:\n            return Kind.UNCLEAR\n",
                "        case None:\n            return Kind.DELIVERED\n",
            ),
        ),
    ),
    Mutant(
        "names-are-believed",
        "checks what an address says, not where its name leads",
        "O09",
        f"{HERE}/test_o09_addresses.py::test_o09_no_address_of_a_partner_leads_inside",
        (
            Edit(
                "ocpi_cpo/client.py",
                '        good = [each for each in found if allowed(each["host"], self._private)]\n',
                "        good = found\n",
            ),
        ),
    ),
    Mutant(
        "old-token-ends-first",
        "ends a partner's old token when it hands out the new one, not when that is used",
        "O10-kills",
        f"{HERE}/test_o10_credentials.py::test_o10_killed_at_each_step_of_an_exchange",
        (
            Edit(
                "ocpi_cpo/connections.py",
                "            if each.replaced_until is None or now < each.replaced_until",
                "            if each.replaced_until is None or each.answering",
            ),
        ),
        {"CMS_O10_MOMENTS": "26"},
    ),
    Mutant(
        "every-request-is-a-new-wish",
        "knows no repeated command: each request is answered for itself",
        "O11",
        f"{HERE}/test_o11_commands.py",
        (
            Edit(
                "ocpi_cpo/promises.py",
                "        return answer if monotonic() - at < REPEATED_WITHIN.total_seconds() else None",
                "        return None",
            ),
        ),
    ),
    Mutant(
        "remembers-what-it-heard",
        "goes on believing our copy of a token, whatever its partner says of it later",
        "O08",
        f"{HERE}/test_o08_revoked.py",
        (
            Edit(
                "ocpi_cpo/modules/tokens.py",
                "        if before is not None and _newer(before, token, skew):\n",
                "        if before is not None:\n",
            ),
        ),
    ),
    Mutant(
        "an-update-moves-an-object",
        "lists what changed last at the end, so that pages shift under their reader",
        "O05",
        f"{HERE}/test_o05_pull.py::test_o05_pulling_while_everything_is_written",
        (
            Edit(
                "ocpi_cpo/pages.py",
                "        if len(self._order) != len(self.network.catalogue.locations):\n",
                "        if self._order is not None:\n",
            ),
            Edit(
                "ocpi_cpo/pages.py",
                "key=lambda site: (site.created_at or _DAWN, site.id)",
                "key=lambda site: self.updated(site)",
            ),
        ),
    ),
    Mutant(
        "dates-in-whole-seconds",
        "compares dates of a window to the second only",
        "O05-moment",
        f"{HERE}/test_o05_pull.py::test_o05_things_of_one_moment_are_each_in_one_window",
        (
            Edit(
                "cms/store/memory.py",
                "return (begin is None or at >= begin) and",
                "return (begin is None or at.replace(microsecond=0) >= begin) and",
            ),
        ),
    ),
    Mutant(
        "unclear-counts-as-told",
        "takes a PUT whose answer did not come for one that arrived",
        "O04",
        f"{HERE}/test_o04_divergence.py",
        (
            Edit(
                "ocpi_cpo/push/telling.py",
                "        return DONE if answer.ok else await self.moved(connection, answer)",
                "        return DONE if answer.ok or answer.again else await self.moved(connection, answer)",
            ),
        ),
    ),
    Mutant(
        "no-pings",
        "lets a quiet line stay quiet until the NAT has forgotten it",
        "L2G",
        f"{HERE}/test_link_2g.py",
        (
            Edit(
                "ocpp_gateway/connection.py",
                "        if self._pinged_at < self.socket.last_byte:",
                "        if self._pinged_at < 0:",
            ),
        ),
    ),
)


# ---------------------------------------------------------------- running


@dataclass(slots=True)
class Outcome:
    """What came of one mutant. *verdict* is killed, SURVIVED or STALE (it could not be made)."""

    mutant: Mutant
    verdict: str
    line: str
    seconds: float

    def record(self) -> dict[str, Any]:
        return {
            "mutant": self.mutant.name,
            "breaks": self.mutant.breaks,
            "scenario": self.mutant.scenario,
            "verdict": self.verdict,
            "line": self.line,
        }


class Stale(Exception):
    """The text that a mutant changes is not in the code any more."""


def made(mutant: Mutant, folder: Path) -> None:
    """Copy the product to *folder* and break it.

    Raises:
        Stale: naming the file.
    """
    skip = shutil.ignore_patterns("__pycache__", ".*")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=skip)
    for name in FILES:
        shutil.copy(ROOT / name, folder / name)
    for edit in mutant.edits:
        file = folder / edit.file
        text = file.read_text()
        if text.count(edit.old) != 1:
            raise Stale(f"{edit.file}: the text to change is there {text.count(edit.old)} times")
        file.write_text(text.replace(edit.old, edit.new))


def run_tests(where: Path, tests: Sequence[str], env: dict[str, str]) -> str:
    """Run *tests* of the copy in *where*; returns what was printed."""
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider"]
    command += [f"--timeout={LONGEST_SECONDS}", *tests]
    try:
        done = subprocess.run(
            command,
            cwd=where,
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            timeout=LONGEST_SECONDS * max(1, len(tests)) * 4,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "timed out"
    return done.stdout + done.stderr


def tried(mutant: Mutant) -> Outcome:
    """Make *mutant* and let its scenario run on it."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cms-mutant-") as name:
        folder = Path(name)
        try:
            made(mutant, folder)
        except Stale as stale:
            return Outcome(mutant, "STALE", str(stale), 0.0)
        said = run_tests(folder, [mutant.test], mutant.env)
    found = re.search(rf"^\.?F?({re.escape(mutant.scenario)} (pass|FAIL) .*)$", said, re.MULTILINE)
    line = found[1] if found else said.strip().splitlines()[-1][:200]
    verdict = "killed" if found and found[2] == "FAIL" else "SURVIVED"
    return Outcome(mutant, verdict, line, time.monotonic() - began)


def fresh_figures() -> list[dict[str, Any]]:
    """Run every scenario on the product as it is; returns their figures."""
    with tempfile.TemporaryDirectory(prefix="cms-figures-") as name:
        file = Path(name) / "figures.jsonl"
        said = run_tests(ROOT, [HERE], {"CMS_FIGURES": str(file)})
        print(said.strip().splitlines()[-1])
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


# ---------------------------------------------------------------- the page


def table(figures: Iterable[dict[str, Any]], outcomes: Iterable[dict[str, Any]]) -> str:
    """The generated part of the page."""
    rows = ["| Scenario | Verdict | Seed | n | Figures: value (limit) | Facts | Time |"]
    rows.append("|---|---|---|---|---|---|---|")
    for each in figures:
        values = " ".join(
            f"{name} {_short(value)} ({_short(limit)})"
            for name, (value, limit) in each["figures"].items()
        )
        facts = " ".join(f"{name} {_short(value)}" for name, value in each["facts"].items())
        rows.append(
            f"| {each['id']} | {each['verdict']} | {each['seed']} | {each['n']} | {values} "
            f"| {facts} | {each['seconds']} s |"
        )
    rows += ["", "| Mutant | What it does wrong | Scenario | Verdict | What the scenario said |"]
    rows.append("|---|---|---|---|---|")
    for each in outcomes:
        said = re.sub(r" (?:t|mutant)=\S+", "", each["line"])
        bad = " ".join(re.findall(r"\w+=[^ (]+\([^)]+\)", said)) if each["verdict"] else said
        rows.append(
            f"| {each['mutant']} | {each['breaks']} | {each['scenario']} | {each['verdict']} "
            f"| {_over_the_limit(bad) or said[:120]} |"
        )
    return "\n".join(rows)


def _over_the_limit(values: str) -> str:
    """Only the figures that are over their limits."""
    found = re.findall(r"(\w+)=([^ (]+)\(([^)]+)\)", values)
    return " ".join(
        f"{name} {value} ({limit})" for name, value, limit in found if _over(value, limit)
    )


def _over(value: str, limit: str) -> bool:
    try:
        return float(value) > float(limit)
    except ValueError:
        return False


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def write_page(figures: Sequence[dict[str, Any]], outcomes: Sequence[dict[str, Any]]) -> None:
    """Replace the generated part of ``docs/reliability.md``."""
    text = PAGE.read_text()
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    PAGE.write_text(f"{head}{BEGIN}\n{table(figures, outcomes)}\n{END}{tail}")


def main() -> int:
    """Run the mutants; 1 if one of them survived."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.mutants")
    parser.add_argument("--only", action="append", help="name of a mutant, or id of a scenario")
    options = parser.parse_args()
    chosen = [m for m in MUTANTS if not options.only or {m.name, m.scenario} & set(options.only)]
    figures = [] if options.only else fresh_figures()
    outcomes = []
    for mutant in chosen:
        outcome = tried(mutant)
        outcomes.append(outcome)
        print(f"{outcome.verdict:8} {mutant.name} ({mutant.scenario}) {outcome.line}", flush=True)
    if not options.only:
        write_page(figures, [each.record() for each in outcomes])
    bad = [each for each in figures if each["verdict"] != "pass"]
    return 1 if bad or any(each.verdict != "killed" for each in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
