"""Configuration of the gateway from the environment."""

from pydantic import Field

from gateway.ecom.ecwid.account import CALLS_PER_MINUTE
from gateway.pull import POLL_S
from services.chassis.settings import Settings


class GatewaySettings(Settings):
    """What `TILLBRIDGE_*` says to the gateway, beside what it says to every process."""

    public_url: str = Field(default="", pattern=r"^(https?://[^/?#@\s]+)?$")
    """Where platforms reach this gateway; empty: this machine, at its HTTP port."""
    poll_s: float = Field(default=POLL_S, gt=0)
    """Seconds between two polls of a platform."""
    ecwid_calls_per_minute: int = Field(default=CALLS_PER_MINUTE, ge=1)
    """Rate limit of each Ecwid store."""

    @property
    def webhook_base(self) -> str:
        """The address that webhooks are to be sent to, without a path."""
        return self.public_url or f"http://127.0.0.1:{self.http_port}"
