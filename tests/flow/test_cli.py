"""The command line as an operator uses it: with a server and without, well and badly."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from cms.__main__ import main
from tests.harness.charger import plugged, stamp, start16, stop16
from tests.harness.network import CARD, Network, free_port
from tests.harness.server import Server, serving

SOCKET = "IEC_62196_T2,SOCKET,AC_3_PHASE,230,32"
CHARGERS = f"""\
id,location,evse,evse_uid,evse_id,connector,standard,format,power_type,max_voltage,max_amperage,tariffs
OLD-7,GOA-1,1,legacy-71,IN*CPO*E7701,1,{SOCKET},T-1
OLD-7,GOA-1,2,legacy-72,IN*CPO*E7702,1,{SOCKET},T-1
OLD-8,GOA-1,1,legacy-81,IN*CPO*E7801,1,{SOCKET},T-1
"""
LOCATIONS = """\
id,name,address,city,country,latitude,longitude,time_zone
GOA-1,Beach,Beach Road 1,Panaji,IND,15.49,73.82,Asia/Kolkata
"""
TARIFFS = "id,currency,basis,price_per_kwh,taxes\nT-1,INR,gross,18.00,CGST:9 SGST:9\n"
TOKENS = "uid,contract_id,valid\n04AA,IN-CPO-C1,true\n04BB,IN-CPO-C2,false\n"


class Cli:
    """``cms`` in this process, on one network's config."""

    def __init__(self, network: Network, capsys: pytest.CaptureFixture[str]) -> None:
        self.network = network
        self._capsys = capsys
        network.write()

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """Run; returns exit code, standard output, standard error."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["cms", *arguments])
            patch.setenv("CMS_CONFIG", str(self.network.config_file))
            with pytest.raises(SystemExit) as ended:
                main()
        out, err = self._capsys.readouterr()
        return int(ended.value.code or 0), out, err

    def well(self, *arguments: str) -> str:
        code, out, err = self(*arguments)
        assert code == 0, f"{arguments}: {code} {out} {err}"
        return out

    def badly(self, *arguments: str) -> str:
        """Run what must fail; returns its one line."""
        code, _, err = self(*arguments)
        assert code == 2, f"{arguments}: {code} {err}"
        lines = [line for line in err.splitlines() if not line.startswith("{")]
        assert len(lines) == 1 and lines[0].startswith("cms: "), err
        return lines[0].removeprefix("cms: ")

    def file(self, name: str, text: str | bytes) -> str:
        path = self.network.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)


@pytest.fixture
def cms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Cli]:
    yield Cli(Network(tmp_path, chargers=1), capsys)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with serving(Network(tmp_path, chargers=1)) as server:
        yield server


# -- without a server: the store itself, by the same routes


def test_an_import_keeps_the_ids_that_partners_know(cms: Cli) -> None:
    for what, text in (
        ("locations", LOCATIONS), ("tariffs", TARIFFS), ("chargers", CHARGERS), ("tokens", TOKENS),
    ):  # fmt: skip
        out = cms.well("import", what, cms.file(f"{what}.csv", text))
        assert out.rstrip().endswith("taken over")
    found = json.loads(cms.well("chargers", "list", "--json"))
    evses = {each["uid"]: each["evse_id"] for one in found for each in one["evses"]}
    assert evses.items() >= {
        "legacy-71": "IN*CPO*E7701", "legacy-72": "IN*CPO*E7702", "legacy-81": "IN*CPO*E7801",
    }.items()  # fmt: skip
    tokens = {each["uid"]: each for each in json.loads(cms.well("tokens", "list", "--json"))}
    assert (tokens["04AA"]["valid"], tokens["04BB"]["valid"]) == (True, False)
    assert tokens["04AA"]["contract_id"] == "IN-CPO-C1"
    again = cms.well("import", "chargers", cms.file("chargers.csv", CHARGERS))
    assert "password" not in again, "a second import draws no new passwords"


@pytest.mark.parametrize(
    ("what", "text", "error"),
    [
        ("tokens", "", "f.csv: is empty; its first line must name the columns"),
        ("tokens", b"\xff\xfe", "f.csv: not UTF-8"),
        ("tokens", "uid,valid\nA,true\nB,maybe\n", "f.csv:3: valid: expected true or false, not 'maybe'"),
        ("tokens", "uid\nA\nA\n", "f.csv:3: uid: 'A' is at f.csv:2 already"),
        ("tokens", "uid\nA,B\n", "f.csv:2: more cells than columns"),
        ("tokens", "uid,colour\nA,red\n", "f.csv:2: colour: no such key"),
        ("tokens", "contract_id\nC\n", "f.csv:2: uid: is required"),
        ("tokens", "uid\nNEW-1\nTAG-00000\n", "f.csv:3: token TAG-00000 is defined by the config file; change it there (1 of 2 taken over before it)"),
        ("tariffs", "id,currency\nT,INR\n", "f.csv:2: price_per_kwh: expected at least one price"),
        ("tariffs", "id,currency,price_per_kwh,taxes\nT,INR,1,GST\n", "f.csv:2: taxes[0].percent: is required"),
        ("chargers", "id\nC\n", "f.csv:2: location: is required"),
        ("chargers", CHARGERS.replace("IEC_62196_T2,", "SCHUKO,", 1).replace("tariffs\n", "colour\n", 1), "f.csv:2: colour: no such column; known are id, location"),
        ("chargers", CHARGERS, "f.csv:2: location: no site 'GOA-1' (0 of 2 taken over before it)"),
        ("locations", LOCATIONS.replace("IND", "India"), "f.csv:2: country: expected three capital letters, not 'India'"),
    ],
)  # fmt: skip
def test_a_bad_table_is_refused_by_file_line_and_column(
    cms: Cli, what: str, text: str | bytes, error: str
) -> None:
    line = cms.badly("import", what, cms.file("f.csv", text))
    assert line.startswith(error)


def test_verbs_add_show_and_list(cms: Cli) -> None:
    drawn = json.loads(
        cms.well("chargers", "add", "NEW/1".replace("/", "-"), "--location", "SITE-0")
    )
    assert len(drawn["password"]) >= 16
    assert json.loads(cms.well("chargers", "show", "NEW-1"))["approval"] == "approved"
    moved = json.loads(cms.well("chargers", "approve", "NEW-1", "--to", "testing"))
    assert moved["approval"] == "testing"
    assert json.loads(cms.well("chargers", "password", "NEW-1"))["password"] != drawn["password"]
    cms.well("tokens", "add", "A/B 1", "--contract", "C-1")
    assert json.loads(cms.well("tokens", "show", "a/b 1"))[0]["contract_id"] == "C-1"
    cms.well("tariffs", "add", "T", "--price-per-kwh", "18.00", "--gross", "--tax", "GST:18")
    assert json.loads(cms.well("tariffs", "show", "T"))["basis"] == "gross"
    invited = json.loads(cms.well("partners", "add", "IN*EMS", "--name", "Moby"))
    assert invited["token"] and invited["url"].endswith("/ocpi/versions")
    assert json.loads(cms.well("partners", "show", "IN*EMS", "--json"))["state"] == "invited"
    key = json.loads(cms.well("keys", "add", "owner", "--right", "read", "--site", "SITE-0"))
    cms.well("keys", "revoke", key["id"])
    listed = cms.well("keys", "list").splitlines()
    assert listed[0].split() == ["ID", "NAME", "RIGHTS", "SITES", "EXPIRES_AT", "REVOKED"]
    assert any(line.startswith(key["id"]) and line.endswith("yes") for line in listed)
    assert cms.well("work", "list").split() == "ID TYPE SUBJECT CHARGER OPENED_AT ACTIONS".split()


def test_a_long_line_of_a_list_is_not_cut(cms: Cli) -> None:
    name = "A" * 100
    cms.well("keys", "add", name, "--right", "read")
    assert name in cms.well("keys", "list")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("chargers", "show", "NOPE"), "no charger 'NOPE'"),
        (("tokens", "show", "NOPE"), "no token 'NOPE'"),
        (("keys", "add", "x", "--right", "see"), "rights[0]: expected 'read', 'operate'"),
        (("partners", "add", "EMS", "--name", "x"), "id: expected country code and party id"),
        (("explain", "nothing"), "no session, bill, reference, token or charger@time 'nothing'"),
        (("work", "act", "none", "dismiss"), "no work item 'none'"),
        (("chargers", "approve", "FLEET-00000", "--to", "removed"), "charger FLEET-00000 is defined by the config file"),
    ],
)  # fmt: skip
def test_a_refusal_is_one_line(cms: Cli, arguments: tuple[str, ...], error: str) -> None:
    assert cms.badly(*arguments).startswith(error)


def test_check_config_says_what_the_file_defines(cms: Cli) -> None:
    assert cms.well("check-config") == "config ok: 1 locations, 1 chargers, 1 tariffs, 1 tokens\n"


def test_upgrade_makes_a_database_and_says_its_version(cms: Cli) -> None:
    assert cms.well("db", "upgrade").startswith("schema 0")
    assert (cms.network.folder / "cms.db").exists()


@pytest.mark.parametrize(
    ("address", "error"),
    [
        ("mysql://x/y", "expected sqlite:///FILE or postgresql://USER@HOST/NAME"),
        ("garbage", "expected sqlite:///FILE or postgresql://USER@HOST/NAME"),
        ("sqlite:////nowhere/x.db", "cannot open /nowhere/x.db: No such file or directory"),
        ("postgresql://me:hunter2hunter2@127.0.0.1:1/cms", "cannot open postgresql://me:***@127.0.0.1:1/cms"),
    ],
)  # fmt: skip
def test_a_wrong_database_address_is_one_line_without_its_password(
    cms: Cli, address: str, error: str
) -> None:
    cms.network.database = address
    cms.network.write()
    line = cms.badly("serve")
    assert line.startswith("config.toml: database.url: ") and error in line
    assert "hunter2" not in line


def test_a_newer_schema_is_refused_and_left_alone(cms: Cli) -> None:
    cms.well("db", "upgrade")
    with sqlite3.connect(cms.network.folder / "cms.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    for verb in (("serve",), ("db", "upgrade"), ("chargers", "list")):
        assert "was written by a newer version of this program" in cms.badly(*verb)


def test_a_file_that_is_no_database_is_refused(cms: Cli) -> None:
    cms.file("cms.db", "hello, hello, hello, hello")
    assert "file is not a database" in cms.badly("serve")


def test_an_operator_file_that_cannot_be_written_is_named(cms: Cli) -> None:
    cms.network.more = {"http": {"operator_file": "/nowhere/operator.json"}}
    cms.network.write()
    assert cms.badly("serve") == (
        "config.toml: http.operator_file: cannot write /nowhere/operator.json: "
        "No such file or directory"
    )


def test_an_address_that_is_not_ours_is_named(cms: Cli) -> None:
    cms.network.more = {"http": {"host": "203.0.113.7"}}
    cms.network.write()
    assert cms.badly("serve").startswith("config.toml: http.host: cannot listen on '203.0.113.7'")


def test_wrong_usage_ends_with_2(cms: Cli) -> None:
    for arguments in (("frobnicate",), ("serve", "--colour"), ("chargers", "show")):
        assert cms(*arguments)[0] == 2


# -- beside a running server


async def cli(server: Server, *arguments: str) -> str:
    code, text = await server.cli(*arguments)
    assert code == 0, f"{arguments}: {code} {text}"
    return text


async def test_verbs_reach_the_running_server(server: Server) -> None:
    async with plugged(server.network, 0) as socket:
        started = await socket.call(
            "StartTransaction", start16(CARD.format(number=0), 0, stamp(hours=2))
        )
        await socket.call(
            "StopTransaction", stop16(started["transactionId"], 10_000, stamp(hours=1))
        )
        shown = json.loads(await cli(server, "chargers", "show", "FLEET-00000"))
        assert (shown["online"], shown["vendor"]) == (True, "Harness")
        frames = await cli(server, "chargers", "log", "FLEET-00000")
        assert "StartTransaction" in frames and " <- " in frames and " -> " in frames
    async with server.api() as api:
        for _ in range(200):
            if bills := (await api.get("/cdrs"))["cdrs"]:
                break
        (bill,) = bills
    story = await cli(server, "explain", bill["id"])
    assert "StartTransaction received" in story
    assert "gross 180.00 INR" in story
    await cli(server, "tokens", "add", "ONLINE-1")
    assert "ONLINE-1" in await cli(server, "tokens", "list")


async def test_a_backup_beside_the_server_is_whole_and_overwrites_nothing(server: Server) -> None:
    copy = server.network.folder / "copy.db"
    await cli(server, "db", "backup", str(copy))
    with sqlite3.connect(copy) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("SELECT count(*) FROM stations").fetchone() == (1,)
    database.close()
    code, text = await server.cli("db", "backup", str(copy))
    assert code == 2 and "exists already, will not be overwritten" in text


async def test_a_second_server_on_the_same_file_or_port_refuses(
    server: Server, tmp_path: Path
) -> None:
    folder = tmp_path / "second"
    folder.mkdir()
    same_file = Network(folder, chargers=1, database=server.network.database_url)
    assert serve_badly(same_file).endswith("stop it first")
    same_port = Network(folder, chargers=1, http_port=server.network.http_port)
    assert serve_badly(same_port) == (
        f"cms: config.toml: http.port: port {same_port.http_port} is in use by another program"
    )
    same_port = Network(
        folder, chargers=1, ocpp_port=server.network.ocpp_port, http_port=free_port()
    )
    assert serve_badly(same_port).startswith("cms: config.toml: ocpp.port: ")
    async with server.api() as api:
        assert await api.get("/sites"), "the first is unhurt"


def serve_badly(network: Network) -> str:
    """Run ``cms serve``, which must end at once; returns what it says last."""
    done = subprocess.run(
        [sys.executable, "-m", "cms", "serve", "--config", str(network.write())],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


async def test_sigterm_ends_it_in_time_and_no_secret_is_in_its_log(server: Server) -> None:
    file = server.network.operator_file
    key: Any = json.loads(file.read_text())["key"]
    code, seconds = await server.terminate()
    assert (code, seconds < 10, file.exists()) == (0, True, False)
    assert key not in server.log() and "canary-charger" not in server.log()


def test_the_ledger_is_exported_as_json_lines(cms: Cli) -> None:
    assert cms.well("export", "ledger") == ""
    file = cms.network.folder / "ours.jsonl"
    cms.well("export", "ledger", str(file))
    assert file.read_text() == ""
