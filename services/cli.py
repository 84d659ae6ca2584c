"""The `tillbridge` command: what operators type."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import httpx
import typer
from rich.console import Console
from rich.table import Table

from services.chassis import migrate
from services.chassis.auth import Tokens, write_key
from services.chassis.settings import CONTEXTS, Settings
from services.supervisor import Process, Supervisor, until

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
console = Console(highlight=False)

SAMPLE_MERCHANT = "sample-shop"
READY_S = 60.0


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
    settings = Settings()
    for context in CONTEXTS:
        migrate.upgrade(context, settings.database(context))
        console.print(f"{context}: up to date")


@app.command()
def up(
    *,
    sandbox: Annotated[
        bool, typer.Option(help="Also start the simulated point of sale and store.")
    ] = False,
) -> None:
    """Starts all services and the gateway, restarts what dies, stops them on Ctrl-C."""
    settings = Settings()
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
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    began = loop.time()
    supervisor = _supervisor(settings, sandbox=sandbox)
    await supervisor.start()
    try:
        ready = asyncio.ensure_future(until(lambda: _is_ready(settings), READY_S))
        stopped = asyncio.ensure_future(stop.wait())
        await asyncio.wait([ready, stopped], return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            return 0
        if not ready.result():
            console.print(f"[red]not ready after {READY_S:.0f} s; see {supervisor.log_dir}[/red]")
            return 1
        if sandbox and await _connect_sample(settings, supervisor) != 0:
            return 1
        _print_summary(settings, loop.time() - began, sandbox=sandbox)
        await stop.wait()
        return 0
    finally:
        console.print("stopping …")
        await supervisor.stop()
        console.print("stopped")


def _supervisor(settings: Settings, *, sandbox: bool) -> Supervisor:
    processes = [Process(context, f"services.{context}") for context in CONTEXTS]
    processes.append(Process("gateway", "gateway"))
    if sandbox:
        processes.insert(0, Process("sandbox", "gateway.sandbox"))

    def tell(process: Process, code: int) -> None:
        console.print(f"[yellow]{process.name} ended with {code}; starting it again[/yellow]")

    environment = {"TILLBRIDGE_DATA_DIR": str(settings.data_dir.resolve())}
    return Supervisor(environment, settings.data_dir / "log", processes, tell)


async def _is_ready(settings: Settings) -> bool:
    async with httpx.AsyncClient(timeout=2.0) as client:
        try:
            answer = await client.get(f"http://127.0.0.1:{settings.http_port}/readyz")
        except httpx.HTTPError:
            return False
        return answer.status_code == httpx.codes.OK


async def _connect_sample(settings: Settings, supervisor: Supervisor) -> int:
    """Connects the simulated shop as an operator would, over HTTP."""
    environment = {
        **os.environ,
        **supervisor.environment,
        "TILLBRIDGE_TOKEN": _sample_token(settings),
    }
    connecting = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.sandbox.connect", env=environment
    )
    return await connecting.wait()


def _sample_token(settings: Settings) -> str:
    roles = ["pos", "ecom", "operator"]
    issuer = Tokens(settings.signing_key)
    return issuer.issue("operator", SAMPLE_MERCHANT, roles, timedelta(days=365))


def _print_summary(settings: Settings, took_s: float, *, sandbox: bool) -> None:
    base = f"http://127.0.0.1:{settings.http_port}"
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_row("gateway", base, f"docs at {base}/docs")
    for context in CONTEXTS:
        table.add_row(context, f"127.0.0.1:{settings.port(context)}", "gRPC, reflection on")
    if sandbox:
        pos, store = (
            os.environ.get(f"TILLBRIDGE_SANDBOX_{side}_PORT") for side in ("POS", "STORE")
        )
        table.add_row("sandbox", f"http://127.0.0.1:{pos or 8091}", "simulated point of sale")
        table.add_row("", f"http://127.0.0.1:{store or 8092}", "simulated store")
    table.add_row("data, logs", str(settings.data_dir.resolve()), "")
    console.print(f"\n[bold]Tillbridge is up[/bold] ({took_s:.1f} s)")
    console.print(table)
    if sandbox:
        say: Callable[[str], None] = lambda line: console.print(line, soft_wrap=True, markup=False)  # noqa: E731
        say("\nA token for the sample shop, and two calls to try:\n")
        say(f"export TOKEN={_sample_token(settings)}\n")
        say(f'curl -H "Authorization: Bearer $TOKEN" {base}/v1/channels')
        say(
            'grpcurl -plaintext -H "authorization: Bearer $TOKEN" -d \'{"page_size": 3}\''
            f" 127.0.0.1:{settings.inventory_port}"
            " tillbridge.inventory.v1.InventoryService/ListStockLevels"
        )
    console.print("\nCtrl-C stops everything.")
