"""Self-hosted background removal and image matting on Ray Serve."""

__version__ = "0.1.0"
