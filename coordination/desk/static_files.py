"""The desk's own style sheet, scripts and pictures: each is small, and answered whole."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from whitenoise.middleware import WhiteNoiseMiddleware


class StaticFiles(WhiteNoiseMiddleware):
    """WhiteNoise, without a stream: reading one in an asynchronous server would hold up every other page."""

    @staticmethod
    def serve(static_file: Any, request: HttpRequest) -> HttpResponse:
        """Return the whole of a file."""
        streamed = WhiteNoiseMiddleware.serve(static_file, request)
        whole = HttpResponse(
            b"".join(streamed.streaming_content), status=streamed.status_code, headers=streamed.headers
        )
        streamed.close()
        return whole
