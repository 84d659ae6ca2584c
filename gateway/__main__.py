"""Runs the gateway: `python -m gateway`."""

import sys

import uvloop

from gateway.run import serve
from gateway.settings import GatewaySettings
from services.chassis import logs


def main() -> None:
    """Reads the settings and serves until told to stop."""
    settings = GatewaySettings()
    if settings.exposure:
        sys.exit(settings.exposure)
    logs.configure("gateway", settings.log_level)
    uvloop.run(serve(settings))


if __name__ == "__main__":
    main()
