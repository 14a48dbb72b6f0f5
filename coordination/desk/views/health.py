"""Whether the desk works, for whoever watches the server; nothing about anybody."""

from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse


def state(request: HttpRequest) -> JsonResponse:
    """Answer 200 when the database answers, else 503."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM team")
            cursor.fetchone()
    except DatabaseError:
        return JsonResponse({"database": "unreachable"}, status=503)
    return JsonResponse({"database": "ok"})
