"""How the stages lie on the machines: in one actor for each core, or in three pools.

    fused     Whole x cores: an image stays in one process, which has a network of its own
    staged    Reader x cores -> Network x GPUs, in batches -> Writer x cores

Every pool has a fixed size and reserves its share at once, and the shares of all pools together
are no more than there is. Nothing else asks for a CPU (the list of images is in the object store
before anything starts), so no pool can wait for what another one holds.
"""

from dataclasses import dataclass, replace
from typing import Literal

from serve_app.errors import InputError

Layout = Literal["fused", "staged"]
LAYOUTS = ("auto", "fused", "staged")


@dataclass(frozen=True, slots=True)
class Pool:
    """Actors of one kind."""

    size: int
    cpus: float  # of each
    gpus: float = 0  # of each

    def at_most(self, size: int) -> "Pool":
        return replace(self, size=min(size, self.size))


@dataclass(frozen=True, slots=True)
class Pools:
    """Where a run's work is done."""

    layout: Layout
    network: Pool  # fused: it does everything
    reader: Pool | None = None
    writer: Pool | None = None

    def at_most(self, size: int) -> "Pools":
        """No more actors of a kind than there are blocks for them."""
        return Pools(
            self.layout,
            self.network.at_most(size),
            self.reader and self.reader.at_most(size),
            self.writer and self.writer.at_most(size),
        )

    @property
    def workers(self) -> int:
        return sum(pool.size for pool in (self.network, self.reader, self.writer) if pool)


def lay_out(wanted: str, cpus: int, gpus: int, device: str, workers: int | None) -> Pools:
    """Choose the pools for a machine or a cluster.

    On a CPU the hops between stages cost more than they bring. A GPU is fed by many cores, and
    takes batches.

    Raises:
        InputError: no CPU is there.
    """
    if cpus < 1:
        raise InputError("the cluster has no CPU to work on: add a node, or end what runs there")
    gpus = 0 if device == "cpu" else gpus
    layout: Layout = "fused" if wanted == "fused" or (wanted == "auto" and not gpus) else "staged"
    if layout == "fused":
        size = workers or cpus
        share = min(1.0, cpus / size)
        return Pools("fused", Pool(size, share, min(1.0, gpus / size)))
    networks = gpus or 1
    # Half a core for each GPU's actor, which waits for it most of the time; a CPU's takes half
    # of the machine, as the network does of an image's time.
    reserved = min(cpus / 2, 0.5 * networks) if gpus else cpus / 2
    left = cpus - reserved
    each = workers or max(1, cpus // 2)
    return Pools(
        "staged",
        Pool(networks, _share(reserved, networks), 1.0 if gpus else 0),
        Pool(each, _share(left / 2, each)),
        Pool(each, _share(left / 2, each)),
    )


def _share(cpus: float, actors: int) -> float:
    """What each may reserve, rounded down: Ray counts in ten-thousandths."""
    return max(0.0001, min(1.0, int(cpus / actors * 1000) / 1000))
