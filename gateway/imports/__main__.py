"""`python -m gateway.imports`: imports of whole catalogs, as operators type them.

Exit codes: 0 when all rows were taken, 1 when some were refused, 2 when it is held, not wanted, or
failed.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, NoReturn
from uuid import uuid4

import grpc
import typer

from gateway.connections import Connections, Link, Platforms, connection_missing
from gateway.imports import runs, screen
from gateway.imports.catalog import Catalog, refused_as, run_in
from gateway.imports.files import FORMATS, ProductFile
from gateway.imports.rows import BadFileError
from gateway.imports.screen import say
from gateway.owners import Owners
from gateway.platform import PlatformError
from gateway.records import PUT_ASIDE
from gateway.settings import GatewaySettings
from services.chassis import logs
from services.chassis.auth import Tokens
from services.chassis.client import Identity, Metadata, connect
from services.chassis.errors import DomainError
from services.chassis.settings import CONTEXTS
from tillbridge.catalog.v1 import catalog_pb2
from tillbridge.catalog.v1 import imports_pb2 as pb

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Imports of whole catalogs: they can be killed, gone on with, and undone.",
    rich_markup_mode=None,
)

TAKEN, SOME_REFUSED, FAILED = 0, 1, 2
PAGE_SIZE = 500
SHARE_PERCENT, ITEMS_MIN = 20, 20
"""What the catalog takes where nothing is said."""

Merchant = Annotated[
    str, typer.Option(help="Whose catalog; not needed with a token in TILLBRIDGE_TOKEN.")
]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="The id of a run, as `list` shows it.")]


class _Stopped(Exception):  # noqa: N818  (it is no error: the operator said no)
    """The operator does not want it."""


@app.command()
def products(
    file: Annotated[Path | None, typer.Argument(help="A CSV file of products.")] = None,
    *,
    from_pos: Annotated[
        str, typer.Option(metavar="CHANNEL", help="Read the channel's point of sale instead.")
    ] = "",
    format_name: Annotated[
        str, typer.Option("--format", help=f"auto, {', '.join(FORMATS)}.")
    ] = "auto",
    currency: Annotated[str, typer.Option(help="Of the prices in a file, such as EUR.")] = "",
    merchant: Merchant = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    preview: Annotated[
        bool, typer.Option("--preview/--no-preview", help="Say first what would change, and ask.")
    ] = True,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether to go on.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Show every change and every refused row.")
    ] = False,
    share: Annotated[
        int,
        typer.Option(min=1, max=100, help="Hold it if it deactivates more products, in percent."),
    ] = SHARE_PERCENT,
    items_min: Annotated[
        int, typer.Option(min=1, help="So many it may deactivate in any case.")
    ] = ITEMS_MIN,
) -> None:
    """Imports a file of products, or the catalog of a point of sale.

    Says first what would be created, changed and refused, and asks. An import that broke off goes
    on where it was.
    """
    if (file is None) == (not from_pos):
        raise typer.BadParameter("give a file, or --from-pos with a channel")
    wanted = _Wanted(dry_run, preview, yes, verbose, (share, items_min))
    if file is None:
        _end(_from_pos(from_pos, wanted))
    if len(currency) != 3 or not (currency.isascii() and currency.isalpha()):
        raise typer.BadParameter("a file does not say its currency: give --currency, such as EUR")
    if format_name not in {"auto", *FORMATS}:
        raise typer.BadParameter(f"--format takes auto, {', '.join(FORMATS)}")
    chosen = "" if format_name == "auto" else format_name
    _end(_from_file(file, chosen, currency.upper(), merchant, wanted))


@app.command(name="list")
def list_runs(merchant: Merchant = "") -> None:
    """Shows the latest runs."""

    async def listed() -> int:
        async with _catalog(merchant) as catalog:
            answer = await catalog.call(catalog.imports.ListImports, pb.ListImportsRequest())
        for run in answer.imports:
            say(screen.described(run))
        if not answer.imports:
            say("nothing was imported yet")
        return TAKEN

    _end(listed())


@app.command()
def show(run_id: RunId, merchant: Merchant = "") -> None:
    """Shows a run."""

    async def shown() -> int:
        async with _catalog(merchant) as catalog:
            request = pb.GetImportRequest(import_id=run_id)
            say(screen.described(run_in(await catalog.call(catalog.imports.GetImport, request))))
        return TAKEN

    _end(shown())


@app.command()
def rows(run_id: RunId, merchant: Merchant = "") -> None:
    """Shows every row that was not taken as it stood, with the reason."""

    async def shown() -> int:
        async with _catalog(merchant) as catalog:
            await _show_rows(catalog, run_id, shown_max=0)
        return TAKEN

    _end(shown())


@app.command()
def approve(run_id: RunId, merchant: Merchant = "") -> None:
    """Says yes to a run that is held; import the same source again, and it goes on."""
    _end(_decide(run_id, merchant, approved=True))


@app.command()
def cancel(run_id: RunId, merchant: Merchant = "") -> None:
    """Ends a run where it is; what it took stays until it is undone."""
    _end(_decide(run_id, merchant, approved=False))


@app.command()
def undo(
    run_id: RunId,
    merchant: Merchant = "",
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what the first step would do.")
    ] = False,
) -> None:
    """Brings back what nobody has changed since a run."""
    _end(_undo(run_id, merchant, dry_run=dry_run), again="undo it again")


class _Wanted:
    """How an operator wants an import done."""

    def __init__(
        self, dry_run: bool, preview: bool, yes: bool, verbose: bool, breaker: tuple[int, int]
    ) -> None:
        self.dry_run = dry_run
        self.preview = preview or dry_run
        self.yes = yes
        self.verbose = verbose
        self.breaker = breaker

    def ask(self) -> None:
        """Asks whether to go on.

        Raises:
            _Stopped: no.
        """
        if self.yes or not self.preview:
            return
        if not sys.stdin.isatty():
            say("Nothing was changed. There is nobody to ask: --yes imports it.")
            raise _Stopped
        if not _agreed("Import it?"):
            say("Nothing was changed.")
            raise _Stopped


def _agreed(question: str) -> bool:
    """Asks; Ctrl-C and the end of the input are a no."""
    # The event loop waits for the answer as well, so it could not tell of a Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return typer.confirm(question)
    except typer.Abort:
        say("")
        return False
    finally:
        signal.signal(signal.SIGINT, before)


def _end(work: Coroutine[Any, Any, int], again: str = "import the same source again") -> NoReturn:
    """Does the work and ends with its exit code; `again` is how to go on when it was stopped."""
    logs.configure("import", "error")
    try:
        code = asyncio.run(work)
    except _Stopped:
        code = FAILED
    except OSError as error:
        say(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        code = FAILED
    except BadFileError as error:
        say(str(error))
        code = FAILED
    except DomainError as error:
        say(refused_as(error))
        if error.transient:
            say("try again once the services run; `tillbridge health catalog` tells")
        code = FAILED
    except PlatformError as error:
        say(f"the point of sale cannot be read: {error}")
        code = FAILED
    except KeyboardInterrupt:
        say(f"stopped; {again}, and it goes on where it was")
        code = FAILED
    sys.exit(code)


@asynccontextmanager
async def _catalog(merchant: str) -> AsyncIterator[Catalog]:
    settings = GatewaySettings()
    channel = connect(settings.address("catalog"))
    try:
        yield Catalog(channel, _metadata(settings, merchant), say)
    finally:
        await channel.close()


def _metadata(settings: GatewaySettings, merchant: str) -> Metadata:
    """Who imports: the bearer of the token, or, with the installation's key, its operator."""
    token = os.environ.get("TILLBRIDGE_TOKEN", "")
    if not token:
        if not merchant:
            raise typer.BadParameter("give --merchant, or a token in TILLBRIDGE_TOKEN")
        issuer = Tokens(settings.signing_key)
        token = issuer.issue("import", merchant, ["operator"], timedelta(days=2))
    return (("authorization", f"Bearer {token}"),)


async def _from_file(
    path: Path, format_name: str, currency: str, merchant: str, wanted: _Wanted
) -> int:
    file = await asyncio.to_thread(ProductFile, path, format_name, currency)
    say(f"{path.name}: {file.title}, {file.row_count} rows with the header, prices in {currency}")
    if file.layout.unread:
        say(f"columns that are not read: {', '.join(file.layout.unread)}")
    async with _catalog(merchant) as catalog:
        known = await _unfinished(catalog, file.source_digest)
        if known is None or wanted.dry_run:
            code = await _preview(
                catalog, path.name, runs.of_file(catalog, file, 1), file.row_count, wanted
            )
            if wanted.dry_run:
                return code
        run, resumed = await runs.begin(
            catalog, path.name, file.source_digest, file.row_count, wanted.breaker
        )
        if resumed:
            say(f"going on with {run.import_id} at row {run.next_row}")
        return await _do(catalog, run, runs.of_file(catalog, file, run.next_row), wanted)


async def _from_pos(channel_id: str, wanted: _Wanted) -> int:
    settings = GatewaySettings()
    channels: dict[str, grpc.aio.Channel] = {
        context: connect(settings.address(context)) for context in CONTEXTS
    }
    platforms = Platforms(settings.ecwid_calls_per_minute)
    identity = Identity(Tokens(settings.signing_key), "import")
    try:
        connections = Connections(Owners.reached_by(channels, identity), platforms)
        link = await connections.of(channel_id)
        catalog = Catalog(channels["catalog"], identity.metadata(link.owners.merchant), say)
        return await _read_pos(catalog, link, wanted)
    finally:
        await platforms.close()
        for channel in channels.values():
            await channel.close()


async def _read_pos(catalog: Catalog, link: Link, wanted: _Wanted) -> int:
    if link.pos is None or link.pos_side is None:
        raise connection_missing(link.channel_id, "point of sale")
    PUT_ASIDE.set([])
    name = f"{link.pos_side.platform} of channel {link.channel_id}"
    digest = f"pos:{link.channel_id}"
    known = await _unfinished(catalog, digest)
    if known is None or wanted.dry_run:
        batches = runs.of_point_of_sale(link.pos, pb.Import(next_row=1))
        code = await _preview(catalog, name, batches, 0, wanted)
        if wanted.dry_run:
            return code
    run, resumed = await runs.begin(catalog, name, digest, 0, wanted.breaker)
    if resumed:
        say(f"going on with {run.import_id} behind {run.next_row - 1} products")
    return await _do(catalog, run, runs.of_point_of_sale(link.pos, run), wanted)


async def _preview(
    catalog: Catalog,
    name: str,
    batches: AsyncIterator[runs.Batch],
    row_count: int,
    wanted: _Wanted,
) -> int:
    """Says what would change, and asks.

    Raises:
        _Stopped: the operator does not want it.
    """
    if not wanted.preview:
        return TAKEN
    preview = screen.Preview(verbose=wanted.verbose)
    with screen.Meter("dry run", row_count, 1).running() as meter:

        def told(batch: runs.Batch, results: Sequence[catalog_pb2.ProductResult]) -> None:
            preview.told(batch, results)
            meter.move(batch.next_row)

        findings = await runs.preview(catalog, f"import {name}", batches, told)
    say(screen.summary(findings))
    if not wanted.dry_run:
        wanted.ask()
    return SOME_REFUSED if findings.refused_rows else TAKEN


async def _unfinished(catalog: Catalog, digest: str) -> pb.Import | None:
    """The latest run of this source, if it is not finished: then it is gone on with, unasked."""
    request = pb.ListImportsRequest(page_size=PAGE_SIZE)
    answer = await catalog.call(catalog.imports.ListImports, request)
    states = {pb.IMPORT_STATE_RUNNING, pb.IMPORT_STATE_HELD}
    return next(
        (run for run in answer.imports if run.source_digest == digest and run.state in states), None
    )


async def _do(
    catalog: Catalog, run: pb.Import, batches: AsyncIterator[runs.Batch], wanted: _Wanted
) -> int:
    with screen.Meter("import", run.row_count, run.next_row).running() as meter:
        try:
            run = await runs.send(catalog, run, batches, lambda now: meter.move(now.next_row))
        except DomainError as error:
            if error.reason != "CIRCUIT_OPEN":
                raise
            say(error.message)
            say(f"tillbridge import approve {run.import_id}   lets it go on")
            say(f"tillbridge import cancel {run.import_id}    ends it")
            return FAILED
    say(meter.line())
    say(screen.described(run))
    if run.refused_count:
        await _show_rows(catalog, run.import_id, 0 if wanted.verbose else screen.SHOWN_MAX)
    return SOME_REFUSED if run.refused_count else TAKEN


async def _show_rows(catalog: Catalog, run_id: str, shown_max: int) -> None:
    """Shows rows that were not taken as they stood; 0: all of them."""
    request = pb.ListImportRowsRequest(import_id=run_id, page_size=shown_max or PAGE_SIZE)
    while True:
        page = await catalog.call(catalog.imports.ListImportRows, request)
        for row in page.rows:
            name = f", {row.product_id}" if row.product_id else ""
            say(f"row {row.row}{name}: {row.message}")
        if not page.next_page_token:
            return
        if shown_max:
            say(f"tillbridge import rows {run_id}   shows the rest")
            return
        request.page_token = page.next_page_token


async def _decide(run_id: str, merchant: str, *, approved: bool) -> int:
    async with _catalog(merchant) as catalog:
        request = pb.ApproveImportRequest(
            request_id=uuid4().hex, import_id=run_id, approved=approved
        )
        say(screen.described(run_in(await catalog.call(catalog.imports.ApproveImport, request))))
    return TAKEN


async def _undo(run_id: str, merchant: str, *, dry_run: bool) -> int:
    async with _catalog(merchant) as catalog:
        while True:
            request = pb.UndoImportRequest(
                request_id=uuid4().hex, import_id=run_id, validate_only=dry_run
            )
            answer = await catalog.call(catalog.imports.UndoImport, request)
            for result in answer.results:
                if not result.undone:
                    say(f"{result.product_id} stays: {result.message}")
            if dry_run or not answer.remaining_count:
                say(screen.described(run_in(answer)))
                return TAKEN


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        app(prog_name="tillbridge import")
