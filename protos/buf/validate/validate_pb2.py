"""`buf/validate/validate.proto` for `google.protobuf`, built from the installed protovalidate.

protovalidate ships its schema only in the form of its own runtime; the stubs beside our contracts
import it as `buf.validate.validate_pb2`. So that no third-party file is committed, this module
takes the descriptor out of the installed package and registers it in the default pool.
"""

from google.protobuf import descriptor_pb2 as _descriptor  # noqa: F401  (validate.proto imports it)
from google.protobuf import descriptor_pool
from google.protobuf import duration_pb2 as _duration  # noqa: F401
from google.protobuf import field_mask_pb2 as _field_mask  # noqa: F401
from google.protobuf import timestamp_pb2 as _timestamp  # noqa: F401
from google.protobuf.internal import builder
from protovalidate._gen.buf.validate import validate_pb

DESCRIPTOR = descriptor_pool.Default().AddSerializedFile(validate_pb.desc().proto.to_binary())

builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
