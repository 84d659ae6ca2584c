"""Settings of the sandbox process, from `TILLBRIDGE_*` in the environment."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Port = Annotated[int, Field(ge=0, le=65535)]


class SandboxSettings(BaseSettings):
    """Where the two simulators listen, and what they share with the gateway.

    Attributes:
        data_dir: where state is kept across restarts (`TILLBRIDGE_DATA_DIR`); None keeps none.
        sandbox_pos_port: port of the simulated POS; 0 takes any free one.
        sandbox_store_port: port of the simulated store; 0 takes any free one.
        sandbox_pos_token: Bearer token of the POS API.
        sandbox_pos_secret: signs the POS's webhooks.
        sandbox_pos_deduct_on: when waiting orders take stock, `order` or `fulfil`.
        sandbox_store_id: the store's number.
        sandbox_store_token: access token of the store API; real ones start with `secret_`.
        sandbox_store_secret: signs the store's webhooks.
        sandbox_store_webhook_url: where the store sends events; None sends none.
    """

    model_config = SettingsConfigDict(env_prefix="TILLBRIDGE_")

    data_dir: Path | None = None
    sandbox_pos_port: Port = 8091
    sandbox_store_port: Port = 8092
    sandbox_pos_token: str = "sandbox-pos-token"  # noqa: S105 - a simulator's default
    sandbox_pos_secret: str = "sandbox-pos-secret"  # noqa: S105 - as above
    sandbox_pos_deduct_on: str = Field(default="order", pattern="^(order|fulfil)$")
    sandbox_store_id: Annotated[int, Field(gt=0)] = 1003
    sandbox_store_token: str = "secret_sandbox_store_token"  # noqa: S105 - as above
    sandbox_store_secret: str = "sandbox-store-secret"  # noqa: S105 - as above
    sandbox_store_webhook_url: str | None = None

    @field_validator("sandbox_store_token")
    @classmethod
    def _looks_like_a_token(cls, token: str) -> str:
        if not token.startswith("secret_"):
            raise ValueError("must start with secret_, as the platform's tokens do")
        return token
