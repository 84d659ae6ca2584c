"""A customer service that runs, on each kind of database."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from services.customer.service import build
from services.customer.store import PLUMBING
from tests.harness import Running, running, settings
from tillbridge.customer.v1.customer_pb2_grpc import CustomerServiceStub

if TYPE_CHECKING:
    from tillbridge.customer.v1.customer_pb2_grpc import CustomerServiceAsyncStub


@pytest.fixture
async def service(tmp_path: Path, database_url: str) -> AsyncIterator[Running]:
    async with running("customer", PLUMBING, build, settings(tmp_path, database_url)) as found:
        yield found


@pytest.fixture
def customers(service: Running) -> "CustomerServiceAsyncStub":
    return CustomerServiceStub(service.channel)
