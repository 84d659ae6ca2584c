"""The HTTP bridge: `google.api.http` annotations carried out, with no route written by hand.

Read in this order: `bindings` (which request means which RPC), `template` (finding it by path),
`request` (filling the RPC's request), `transcoder` (the call and its answer).
"""

from gateway.transcode.bindings import Binding, bindings_of
from gateway.transcode.metadata import call_id_of
from gateway.transcode.transcoder import ROUTE_KEY, Transcoder

__all__ = ["ROUTE_KEY", "Binding", "Transcoder", "bindings_of", "call_id_of"]
