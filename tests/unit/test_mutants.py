"""Every mutant of a scenario can still be made: what it changes stands in the code, once."""

from __future__ import annotations

import pytest

from tests.reliability.mutants import MUTANTS, ROOT, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda each: f"{each.name}-{each.scenario}")
def test_what_a_mutant_changes_is_there_once(mutant: Mutant) -> None:
    texts: dict[str, str] = {}
    for edit in mutant.edits:
        text = texts.get(edit.file) or (ROOT / edit.file).read_text()
        assert text.count(edit.old) == 1, f"{edit.file}: {edit.old!r}"
        texts[edit.file] = text.replace(edit.old, edit.new)
    assert (ROOT / mutant.test.split("::")[0]).is_file()
