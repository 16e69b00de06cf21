"""For everyone: keyboard, screen reader, both languages, light and dark, a phone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.web.steps import pick, until, wait_for_result, wait_until_idle

IMPACTS = ("moderate", "serious", "critical")


def findings(page: Any) -> list[str]:
    from axe_playwright_python import sync_playwright as axe

    results = axe.Axe().run(page)
    return [
        f"{found['id']}: {node['html']} {node['failureSummary']}"
        for found in results.response["violations"]
        if found["impact"] in IMPACTS
        for node in found["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_stands_in_the_way(
    open_page: Callable[..., Any], photo: Path, tmp_path: Path, scheme: str
) -> None:
    page = open_page(color_scheme=scheme)
    assert findings(page) == []
    pick(page, photo)
    wait_for_result(page)
    page.click("#advanced summary")
    page.check("#option-crop")
    page.check("[name=format][value=jpeg]")
    assert findings(page) == []
    bad = tmp_path / "letter.jpg"
    bad.write_text("Dear reader")
    pick(page, photo, bad)
    wait_until_idle(page)
    page.wait_for_selector("[data-state=failed]")
    assert findings(page) == []
    page.click("[data-state=failed] .open")
    assert findings(page) == []
    for tab in ("#tab-api", "#tab-about"):
        page.click(tab)
        assert findings(page) == []


def test_it_works_without_a_mouse(page: Any, photo: Path) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    with page.expect_file_chooser() as chooser:
        for _ in range(20):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.dataset.action === 'pick'"):
                break
        page.keyboard.press("Enter")
    chooser.value.set_files(str(photo))
    wait_for_result(page)
    tab_until(page, "document.activeElement.id === 'split'")
    page.keyboard.press("ArrowRight")
    assert page.input_value("#split") == "51"
    tab_until(page, "document.activeElement.name === 'preset'")
    page.keyboard.press("ArrowDown")
    assert page.is_checked("#preset-ecommerce")
    assert page.evaluate("document.activeElement.id") == "preset-ecommerce"
    wait_for_result(page)
    tab_until(page, "document.activeElement.name === 'background'")
    page.keyboard.press("ArrowRight")
    assert page.is_checked("#swatch-white")
    tab_until(page, "document.activeElement.id === 'download'")
    with page.expect_download() as waiting:
        page.keyboard.press("Enter")
    assert waiting.value.suggested_filename == "cat.png"


def tab_until(page: Any, condition: str) -> None:
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate(condition):
            return
    pytest.fail(f"Tab never comes to where {condition}")


def test_the_focus_is_seen(page: Any) -> None:
    for _ in range(8):  # all that there is before the first photo
        page.keyboard.press("Tab")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"


def test_tiles_are_walked_with_arrows(page: Any, photo: Path) -> None:
    pick(page, photo, photo, photo)
    wait_until_idle(page)
    assert page.locator(".open[tabindex='0']").count() == 1
    page.focus(".photo:first-child .open")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.closest('.photo').previousElementSibling !== null")
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement.closest('.photo').nextElementSibling === null")


def test_progress_is_spoken(page: Any, photo: Path) -> None:
    said = page.evaluate_handle("""() => {
        const said = [];
        const live = document.getElementById("live");
        new MutationObserver(() => said.push(live.textContent)).observe(live, { childList: true });
        return said;
    }""")
    pick(page, photo, photo, photo, photo)
    wait_until_idle(page)
    until(lambda: page.inner_text("#live").startswith("Finished"))
    spoken = said.json_value()
    assert spoken[0] == "4 photos added"
    assert spoken[-1] == "Finished: 4 done, 0 failed"
    assert len(spoken) <= 6


def test_both_languages(open_page: Callable[..., Any], photo: Path) -> None:
    page = open_page(locale="zh-CN")
    assert page.get_attribute("html", "lang") == "zh-Hans"
    assert page.inner_text("h1") == "放入照片，只留主体。"
    pick(page, photo)
    wait_for_result(page)
    assert page.inner_text("#download") == "下载 PNG"
    page.click("#advanced summary")
    assert "羽化" in page.inner_text("#options")
    page.click("#language")
    assert page.inner_text("#download") == "Download PNG"
    assert "Feather" in page.inner_text("#options")
    page.reload()
    assert page.inner_text("h1") == "Drop a photo. Keep the subject."  # it is remembered
    page.click("#tab-about")
    assert page.inner_text("#panel-about h1") == "About this service"


def test_light_or_dark_is_remembered(open_page: Callable[..., Any]) -> None:
    page = open_page(color_scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(background) == "rgb(21, 20, 18)"
    page.click("#theme")
    assert page.evaluate(background) == "rgb(250, 249, 247)"
    page.reload()
    assert page.evaluate(background) == "rgb(250, 249, 247)"


def test_a_phone_needs_no_sideways_scrolling(open_page: Callable[..., Any], photo: Path) -> None:
    page = open_page(width=390, has_touch=True, is_mobile=True)
    width = "document.documentElement.scrollWidth"
    assert page.evaluate(width) == 390
    photo = photo.rename(photo.with_name("a name that is far too long for any phone to show.jpg"))
    pick(page, photo)
    wait_for_result(page)
    assert page.evaluate(width) == 390
    pick(page, photo, photo)
    wait_until_idle(page)
    assert page.evaluate(width) == 390
    page.click("#tab-api")
    assert page.evaluate(width) == 390


def test_the_first_paint_comes_at_once(page: Any) -> None:
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    assert paint < 1000  # ms


def test_one_of_many_on_a_phone_has_names_for_its_buttons(
    open_page: Callable[..., Any], photo: Path
) -> None:
    page = open_page(width=390, has_touch=True, is_mobile=True)
    pick(page, photo, photo)
    wait_until_idle(page)
    assert findings(page) == []
    page.click(".photo:first-child .open")
    assert page.get_by_role("button", name="All photos").count() == 1
    assert findings(page) == []


def test_fingers_find_a_tiles_buttons_beside_its_picture(
    open_page: Callable[..., Any], photo: Path
) -> None:
    page = open_page(width=390, has_touch=True, is_mobile=True)
    pick(page, photo, photo)
    wait_until_idle(page)
    picture = page.locator(".photo:first-child .thumb").bounding_box()
    button = page.locator(".photo:first-child .remove").bounding_box()
    assert button["y"] > picture["y"] + picture["height"]


def test_a_low_window_shows_every_block_of_the_panel(page: Any, photo: Path) -> None:
    page.set_viewport_size({"width": 1024, "height": 700})
    pick(page, photo)
    wait_for_result(page)
    advanced = page.locator("#advanced summary").bounding_box()
    assert advanced["y"] + advanced["height"] <= page.locator("#save").bounding_box()["y"]


def test_at_twice_the_size_there_is_room_for_what_matters(page: Any, photo: Path) -> None:
    page.set_viewport_size({"width": 720, "height": 450})  # 1440 x 900 at 200 %
    choose = page.locator("#empty [data-action=pick]").bounding_box()
    assert choose["y"] + choose["height"] < 450
    pick(page, photo)
    wait_for_result(page)
    page.evaluate("scrollTo(0, 2000)")
    assert page.locator("#stage").bounding_box()["y"] < 0  # it covers none of the options


def test_a_large_screen_holds_the_invitation_together(page: Any) -> None:
    page.set_viewport_size({"width": 2560, "height": 1300})
    title, picture = (page.locator(each).bounding_box() for each in ("#empty h1", ".demo"))
    assert picture["x"] + picture["width"] - title["x"] < 1300
