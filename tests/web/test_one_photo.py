"""One photo, from every way in to every way out."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.web.conftest import MAX_BYTES, Service
from tests.web.steps import ask, drop, on_screen, pick, pixels, save, states, until, wait_for_result


def test_a_dropped_file_comes_back_as_the_service_made_it(
    page: Any, service: Service, photo: Path
) -> None:
    drop(page, [photo])
    wait_for_result(page)
    name, data = save(page)
    assert name == "cat.png"
    assert data == ask(service.url, photo, output="cutout", format="png")


def test_a_pasted_picture_is_cut_out(open_page: Callable[..., Any], service: Service) -> None:
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    page.evaluate("""async () => {
        const canvas = document.createElement("canvas");
        canvas.width = canvas.height = 128;
        canvas.getContext("2d").fillRect(20, 20, 60, 60);
        const png = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
        await navigator.clipboard.write([new ClipboardItem({ "image/png": png })]);
    }""")
    page.keyboard.press("Control+V")
    wait_for_result(page)
    assert page.inner_text("#title") == "image.png"
    # And back: what is copied is the cutout itself.
    page.click("#copy")
    page.wait_for_selector(".toast >> text=Copied")
    side = page.evaluate("""async () => {
        const [item] = await navigator.clipboard.read();
        const image = await createImageBitmap(await item.getType("image/png"));
        return image.width;
    }""")
    assert side == 128


def test_a_sample_is_there_for_who_has_no_photo(page: Any) -> None:
    page.click("#sample")
    wait_for_result(page)
    assert page.inner_text("#title") == "sample.jpg"


def test_text_on_the_clipboard_is_answered(page: Any) -> None:
    page.evaluate("""() => document.body.dispatchEvent(
        new ClipboardEvent("paste", { bubbles: true, clipboardData: new DataTransfer() }))""")
    assert "no picture" in page.inner_text(".toast")


def test_the_slider_shows_more_or_less_of_the_original(page: Any, photo: Path) -> None:
    pick(page, photo)
    wait_for_result(page)
    page.check("#swatch-black")
    page.focus("#split")
    page.keyboard.press("Home")  # nothing of the original
    result = on_screen(page, "#stage")
    page.keyboard.press("End")  # nothing else
    original = on_screen(page, "#stage")
    page.focus("#split")
    for _ in range(50):
        page.keyboard.press("ArrowLeft")
    assert page.get_attribute("#split", "aria-valuetext") == "50 % original"
    both = on_screen(page, "#stage")
    left, right = slice(60, 400), slice(-400, -60)
    assert np.abs(both[100:, left] - original[100:, left]).mean() < 2
    assert np.abs(both[100:, right] - result[100:, right]).mean() < 2
    assert np.abs(original[100:, right] - result[100:, right]).mean() > 5


def test_the_slider_follows_the_mouse(page: Any, photo: Path) -> None:
    pick(page, photo)
    wait_for_result(page)
    box = page.locator("#stage").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 120, middle[1], steps=4)
    page.mouse.up()
    assert float(page.input_value("#split")) > 60


def test_zoom_to_one_pixel_on_one_pixel(page: Any, photo: Path) -> None:
    pick(page, photo)
    wait_for_result(page)
    page.click("#zoom-full")
    assert page.inner_text("#zoom-value") == "100 %"
    assert page.locator(".plane.after .cutout").bounding_box()["width"] == 320
    page.click("#zoom-fit")
    assert page.locator(".plane.after .cutout").bounding_box()["width"] > 320
    page.focus("#stage")
    page.keyboard.press("1")
    assert page.inner_text("#zoom-value") == "100 %"
    page.keyboard.press("+")
    assert page.inner_text("#zoom-value") == "125 %"


@pytest.mark.parametrize(
    ("swatch", "options"),
    [
        ("sage", {"background": "#c9d6c5"}),
        ("blur", {"background": "blur"}),
        ("transparent", {"background": "#ffffff"}),  # a JPEG holds nothing else
    ],
)
def test_a_background_is_what_the_service_would_make(
    page: Any, service: Service, photo: Path, swatch: str, options: dict[str, str]
) -> None:
    pick(page, photo)
    wait_for_result(page)
    asked = len(service.matting.asked)
    page.check(f"#swatch-{swatch}")
    page.check("[name=format][value=jpeg]")
    name, data = save(page)
    assert name == "cat.jpg"
    assert len(service.matting.asked) == asked  # made in the browser
    own = ask(service.url, photo, output="composite", format="png", **options)
    difference = np.abs(pixels(data, "RGB") - pixels(as_chromium_writes(own), "RGB"))
    assert difference.mean() < 0.5
    assert np.percentile(difference, 99) < 5


def as_chromium_writes(image: bytes) -> bytes:
    """As a JPEG with the loss of the page's own: what differs then is what was composed."""
    file = io.BytesIO()
    with Image.open(io.BytesIO(image)) as opened:
        opened.convert("RGB").save(file, "JPEG", quality=90, subsampling="4:2:0")
    return file.getvalue()


def test_a_photo_goes_behind(
    page: Any, service: Service, photo: Path, tmp_path: Path, make_photo: Callable[..., bytes]
) -> None:
    behind = tmp_path / "behind.png"
    behind.write_bytes(make_photo(500, 300))
    pick(page, photo)
    wait_for_result(page)
    with page.expect_file_chooser() as chooser:
        page.click("#swatch-photo", force=True)
    chooser.value.set_files(str(behind))
    page.wait_for_selector("#swatch-photo:checked", state="attached")
    _, data = save(page)
    import httpx

    files = {"image": photo.read_bytes(), "background_image": behind.read_bytes()}
    own = httpx.post(f"{service.url}/v1/matting", files=files, data={"format": "png"}).content
    assert np.abs(pixels(data, "RGB") - pixels(own, "RGB")).mean() < 1.5


def test_webp_is_lossless_and_keeps_the_alpha(page: Any, service: Service, photo: Path) -> None:
    pick(page, photo)
    wait_for_result(page)
    page.check("[name=format][value=webp]")
    assert page.inner_text("#quality-value") == "lossless"
    name, data = save(page)
    assert (name, data[8:12]) == ("cat.webp", b"WEBP")
    mine, own = pixels(data, "RGBA"), pixels(ask(service.url, photo, format="png"), "RGBA")
    assert np.array_equal(mine[..., 3], own[..., 3])
    # A canvas holds colours multiplied with alpha: equal to half a level on any background.
    shown = np.abs(mine[..., :3] - own[..., :3]) * own[..., 3:] / 255
    assert shown.max() <= 1


def test_the_mask_alone_is_grey(page: Any, service: Service, photo: Path) -> None:
    pick(page, photo)
    wait_for_result(page)
    name, data = save(page, "#mask")
    assert name == "cat-mask.png"
    assert data[25] == 0  # the PNG's colour type: greyscale
    own = ask(service.url, photo, output="alpha", format="png")
    assert np.array_equal(pixels(data, "L"), pixels(own, "L"))


def test_crop_is_the_services(page: Any, service: Service, photo: Path) -> None:
    pick(page, photo)
    wait_for_result(page)
    page.click("#advanced summary")
    page.check("#option-crop")
    page.fill("#option-margin", "5% 12px")
    page.keyboard.press("Enter")
    page.press("#option-margin", "Tab")
    _, data = save(page)
    own = ask(service.url, photo, crop="true", margin="5% 12px", format="png")
    mine, theirs = pixels(data, "RGBA"), pixels(own, "RGBA")
    assert mine.shape == theirs.shape
    assert np.array_equal(mine[..., 3], theirs[..., 3])


def test_another_option_asks_again_by_itself(page: Any, service: Service, photo: Path) -> None:
    pick(page, photo)
    wait_for_result(page)
    page.click("#advanced summary")
    page.focus("#option-feather")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    until(lambda: service.matting.asked[-1].feather == 3)
    wait_for_result(page)
    assert len(service.matting.asked) <= 3  # three steps in a row are not three requests
    _, data = save(page)
    assert data == ask(service.url, photo, feather="3", format="png")
    assert page.evaluate("document.activeElement.id") == "download"


def test_a_preset_is_one_click_and_brings_its_look(
    page: Any, service: Service, photo: Path
) -> None:
    pick(page, photo)
    wait_for_result(page)
    page.check("#preset-id-photo")
    until(lambda: service.matting.asked[-1].erode == 2)
    wait_for_result(page)
    name, data = save(page)
    assert name == "cat.jpg"
    own = ask(service.url, photo, preset="id-photo")
    assert np.abs(pixels(data, "RGB") - pixels(own, "RGB")).mean() < 2
    page.check("#preset-portrait")
    assert page.is_checked("#swatch-transparent")
    assert page.is_checked("[name=format][value=png]")


def test_a_tiff_is_shown_too(page: Any, tmp_path: Path, make_photo: Callable[..., bytes]) -> None:
    path = tmp_path / "scan.tif"
    path.write_bytes(make_photo(120, 160, "TIFF"))
    pick(page, path)
    wait_for_result(page)
    until(lambda: page.evaluate("document.querySelector('.original').naturalWidth") == 160)


def test_a_failure_is_told_in_the_servers_words(page: Any, tmp_path: Path) -> None:
    path = tmp_path / "letter.jpg"
    path.write_text("Dear reader, this is no picture.")
    pick(page, path)
    page.wait_for_selector("#fault:not([hidden])")
    words = page.inner_text("#fault")
    assert "Format not supported" in words
    assert "JPEG" in page.inner_text("#fault .detail")
    assert page.is_disabled("#download")


def test_too_large_a_file_is_refused_before_it_travels(
    page: Any, service: Service, tmp_path: Path
) -> None:
    path = tmp_path / "huge.jpg"
    path.write_bytes(b"\xff\xd8" + bytes(MAX_BYTES))
    pick(page, path)
    page.wait_for_selector("#fault:not([hidden])")
    assert "400 kB" in page.inner_text("#fault .detail")
    assert "null" not in page.inner_text("#fault")
    assert service.matting.asked == []


def test_a_file_that_is_no_picture_is_left_out(page: Any, tmp_path: Path, photo: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("notes")
    pick(page, path)
    assert "no picture" in page.inner_text(".toast")
    pick(page, path, photo)
    page.wait_for_selector(".toast >> text=left out")
    assert list(states(page)) == ["cat.jpg"]


def test_a_shadow_is_seen_but_not_in_the_mask(page: Any, service: Service, photo: Path) -> None:
    pick(page, photo)
    wait_for_result(page)
    page.click("#advanced summary")
    assert page.is_hidden("#option-shadow_opacity")
    page.select_option("#option-shadow", "drop")
    until(lambda: service.matting.asked[-1].shadow == "drop")
    wait_for_result(page)
    assert page.is_visible("#option-shadow_opacity")
    _, data = save(page)
    assert data == ask(service.url, photo, shadow="drop", format="png")
    _, mask = save(page, "#mask")
    assert mask == ask(service.url, photo, output="alpha", format="png")


def test_the_stage_says_what_is_done_and_stops_it(page: Any, service: Service, photo: Path) -> None:
    service.matting.gate.clear()
    pick(page, photo)
    page.wait_for_selector("#status-text >> text=Cutting out")
    assert page.is_hidden(".sweep")  # the tests' user wants no motion, and it would stand still
    page.wait_for_selector("#status-text >> text=/· \\d+ s/")
    page.click("#status-act")
    assert page.inner_text("#status-text") == "Stopped"
    service.matting.gate.set()
    page.click("#status-act")
    wait_for_result(page)
    assert page.is_hidden("#status")
    assert page.evaluate("document.activeElement.id") == "stage"  # the button had the focus


def test_the_stage_says_that_the_server_is_busy(page: Any, service: Service, photo: Path) -> None:
    service.matting.busy = 1
    pick(page, photo)
    page.wait_for_selector("#status-text >> text=The server is busy. Trying again in 1 s")
    assert page.inner_text("#live").startswith("The server is busy")
    wait_for_result(page)


def test_a_slow_upload_is_told(open_page: Callable[..., Any], photo: Path) -> None:
    page = open_page(width=1200)  # in a profile of its own, since it is slowed down
    photo.write_bytes(photo.read_bytes() + bytes(MAX_BYTES - 100_000))
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 100_000}
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.emulateNetworkConditions", slow)
    pick(page, photo)
    page.wait_for_selector("#status-text >> text=/Sending · [1-9][0-9]? %/")
    wait_for_result(page)


SLOW_CANVAS = """() => {
    const toBlob = HTMLCanvasElement.prototype.toBlob;
    HTMLCanvasElement.prototype.toBlob = function (...values) {
        globalThis.release = () => toBlob.apply(this, values);
    };
}"""


def test_a_file_in_the_making_is_told_and_made_once(page: Any, photo: Path) -> None:
    pick(page, photo)
    wait_for_result(page)
    page.check("[name=format][value=jpeg]")
    page.evaluate(SLOW_CANVAS)
    downloads: list[Any] = []

    def note(download: Any) -> None:
        downloads.append(download)

    page.on("download", note)
    page.focus("#download")
    page.keyboard.press("Enter")
    assert page.inner_text("#download") == "Preparing …"
    page.keyboard.press("Enter")
    until(lambda: page.evaluate("typeof release") == "function")
    page.evaluate("release()")
    page.wait_for_selector("#download >> text=Download JPEG")
    assert page.evaluate("document.activeElement.id") == "download"
    page.wait_for_timeout(200)
    assert len(downloads) == 1


def test_until_the_blur_is_there_the_cutout_lies_on_squares(page: Any, photo: Path) -> None:
    pick(page, photo)
    wait_for_result(page)
    page.evaluate("() => { globalThis.createImageBitmap = () => new Promise(() => {}); }")
    page.check("#swatch-blur")
    assert "checker" in page.get_attribute(".backdrop", "class")


def test_a_photo_that_comes_before_the_service_has_answered_is_kept(page: Any, photo: Path) -> None:
    held: list[Any] = []

    def hold(route: Any) -> None:
        held.append(route)

    page.route("**/v1/presets", hold)
    page.reload()
    for _ in range(1000):  # Playwright hears of it within calls of the page alone
        if held:
            break
        page.wait_for_timeout(20)
    pick(page, photo)
    page.wait_for_selector(".toast >> text=not answered yet")
    held[0].continue_()
    wait_for_result(page)
    assert page.inner_text("#title") == "cat.jpg"


def test_the_overlay_has_no_slider(page: Any, photo: Path) -> None:
    pick(page, photo)
    wait_for_result(page)
    page.check("[name=view][value=overlay]")
    assert page.is_hidden("#split")
    assert page.is_hidden(".divider")
    page.check("[name=view][value=mask]")
    assert page.is_visible("#split")
    assert page.is_visible(".divider")
