"""A full disk: a clear error, the server goes on, and nothing that was acknowledged is lost or broken."""
import hashlib
import os
import pathlib
import sqlite3
import subprocess
import time

import pytest

from conftest import Server

SIZE = 48 << 20


@pytest.fixture
def small_disk(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(disk)], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=False)


def fill(path):
    """Writes until nothing more fits; in small pieces at the end, so that nothing is left."""
    try:
        with open(path, "wb", buffering=0) as file:
            for piece in (65536, 4096):
                try:
                    while True:
                        file.write(b"x" * piece)
                except OSError:
                    pass
    except OSError:
        pass  # no room even for the name


def test_a_full_disk_is_said_and_survived(small_disk):
    server = Server(small_disk / "home").start()
    try:
        kept = {}
        for number in range(8):
            status, text = server.upload(f"f{number}.bin", os.urandom(512 << 10))
            assert status == 200, text
        kept = {item["id"]: server.call("GET", f"/v1/files/{item['id']}/content")[1] for item in server.pages("/v1/files")}
        assert len(kept) == 8

        page = os.urandom(256 << 10).hex().encode()
        digest = "sha256:" + hashlib.sha256(page).hexdigest()
        store = server.ok("POST", "/v1/vector_stores", {"name": "s"})["id"]
        listing = {"collection": store, "source": "s", "files": [{"path": "a.txt", "digest": digest, "bytes": len(page)}], "access": "public"}
        job = "/v1/stoa/ingest/jobs/" + server.ok("POST", "/v1/stoa/ingest/jobs", listing)["id"]

        fill(small_disk / "filler")
        status, text = server.call("PUT", f"{job}/blobs/{digest}", page)
        assert status in (429, 503, 507), (status, text)
        refused = [server.upload(f"late{number}.bin", os.urandom(512 << 10)) for number in range(3)]
        for status, text in refused:
            assert status in (429, 503, 507), (status, text)
            assert b"full" in text or b"space" in text.lower(), text
        for _ in range(3):  # no crash, no half-written answers; other errors may come, but clear ones
            status, text = server.call("POST", "/v1/vector_stores", {"name": "late"})
            assert status in (200, 429, 503, 507), (status, text)

        assert server.process.poll() is None
        assert server.call("GET", "/healthz")[0] == 200
        for file_id, content in kept.items():
            assert server.call("GET", f"/v1/files/{file_id}/content") == (200, content)

        (small_disk / "filler").unlink()
        status, text = server.upload("after.bin", os.urandom(512 << 10))
        assert status == 200, "the server goes on as soon as there is room: " + repr(text)
        server.ok("PUT", f"{job}/blobs/{digest}", page)  # and so does the job
        server.ok("POST", f"{job}/start")
        deadline = time.monotonic() + 30
        while (progress := server.ok("GET", job))["status"] != "completed" and time.monotonic() < deadline:
            time.sleep(0.05)
        assert (progress["status"], progress["done"], progress["failed"]) == ("completed", 1, 0), progress

        fill(small_disk / "filler")  # and a crash while it is full
        server.upload("never.bin", os.urandom(1 << 20))
        server.kill()
        (small_disk / "filler").unlink(missing_ok=True)
        server.start()
        for file_id, content in kept.items():
            assert server.call("GET", f"/v1/files/{file_id}/content") == (200, content)
        assert "after.bin" in {item["filename"] for item in server.pages("/v1/files")}
        assert server.ok("GET", "/v1/stoa/audit/check")["intact"]
        database = next(pathlib.Path(server.home).glob("*.db"))
    finally:
        server.stop()
    with sqlite3.connect(database) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
