"""`make demo`: tells the story on a fresh installation and says how it went."""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from tests.flows.stack import running_stack
from tests.flows.story import Sight, Story

console = Console(highlight=False, soft_wrap=True)


async def main() -> int:
    """Plays the story; 0 when everything was as expected."""
    began = time.monotonic()
    last_step = ""

    def tell(sight: Sight) -> None:
        nonlocal last_step
        if sight.step != last_step:
            console.print(f"\n[bold]{sight.step}[/bold]")
            last_step = sight.step
        mark = "[green]✓[/green]" if sight.fits else "[red]✗[/red]"
        console.print(f"  {mark} {sight.what}: expected", end=" ")
        console.print(f"{sight.expected}, saw {sight.seen}", markup=False)

    with tempfile.TemporaryDirectory(prefix="tillbridge-demo-") as folder:
        async with running_stack(Path(folder)) as stack:
            console.print(f"everything is up after {time.monotonic() - began:.1f} s")
            story = Story(stack, tell)
            await story.play()
    wrong = [sight for sight in story.sights if not sight.fits]
    console.print(
        f"\n[bold]{len(story.sights) - len(wrong)} of {len(story.sights)} as expected[/bold],"
        f" in {time.monotonic() - began:.1f} s"
    )
    for sight in wrong:
        console.print(f"[red]✗ {sight.step} {sight.what}[/red]")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
