"""Which inputs are still to be done, and under which name."""

import io
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from serve_app.bulk.inputs import Input
from serve_app.bulk.ledger import Ledger, Owner
from serve_app.bulk.places import Folder
from serve_app.errors import InputError
from serve_app.names import UniqueNames, output_name


@dataclass(frozen=True, slots=True)
class Task:
    """One image to do."""

    uri: str
    name: str  # of its output within DST
    options: str = ""  # its own, as JSON


@dataclass
class Plan:
    """What is to be done, what was done before, and what cannot be."""

    tasks: list[Task] = field(default_factory=list)
    done_before: list[str] = field(default_factory=list)
    bad: list[Input] = field(default_factory=list)


def make_plan(inputs: Sequence[Input], format: str, ledger: Ledger, folder: Folder) -> Plan:
    """Give each input its output, once and for good, and see which are there.

    Raises:
        InputError: a new job would write over files that are there.
    """
    plan, news = Plan(), dict[str, Owner]()
    names = UniqueNames([*ledger.outputs, *(name for name, _ in ledger.plan.values())])
    seen: Counter[str] = Counter()
    for each in inputs:
        if each.error:
            plan.bad.append(each)
            continue
        wanted = output_name(each.name, each.format or format)
        same = f"{each.uri}\n{wanted}"
        seen[same] += 1
        key = f"{same}\n{seen[same]}"  # a manifest may name one image twice
        owner = ledger.plan.get(key)
        if owner is None:
            owner = news[key] = (names.take(wanted), each.stamp)
        elif owner[1] != each.stamp:  # another file by now, or other options
            ledger.forget(owner[0])
            owner = news[key] = (owner[0], each.stamp)
        if is_done(owner[0], ledger, folder):
            plan.done_before.append(owner[0])
        else:
            plan.tasks.append(Task(each.uri, owner[0], each.options))
    ledger.assign(news)
    return plan


def wanted_names(inputs: Sequence[Input], format: str) -> list[str]:
    """The names that outputs would have in an empty DST."""
    names = UniqueNames()
    good = (each for each in inputs if not each.error)
    return [names.take(output_name(each.name, each.format or format)) for each in good]


def check_empty(names: Sequence[str], ledger: Ledger, folder: Folder) -> None:
    """See that a new job writes over nothing.

    Raises:
        InputError: outputs have the names of files that are there.
    """
    if there := [name for name in names if name in ledger.outputs]:
        raise InputError(
            f"DST '{folder.name}' holds {len(there)} files with the names of outputs, such as "
            f"'{there[0]}', and no job that made them: give another DST, or --restart to replace "
            "them"
        )


def is_done(name: str, ledger: Ledger, folder: Folder) -> bool:
    """Whether an output is there and whole; one that is not is removed."""
    size = ledger.outputs.get(name)
    if size is None:
        return False
    if ledger.done.get(name) == size or is_whole(folder.read(name)):
        return True
    ledger.forget(name)
    return False


def is_whole(body: bytes) -> bool:
    """Whether a file of ours reaches to its end, which a cut or an unwritten one does not."""
    if body.startswith(b"\x89PNG"):
        return body[-8:-4] == b"IEND"
    if body.startswith(b"\xff\xd8"):
        return body.endswith(b"\xff\xd9")
    if body.startswith(b"RIFF"):
        return len(body) - 8 - int.from_bytes(body[4:8], "little") in (0, 1)
    return zipfile.is_zipfile(io.BytesIO(body))
