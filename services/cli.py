"""The `tillbridge` command: what operators type."""

import asyncio
import os
import signal
import sys
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Annotated

import grpc
import httpx
import typer
from grpc_health.v1 import health_pb2, health_pb2_grpc
from rich.console import Console

from services import check as stock_check
from services import history as run_history
from services.chassis.auth import Tokens, write_key
from services.chassis.settings import CONTEXTS, Context, Settings
from services.supervisor import Process, Supervisor, until

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
console = Console(highlight=False)

SAMPLE_MERCHANT = "sample-shop"
READY_S = 60.0
HEALTH_S = 3.0
_EVERY_ADDRESS = {"0.0.0.0", "::"}  # noqa: S104  (compared with, not bound to)


@app.command()
def key() -> None:
    """Makes the key that tokens are signed with, if there is none."""
    path = _ensure_key(Settings())
    console.print(f"the token key is in {path}")


@app.command()
def token(
    merchant: Annotated[str, typer.Option(help="Whose data the token opens.")],
    role: Annotated[list[str], typer.Option(help="pos, ecom or operator; may be repeated.")],
    subject: Annotated[str, typer.Option(help="Who will carry it, such as a till.")] = "operator",
    days: Annotated[int, typer.Option(min=1, max=3650)] = 365,
) -> None:
    """Prints a new token."""
    try:
        issuer = Tokens(Settings().signing_key)
        console.print(issuer.issue(subject, merchant, role, timedelta(days=days)), soft_wrap=True)
    except (ValueError, FileNotFoundError) as error:
        raise typer.BadParameter(str(error)) from error


@app.command(name="migrate")
def migrate_all() -> None:
    """Brings every service's database up to date; the services do so themselves on start."""
    from services.chassis import migrate  # noqa: PLC0415  (slow to import, and only used here)

    settings = Settings()
    for context in CONTEXTS:
        migrate.upgrade(context, settings.database(context))
        console.print(f"{context}: up to date")


@app.command()
def health(
    service: Annotated[str, typer.Argument(help="A service's name, or gateway.")],
) -> None:
    """Says whether a running service, or the gateway with all behind it, is ready to serve.

    The exit code is 0 when it is, else 1.
    """
    known = {"gateway": _gateway_health} | {
        context: partial(_service_health, context) for context in CONTEXTS
    }
    if service not in known:
        raise typer.BadParameter(f"known are {', '.join(sorted(known))}")
    problem = known[service](Settings())
    _say(f"{service}: {problem or 'ready'}")
    sys.exit(1 if problem else 0)


def _gateway_health(settings: Settings) -> str:
    """What keeps the gateway from serving; empty when nothing does."""
    try:
        answer = httpx.get(f"{_gateway_url(settings)}/readyz", timeout=HEALTH_S)
    except httpx.HTTPError as error:
        return f"does not answer: {error}"
    return "" if answer.status_code == httpx.codes.OK else answer.text


def _gateway_url(settings: Settings) -> str:
    """Where the gateway is reached from this machine."""
    host = "127.0.0.1" if settings.host in _EVERY_ADDRESS else settings.host
    return f"http://{host}:{settings.http_port}"


def _service_health(context: Context, settings: Settings) -> str:
    """What a service says of itself when it does not serve; empty when it does."""
    with grpc.insecure_channel(settings.address(context)) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=HEALTH_S)
        except grpc.RpcError as error:
            return f"does not answer: {error.details()}"
    if answer.status == health_pb2.HealthCheckResponse.SERVING:
        return ""
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


@app.command(
    name="import",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)
def import_catalog(context: typer.Context) -> None:
    """Imports whole catalogs: products, list, show, rows, approve, cancel, undo."""
    # The gateway reads the files, and nobody below it knows it: this process becomes its command.
    command = [sys.executable, "-m", "gateway.imports", *context.args]
    os.execv(sys.executable, command)  # noqa: S606  (no shell; what was typed is passed on as it is)


@app.command()
def check(
    merchant: Annotated[str, typer.Option(help="Whose stock.")],
    *,
    repair: Annotated[bool, typer.Option(help="Set right what is wrong, after a yes.")] = False,
    yes: Annotated[bool, typer.Option(help="Say yes beforehand.")] = False,
) -> None:
    """Proves that levels are the sums of the ledger, and online stock that of its terms.

    The exit code is 0 when all is right, or was set right, else 1.
    """

    def agree(found: int) -> bool:
        return yes or typer.confirm(f"set {found} right?")

    try:
        right = stock_check.run(Settings(), merchant, repair=repair, agree=agree, say=_say)
    except grpc.RpcError as error:
        _say(f"inventory does not answer: {error.details()}")
        right = False
    sys.exit(0 if right else 1)


@app.command(name="check-history")
def check_history(
    history: Annotated[Path, typer.Argument(help="What a run under faults has written.")],
) -> None:
    """Proves from a run's history that nothing was lost and nothing was doubled.

    The exit code is 0 when all is right, else 1.
    """
    sys.exit(run_history.tell(history, _say))


@app.command()
def up(
    *,
    sandbox: Annotated[
        bool, typer.Option(help="Also start the simulated point of sale and store.")
    ] = False,
) -> None:
    """Starts all services and the gateway, restarts what dies, stops them on Ctrl-C."""
    settings = Settings()
    if settings.exposure:
        sys.exit(settings.exposure)
    _ensure_key(settings)
    sys.exit(asyncio.run(_up(settings, sandbox=sandbox)))


def _ensure_key(settings: Settings) -> Path:
    path = settings.data_dir / "token.key"
    if not settings.token_key and not path.exists():
        write_key(path)
    return path


async def _up(settings: Settings, *, sandbox: bool) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    supervisor = _supervisor(settings, sandbox=sandbox)
    stopping = asyncio.create_task(stop.wait())
    starting = asyncio.create_task(_start(settings, supervisor, sandbox=sandbox))
    try:
        await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
        if starting.done() and starting.result():
            await stopping
        return 0 if stop.is_set() else 1
    finally:
        console.print("stopping …")
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await supervisor.stop()
        console.print("stopped")


async def _start(settings: Settings, supervisor: Supervisor, *, sandbox: bool) -> bool:
    """Starts everything and says so; False, and why, when it does not get ready."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await supervisor.start()
    async with httpx.AsyncClient(base_url=_gateway_url(settings), timeout=HEALTH_S) as client:
        ready = await until(lambda: _is_ready(client), READY_S)
    if not ready:
        _say(f"not ready after {READY_S:.0f} s; {supervisor.log_dir} may say why")
        return False
    if sandbox and await _connect_sample(settings, supervisor) != 0:
        _say(f"the sample shop was not connected; {supervisor.log_dir} may say why")
        return False
    _print_summary(settings, loop.time() - began, sandbox=sandbox)
    return True


def _supervisor(settings: Settings, *, sandbox: bool) -> Supervisor:
    processes = [Process.of(context, f"services.{context}") for context in CONTEXTS]
    processes.append(Process.of("gateway", "gateway"))
    if sandbox:
        processes.insert(0, Process.of("sandbox", "gateway.sandbox"))

    def tell(process: Process, code: int) -> None:
        _say(f"{process.name} ended with {code}; starting it again")

    environment = {"TILLBRIDGE_DATA_DIR": str(settings.data_dir.resolve())}
    return Supervisor(environment, settings.data_dir / "log", processes, tell)


async def _is_ready(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/readyz")).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


async def _connect_sample(settings: Settings, supervisor: Supervisor) -> int:
    """Connects the simulated shop as an operator would, over HTTP."""
    environment = {
        **os.environ,
        **supervisor.environment,
        "TILLBRIDGE_TOKEN": _sample_token(settings),
    }
    connecting = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway.sandbox.connect",
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is ours to pass on
    )
    try:
        return await connecting.wait()
    finally:
        if connecting.returncode is None:
            connecting.kill()
            await connecting.wait()


def _sample_token(settings: Settings) -> str:
    roles = ["pos", "ecom", "operator"]
    issuer = Tokens(settings.signing_key)
    return issuer.issue("operator", SAMPLE_MERCHANT, roles, timedelta(days=365))


def _print_summary(settings: Settings, took_s: float, *, sandbox: bool) -> None:
    base = _gateway_url(settings)
    rows = [("gateway", base, f"docs at {base}/docs")]
    rows += [
        (context, f"127.0.0.1:{settings.port(context)}", "gRPC, reflection on")
        for context in CONTEXTS
    ]
    if sandbox:
        ports = {"POS": 8091, "STORE": 8092}
        pos, store = (
            os.environ.get(f"TILLBRIDGE_SANDBOX_{side}_PORT", str(port))
            for side, port in ports.items()
        )
        rows.append(("sandbox", f"http://127.0.0.1:{pos}", "simulated point of sale"))
        rows.append(("", f"http://127.0.0.1:{store}", "simulated store"))
    rows.append(("data, logs", str(settings.data_dir.resolve()), ""))
    console.print(f"\n[bold]Tillbridge is up[/bold] ({took_s:.1f} s)")
    for name, where, what in rows:
        _say(f"{name:<11} {where:<23} {what}".rstrip())
    if sandbox:
        _say("\nA token for the sample shop, and two calls to try:\n")
        _say(f"export TOKEN={_sample_token(settings)}\n")
        _say(f'curl -H "Authorization: Bearer $TOKEN" {base}/v1/channels\n')
        _say(
            'grpcurl -plaintext -H "authorization: Bearer $TOKEN" -d \'{"page_size": 3}\''
            f" 127.0.0.1:{settings.inventory_port}"
            " tillbridge.inventory.v1.InventoryService/ListStockLevels"
        )
    console.print("\nCtrl-C stops everything.")


def _say(line: str) -> None:
    """Prints a line as it is: to be copied, so never wrapped."""
    console.print(line, soft_wrap=True, markup=False, emoji=False)
