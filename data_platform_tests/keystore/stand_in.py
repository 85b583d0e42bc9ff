"""A server with the two calls of Google Cloud KMS that are used, as its reference describes them: real AES-GCM, its checksums, its
errors. It has no IAM, no key versions and no quotas: what these do, only Google's own service shows."""

from __future__ import annotations

import json
import os
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import google_crc32c
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY = "projects/acme/locations/eu/keyRings/platform/cryptoKeys/master"


class Kms:
    """``keys`` by resource name. The next ``failing`` requests are answered with 503; ``damaging`` flips a bit of each answer."""

    def __init__(self) -> None:
        self.keys = {KEY: AESGCM(AESGCM.generate_key(256))}
        self.requests: list[str] = []
        self.failing = 0
        self.damaging = False
        self.url = ""

    def answer(self, path: str, body: dict[str, str]) -> tuple[int, dict[str, Any]]:
        self.requests.append(path)
        if self.failing:
            self.failing -= 1
            return 503, {"error": {"status": "UNAVAILABLE"}}
        name, _, call = path.removeprefix("/v1/").partition(":")
        if name not in self.keys:
            return 404, {"error": {"status": "NOT_FOUND"}}
        given = {field: b64decode(body[field]) for field in body if not field.endswith("Crc32c")}
        for field, value in given.items():
            if f"{field}Crc32c" in body and body[f"{field}Crc32c"] != str(google_crc32c.value(value)):
                return 400, {"error": {"status": "INVALID_ARGUMENT"}}
        data = given["additionalAuthenticatedData"]
        if call == "encrypt":
            nonce = os.urandom(12)
            made = nonce + self.keys[name].encrypt(nonce, given["plaintext"], data)
            return 200, {
                "name": f"{name}/cryptoKeyVersions/1",
                **self._bytes("ciphertext", made),
                "verifiedPlaintextCrc32c": "plaintextCrc32c" in body,
                "verifiedAdditionalAuthenticatedDataCrc32c": "additionalAuthenticatedDataCrc32c" in body,
            }
        try:
            opened = self.keys[name].decrypt(given["ciphertext"][:12], given["ciphertext"][12:], data)
        except InvalidTag:
            return 400, {"error": {"status": "INVALID_ARGUMENT"}}
        return 200, self._bytes("plaintext", opened)

    def _bytes(self, field: str, value: bytes) -> dict[str, str]:
        checksum = str(google_crc32c.value(value))
        if self.damaging:
            value = bytes([value[0] ^ 1]) + value[1:]
        return {field: b64encode(value).decode(), f"{field}Crc32c": checksum}


@contextmanager
def serving() -> Iterator[Kms]:
    kms = Kms()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, answer = kms.answer(self.path, body)
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kms.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield kms
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
