"""Which addresses a server may fetch from on someone else's word: public unicast, nothing else."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_NOT_V4 = (IPv4Network("192.88.99.0/24"),)  # 6to4 relays (RFC 7526)
_PUBLIC_V6 = IPv6Network("2000::/3")  # global unicast (RFC 4291); NAT64 and mapped lie outside
_NOT_V6 = (
    IPv6Network("2001::/23"),  # protocol assignments, Teredo among them (RFC 4380)
    IPv6Network("2001:db8::/32"),  # documentation
    IPv6Network("2002::/16"),  # 6to4: holds any IPv4 address (RFC 3056)
    IPv6Network("3fff::/20"),  # documentation
)


def is_public(text: str) -> bool:
    """Whether an address, as a resolver gives it, is one of the public internet."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast and not _in(address, _NOT_V4)
    return (
        address.is_global
        and address in _PUBLIC_V6
        and address.scope_id is None
        and not _in(address, _NOT_V6)
    )


def _in(
    address: IPv4Address | IPv6Address, networks: tuple[IPv4Network, ...] | tuple[IPv6Network, ...]
) -> bool:
    return any(address in network for network in networks)
