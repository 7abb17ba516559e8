"""The one entry for web traffic: WebSockets go to Channels, HTTP to Django's WSGI application.

The WSGI application inside the ASGI server answers synchronous views about three times as fast as
Django's own ASGI handler, which opens a thread and a database connection per request.
"""

import os
from typing import Any, cast

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
wsgi = get_wsgi_application()

from a2wsgi import WSGIMiddleware  # noqa: E402
from channels.routing import ProtocolTypeRouter  # noqa: E402
from django.conf import settings  # noqa: E402
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware  # noqa: E402

from portal.access_log import log_sockets  # noqa: E402
from portal.body_buffering import arriving_whole, sending_aside  # noqa: E402
from portal.console.routing import websocket_application  # noqa: E402

pages = cast("Any", WSGIMiddleware(cast("Any", wsgi), workers=8))
router = ProtocolTypeRouter(
    {
        "http": cast("Any", arriving_whole(sending_aside(pages))),
        "websocket": cast("Any", log_sockets(cast("Any", websocket_application()))),
    }
)
application = ProxyHeadersMiddleware(cast("Any", router), settings.TRUSTED_PROXIES)
