"""The evidence behind one bill, as an archive that can be handed to whoever disputes it.

Everything that the bill rests on and everything that its owner was told of it: frames, samples,
the tariff as it was frozen, the calculation, the session, the bill in each version of its
owner's protocol, every request about it with its answer. Of other partners there is nothing in it,
secrets are blacked out, and the manifest names each file with its SHA-256.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from cms.app.casefile import CaseFile
from cms.app.ports import CdrQuery, Clock, DatedCdr, JournalEntry, Page, Store
from cms.app.writes import Exchange
from cms.domain.cdr import Cdr
from cms.domain.errors import NotFound
from cms.domain.ids import CdrId
from cms.domain.plain import to_plain
from cms.domain.session import Session

Rendered = Callable[[DatedCdr], Mapping[str, Any]]
"""Returns a bill as its owner reads it, by version of the protocol; None where it has no form."""

_TOLD = frozenset({"command", "decision", "frame", "repair", "sample", "commit", "price"})
"""Steps of the story that go into an archive; what people did about it stays inside."""

_NO_TIME = (1980, 1, 1, 0, 0, 0)
"""Of files in the archive: equal evidence is an equal archive."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """An archive (zip) about one bill."""

    bill: CdrId
    archive: bytes


class Evidence:
    """Gathers it.

    Args:
        rendered: see ``Rendered``.
        hide: blacks out secrets in a text.
    """

    def __init__(
        self,
        store: Store,
        casefile: CaseFile,
        rendered: Rendered,
        hide: Callable[[str], str],
        clock: Clock,
    ) -> None:
        self._store = store
        self._casefile = casefile
        self._rendered = rendered
        self._hide = hide
        self._clock = clock

    async def bundle(self, id: CdrId) -> Bundle:
        """Return the archive about bill *id*.

        Raises:
            NotFound: there is no such bill, or nothing is kept of its session.
        """
        found = await self._store.cdr(id)
        if found is None:
            raise NotFound("bill", id)
        kept = await self._store.session(found.cdr.session)
        if kept is None:
            raise NotFound("session", found.cdr.session)
        files = await self._files(found, kept.session)
        hidden = {name: self._hide(text).encode() for name, text in files.items()}
        return Bundle(id, _zipped(self._with_manifest(found.cdr, hidden)))

    async def _files(self, found: DatedCdr, session: Session) -> dict[str, str]:
        bills = await self._bills(found.cdr)
        entries = await self._store.journal(session.id)
        files = {
            "bill.json": _json(to_plain(found.cdr)),
            "session.json": _json(to_plain(session)),
            "rating.txt": "\n".join(found.cdr.trace) + "\n",
            "frames.jsonl": _lines(_frame(each) for each in entries),
            "samples.csv": _samples(entries),
            "exchanges.jsonl": _lines(map(_exchange, await self._exchanges(bills))),
            "story.txt": await self._story(session),
        }
        for tariff in found.cdr.tariffs:
            files[f"tariffs/{_file(tariff.id)}.json"] = _json(to_plain(tariff))
        for each in bills:
            if each.cdr.id != found.cdr.id:
                files[f"related/{_file(each.cdr.id)}.json"] = _json(to_plain(each.cdr))
            for version, body in self._rendered(each).items():
                files[f"partner/{version}/{_file(each.cdr.id)}.json"] = _json(body)
        return files

    async def _bills(self, bill: Cdr) -> Sequence[DatedCdr]:
        """Return all bills of the session that went to the same owner: with credits."""
        query = CdrQuery(session=bill.session, page=Page(limit=500))
        found, _ = await self._store.cdrs(query)
        return [each for each in found if each.cdr.owner == bill.owner]

    async def _exchanges(self, bills: Sequence[DatedCdr]) -> Sequence[Exchange]:
        """Return what was said about session and bills, with their owner and nobody else."""
        owner, session = bills[0].cdr.owner, bills[0].cdr.session
        found = list(await self._store.exchanges(session=session, partner=owner, limit=10_000))
        for each in bills:
            found += await self._store.exchanges_about("cdr", each.cdr.id)
        theirs = {_identity(each): each for each in found if each.partner == owner}
        return sorted(theirs.values(), key=lambda each: each.at)

    async def _story(self, session: Session) -> str:
        story = await self._casefile.story(session)
        steps = [step for step in story.steps if step.kind in _TOLD]
        lines = [f"{story.site_time(step)}  {step.kind:<9} {step.title}" for step in steps]
        return "\n".join([f"times of {story.zone.key}", *lines]) + "\n"

    def _with_manifest(self, bill: Cdr, files: dict[str, bytes]) -> dict[str, bytes]:
        manifest = {
            "bill": bill.id,
            "session": bill.session,
            "owner": bill.owner,
            "made_at": self._clock().isoformat(),
            "secrets": "blacked out as [secret]; hashes are of the files as they are here",
            "files": {
                name: {"sha256": sha256(body).hexdigest(), "bytes": len(body)}
                for name, body in sorted(files.items())
            },
        }
        return {"manifest.json": _json(manifest).encode(), **files}


def _identity(each: Exchange) -> tuple[datetime, str, str, bytes]:
    return each.at, each.method, each.url, each.request


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n"


def _lines(values: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(each, ensure_ascii=False, default=str) + "\n" for each in values)


def _file(id: str) -> str:
    """Return an id as the name of a file, in an archive that is unpacked anywhere."""
    safe = "".join(c if c.isalnum() or c in "-_" else "_" for c in id)
    return safe if safe == id else f"{safe}-{sha256(id.encode()).hexdigest()[:8]}"


def _frame(entry: JournalEntry) -> dict[str, Any]:
    frame = entry.frame
    return {
        "journal": entry.id,
        "received_at": frame.received_at.isoformat(),
        "station": frame.station,
        "action": frame.action,
        "raw": frame.raw.decode("utf-8", "replace"),
        "charger_time": None if frame.event is None else frame.event.occurred_at.isoformat(),
        "repairs": list(frame.notes),
        "kept_aside": frame.quarantined,
    }


def _samples(entries: Sequence[JournalEntry]) -> str:
    out = io.StringIO()
    sheet = csv.writer(out, lineterminator="\n")
    sheet.writerow(("journal", "at", "quantity", "phase", "value", "context"))
    for entry in entries:
        event = entry.frame.event
        if event is None or entry.frame.quarantined:
            continue
        if event.register_wh is not None:
            register = (entry.id, event.occurred_at.isoformat(), "register of the message", "")
            sheet.writerow((*register, event.register_wh, str(event.kind)))
        for each in event.samples:
            what = (entry.id, each.at.isoformat(), str(each.quantity), each.phase or "")
            sheet.writerow((*what, each.value, str(each.context)))
    return out.getvalue()


def _exchange(each: Exchange) -> dict[str, Any]:
    return {
        "at": each.at.isoformat(),
        "direction": "to the partner" if each.outbound else "from the partner",
        "about": f"{each.kind}:{each.key}",
        "method": each.method,
        "url": each.url,
        "request": each.request.decode("utf-8", "replace"),
        "http_status": each.http_status,
        "answer": each.answer.decode("utf-8", "replace"),
        "took_ms": each.took_ms,
    }


def _zipped(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in files.items():
            archive.writestr(zipfile.ZipInfo(name, _NO_TIME), body, zipfile.ZIP_DEFLATED)
    return out.getvalue()
