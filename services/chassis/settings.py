"""Configuration from the environment, the same names in every process."""

from functools import cached_property
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

Context = Literal["catalog", "inventory", "order", "customer"]
CONTEXTS: tuple[Context, ...] = ("catalog", "inventory", "order", "customer")


class Settings(BaseSettings):
    """What `TILLBRIDGE_*` says; every field is the variable of that name in upper case."""

    model_config = SettingsConfigDict(env_prefix="TILLBRIDGE_", frozen=True)

    data_dir: Path = Path("data")
    """Where the SQLite files and the token key live."""
    database_url: str = ""
    """SQLAlchemy address; `{service}` in it is replaced by the service's name. Empty: SQLite."""
    host: str = "127.0.0.1"
    """Address to listen on; loopback unless told otherwise."""
    insecure: bool = False
    """Consent to listen on another address than loopback, where others could read along: nothing
    is encrypted here, so a closed network or a proxy that speaks TLS belongs in front."""
    http_port: int = 8080
    catalog_port: int = 50051
    inventory_port: int = 50052
    order_port: int = 50053
    customer_port: int = 50054
    catalog_address: str = ""
    """Where others find the service; empty: this machine, at its port."""
    inventory_address: str = ""
    order_address: str = ""
    customer_address: str = ""
    token_key: str = ""
    """Secret that tokens are signed with, at least 32 bytes. Empty: `token.key` in the data dir."""
    metrics_port: int = 0
    """Where a service shows Prometheus metrics; 0: nowhere."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    calls_in_flight_max: int = Field(default=1000, ge=1)
    """Calls that one process takes at a time before it sheds load."""
    message_bytes_max: int = Field(default=4 * 1024 * 1024, ge=1024)
    request_retention_days: int = Field(default=14, ge=7)
    """How long answers are remembered for their `request_id`."""
    event_retention_days: int = Field(default=30, ge=1)
    """How long a feed keeps every event. Of older ones, which all consumers have read, it keeps the
    newest about each subject."""

    def port(self, context: Context) -> int:
        """The port that the service listens on."""
        return int(getattr(self, f"{context}_port"))

    def address(self, context: Context) -> str:
        """Where the service is found, as `host:port`."""
        return str(getattr(self, f"{context}_address")) or f"127.0.0.1:{self.port(context)}"

    def database(self, context: Context) -> str:
        """SQLAlchemy address of the service's own database."""
        if self.database_url:
            return self.database_url.replace("{service}", context)
        return f"sqlite:///{self.data_dir.resolve() / f'{context}.sqlite3'}"

    @property
    def exposure(self) -> str:
        """Why a process with these settings must not listen, and what would help; empty: it may."""
        if self.insecure or _is_loopback(self.host):
            return ""
        return (
            f"TILLBRIDGE_HOST={self.host} can be reached from other machines, and nothing here is"
            " encrypted. Listen on 127.0.0.1, or set TILLBRIDGE_INSECURE=true if the network is"
            " closed or a proxy in front speaks TLS."
        )

    @cached_property
    def signing_key(self) -> str:
        """The token key; read from the data dir when the environment has none.

        Raises:
            FileNotFoundError: there is neither; `tillbridge key` makes one.
        """
        if self.token_key:
            return self.token_key
        path = self.data_dir / "token.key"
        if not path.exists():
            raise FileNotFoundError(
                f"no token key: set TILLBRIDGE_TOKEN_KEY, or run `tillbridge key` to write {path}"
            )
        return path.read_text().strip()


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:  # a name, or nothing, which means every address
        return host == "localhost"
