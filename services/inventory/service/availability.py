"""What each outlet could give to a channel's next order."""

from services.chassis.database import Calls
from services.chassis.rpc import View, query_together
from tillbridge.inventory.v1 import inventory_pb2 as pb


class AvailabilityRpcs:
    """The RPCs of `InventoryService` that say what each outlet could give."""

    @query_together
    def get_availability(
        self, view: View, calls: Calls[pb.GetAvailabilityRequest, pb.GetAvailabilityResponse]
    ) -> None:
        """Placeholder."""
        raise NotImplementedError
