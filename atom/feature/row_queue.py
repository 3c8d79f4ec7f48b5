"""`queue=` of /my/object-create: who writes the rows, and when."""

from atom.errors import ApiError, Unavailable, nearest

CHOICES = ("batch", "redis", "rabbitmq", "kafka", "celery", "mongodb_<database>")


def require_direct(queue: str) -> None:
    """Refuse every way of writing but the direct one.

    Raises:
        ApiError: naming the choices when there is no such queue.
        Unavailable: `client.missing` when there is one and it is not served here.
    """
    if not queue:
        return
    if queue in CHOICES[:-1] or queue.startswith("mongodb_"):
        raise Unavailable(f"Queue '{queue[:60]}' is not configured.")
    raise ApiError(
        "'queue' takes " + ", ".join(CHOICES) + ".",
        hint=nearest(queue[:60], CHOICES),
    )
