"""When an order that is put off is due again, also when a clock has been set back."""

from datetime import UTC, datetime, timedelta

import pytest

from services.order.rules.order import PUT_OFF_MAX, later

NOW = datetime(2026, 7, 4, 12, tzinfo=UTC)
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


@pytest.mark.parametrize(
    ("due_time", "expected"),
    [
        (None, None),
        (NOW - SECOND, None),
        (NOW, None),
        (NOW + SECOND, NOW + SECOND),
        (NOW + PUT_OFF_MAX, NOW + PUT_OFF_MAX),
        (NOW + PUT_OFF_MAX + SECOND, None),  # noted by a clock that has been set back since
        (NOW + HOUR, None),
    ],
)
def test_an_order_waits_for_a_time_that_is_still_to_come(
    due_time: datetime | None, expected: datetime | None
) -> None:
    assert later(due_time, NOW) == expected
