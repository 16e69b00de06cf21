"""Names, what is done, and what a ledger remembers; without Ray."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from serve_app.bulk.inputs import Input
from serve_app.bulk.ledger import Ledger
from serve_app.bulk.places import LocalFolder
from serve_app.bulk.plan import Plan, Task, check_empty, is_whole, make_plan
from serve_app.bulk.work import Claims
from serve_app.errors import InputError, InternalError
from serve_app.imaging.encode import encode_image, encode_zip
from serve_app.names import UniqueNames, output_name
from tests.conftest import encoded, picture

WISH = {"source": "photos", "options": {"erode": 1}}


@contextmanager
def opened(folder: Path) -> Iterator[Ledger]:
    with closing(Ledger(LocalFolder(folder))) as ledger:
        yield ledger


def planned(folder: Path, inputs: list[Input]) -> Plan:
    with opened(folder) as ledger:
        ledger.begin(WISH)
        return make_plan(inputs, "png", ledger, LocalFolder(folder))


def inputs(*names: str, stamp: str = "1") -> list[Input]:
    return [Input(f"/photos/{name}", name, stamp) for name in names]


def test_two_inputs_of_one_name_get_two_outputs(tmp_path: Path) -> None:
    plan = planned(tmp_path, inputs("a.jpg", "a.png", "A.webp", "b/a.jpg"))
    assert [task.name for task in plan.tasks] == ["a.png", "a-2.png", "A-3.png", "b/a.png"]


def test_a_name_stays_with_its_input_whatever_comes_before_it(tmp_path: Path) -> None:
    planned(tmp_path, inputs("a.png"))
    (tmp_path / "a.png").write_bytes(encoded(picture()))
    plan = planned(tmp_path, inputs("a.jpg", "a.png"))
    assert plan.done_before == ["a.png"]
    assert [(task.uri, task.name) for task in plan.tasks] == [("/photos/a.jpg", "a-2.png")]


def test_an_input_named_twice_is_done_twice(tmp_path: Path) -> None:
    plan = planned(tmp_path, inputs("a.jpg", "a.jpg"))
    assert [task.name for task in plan.tasks] == ["a.png", "a-2.png"]


def test_an_input_that_has_changed_is_done_again(tmp_path: Path) -> None:
    planned(tmp_path, inputs("a.jpg"))
    (tmp_path / "a.png").write_bytes(encoded(picture()))
    plan = planned(tmp_path, inputs("a.jpg", stamp="2"))
    assert [task.name for task in plan.tasks] == ["a.png"]
    assert not (tmp_path / "a.png").exists()


def test_half_an_output_is_done_again(tmp_path: Path) -> None:
    planned(tmp_path, inputs("a.jpg", "b.jpg"))
    body = encoded(picture())
    (tmp_path / "a.png").write_bytes(body[:-20])
    (tmp_path / "b.png").write_bytes(body)
    plan = planned(tmp_path, inputs("a.jpg", "b.jpg"))
    assert [task.name for task in plan.tasks] == ["a.png"]
    assert plan.done_before == ["b.png"]


def test_what_a_segment_says_is_done_is_not_looked_into(tmp_path: Path) -> None:
    planned(tmp_path, inputs("a.jpg"))
    (tmp_path / "a.png").write_bytes(b"of ours")
    with opened(tmp_path) as ledger:
        ledger.note({"a.png": 7})
    assert planned(tmp_path, inputs("a.jpg")).done_before == ["a.png"]


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "zip"])
def test_whole_files_are_told_from_cut_ones(format: str) -> None:
    image, alpha = picture(), np.zeros((90, 160), np.uint8)
    if format == "zip":
        body = encode_zip(image, alpha, None, None)
    else:
        body = encode_image(image, format, None, None)
    assert is_whole(body)
    assert not is_whole(body[: len(body) // 2])
    assert not is_whole(b"")


def test_another_wish_is_refused_and_names_the_difference(tmp_path: Path) -> None:
    planned(tmp_path, inputs("a.jpg"))
    with opened(tmp_path) as ledger, pytest.raises(InputError, match=r"erode=1, not 2.*--restart"):
        ledger.begin({**WISH, "options": {"erode": 2}})


def test_two_runs_at_once_are_refused(tmp_path: Path) -> None:
    with opened(tmp_path), pytest.raises(InputError, match="another run"):
        Ledger(LocalFolder(tmp_path))


def test_files_of_nobody_are_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"precious")
    folder = LocalFolder(tmp_path)
    with opened(tmp_path) as ledger:
        with pytest.raises(InputError, match=r"1 files.*'a.png'.*--restart"):
            check_empty(["a.png"], ledger, folder)
        ledger.restart(["a.png"])
        check_empty(["a.png"], ledger, folder)


def test_restart_leaves_nothing_of_the_job(tmp_path: Path) -> None:
    planned(tmp_path, inputs("a.jpg"))
    (tmp_path / "a.png").write_bytes(encoded(picture()))
    (tmp_path / "other.txt").write_text("not of the job")
    with opened(tmp_path) as ledger:
        ledger.restart([])
        assert ledger.is_new
    left = {p.name for p in tmp_path.rglob("*") if p.is_file()}
    assert left == {"other.txt", "lock"}


@pytest.mark.parametrize(
    ("name", "format", "output"),
    [
        ("a.jpg", "auto", "a.png"),
        ("x/v1.2", "webp", "x/v1.2.webp"),
        ("a.PNG", "jpeg", "a.jpg"),
        ("a.zip", "zip", "a.zip"),
    ],
)
def test_the_suffix_is_the_formats(name: str, format: str, output: str) -> None:
    assert output_name(name, format) == output


def test_an_image_that_kills_its_process_is_given_up(tmp_path: Path) -> None:
    task, claims = Task("/photos/a.jpg", "a.png"), Claims(LocalFolder(tmp_path), "run")
    claims.take(task)  # and its process dies
    claims.take(task)  # and again
    with pytest.raises(InternalError, match="died 2 times"):
        claims.take(task)
    claims.take(task)  # another run tries again
    claims.drop(task)
    assert not list((tmp_path / ".cvunet" / "claims").iterdir())


def test_any_name_is_found_again(tmp_path: Path) -> None:
    """With what ends a line elsewhere than in a file."""
    odd = inputs("a\u2028b.jpg", "c\x85d.jpg", "e\nf.jpg", 'g".jpg')
    first = planned(tmp_path, odd)
    again = planned(tmp_path, odd)
    assert [task.name for task in again.tasks] == [task.name for task in first.tasks]


@pytest.mark.parametrize("text", ["", '["/photos/a.jpg', "5\n"])
@pytest.mark.parametrize("file", ["job.json", "plan/000001.jsonl"])
def test_a_damaged_ledger_is_told_and_can_be_forgotten(
    tmp_path: Path, file: str, text: str
) -> None:
    planned(tmp_path, inputs("a.jpg"))
    (tmp_path / ".cvunet" / file).write_text(text)
    with pytest.raises(InputError, match=f"of which '.cvunet/{file}' cannot be read: .*--restart"):
        planned(tmp_path, inputs("a.jpg"))
    with opened(tmp_path) as ledger:
        ledger.restart(["a.png"])
    assert len(planned(tmp_path, inputs("a.jpg")).tasks) == 1


def test_a_damaged_list_of_sizes_costs_a_look(tmp_path: Path) -> None:
    body = encoded(picture())
    planned(tmp_path, inputs("a.jpg"))
    (tmp_path / "a.png").write_bytes(body)
    with opened(tmp_path) as ledger:
        ledger.note({"a.png": len(body)})
    (tmp_path / ".cvunet" / "done" / "000001.jsonl").write_text("")
    assert planned(tmp_path, inputs("a.jpg")).done_before == ["a.png"]


def test_thousands_may_want_one_name() -> None:
    names = UniqueNames(["main-3.png"])
    given = [names.take("main.png") for _ in range(20_000)]
    assert given[:3] == ["main.png", "main-2.png", "main-4.png"]
    assert len(set(given)) == len(given)
