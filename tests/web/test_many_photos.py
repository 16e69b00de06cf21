"""Many photos: each one's state, all of them together, and what goes wrong between."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.web.conftest import Service
from tests.web.steps import ask, drop, pick, save, states, until, unzip, wait_until_idle

MakePhoto = Callable[..., bytes]


@pytest.fixture
def folder(tmp_path: Path, make_photo: MakePhoto) -> Path:
    """Twelve photos, one of which is cut short and one of which is none."""
    path = tmp_path / "holiday"
    (path / "more").mkdir(parents=True)
    for index in range(10):
        place = path / "more" if index > 7 else path
        (place / f"photo{index}.jpg").write_bytes(make_photo(90 + index, 120, "JPEG"))
    (path / "cut.jpg").write_bytes(make_photo(300, 400, "JPEG")[:2500])
    (path / "letter.jpg").write_text("Dear reader, this is no picture.")
    (path / ".hidden").write_text("")
    return path


def small(tmp_path: Path, make_photo: MakePhoto, count: int) -> list[Path]:
    paths = [tmp_path / f"{index:03}.jpg" for index in range(count)]
    data = make_photo(96, 128, "JPEG")
    for path in paths:
        path.write_bytes(data)
    return paths


def check_folder(page: Any, service: Service, folder: Path) -> None:
    page.wait_for_selector("#run-text >> text=10 of 12 done · 2 failed")  # it may not run yet
    wait_until_idle(page)
    found = states(page)
    assert [name for name, state in found.items() if state == "failed"] == ["cut.jpg", "letter.jpg"]
    told = page.inner_text(".photo:has-text('cut.jpg') .photo-state")
    assert "truncated" in told
    assert page.inner_text("#download") == "Download ZIP · 10 photos"
    name, data = save(page)
    assert name == "cutouts.zip"
    files = unzip(data)
    assert sorted(files) == [f"photo{index}.png" for index in range(10)]
    assert files["photo9.png"] == ask(service.url, folder / "more/photo9.jpg", format="png")


def test_a_dropped_folder(page: Any, service: Service, folder: Path) -> None:
    drop(page, [folder])
    page.wait_for_selector(".photo")
    check_folder(page, service, folder)
    masks = unzip(save(page, "#mask")[1])
    assert sorted(masks) == [f"photo{index}-mask.png" for index in range(10)]


def test_a_picked_folder(page: Any, service: Service, folder: Path) -> None:
    page.set_input_files("#folder-input", str(folder))
    page.wait_for_selector(".photo")
    check_folder(page, service, folder)


def test_cancel_and_go_on(
    page: Any, service: Service, tmp_path: Path, make_photo: MakePhoto
) -> None:
    service.matting.gate.clear()
    pick(page, *small(tmp_path, make_photo, 10))
    page.wait_for_selector("[data-state=working]")
    found = list(states(page).values())
    assert (found.count("working"), found.count("queued")) == (4, 6)
    page.click("#cancel")
    assert set(states(page).values()) == {"stopped"}
    service.matting.gate.set()
    page.click("#retry")
    wait_until_idle(page)
    assert set(states(page).values()) == {"done"}


def test_a_failure_can_be_tried_again(page: Any, service: Service, folder: Path) -> None:
    # The file on the disk is mended meanwhile in none of them: the same words come back.
    pick(page, folder / "letter.jpg", folder / "photo1.jpg")
    page.wait_for_selector("[data-state=failed]")
    wait_until_idle(page)
    assert page.inner_text("#retry") == "Retry 1"
    page.click("#retry")  # the page may still be idle when this returns
    page.wait_for_selector("#run-text >> text=/^1 of 2 done · 1 failed$/")


def test_a_busy_server_is_waited_for(page: Any, service: Service, folder: Path) -> None:
    service.matting.busy = 3
    pick(page, *(folder / f"photo{index}.jpg" for index in range(5)))
    page.wait_for_selector("#run-text >> text=the server is busy")
    wait_until_idle(page)
    assert set(states(page).values()) == {"done"}


def test_a_server_that_is_gone_is_waited_for(open_page: Callable[..., Any], folder: Path) -> None:
    page = open_page(width=1200)  # in a profile of its own, since it goes offline
    page.context.set_offline(True)
    pick(page, folder / "photo1.jpg", folder / "photo2.jpg")
    page.wait_for_selector("#offline:not([hidden])")
    page.wait_for_selector("#run-text >> text=0 of 2 done · waiting for the server")
    assert set(states(page).values()) == {"queued"}
    page.context.set_offline(False)
    page.wait_for_selector("#offline", state="hidden")
    wait_until_idle(page)
    assert set(states(page).values()) == {"done"}


def test_names_that_come_again_are_numbered(
    page: Any, tmp_path: Path, make_photo: MakePhoto
) -> None:
    paths = []
    for place in ("a", "b", "c"):
        (tmp_path / place).mkdir()
        paths.append(tmp_path / place / ("Cat.png" if place == "c" else "cat.jpg"))
        paths[-1].write_bytes(make_photo(60, 80))
    pick(page, *paths)
    wait_until_idle(page)
    names = sorted(unzip(save(page)[1]))
    assert names == ["Cat (3).png", "cat (2).png", "cat.png"] or len(set(names)) == 3


def test_one_is_opened_and_left_again(page: Any, folder: Path) -> None:
    pick(page, *(folder / f"photo{index}.jpg" for index in range(3)))
    wait_until_idle(page)
    page.click(".photo:nth-child(2) .open")
    assert page.inner_text("#title") == "photo1.jpg"
    assert "2 of 3" in page.inner_text("#facts")
    page.keyboard.press("PageDown")
    assert page.inner_text("#title") == "photo2.jpg"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.closest('.photo').photo.name") == "photo2.jpg"
    page.keyboard.press("Delete")
    assert list(states(page)) == ["photo0.jpg", "photo1.jpg"]


def test_many_in_one_go(page: Any, service: Service, tmp_path: Path, make_photo: MakePhoto) -> None:
    pick(page, *small(tmp_path, make_photo, 64))
    page.wait_for_selector("#run-text >> text=left")
    wait_until_idle(page)
    assert page.inner_text("#run-text") == "64 of 64 done"
    assert len(service.matting.asked) == 64
    files = unzip(save(page)[1])
    assert len(files) == 64
    # Another option then waits until the user says so: it would be 64 requests.
    page.check("#preset-preview")
    page.wait_for_selector("#refresh:not([hidden])")
    assert "64 photos were made with other options" in page.inner_text("#run-text")
    page.click("#refresh")
    until(lambda: len(service.matting.asked) > 70)
    page.click("#cancel")
    assert page.inner_text("#retry").startswith("Go on with")
    page.click("#clear")
    page.click("#clear-dialog [value=yes]")
    page.wait_for_selector("#empty", state="visible")


def test_a_large_archive_is_zip64(page: Any) -> None:
    # With a limit of 100 bytes instead of 4 GB, so that the test needs no 4 GB.
    data = page.evaluate("""async () => {
        const source = document.querySelector("script[type=module]").src;
        const { Zip } = await import(new URL("zip.js", source));
        const zip = new Zip(100);
        const file = new Blob(["x".repeat(90)]);
        for (const name of ["a.txt", "ä.txt", "c.txt"]) await zip.add(name, file);
        return [...new Uint8Array(await zip.finish().arrayBuffer())];
    }""")
    files = unzip(bytes(data))
    assert files == dict.fromkeys(["a.txt", "ä.txt", "c.txt"], b"x" * 90)


def test_back_leads_from_a_photo_to_all(page: Any, folder: Path) -> None:
    pick(page, *(folder / f"photo{index}.jpg" for index in range(3)))
    wait_until_idle(page)
    page.click(".photo:nth-child(2) .open")
    page.keyboard.press("PageDown")
    page.go_back()
    assert page.inner_text("#title") == "3 photos"
    assert page.evaluate("document.activeElement.closest('.photo').photo.name") == "photo2.jpg"
    page.go_forward()
    assert page.inner_text("#title") == "photo2.jpg"
    page.click("#tab-about")
    page.go_back()
    assert page.inner_text("#title") == "photo2.jpg"
    page.keyboard.press("Escape")  # goes back, too: it leaves no second way to the photo
    assert page.inner_text("#title") == "3 photos"
    until(lambda: page.evaluate("history.state") is None)


def test_results_are_not_left_behind_unasked(page: Any, folder: Path) -> None:
    pick(page, folder / "photo1.jpg", folder / "photo2.jpg")
    wait_until_idle(page)
    page.click("#title")  # Chromium asks for nobody who hasn't touched the page
    with page.expect_event("dialog") as waiting:
        page.close(run_before_unload=True)
    assert waiting.value.type == "beforeunload"
    waiting.value.dismiss()
    save(page)
    page.evaluate("location.reload()")
    page.wait_for_selector("#empty", state="visible")


def test_the_tab_says_how_far_it_is(page: Any, service: Service, folder: Path) -> None:
    service.matting.gate.clear()
    pick(page, *(folder / f"photo{index}.jpg" for index in range(3)))
    until(lambda: page.title() == "0 of 3 · cvunet")
    service.matting.gate.set()
    until(lambda: page.title() == "cvunet · Remove the background")


def test_a_tile_shows_the_original_until_its_cutout_is_drawn(page: Any, folder: Path) -> None:
    page.evaluate("""() => {
        const real = createImageBitmap;
        globalThis.createImageBitmap = (blob, ...rest) =>
            blob.type === "image/png" ? new Promise(() => {}) : real(blob, ...rest);
    }""")
    pick(page, folder / "photo1.jpg", folder / "photo2.jpg")
    page.wait_for_selector("#run-text >> text=2 of 2 done")
    page.wait_for_selector(".photo:first-child .thumb-before", state="visible")
