"""An RPC that does nothing, behind the same gate as all others.

No public contract has such an RPC, so its descriptor is made here, when this is imported.
"""

from google.protobuf import descriptor_pb2, descriptor_pool, empty_pb2
from google.protobuf.descriptor import ServiceDescriptor

from services.chassis.auth import Caller
from tillbridge.options.v1 import options_pb2

_PACKAGE = "tillbridge.bench.v1"
PATH = f"/{_PACKAGE}.EmptyService/DoNothing"


def contract() -> ServiceDescriptor:
    """The descriptor of EmptyService, with the roles that RecordCounts takes too."""
    file = descriptor_pb2.FileDescriptorProto(
        name="tillbridge/bench/v1/empty.proto",
        package=_PACKAGE,
        syntax="proto3",
        dependency=[empty_pb2.DESCRIPTOR.name, options_pb2.DESCRIPTOR.name],
    )
    method = file.service.add(name="EmptyService").method.add(
        name="DoNothing",
        input_type=f".{empty_pb2.Empty.DESCRIPTOR.full_name}",
        output_type=f".{empty_pb2.Empty.DESCRIPTOR.full_name}",
    )
    method.options.Extensions[options_pb2.roles].extend(
        [options_pb2.ROLE_POS, options_pb2.ROLE_OPERATOR, options_pb2.ROLE_SERVICE]
    )
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return pool.FindServiceByName(f"{_PACKAGE}.EmptyService")


class EmptyService:
    """Serves `EmptyService`."""

    async def do_nothing(self, _caller: Caller, _request: empty_pb2.Empty) -> empty_pb2.Empty:
        """Does nothing."""
        return empty_pb2.Empty()
