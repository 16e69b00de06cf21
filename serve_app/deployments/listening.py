"""Replicas listen where Ray does, and nowhere else.

Each replica of Serve has a gRPC server for calls of other replicas. Serve binds it to `[::]`, that
is to every interface, whatever the service's and Ray's own addresses are, and it unpickles what it
is sent: without Ray's token, whoever reaches that port runs code as the service. Nobody needs it
there: callers take the node's own address, which is loopback where Ray is.
"""

import os
from typing import Any

import ray
from ray.serve._private import replica as serve_replica

from serve_app.errors import ServiceError

_ADD_PORT = "add_port_to_grpc_server"


def listen_on_node_address() -> None:
    """Bind this replica's gRPC server to its node's address; for each deployment, when it starts.

    Raises:
        ServiceError: this release of Ray binds it in another way, and asks callers for no token.
    """
    add_port = getattr(serve_replica, _ADD_PORT, None)
    if add_port is None:
        if os.environ.get("RAY_AUTH_MODE") == "token":
            return
        raise ServiceError(
            f"Ray {ray.__version__} would open a port of each replica on every interface: set "
            "RAY_AUTH_MODE=token, or install the release in constraints.txt"
        )
    host = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]

    def add_port_of_node(server: Any, address: str) -> int:
        port = address.rpartition(":")[2]
        bound: int = add_port(server, f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        return bound

    setattr(serve_replica, _ADD_PORT, add_port_of_node)
