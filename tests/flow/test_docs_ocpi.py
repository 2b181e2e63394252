"""docs/ocpi.md, run as its reader would: every command of the page in order, none left out."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cms.cli.main import app
from tests.flow.product import Product, product
from tests.harness.server import ROOT

PAGE = ROOT / "docs" / "ocpi.md"
STANDS_FOR = {"BLR-1": "SITE-0"}
"""Names of the example's network, and what this network has in their place."""

SAYS_NO = ("invoices issue",)
"""Commands that the page shows to be refused: nothing was charged yet."""


def commands() -> list[str]:
    """Return the lines of the page that are typed, in order."""
    blocks = re.findall(r"```console\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


@dataclass(slots=True)
class Reader:
    """Somebody who types what the page says.

    Attributes:
        token: the last one that was printed.
        addresses: versions URLs that simulators printed, by the port in the page.
        said: what each command printed, by its words.
    """

    cpo: Product
    stack: AsyncExitStack
    token: str = ""
    addresses: dict[str, str] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)

    async def types(self, line: str) -> None:
        words = shlex.split(self._here(line))
        if words[0] == "cms":
            self.said[line] = await asyncio.to_thread(self._cms, words[1:])
        else:
            assert words[:2] == ["python", "-m"], line
            self.said[line] = await self._simulator(words[1:])
        self._learn(line, self.said[line])

    def _here(self, line: str) -> str:
        for name, ours in STANDS_FOR.items():
            line = line.replace(name, ours)
        line = line.replace("--token=TOKEN", f"--token={self.token}")
        line = line.replace("--token-a=TOKEN", f"--token-a={self.token}")
        line = line.replace("http://127.0.0.1:8080", self.cpo.network.base)
        for port, base in self.addresses.items():
            line = line.replace(f"http://127.0.0.1:{port}", base)
        return re.sub(r"--port \d+", "--port 0", line)

    def _learn(self, line: str, said: str) -> None:
        if found := re.search(r'(?:"token": "|token_a )([\w-]+)', said):
            self.token = found[1]
        if found := re.search(r"versions (http://[\d.:]+)/ocpi", said):
            port = re.search(r"--port (\d+)", line)
            assert port is not None
            self.addresses[port[1]] = found[1]

    def _cms(self, words: list[str]) -> str:
        config = [] if words[0] == "ocpi" else ["--config", str(self.cpo.network.config_file)]
        ended = CliRunner().invoke(app, [*words, *config])
        refused = any(" ".join(words).startswith(each) for each in SAYS_NO)
        if refused:
            assert ended.exit_code != 0, words
            return str(ended.exception)
        assert ended.exit_code == 0, (words, ended.output, ended.exception)
        return ended.output

    async def _simulator(self, words: list[str]) -> str:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *words, stdout=asyncio.subprocess.PIPE, cwd=ROOT
        )
        self.stack.push_async_callback(_ended, process)
        assert process.stdout is not None
        said = ""
        async with asyncio.timeout(30):
            while not re.search("registered with|token_a", said):
                line = await process.stdout.readline()
                assert line, said
                said += line.decode()
        return said


async def _ended(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    await process.communicate()


@pytest.mark.timeout(180)
async def test_every_command_of_the_page_does_what_the_page_says(tmp_path: Path) -> None:
    more = {"ocpi": {"allow_private_addresses": True, "compare": False}}
    async with product(tmp_path, more=more) as cpo, AsyncExitStack() as stack:
        cpo.network.write()
        reader = Reader(cpo, stack)
        typed = commands()
        assert len(typed) > 30
        for line in typed:
            await reader.types(line)
        said = reader.said
        shown = {each["id"]: each for each in await cpo.api.get("/partners")}
        assert shown["IN*EMP"]["state"] == "connected"
        assert shown["IN*EM2"]["state"] == "gone"
        assert {shown[each]["via"] for each in ("NL*TNM", "DE*BOB", "FR*NEW")} == {"IN*HUB"}
        assert "connected, OCPI 2.3.0" in said["cms partners show 'IN*EM2'"]
        checks = [text for line, text in said.items() if line.startswith("cms ocpi check")]
        assert len(checks) == 2 and all(" 0 fail," in text for text in checks)
        assert said["cms partners sync 'IN*EMP' --module locations --wait"].endswith("done\n")
        sharing = json.loads(said["cms partners share 'IN*EMP' --all-sites --status shown"])
        assert sharing["sharing"]["sites"] is None
        [refused] = [text for line, text in said.items() if line.startswith("cms invoices issue")]
        assert "no bill of that partner waits for an invoice" in refused
        assert refused.split(": ")[-1] in PAGE.read_text()


def test_links_of_the_page_lead_somewhere() -> None:
    for name, anchor in re.findall(r"\]\(([\w-]+\.md)(#[\w-]+)?\)", PAGE.read_text()):
        there = (PAGE.parent / name).read_text()
        titles = re.findall(r"^#+ (.*)$", there, re.MULTILINE)
        slugs = {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in titles}
        assert not anchor or anchor[1:] in slugs, (name, anchor)
