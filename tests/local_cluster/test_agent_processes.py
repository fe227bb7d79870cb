"""Processes and connections for real, without a cluster."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pathlib
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
from tests.local_cluster.agent_fixture import is_alive

from farthing_local.agent import proxy
from farthing_local.agent.process import CannotStartError, Process, ProcessRecords


def start(records: ProcessRecords, folder: pathlib.Path, script: str) -> Process:
    with (folder / "output").open("wb") as output:
        return records.start(
            ["sh", "-c", script], env={"PATH": os.environ["PATH"]}, cwd=folder, output=output
        )


@pytest.mark.parametrize(("script", "expected"), [("exit 3", 3), ("kill -9 $$", 137), (":", 0)])
async def test_an_exit_code_says_how_a_process_ended(
    tmp_path: pathlib.Path, script: str, expected: int
) -> None:
    records = ProcessRecords(tmp_path / "records")
    assert await start(records, tmp_path, script).wait() == expected
    assert list((tmp_path / "records").iterdir()) == []


async def test_what_a_process_leaves_behind_ends_with_it(tmp_path: pathlib.Path) -> None:
    records = ProcessRecords(tmp_path / "records")
    await start(records, tmp_path, "sleep 600 & echo $!").wait()
    left = int((tmp_path / "output").read_text())
    for _ in range(100):
        if not is_alive(left):
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"process {left} is still there")


async def test_a_later_agent_ends_what_a_killed_one_left(tmp_path: pathlib.Path) -> None:
    process = start(ProcessRecords(tmp_path / "records"), tmp_path, "sleep 600 & wait")
    assert ProcessRecords(tmp_path / "records").end_leftovers() >= 1
    assert await process.wait() == 137
    assert ProcessRecords(tmp_path / "records").end_leftovers() == 0


def test_a_stranger_that_got_the_same_pid_is_left_alone(tmp_path: pathlib.Path) -> None:
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as stranger:
        records = ProcessRecords(tmp_path / "records")
        text = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        record = tmp_path / "records" / f"{stranger.pid}.json"
        record.write_text(f'{{"pid": {stranger.pid}, "startTicks": 1, "bootId": "{text}"}}')
        assert records.end_leftovers() == 0
        assert stranger.poll() is None
        stranger.kill()


async def test_a_program_that_does_not_exist_cannot_be_started(tmp_path: pathlib.Path) -> None:
    records = ProcessRecords(tmp_path / "records")
    with (
        (tmp_path / "output").open("wb") as output,
        pytest.raises(CannotStartError, match="/nowhere"),
    ):
        records.start(["/nowhere"], env={}, cwd=tmp_path, output=output)


@contextlib.asynccontextmanager
async def echo(name: bytes) -> AsyncIterator[int]:
    """A server that answers what it is sent once the sender has finished."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(name + await reader.read())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@contextlib.asynccontextmanager
async def proxy_to(*ports: int) -> AsyncIterator[int]:
    server = await proxy.listen("127.0.0.1", 0, lambda: [("127.0.0.1", port) for port in ports])
    async with server:
        yield server.sockets[0].getsockname()[1]


async def ask(port: int, text: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def free_port() -> int:
    async with echo(b"") as port:
        return port


async def test_a_large_body_passes_in_both_directions_with_half_close() -> None:
    body = os.urandom(4 * 1024 * 1024)
    async with echo(b"a") as backend, proxy_to(backend) as port:
        assert await ask(port, body) == b"a" + body


async def test_connections_are_spread_over_the_backends() -> None:
    async with echo(b"a") as one, echo(b"b") as other, proxy_to(one, other) as port:
        assert {await ask(port, b"") for _ in range(40)} == {b"a", b"b"}


async def test_a_refused_connection_goes_to_another_backend() -> None:
    refused = await free_port()
    async with echo(b"a") as backend, proxy_to(refused, backend) as port:
        assert [await ask(port, b"x") for _ in range(10)] == [b"ax"] * 10


async def test_without_a_backend_the_connection_is_closed() -> None:
    async with proxy_to() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()
        with contextlib.suppress(ConnectionResetError):
            await writer.wait_closed()


async def test_a_silent_reader_slows_the_sender_instead_of_filling_memory() -> None:
    held = asyncio.Event()

    async def read_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await held.wait()
        writer.transport.abort()

    server = await asyncio.start_server(read_nothing, "127.0.0.1", 0, limit=1024)
    async with server, proxy_to(server.sockets[0].getsockname()[1]) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"x" * 64 * 1024 * 1024)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await writer.drain()
        # Most of it is still with the sender, not in the proxy.
        assert writer.transport.get_write_buffer_size() > 32 * 1024 * 1024
        held.set()
        writer.transport.abort()


def test_the_agent_names_the_file_that_it_cannot_use(tmp_path: pathlib.Path) -> None:
    options = [
        word
        for option in ("kubeconfig", "nodes", "images", "state", "certificate", "key", "client-ca")
        for word in (f"--{option}", str(tmp_path / option))
    ]
    command = [sys.executable, "-m", "farthing_local.agent", *options]
    source = str(pathlib.Path(__file__).parents[2] / "local_cluster")
    done = subprocess.run(
        command, env={"PYTHONPATH": source}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (
        2,
        f"{tmp_path / 'nodes'}: cannot be read: No such file or directory\n",
    )
