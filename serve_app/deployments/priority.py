"""Work on pixels gives way to answering: a refusal or a health check takes a moment, and must not
wait until a photo is done.
"""

import os

_BELOW = 5  # a third of the weight of the ingress and the proxy where both want the same core


def give_way() -> None:
    """Lower this process's priority below the ingress's; for each stage, when it starts."""
    os.nice(_BELOW)
