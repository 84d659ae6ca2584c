"""Starts processes fast: everything is imported once, and each of them is forked.

`python -m tests.chaos.zygote` reads one job a line from standard input, as JSON, and answers with
the process id. A process that has ended is gone at once; nobody has to wait for it.
"""

import json
import os
import runpy
import signal
import sys
import traceback
from collections.abc import Mapping
from typing import Any

import gateway.imports.__main__
import gateway.run
import gateway.sandbox.__main__  # noqa: F401  (what is imported is there after the fork)
import services.catalog.service
import services.customer.service
import services.inventory.service
import services.order.service  # noqa: F401
from services.chassis import failpoints


def main() -> None:
    """Forks until standard input ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(job)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()


def _become(job: Mapping[str, Any]) -> None:
    """Is the process that the job asks for, to its end."""
    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        nothing = os.open(os.devnull, os.O_RDONLY)
        log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for number, file in enumerate((nothing, log, log)):
            os.dup2(file, number)
        os.environ.update(job["environment"])
        failpoints.arm(os.environ.get(failpoints.VARIABLE, ""))
        sys.argv = [job["module"], *job["arguments"]]
        runpy.run_module(f"{job['module']}.__main__", run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.write(f"ended with {code}\n")
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
