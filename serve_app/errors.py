"""What can go wrong, each with its HTTP status, its code on the wire and what its message promises.

    MattingError
    ├── InputError                  the request is at fault; nothing is logged above INFO
    │   ├── MissingImage            400 missing_image
    │   ├── MultipleImages          400 multiple_images
    │   ├── InvalidImage            400 invalid_image
    │   ├── InvalidOption           400 invalid_option
    │   │   └── InvalidRoi          a region of interest that doesn't fit this image
    │   ├── InvalidIdempotencyKey   400 invalid_idempotency_key
    │   ├── UrlNotAllowed           400 url_not_allowed
    │   ├── AuthFailed              403 auth_failed
    │   ├── NotFound                404 not_found
    │   ├── UploadTimeout           408 upload_timeout
    │   ├── IdempotencyConflict     409 idempotency_conflict
    │   ├── JobUnfinished           409 job_unfinished
    │   ├── JobExpired              410 job_expired
    │   ├── FileTooLarge            413 file_too_large
    │   ├── ImageTooLarge           413 image_too_large
    │   │   └── SideTooLong         one side of it, whatever the pixels
    │   ├── UnsupportedFormat       415 unsupported_format
    │   └── RateLimited             429 rate_limited
    ├── ServiceError                the service is at fault or too busy
    │   ├── InternalError           500 internal_error
    │   ├── DownloadFailed          502 download_failed
    │   ├── Overloaded              503 overloaded
    │   │   └── Full                whatever comes: nothing more is taken for a moment
    │   ├── NotReady                503 not_ready
    │   │   └── Ending              it will not be: it takes nothing new
    │   ├── EngineOutOfMemory       503 out_of_memory
    │   ├── DownloadTimeout         504 download_timeout
    │   ├── DeadlineExceeded        504 timeout
    │   └── StorageFull             507 storage_full
    └── SetupError                  found at start or on the command line; never sent to a client
        ├── SettingsError           a settings file, key or environment variable
        ├── CheckpointError         weights that are missing, corrupt or of another network
        └── EngineError             an engine or device that is not there

A message says the value, the rule and the remedy. It is public: it never holds a path of the
server, a key or a part of an image.
"""

from typing import Any, ClassVar


class MattingError(Exception):
    """Base of everything this package raises on purpose."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions cross process borders; subclasses with more fields stay whole this way.
        return _rebuild, (type(self), self.detail, self.__dict__)


def _rebuild(cls: type[MattingError], detail: str, state: dict[str, Any]) -> MattingError:
    error = cls.__new__(cls)
    Exception.__init__(error, detail)
    error.__dict__.update(state)
    return error


def error_codes(error: type[MattingError] = MattingError) -> set[str]:
    """Every code that an error on the wire can have."""
    return {error.code}.union(*(error_codes(kind) for kind in error.__subclasses__()))


class InputError(MattingError):
    status = 400
    code = "invalid_request"
    title = "Invalid request"


class MissingImage(InputError):
    code = "missing_image"
    title = "No image in the request"


class MultipleImages(InputError):
    code = "multiple_images"
    title = "More than one image in the request"


class InvalidImage(InputError):
    code = "invalid_image"
    title = "Image cannot be read"


class InvalidOption(InputError):
    code = "invalid_option"
    title = "Invalid option"


class InvalidRoi(InvalidOption):
    def __init__(self, detail: str, empty: bool = False) -> None:
        super().__init__(detail)
        self.empty = empty  # no pixel in it; else it leaves the image


class InvalidIdempotencyKey(InputError):
    code = "invalid_idempotency_key"
    title = "Invalid idempotency key"


class UrlNotAllowed(InputError):
    code = "url_not_allowed"
    title = "URL not allowed"


class AuthFailed(InputError):
    status = 403
    code = "auth_failed"
    title = "API key invalid"


class NotFound(InputError):
    status = 404
    code = "not_found"
    title = "Not found"


class UploadTimeout(InputError):
    status = 408
    code = "upload_timeout"
    title = "Upload too slow"


class IdempotencyConflict(InputError):
    status = 409
    code = "idempotency_conflict"
    title = "Idempotency key used for another job"


class JobExpired(InputError):
    status = 410
    code = "job_expired"
    title = "Job expired"


class FileTooLarge(InputError):
    status = 413
    code = "file_too_large"
    title = "File too large"


class ImageTooLarge(InputError):
    status = 413
    code = "image_too_large"
    title = "Image has too many pixels"


class SideTooLong(ImageTooLarge):
    pass


class UnsupportedFormat(InputError):
    status = 415
    code = "unsupported_format"
    title = "Image format not supported"


class RetryLater(MattingError):
    """Mixed into errors that tell the client when to come back."""

    def __init__(self, detail: str, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after  # seconds


class RateLimited(RetryLater, InputError):
    status = 429
    code = "rate_limited"
    title = "Too many requests"


class JobUnfinished(RetryLater, InputError):
    status = 409
    code = "job_unfinished"
    title = "Job not finished"


class ServiceError(MattingError):
    pass


class InternalError(ServiceError):
    pass


class DownloadFailed(ServiceError):
    status = 502
    code = "download_failed"
    title = "Remote image not available"


class DownloadTimeout(ServiceError):
    status = 504
    code = "download_timeout"
    title = "Remote image too slow"


class Overloaded(RetryLater, ServiceError):
    status = 503
    code = "overloaded"
    title = "Service is busy"


class Full(Overloaded):
    def __init__(self, detail: str, retry_after: int, pause_s: float = 0.0) -> None:
        super().__init__(detail, retry_after)
        self.pause_s = pause_s  # nothing need be asked before


class NotReady(RetryLater, ServiceError):
    status = 503
    code = "not_ready"
    title = "Service is starting"


class Ending(NotReady):
    title = "Service is ending"


class EngineOutOfMemory(ServiceError):
    status = 503
    code = "out_of_memory"
    title = "Image does not fit into memory"


class DeadlineExceeded(ServiceError):
    status = 504
    code = "timeout"
    title = "Deadline passed"


class StorageFull(ServiceError):
    status = 507
    code = "storage_full"
    title = "No space on the service's disk"


class SetupError(MattingError):
    pass


class SettingsError(SetupError):
    pass


class CheckpointError(SetupError):
    pass


class EngineError(SetupError):
    pass
