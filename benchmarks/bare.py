"""The reference that every ratio is against: websockets on uvloop, and next to nothing else.

It reads the Basic header, cuts the message id out of each frame and answers a constant. No JSON is
parsed, nothing is kept, nothing is stored.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import sys

import uvloop
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from benchmarks import meter

PASSWORDS = {hashlib.sha256(b"bench-password-0123456789").digest()}
ANSWER = b',{"currentTime":"2026-01-01T00:00:00.000Z"}]'


def admit(socket: ServerConnection, request: Request) -> Response | None:
    """Refuse who does not know the password; the same one for everybody."""
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    _user, _, password = base64.b64decode(encoded).partition(b":")
    digest = hashlib.sha256(password).digest()
    known = any(hmac.compare_digest(digest, each) for each in PASSWORDS)
    return None if scheme == "Basic" and known else socket.respond(401, "no\n")


async def talk(socket: ServerConnection) -> None:
    """As fast as the library goes: no text is decoded on either way."""
    try:
        while True:
            message = await socket.recv(decode=False)
            end = message.index(b'"', 4)
            await socket.send(b"[3," + message[3 : end + 1] + ANSWER, text=True)
    except ConnectionClosed:
        return


async def main(port: int) -> None:
    async with serve(
        talk,
        "127.0.0.1",
        port,
        process_request=admit,
        subprotocols=[Subprotocol("ocpp1.6"), Subprotocol("ocpp2.0.1")],
        compression=None,
        ping_interval=None,
        server_header=None,
        max_queue=4,
    ) as server:
        await server.serve_forever()


if __name__ == "__main__":
    meter.raise_file_limit()
    meter.pin(meter.SERVER_CORE)
    uvloop.run(main(int(sys.argv[1])))
