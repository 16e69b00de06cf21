"""What the service measures of itself: every metric's name, labels and buckets, and why.

Ray exports each under its name with `ray_` before it, and adds labels of its own (`application`,
`deployment`, `replica` and the process). No label here takes a value that a client chooses.
"""

from dataclasses import dataclass

PREFIX = "ray_"


@dataclass(frozen=True, slots=True)
class Metric:
    """One time series family; a histogram has buckets."""

    name: str
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()  # upper bounds

    @property
    def exported(self) -> str:
        """The name that Prometheus sees."""
        return PREFIX + self.name


# Ray's agent passes histograms on as counts of buckets and takes each bucket's middle for its
# values, so a mean is as fine as the buckets are. About five to a factor of ten keep durations
# within 25 %; the ends are what a tiny photo and the request's time limit need.
_STAGE_S = (
    *(0.001, 0.0015, 0.002, 0.003, 0.005, 0.007, 0.01, 0.015, 0.02, 0.03, 0.05, 0.07),
    *(0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0, 20.0, 60.0),
)
# One photo takes from 0.1 s up to limits.request_timeout_s; a batch of a thousand, minutes.
_REQUEST_S = (
    *(0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 7.0),
    *(10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0),
)
# Bounds halfway between whole numbers: the middle of a bucket is then the very batch size.
_IMAGES = (
    *(0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5),
    *(10.5, 12.5, 14.5, 16.5, 24.5, 32.5, 64.5, 128.5, 256.5),
)
# Likewise for eighths, as the default batching.max_batch_size fills.
_EIGHTHS = tuple((2 * i + 1) / 16 for i in range(9))
# From a thumbnail to limits.max_pixels; between them what phones (12), cameras (24, 36, 50) and
# remove.bg's sizes (0.25, 1.5, 4, 25) give.
_MEGAPIXELS = (0.1, 0.25, 0.5, 1.0, 1.5, 2.5, 4.0, 6.0, 9.0, 12.5, 18.0, 25.0, 36.0, 50.0, 100.0)
# From an icon to limits.max_bytes, and a zip of the largest photo on the way out.
_BYTES = (1e4, 3e4, 1e5, 2e5, 4e5, 7e5, 1e6, 2e6, 4e6, 7e6, 1e7, 1.5e7, 2.5e7, 5e7, 1e8)

REQUESTS = Metric(
    "matting_requests_total",
    "HTTP requests answered, by route and status; 499 where the client left first",
    ("route", "code"),
)
REQUEST_DURATION = Metric(
    "matting_request_duration_seconds",
    "From a request's first byte to the last of its answer",
    ("route",),
    _REQUEST_S,
)
STAGE_DURATION = Metric(
    "matting_stage_duration_seconds",
    "What one image spent in a stage: decode, queue, infer, post, encode",
    ("stage",),
    _STAGE_S,
)
BATCH_SIZE = Metric("matting_batch_size", "Images in one run of the network", (), _IMAGES)
BATCH_FILL = Metric(
    "matting_batch_fill_ratio", "Batch size over batching.max_batch_size", (), _EIGHTHS
)
QUEUE_DEPTH = Metric("matting_queue_depth", "Images that wait for the network, in one replica")
INFLIGHT = Metric("matting_inflight", "Images at work, in one ingress replica")
REJECTIONS = Metric(
    "matting_rejections_total",
    "Requests, and images of batches, that got an error of ours, by its code",
    ("reason",),
)
INPUT_MEGAPIXELS = Metric(
    "matting_input_megapixels", "Size of an image that was decoded", (), _MEGAPIXELS
)
INPUT_BYTES = Metric("matting_input_bytes", "Size of an image's file", (), _BYTES)
OUTPUT_BYTES = Metric("matting_output_bytes", "Size of an answer", (), _BYTES)
REPLICA_RETRIES = Metric(
    "matting_replica_retries_total", "Images run once more since a replica died with them"
)
MODEL_INFO = Metric(
    "matting_model_info",
    "1 for each replica of the network, labelled with what it runs",
    ("name", "version", "sha256", "engine", "precision"),
)

METRICS = (
    *(REQUESTS, REQUEST_DURATION, STAGE_DURATION, BATCH_SIZE, BATCH_FILL, QUEUE_DEPTH, INFLIGHT),
    *(REJECTIONS, INPUT_MEGAPIXELS, INPUT_BYTES, OUTPUT_BYTES, REPLICA_RETRIES, MODEL_INFO),
)
