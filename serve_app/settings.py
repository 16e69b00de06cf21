"""One tree of settings, read once at start and passed down; nothing below reads the environment.

The same tree stands as `args` in `serve_config.yaml`. Unknown keys are refused. The environment
adds what differs between machines or must not stand in a file: `CVUNET_MODEL_PATH` wins over
`model.model_path`, `CVUNET_API_KEYS` (keys, separated by commas) adds to `access.key_hashes`,
`CVUNET_JOBS_STORAGE` and `CVUNET_WEBHOOK_SECRET` win over theirs in `jobs`, `CVUNET_DRAIN_FILE`
over `drain.file`, and `CVUNET_SETTINGS` names the settings file for the command line.
"""

import base64
import difflib
import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from serve_app.errors import SettingsError


def _installation() -> Path:
    """A checkout holds the package; a wheel puts the rest where its data files go."""
    checkout = Path(__file__).resolve().parents[1]
    installed = Path(sys.prefix) / "share" / "cvunet-serve"
    return checkout if (checkout / "configs").is_dir() else installed


ROOT = _installation()
"""The folder that holds `pretrained/` and `configs/`; relative paths in settings start here."""


_Side = Annotated[int, Field(ge=1)]  # px


class Section(BaseModel):
    # "model_" is pydantic's own prefix; model_path is the name users know.
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class Limits(Section):
    """What a request may be; judged from a file's header before anything is decoded."""

    max_bytes: int = Field(25_000_000, ge=1, description="largest file, bytes")
    max_pixels: int = Field(50_000_000, ge=1, description="largest height x width")
    max_edge: int = Field(16_384, ge=1, description="longest side, px")
    max_jpeg_scans: int = Field(64, ge=1, description="scans in a progressive JPEG")
    decode_timeout_s: float = Field(
        15.0, gt=0, description="time to decode one image, s; then its decoder is ended"
    )
    request_timeout_s: float = Field(60.0, gt=0, description="time for one request, s")
    max_inflight: int = Field(
        64, ge=1, description="requests at work in one ingress replica; more get 503"
    )
    max_inflight_pixels: int = Field(
        200_000_000, ge=1, description="of the images at work in one ingress replica"
    )
    max_inflight_bytes: int = Field(
        500_000_000, ge=1, description="of uploads held in one ingress replica, batches excepted"
    )
    max_wait_s: float = Field(
        1.75,  # what comes at most twice as late as at 16 clients on two cores: they wait 1.2 s
        gt=0,
        description="expected wait, by the pace of the last images, over which more than 8 get "
        "503, s",
    )
    max_batch_files: int = Field(1000, ge=1, description="images in one batch request")
    batch_concurrency: int = Field(
        4, ge=1, le=64, description="images of one batch request at work at once"
    )
    max_batch_waiting_bytes: int = Field(
        2_000_000_000,
        ge=1,
        description="of one batch request that wait on disk for their turn; then its upload waits",
    )
    upload_timeout_s: float = Field(
        120.0, gt=0, description="for the upload of one request other than a batch, s"
    )
    upload_idle_timeout_s: float = Field(
        20.0,
        gt=0,
        description="over which the rate of an upload is judged, s; a quarter more is allowed for",
    )
    upload_min_rate: int = Field(
        1000, ge=0, description="of an upload, bytes/s; a slower one is ended"
    )


class OnnxNetwork(Section):
    """How an ONNX network that is not ours takes a picture; `configs/models/` has known ones."""

    size: tuple[_Side, _Side] = Field((1024, 1024), description="height and width of its input, px")
    fit: Literal["stretch", "pad", "short_side"] = Field(
        "stretch",
        description="stretch to the size; pad, keeping the aspect; or short_side: the aspect is "
        "kept, the shorter side becomes the smaller of the size, both multiples of 32",
    )
    scale: float = Field(1 / 255, gt=0, description="what a byte is multiplied by, first")
    mean: tuple[float, float, float] = Field(
        (0.485, 0.456, 0.406), description="subtracted then, per channel"
    )
    std: tuple[float, float, float] = Field(
        (0.229, 0.224, 0.225), description="divided by last, per channel"
    )
    channels: Literal["rgb", "bgr"] = Field("rgb", description="order of the channels")
    layout: Literal["nchw", "nhwc"] = Field("nchw", description="order of the input's axes")
    output: int = Field(0, description="which output is the alpha; -1 is the last")
    activation: Literal["none", "sigmoid"] = Field(
        "none", description="none where the output is 0 to 1 already; sigmoid of logits"
    )


class ModelSettings(Section):
    """Which network runs, and on what."""

    model_path: Path = Field(
        Path("pretrained/cvunet_matting.safetensors"),
        description="checkpoint to serve, or an ONNX file",
    )
    engine: Literal["auto", "torch", "openvino", "onnx", "tensorrt", "fake"] = Field(
        "auto", description="what runs the network; auto takes the best that is installed"
    )
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda")
    precision: Literal["auto", "fp32", "fp16", "int8"] = Field(
        "auto",
        description="auto is fp16 on a GPU; on a CPU int8 where openvino runs, the CPU has "
        "instructions for it and the file lies beside the checkpoint that "
        "`cvunet export --precision int8` writes, else fp32",
    )
    threads: int = Field(0, ge=0, description="CPU threads of the network; 0 is one per core")
    compile: bool = Field(
        False, description="engine torch: compile for each batch size and bucket, a minute each"
    )
    kernels: Literal["auto", "triton", "torch"] = Field(
        "auto",
        description="engine torch on an NVIDIA GPU in fp16: triton are this package's own kernels, "
        "torch are PyTorch's; auto takes its own, or says in the log why not",
    )
    cuda_graphs: bool = Field(
        True, description="engine torch on a GPU: record each batch size and bucket, and replay it"
    )
    cache_path: Path = Field(
        Path(".cache/engines"), description="folder for what engines make of the checkpoint"
    )
    onnx: OnnxNetwork = OnnxNetwork()


class BatchSettings(Section):
    """How requests share one run of the network."""

    max_batch_size: int = Field(8, ge=1, le=256, description="images in one run")
    bucket_step: int = Field(
        64, ge=32, multiple_of=32, description="sides are padded up to multiples of this, px"
    )
    warmup: list[tuple[_Side, _Side]] = Field(
        [(576, 1024)],
        description="(height, width) shapes to run before the replica is ready, "
        "on a GPU in each batch size",
    )
    stall_timeout_s: float = Field(
        60.0, gt=0, description="a batch that runs longer makes the replica unhealthy, s"
    )


class AccessSettings(Section):
    """Who may ask, and how often."""

    key_hashes: list[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]] = Field(
        [], description="SHA-256 of each API key that is let in, hex; none: no key is asked for"
    )
    requests_per_minute: int = Field(
        0,
        ge=0,
        description="per key, or per address where no keys are set, in one ingress replica; "
        "0 is no limit",
    )


class RemoteSettings(Section):
    """Fetching images from URLs, for the surfaces that take them."""

    enabled: bool = Field(False, description="whether URLs are fetched at all")
    timeout_s: float = Field(10.0, gt=0, description="for one image, redirects included, s")
    test_hosts: list[str] = Field(
        [], description="host:port pairs fetched from without any check; for tests only"
    )


class TracingSettings(Section):
    """Where spans of every request go."""

    endpoint: str = Field(
        "",
        pattern=r"^(https?://.+)?$",
        description="OTLP/HTTP URL that spans are sent to, such as "
        "http://127.0.0.1:4318/v1/traces; empty: none are made",
    )


class DrainSettings(Section):
    """The end of the service."""

    timeout_s: float = Field(
        70.0, ge=0, description="for requests in flight at the end of `cvunet serve`, s"
    )
    file: str = Field(
        "",
        description="with anything in it, nothing new is taken; `cvunet serve` names one",
    )


class JobSettings(Section):
    """Jobs: what they may be, where they are kept and for how long."""

    storage: Path = Field(
        Path(".cache/jobs"),
        description="folder that holds the jobs; one that every ingress replica can reach",
    )
    max_files: int = Field(10_000, ge=1, description="images in one job")
    max_bytes: int = Field(20_000_000_000, ge=1, description="upload of one job, bytes")
    min_free_bytes: int = Field(
        1_000_000_000, ge=0, description="left free where jobs are kept; uploads beyond get 507"
    )
    max_waiting: int = Field(100, ge=1, description="unfinished jobs; more get 503")
    concurrency: int = Field(
        4, ge=1, le=64, description="images of jobs at work at once in one ingress replica"
    )
    keep_s: float = Field(86_400.0, gt=0, description="a finished job is kept for so long, s")
    lease_s: float = Field(
        15.0,
        gt=0,
        description="a job whose replica gives no sign of life for so long goes to another one, s",
    )
    webhook_secret: SecretStr = Field(
        SecretStr(""),
        description="signs webhooks: whsec_ and base64 of 24 to 64 bytes; none: no webhooks",
    )

    @field_validator("webhook_secret")
    @classmethod
    def _is_a_secret(cls, secret: SecretStr) -> SecretStr:
        if secret.get_secret_value():
            webhook_key(secret)
        return secret


def webhook_key(secret: SecretStr) -> bytes:
    """The bytes of a webhook secret. Raises ValueError where it is none."""
    prefix, _, encoded = secret.get_secret_value().partition("_")
    try:
        key = base64.b64decode(encoded, validate=True)
    except ValueError:
        key = b""
    if prefix != "whsec" or not 24 <= len(key) <= 64:
        raise ValueError("it must be whsec_ and base64 of 24 to 64 random bytes")
    return key


class Settings(Section):
    """Everything that can be set."""

    limits: Limits = Limits()
    model: ModelSettings = ModelSettings()
    batching: BatchSettings = BatchSettings()
    access: AccessSettings = AccessSettings()
    remote: RemoteSettings = RemoteSettings()
    tracing: TracingSettings = TracingSettings()
    drain: DrainSettings = DrainSettings()
    jobs: JobSettings = JobSettings()
    presets_path: Path = Field(Path("configs/presets.yaml"), description="the named option sets")


def parse_settings(values: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> Settings:
    """Validate a tree of plain values.

    Raises:
        SettingsError: a key is unknown or a value breaks its rule; the message names it.
    """
    try:
        settings = Settings.model_validate(dict(values))
        named = {"webhook_secret": "CVUNET_WEBHOOK_SECRET", "storage": "CVUNET_JOBS_STORAGE"}
        if own := {key: environ[name] for key, name in named.items() if environ.get(name)}:
            jobs = JobSettings.model_validate({**settings.jobs.model_dump(), **own})
            settings = settings.model_copy(update={"jobs": jobs})
    except ValidationError as exc:
        raise SettingsError(_explain(exc)) from exc
    if path := environ.get("CVUNET_MODEL_PATH"):
        model = settings.model.model_copy(update={"model_path": Path(path)})
        settings = settings.model_copy(update={"model": model})
    if file := environ.get("CVUNET_DRAIN_FILE"):
        drain = settings.drain.model_copy(update={"file": file})
        settings = settings.model_copy(update={"drain": drain})
    keys = [key.strip() for key in environ.get("CVUNET_API_KEYS", "").split(",")]
    if hashes := [hashlib.sha256(key.encode()).hexdigest() for key in keys if key]:
        known = [*settings.access.key_hashes, *hashes]
        access = settings.access.model_copy(update={"key_hashes": known})
        settings = settings.model_copy(update={"access": access})
    return settings


def load_settings(path: Path | None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read settings from a YAML file: either the bare tree, or a Serve config file's `args`.

    Raises:
        SettingsError: the file cannot be read, or what it says breaks a rule.
    """
    if path is None and environ.get("CVUNET_SETTINGS"):
        path = Path(environ["CVUNET_SETTINGS"])
    if path is None:
        return parse_settings({}, environ)
    try:
        values = yaml.safe_load(path.read_text("utf-8")) or {}
    except (OSError, ValueError, yaml.YAMLError) as exc:
        why = " ".join(str(exc).split())  # YAML's own words are several lines
        raise SettingsError(f"settings file '{path}' cannot be read: {why}") from exc
    if isinstance(values, Mapping) and "applications" in values:
        values = _application_args(values["applications"], path)
    if not isinstance(values, Mapping):
        raise SettingsError(f"settings file '{path}' must hold keys and values, not {values!r}")
    return parse_settings(values, environ)


def _application_args(applications: object, path: Path) -> object:
    """The settings of a Serve config's first application."""
    first = applications[0] if isinstance(applications, list) and applications else None
    if not isinstance(first, Mapping):
        raise SettingsError(
            f"settings file '{path}': applications must be a list, its first entry keys and values "
            f"with the settings under args, not {applications!r}"
        )
    return first.get("args") or {}


def resolve_path(path: Path) -> Path:
    """An absolute path as it is; a relative one from the folder of the installation."""
    return path if path.is_absolute() else ROOT / path


def _explain(exc: ValidationError) -> str:
    lines = []
    for problem in exc.errors():
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            known = _known_keys(problem["loc"][:-1])
            close = difflib.get_close_matches(str(problem["loc"][-1]), known, 1)
            hint = f"did you mean '{close[0]}'?" if close else f"known keys: {', '.join(known)}"
            lines.append(f"unknown settings key '{key}': {hint}")
        else:
            value = "(hidden)" if _is_secret(key) else repr(problem["input"])
            lines.append(f"settings key '{key}' = {value}: {problem['msg']}")
    return "; ".join(lines)


def _is_secret(key: str) -> bool:
    """Whether its value is one; in the place of a key's hash may stand the key."""
    return key.endswith("secret") or key.startswith("access.key_hashes")


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    section: type[BaseModel] = Settings
    for part in location:
        annotation = section.model_fields[str(part)].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        section = annotation
    return list(section.model_fields)
