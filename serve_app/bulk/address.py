"""Whether anything listens where `RAY_ADDRESS` says: Ray itself would try for ever."""

import ipaddress
import socket
from collections.abc import Callable

from serve_app.errors import SettingsError

_TIMEOUT_S = 10.0


def check_reachable(address: str, own_ip: Callable[[], str], timeout_s: float = _TIMEOUT_S) -> None:
    """See that a cluster may be at `HOST:PORT` or `ray://HOST:PORT`; other words are Ray's own.

    Args:
        own_ip: gives the address that Ray takes in the place of a loopback one.

    Raises:
        SettingsError: nobody listens there.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdecimal():
        return
    host = host.strip("[]")
    hosts = [host, own_ip()] if _is_loopback(host) else [host]
    faults = [_fault(each, int(port), timeout_s) for each in hosts]
    if all(faults):
        raise SettingsError(
            f"no Ray cluster answers at RAY_ADDRESS={address} ({faults[0]}): start it, "
            "name one that runs, or unset RAY_ADDRESS to work on this machine alone"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _fault(host: str, port: int, timeout_s: float) -> str:
    """Why nothing is there; empty where something is."""
    try:
        socket.create_connection((host, port), timeout_s).close()
    except (OSError, OverflowError) as exc:
        return str(exc)
    return ""
