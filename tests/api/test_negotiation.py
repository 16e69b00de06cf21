"""`Accept` as RFC 9110 reads it."""

import pytest

from serve_app.api.negotiation import preferred_format, prefers_json


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", "png"),
        ("*/*", "png"),
        ("image/*", "png"),
        ("image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5", "png"),
        (
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
            "webp",
        ),
        ("image/webp;q=0.9, image/jpeg", "jpeg"),
        ("image/jpeg, */*", "jpeg"),
        ("application/zip", "zip"),
        ("image/png;q=0, image/*", "webp"),
        ("application/json", "png"),
        ("image/webp;q=nonsense", "png"),
        (";;;,,q=", "png"),
        ("IMAGE/JPEG", "jpeg"),
    ],
)
def test_preferred_format(accept: str, expected: str) -> None:
    assert preferred_format(accept) == expected


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", False),
        ("*/*", False),
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/json, */*;q=0.5", True),
        ("application/json;q=0.5, image/*", False),
        ("image/png, application/json;q=0", False),
        ("application/json, text/plain, */*", False),  # of axios, whatever is asked for
    ],
)
def test_prefers_json(accept: str, expected: bool) -> None:
    assert prefers_json(accept) is expected
