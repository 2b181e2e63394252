"""A result as lines, as JSON, as JUnit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from xml.etree import ElementTree

from rich.console import Console
from rich.text import Text

from ocpi_check.catalogue import CPO, EMSP
from ocpi_check.run import Mark, Outcome, Result

STYLES = {
    Mark.PASSED: "green",
    Mark.FAILED: "bold red",
    Mark.ADVICE: "yellow",
    Mark.SKIPPED: "dim",
}


def line(outcome: Outcome) -> Text:
    """One check on one line."""
    text = Text(f"{outcome.mark.value:<8}", style=STYLES[outcome.mark])
    text.append(f"{outcome.check.id:<7}", style="bold")
    text.append(outcome.check.title)
    if outcome.text:
        text.append(f"  ({outcome.text})" if outcome.mark is Mark.SKIPPED else "", style="dim")
    return text


def summary(result: Result, console: Console) -> None:
    """Failures with their exchanges last, after the sums by group."""
    console.print()
    for group in dict.fromkeys(each.check.group for each in result.outcomes):
        console.print(_group(group, [e for e in result.outcomes if e.check.group == group]))
    for mark in (Mark.ADVICE, Mark.FAILED):
        for each in result.marked(mark):
            _shown(each, console)
    console.print()
    console.print(Text(closing(result), style="bold red" if result.failed else "bold green"))


def _group(group: str, outcomes: list[Outcome]) -> Text:
    text = Text(f"{group:<4}", style="bold")
    for mark in Mark:
        number = sum(each.mark is mark for each in outcomes)
        text.append(f"{number:>4} {mark.value}", style=STYLES[mark] if number else "dim")
    return text


def _shown(outcome: Outcome, console: Console) -> None:
    console.print()
    console.print(line(outcome))
    console.print(Text(outcome.text), highlight=False)
    for each in outcome.exchanges:
        console.print(Text("  " + each.replace("\n", "\n  "), style="dim"))


def closing(result: Result) -> str:
    """The last line."""
    counts = ", ".join(f"{len(result.marked(mark))} {mark.value}" for mark in Mark)
    side = {CPO: "CPO", EMSP: "eMSP"}[result.role]
    return f"{side}, OCPI {result.version}: {counts}; {result.requests} requests"


def as_json(result: Result) -> dict[str, Any]:
    return {
        "role": result.role,
        "version": result.version,
        "requests": result.requests,
        "failed": result.failed,
        "counts": {mark.value: len(result.marked(mark)) for mark in Mark},
        "checks": [
            {
                "id": each.check.id,
                "title": each.check.title,
                "level": each.check.level,
                "result": each.mark.value,
                "text": each.text,
                "exchanges": list(each.exchanges),
            }
            for each in result.outcomes
        ],
    }


def as_junit(result: Result) -> bytes:
    """The XML that build servers read. Advice is not a failure, and is told as output."""
    suite = ElementTree.Element(
        "testsuite",
        name=f"OCPI {result.version} {result.role}",
        tests=str(len(result.outcomes)),
        failures=str(len(result.marked(Mark.FAILED))),
        skipped=str(len(result.marked(Mark.SKIPPED))),
    )
    for each in result.outcomes:
        case = ElementTree.SubElement(
            suite, "testcase", classname=f"ocpi.{each.check.group}",
            name=f"{each.check.id} {each.check.title}",
        )  # fmt: skip
        _junit(case, each)
    written: bytes = ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)
    return written


def _junit(case: ElementTree.Element, outcome: Outcome) -> None:
    names = {Mark.FAILED: "failure", Mark.SKIPPED: "skipped", Mark.ADVICE: "system-out"}
    if outcome.mark in names:
        inner = ElementTree.SubElement(case, names[outcome.mark])
        inner.text = _printable(("", outcome.text, *outcome.exchanges))
        if outcome.mark is not Mark.ADVICE:
            inner.set("message", _printable([outcome.text]))


def _printable(texts: Iterable[str]) -> str:
    """Without what XML cannot hold."""
    whole = "\n".join(texts)
    return "".join(each for each in whole if each in "\n\t" or each.isprintable())
