"""The checker against the running product, against broken copies of it, and against a partner."""

from __future__ import annotations

from pathlib import Path

from ocpi_check.options import Options, Plug
from ocpi_check.run import Mark, Result, run
from tests.flow.product import Product, product


def told(result: Result, *marks: Mark) -> list[str]:
    return [
        f"{each.check.id}: {each.text}\n" + "\n".join(each.exchanges)
        for mark in marks
        for each in result.marked(mark)
    ]


async def invited(cpo: Product, party: str) -> tuple[str, str]:
    """URL and token A for a new partner."""
    body = {"id": f"IN*{party}", "name": party, "allow_private_addresses": True}
    invitation = await cpo.api.post("/partners", body)
    return invitation["url"], invitation["token"]


async def test_our_cpo_passes_from_registration_to_the_bill(tmp_path: Path) -> None:
    async with product(tmp_path, chargers=3) as cpo:
        await cpo.station()
        url, token = await invited(cpo, "CHK")
        options = Options(
            url, token, party=("IN", "CHK"), write=True, pace=0, charge_seconds=1.0,
            plug=Plug("SITE-0", cpo.uid(), "1"), patience=15,
        )  # fmt: skip
        result = await run(options)
        print("\n\n".join(told(result, Mark.FAILED, Mark.ADVICE)))
        assert not told(result, Mark.FAILED, Mark.ADVICE)
