"""Errors cross process borders whole, and each has its own code."""

import pickle

import pytest

from serve_app import errors


def leaves(base: type[errors.MattingError]) -> list[type[errors.MattingError]]:
    # Other modules add errors of their own, with fields of their own.
    below = [cls for cls in base.__subclasses__() if cls.__module__ == errors.__name__]
    return [base] if not below else [leaf for cls in below for leaf in leaves(cls)]


@pytest.mark.parametrize("cls", leaves(errors.MattingError))
def test_pickling_keeps_everything(cls: type[errors.MattingError]) -> None:
    later = issubclass(cls, errors.RetryLater)
    error = cls("why", 7) if later else cls("why")  # type: ignore[call-arg]
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is cls
    assert (copy.detail, str(copy)) == ("why", "why")
    assert getattr(copy, "retry_after", 7) == 7


def test_input_errors_are_4xx_with_codes_of_their_own() -> None:
    found = leaves(errors.InputError)
    assert all(400 <= cls.status < 500 for cls in found)
    assert len({cls.code for cls in found}) == len(found)
