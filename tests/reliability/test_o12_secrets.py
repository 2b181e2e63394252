"""O12: no secret that goes in comes out: not in logs at DEBUG, metrics, answers, case files, exports."""

from __future__ import annotations

import asyncio
import base64
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from simulators.emsp import Emsp, Fault, Kind
from tests.harness.charger import Charger, dial, plugged, stamp, start16, stop16
from tests.harness.network import CARD, Network, password
from tests.harness.partners import registered
from tests.harness.server import Api, Server, serving
from tests.reliability.conftest import Judge

pytestmark = [
    pytest.mark.reliability,
    pytest.mark.xdist_group("reliability"),
    pytest.mark.timeout(180),
]

WRONG = "canary-wrong-password-of-somebody"
LANE_SECRET = "canary-lane-secret-0123456789"
LANE_PASSWORD = "canary-lane-password-0123456789"

PATHS = (
    "/sites", "/chargers", "/chargers/FLEET-00000", "/chargers/FLEET-00000/log",
    "/refused-handshakes", "/sessions", "/cdrs", "/tariffs", "/tokens", "/partners",
    "/partners/IN*EMP", "/keys", "/work-items", "/audit?limit=500", "/ledger.jsonl", "/openapi.json",
    "/no-such-thing",
)  # fmt: skip


def spellings(secret: str, identity: str | None = None) -> set[str]:
    """Every form in which a secret could be seen: as it is, in Base64, as a Basic credential."""
    forms = {secret, base64.b64encode(secret.encode()).decode()}
    if identity is not None:
        forms.add(base64.b64encode(f"{identity}:{secret}".encode()).decode())
    return forms


async def misbehave(network: Network) -> None:
    """Knock with wrong passwords, say secrets in frames, send what breaks."""
    for secret in (WRONG, LANE_SECRET, ""):
        with suppress(InvalidStatus):
            (await dial(network, 0, secret=secret)).vanish()
    async with aiohttp.ClientSession() as http:
        for path in (f"{LANE_SECRET}/X-1", f"x?password={WRONG}", "X%0d%0aX: y"):
            url = f"{network.ocpp_url.replace('ws:', 'http:')}/{path}"
            with suppress(aiohttp.ClientError):
                await http.get(url, headers={"Authorization": f"Basic {WRONG}"})
    async with plugged(network, 0) as charger:
        await _talk_secrets(charger, password(network.identity(0)))


async def _talk_secrets(charger: Charger, secret: str) -> None:
    for action, body in (
        ("DataTransfer", {"vendorId": "x", "data": secret}),
        ("BootNotification", {"chargePointVendor": secret[:20], "chargePointModel": secret}),
        ("StatusNotification", {"connectorId": 1, "errorCode": secret, "status": secret}),
        ("StartTransaction", {"connectorId": "x", "idTag": secret, "meterStart": secret}),
        ("NoSuchAction", {"password": secret}),
    ):
        with suppress(Exception):  # CALLERRORs are as good as answers here
            await charger.call(action, body, timeout=5)
    for text in (f'[2,"1","Heartbeat",{{"{secret}"', f'["{secret}"]', f'[3,"{secret}",{{}}]'):
        with suppress(ConnectionClosed):
            await charger.send(text)


async def charged(network: Network, number: int) -> None:
    """One whole session, begun again where a failpoint took the store away."""
    begin = start16(CARD.format(number=number), 1_000, stamp(minutes=5))
    for _ in range(50):
        with suppress(ConnectionClosed, ConnectionError, InvalidStatus, OSError):
            async with plugged(network, number) as charger:
                answer = await charger.call("StartTransaction", begin)
                stop = stop16(answer["transactionId"], 1_500, stamp())
                await charger.call("StopTransaction", stop)
                return
        await asyncio.sleep(0.2)
    raise AssertionError("the server did not come back")


async def partner_troubles(server: Server, emsp: Emsp) -> set[str]:
    """Use every token in every wrong way; returns all secrets that were about."""
    connection, network = emsp.connection, server.network
    for module, kind in (
        ("locations", Kind.HTML),
        ("sessions", Kind.REDIRECT),
        ("cdrs", Kind.BAD_JSON),
        ("cdrs", Kind.CLOSE),
    ):
        emsp.faults.add(Fault(kind, module, times=1, url=f"http://127.0.0.1:9/?token={WRONG}"))
    await charged(network, 1)
    await emsp.wait_for(lambda: emsp.store.cdrs, 60)
    base = f"{network.base}/ocpi"
    for token in (WRONG, connection.outbound or ""):
        for path in ("versions", "2.2.1/sessions", "2.2.1/nothing", f"2.2.1/cdrs/{token}"):
            with suppress(aiohttp.ClientError):
                await emsp.client.request("GET", f"{base}/{path}", token=token)
                await emsp.client.request("POST", f"{base}/{path}", {"token": token}, token=token)
    secrets = {each for each in (connection.outbound, *connection.inbound) if each}
    await emsp.update_credentials()
    return secrets | {each for each in (connection.outbound, *connection.inbound) if each}


async def new_charger(network: Network, api: Api) -> dict[str, Any]:
    """Let the API define a charger and draw its password, which it shows once."""
    body = {**network.config()["chargers"][0], "id": "API-1"}
    del body["password"]
    body["evses"] = [{**body["evses"][0], "uid": "API-1-1", "evse_id": "IN*CPO*EAPI1"}]
    await api.put("/chargers/API-1", body)
    drawn: dict[str, Any] = await api.post("/chargers/API-1/password")
    return drawn


async def everything_said(server: Server, api: Api) -> dict[str, str]:
    """Whatever a person can get to see, by where."""
    said: dict[str, str] = {}
    for path in PATHS:
        async with api.http.get(f"{api.base}/api/v1{path}") as answer:
            said[path] = await answer.text()
    for session in await api.lines("/ledger.jsonl"):
        if session["kind"] == "session":
            path = f"/sessions/{session['id']}/timeline"
            async with api.http.get(f"{api.base}/api/v1{path}") as answer:
                said[path] = await answer.text()
    async with api.http.get(f"{api.base}/metrics") as answer:
        said["/metrics"] = await answer.text()
    return said


async def test_o12_no_secret_comes_out_anywhere(tmp_path: Path, scenario: Judge) -> None:
    lane = {
        "location": "SITE-0",
        "until": "2099-01-01T00:00:00+00:00",
        "secret": LANE_SECRET,
        "password": LANE_PASSWORD,
    }
    more: dict[str, Any] = {"log": {"level": "debug"}, "enrolment": [lane]}
    network = Network(tmp_path, chargers=3, own_cards=False, more=more)
    with scenario("O12", mutant="no-redaction") as this:
        secrets = {WRONG, LANE_SECRET, LANE_PASSWORD}
        forms = {form for secret in secrets for form in spellings(secret)}
        env = {"CMS_FAILPOINT": "X5:2:raise,X3:2:raise"}
        async with serving(network, env=env) as server, server.api() as api:
            async with registered(server, cards=range(1, 3)) as emsp:
                await misbehave(network)
                for secret in await partner_troubles(server, emsp):
                    forms |= spellings(secret)
                await charged(network, 2)
                drawn = await new_charger(network, api)
                key = await api.post("/keys", {"name": "canary", "rights": ["read"]})
                said = await everything_said(server, api)
            forms |= spellings(str(drawn["password"])) | spellings(str(key["key"]))
            forms |= spellings(server.key)
            for number in range(3):
                forms |= spellings(password(network.identity(number)), network.identity(number))
            code, _ = await server.terminate()
            said["log"] = server.log()
        found = [(where, form) for where, text in said.items() for form in forms if form in text]
        this.n = len(forms) * len(said)
        this.facts["secrets"] = len(forms)
        this.facts["tracebacks"] = said["log"].count("Traceback")
        this.wrong(*found)
        this.figure("canaries_found", len(found))
        this.figure("exit_code", abs(code))
