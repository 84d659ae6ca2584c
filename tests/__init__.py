"""Tests, benchmarks and simulations of the whole system."""

import os

# PostgreSQL's commands are started as another user, for which Python forks. While other threads
# are calling, gRPC's handlers of a fork can crash the new process before it is that command.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
